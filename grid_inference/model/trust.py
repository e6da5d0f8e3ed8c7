"""Who may load a model: unpickling runs code, and whoever can write to the grid can put a model there.

In: where the grid is and what the operator allowed. Out: nothing, or a TrustError before a byte is unpickled.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from grid_inference.config import parse_address
from grid_inference.errors import TrustError

if TYPE_CHECKING:
    from grid_inference.model.artifact import Manifest

__all__ = ["Trust", "is_loopback"]


@dataclass(frozen=True, slots=True)
class Trust:
    """What vouches for the models in a grid."""

    allow_pickle: bool = False
    """The operator said so (`--allow-pickle`): everyone who can write to this grid may run code in its workers."""
    loopback: bool = False
    """The grid listens on this machine only, so whoever writes to it can run code here anyway."""

    @classmethod
    def of(cls, *addresses: str, allow_pickle: bool = False) -> Self:
        """The trust that a grid at these addresses deserves: every member's and the one we reach it by."""
        return cls(allow_pickle=allow_pickle, loopback=all(map(is_loopback, addresses)))

    def check(self, manifest: Manifest) -> None:
        """Raise TrustError unless this artifact may be unpickled."""
        if not (self.allow_pickle or self.loopback):
            raise TrustError(
                f"the model {manifest.class_name} (sha256 {manifest.sha256[:12]}) is a pickle on a grid that is not on "
                "loopback: loading it would run code from whoever wrote it there",
                remedy="start the worker with --allow-pickle if everyone who can write to this grid may run code here",
            )


def is_loopback(address: str) -> bool:
    """Whether `host:port` is this machine's loopback; a name other than localhost is not looked up and is not."""
    host, _ = parse_address(address)
    if host.lower() in {"localhost", "localhost."}:
        return True
    try:
        ip = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_loopback

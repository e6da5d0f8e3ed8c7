"""Who may load a model: reading some formats runs code, and whoever can write to the grid can put a model there.

In: where the grid is, which keys are trusted here, and what the operator allowed. Out: whether the bytes are vouched
for, or a TrustError before any of them is read.
"""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from grid_inference.config import parse_address
from grid_inference.errors import TrustError
from grid_inference.model.store.keys import PublicKey
from grid_inference.model.store.manifest import Manifest

__all__ = ["Trust", "check_pickle_allowed", "is_loopback"]

TYPES_NAMED_MAX = 5
READERS = {"joblib": "is a pickle, which is code", "function": "names code that is installed here"}


@dataclass(frozen=True, slots=True)
class Trust:
    """What vouches for the models in a grid."""

    keys: Mapping[str, PublicKey] = field(default_factory=dict[str, PublicKey])
    """The trusted keys by fingerprint."""
    allow_pickle: bool = False
    """The operator said so (`--allow-pickle`): everyone who can write to this grid may run code in its workers."""
    loopback: bool = False
    """The grid listens on this machine only. Elsewhere `allow_pickle` allows nothing."""

    @classmethod
    def of(cls, *addresses: str, allow_pickle: bool = False, keys: Iterable[PublicKey] = ()) -> Self:
        """The trust that a grid at these addresses deserves: every member's and the one we reach it by."""
        by_fingerprint = {key.fingerprint: key for key in keys}
        return cls(by_fingerprint, allow_pickle=allow_pickle, loopback=all(map(is_loopback, addresses)))

    def vouched(self, manifest: Manifest) -> bool:
        """Whether a trusted key has signed just this; TrustError if it is said to have, and has not."""
        key = self.keys.get(manifest.signed_by)
        if key is None:
            return False
        try:
            signature = base64.b64decode(manifest.signature, validate=True)
        except ValueError:  # also for what is no ASCII
            signature = b""
        if not key.verifies(signature, manifest.statement()):
            raise TrustError(
                f"the signature of {_said(manifest)} is not that of key {key.fingerprint}, which it names: it was "
                "changed, or the signature is another model's",
                remedy="deploy the model again from where its file can be trusted",
            )
        return True

    def check(self, manifest: Manifest, types: Sequence[str]) -> None:
        """Raise TrustError unless what nobody vouched for may be loaded all the same.

        `types` are those in it that could run code while it is read; none: its format runs whatever it says.
        """
        if self.allow_pickle and self.loopback:
            return
        more = len(types) - TYPES_NAMED_MAX
        named = ", ".join(types[:TYPES_NAMED_MAX]) + (f" and {more} more" if more > 0 else "")
        other = READERS.get(manifest.format, f"is of format {manifest.format}, whose reader trusts what it reads")
        what = f"holds types that could run code while it is loaded ({named})" if types else other
        if manifest.signed_by:
            raise TrustError(
                f"{_said(manifest)} {what}; it is signed by key {manifest.signed_by}, which is not trusted here",
                remedy="if it should be: `grid-inference trust add FILE` on this machine, with the public key that "
                "`grid-inference models keygen` prints where the model was deployed",
            )
        alone = ", or start the worker with --allow-pickle, as this grid is on loopback" if self.loopback else ""
        raise TrustError(
            f"{_said(manifest)} {what}; nobody has signed it",
            remedy=f"make a key by `grid-inference models keygen` and deploy the model again{alone}",
        )


def check_pickle_allowed(address: str) -> None:
    """Raise TrustError where `--allow-pickle` is asked for on a grid that other machines reach."""
    if not is_loopback(address):
        raise TrustError(
            f"--allow-pickle is for a grid on loopback only, and {address} is not: whoever reaches it could run code "
            "here",
            remedy="leave it out; models that are signed by a trusted key load without it (`grid-inference trust`)",
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


def _said(manifest: Manifest) -> str:
    return f"the model {manifest.class_name} (sha256 {manifest.sha256[:12]})"

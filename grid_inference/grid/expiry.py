"""Whether the records of a feature map may go without the application's doing: by a time to live, idleness or eviction.

Such a record may go before it is scored, and each copy of the journal has its own view of when it went. So a deployment
on such a map is refused unless whoever deploys accepts that. Our own maps must keep what is in them in any case.
It is asked behind the journal, as the question makes the map.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Final

import numpy as np

from grid_inference.config import INTERNAL_PREFIX
from grid_inference.errors import BackupWarning, DeploymentError, ExpiryWarning, RemoteError
from grid_inference.grid.link import Link
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.keys import key_text
from grid_inference.wire.protocol import expiry, messages

__all__ = ["LOSS", "check_expiry"]

SAMPLE_PARTITIONS = 64
"""Of so many partitions one record is looked at: a client may give records a time to live of their own."""
UNLIMITED_MS = 2**63 - 1
KEPT: Final = ("deployments", "artifacts", "models")
"""Maps of ours that hold what nobody could make anew."""
DERIVED: Final = ("positions", "leases", "workers", "drift")
OURS: Final = '"grid_inference.*", "*.predictions" and "*.dead-letters"'
"""The maps that are ours, as patterns."""
LOSS = (
    "a record may go before it is scored, a prediction may outlive its record, and after the loss of a member changes "
    "may be noticed by a scan only"
)
"""What is lost where records go by themselves."""


async def check_expiry(link: Link, name: str, results: Sequence[str] = (), *, accepted: bool = False) -> None:
    """Return if a feature map keeps its records; raise DeploymentError with the reason and the remedy if it does not.

    `accepted`: it need not. The maps of `results` and our own must keep what is in them in any case. Warns
    (ExpiryWarning) where members do not tell, BackupWarning where the loss of a member ends deployments. All these maps
    exist afterwards, so the feature map's journal is seen to before.
    """
    reason, unknown = "", ""
    try:
        await _check_ours(link, results)
        reason = "" if accepted else _reason(await _limits(link, name))
    except RemoteError as error:
        unknown = str(error)
    if accepted:
        return
    reason = reason or await _by_entries(link, name)
    if reason:
        raise DeploymentError(
            f"the records of map {name!r} go by themselves ({reason}): {LOSS}",
            remedy="take that off the map and create it anew, or accept it: accept_expiry = true (--accept-expiry)",
        )
    if unknown:
        warnings.warn(
            f"the members do not tell whether map {name!r} has a time to live, max-idle or eviction, nor its in-memory "
            f"format, nor that of grid-inference's own maps ({unknown}). If one has, {LOSS}",
            ExpiryWarning,
            stacklevel=2,
        )


async def _check_ours(link: Link, results: Sequence[str]) -> None:
    """Raise DeploymentError if deployments, models, positions or results would go by themselves."""
    names = [f"{INTERNAL_PREFIX}{name}" for name in (*KEPT, *DERIVED)]
    found = {name: await _limits(link, name) for name in (*names, *results)}
    if going := [f"{name!r} ({reason})" for name, limits in found.items() if (reason := _reason(limits))]:
        raise DeploymentError(
            f"what grid-inference writes would go by itself, and nothing would tell: {', '.join(going)}",
            remedy=f"configure {OURS} in the members as hazelcast/hazelcast.yaml does, and restart them",
        )
    alone = [name for name in names[: len(KEPT)] if min(one.backups for one in found[name]) == 0]
    if alone and len(link.members()) > 1:
        warnings.warn(
            f"no other member has a copy of {', '.join(map(repr, alone))}: the loss of one member ends deployments. "
            f"Configure {OURS} in the members as hazelcast/hazelcast.yaml does",
            BackupWarning,
            stacklevel=3,
        )


async def _limits(link: Link, name: str) -> list[expiry.MapLimits]:
    """What each member that owns partitions has made a map with."""
    by_owner = {owner: partition for partition, owner in link.partition_owners().items()}
    requests = [(partition, expiry.map_config_request(name)) for partition in by_owner.values()]
    return [expiry.decode_map_limits(answer) for answer in await link.call_all(requests)]


def _reason(found: list[expiry.MapLimits]) -> str:
    """Why entries go on some member; empty if they don't."""
    for limits in found:
        said = [f"time-to-live-seconds: {limits.ttl_s}"] if limits.ttl_s else []
        said += [f"max-idle-seconds: {limits.max_idle_s}"] if limits.max_idle_s else []
        said += [f"eviction-policy: {limits.eviction} at {limits.size_max:,}"] if limits.evicts else []
        if said:
            return ", ".join(said)
    return ""


async def _by_entries(link: Link, name: str) -> str:
    """A record of some that have a time to live or a max-idle of their own; empty if none of them has."""
    count = min(SAMPLE_PARTITIONS, link.partition_count)
    partitions: list[int] = np.linspace(0, link.partition_count - 1, count).astype(int).tolist()
    first = messages.SCAN_START
    scans = [(partition, messages.fetch_entries_request(name, first, 1)) for partition in partitions]
    pages = [messages.decode_scan_page(answer) for answer in await link.call_all(scans)]
    found = [(partition, page.keys[0]) for partition, page in zip(partitions, pages, strict=True) if len(page.keys)]
    views = [(partition, expiry.entry_view_request(name, key)) for partition, key in found]
    for (_, key), answer in zip(found, await link.call_all(views), strict=True):
        times = expiry.decode_entry_times(answer)
        if times and min(times) < UNLIMITED_MS:
            return f"key {key_text(Blobs.of([key]))[0]} was put for {min(times) / 1000:g} s"
    return ""

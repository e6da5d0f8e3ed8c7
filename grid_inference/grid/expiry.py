"""Whether the records of a feature map may go without the application's doing: by a time to live, idleness or eviction.

Such a record may go before it is scored, and each copy of the journal has its own view of when it went. So a deployment
on such a map is refused unless whoever deploys accepts that.
"""

from __future__ import annotations

import warnings

import numpy as np

from grid_inference.errors import DeploymentError, ExpiryWarning, RemoteError
from grid_inference.grid.link import Link
from grid_inference.wire import expiry, messages
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.keys import key_text

__all__ = ["LOSS", "check_expiry"]

SAMPLE_PARTITIONS = 64
"""Of so many partitions one record is looked at: a client may give records a time to live of their own."""
UNLIMITED_MS = 2**63 - 1
LOSS = (
    "a record may go before it is scored, a prediction may outlive its record, and after the loss of a member changes "
    "may be noticed by a scan only"
)
"""What is lost where records go by themselves."""


async def check_expiry(link: Link, name: str) -> None:
    """Return if the map keeps its records; raise DeploymentError with the reason and the remedy if it does not.

    Warns (ExpiryWarning) where members do not tell. The map exists afterwards, so its journal is seen to before.
    """
    reason, unknown = "", ""
    try:
        reason = await _by_configuration(link, name)
    except RemoteError as error:
        unknown = str(error)
    reason = reason or await _by_entries(link, name)
    if reason:
        raise DeploymentError(
            f"the records of map {name!r} go by themselves ({reason}): {LOSS}",
            remedy="take that off the map and create it anew, or accept it: accept_expiry = true (--accept-expiry)",
        )
    if unknown:
        warnings.warn(
            f"the members do not tell whether map {name!r} has a time to live, max-idle or eviction ({unknown}). "
            f"If it has, {LOSS}",
            ExpiryWarning,
            stacklevel=2,
        )


async def _by_configuration(link: Link, name: str) -> str:
    """What any member's configuration of the map says; empty if it keeps its entries."""
    by_owner = {owner: partition for partition, owner in link.partition_owners().items()}
    requests = [(partition, expiry.map_config_request(name)) for partition in by_owner.values()]
    for limits in map(expiry.decode_map_limits, await link.call_all(requests)):
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

"""The event journal of a feature map: whether there is one, and giving one to a map that does not exist yet.

On members that we configure every feature map has a journal. On a cluster of somebody else's the configuration of a new
map is added by the protocol's dynamic-configuration message; a map that exists already keeps what it was created with.
"""

from __future__ import annotations

import warnings

from grid_inference.errors import DeploymentError, GridError, NoJournalWarning, RemoteError
from grid_inference.grid.link import Link
from grid_inference.wire import journal, messages

__all__ = ["ensure_journal", "has_journal", "warn_without_journal"]

JOURNAL_CAPACITY = 100_000
"""Events that a map's journal on a foreign cluster keeps, over all partitions."""
BACKUP_COUNT = 1
TURN_ON = "set `event-journal: enabled: true` for it in the members' configuration (hazelcast/hazelcast.yaml shows how)"
"""How a map gets a journal."""
ANEW = " and create the map anew: an existing map keeps what it has"


async def has_journal(link: Link, name: str) -> bool:
    """Whether the members keep an event journal for this map."""
    try:
        await link.call(journal.range_request(name), 0)
    except RemoteError as error:
        if error.class_name == "UnsupportedOperationError":
            return False
        raise
    return True


async def ensure_journal(link: Link, name: str) -> None:
    """Return once the map has a journal; raise DeploymentError with the remedy if it can't get one.

    A map that does not exist must not be asked about itself: members would create its container as it is configured
    now, without a journal, and keep it so. Another map of a like name tells what the defaults are.
    """
    exists = name in await link.map_names()
    refusal = ""
    if not exists and not await _journal_by_default(link, name):
        request = messages.add_map_config_request(name, journal_capacity=JOURNAL_CAPACITY, backup_count=BACKUP_COUNT)
        try:
            await link.call(request)
        except GridError as error:
            refusal = f": {error}"
    if await has_journal(link, name):
        return
    raise DeploymentError(
        f"map {name!r} has no event journal, so new records could be missed{refusal}",
        remedy=f'{TURN_ON}{ANEW if exists else ""}, or deploy with trigger = "listener", which may score a record late',
    )


async def warn_without_journal(link: Link, name: str, reconcile_s: float) -> None:
    """Warn who deploys a listener on a map that has no journal, or would have none."""
    exists = name in await link.map_names()
    if not await (has_journal(link, name) if exists else _journal_by_default(link, name)):
        warnings.warn(
            f"map {name!r} has no event journal: a record whose event is lost is scored up to {reconcile_s:g} s late. "
            f'To lose none, {TURN_ON}{ANEW if exists else ""}, then deploy with trigger = "journal"',
            NoJournalWarning,
            stacklevel=2,
        )


async def _journal_by_default(link: Link, name: str) -> bool:
    probe = f"{name}.journal-probe"
    found = await has_journal(link, probe)
    await link.call(messages.destroy_proxy_request(probe))
    return found

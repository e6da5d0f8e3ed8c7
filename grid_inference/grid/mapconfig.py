"""The event journal of a feature map: whether it is kept, and giving one to a map that does not exist yet.

On members that we configure every feature map has a journal. On a cluster of somebody else's a new map gets the
cluster's own default settings and a journal, by the protocol's dynamic-configuration message; where that message can't
carry what the cluster wants, what to write is said instead. A map that exists already keeps what it was created with.
None is asked about itself before it is configured, as the question makes it.
"""

from __future__ import annotations

import warnings

from grid_inference.errors import DeploymentError, GridError, NoJournalWarning, RemoteError
from grid_inference.grid.journals import has_journal, journals, numbers, prove
from grid_inference.grid.link import Link
from grid_inference.wire.protocol import expiry, mapconfig, messages
from grid_inference.wire.protocol.mapconfig import DEFAULT, MapSettings

__all__ = ["configurations", "ensure_journal", "has_journal", "warn_without_journal"]

JOURNAL_CAPACITY = 100_000
"""Events that a map's journal on a foreign cluster keeps, over all partitions."""
TURN_ON = "set `event-journal: enabled: true` for it in the members' configuration (hazelcast/hazelcast.yaml shows how)"
"""How a map gets a journal."""
ANEW = " and create the map anew: an existing map keeps what it has"
LISTEN = 'or deploy with trigger = "listener", which may score a record late'
OBJECT = "OBJECT"
PROBE_MAP = "{}\N{MIDDLE DOT}journal-probe\N{MIDDLE DOT}{}"
"""A map that every pattern for the one in question is for: which begins with its name and ends with it."""


async def ensure_journal(link: Link, name: str, *, write: bool = True) -> None:
    """Return once the map has a journal in each partition; raise DeploymentError with the remedy if it can't get one.

    A map that does not exist must not be asked about itself: members would create its container as it is configured
    now, without a journal, and keep it so. What is configured for it is asked instead. Without `write` nothing is
    changed, and a map that could get a journal passes.
    """
    told = await _settings(link, name)
    proven = bool(told) and _by_default(told)
    if name not in await link.map_names():
        proven = await _planned(link, name, told)
        if not proven:
            request = _configuration(name, told)
            if not write:
                return
            await _configure(link, name, request)
    await _check(link, name, prove_it=write and not proven)
    await _check_format(link, name)


async def warn_without_journal(link: Link, name: str, reconcile_s: float) -> None:
    """Warn who deploys a listener on a map that has no journal, or would have none."""
    exists = name in await link.map_names()
    if exists:
        journaled = not (await journals(link, name)).missing
    else:
        journaled = await _planned(link, name, await _settings(link, name))
    if not journaled:
        warnings.warn(
            f"map {name!r} has no event journal: a record whose event is lost is scored up to {reconcile_s:g} s late. "
            f'To lose none, {TURN_ON}{ANEW if exists else ""}, then deploy with trigger = "journal"',
            NoJournalWarning,
            stacklevel=2,
        )


# ---- what is configured


async def _settings(link: Link, name: str) -> dict[str, MapSettings]:
    """Address of each member that owns partitions → what it is configured with for the map; empty if one won't tell."""
    return {member: mapconfig.map_settings(xml, name) for member, xml in (await configurations(link)).items()}


async def configurations(link: Link) -> dict[str, str]:
    """Address of each member that owns partitions → its configuration as XML; empty if one won't tell."""
    by_owner = {owner: partition for partition, owner in link.partition_owners().items()}
    members, found = link.members(), dict[str, str]()
    for owner, partition in by_owner.items():
        try:
            answer = await link.call(mapconfig.member_config_request(), partition)
        except RemoteError:
            return {}
        found[members.get(owner, owner)] = mapconfig.decode_member_config(answer)
    return found


def _by_default(told: dict[str, MapSettings]) -> bool:
    """Whether the map is configured as maps are in general: that can't have come while members ran."""
    return all(one.written_for == DEFAULT for one in told.values())


async def _planned(link: Link, name: str, told: dict[str, MapSettings]) -> bool:
    """Whether a map that does not exist yet will have a journal as members are configured."""
    if told:
        return all(one.journal for one in told.values())
    probe = PROBE_MAP.format(name, name)
    by_owner = {owner: partition for partition, owner in link.partition_owners().items()}
    planned = [await has_journal(link, probe, partition) for partition in by_owner.values()]
    await link.call(messages.destroy_proxy_request(probe))
    return all(planned)


def _configuration(name: str, told: dict[str, MapSettings]) -> bytearray:
    """The request by which a new map gets the cluster's defaults and a journal; DeploymentError if there is none."""
    if why := _why_not(told):
        raise DeploymentError(
            f"map {name!r} would have no event journal, so new records could be missed, and can't be given one: {why}",
            remedy=f"write into every member's configuration, with what {name!r} needs besides: "
            f'map: {{"{name}": {{event-journal: {{enabled: true, capacity: {JOURNAL_CAPACITY}}}}}}}, {LISTEN}',
        )
    settings = next(iter(told.values()))
    return mapconfig.add_map_config_request(name, journal_capacity=JOURNAL_CAPACITY, settings=settings)


async def _configure(link: Link, name: str, request: bytearray) -> None:
    try:
        await link.call(request)
    except GridError as error:
        raise DeploymentError(
            f"map {name!r} has no event journal, so new records could be missed: {error}",
            remedy=f"{TURN_ON}, {LISTEN}",
        ) from error


def _why_not(told: dict[str, MapSettings]) -> str:
    """Why a new map can't be given a journal beside what the cluster wants of its maps; empty if it can."""
    if not told:
        return "the members do not tell what else maps are configured with"
    if on := [member for member, one in told.items() if one.journal]:
        return f"of {len(told)} members only {', '.join(sorted(on))} would keep one"
    if not _by_default(told):
        # What stands in a member's own file goes before what is added.
        names = sorted({repr(one.written_for) for one in told.values() if one.written_for != DEFAULT})
        return f"the members' configuration of {', '.join(names)} is for it, and turns none on"
    if len(set(told.values())) > 1:
        return f"the default configurations of {' and '.join(sorted(told))} differ"
    if others := next(iter(told.values())).others:
        return f"maps are configured with {', '.join(others)}, which only the members' own configuration can give it"
    return ""


# ---- what is kept


async def _check(link: Link, name: str, *, prove_it: bool) -> None:
    """Raise DeploymentError if some partition of the map keeps no journal."""
    found = await journals(link, name)
    unproven = await prove(link, name, found) if prove_it else ()
    without, silent = found.without, sorted((*found.silent, *unproven))
    if not without and not silent:
        return
    if len(without) == link.partition_count:
        what = f"map {name!r} has no event journal"
    elif without:
        what = (
            f"map {name!r} has no event journal in partitions {numbers(without)}, as members are configured differently"
        )
    else:
        what = f"map {name!r} was made before its event journal was configured: partitions {numbers(silent)} keep none"
    raise DeploymentError(f"{what}, so new records could be missed", remedy=f"{TURN_ON}{ANEW}, {LISTEN}")


async def _check_format(link: Link, name: str) -> None:
    """Raise DeploymentError if the map gives values back in other bytes than its journal has of them."""
    by_owner = {owner: partition for partition, owner in link.partition_owners().items()}
    requests = [(partition, expiry.map_config_request(name)) for partition in by_owner.values()]
    try:
        found = [expiry.decode_map_limits(answer) for answer in await link.call_all(requests)]
    except RemoteError:
        return  # they don't tell; `check_expiry` warns
    if any(one.keeps_objects for one in found):
        raise DeploymentError(
            f"map {name!r} has the in-memory format OBJECT: it gives records back in other bytes than were put and "
            "journaled, so results would seem to be stale",
            remedy=f"set `in-memory-format: BINARY` for it in the members' configuration{ANEW}, {LISTEN}",
        )

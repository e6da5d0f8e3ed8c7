"""Whether each partition of a map is journaled: members may be configured differently, and each answers for its own.

A member settles it when the map is made there. Where the journal was configured later the member answers as if it kept
one, and its journal stays empty for ever. So what stands in a partition is held against what its journal has told.
Nothing is written here but by `prove`, whose probe is the only proof where nothing was ever put.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from grid_inference.errors import GridError, RemoteError
from grid_inference.grid.link import Link
from grid_inference.grid.link.requests import Answer
from grid_inference.wire.json.values import encode_json
from grid_inference.wire.keys import guard_key
from grid_inference.wire.protocol import journal, messages

__all__ = ["Journals", "has_journal", "journals", "keeps_none", "numbers", "prove", "ranges"]

PROBE_KEY: Final = "grid_inference.journal-probe"
"""Of the records by which it is proven that a map is journaled; each is gone again at once."""
PROBE_TTL_MS: Final = 1000
"""A probe whose removal does not arrive goes by itself."""
NUMBERS_SHOWN: Final = 12


@dataclass(frozen=True, slots=True)
class Journals:
    """What the partitions of a map say of their journals."""

    ranges: dict[int, tuple[int, int]]
    """The numbers of the oldest and the newest change, of each partition that says it has a journal."""
    without: tuple[int, ...]
    """Partitions whose owner is configured to keep no journal."""
    silent: tuple[int, ...]
    """Those that hold records of which their journal has told nothing: it was configured when the map was there."""
    untold: tuple[int, ...]
    """Those in which nothing stands and whose journal is empty: no answer proves what it will tell."""

    @property
    def missing(self) -> list[int]:
        """Partitions whose changes are told by no journal."""
        return sorted((*self.without, *self.silent))


async def has_journal(link: Link, name: str, partition: int = 0) -> bool:
    """Whether the owner of a partition is configured to keep a journal of this map."""
    return bool(await ranges(link, name, [partition]))


async def journals(link: Link, name: str, partitions: Iterable[int] | None = None) -> Journals:
    """Ask each partition of a map that exists, or some; raises GridError if one does not answer."""
    some = list(range(link.partition_count) if partitions is None else partitions)
    found = await ranges(link, name, some)
    empty = [partition for partition, (_, newest) in found.items() if newest < 0]
    filled = await _filled(link, name, empty)
    # Again: a record that came between the two looks is told by now.
    again = await ranges(link, name, filled)
    silent = [partition for partition in filled if partition in again and again[partition][1] < 0]
    found |= again
    without = [partition for partition in some if partition not in found]
    untold = [partition for partition in empty if partition not in filled]
    return Journals(found, tuple(without), tuple(silent), tuple(untold))


async def prove(link: Link, name: str, found: Journals) -> tuple[int, ...]:
    """Have each member prove its journal that has told of no change yet; the `untold` partitions of those that don't.

    A probe in one empty partition of each: a transient put of `{}` under a key of ours and its eviction, both of which
    pass the map's store by. Listeners of the map see them.
    """
    owners = link.partition_owners()
    proven = {owners.get(partition) for partition, (_, newest) in found.ranges.items() if newest >= 0}
    asked = {owners.get(one, ""): one for one in found.untold if owners.get(one) not in proven}
    partitions = list(asked.values())
    keys = {partition: guard_key(PROBE_KEY, partition, link.partition_count) for partition in partitions}
    value = encode_json({})
    puts = [(one, messages.put_transient_request(name, key, value, PROBE_TTL_MS)) for one, key in keys.items()]
    try:
        await link.call_all(puts)
        answered = await ranges(link, name, partitions)
    finally:
        with contextlib.suppress(GridError):  # the probes' time to live ends them as well
            await link.call_all((one, messages.evict_request(name, key)) for one, key in keys.items())
    told = {partition for partition, (_, newest) in answered.items() if newest >= 0}
    liars = {owner for owner, partition in asked.items() if partition not in told}
    return tuple(partition for partition in found.untold if owners.get(partition) in liars)


def numbers(partitions: Sequence[int]) -> str:
    """Partitions as a text of bounded length."""
    some = ", ".join(map(str, partitions[:NUMBERS_SHOWN]))
    more = len(partitions) - NUMBERS_SHOWN
    return f"{some} and {more} more" if more > 0 else some


async def ranges(link: Link, name: str, partitions: Sequence[int]) -> dict[int, tuple[int, int]]:
    """The numbers of the oldest and the newest change of each partition whose owner says that it keeps a journal."""
    answers = await link.answers((partition, journal.range_request(name)) for partition in partitions)
    found = dict[int, tuple[int, int]]()
    for partition, answer in zip(partitions, answers, strict=True):
        if keeps_none(answer):
            continue
        if isinstance(answer, GridError):
            raise answer
        found[partition] = journal.decode_range(answer)
    return found


def keeps_none(answer: Answer) -> bool:
    """Whether a partition's owner says that it is configured to keep no journal."""
    return isinstance(answer, RemoteError) and answer.class_name == "UnsupportedOperationError"


async def _filled(link: Link, name: str, partitions: Sequence[int]) -> list[int]:
    """Those partitions in which a record stands."""
    first = messages.SCAN_START
    answers = await link.call_all((one, messages.fetch_entries_request(name, first, 1)) for one in partitions)
    pages = [messages.decode_scan_page(answer) for answer in answers]
    return [partition for partition, page in zip(partitions, pages, strict=True) if len(page.keys)]

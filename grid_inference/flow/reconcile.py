"""Reconcile: bring one partition from any state to the right one by a scan, then hand over to its journal.

First the results of the partition are read, then the newest sequence N is noted with its witness, then its records are
scanned. A record that has just its result already is left alone; all others go into the partition's one ordered path,
so that nothing else of the partition is under way with them. Reading goes on behind N: whatever changed during the scan
is read again from the journal, and what stands in the end is the newest value's.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grid_inference.flow.events import Events
from grid_inference.flow.feeds import SCANS_AT_ONCE, Feed, Feeds
from grid_inference.flow.positions import Position
from grid_inference.flow.read import newest
from grid_inference.flow.results import ResultMaps
from grid_inference.flow.room import Room
from grid_inference.flow.split import places
from grid_inference.flow.standing import Results, Standing, whose
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap, rows_of
from grid_inference.model.store.registry import Deployed
from grid_inference.wire.blobs import Blobs

__all__ = ["NOTHING", "Counting", "NoteDeadLetters", "Reconciler", "Unlike"]

NoteDeadLetters = Callable[[int, Blobs], None]
"""Is told which keys of a partition have a dead letter: all of them, or some more."""


@dataclass(frozen=True, slots=True)
class Counting:
    """By which versions results count."""

    versions: Collection[int]
    canary: tuple[int, float] | None = None
    """A version of these that counts for its share of the keys only, and that share."""

    def standing(self, results: Results, records: Events, *, only_new: bool = False) -> NDArray[np.uint8]:
        """How each record stands."""
        found = results.standing(records, self.versions, only_new=only_new)
        if self.canary is not None:
            version, share = self.canary
            beyond = places(records.identities) >= share
            others = [one for one in self.versions if one != version]
            outdated = results.standing(records, others, only_new=only_new) == Standing.OUTDATED
            found[beyond & outdated & (found == Standing.RIGHT)] = Standing.OUTDATED
        return found


NOTHING = Counting(())
"""No result counts: all is scored anew."""
PAGES_UNDER_WAY = 3 * SCANS_AT_ONCE
"""Of each scan one page is read, one waits and one is scored."""
READ_AT_ONCE = 2
"""Of so many partitions the results are read at a time: while one's are sorted, the next ones come."""


@dataclass(frozen=True, slots=True, eq=False)
class Unlike:
    """What a second look at some keys has found, a row a key."""

    wrong: NDArray[np.bool_]
    """Whether its results are not what they should be."""
    digests: NDArray[np.int64]
    """Of the record as it is now; 0 where there is none."""
    waiting: NDArray[np.bool_]
    """Whether somebody has asked to have the record scored anew, which has not come about."""


class Reconciler:
    """Scans partitions of one deployment."""

    def __init__(self, link: Link, deployed: Deployed, *, read_budget_bytes: int) -> None:
        config = deployed.config
        self._link = link
        self._features = GridMap(link, config.features)
        self.only_new = config.start == "new"
        self._results = ResultMaps(link, config, whose(deployed))
        self._page_bytes = read_budget_bytes / PAGES_UNDER_WAY
        self._reading, self._room = asyncio.Semaphore(READ_AT_ONCE), Room(read_budget_bytes)
        self.counting = Counting(deployed.standing)
        """By which versions results count in comparisons, and in scans that say nothing else."""
        self._sweeps_predictions = config.on_remove == "remove"
        self._has_journal = config.trigger == "journal"
        self.repairs: Counter[str] = Counter()
        """Records that were scored because of a scan, by its cause."""
        self.compared = 0
        """Records that were held against their results."""

    async def scan(
        self, reader: Feeds, feed: Feed, cause: str, note: NoteDeadLetters, counting: Counting
    ) -> Position | None:
        """Score what differs in the feed's partition, through the reader; return where to read on, None if nowhere."""
        await reader.settled(feed)
        async with self.results(feed.partition) as results:
            position = await self.newest(feed.partition) if self._has_journal else None  # who waits for room gets older
            note(feed.partition, results.dead.keys)
            async for differing in self.differing(feed.partition, results, counting, owed=feed.owed):
                self.repairs[cause] += len(differing)
                deadly = results.deadly(differing)
                if not deadly.all():
                    await reader.offer(feed, differing.take(~deadly))
                if deadly.any():
                    await reader.try_out(feed, differing.take(deadly))
            await self._sweep(reader, feed, results)
        await reader.settled(feed)
        feed.owed = feed.owed[:0]
        return position

    @asynccontextmanager
    async def results(self, partition: int) -> AsyncGenerator[Results]:
        """What stands in a partition's predictions and dead letters; waits until there is room for it."""
        async with self._reading:
            results = await self._results.of_partition(partition)
            size = results.nbytes
            await self._room.take(size)
        try:
            yield results
        finally:
            self._room.give(size)

    async def differing(
        self,
        partition: int,
        results: Results,
        counting: Counting,
        *,
        owed: NDArray[np.int64] | None = None,
        only_new: bool = False,
    ) -> AsyncIterator[Events]:
        """Records of a partition that have not just their result, and those of the keys that are `owed` one.

        Marks the results of all as seen. With `only_new` records that need not have a result are left out.
        """
        fine = (Standing.RIGHT, Standing.OLDER)
        async for page in self._features.scan(partition, page_bytes=self._page_bytes):
            records = Events.of(page.keys, page.values)
            self.compared += len(records)
            wanted = ~np.isin(counting.standing(results, records, only_new=only_new), fine)
            if owed is not None and owed.size:
                wanted |= np.isin(records.identities, owed)
            if bool(wanted.any()):
                yield records.take(wanted)

    async def dead_keys(self, partition: int) -> Blobs:
        """Keys of a partition that have a dead letter."""
        return await self._results.dead_keys(partition)

    async def newest(self, partition: int) -> Position | None:
        """The end of a partition's journal now, with the witness of its newest item; None without a journal."""
        return (await newest(self._link, self._features.name, [partition])).get(partition)

    async def unlike(self, partition: int, keys: Blobs, note: NoteDeadLetters | None = None) -> Unlike:
        """Look at some keys again.

        Results are read before the records: a result that comes between can't be taken for one that is missing. `note`
        is told of the dead letters that were met.
        """
        results = await self._results.of_keys(keys)
        if note:
            note(partition, results.dead.keys)
        found, values = await self._features.get_batch(keys)
        records, rows = Events.of(found, values), rows_of(keys, found)
        there = rows >= 0
        digests = np.zeros(len(keys), np.int64)
        wrong, waiting = np.zeros(len(keys), np.bool_), np.zeros(len(keys), np.bool_)
        if len(records):
            standing = self.counting.standing(results, records, only_new=self.only_new)
            wrong[there] = ~np.isin(standing, (Standing.RIGHT, Standing.OLDER))[rows[there]]
            digests[there], waiting[there] = records.digests[rows[there]], results.waiting(records)[rows[there]]
        wrong[~there] = rows_of(keys.take(~there), self.orphans(results)) >= 0
        return Unlike(wrong, digests, waiting)

    async def _sweep(self, reader: Feeds, feed: Feed, results: Results) -> None:
        """Results without a record go, if the record is still gone when it is read again."""
        suspects = self.orphans(results)
        if not len(suspects):
            return
        there, _ = await self._features.get_batch(suspects)
        gone = suspects.take(rows_of(suspects, there) < 0)
        if len(gone):
            self.repairs["orphan"] += len(gone)
            await reader.offer(feed, Events.removals(gone))

    def orphans(self, results: Results) -> Blobs:
        """Keys of results whose record a finished scan has not met; predictions only where removals remove them."""
        return results.orphans(predictions=self._sweeps_predictions)

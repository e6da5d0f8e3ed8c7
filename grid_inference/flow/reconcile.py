"""Reconcile: bring one partition from any state to the right one by a scan, then hand over to its journal.

First the newest sequence N is noted with its witness, then the predictions and dead letters of the partition are
scanned for their digests, then the records. A record whose digest and version stand already is left alone; all others
go into the partition's one ordered path, so that nothing else of the partition is under way with them. Reading goes on
behind N: whatever changed during the scan is read again from the journal, and what stands in the end is the newest
value's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from grid_inference.errors import DecodeError
from grid_inference.flow.events import Events
from grid_inference.flow.feeds import Feed, Feeds
from grid_inference.flow.positions import Position
from grid_inference.flow.read import newest
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap, key_identities, rows_of
from grid_inference.logs import logger
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import decode_columns, schema_ids

__all__ = ["Known", "Reconciler", "Results", "Stored", "stored_states"]

_log = logger(__name__)

WAITING = 0
"""The version of a dead letter whose record somebody has asked to score anew; real versions count from 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """What stored predictions or dead letters stand for."""

    digests: NDArray[np.int64]
    versions: NDArray[np.int32]


async def stored_states(link: Link, values: Blobs) -> Stored:
    """Digest and version of stored Prediction or DeadLetter records, whatever schema of theirs they have.

    A value that is neither, which somebody else has put there, stands for nothing: 0 and 0.
    """
    digests, versions = np.zeros(len(values), np.int64), np.zeros(len(values), np.int32)
    _, ids = schema_ids(values)
    for schema_id in np.unique(ids[ids != 0]).tolist():
        rows = ids == schema_id
        try:
            schema = await link.schema(schema_id)
            columns = decode_columns(values.take(rows), schema, ["input_digest", "version"])
        except DecodeError as error:
            _log.warning("results unreadable, taken for none", records=int(rows.sum()), error=error)
            continue
        digests[rows] = columns["input_digest"].values
        versions[rows] = columns["version"].values
    return Stored(digests, versions)


@dataclass(slots=True)
class Known:
    """What stands in a partition already: identities of keys, sorted, with the digest and version they stand for."""

    identities: NDArray[np.int64]
    digests: NDArray[np.int64]
    versions: NDArray[np.int32]
    keys: Blobs
    seen: NDArray[np.bool_] = field(init=False)
    """Which of them the scan of the records has met: the others are orphans."""

    def __post_init__(self) -> None:
        self.seen = np.zeros(self.identities.size, np.bool_)

    @classmethod
    def of(cls, parts: list[tuple[Blobs, Stored]]) -> Known:
        """Sort what a scan of predictions brought by key."""
        if not parts:
            return cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int32), Blobs.empty())
        keys = Blobs.concat(part[0] for part in parts)
        identities = key_identities(keys)
        order = np.argsort(identities, kind="stable")
        digests = np.concatenate([part[1].digests for part in parts])[order]
        versions = np.concatenate([part[1].versions for part in parts])[order]
        return cls(identities[order], digests, versions, keys.take(order))

    def stands(self, records: Events, versions: Collection[int]) -> NDArray[np.bool_]:
        """Which records have a result of just their digest by one of these versions; marks their keys as seen."""
        if not self.identities.size:
            return np.zeros(len(records), np.bool_)
        at = np.minimum(np.searchsorted(self.identities, records.identities), self.identities.size - 1)
        same_key = self.identities[at] == records.identities
        self.seen[at[same_key]] = True
        return same_key & (self.digests[at] == records.digests) & np.isin(self.versions[at], list(versions))


@dataclass(frozen=True, slots=True)
class Results:
    """What stands in a partition's predictions and dead letters."""

    predictions: Known
    dead: Known

    def stand(self, records: Events, versions: Collection[int]) -> NDArray[np.bool_]:
        """Which records have one or the other."""
        return self.predictions.stands(records, versions) | self.dead.stands(records, versions)


class Reconciler:
    """Scans partitions of one deployment."""

    def __init__(
        self,
        link: Link,
        *,
        features: str,
        predictions: str,
        dead_letters: str,
        standing: Collection[int],
        remove_orphans: bool,
        has_journal: bool,
    ) -> None:
        self._link = link
        self._features = GridMap(link, features)
        self._predictions = GridMap(link, predictions)
        self._dead_letters = GridMap(link, dead_letters)
        self.standing = standing
        """Versions whose results count."""
        self._remove_orphans = remove_orphans
        self._has_journal = has_journal
        self.repairs: Counter[str] = Counter()
        """Records that were scored because of a scan, by its cause."""
        self.compared = 0
        """Records that were held against their results."""

    async def scan(
        self,
        reader: Feeds,
        feed: Feed,
        cause: str,
        note_dead_letters: Callable[[int, Blobs], None],
        standing: Collection[int] | None = None,
    ) -> Position | None:
        """Score what differs in the feed's partition, through the reader; return where to read its journal on.

        `standing` are the versions whose results count in this scan, if not those of all.
        """
        await reader.settled(feed)
        position = await self.newest(feed.partition) if self._has_journal else None
        results = await self.results(feed.partition)
        note_dead_letters(feed.partition, results.dead.keys)
        async for differing in self.differing(feed.partition, results, standing):
            self.repairs[cause] += len(differing)
            await reader.offer(feed, differing)
        await self._sweep(reader, feed, results)
        await reader.settled(feed)
        return position

    async def results(self, partition: int) -> Results:
        """What stands in a partition's predictions and dead letters."""
        dead = await self._known(self._dead_letters, partition)
        return Results(await self._known(self._predictions, partition), dead)

    async def differing(
        self, partition: int, results: Results, standing: Collection[int] | None = None
    ) -> AsyncIterator[Events]:
        """Records of a partition without a result of just their digest, by a version that counts; marks the others."""
        async for page in self._features.scan(partition):
            records = Events.of(page.keys, page.values)
            self.compared += len(records)
            stands = results.stand(records, self.standing if standing is None else standing)
            if not bool(stands.all()):
                yield records.take(~stands)

    async def dead_keys(self, partition: int) -> Blobs:
        """Keys of a partition that have a dead letter."""
        return Blobs.concat([page.keys async for page in self._dead_letters.scan(partition)])

    async def newest(self, partition: int) -> Position:
        """The end of a partition's journal now, with the witness of its newest item."""
        [position] = await newest(self._link, self._features.name, [partition])
        return position

    async def _known(self, results: GridMap, partition: int) -> Known:
        parts = [
            (page.keys.compact(), await stored_states(self._link, page.values))
            async for page in results.scan(partition)
            if len(page.keys)
        ]
        return Known.of(parts)

    async def unlike(self, keys: Blobs) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Of some keys which results are not those of the record as it is now, and the records' digests (0: none).

        Results are read before the records: a result that comes between can't be taken for one that is missing. A dead
        letter that waits to be replayed is left to its replay.
        """
        results = Results(await self._known_of(self._predictions, keys), await self._known_of(self._dead_letters, keys))
        found, values = await self._features.get_batch(keys)
        records, rows = Events.of(found, values), rows_of(keys, found)
        there = rows >= 0
        digests, stands = np.zeros(len(keys), np.int64), np.zeros(len(keys), np.bool_)
        digests[there] = records.digests[rows[there]]
        replayed = results.dead.stands(records, (WAITING,))
        stands[there] = (results.stand(records, self.standing) | replayed)[rows[there]]
        orphaned = rows_of(keys, self.orphans(results)) >= 0
        return np.where(there, ~stands, orphaned), digests

    async def _known_of(self, results: GridMap, keys: Blobs) -> Known:
        found, values = await results.get_batch(keys)
        return Known.of([(found, await stored_states(self._link, values))] if len(found) else [])

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
        """Keys of results whose record a finished scan has not met; none where removals don't remove."""
        if not self._remove_orphans:
            return Blobs.empty()
        return Blobs.concat([known.keys.take(~known.seen) for known in (results.predictions, results.dead)])

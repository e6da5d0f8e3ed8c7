"""Proof: partitions are compared with their results while they are being scored, one after the other, without a gap.

A comparison looks at everything that stands, notes the newest sequence N behind it, waits until N is scored, and looks
again at what differed. Only what differs still, for the same value of the record, counts; it goes into the partition's
one ordered path, where it is read again. Doubts (a takeover, a late write, a lost member) are compared first and are
declared as gaps; what a comparison without a doubt finds is an unexplained repair: a bug.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from operator import itemgetter

import numpy as np
from numpy.typing import NDArray

from grid_inference.errors import DecodeError, GridError
from grid_inference.flow.feeds import ERROR_PAUSE_S, Feed, Feeds
from grid_inference.flow.positions import Positions
from grid_inference.flow.reconcile import NoteDeadLetters, Reconciler
from grid_inference.flow.ticks import stretched, to_tick
from grid_inference.grid.leases import LATE_WRITE_S
from grid_inference.grid.topology import now_s
from grid_inference.logs import logger
from grid_inference.wire.blobs import Blobs

__all__ = ["LATE_WRITE", "Proof"]

_log = logger(__name__)

RECORDS_PER_S = 25_000
"""So many records are compared without a doubt on an average, by all deployments of a worker together: about a
twentieth of a core, here and in the members."""
PARTITION_RECORDS = 10_000
"""What a partition costs besides its records, as records: of small ones five are compared in two seconds, for a
hundredth of a core."""
PAUSE_S, PAUSE_S_MAX = 0.25, 5.0
"""How often it is looked whether anything is due: while something waits for its partition, and while nothing does."""
THROUGH_WAIT_S, THROUGH_POLL_S = 30.0, 0.05
"""How long a comparison waits until what it has seen is scored; then it is put off."""
LOOKS = 3
"""A difference that was seen so often, each time behind all that was written before, is none that passes by itself."""
DIFFERING_MAX = 200_000
"""With more differences than this a partition is behind, and a comparison would tell nothing."""
UNEXPLAINED, LATE_WRITE = "unexplained", "late write"
ASKED = "replay"
"""Somebody has asked to have these scored anew, and did not see to it."""
GATHERED_S = 2.0
"""A connection that breaks again and again has a partition compared once in this time, each time behind the last."""
CATCH_UP_S = 2.0
"""So long a comparison waits for a partition that lags, before it looks at anything."""
RETRY_PAUSE_S_MAX = 10.0
"""A partition that could not be compared is tried again after a pause that grows up to this."""


@dataclass(frozen=True, slots=True, eq=False)
class _Differing:
    """Keys, and digests of the records that stood under them; 0 where a result stood without a record."""

    keys: Blobs
    digests: NDArray[np.int64]
    waiting: NDArray[np.bool_]
    """Whether somebody has asked to have the record scored anew, and it has not come about."""

    @classmethod
    def of(cls, keys: list[Blobs], digests: list[NDArray[np.int64]]) -> _Differing:
        """Join some."""
        joined = np.concatenate(digests)
        return cls(Blobs.concat(keys), joined, np.zeros(joined.size, np.bool_))

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(frozen=True, slots=True)
class _Tried:
    """A comparison that could not be done."""

    at_s: float
    pause_s: float
    rests_until_s: float


NEVER = _Tried(0.0, PAUSE_S, 0.0)


class Proof:
    """Of one deployment's partitions in one worker."""

    def __init__(
        self,
        reader: Feeds,
        reconciler: Reconciler,
        positions: Positions,
        note: NoteDeadLetters,
        *,
        interval_s: float,
        beside: Callable[[], int] = lambda: 1,
        name: str = "",
    ) -> None:
        """`note` is told of dead letters that are met under keys which differ; `name` is the deployment's.

        `beside`: how many deployments share the worker's time, this one included.
        """
        self._beside = beside
        self._name = name
        self._asked = asyncio.Event()
        """Set by a new doubt."""
        self._choosing = asyncio.Lock()
        """Held by the one that waits until something is due: of several none wakes in vain."""
        self._reader = reader
        self._reconciler = reconciler
        self._positions = positions
        self._note = note
        self._interval_s = interval_s
        self._doubts: dict[int, list[tuple[float, str]]] = {}
        """By partition: when a comparison is due, and why."""
        self._explained_until_s: dict[int, float] = {}
        """Until then a difference may be a late write of a former owner."""
        self._tried: dict[int, _Tried] = {}
        """Comparisons that could not be done, of partitions that are due."""
        self._rest_until_s = 0.0
        """Until then nothing is compared without a doubt."""
        self._under_way: dict[int, str] = {}
        """Partitions that are compared now, and why."""
        self._proving = False
        """A comparison without a doubt is under way."""
        self._looked_s: dict[int, float] = {}
        """When the last comparison of each partition began, or when it was met first."""
        self.repairs: Counter[str] = Counter()
        """Records that were sent to be scored again, by the comparison's cause."""

    @property
    def unexplained(self) -> int:
        """Differences that no declared gap explains."""
        return self.repairs[UNEXPLAINED]

    def doubt(self, partition: int, cause: str, after_s: float = 0.0) -> None:
        """Have a partition compared, now or not before `after_s`: what is due about the same time is done at once."""
        due = self._doubts.setdefault(partition, [])
        at_s = now_s() + after_s
        if after_s > GATHERED_S:
            at_s = math.ceil(at_s / GATHERED_S) * GATHERED_S
        self._explained_until_s[partition] = max(self._explained_until_s.get(partition, 0.0), at_s)
        if (at_s, cause) not in due:
            due.append((at_s, cause))
            self._asked.set()

    def doubts(self, partition: int) -> bool:
        """Whether a comparison of the partition is due or under way that may bring what nobody has scored yet.

        One for late writes brings only what their writer has scored.
        """
        due = any(at_s <= now_s() and cause != LATE_WRITE for at_s, cause in self._doubts.get(partition, ()))
        return due or self._under_way.get(partition, LATE_WRITE) != LATE_WRITE

    def forget(self, partition: int) -> None:
        """The partition is somebody else's now."""
        for known in (self._doubts, self._explained_until_s, self._looked_s, self._tried):
            known.pop(partition, None)

    def pending(self, partition: int) -> bool:
        """Whether a comparison is due or to come: whoever has the partition next must make it."""
        return bool(self._doubts.get(partition)) or partition in self._under_way

    async def run(self) -> None:
        """Compare what is due, for ever. Several of these may run at once."""
        while True:
            async with self._choosing:
                while (chosen := self._next()) is None:
                    self._asked.clear()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._asked.wait(), self._pause_s())
            try:
                await self._take(*chosen)
            except (GridError, DecodeError) as error:
                _log.warning("comparison put off", partition=chosen[0].partition, error=error)
                await asyncio.sleep(ERROR_PAUSE_S)

    def _next(self) -> tuple[Feed, str] | None:
        """A partition that is due, and why; None while none is."""
        now = now_s()
        free = [feed for feed in self._reader.feeds.values() if self._is_free(feed, now)]
        due = [
            (self._tried.get(feed.partition, NEVER).at_s, at_s, feed, cause)
            for feed in free
            for at_s, cause in self._doubts.get(feed.partition, ())
            if at_s <= now
        ]
        if due:  # whose comparison could not be done waits behind those that were not tried yet
            _, _, feed, cause = min(due, key=itemgetter(0, 1))
            return feed, cause
        if not self._interval_s or self._proving or now < self._rest_until_s:
            return None
        oldest = min(free, key=lambda feed: self._looked_s.setdefault(feed.partition, now), default=None)
        if oldest is None or self._looked_s[oldest.partition] + self._interval_s > now:
            return None
        return oldest, UNEXPLAINED

    def _pause_s(self) -> float:
        """For how long nothing becomes due, unless somebody doubts."""
        if self._doubts or self._proving:
            return PAUSE_S
        pause_s_max = stretched(PAUSE_S_MAX, self._beside())
        if not (self._interval_s and self._reader.feeds):
            return to_tick(pause_s_max, self._name)
        oldest_s = min(self._looked_s.get(partition, now_s()) for partition in self._reader.feeds)
        due_s = max(self._rest_until_s, oldest_s + self._interval_s) - now_s()
        return to_tick(pause_s_max, self._name) if due_s > pause_s_max else max(PAUSE_S, due_s)

    def _is_free(self, feed: Feed, now: float) -> bool:
        """Whether it can be compared now: not while it is scanned, nor where there is no journal to compare behind."""
        rests = self._tried.get(feed.partition, NEVER).rests_until_s > now
        return not (feed.position is None or rests or feed.partition in self._under_way)

    async def _take(self, feed: Feed, cause: str) -> None:
        begun_s, begun_us = now_s(), time.time_ns() // 1000
        self._under_way[feed.partition] = cause
        self._proving |= cause == UNEXPLAINED
        try:
            done = await self._compared(feed, cause)
        finally:
            self._under_way.pop(feed.partition, None)
            if cause == UNEXPLAINED:
                self._proving = False
        if done:
            self._looked_s[feed.partition] = begun_s
            self._positions.proven(feed.partition, begun_us)
            due = self._doubts.pop(feed.partition, [])
            self._tried.pop(feed.partition, None)
            if later := [(at_s, why) for at_s, why in due if at_s > begun_s]:
                self._doubts[feed.partition] = later
        elif feed.partition in self._reader.feeds:
            before = self._tried.get(feed.partition, NEVER)
            pause_s = min(2 * before.pause_s, RETRY_PAUSE_S_MAX)
            self._tried[feed.partition] = _Tried(begun_s, pause_s, now_s() + pause_s)

    async def _compared(self, feed: Feed, cause: str) -> bool:
        """Compare one partition and repair it; False if it could not be done now."""
        differing = await self._differing(feed)
        if differing is None or (len(differing) and not await self._reader.repair(feed, differing.keys)):
            return False
        asked = int(differing.waiting.sum())
        self._declare(feed, ASKED, asked)
        self._declare(feed, cause, len(differing) - asked)
        return True

    async def _differing(self, feed: Feed) -> _Differing | None:
        """What differs each time it is looked at, behind all that was written before; None if it can't be told now."""
        if not await self._scored_through(feed, CATCH_UP_S):
            return None  # what lags differs in any case
        differing = await self._look(feed.partition)
        for _ in range(LOOKS - 1):
            if not differing:
                break
            if not await self._scored_through(feed, THROUGH_WAIT_S):
                return None
            differing = await self._look_again(feed.partition, differing)
        return None if feed.closed or feed.scan else differing

    def _declare(self, feed: Feed, cause: str, count: int) -> None:
        if not count:
            return
        if cause == UNEXPLAINED and self._explained_until_s.get(feed.partition, 0.0) > now_s() - LATE_WRITE_S:
            cause = LATE_WRITE
        self.repairs[cause] += count
        level = logging.ERROR if cause == UNEXPLAINED else logging.INFO
        _log.log(level, "results are not those of their records", partition=feed.partition, records=count, cause=cause)

    async def _look(self, partition: int) -> _Differing | None:
        """Everything in a partition that is not as it should be, at a first look; None if that is too much to tell."""
        reconciler, compared = self._reconciler, self._reconciler.compared
        keys, digests, count = list[Blobs](), list[NDArray[np.int64]](), 0
        async with reconciler.results(partition) as results:
            pages = reconciler.differing(partition, results, reconciler.counting, only_new=reconciler.only_new)
            async for each in pages:
                keys.append(each.keys.compact())
                digests.append(each.digests)
                count += len(each)
                if count > DIFFERING_MAX:
                    break
            orphans = reconciler.orphans(results).compact()
        looked_at = PARTITION_RECORDS + reconciler.compared - compared
        self._rest_until_s = now_s() + self._beside() * looked_at / RECORDS_PER_S
        if count > DIFFERING_MAX:
            return None
        return _Differing.of([*keys, orphans], [*digests, np.zeros(len(orphans), np.int64)])

    async def _look_again(self, partition: int, differing: _Differing) -> _Differing:
        """Those that differ still, for the same value of their record."""
        found = await self._reconciler.unlike(partition, differing.keys, self._note)
        rows = np.flatnonzero(found.wrong & (found.digests == differing.digests))
        return _Differing(differing.keys.take(rows), differing.digests[rows], found.waiting[rows])

    async def _scored_through(self, feed: Feed, wait_s: float) -> bool:
        """Wait until all that is written by now is scored; False if that takes too long or can't be told."""
        newest = await self._reconciler.newest(feed.partition)
        deadline = now_s() + wait_s
        while newest and not (feed.closed or feed.scan) and now_s() < deadline:
            reached = self._positions.reached(feed.partition)
            if reached is not None and reached >= newest.sequence:
                return True
            await asyncio.sleep(THROUGH_POLL_S)
        return False

"""Feeds: one per owned partition brings what is to be scored, in order, and a scan what a gap has left out.

Out: `Arrivals`, all that has come since the last one was taken, within the limits of rows and bytes. Invariants: of one
partition only one batch is under way; of one key a batch holds only the newest event; partitions whose holders died
make batches of their own, one at a time. How events come is not known here: `read.py` reads the event journal,
`listen.py` listens to entries.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from grid_inference.config import WorkerConfig
from grid_inference.flow.events import Events
from grid_inference.flow.positions import Position
from grid_inference.grid.link import Link
from grid_inference.grid.maps import rows_of
from grid_inference.logs import logger
from grid_inference.metrics import Observe, unobserved
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.protocol import journal, messages

__all__ = ["ERROR_PAUSE_S", "SCANS_AT_ONCE", "Arrivals", "Brought", "Feed", "Feeds", "ScanFeed"]

_log = logger(__name__)

ERROR_PAUSE_S = 0.5
"""Pause of a partition after an error before it is read again."""

SCANS_AT_ONCE = 16
"""So many partitions are scanned at a time: each holds some pages of records."""

ScanFeed = Callable[["Feed", str], Awaitable[Position | None]]
"""Scores what differs in a feed's partition, through `Feeds.offer`, and returns where to go on reading."""
Brought = tuple[Events, NDArray[np.int32], list["Feed"], list[Position | None]]
"""Rows, the partition of each, the feeds that brought them and where each of these stands then."""


@dataclass(frozen=True, slots=True, eq=False)
class Arrivals:
    """What has arrived: n rows, of each key only the newest, and the feeds that they came from."""

    rows: Events
    partitions: NDArray[np.int32]
    feeds: list[Feed]
    positions: list[Position | None]
    """Where each feed stands once these rows are written; None for a scan, which moves no position."""
    superseded: int
    """Events that were left out because a newer one of their key is here."""
    epochs: Mapping[int, int]
    """Partition → the epoch of ownership under which its rows came; what is written of them is written under it."""
    suspect: bool = False
    """One of these rows may have killed workers."""

    def __len__(self) -> int:
        return len(self.rows)

    def parted(self, partitions: Collection[int]) -> tuple[Arrivals, Arrivals]:
        """All but what came from some partitions, and that."""
        return self._of(lambda partition: partition not in partitions), self._of(partitions.__contains__)

    def _of(self, wanted: Callable[[int], bool]) -> Arrivals:
        kept = [index for index, feed in enumerate(self.feeds) if wanted(feed.partition)]
        feeds = [self.feeds[index] for index in kept]
        rows = np.isin(self.partitions, [feed.partition for feed in feeds])
        positions = [self.positions[index] for index in kept]
        return replace(
            self, rows=self.rows.take(rows), partitions=self.partitions[rows], feeds=feeds, positions=positions
        )


class Feed:
    """What is known of one owned partition."""

    __slots__ = (
        "asked",
        "busy",
        "calm_at",
        "closed",
        "doubted",
        "ended",
        "epoch",
        "held",
        "idle",
        "offered_s",
        "owed",
        "pages",
        "partition",
        "position",
        "room",
        "scan",
        "start",
        "suspect",
    )

    def __init__(self, partition: int, epoch: int, *, suspect: bool = False) -> None:
        self.partition = partition
        self.epoch = epoch
        self.suspect = suspect
        """Holders of this partition died, maybe of what it brings."""
        self.ended = 0
        """Batches with rows of this partition that have ended."""
        self.calm_at: int | None = None
        """With so many ended, what stood here when nothing was left to compare is scored; None before that."""
        self.position: Position | None = None
        """Of the last item read; where the next read starts. None while scanning, and where there is no journal."""
        self.pages: deque[journal.JournalPage | Events] = deque()
        """What has arrived and waits to be taken: one page of the journal or of a scan, and a repair before it."""
        self.busy = False
        """A batch with rows of this partition is being scored or written."""
        self.held = False
        """No batch may take rows of this partition now: a repair is being fetched."""
        self.idle = asyncio.Event()
        """Set while no batch with rows of this partition is under way."""
        self.idle.set()
        self.offered_s = 0.0
        """When what waits was offered to be taken, by the clock of `time.perf_counter`."""
        self.owed = np.empty(0, np.int64)
        """Identities of keys whose writing has failed: they are scored again whatever stands, so that what is to be
        published of them is."""
        self.asked = 0
        """Number of the newest read; answers to older ones are dropped."""
        self.start = 0
        self.doubted = True
        """The witness is to be looked at before anything new is waited for."""
        self.closed = False
        self.scan: asyncio.Task[None] | None = None
        self.room = asyncio.Event()
        """Set while nothing waits and nothing is under way."""
        self.room.set()

    @property
    def idles(self) -> bool:
        """Whether all that has come is written, and nothing is being scanned."""
        return not (self.busy or self.held or self.pages or self.scan or self.closed)

    @property
    def unread(self) -> bool:
        """Whether it brings only what scans find."""
        return self.position is None and not self.scan

    def begin_batch(self) -> None:
        """Rows of this partition are taken."""
        self.busy = True
        self.idle.clear()
        self.room.clear()

    def end_batch(self) -> None:
        """They are written, or given up."""
        self.busy = False
        self.ended += 1
        self.idle.set()


class Feeds(ABC):
    """The feeds of one deployment's owned partitions. `async for` gives batches; several loops may share them."""

    def __init__(
        self,
        link: Link,
        features: str,
        config: WorkerConfig,
        scan: ScanFeed,
        observe: Observe = unobserved,
        *,
        reconcile_s: float,
    ) -> None:
        self._link = link
        self._reconcile_s = reconcile_s
        self._due_s = time.monotonic() + reconcile_s
        """When partitions without a position are scanned again."""
        self._observe = observe
        self._features = features
        self._config = config
        self._scan = scan
        self.feeds: dict[int, Feed] = {}
        self._ready: deque[Feed] = deque()
        self._suspects: deque[Feed] = deque()
        """Those of the ready ones that wait for a batch of their own."""
        self._trying = False
        """A batch of suspects is under way."""
        self._arrived = asyncio.Event()
        self._stopped = False
        self.gaps: Counter[str] = Counter()
        """Declared gaps by cause."""
        self.events = 0
        """Events that have come, those of scans left out."""
        self.superseded = 0
        """Events that were not scored because a newer one of their key had come meanwhile."""
        self.rows_max = config.batch_rows_max
        """At most so many rows make a batch; one page more of the journal may come with them."""
        self._scans = asyncio.Semaphore(SCANS_AT_ONCE)

    # ---- how events come

    @abstractmethod
    def _go_on(self, feed: Feed) -> None:
        """Bring what comes behind the feed's position, or from now on."""

    def _has_room(self, feed: Feed) -> None:  # noqa: B027  # a parked read needs no word
        """Nothing of this feed waits or is under way any more."""

    def _read(self, pages: list[tuple[Feed, journal.JournalPage]]) -> Brought:
        """Rows of pages of the journal."""
        raise NotImplementedError

    async def open(self) -> None:  # noqa: B027  # the journal is there
        """Register for the events, before the first partition is owned."""

    def doubt(self, feed: Feed) -> None:  # noqa: B027  # a fetched value is what stands, whoever its owner is
        """Another replica may stand for the partition now: hold what comes next against what came last."""

    async def watch(self) -> None:  # noqa: B027  # nothing to look for is an answer
        """Look for what no event tells, a few times a second."""

    async def close(self) -> None:  # noqa: B027  # nor anything to let go
        """Let go what was registered for the events."""

    # ---- ownership

    def own(self, partition: int, epoch: int, position: Position | None, *, suspect: bool = False) -> None:
        """Begin to feed a partition, from a stored position or, without one, by a scan."""
        feed = self.feeds[partition] = Feed(partition, epoch, suspect=suspect)
        feed.position = position
        if position is None:
            self._start_scan(feed, "cold start")
        else:
            self._go_on(feed)

    def let_go(self, partition: int) -> Feed | None:
        """Stop feeding a partition at once; returns its feed, which idles when the last batch of it is written."""
        feed = self.feeds.pop(partition, None)
        if feed:
            feed.closed = True
            if feed.scan:
                feed.scan.cancel()
            feed.pages.clear()
        return feed

    def reconcile(self, partition: int, cause: str) -> None:
        """Send one partition through a scan, as a gap would."""
        feed = self.feeds.get(partition)
        if feed and not feed.scan:
            self._gap(feed, cause)

    def stop(self) -> None:
        """End the iteration after what is under way."""
        self._stopped = True
        self._arrived.set()
        for feed in self.feeds.values():
            if feed.scan:
                feed.scan.cancel()
        # A parked read holds on to us until something comes; the model must not wait for that.
        self._scan = _no_scan

    @property
    def scanning(self) -> int:
        """Partitions that are being reconciled at the moment."""
        return sum(feed.scan is not None for feed in self.feeds.values())

    # ---- batches

    async def __aiter__(self) -> AsyncIterator[Arrivals]:
        """All that has arrived, again and again, until `stop`."""
        while not self._stopped:
            await self._arrived.wait()
            if self._config.batch_wait_ms > 0:
                await asyncio.sleep(self._config.batch_wait_ms / 1000)
            arrivals = self._take()
            if arrivals is not None:
                yield arrivals

    def resume(self, arrivals: Arrivals) -> None:
        """The rows are written, or given up: their feeds may bring more."""
        self._tried(arrivals)
        for feed in arrivals.feeds:
            feed.end_batch()
            if feed.pages:
                self._offer(feed)
            else:
                feed.room.set()
                self._has_room(feed)

    def retry(self, arrivals: Arrivals, cause: str) -> None:
        """The rows could not be written: bring them again after a pause, by a scan of their partitions."""
        self._tried(arrivals)
        for feed in arrivals.feeds:
            feed.owed = np.union1d(feed.owed, arrivals.rows.identities[arrivals.partitions == feed.partition])
            asyncio.get_running_loop().call_later(ERROR_PAUSE_S, self._give_up, feed, cause)

    def _give_up(self, feed: Feed, cause: str) -> None:
        """What was under way of a feed is not written: a scan finds it."""
        feed.end_batch()
        feed.room.set()
        if not feed.closed:
            self._gap(feed, cause)

    def _offer(self, feed: Feed) -> None:
        """Let what waits be taken, now or when what is under way or being fetched is done."""
        feed.offered_s = time.perf_counter()
        (self._suspects if feed.suspect else self._ready).append(feed)
        self._arrived.set()

    def _tried(self, arrivals: Arrivals) -> None:
        """The next suspects may be taken, if these were some."""
        if arrivals.suspect:
            self._trying = False
            self._arrived.set()

    def _take(self) -> Arrivals | None:
        """Whole pages of feeds that are not under way, up to the limits of rows and bytes."""
        suspect = bool(self._suspects) and not self._trying
        ready = self._suspects if suspect else self._ready
        taken, rows, size = list[tuple[Feed, journal.JournalPage | Events]](), 0, 0
        while ready and rows < self.rows_max and size < self._config.batch_bytes_max:
            feed = ready.popleft()
            if feed.closed or feed.busy or feed.held or not feed.pages:
                continue
            page = feed.pages.popleft()
            if isinstance(page, Events) and len(page) > self.rows_max - rows:
                page, rest = page.parted(self.rows_max - rows)
                feed.pages.appendleft(rest)
            taken.append((feed, page))
            feed.begin_batch()
            rows += page.count if isinstance(page, journal.JournalPage) else len(page)
            size += len(page.message.data) if isinstance(page, journal.JournalPage) else page.nbytes
        try:
            arrivals = self._arrivals(taken, suspect=suspect) if taken else None
        except Exception:  # whatever the bytes are, nobody may wait for ever for what was taken  # noqa: BLE001
            _log.exception("what has come can't be read, partitions are reconciled", map=self._features)
            arrivals = None
            for feed, _ in taken:
                self._give_up(feed, "unreadable")
        self._trying |= suspect and arrivals is not None
        if arrivals:
            self._observe("queue", time.perf_counter() - min(feed.offered_s for feed, _ in taken))
            self._observe("rows", len(arrivals))
        if not (self._ready or (self._suspects and not self._trying) or self._stopped):
            self._arrived.clear()
        return arrivals

    def _arrivals(self, taken: list[tuple[Feed, journal.JournalPage | Events]], *, suspect: bool) -> Arrivals | None:
        """Everything that these feeds brought, of each key only the newest."""
        pages = [(feed, page) for feed, page in taken if isinstance(page, journal.JournalPage)]
        whole = [(feed, page) for feed, page in taken if isinstance(page, Events)]
        brought = [self._read(pages)] if pages else []
        for feed, rows in whole:
            brought.append((rows, np.full(len(rows), feed.partition, np.int32), [feed], [None]))
        feeds = [feed for _, _, some, _ in brought for feed in some]
        if not feeds:
            return None
        rows = Events.concat([each[0] for each in brought])
        partitions = np.concatenate([each[1] for each in brought])
        newest = rows.newest_rows(partitions)
        superseded = len(rows) - newest.size
        self.superseded += superseded
        if superseded:
            rows, partitions = rows.take(newest), partitions[newest]
        positions = [one for each in brought for one in each[3]]
        epochs = {feed.partition: feed.epoch for feed in feeds}
        return Arrivals(rows, partitions, feeds, positions, superseded, epochs, suspect)

    # ---- gaps

    def _gap(self, feed: Feed, cause: str) -> None:
        if feed.closed:
            return
        self.gaps[cause] += 1
        _log.info("gap, partition is reconciled", map=self._features, partition=feed.partition, cause=cause)
        self._start_scan(feed, cause)

    def _start_scan(self, feed: Feed, cause: str) -> None:
        """Scan from the beginning; one that is under way may have brought what was not written, so it starts anew."""
        feed.asked += 1
        feed.position = None
        feed.pages.clear()
        if not feed.busy:
            feed.room.set()
        if feed.scan:
            feed.scan.cancel()
        feed.scan = asyncio.create_task(self._run_scan(feed, cause))

    def _scan_unread(self, cause: str) -> None:
        """Scan what is read from no position, when it is time. That is no gap: what it finds nothing has told."""
        if time.monotonic() < self._due_s:
            return
        self._due_s = time.monotonic() + self._reconcile_s
        for feed in self.feeds.values():
            if feed.unread:
                self._start_scan(feed, cause)

    async def _run_scan(self, feed: Feed, cause: str) -> None:
        while not (feed.closed or self._stopped):
            try:
                async with self._scans:
                    feed.position = await self._scan(feed, cause)
            except Exception:  # whatever it is, the partition must not stay unread for it  # noqa: BLE001
                _log.exception("reconcile failed, tried again", map=self._features, partition=feed.partition)
                await asyncio.sleep(ERROR_PAUSE_S)
            else:
                feed.scan, feed.doubted = None, True
                self._go_on(feed)
                return

    async def offer(self, feed: Feed, rows: Events) -> None:
        """Bring rows of a scan into the feed's ordered path; waits until the ones before are written."""
        await feed.room.wait()
        feed.room.clear()
        feed.pages.append(rows)
        self._offer(feed)

    async def try_out(self, feed: Feed, rows: Events) -> None:
        """The same with rows that have ended a worker before: they are scored where they can end none."""
        await feed.room.wait()
        before, feed.suspect = feed.suspect, True
        try:
            await self.offer(feed, rows)
            await feed.room.wait()
        finally:
            feed.suspect = before

    async def repair(self, feed: Feed, keys: Blobs) -> bool:
        """Score what stands under these keys now, in the partition's one ordered path; False if it can't be now.

        The values are fetched while nothing of the partition is under way, and go before everything that waits: an
        event that is newer than they are comes behind them for certain.
        """
        feed.held = True
        try:
            await feed.idle.wait()
            asked = feed.asked
            rows = await self._values_now(feed, keys)
            if feed.closed or feed.scan or asked != feed.asked:
                return False
            feed.room.clear()
            feed.pages.appendleft(rows)
            return True
        finally:
            feed.held = False
            if feed.pages:
                self._offer(feed)

    async def _values_now(self, feed: Feed, keys: Blobs) -> Events:
        """The records that stand under these keys of a partition; a key without one was removed."""
        request = messages.get_all_request(self._features, keys)
        found, values = messages.decode_entries(await self._link.call(request, feed.partition))
        rows = rows_of(keys, found)
        there = rows >= 0
        gone = Events.removals(keys.take(~there))
        return Events.concat([Events.of(keys.take(there), values.take(rows[there])), gone])

    async def settled(self, feed: Feed) -> None:
        """Wait until all that was offered is written."""
        await feed.room.wait()


async def _no_scan(feed: Feed, cause: str) -> Position | None:
    """Where nothing is fed any more."""
    del feed, cause

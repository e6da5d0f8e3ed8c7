"""Reading: one feed per owned partition brings what is to be scored, in order, from the event journal or a scan.

In: the journals of the feature map, long-polled. Out: `Arrivals`, all that has come since the last one was taken,
within the limits of rows and bytes. Invariants: of one partition only one batch is under way; of one key a batch holds
only the newest event; a position is (sequence, witness) and reading starts *at* the witness item, so that a new
incarnation of the journal shows. What the journal has lost is declared as a gap and made good by a scan
(`reconcile.py`).
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grid_inference.config import WorkerConfig
from grid_inference.errors import DecodeError, GridError, RemoteError
from grid_inference.flow.events import Events
from grid_inference.flow.positions import Position
from grid_inference.grid.link import Answer, Link
from grid_inference.wire import journal

__all__ = ["Arrivals", "Feed", "Reader"]

_log = logging.getLogger(__name__)

PARKED_TIMEOUT_S = float("inf")
"""A parked read waits for as long as nothing is put."""
ERROR_PAUSE_S = 0.5
"""Pause of a partition after an error before it is read again."""
LAG_MARGIN = 0.1
"""A partition whose next item is among this share of the oldest ones of a full journal is reconciled."""
PAGE_ITEMS_MIN, PAGE_ITEMS_MAX = 64, 4096
"""Bounds of the number of items asked for with one read."""

ScanFeed = Callable[["Feed", str], Awaitable[Position]]
"""Scores what differs in a feed's partition, through `Feed.offer`, and returns where to go on reading."""


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

    def __len__(self) -> int:
        return len(self.rows)


class Feed:
    """What is known of one owned partition."""

    __slots__ = ("ahead", "asked", "busy", "closed", "epoch", "page", "partition", "position", "room", "scan", "start")

    def __init__(self, partition: int, epoch: int) -> None:
        self.partition = partition
        self.epoch = epoch
        self.position: Position | None = None
        """Of the last item read; where the next read starts. None while scanning."""
        self.page: journal.JournalPage | Events | None = None
        """What has arrived and waits to be taken."""
        self.busy = False
        """A batch with rows of this partition is being scored or written."""
        self.ahead = False
        """A read is under way."""
        self.asked = 0
        """Number of the newest read; answers to older ones are dropped."""
        self.start = 0
        self.closed = False
        self.scan: asyncio.Task[None] | None = None
        self.room = asyncio.Event()
        """Set while nothing waits and nothing is under way."""
        self.room.set()


class Reader:
    """The feeds of one deployment's owned partitions. `async for` gives batches; several loops may share a reader."""

    def __init__(self, link: Link, features: str, config: WorkerConfig, scan: ScanFeed) -> None:
        self._link = link
        self._features = features
        self._config = config
        self._scan = scan
        self.feeds: dict[int, Feed] = {}
        self._ready: deque[Feed] = deque()
        self._arrived = asyncio.Event()
        self._stopped = False
        self._item_bytes = 512.0
        self.gaps: Counter[str] = Counter()
        """Declared gaps by cause."""
        self.events = 0
        """Journal items read."""
        self.saturated: set[int] = set()
        """Partitions whose last read came back full: they lag."""
        self.failure: GridError | None = None
        """Why nothing can be read at all, for example a map without a journal."""

    # ---- ownership

    def own(self, partition: int, epoch: int, position: Position | None, cause: str = "cold start") -> None:
        """Begin to feed a partition, from a stored position or, without one, by a scan."""
        feed = self.feeds[partition] = Feed(partition, epoch)
        feed.position = position
        if position is None:
            self._start_scan(feed, cause)
        else:
            self._ask(feed)

    async def disown(self, partition: int) -> None:
        """Stop feeding a partition; returns when its last batch is written."""
        feed = self.feeds.pop(partition, None)
        if feed is None:
            return
        feed.closed = True
        if feed.scan:
            feed.scan.cancel()
        feed.page = None
        while feed.busy:
            feed.room.clear()
            await feed.room.wait()

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
        for feed in arrivals.feeds:
            feed.busy = False
            if feed.page is None:
                feed.room.set()
            else:
                self._offer(feed)

    async def retry(self, arrivals: Arrivals, cause: str) -> None:
        """The rows could not be written: bring them again after a pause, by a scan of their partitions."""
        await asyncio.sleep(ERROR_PAUSE_S)
        for feed in arrivals.feeds:
            feed.busy = False
            feed.room.set()
            if not feed.closed:
                self._gap(feed, cause)

    def _offer(self, feed: Feed) -> None:
        self._ready.append(feed)
        self._arrived.set()

    def _take(self) -> Arrivals | None:
        """Whole pages of feeds that are not under way, up to the limits of rows and bytes."""
        taken, rows, size = list[Feed](), 0, 0
        while self._ready and rows < self._config.batch_rows_max and size < self._config.batch_bytes_max:
            feed = self._ready.popleft()
            page = feed.page
            if feed.closed or feed.busy or page is None:
                continue
            taken.append(feed)
            feed.busy = True
            feed.room.clear()
            rows += page.count if isinstance(page, journal.JournalPage) else len(page)
            size += len(page.message.data) if isinstance(page, journal.JournalPage) else page.nbytes
        if not self._ready:
            self._arrived.clear()
        if self._stopped:
            self._arrived.set()
        return self._arrivals(taken) if taken else None

    def _arrivals(self, taken: list[Feed]) -> Arrivals | None:
        """Decode the pages that were taken; a page that does not continue its feed is a gap and brings no rows."""
        pages = [(feed, feed.page) for feed in taken if isinstance(feed.page, journal.JournalPage)]
        scanned = [(feed, feed.page) for feed in taken if isinstance(feed.page, Events)]
        for feed in taken:
            feed.page = None
        parts, partitions = list[Events](), list[NDArray[np.int32]]()
        feeds, positions = list[Feed](), list[Position | None]()
        if pages:
            events, partition_of_each, feeds = self._decode(pages)
            parts.append(events)
            partitions.append(partition_of_each)
            positions += [feed.position for feed in feeds]
        for feed, chunk in scanned:
            parts.append(chunk)
            partitions.append(np.full(len(chunk), feed.partition, np.int32))
            feeds.append(feed)
            positions.append(None)
        if not feeds:
            return None
        rows, partition_of_each = Events.concat(parts), np.concatenate(partitions)
        newest = rows.newest_rows()
        superseded = len(rows) - newest.size
        if superseded:
            rows, partition_of_each = rows.take(newest), partition_of_each[newest]
        return Arrivals(rows, partition_of_each, feeds, positions, superseded)

    def _decode(self, pages: list[tuple[Feed, journal.JournalPage]]) -> tuple[Events, NDArray[np.int32], list[Feed]]:
        """What is new in all pages, the partition of each row, and the feeds that go on reading."""
        items = journal.decode_items([page for _, page in pages])
        events = Events.of(items.keys, items.records)
        counts = np.array([page.count for _, page in pages], np.int64)
        lasts = np.cumsum(counts) - 1
        firsts = lasts - counts + 1
        first_witnesses, last_witnesses = events.witnesses(firsts).tolist(), events.witnesses(lasts).tolist()
        lost = np.logical_or.reduceat(items.lost, firsts).tolist()
        fresh = np.ones(len(events), np.bool_)
        went_on = list[Feed]()
        for index, (feed, page) in enumerate(pages):
            first, last = int(firsts[index]), int(lasts[index])
            cause = self._gap_cause(feed, page, first_witnesses[index], lost=lost[index])
            if cause:
                fresh[first : last + 1] = False
                feed.busy = False
                self._gap(feed, cause)
                continue
            fresh[first] = feed.position is not None and feed.position.witness is None
            self.events += page.count - (0 if fresh[first] else 1)
            self._read_on(feed, page, last_witnesses[index])
            went_on.append(feed)
        total = sum(len(page.message.data) for _, page in pages)
        self._item_bytes += 0.2 * (total / len(events) - self._item_bytes)
        partitions = np.repeat(np.array([feed.partition for feed, _ in pages], np.int32), counts)
        return events.take(fresh), partitions[fresh], went_on

    @staticmethod
    def _gap_cause(feed: Feed, page: journal.JournalPage, witness: int, *, lost: bool) -> str:
        """Why this page does not continue its feed, or an empty string."""
        if page.first_sequence != feed.start:
            return "overflow"
        if page.next_sequence != page.first_sequence + page.count or lost:
            return "lost events"
        if feed.position and feed.position.witness is not None and feed.position.witness != witness:
            return "new incarnation"
        return ""

    def _read_on(self, feed: Feed, page: journal.JournalPage, witness: int) -> None:
        feed.position = Position(page.next_sequence, witness)
        if page.count >= self._page_items():
            self.saturated.add(feed.partition)
        else:
            self.saturated.discard(feed.partition)
        self._ask(feed)

    # ---- the journal

    def _page_items(self) -> int:
        """So many that all answers together stay within the budget, should they come at once."""
        each = self._config.read_budget_bytes / (2 * max(1, len(self.feeds)) * max(32.0, self._item_bytes))
        return int(min(PAGE_ITEMS_MAX, max(PAGE_ITEMS_MIN, each)))

    def _ask(self, feed: Feed) -> None:
        """Read on from the witness item; the read parks until something new is there."""
        position = feed.position
        if position is None or feed.closed or self._stopped:
            return
        known = position.witness is not None
        feed.start = position.sequence - 1 if known else position.sequence
        feed.asked += 1
        asked = feed.asked
        request = journal.read_request(self._features, feed.start, 2 if known else 1, self._page_items() + 1)
        self._link.post(
            request, feed.partition, lambda answer: self._answered(feed, asked, answer), timeout_s=PARKED_TIMEOUT_S
        )

    def _answered(self, feed: Feed, asked: int, answer: Answer) -> None:
        if feed.closed or asked != feed.asked or self._stopped:
            return
        if isinstance(answer, GridError):
            self._read_failed(feed, answer)
            return
        try:
            page = journal.decode_page(answer)
        except DecodeError as error:
            self._read_failed(feed, GridError(str(error)))
            return
        if not page.count or (page.count == 1 and feed.position and feed.position.witness is not None):
            # Nothing new after all: an early answer, for example from a promoted backup.
            asyncio.get_running_loop().call_later(ERROR_PAUSE_S, self._ask_again, feed, asked)
            return
        feed.page = page
        if not feed.busy:
            self._offer(feed)

    def _ask_again(self, feed: Feed, asked: int) -> None:
        if asked == feed.asked:
            self._ask(feed)

    def _read_failed(self, feed: Feed, error: GridError) -> None:
        if isinstance(error, RemoteError) and error.class_name == "UnsupportedOperationError":
            self.failure = GridError(
                f"map {self._features!r} has no event journal",
                remedy="configure an event-journal for it (hazelcast/hazelcast.yaml shows how), "
                "before its first record",
            )
        if isinstance(error, RemoteError) and "Destroyed" in error.class_name + str(error):
            self._gap(feed, "map destroyed")
            return
        if isinstance(error, RemoteError) and "StaleSequence" in error.class_name:
            self._gap(feed, "overflow")
            return
        _log.warning("reading partition %d of %s: %s", feed.partition, self._features, error)
        asyncio.get_running_loop().call_later(ERROR_PAUSE_S, self._ask_again, feed, feed.asked)

    # ---- gaps

    async def watch_lag(self) -> None:
        """Send partitions that lag almost a whole journal behind to a scan: the ring will soon lose what they need."""
        lagging = [feed for partition in self.saturated if (feed := self.feeds.get(partition)) and feed.position]
        ranges = await self._link.call_all((feed.partition, journal.range_request(self._features)) for feed in lagging)
        for feed, answer in zip(lagging, ranges, strict=True):
            oldest, newest = journal.decode_range(answer)
            position = feed.position
            if position and oldest > 0 and position.sequence - oldest < (newest - oldest) * LAG_MARGIN:
                self._gap(feed, "lag")

    def _gap(self, feed: Feed, cause: str) -> None:
        if feed.closed:
            return
        self.gaps[cause] += 1
        _log.info("partition %d of %s: %s; it is reconciled", feed.partition, self._features, cause)
        self._start_scan(feed, cause)

    def _start_scan(self, feed: Feed, cause: str) -> None:
        """Scan from the beginning; one that is under way may have brought what was not written, so it starts anew."""
        feed.asked += 1
        feed.position, feed.page = None, None
        if not feed.busy:
            feed.room.set()
        if feed.scan:
            feed.scan.cancel()
        feed.scan = asyncio.create_task(self._run_scan(feed, cause))

    async def _run_scan(self, feed: Feed, cause: str) -> None:
        while not (feed.closed or self._stopped):
            try:
                feed.position = await self._scan(feed, cause)
            except Exception:  # whatever it is, the partition must not stay unread for it  # noqa: BLE001
                _log.exception("reconciling partition %d of %s failed; trying again", feed.partition, self._features)
                await asyncio.sleep(ERROR_PAUSE_S)
            else:
                feed.scan = None
                self._ask(feed)
                return

    async def offer(self, feed: Feed, rows: Events) -> None:
        """Bring rows of a scan into the feed's ordered path; waits until the ones before are written."""
        await feed.room.wait()
        feed.room.clear()
        feed.page = rows
        self._offer(feed)

    async def settled(self, feed: Feed) -> None:
        """Wait until all that was offered is written."""
        await feed.room.wait()

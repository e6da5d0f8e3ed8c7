"""Reading the event journal: raw pages, long-polled, from each partition's position on.

Invariants: a position is (sequence, witness) and reading starts *at* the witness item, so that a new incarnation of the
journal shows. What the journal has lost is declared as a gap and made good by a scan (`reconcile.py`), and where a
partition's owner keeps no journal, scans on a timer are all there is.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import numpy as np

from grid_inference.config import WorkerConfig
from grid_inference.errors import DecodeError, GridError, RemoteError
from grid_inference.flow.events import Events
from grid_inference.flow.feeds import ERROR_PAUSE_S, Brought, Feed, Feeds, ScanFeed
from grid_inference.flow.positions import Position
from grid_inference.flow.ticks import stretched
from grid_inference.grid.journals import keeps_none, ranges
from grid_inference.grid.link import Link
from grid_inference.grid.link.requests import Answer
from grid_inference.logs import logger
from grid_inference.metrics import Observe, unobserved
from grid_inference.wire.protocol import journal

__all__ = ["JournalReader", "newest"]

_log = logger(__name__)

PARKED_TIMEOUT_S = float("inf")
"""A parked read waits for as long as nothing is put."""
LOOK_EVERY_S = 5.0
"""How often it is looked whether the journals are those that were read: of some changes no parked read ever tells."""
LOOKED_AT_WHOLE = 3
"""So many deployments look at all their idle partitions at each look; of more each looks at a part."""
LAG_MARGIN = 0.1
"""A partition whose next item is among this share of the oldest ones of a full journal is reconciled."""
PAGE_ITEMS_FIRST, PAGE_ITEMS_MAX = 64, 4096
"""So many items are asked for with one read, at first, when it is not known how large they are, and at the most."""
NO_JOURNAL = "no journal"
"""The cause of scans where the owner of a partition keeps none."""
SMALLER = 0.2
"""The estimate of an item's size follows larger items at once, and smaller ones by this share of the difference."""


class JournalReader(Feeds):
    """Feeds from the event journal: nothing is lost, and what the ring has overwritten is scanned."""

    def __init__(
        self,
        link: Link,
        features: str,
        config: WorkerConfig,
        scan: ScanFeed,
        observe: Observe = unobserved,
        *,
        reconcile_s: float,
        beside: Callable[[], int] = lambda: 1,
    ) -> None:
        """`beside`: how many deployments share the worker's time, this one included."""
        super().__init__(link, features, config, scan, observe, reconcile_s=reconcile_s)
        self._item_bytes: float | None = None
        """About so large an item is, as far as is known."""
        self._saturated: set[int] = set()
        """Partitions whose last read came back full: they lag."""
        self._looked_s = time.monotonic()
        self._looks = 0
        self._beside = beside
        self._behind: dict[int, Position] = {}
        """Idle feeds that were behind their journal at the last look, and where they stood."""

    async def watch(self) -> None:
        """Scan where no journal is kept, when it is time, and what lags almost a whole journal behind.

        The ring will soon lose what such a partition needs.
        """
        self._scan_unread(NO_JOURNAL)
        lagging = [one for one in self._saturated if (feed := self.feeds.get(one)) and feed.position]
        for partition, (oldest, newest) in (await ranges(self._link, self._features, lagging)).items():
            feed = self.feeds.get(partition)
            position = feed and feed.position
            if feed and position and oldest > 0 and position.sequence - oldest < (newest - oldest) * LAG_MARGIN:
                self._gap(feed, "lag")
        if time.monotonic() > self._looked_s + stretched(LOOK_EVERY_S, self._beside()):
            self._looked_s = time.monotonic()
            await self._look_at_idle()

    async def _look_at_idle(self) -> None:
        """Hold the end of each idle feed's journal against its position.

        A journal that was begun anew, by a destroyed map or a lost tail, may stand before the position or bear other
        items: a read that is parked there waits for what may never come. Where many deployments run, each looks at some
        of its partitions at a time, and at all of them as soon as one tells.
        """
        idle = [feed for _, feed in sorted(self.feeds.items()) if feed.idles and feed.position]
        rounds = max(1, min(len(idle), self._beside() // LOOKED_AT_WHOLE))
        some = idle if self._behind else idle[self._looks % rounds :: rounds]
        self._looks += 1
        self._behind, told = await self._look_at(some)
        others = [feed for feed in idle if feed not in some and feed.idles]
        if others and (self._behind or told):  # what one has met they may have met as well
            self._behind |= (await self._look_at(others))[0]

    async def _look_at(self, feeds: list[Feed]) -> tuple[dict[int, Position], bool]:
        """Of these idle feeds those that are behind; and whether one of them has another journal."""
        idle = {feed: feed.position for feed in feeds if feed.position}
        ends = await newest(self._link, self._features, [feed.partition for feed in idle])
        behind, told = dict[int, Position](), False
        for feed, position in idle.items():
            if not feed.idles or feed.position != position or feed.closed:
                continue
            end = ends.get(feed.partition)
            if end is None:
                self._gap(feed, NO_JOURNAL)
                continue
            # Where the ring has run empty by its time to live, there is no witness to look at.
            replaced = end.sequence == position.sequence and end.witness not in {None, position.witness}
            if end.sequence < position.sequence or replaced:
                self._gap(feed, "new incarnation")
                told = True
            elif end.sequence > position.sequence:
                behind[feed.partition] = position
                if self._behind.get(feed.partition) == position:
                    _log.warning("read not answered though items came", map=self._features, partition=feed.partition)
                    self.doubt(feed)
        return behind, told

    def _read(self, pages: list[tuple[Feed, journal.JournalPage]]) -> Brought:
        """What is new in all pages; one that does not continue its feed is a gap and brings no rows."""
        items = journal.decode_items([page for _, page in pages])
        events = Events.of_items(items)
        partitions, fresh = np.empty(len(events), np.int32), np.ones(len(events), np.bool_)
        went_on, end = list[Feed](), 0
        for (feed, page), first_witness, last_witness, lost in zip(pages, *items.pages.tolist(), strict=True):
            first, end = end, end + page.count
            partitions[first:end] = feed.partition
            cause = self._gap_cause(feed, page, first_witness, lost=lost != 0)
            if cause:
                fresh[first:end] = False
                feed.end_batch()
                self._gap(feed, cause)
                continue
            fresh[first] = feed.position is not None and feed.position.witness is None
            self.events += page.count - (0 if fresh[first] else 1)
            self._read_on(feed, page, last_witness)
            went_on.append(feed)
        total = sum(len(page.message.data) for _, page in pages)
        each, before = total / len(events), self._item_bytes or 0.0
        self._item_bytes = each if each > before else before + SMALLER * (each - before)
        return events.take(fresh), partitions[fresh], went_on, [feed.position for feed in went_on]

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
            self._saturated.add(feed.partition)
        else:
            self._saturated.discard(feed.partition)
        self._go_on(feed)

    # ---- the journal

    def _page_items(self) -> int:
        """So many that all answers together stay within the budget, should they come at once; at least one.

        No more than a batch holds: a page is scored as a whole.
        """
        if self._item_bytes is None:
            return max(1, min(PAGE_ITEMS_FIRST, self.rows_max))
        each = self._config.read_budget_bytes / (2 * max(1, len(self.feeds)) * max(32.0, self._item_bytes))
        return int(max(1, min(PAGE_ITEMS_MAX, self.rows_max, each)))

    def doubt(self, feed: Feed) -> None:
        """Look at the witness item at once: a parked read tells of a lost tail only when new items have filled it."""
        feed.doubted = True
        if not feed.pages:
            self._go_on(feed)

    def _go_on(self, feed: Feed) -> None:
        """Read on from the witness item; the read parks until something new is there."""
        position = feed.position
        if position is None or feed.closed or self._stopped:
            return
        known = position.witness is not None
        feed.start = position.sequence - 1 if known else position.sequence
        feed.asked += 1
        asked = feed.asked
        least = 2 if known and not feed.doubted else 1
        request = journal.read_request(self._features, feed.start, least, self._page_items() + 1)
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
        doubted, feed.doubted = feed.doubted, False
        if not page.count or (page.count == 1 and self._is_witness(feed, page)):
            # Nothing new: the answer to a doubt, or an early one, for example from a promoted backup.
            pause_s = 0.0 if doubted and page.count else ERROR_PAUSE_S
            asyncio.get_running_loop().call_later(pause_s, self._ask_again, feed, asked)
            return
        feed.pages.append(page)
        self._offer(feed)

    @staticmethod
    def _is_witness(feed: Feed, page: journal.JournalPage) -> bool:
        """Whether the one item of a page is that before the feed's position, which has been scored."""
        if feed.position is None or feed.position.witness is None or page.first_sequence != feed.start:
            return False
        return int(journal.decode_items([page]).pages[0, 0]) == feed.position.witness

    def _ask_again(self, feed: Feed, asked: int) -> None:
        if asked == feed.asked:
            self._go_on(feed)

    def _read_failed(self, feed: Feed, error: GridError) -> None:
        if keeps_none(error):
            self._gap(feed, NO_JOURNAL)
            return
        if isinstance(error, RemoteError) and "Destroyed" in error.class_name + str(error):
            self._gap(feed, "map destroyed")
            return
        if isinstance(error, RemoteError) and "StaleSequence" in error.class_name:
            self._gap(feed, "overflow")
            return
        _log.warning("read failed, tried again", map=self._features, partition=feed.partition, error=error)
        asyncio.get_running_loop().call_later(ERROR_PAUSE_S, self._ask_again, feed, feed.asked)


async def newest(link: Link, features: str, partitions: list[int]) -> dict[int, Position]:
    """The ends of some partitions' journals now, each with the witness of its newest item; of those that keep one."""
    bounds = await ranges(link, features, partitions)
    asked = {partition: end for partition, (oldest, end) in bounds.items() if end >= oldest}
    reads = [(partition, journal.read_request(features, end, 1, 1)) for partition, end in asked.items()]
    found = {partition: Position(end + 1, None) for partition, (_, end) in bounds.items()}
    answers = zip(asked, await link.call_all(reads), strict=True)
    pages = [(partition, page) for partition, answer in answers if (page := journal.decode_page(answer)).count]
    if pages:
        witnesses = journal.decode_items([page for _, page in pages]).pages[0].tolist()
        for (partition, page), witness in zip(pages, witnesses, strict=True):
            found[partition] = Position(page.next_sequence, witness)
    return found

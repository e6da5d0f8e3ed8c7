"""Feeds: rows of suspect partitions and of others never share a batch, and only one batch of suspects is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np

from grid_inference.config import WorkerConfig
from grid_inference.errors import DecodeError
from grid_inference.flow.events import Events
from grid_inference.flow.feeds import Arrivals, Brought, Feed, Feeds
from grid_inference.flow.positions import Position
from grid_inference.wire.keys import encode_keys
from grid_inference.wire.protocol.frames import Message
from grid_inference.wire.protocol.journal import JournalPage

SUSPECT, OTHER = (1, 3), (0, 2)


class Quiet(Feeds):
    """Feeds to which nothing comes by itself."""

    def _go_on(self, feed: Feed) -> None:
        return


def with_feeds(go: Callable[[Quiet], Awaitable[None]], rows_max: int = 1_000) -> None:
    async def scan(feed: Feed, cause: str) -> Position:
        return Position(1, None)

    async def run() -> None:
        feeds = Quiet(None, "features", WorkerConfig(batch_rows_max=rows_max), scan, reconcile_s=60)  # type: ignore[arg-type]
        for partition in (*OTHER, *SUSPECT):
            feeds.own(partition, 1, Position(1, None), suspect=partition in SUSPECT)
        await go(feeds)

    asyncio.run(asyncio.wait_for(run(), 20))


async def brought(feeds: Quiet, *partitions: int) -> None:
    for partition in partitions:
        keys = encode_keys(np.arange(partition * 10, partition * 10 + 2))
        await feeds.offer(feeds.feeds[partition], Events.of(keys, keys))


def of(arrivals: Arrivals | None) -> tuple[bool, list[int]] | None:
    return arrivals and (arrivals.suspect, sorted(feed.partition for feed in arrivals.feeds))


def test_suspects_and_others_never_mix() -> None:
    async def go(feeds: Quiet) -> None:
        await brought(feeds, 0, 1, 2, 3)
        assert of(feeds._take()) == (True, [1, 3])
        assert of(feeds._take()) == (False, [0, 2])
        assert not feeds._arrived.is_set()

    with_feeds(go)


def test_one_batch_of_suspects_is_under_way_at_a_time_and_holds_nobody_else_up() -> None:
    async def go(feeds: Quiet) -> None:
        await brought(feeds, 1, 3, 0)
        first = feeds._take()
        assert of(first) == (True, [1])
        assert of(feeds._take()) == (False, [0])
        # Nothing can be taken: whoever iterates waits.
        assert not feeds._arrived.is_set()
        assert feeds._take() is None
        await brought(feeds, 2)
        assert of(feeds._take()) == (False, [2])
        assert first is not None
        feeds.resume(first)
        assert feeds._arrived.is_set()
        assert of(feeds._take()) == (True, [3])

    with_feeds(go, rows_max=1)


def test_a_suspect_that_could_not_be_written_lets_the_next_one_in() -> None:
    async def go(feeds: Quiet) -> None:
        await brought(feeds, 1, 3)
        first = feeds._take()
        assert of(first) == (True, [1])
        assert first is not None
        feeds.retry(first, "failed write")
        assert of(feeds._take()) == (True, [3])

    with_feeds(go, rows_max=1)


def test_what_is_trusted_again_is_taken_as_all_others() -> None:
    async def go(feeds: Quiet) -> None:
        feeds.feeds[1].suspect = False
        await brought(feeds, 0, 1)
        assert of(feeds._take()) == (False, [0, 1])

    with_feeds(go)


def test_rows_of_a_scan_come_by_no_more_than_a_batch_holds() -> None:
    async def go(feeds: Quiet) -> None:
        keys = encode_keys(np.arange(5))
        await feeds.offer(feeds.feeds[0], Events.of(keys, keys))
        sizes = list[int]()
        while arrivals := feeds._take():
            sizes.append(len(arrivals))
            assert not feeds.feeds[0].room.is_set()
            feeds.resume(arrivals)
        assert sizes == [2, 2, 1]
        assert feeds.feeds[0].room.is_set()

    with_feeds(go, rows_max=2)


def test_what_was_not_written_of_one_partition_leaves_the_others_alone() -> None:
    async def go(feeds: Quiet) -> None:
        await brought(feeds, 0, 2)
        arrivals = feeds._take()
        assert arrivals is not None
        written, left = arrivals.parted({2})
        assert [feed.partition for feed in written.feeds] == [0]
        assert written.rows.keys.tolist() == encode_keys([0, 1]).tolist()
        assert left.rows.keys.tolist() == encode_keys([20, 21]).tolist()
        feeds.resume(written)
        feeds.retry(left, "failed write")
        assert feeds.feeds[2].owed.tolist() == sorted(left.rows.identities.tolist())
        assert (feeds.feeds[0].busy, feeds.feeds[2].busy) == (False, True)
        await feeds.feeds[2].idle.wait()
        assert feeds.gaps == {"failed write": 1}
        everything, nothing = arrivals.parted(())
        assert (len(everything), nothing.feeds, len(nothing)) == (4, [], 0)

    with_feeds(go)


def test_what_can_not_be_read_is_scanned_and_holds_nobody_up() -> None:
    class Broken(Quiet):
        def _read(self, pages: list[tuple[Feed, JournalPage]]) -> Brought:
            raise DecodeError("damaged")

    async def run() -> None:
        async def scan(feed: Feed, cause: str) -> Position:
            return Position(1, None)

        feeds = Broken(None, "features", WorkerConfig(), scan, reconcile_s=60)  # type: ignore[arg-type]
        feeds.own(0, 1, Position(1, None))
        feeds.feeds[0].pages.append(JournalPage(Message(b""), 1, 1, 2))
        feeds._offer(feeds.feeds[0])
        assert feeds._take() is None
        assert feeds.gaps == {"unreadable": 1}
        let_go = feeds.let_go(0)
        assert let_go
        await asyncio.wait_for(let_go.idle.wait(), 5)

    asyncio.run(run())

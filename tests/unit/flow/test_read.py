"""Feeds: what a failed write does to a scan, what an idle look makes of a journal's end, how much is asked for."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from grid_inference.config import WorkerConfig
from grid_inference.flow import read as module
from grid_inference.flow.events import Events
from grid_inference.flow.feeds import Feed
from grid_inference.flow.positions import Position
from grid_inference.flow.read import JournalReader
from grid_inference.wire.keys import encode_keys


class Silent:
    """A link whose journal reads park for ever."""

    def post(self, *_: Any, **__: Any) -> None:
        return


def test_a_chunk_that_was_not_written_is_scanned_again() -> None:
    async def go() -> tuple[list[list[bytes]], list[str]]:
        scans: list[str] = []
        taken: list[list[bytes]] = []
        keys = encode_keys(np.arange(6))

        async def scan(feed: Feed, cause: str) -> Position:
            scans.append(cause)
            for start in range(0, 6, 2):
                rows = np.arange(start, start + 2)
                await reader.offer(feed, Events.of(keys, keys).take(rows))
            await reader.settled(feed)
            return Position(1, None)

        reader = JournalReader(Silent(), "features", WorkerConfig(), scan, reconcile_s=60)  # type: ignore[arg-type]
        reader.own(3, 1, None)
        async for arrivals in reader:
            if len(taken) == 1:
                taken.append([])
                reader.retry(arrivals, "failed write")
                continue
            taken.append(arrivals.rows.keys.tolist())
            reader.resume(arrivals)
            if len(taken) == 5:
                await asyncio.sleep(0)
                reader.stop()
        return taken, scans

    taken, scans = asyncio.run(asyncio.wait_for(go(), 20))
    keys = encode_keys(np.arange(6)).tolist()
    assert scans == ["cold start", "failed write"]
    assert taken == [keys[0:2], [], keys[0:2], keys[2:4], keys[4:6]]


@pytest.mark.parametrize(
    ("end", "gaps"),
    [
        (Position(7, 11), {}),
        (Position(7, None), {}),  # the ring has run empty by its time to live: nothing is known of the witness
        (Position(9, 12), {}),
        (Position(7, 12), {"new incarnation": 1}),
        (Position(6, 11), {"new incarnation": 1}),
        (Position(0, None), {"new incarnation": 1}),
        (None, {"no journal": 1}),
    ],
)
def test_an_idle_look_tells_another_incarnation_from_a_ring_that_has_run_empty(
    monkeypatch: pytest.MonkeyPatch, end: Position | None, gaps: dict[str, int]
) -> None:
    async def newest(*_: object) -> dict[int, Position]:
        return {} if end is None else {3: end}

    async def scan(feed: Feed, cause: str) -> Position:
        return Position(1, None)

    async def go() -> dict[str, int]:
        reader = JournalReader(Silent(), "features", WorkerConfig(), scan, reconcile_s=60)  # type: ignore[arg-type]
        reader.own(3, 1, Position(7, 11))
        await reader._look_at_idle()
        reader.stop()
        return dict(reader.gaps)

    monkeypatch.setattr(module, "newest", newest)
    assert asyncio.run(asyncio.wait_for(go(), 20)) == gaps


@pytest.mark.parametrize(("deployments", "each"), [(1, 12), (3, 12), (6, 6), (18, 2), (1000, 1)])
def test_of_many_deployments_each_looks_at_a_part_and_at_all_once_one_tells(
    monkeypatch: pytest.MonkeyPatch, deployments: int, each: int
) -> None:
    asked, moved = list[list[int]](), set[int]()

    async def newest(_: object, __: str, partitions: list[int]) -> dict[int, Position]:
        asked.append(partitions)
        return {one: Position(0, None) if one in moved else Position(7, 11) for one in partitions}

    async def scan(feed: Feed, cause: str) -> Position:
        return Position(1, None)

    async def go() -> None:
        reader = JournalReader(Silent(), "f", WorkerConfig(), scan, reconcile_s=60, beside=lambda: deployments)  # type: ignore[arg-type]
        for partition in range(12):
            reader.own(partition, 1, Position(7, 11))
        for _ in range(12 // each):
            await reader._look_at_idle()
        assert [len(some) for some in asked] == [each] * (12 // each)
        assert sorted(one for some in asked for one in some) == list(range(12))
        moved.update(range(12))
        asked.clear()
        await reader._look_at_idle()
        assert sorted(one for some in asked for one in some) == list(range(12))
        assert reader.gaps == {"new incarnation": 12}
        reader.stop()

    monkeypatch.setattr(module, "newest", newest)
    asyncio.run(asyncio.wait_for(go(), 20))


def test_what_is_asked_for_follows_the_size_of_items_and_of_batches() -> None:
    async def scan(feed: Feed, cause: str) -> Position:
        return Position(1, None)

    async def go() -> None:
        reader = JournalReader(Silent(), "features", WorkerConfig(read_budget_bytes=4 << 20), scan, reconcile_s=60)  # type: ignore[arg-type]
        for partition in range(31):
            reader.own(partition, 1, Position(7, 11))
        assert reader._page_items() == module.PAGE_ITEMS_FIRST
        reader._item_bytes = 100_000.0
        assert reader._page_items() == 1
        reader._item_bytes = 300.0
        assert 31 * 2 * reader._page_items() * 300 <= 4 << 20
        reader.rows_max = 5
        assert reader._page_items() == 5
        reader._item_bytes = None
        assert reader._page_items() == 5
        reader.stop()

    asyncio.run(asyncio.wait_for(go(), 20))

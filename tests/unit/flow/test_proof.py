"""Which partition is compared next: one that can't be done now starves no other, and is tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from grid_inference.flow import proof as module
from grid_inference.flow.feeds import Feed
from grid_inference.flow.positions import Position
from grid_inference.flow.proof import LATE_WRITE, Proof
from grid_inference.grid.leases import LATE_WRITE_S
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.keys import encode_keys

LAGGING, HEALTHY = (0, 1, 2, 3), (4, 5)
COMPARERS = 4


class Reader:
    """Feeds to which nothing comes."""

    def __init__(self) -> None:
        self.feeds = {partition: Feed(partition, 1) for partition in (*LAGGING, *HEALTHY)}
        for feed in self.feeds.values():
            feed.position = Position(0, None)


class Positions:
    """Notes what was proven."""

    def __init__(self) -> None:
        self.done: list[int] = []

    def proven(self, partition: int, at_us: int) -> None:
        self.done.append(partition)


def proof_of(positions: Positions, compared: Callable[[int], bool], interval_s: float = 0.0) -> Proof:
    made = Proof(Reader(), None, positions, lambda *_: None, interval_s=interval_s)  # type: ignore[arg-type]

    async def looked(feed: Feed, cause: str) -> bool:
        await asyncio.sleep(0)
        return compared(feed.partition)

    made._compared = looked  # type: ignore[method-assign]
    return made


async def run_until(made: Proof, condition: Callable[[], bool]) -> None:
    tasks = [asyncio.create_task(made.run()) for _ in range(COMPARERS)]
    try:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 - what is waited for is no event
                await asyncio.sleep(0.001)
    finally:
        for task in tasks:
            task.cancel()


def test_partitions_that_lag_keep_no_other_from_being_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    async def go() -> None:
        monkeypatch.setattr(module, "PAUSE_S", 0.001)
        positions, tried = Positions(), list[int]()

        def compared(partition: int) -> bool:
            tried.append(partition)
            return partition in HEALTHY

        made = proof_of(positions, compared)
        for partition in (*LAGGING, *HEALTHY):
            made.doubt(partition, "taken over")
        await run_until(made, lambda: set(positions.done) == set(HEALTHY))
        assert set(tried[:6]) == {*LAGGING, *HEALTHY}
        assert all(made.pending(partition) for partition in LAGGING)
        assert not any(made.pending(partition) for partition in HEALTHY)

    asyncio.run(go())


def test_what_could_not_be_compared_is_tried_again_and_is_done_once_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    async def go() -> None:
        monkeypatch.setattr(module, "RETRY_PAUSE_S_MAX", 0.01)
        positions, tries = Positions(), list[int]()

        def compared(partition: int) -> bool:
            tries.append(partition)
            return len(tries) > 5

        made = proof_of(positions, compared)
        made.doubt(2, "taken over")
        await run_until(made, lambda: positions.done == [2])
        assert len(tries) == 6
        assert not made.pending(2)

    asyncio.run(go())


def test_a_partition_that_is_given_away_is_forgotten() -> None:
    made: Any = proof_of(Positions(), lambda _: True)
    made.doubt(1, "late write", 20.0)
    assert made.pending(1)
    made.forget(1)
    assert not made.pending(1)


def test_each_doubt_for_later_is_looked_into_behind_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(module, "now_s", lambda: clock[0])
    made = proof_of(Positions(), lambda _: True)
    for at_s in (100.0, 100.1, 115.0):  # a connection that breaks three times
        clock[0] = at_s
        made.doubt(HEALTHY[0], LATE_WRITE, LATE_WRITE_S)
    due = [at_s for at_s, _ in made._doubts[HEALTHY[0]]]
    assert max(due) >= 115.0 + LATE_WRITE_S
    assert 100.1 + LATE_WRITE_S <= sorted(due)[1] < 100.1 + LATE_WRITE_S + 2 * module.GATHERED_S
    # Of a connection that breaks all the time a comparison a while is left.
    for tenth in range(300):
        clock[0] = 115.0 + tenth / 10
        made.doubt(HEALTHY[0], LATE_WRITE, LATE_WRITE_S)
    assert len(made._doubts[HEALTHY[0]]) < 300 / 10 / module.GATHERED_S + 5


def test_what_was_not_taken_for_repair_is_no_repair_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A partition that was given away or scanned meanwhile takes none: nothing is counted, and it is tried again."""

    async def go() -> None:
        monkeypatch.setattr(module, "RETRY_PAUSE_S_MAX", 0.01)
        positions, offered = Positions(), list[int]()
        made = Proof(Reader(), None, positions, lambda *_: None, interval_s=0.0)  # type: ignore[arg-type]

        async def differing(feed: Feed) -> Any:
            await asyncio.sleep(0)
            return module._Differing.of([encode_keys(["a", "b"])], [np.array([1, 2])])

        async def repair(feed: Feed, keys: Blobs) -> bool:
            await asyncio.sleep(0)
            assert not made.repairs
            offered.append(len(keys))
            return len(offered) > 2

        monkeypatch.setattr(made, "_differing", differing)
        monkeypatch.setattr(Reader, "repair", staticmethod(repair), raising=False)
        made.doubt(4, "taken over")
        await run_until(made, lambda: positions.done == [4])
        assert (offered, made.repairs) == ([2, 2, 2], {"taken over": 2})

    asyncio.run(go())

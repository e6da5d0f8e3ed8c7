"""A worker's turns, without a grid."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from grid_inference.config import GridConfig, WorkerConfig
from grid_inference.flow.deployments import _outdated
from grid_inference.grid.heartbeat import Heartbeat
from grid_inference.node.worker import life
from grid_inference.node.worker.life import Worker

TIMEOUT_S = 10.0


def test_a_change_during_a_turn_is_seen_by_the_next_one_at_once(monkeypatch: Any) -> None:
    async def turns() -> int:
        worker = Worker(GridConfig(), WorkerConfig(lease_ttl_s=1000.0))
        count = 0

        async def turn(_: Any) -> None:
            nonlocal count
            count += 1
            await asyncio.sleep(0)
            if count == 1:
                worker._wake.set()  # what the entry listener does
            else:
                worker.stop()

        monkeypatch.setattr(worker, "_turn", turn)
        link: Any = SimpleNamespace(link=SimpleNamespace(given_up=False))
        await asyncio.wait_for(worker._keep_turning(link), TIMEOUT_S)
        return count

    assert asyncio.run(turns()) == 2


def test_what_ends_unasked_ends_the_worker() -> None:
    async def ends() -> bool:
        worker = Worker(GridConfig(), WorkerConfig())
        turning = asyncio.create_task(forever(), name="turning")
        beside = [asyncio.create_task(forever(), name="saying"), asyncio.create_task(fails(), name="looking")]
        with pytest.raises(ZeroDivisionError):
            await worker._until_one_ends(turning, beside)
        beside[0].cancel()
        await asyncio.wait({turning, *beside})
        return turning.cancelled()

    async def forever() -> None:
        await asyncio.Event().wait()

    async def fails() -> None:
        raise ZeroDivisionError

    assert asyncio.run(asyncio.wait_for(ends(), TIMEOUT_S))


def test_no_turn_begins_before_the_kernels_are_there(monkeypatch: Any) -> None:
    async def run() -> list[str]:
        worker, order, beats = Worker(GridConfig(), WorkerConfig()), list[str](), threading.Event()

        def load() -> None:
            assert beats.wait(TIMEOUT_S)
            order.append("loaded")

        async def valid(_: float) -> None:
            order.append("beats")
            beats.set()

        async def keep_turning(*_: Any) -> None:
            order.append("turns")

        async def nothing(*_: Any) -> None:
            return

        async def forever(*_: Any) -> None:
            await asyncio.Event().wait()

        turn = SimpleNamespace(leases=SimpleNamespace(valid=valid), deployments=None)
        heartbeat = SimpleNamespace(start=lambda _: None, ended=forever)
        monkeypatch.setattr(life.kernels, "load", load)
        monkeypatch.setattr(life.Link, "open", nothing)
        monkeypatch.setattr(worker, "_begin", lambda _: (turn, heartbeat))
        monkeypatch.setattr(worker, "_said", lambda _: {})
        monkeypatch.setattr(worker, "_keep_turning", keep_turning)
        for name in ("_listen", "_leave"):
            monkeypatch.setattr(worker, name, nothing)
        for name in ("_keep_saying", "_keep_looking", "_keep_checking"):
            monkeypatch.setattr(worker, name, forever)
        await worker.run()
        return order

    assert asyncio.run(asyncio.wait_for(run(), TIMEOUT_S)) == ["beats", "loaded", "turns"]


def test_a_heartbeat_that_ends_unasked_is_told_of(monkeypatch: Any) -> None:
    async def fails(_: Heartbeat) -> None:
        raise ZeroDivisionError

    async def ends() -> None:
        leases: Any = None
        heartbeat = Heartbeat(GridConfig(), leases, "w", 3.0, call_s_max=1.0, held_up=list)
        heartbeat.start({})
        with pytest.raises(ZeroDivisionError):
            await heartbeat.ended()
        await heartbeat.stop()

    monkeypatch.setattr(Heartbeat, "_watch", fails)
    monkeypatch.setattr(Heartbeat, "_keep_beating", lambda _: asyncio.Event().wait())
    asyncio.run(asyncio.wait_for(ends(), TIMEOUT_S))


def test_generations_that_begin_anew_are_told_apart_by_their_time() -> None:
    before: Any = SimpleNamespace(generation=1, deployed_at_us=1, model="m", version=1)
    after: Any = SimpleNamespace(generation=1, deployed_at_us=2, model="m", version=1)
    assert not _outdated(before, before)
    assert _outdated(after, before)
    assert _outdated(None, before)

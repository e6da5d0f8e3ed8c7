"""A worker's turns, without a grid."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from grid_inference.config import GridConfig, WorkerConfig
from grid_inference.worker.life import Worker

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

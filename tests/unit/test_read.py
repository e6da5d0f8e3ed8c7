"""Feeds: what a failed write does to a scan that is under way."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np

from grid_inference.config import WorkerConfig
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

        reader = JournalReader(Silent(), "features", WorkerConfig(), scan)  # type: ignore[arg-type]
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

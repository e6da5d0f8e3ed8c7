"""Nodes that come and go under load: how long until every partition is scored again, by whom it should be.

A steady stream of new records is put meanwhile, a batch at a time, so that each is known to be acknowledged.
`Scene.marked` puts one more record into each of some partitions and waits for their predictions: of one partition
nothing is scored out of order, so all that was put there before is scored by then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from bench.data import columns, matrix
from bench.load import MARKED
from bench.ours import WARM_ROWS, BenchError, Ours, features_of
from grid_inference import aio
from grid_inference.config import GridConfig
from grid_inference.grid.leases import holders
from grid_inference.grid.maps import GridMap
from grid_inference.grid.topology import assign, read_workers
from grid_inference.wire.keys import encode_keys, partition_ids

__all__ = ["Moved", "add_node", "kill_node"]

BATCH_S: Final = 0.05
"""A batch of the load is put each so often."""
POLL_S: Final = 0.05
"""Each look is some forty requests: more looks would be a load of their own."""
CALM_S: Final = 4.0
"""What stays so long as it should be is taken to be settled: longer than a lease's time and a worker's turn."""
TIMEOUT_S: Final = 90.0
MARKS_PER_PARTITION: Final = 64
"""So many keys are tried per partition to find one that lies in it."""


@dataclass(frozen=True, slots=True)
class Moved:
    """Seconds from a moment until what followed it."""

    started_s: float
    """The node's member was up; or the node was dead."""
    placed_s: float
    """The partitions were spread, every lease was where the assignment says, and both stayed so."""
    scored_s: float
    """All that had been put by then was scored; after a death: a record of each partition that the dead node had."""


class Scene:
    """A deployment under load, watched over a connection of its own."""

    def __init__(self, grid: aio.Grid, name: str, rate: int) -> None:
        self.grid = grid
        self.name = name
        self.put = WARM_ROWS
        """Records in the map."""
        self._rate = rate
        self._features = grid.features(features_of(name))
        self._predictions = GridMap(grid.link, f"{name}.predictions")
        self._next_mark = MARKED
        self._ending = False

    @classmethod
    @asynccontextmanager
    async def opened(cls, ours: Ours, model: Path, rate: int) -> AsyncGenerator[Scene]:
        """Deploy, load, and in the end prove that every record is there and has its prediction."""
        name = await asyncio.to_thread(ours.deploy, model)
        config = GridConfig(address=ours.grid.address, cluster_name=ours.grid.cluster_name)
        async with await aio.connect(config) as grid:
            scene = cls(grid, name, rate)
            async with asyncio.TaskGroup() as group:
                group.create_task(scene.load())
                try:
                    yield scene
                finally:
                    scene._ending = True
        await asyncio.to_thread(ours.prove, name, scene.put)
        await asyncio.to_thread(ours.destroy, name)

    async def load(self) -> None:
        """Put new records at the rate until the end; where a batch takes longer, the next one follows at once."""
        size = max(1, round(self._rate * BATCH_S))
        records = columns(matrix(size, seed=5))
        due_s, key = time.monotonic(), WARM_ROWS
        while not self._ending:
            await self._features.put_batch(records, key=np.arange(key, key + size))
            self.put += size
            key += size
            due_s = max(due_s + BATCH_S, time.monotonic())
            await asyncio.sleep(due_s - time.monotonic())

    async def marked(self, partitions: set[int]) -> None:
        """Put a new record into each of these partitions and wait until all of them are predicted."""
        count = self.grid.link.partition_count
        tried = np.arange(self._next_mark, self._next_mark + MARKS_PER_PARTITION * count)
        self._next_mark += tried.size
        found, first = np.unique(partition_ids(encode_keys(tried), count), return_index=True)
        keys = tried[first[np.isin(found, list(partitions))]]
        await self._features.put_batch(columns(matrix(keys.size, seed=6)), key=keys)
        self.put += keys.size
        data = encode_keys(keys)

        async def predicted() -> bool:
            return len((await self._predictions.get_batch(data))[0]) == len(data)

        await until(predicted, f"the prediction of a record in each of {len(partitions)} partitions")

    def owned_by(self, address: str) -> set[int]:
        """Partitions of one member."""
        members, owners = self.grid.link.members(), self.grid.link.partition_owners()
        return {partition for partition, owner in owners.items() if members.get(owner) == address}

    async def placed(self, members: int, workers: int) -> bool:
        """Whether so many members own partitions, and so many workers hold just the leases assigned to them."""
        owners, said = self.grid.link.partition_owners(), await read_workers(self.grid.link)
        nodes = {worker: one.get("member") for worker, one in said.items()}
        if len(set(owners.values())) != members or len(nodes) != workers or None in nodes.values():
            return False
        held = {partition: worker for partition, (worker, _) in (await holders(self.grid.link)).items()}
        return held == assign(owners, nodes)

    async def settled(self, ours: Ours) -> tuple[float, float]:
        """Wait until the leases lie where they should; since when, and when all was scored that was put by then."""
        members, workers = len(ours.nodes.members), len(ours.nodes.processes["workers"])
        every = set(range(self.grid.link.partition_count))
        deadline_s = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline_s:
            await until(lambda: self.placed(members, workers), "every lease in its place")
            placed_s = time.monotonic()
            await self.marked(every)
            scored_s = time.monotonic()
            while await self.placed(members, workers):
                if time.monotonic() > placed_s + CALM_S:
                    return placed_s, scored_s
                await asyncio.sleep(POLL_S)
        raise BenchError(f"the leases still moved after {TIMEOUT_S:.0f} s")


def add_node(ours: Ours, model: Path, rate: int) -> Moved:
    """Add a node under load."""

    async def add() -> Moved:
        async with Scene.opened(ours, model, rate) as scene:
            begun_s = time.monotonic()
            await asyncio.to_thread(ours.nodes.add)
            started_s = time.monotonic()
            placed_s, scored_s = await scene.settled(ours)
            return Moved(started_s - begun_s, placed_s - begun_s, scored_s - begun_s)

    return asyncio.run(add())


def kill_node(ours: Ours, model: Path, rate: int) -> Moved:
    """Kill the newest node, its member and its workers, under load."""

    async def kill() -> Moved:
        async with Scene.opened(ours, model, rate) as scene:
            lost = scene.owned_by(ours.nodes.members[-1].address)
            begun_s = time.monotonic()
            await asyncio.to_thread(ours.nodes.kill_last)
            dead_s = time.monotonic()
            await scene.marked(lost)
            scored_s = time.monotonic()
            placed_s, _ = await scene.settled(ours)
            return Moved(dead_s - begun_s, placed_s - begun_s, scored_s - begun_s)

    return asyncio.run(kill())


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait for a condition; raises BenchError with its name."""
    deadline_s = time.monotonic() + TIMEOUT_S
    while not await condition():
        if time.monotonic() > deadline_s:
            raise BenchError(f"{what} did not come within {TIMEOUT_S:.0f} s")
        await asyncio.sleep(POLL_S)

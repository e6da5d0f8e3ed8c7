"""What is simulated behaves as what it stands for: the same files on the simulated grid and on a real member."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import pytest

from grid_inference.config import GridConfig
from grid_inference.grid.link import Link
from grid_inference.wire.protocol.mapconfig import MapSettings, add_map_config_request
from tests.simulation.members import Cluster
from tests.simulation.scenarios import FILES, SimulatedCalls, play, scenario

each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


@each_file
def test_on_simulated_members(path: Path) -> None:
    cluster = Cluster(5, journaled="records", capacity=scenario(path)["capacity"])
    asyncio.run(asyncio.wait_for(play(scenario(path), SimulatedCalls(cluster), "records"), 60))


@each_file
def test_on_a_real_member(path: Path, address: str) -> None:
    said = scenario(path)

    async def go() -> None:
        config = GridConfig(address=address, cluster_name="grid-inference-tests")
        async with await Link.open(config) as link:
            name = f"simulation-{uuid.uuid4().hex[:8]}"
            items = said["capacity"] * link.partition_count
            await link.call(add_map_config_request(name, journal_capacity=items, settings=MapSettings()))
            await play(said, link, name)

    asyncio.run(asyncio.wait_for(go(), 60))

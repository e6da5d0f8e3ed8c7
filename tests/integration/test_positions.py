"""Positions as they stand in the grid, what is none of ours among them."""

from __future__ import annotations

import grid_inference as gi
from grid_inference.flow.positions import POSITIONS_MAP, Position, Positions
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap
from grid_inference.wire.json.values import encode_bytes, encode_json
from tests.integration.conftest import Names, on_a_link


def test_a_position_that_cant_be_read_is_none(local_grid: gi.Grid, names: Names) -> None:
    found: list[int] = []

    async def load(link: Link) -> None:
        positions, there = Positions(link, names.deployment), GridMap(link, POSITIONS_MAP)
        for partition in range(4):
            positions.advance(partition, Position(5, None), epoch=1, generation=1)
        await positions.flush(lambda *_: True)
        for partition, strange in ((1, encode_bytes(bytes(7))), (2, encode_json({}))):
            await there.set(positions._keys([partition])[0], strange)
        found.extend(await positions.load(list(range(6))))
        await positions.remove()

    on_a_link(local_grid, load)
    assert found == [0, 3]


def test_positions_come_back_as_they_were_stored(local_grid: gi.Grid, names: Names) -> None:
    """One of a partition that is scored by scans alone is none, which is not the beginning of a journal."""
    stored = [Position(0, None), Position(1, None), Position(1, 1), Position(1, 0), None]
    found = list[Position | None]()

    async def load(link: Link) -> None:
        positions = Positions(link, names.deployment)
        for partition, position in enumerate(stored):
            positions.advance(partition, position, epoch=1, generation=1)
        await positions.flush(lambda *_: True)
        known = await positions.load(list(range(6)))
        found.extend(known[partition].position for partition in sorted(known))
        await positions.remove()

    on_a_link(local_grid, load)
    assert found == stored

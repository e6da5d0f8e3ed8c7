"""Positions as they stand in the grid, what is none of ours among them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

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


def test_what_is_stored_later_stands_however_long_the_request_before_takes(
    local_grid: gi.Grid, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A partition is taken while positions are being stored by the clock: the request of these may be repeated."""
    found: list[Position | None] = []

    async def store(link: Link) -> None:
        positions = Positions(link, names.deployment)
        put_batch, later = positions._map.put_batch, asyncio.Event()

        async def held(*arguments: Any) -> None:
            monkeypatch.setattr(positions._map, "put_batch", put_batch)
            await asyncio.wait([asyncio.create_task(later.wait())], timeout=0.5)
            await put_batch(*arguments)

        monkeypatch.setattr(positions._map, "put_batch", held)
        positions.advance(0, Position(5, None), epoch=1, generation=1)
        first = asyncio.create_task(positions.flush(lambda *_: True))
        await asyncio.sleep(0)
        positions.advance(0, Position(6, None), epoch=1, generation=1)
        await positions.flush(lambda *_: True)
        later.set()
        await first
        known = await positions.load([0])
        found.append(known[0].position)
        await positions.remove()

    on_a_link(local_grid, store)
    assert found == [Position(6, None)]

"""A whole map's scan: each page once, a bounded number ahead, nothing left under way behind it."""

import asyncio
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any, cast

import pytest

from grid_inference.errors import ConnectionLostError
from grid_inference.grid.maps import PAGES_AHEAD, GridMap
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.keys import decode_keys, encode_keys
from grid_inference.wire.protocol.messages import SCAN_START, ScanPage

PARTITIONS, PAGES = 30, 4


class FakeMap(GridMap):
    """Partition p has the pages p * 10, p * 10 + 1 and so on, each with its number as its key."""

    def __init__(self, failing: int = -1) -> None:
        super().__init__(cast("Any", SimpleNamespace(partition_count=PARTITIONS)), "fake")
        self.failing = failing
        self.running = self.running_max = self.given = 0

    async def page(self, partition: int, position: Any, entries_max: int) -> ScanPage:
        self.running += 1
        self.running_max = max(self.running_max, self.running)
        try:
            await asyncio.sleep(0)
            number = 0 if position == SCAN_START else position[0][0]
            if partition * 10 + number == self.failing:
                raise ConnectionLostError("gone")
            following = ((number + 1, 1),) if number + 1 < PAGES else None
            self.given += 1
            return ScanPage(encode_keys([partition * 10 + number]), Blobs.of([b"v"]), following)
        finally:
            self.running -= 1


async def keys_of(source: FakeMap, stop_after: int | None = None) -> list[int]:
    found: list[int] = []
    async with aclosing(source.scan_all()) as pages:
        async for page in pages:
            found += decode_keys(page.keys)
            assert source.given - len(found) <= PAGES_AHEAD
            if len(found) == stop_after:
                break
    return found


def test_every_page_once_and_few_at_a_time():
    source = FakeMap()
    found = asyncio.run(keys_of(source))
    assert sorted(found) == [p * 10 + n for p in range(PARTITIONS) for n in range(PAGES)]
    assert 1 < source.running_max <= PAGES_AHEAD
    assert found == asyncio.run(keys_of(FakeMap()))


def test_left_early_nothing_goes_on():
    async def left() -> tuple[int, int]:
        source = FakeMap()
        await keys_of(source, 5)
        given = source.given
        await asyncio.sleep(0.01)
        return source.running, source.given - given

    assert asyncio.run(left()) == (0, 0)


def test_an_error_ends_it():
    async def failed() -> int:
        source = FakeMap(failing=52)
        with pytest.raises(ConnectionLostError):
            await keys_of(source)
        return source.running

    assert asyncio.run(failed()) == 0

"""A journal that was begun anew while a read is parked in it, which nothing tells: the look at idle feeds finds it."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from grid_inference.config import GridConfig, WorkerConfig
from grid_inference.flow import read
from grid_inference.flow.feeds import Feed
from grid_inference.flow.positions import Position
from grid_inference.flow.read import JournalReader, newest
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap
from grid_inference.grid.member import Member
from grid_inference.wire.json.values import encode_json
from grid_inference.wire.keys import guard_key

PARTITION = 3


@pytest.mark.parametrize("ahead", [1, 5])
def test_a_position_of_another_journal_is_found(member: Member, monkeypatch: pytest.MonkeyPatch, ahead: int) -> None:
    monkeypatch.setattr(read, "LOOK_EVERY_S", 0.0)

    async def go() -> list[str]:
        causes: list[str] = []
        scanned = asyncio.Event()
        link = await Link.open(GridConfig(address=member.address, cluster_name=member.cluster_name))
        features = f"incarnation-{uuid.uuid4().hex[:8]}"
        try:
            for number in range(4):
                key = guard_key(f"k{number}", PARTITION, link.partition_count)
                await GridMap(link, features).set(key, encode_json(number))
            end = (await newest(link, features, [PARTITION]))[PARTITION]
            assert end.sequence == 4
            assert end.witness is not None

            async def scan(_: Feed, cause: str) -> Position:
                causes.append(cause)
                scanned.set()
                return end

            reader = JournalReader(link, features, WorkerConfig(), scan, reconcile_s=60.0)
            reader.own(PARTITION, 1, Position(end.sequence + ahead, 1))
            while not scanned.is_set():
                await reader.watch()
                await asyncio.sleep(0.01)
            reader.stop()
        finally:
            await link.close()
        return causes

    assert set(asyncio.run(asyncio.wait_for(go(), 60))) == {"new incarnation"}


def test_the_ends_of_journals(member: Member) -> None:
    async def go() -> None:
        link = await Link.open(GridConfig(address=member.address, cluster_name=member.cluster_name))
        features = f"ends-{uuid.uuid4().hex[:8]}"
        try:
            key = guard_key("k", PARTITION, link.partition_count)
            await GridMap(link, features).set(key, encode_json(1))
            ends = await newest(link, features, [PARTITION + 1, PARTITION])
            assert ends[PARTITION + 1] == Position(0, None)
            assert (ends[PARTITION].sequence, type(ends[PARTITION].witness)) == (1, int)
            assert await newest(link, features, []) == {}
        finally:
            await link.close()

    asyncio.run(asyncio.wait_for(go(), 60))

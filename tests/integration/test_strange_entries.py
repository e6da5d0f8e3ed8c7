"""Bytes that are none of ours in the maps of leases, positions and workers: everything is scored all the same."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

import grid_inference as gi
from grid_inference.flow.positions import POSITIONS_MAP
from grid_inference.grid.leases import LEASES_MAP, holders
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap
from grid_inference.grid.topology import WORKERS_MAP
from grid_inference.wire.json.values import encode_bytes, encode_json
from grid_inference.wire.keys import encode_keys, guard_key
from tests.integration.conftest import FEATURES, Names, batch, on_a_link, state, until

PARTITIONS = 5
STRANGE = (
    encode_json({}),
    encode_json({"worker": 7, "epoch": 1e999}),
    encode_bytes(b"x" * 200),
    b"\0\0\0\0\0\0\0\1strange",
)
POSITIONS = (*STRANGE, encode_bytes(b"\xff" * 49))
WORKERS = (
    *STRANGE,
    encode_json(
        {
            "id": "x",
            "beat": 1,
            "pid": 1,
            "said_at_us": 1 << 60,
            "member": {},
            "machine": [],
            "home": 1 << 40,
            "phase": 7,
        }
    ),
    encode_json({"id": "y", "beat": 1, "pid": 1 << 70, "said_at_us": 1, "home": -3, "late": {"0": 1, "99999": 1}}),
)
SECONDS_MAX = 90.0


@pytest.fixture
def grid() -> Iterator[gi.Grid]:
    config = gi.MemberConfig(cluster_name=f"odd-{uuid.uuid4().hex[:8]}", heap_mb=512, partitions=PARTITIONS)
    with gi.local(workers=1, member=config) as grid:
        yield grid


def test_strange_entries_stop_nothing(grid: gi.Grid, model: Any, names: Names) -> None:
    grid.deploy(names.deployment, model, features=names.features, columns=FEATURES)
    features = grid.features(names.features)
    features.put_batch(batch(500), key="key")
    assert grid.verify(names.deployment, SECONDS_MAX).complete
    pids = grid.workers.pids if grid.workers else []
    held: dict[int, tuple[str, int]] = {}

    async def plant(link: Link) -> None:
        held.update(await holders(link))
        for number, value in enumerate(WORKERS):
            await GridMap(link, WORKERS_MAP).set(encode_keys([f"planted-{number}"])[0], value)
        for partition, value in enumerate(POSITIONS):
            key = guard_key(f"{names.deployment}/{partition}", partition, PARTITIONS)
            await GridMap(link, POSITIONS_MAP).set(key, value)
        for partition, value in enumerate(STRANGE):
            await GridMap(link, LEASES_MAP).set(guard_key(f"lease/{partition}", partition, PARTITIONS), value)

    async def look(link: Link) -> None:
        now.clear()
        now.update(await holders(link))

    def taken_anew() -> bool:
        on_a_link(grid, look)
        return all(who and (who, epoch) != held[one] for one, (who, epoch) in now.items() if one < len(STRANGE))

    now: dict[int, tuple[str, int]] = {}
    on_a_link(grid, plant)
    assert state(grid, names).name == names.deployment, "status can be asked for"
    until(taken_anew, "the new leases", SECONDS_MAX)
    features.put_batch(batch(500, seed=1), key="key")
    assert grid.verify(names.deployment, SECONDS_MAX).complete
    until(lambda: state(grid, names).lag == 0, "the end of every journal", SECONDS_MAX)
    until(lambda: state(grid, names).owned == PARTITIONS, "the owner of each partition", SECONDS_MAX)
    assert (grid.workers.pids if grid.workers else []) == pids, "a worker has ended"


def test_strange_positions_are_none(grid: gi.Grid, model: Any, names: Names) -> None:
    """Where nobody owns the partitions at that time: whoever takes them on reads them."""
    grid.deploy(names.deployment, model, features=names.features, columns=FEATURES)
    grid.features(names.features).put_batch(batch(500), key="key")
    assert grid.verify(names.deployment, SECONDS_MAX).complete
    grid.pause(names.deployment)
    until(lambda: state(grid, names).owned == 0, "the pause", SECONDS_MAX)

    async def plant(link: Link) -> None:
        for partition, value in enumerate(POSITIONS):
            key = guard_key(f"{names.deployment}/{partition}", partition, PARTITIONS)
            await GridMap(link, POSITIONS_MAP).set(key, value)

    on_a_link(grid, plant)
    assert state(grid, names).lag is None, "what can't be read says nothing"
    grid.resume(names.deployment)
    grid.features(names.features).put_batch(batch(500, seed=1), key="key")
    assert grid.verify(names.deployment, SECONDS_MAX).complete
    until(lambda: state(grid, names).lag == 0, "the end of every journal", SECONDS_MAX)

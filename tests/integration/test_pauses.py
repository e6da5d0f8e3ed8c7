"""Processes that stop for a while and go on: whose partitions they are then, and that no older value stands."""

from __future__ import annotations

import os
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psutil
import pytest

import grid_inference as gi
from grid_inference.grid.leases import holders
from grid_inference.grid.link import Link
from grid_inference.grid.liveness import live_workers
from grid_inference.grid.topology import read_workers
from grid_inference.node.nodes import Nodes
from tests.integration.conftest import Names, batch, on_a_link, state, until
from tests.slow import FIELDS, fitted

PARTITIONS = 7
RECORDS = 1200
ROW_S = 0.004
PAUSES = 3
MEMBER_PAUSE_S = 4.5
SECONDS_MAX = 120.0
"""All of this takes seconds; machines may be busy."""
pytestmark = [pytest.mark.timeout(600), pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")]


@pytest.fixture
def grid() -> Iterator[gi.Grid]:
    config = gi.MemberConfig(cluster_name=f"pause-{uuid.uuid4().hex[:8]}", heap_mb=512, partitions=PARTITIONS)
    with gi.local(workers=2, member=config) as grid:
        yield grid


def test_a_worker_that_was_stopped_in_a_batch_leaves_no_older_value(grid: gi.Grid, names: Names) -> None:
    grid.deploy(names.deployment, fitted(ROW_S), features=names.features, columns=FIELDS)
    until(lambda: state(grid, names).owned == PARTITIONS, "the partitions' owners", SECONDS_MAX)
    features, seed = grid.features(names.features), 0

    def put() -> None:
        nonlocal seed
        seed += 1
        features.put_batch(batch(RECORDS, seed=seed), key="key")

    for _ in range(PAUSES):
        assert grid.verify(names.deployment, SECONDS_MAX).complete
        stopped = min(worker["pid"] for worker in grid.status().workers)
        put()
        put()
        os.kill(stopped, signal.SIGSTOP)
        try:
            put()
            until(lambda: grid.verify(names.deployment, 0).complete, "the takeover", SECONDS_MAX)
        finally:
            os.kill(stopped, signal.SIGCONT)
        until(lambda: owners(grid, names) == 2, "the return of the worker's share", SECONDS_MAX)
        # What it had handed to its sockets may leave it now, and is repaired by who owns the partition: not by chance.
        until(lambda: grid.verify(names.deployment, 0).complete, "the repair of what came late", SECONDS_MAX)
    put()
    assert grid.verify(names.deployment, SECONDS_MAX).complete
    until(lambda: state(grid, names).owned == PARTITIONS, "one owner a partition", SECONDS_MAX)
    until(lambda: state(grid, names).lag == 0, "the end of every journal", SECONDS_MAX)
    assert state(grid, names).unexplained == 0


def owners(grid: gi.Grid, names: Names) -> int:
    """How many workers feed partitions."""
    found: list[dict[str, Any]] = []

    async def read(link: Link) -> None:
        found.extend((await live_workers(link)).values())

    on_a_link(grid, read)
    return sum(one["deployments"].get(names.deployment, {}).get("owned", 0) > 0 for one in found)


def test_the_pause_of_one_member_costs_no_worker_elsewhere_its_leases() -> None:
    config = gi.MemberConfig(cluster_name=f"three-{uuid.uuid4().hex[:8]}", heap_mb=256, partitions=11)
    with Nodes(config, 1) as nodes:
        for _ in range(3):
            nodes.add()
        with gi.connect(nodes.address, cluster_name=config.cluster_name) as grid:
            grid.wait_for_workers(3, 180)

            def settled() -> dict[int, tuple[str, int]]:
                return elsewhere(grid, nodes.members[-1].address)

            until(lambda: len(leases(grid)) == 11 and all(who for who, _ in leases(grid).values()), "owners", 120)
            before = stable(settled)
            assert before
            member = psutil.Process(nodes.members[-1].pid)
            member.suspend()
            time.sleep(MEMBER_PAUSE_S)  # the fault itself
            member.resume()
            until(lambda: all(who for who, _ in leases(grid).values()), "owners", 120)
            time.sleep(2.0)  # several turns, in which a wrong takeover would come
            after = leases(grid)
            assert {partition: after[partition] for partition in before} == before


def leases(grid: gi.Grid) -> dict[int, tuple[str, int]]:
    found: dict[int, tuple[str, int]] = {}

    async def read(link: Link) -> None:
        found.update(await holders(link))

    on_a_link(grid, read)
    return found


def elsewhere(grid: gi.Grid, address: str) -> dict[int, tuple[str, int]]:
    """The leases of workers of all members but this one."""
    found: dict[int, tuple[str, int]] = {}

    async def read(link: Link) -> None:
        members = {where: member for member, where in link.members().items()}
        there = {name for name, said in (await read_workers(link)).items() if said["member"] != members[address]}
        found.update({one: held for one, held in (await holders(link)).items() if held[0] in there})

    on_a_link(grid, read)
    return found


def stable(read: Callable[[], dict[int, tuple[str, int]]]) -> dict[int, tuple[str, int]]:
    """What is read when it has not changed for some turns."""
    last, since_s = read(), time.monotonic()
    until_s = since_s + SECONDS_MAX
    while time.monotonic() < since_s + 3.0:
        now = read()
        if now != last:
            last, since_s = now, time.monotonic()
        assert since_s < until_s
    return last

"""Models that take long to load or to score: they hold up no other deployment, no share, no takeover and no stop."""

from __future__ import annotations

import sys
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import grid_inference as gi
from grid_inference.grid import liveness
from grid_inference.grid.link import Link
from grid_inference.grid.topology import LOADING, READY, read_workers
from grid_inference.node.workers import Workers
from tests.integration.conftest import Names, batch, on_a_link, until
from tests.slow import FIELDS, LOADS_BEHIND, SCORES_BEHIND, fitted

PARTITIONS = 5
RECORDS = 500
SECONDS_MAX = 90.0
"""All of this takes seconds; machines may be busy."""
pytestmark = [
    pytest.mark.timeout(400),
    pytest.mark.filterwarnings("ignore::grid_inference.errors.NoWorkersWarning"),  # workers come after the deploy
    pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX"),
]


@pytest.fixture
def member(monkeypatch: pytest.MonkeyPatch) -> Iterator[gi.Member]:
    monkeypatch.setattr(liveness, "COMING_S", 0.0)
    config = gi.MemberConfig(cluster_name=f"slow-{uuid.uuid4().hex[:8]}", heap_mb=512, partitions=PARTITIONS)
    with gi.Member.start(config) as started:
        yield started


@pytest.fixture
def grid(member: gi.Member) -> Iterator[gi.Grid]:
    with gi.connect(member.address, cluster_name=member.cluster_name) as grid:
        yield grid


def workers(member: gi.Member, **environment: str) -> Workers:
    """One worker, which is told by its environment what its models wait for."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"GRID_INFERENCE_SCORE_TIMEOUT_S": "300", **environment}.items():
            patch.setenv(name, value)
        return Workers(member.address, member.cluster_name, 1, node_address=member.address).start()


def said(grid: gi.Grid) -> dict[int, dict[str, Any]]:
    """What the workers say of themselves, by process id."""
    found: dict[int, dict[str, Any]] = {}

    async def read(link: Link) -> None:
        found.update({one["pid"]: one for one in (await read_workers(link)).values()})

    on_a_link(grid, read)
    return found


def owned(grid: gi.Grid, workers: Workers, deployment: str) -> int:
    [pid] = workers.pids
    return said(grid).get(pid, {"deployments": {}})["deployments"].get(deployment, {}).get("owned", 0)


def gaps(grid: gi.Grid, deployment: str) -> Counter[str]:
    """All gaps that living workers have declared, by cause."""
    [one] = [one for one in grid.status().deployments if one.name == deployment]
    return Counter(one.gaps)


def test_nobody_takes_over_from_the_living_because_a_model_loads_slowly(
    member: gi.Member, grid: gi.Grid, names: Names, tmp_path: Path
) -> None:
    with workers(member):
        grid.deploy(names.deployment, fitted(gated=True), features=names.features, columns=FIELDS)
        until(lambda: bool(grid.status().deployments[0].owned), "the deployment", SECONDS_MAX)
    gate = tmp_path / "loaded"
    with workers(member, **{LOADS_BEHIND: str(gate)}) as slow:
        until(lambda: slow.pids[0] in said(grid), "the sign of life", SECONDS_MAX)
        with workers(member) as quick:
            until(lambda: owned(grid, quick, names.deployment) == PARTITIONS, "the share of who is ready", SECONDS_MAX)
            grid.features(names.features).put_batch(batch(RECORDS), key="key")
            assert grid.verify(names.deployment, SECONDS_MAX).complete
            assert said(grid)[slow.pids[0]]["phase"] == LOADING
            assert said(grid)[quick.pids[0]]["phase"] == READY
            gate.touch()
            until(lambda: owned(grid, slow, names.deployment) > 0, "the share of the slow one", SECONDS_MAX)
            until(lambda: grid.status().deployments[0].owned == PARTITIONS, "one owner a partition", SECONDS_MAX)
            grid.features(names.features).put_batch(batch(RECORDS, seed=1), key="key")
            assert grid.verify(names.deployment, SECONDS_MAX).complete
            assert not gaps(grid, names.deployment)["taken over"]
            assert (slow.restarts, quick.restarts) == (0, 0)


def test_a_slow_deployment_holds_up_no_other_one_no_share_and_no_stop(
    member: gi.Member, grid: gi.Grid, names: Names, tmp_path: Path
) -> None:
    gate, fast, fast_features = tmp_path / "scored", f"{names.deployment}-fast", f"{names.features}-fast"
    first = workers(member, **{SCORES_BEHIND: str(gate)})
    try:
        grid.deploy(names.deployment, fitted(gated=True), features=names.features, columns=FIELDS)
        grid.features(names.features).put_batch(batch(RECORDS), key="key")
        until(lambda: any(one.batches for one in grid.status().deployments), "the batch that is under way", SECONDS_MAX)
        grid.deploy(fast, fitted(), features=fast_features, columns=FIELDS)
        grid.features(fast_features).put_batch(batch(RECORDS), key="key")
        assert grid.verify(fast, SECONDS_MAX).complete
        assert not grid.verify(names.deployment, 0).complete
        with workers(member) as second:
            until(lambda: owned(grid, second, fast) == PARTITIONS // 2, "the share of the new one", SECONDS_MAX)
            assert grid.verify(fast, SECONDS_MAX).complete
            [process] = [slot.process for slot in first._slots]
            first.stop()
            assert process.returncode == 0, "it was killed"
            # It is taken up by who is there, as what was given back, not as what a dead worker left.
            assert grid.verify(names.deployment, SECONDS_MAX).complete
            until(lambda: owned(grid, second, fast) == PARTITIONS, "all partitions", SECONDS_MAX)
            assert not gaps(grid, fast)["taken over"]
            assert not gaps(grid, names.deployment)["taken over"]
    finally:
        gate.touch()
        first.stop()

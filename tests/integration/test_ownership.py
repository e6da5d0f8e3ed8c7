"""Workers that die, stop and wake up: who takes over, what is compared, and that nothing is lost meanwhile."""

from __future__ import annotations

import os
import signal
import sys
import time
import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

import grid_inference as gi
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap
from grid_inference.wire.keys import encode_keys
from tests.integration.conftest import FEATURES, Names, batch, on_a_link, until

PARTITIONS = 5
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@contextmanager
def proving() -> Generator[gi.Grid]:
    """A member with two workers that compare every partition each second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRID_INFERENCE_PROOF_INTERVAL_S", "1")
        config = gi.MemberConfig(cluster_name=f"own-{uuid.uuid4().hex[:8]}", heap_mb=512, partitions=PARTITIONS)
        with gi.local(workers=2, member=config) as grid:
            yield grid


@pytest.fixture(scope="module")
def grid() -> Iterator[gi.Grid]:
    """For tests that kill and stop workers: for 20 s after a takeover a difference counts as a late write."""
    with proving() as grid:
        yield grid


@pytest.fixture
def deployed(grid: gi.Grid, model: Any, names: Names) -> Iterator[gi.Predictions]:
    grid.deploy(names.deployment, model, features=names.features, columns=FEATURES)
    until(lambda: status(grid, names).owned == PARTITIONS, "the partitions' owners")
    yield grid.predictions(names.deployment)
    grid.undeploy(names.deployment)


def status(grid: gi.Grid, names: Names) -> Any:
    return next(one for one in grid.status().deployments if one.name == names.deployment)


def a_worker(grid: gi.Grid) -> int:
    return min(worker["pid"] for worker in grid.status().workers)


def test_an_intact_deployment_is_proven_without_a_repair(grid: gi.Grid, deployed: gi.Predictions, names: Names) -> None:
    features = grid.features(names.features)
    features.put_batch(batch(2_000), key="key")
    assert grid.verify(names.deployment).complete
    written_s = time.time()

    def proven_since() -> bool:
        features.put_batch(batch(200, seed=3), key="key")
        age_s = status(grid, names).proven_age_s
        return age_s is not None and time.time() - age_s > written_s

    until(proven_since, "the proof of all partitions")
    assert grid.verify(names.deployment).complete
    found = status(grid, names)
    assert (found.unexplained, found.repairs) == (0, {})


async def _copied(link: Link, name: str, key: int, copy: int) -> None:
    """Write the value of a key under another one as well."""
    of, to = encode_keys([key, copy]).tolist()
    value = await GridMap(link, name).get(of)
    assert value
    await GridMap(link, name).set(to, value)


def test_a_difference_that_nothing_explains_is_counted_and_repaired(model: Any, names: Names) -> None:
    with proving() as grid:
        grid.deploy(names.deployment, model, features=names.features, columns=FEATURES)
        grid.features(names.features).put_batch(batch(500), key="key")
        assert grid.verify(names.deployment, 30).complete
        predictions = grid.features(f"{names.deployment}.predictions")
        predictions.remove(7)
        predictions.put(-2, {"x": 1.0})  # no prediction at all: nobody here touches it
        on_a_link(grid, lambda link: _copied(link, predictions.name, 3, -1))  # an orphan
        until(lambda: grid.predictions(names.deployment).get(7) is not None, "the repair of what was missing")
        until(lambda: predictions.get(-1) is None, "the removal of the orphan")
        until(lambda: status(grid, names).unexplained == 2, "the count of both")
        assert predictions.get(-2) == {"x": 1.0}
        assert grid.verify(names.deployment).complete


def test_a_killed_worker_is_replaced_and_nothing_is_lost(grid: gi.Grid, deployed: gi.Predictions, names: Names) -> None:
    features = grid.features(names.features)
    features.put_batch(batch(3_000), key="key")
    os.kill(a_worker(grid), signal.SIGKILL)
    features.put_batch(batch(3_000, seed=1), key="key")
    assert grid.verify(names.deployment, 20).complete
    until(lambda: status(grid, names).gaps.get("taken over", 0) > 0, "the declared takeover")
    assert status(grid, names).unexplained == 0


def test_a_stopped_worker_that_wakes_up_leaves_no_older_prediction(
    grid: gi.Grid, deployed: gi.Predictions, names: Names
) -> None:
    features = grid.features(names.features)
    features.put_batch(batch(3_000), key="key")
    stopped = a_worker(grid)
    os.kill(stopped, signal.SIGSTOP)
    try:
        features.put_batch(batch(3_000, seed=1), key="key")
        until(lambda: grid.verify(names.deployment, 0).complete, "the takeover")
        features.put_batch(batch(3_000, seed=2), key="key")
    finally:
        os.kill(stopped, signal.SIGCONT)
    assert grid.verify(names.deployment, 20).complete
    until(lambda: stopped in {worker["pid"] for worker in grid.status().workers}, "the sign of life")
    features.put_batch(batch(3_000, seed=4), key="key")
    assert grid.verify(names.deployment, 20).complete
    assert status(grid, names).unexplained == 0

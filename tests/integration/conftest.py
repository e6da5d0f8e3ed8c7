"""A grid with one worker for the whole run; every test takes maps and deployments of its own names."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Awaitable, Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import grid_inference as gi
from grid_inference.grid.link import Link

FEATURES = ("a", "b", "c")
SETTLE_S = 30.0
INPUTS = np.random.default_rng(11).random((400, 3))


@pytest.fixture(scope="session")
def local_grid() -> Iterator[gi.Grid]:
    """A member of our own with one worker process."""
    with gi.local(workers=1, member=gi.MemberConfig(cluster_name=f"flow-{uuid.uuid4().hex[:8]}", heap_mb=1024)) as grid:
        yield grid


@pytest.fixture(scope="session")
def model() -> Any:
    """A binary classifier over three named fields."""
    rng = np.random.default_rng(7)
    inputs = rng.random((500, 3))
    labels = np.where(inputs.sum(axis=1) > 1.5, "fraud", "authentic")
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(inputs, labels)


@dataclass
class Names:
    """Names that nobody else uses."""

    deployment: str
    features: str


@pytest.fixture
def names() -> Names:
    """Fresh names for one test."""
    token = uuid.uuid4().hex[:10]
    return Names(f"d{token}", f"f{token}")


@pytest.fixture
def deployed(local_grid: gi.Grid, model: Any, names: Names) -> Iterator[gi.Predictions]:
    """The model at work on a map of its own."""
    local_grid.deploy(names.deployment, model, features=names.features, columns=FEATURES, nan="dead-letter")
    yield local_grid.predictions(names.deployment)
    local_grid.undeploy(names.deployment)


def fitted(slope: float) -> LogisticRegression:
    """A model that differs from those of other slopes by each of its scores."""
    return LogisticRegression(C=slope).fit(INPUTS, INPUTS.sum(axis=1) > 1.5)


@pytest.fixture
def name() -> str:
    """A model's name that nobody else uses."""
    return f"m{uuid.uuid4().hex[:10]}"


@pytest.fixture
def published(local_grid: gi.Grid, names: Names, name: str) -> Iterator[list[LogisticRegression]]:
    """Three versions, the first of which is at work by the alias."""
    models = [fitted(slope) for slope in (0.01, 1.0, 100.0)]
    for one in models:
        local_grid.publish(one, name=name, columns=FEATURES, sample=INPUTS[:30])
    local_grid.promote(name, 1)
    local_grid.deploy(names.deployment, f"{name}@champion", features=names.features)
    yield models
    local_grid.undeploy(names.deployment)


def batch(count: int, seed: int = 0, first_key: int = 0) -> dict[str, Any]:
    """Columns of `count` records and their keys in the column `key`."""
    rng = np.random.default_rng(seed)
    return {name: rng.random(count) for name in FEATURES} | {"key": np.arange(first_key, first_key + count)}


def on_a_link(grid: gi.Grid, work: Callable[[Link], Awaitable[Any]]) -> None:
    """Do something to the grid's own maps, past the API."""

    async def run() -> None:
        async with await Link.open(gi.GridConfig(address=grid.address, cluster_name=grid.cluster_name)) as link:
            await work(link)

    asyncio.run(asyncio.wait_for(run(), 60))


@contextmanager
def under_load(put: Callable[[int], None], pause_s: float = 0.02) -> Generator[list[int]]:
    """Put again and again in a thread, with a number that counts up from 0; what that raises is raised in the end.

    Gives the numbers that were put, to be read behind the block.
    """
    stopping, failures, done = threading.Event(), list[BaseException](), list[int]()

    def load() -> None:
        try:
            while not stopping.is_set():
                put(len(done))
                done.append(len(done))
                time.sleep(pause_s)
        except BaseException as error:  # noqa: BLE001 - the test raises it
            failures.append(error)

    loading = threading.Thread(target=load)
    loading.start()
    try:
        yield done
    finally:
        stopping.set()
        loading.join()
    assert not failures


def state(grid: gi.Grid, names: Names) -> Any:
    """The status of the test's deployment."""
    return next(one for one in grid.status().deployments if one.name == names.deployment)


def until(condition: Callable[[], bool], what: str, timeout_s: float = SETTLE_S) -> None:
    """Wait for something that is bound to happen; fail with its name if it does not."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {timeout_s} s"
        time.sleep(0.02)

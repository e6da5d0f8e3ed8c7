"""What an undeployed deployment has written goes when that is asked for, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sklearn.linear_model import LinearRegression

import grid_inference as gi
from grid_inference.cli.app import run
from grid_inference.flow.positions import Positions
from grid_inference.grid.link import Link
from tests.integration.conftest import FEATURES, Names, batch, on_a_link, until

KEYS = 50
SETTINGS: dict[str, Any] = {"columns": FEATURES, "nan": "dead-letter"}


@pytest.fixture
def at_work(local_grid: gi.Grid, model: Any, names: Names) -> Iterator[gi.Grid]:
    """A deployment with predictions, a dead letter and positions."""
    local_grid.deploy(names.deployment, model, features=names.features, **SETTINGS)
    features = local_grid.features(names.features)
    features.put_batch(batch(KEYS), key="key")
    features.put(KEYS, {"a": 0.1, "b": float("nan"), "c": 0.2})
    until(lambda: left(local_grid, names) == (KEYS, 1), "the results")
    yield local_grid
    if names.deployment in local_grid.deployments():
        local_grid.undeploy(names.deployment)


def left(grid: gi.Grid, names: Names) -> tuple[int, int]:
    """How many predictions and dead letters are there."""
    return (
        grid.features(f"{names.deployment}.predictions").size(),
        grid.features(f"{names.deployment}.dead-letters").size(),
    )


def positions(grid: gi.Grid, names: Names) -> int:
    found: list[int] = []

    async def load(link: Link) -> None:
        found.append(len(await Positions(link, names.deployment).load(list(range(link.partition_count)))))

    on_a_link(grid, load)
    return found[0]


def test_results_go_and_records_stay(at_work: gi.Grid, model: Any, names: Names) -> None:
    until(lambda: positions(at_work, names) > 0, "the first positions")
    assert at_work.undeploy(names.deployment, forget=True).state == "undeployed"
    assert (left(at_work, names), positions(at_work, names)) == ((0, 0), 0)
    assert at_work.features(names.features).size() == KEYS + 1
    at_work.deploy(names.deployment, model, features=names.features, **SETTINGS)
    until(lambda: left(at_work, names) == (KEYS, 1), "the results of the same name anew")
    assert at_work.verify(names.deployment, wait_s=30).complete


def test_what_was_undeployed_before_can_be_forgotten_still(
    at_work: gi.Grid, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work.undeploy(names.deployment)
    assert left(at_work, names) == (KEYS, 1)
    monkeypatch.setenv("GRID_INFERENCE_ADDRESS", at_work.address)
    monkeypatch.setenv("GRID_INFERENCE_CLUSTER", at_work.cluster_name)
    assert run(["undeploy", names.deployment, "--forget"]) == 0
    assert left(at_work, names) == (0, 0)
    assert run(["undeploy", "nobody", "--forget"]) != 0


def test_a_map_that_something_else_uses_is_refused_before_anything_is_changed(at_work: gi.Grid, names: Names) -> None:
    other, scores = f"{names.deployment}-other", f"{names.deployment}.predictions"
    second = LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
    with pytest.warns(gi.NoJournalWarning):
        at_work.deploy(other, second, features=scores, columns=["score"], trigger="listener")
    try:
        with pytest.raises(gi.DeploymentError, match=f"is used by another: the feature map of {other}") as caught:
            at_work.undeploy(names.deployment, forget=True)
        assert "nothing was changed" in caught.value.remedy
        assert at_work.deployment(names.deployment).state == "running"
        assert left(at_work, names) == (KEYS, 1)
    finally:
        at_work.undeploy(other)


def test_a_map_that_was_named_for_it_stays(local_grid: gi.Grid, model: Any, names: Names) -> None:
    named = f"{names.features}-scores"
    local_grid.deploy(names.deployment, model, features=names.features, predictions=named, **SETTINGS)
    local_grid.features(names.features).put_batch(batch(KEYS), key="key")
    until(lambda: local_grid.features(named).size() == KEYS, "the results")
    local_grid.undeploy(names.deployment, forget=True)
    assert local_grid.features(named).size() == KEYS

"""A shadow: another version scores what is scored, into a map of its own, and harms nobody whatever it does."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import grid_inference as gi
from grid_inference.grid.link import Link
from grid_inference.grid.mapconfig import has_journal
from grid_inference.model.store.catalog import Catalog
from grid_inference.model.store.published import Reference
from grid_inference.model.store.registry import Registry
from tests.integration.conftest import FEATURES, INPUTS, Names, batch, on_a_link, state, under_load, until
from tests.poison import EXIT, FIELDS, HANG, KILL, RAISE, SPIN, fitted

ROOT = Path(__file__).resolve().parents[2]
KEYS = 500


def put(grid: gi.Grid, names: Names, seed: int, count: int = KEYS) -> np.ndarray[Any, Any]:
    """Put keys anew, wait until each new value is scored; the inputs."""
    columns = batch(count, seed)
    grid.features(names.features).put_batch(columns, key="key")
    verdict = grid.verify(names.deployment, wait_s=30)
    assert verdict.complete, str(verdict)
    return np.stack([columns[field] for field in FEATURES], axis=1)


async def without_journal(link: Link, name: str) -> None:
    """Nobody reads a journal of what is derived."""
    assert not await has_journal(link, name)


def shadow(grid: gi.Grid, names: Names) -> dict[str, Any]:
    """What the status says of the shadow."""
    found = state(grid, names).shadow
    assert found is not None
    return found


def by_key(predictions: gi.Predictions) -> dict[int, Any]:
    table = predictions.to_arrow()
    return dict(zip(table["key"].to_pylist(), table.to_pylist(), strict=True))


def test_it_scores_the_same_records_into_a_map_of_its_own(
    local_grid: gi.Grid, names: Names, name: str, published: list[LogisticRegression]
) -> None:
    topic = local_grid.predictions(names.deployment).subscribe(source="topic", timeout=1.0)
    deployed = local_grid.shadow(names.deployment, f"{name}@2", budget=1.0)
    assert deployed.shadow is not None
    on_a_link(local_grid, lambda link: without_journal(link, deployed.config.shadow_predictions))
    assert str(deployed.shadow.version) == f"{name}@2"
    beside = local_grid.predictions(names.deployment, shadow=True)
    seeds = iter(range(100))
    inputs = np.empty((0, 3))

    def all_are_there() -> bool:
        """Of each batch it takes what there is time for, at first little."""
        nonlocal inputs
        inputs = put(local_grid, names, next(seeds))
        until(lambda: shadow(local_grid, names)["scored"] > 0, "the first of them")
        rows = by_key(beside)
        mine = by_key(local_grid.predictions(names.deployment))
        return len(rows) == KEYS and all(rows[key]["input_digest"] == mine[key]["input_digest"] for key in mine)

    until(all_are_there, "the same records", 60.0)
    rows = by_key(beside)
    expected = published[1].predict_proba(inputs)[:, 1]
    np.testing.assert_allclose([rows[key]["score"] for key in range(KEYS)], expected, rtol=0, atol=1e-12)
    assert {row["version"] for row in rows.values()} == {2}
    assert {row["version"] for row in by_key(local_grid.predictions(names.deployment)).values()} == {1}
    with topic:
        assert {one.version for one in topic} == {1}, "nothing of a shadow is published"
    assert local_grid.verify(names.deployment).complete

    local_grid.features(names.features).remove(3)
    until(lambda: beside.get(3) is None, "the removal")
    local_grid.end_shadow(names.deployment)
    assert state(local_grid, names).shadow is None
    assert beside.get(4) is not None, "what it has predicted stays"
    local_grid.shadow(names.deployment, f"{name}@3")
    assert beside.size() == 0, "until another one begins"


def test_its_budget_holds_and_changes_live(
    local_grid: gi.Grid, names: Names, name: str, published: list[LogisticRegression]
) -> None:
    features = local_grid.features(names.features)
    local_grid.shadow(names.deployment, f"{name}@2", budget=0.05)

    with under_load(lambda number: features.put_batch(batch(5000, number), key="key")):
        until(lambda: shadow(local_grid, names)["scored"] > 0, "the first of them")
        until(lambda: shadow(local_grid, names)["skipped"] > 5000, "more than it has time for")
        assert local_grid.shadow(names.deployment, f"{name}@2", budget=1.0).shadow.budget == 1.0  # type: ignore[union-attr]
        assert shadow(local_grid, names)["budget"] == 1.0
        before = shadow(local_grid, names)["scored"]
        until(lambda: shadow(local_grid, names)["scored"] > before + 2000, "more of them")
    assert local_grid.verify(names.deployment, wait_s=30).complete


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("mark", [KILL, EXIT, HANG, SPIN, RAISE], ids=["kill", "exit", "hang", "spin", "raise"])
def test_whatever_its_model_does_the_worker_goes_on(
    local_grid: gi.Grid, names: Names, name: str, published: list[LogisticRegression], mark: float
) -> None:
    assert local_grid.workers
    restarts = local_grid.workers.restarts
    other = f"n{uuid.uuid4().hex[:10]}"
    local_grid.publish(fitted(), name=other, columns=FIELDS, sample=INPUTS[:30])
    local_grid.shadow(names.deployment, f"{other}@1", budget=1.0)
    features = local_grid.features(names.features)
    features.put_batch({"a": [0.5, mark, 0.5], "b": [0.5] * 3, "c": [0.5] * 3, "key": [1, 2, 3]}, key="key")
    assert local_grid.verify(names.deployment, wait_s=30).complete
    assert local_grid.predictions(names.deployment).get(2) is not None
    raises = mark == RAISE

    def told() -> bool:
        said = shadow(local_grid, names)
        return said["refused"].get("MODEL_ERROR", 0) == 1 if raises else said["skipped"] >= 1

    until(told, "the end of it", 90.0)
    beside = local_grid.predictions(names.deployment, shadow=True)
    assert beside.get(2) is None

    def goes_on() -> bool:
        features.put(9, dict.fromkeys(FIELDS, 0.25))
        return beside.get_current(9) is not None

    until(goes_on, "the next record", 60.0)
    assert local_grid.dead_letters(names.deployment) == []
    assert local_grid.workers.restarts == restarts


def test_promoting_it_ends_it(
    local_grid: gi.Grid, names: Names, name: str, published: list[LogisticRegression]
) -> None:
    local_grid.shadow(names.deployment, f"{name}@2")
    local_grid.promote(name, 3)
    assert shadow(local_grid, names)["version"] == 2, "another promotion leaves it"
    with pytest.raises(gi.ModelError, match="in use"):
        local_grid.delete_version(name, 2)
    local_grid.promote(name, 2)
    assert state(local_grid, names).shadow is None
    until(lambda: not any(one["shadow"] for one in local_grid.worker_counts(names.deployment).values()), "its end")


def test_a_version_that_can_not_be_one_changes_nothing(
    local_grid: gi.Grid, names: Names, name: str, published: list[LogisticRegression]
) -> None:
    with pytest.raises(gi.ModelError, match="at work"):
        local_grid.shadow(names.deployment, f"{name}@1")
    with pytest.raises(gi.ModelError, match="no version 9"):
        local_grid.shadow(names.deployment, f"{name}@9")
    with pytest.raises(gi.ConfigError, match="budget"):
        local_grid.shadow(names.deployment, f"{name}@2", budget=0)
    with pytest.raises(gi.DeploymentError):
        local_grid.shadow("nobody", f"{name}@2")
    put(local_grid, names, 0, 10)
    other = f"n{uuid.uuid4().hex[:10]}"
    local_grid.publish(published[0], name=other, columns=("x", "y", "z"))
    with pytest.raises(gi.SignatureError, match="x"):
        local_grid.shadow(names.deployment, f"{other}@1")
    mine, own = f"e{uuid.uuid4().hex[:10]}", f"{names.deployment}.predictions.shadow"
    with pytest.raises(gi.DeploymentError, match="for its shadow"):
        local_grid.deploy(mine, f"{name}@1", features=f"{mine}-records", dead_letters=own)
    plant(local_grid, mine, f"{name}@1", own)
    with pytest.raises(gi.DeploymentError, match="in which a shadow"):
        local_grid.shadow(names.deployment, f"{name}@2")
    local_grid.undeploy(mine)
    assert state(local_grid, names).shadow is None


def plant(grid: gi.Grid, deployment: str, version: str, dead_letters: str) -> None:
    """A deployment as it may stand since before its names were held against the others'."""

    async def deploy(link: Link) -> None:
        reference = Reference.parse(version)
        assert reference
        config = gi.DeploymentConfig(deployment, f"{deployment}-records", dead_letters=dead_letters)
        await Registry(link).deploy(config, await Catalog(link).version(reference))

    on_a_link(grid, deploy)


def test_what_is_never_published_is_not_waited_for(
    local_grid: gi.Grid, names: Names, published: list[LogisticRegression]
) -> None:
    beside = local_grid.predictions(names.deployment, shadow=True)
    with pytest.raises(gi.ConfigError, match="shadow"):
        beside.predict(1, dict.fromkeys(FEATURES, 0.5))
    with pytest.raises(gi.ConfigError, match="shadow"):
        beside.subscribe(source="topic")


def test_the_command(local_grid: gi.Grid, names: Names, name: str, published: list[LogisticRegression]) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        where = ["--address", local_grid.address, "--cluster-name", local_grid.cluster_name]
        command = [sys.executable, "-m", "grid_inference.cli", *words, *where]
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=60, check=False)

    assert run("models", "shadow", names.deployment).returncode == 2
    done = run("models", "shadow", names.deployment, f"{name}@2", "--budget", "0.3")
    assert done.stdout == f"{name}@2 is a shadow of {names.deployment}, in {names.deployment}.predictions.shadow\n"
    assert f"{name}@2 shadow" in run("status").stdout
    said = json.loads(run("models", "shadow", names.deployment, f"{name}@2", "--budget", "0.4", "--json").stdout)
    assert said["shadow"] == {"version": f"{name}@2", "budget": 0.4}
    assert "has no shadow" in run("models", "shadow", names.deployment, "--end").stdout

"""A deploy whose model can't be loaded says so before it returns, and what was at work goes on; how that is mended."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sklearn.ensemble import RandomForestClassifier

import grid_inference as gi
from grid_inference.config import DeploymentConfig
from grid_inference.grid import liveness
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap
from grid_inference.grid.topology import WORKERS_MAP
from grid_inference.model.store.catalog import Catalog
from grid_inference.model.store.published import MODELS_MAP, ModelVersion, Reference
from grid_inference.model.store.registry import Registry
from grid_inference.node.workers import Workers
from grid_inference.wire.json.values import encode_json
from grid_inference.wire.keys import encode_keys
from tests.integration.conftest import FEATURES, INPUTS, Names, batch, fitted, on_a_link, state, until

ROWS = 20
HOUR_US = 3600 * 1_000_000


@pytest.fixture
def lacking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A Python function of a module that this process alone can import."""
    module = f"only_here_{uuid.uuid4().hex[:8]}"
    (tmp_path / f"{module}.py").write_text("def score(inputs):\n    return inputs.sum(axis=1)\n")
    monkeypatch.syspath_prepend(tmp_path)
    return f"{module}:score"


@pytest.fixture
def spoiled(local_grid: gi.Grid, name: str) -> str:
    """A published version that computes otherwise in every worker than its sample says."""
    published = local_grid.publish(fitted(3.0), name=name, columns=FEATURES, sample=INPUTS[:30])

    async def spoil(link: Link) -> None:
        assert published.expected
        other = replace(published.expected, score=[1 - score for score in published.expected.score])
        value = encode_json(replace(published, expected=other).to_mapping())
        await GridMap(link, MODELS_MAP).set(encode_keys([str(published)])[0], value)

    on_a_link(local_grid, spoil)
    return str(published)


def put(grid: gi.Grid, names: Names, first_key: int) -> set[int]:
    """Put records, and wait for their predictions; the versions that made them."""
    grid.features(names.features).put_batch(batch(ROWS, first_key, first_key), key="key")
    predictions = grid.predictions(names.deployment)
    keys = list(range(first_key, first_key + ROWS))
    until(lambda: len(predictions.get_batch(keys)) == ROWS, "the predictions")
    return set(predictions.get_batch(keys)["version"].tolist())


def proposals(grid: gi.Grid) -> int:
    return grid.features("grid_inference.proposals").size()


def put_to_work(grid: gi.Grid, names: Names, version: str) -> None:
    """As a deploy did that asked nobody: what stands in the grid where no worker ran then."""

    async def deploy(link: Link) -> None:
        reference = Reference.parse(version)
        assert reference
        config = DeploymentConfig(name=names.deployment, features=names.features)
        found = await Catalog(link).version(reference)
        await Registry(link).deploy(config, found, "champion")

    on_a_link(grid, deploy)


def test_a_first_deploy_that_no_worker_can_load_leaves_nothing(local_grid: gi.Grid, names: Names, lacking: str) -> None:
    with pytest.raises(gi.DeploymentError, match=f"{names.deployment}@1 can't be put to work.*No module named") as no:
        local_grid.deploy(names.deployment, lacking, features=names.features, columns=FEATURES)
    assert no.value.remedy == "nothing is deployed"
    [worker] = local_grid.status().workers
    assert worker["id"] in str(no.value)
    assert names.deployment not in local_grid.deployments()
    assert local_grid.model_versions(names.deployment) == []
    assert proposals(local_grid) == 0


def test_an_untrusted_pickle_is_refused(local_grid: gi.Grid, names: Names, tmp_path: Path) -> None:
    """Signed by a key that the workers do not trust."""
    forest = RandomForestClassifier(3, random_state=len(names.features)).fit(INPUTS, INPUTS.sum(axis=1) > 1.5)
    with (
        gi.connect(local_grid.address, cluster_name=local_grid.cluster_name, keys=str(tmp_path)) as stranger,
        pytest.raises(gi.DeploymentError, match="can't be put to work"),
    ):
        stranger.deploy(names.deployment, forest, features=names.features, columns=FEATURES)
    assert names.deployment not in local_grid.deployments()


@pytest.mark.parametrize("bad", ["lacking", "spoiled"])
def test_what_was_at_work_goes_on(
    local_grid: gi.Grid, names: Names, published: list[Any], name: str, bad: str, request: pytest.FixtureRequest
) -> None:
    assert put(local_grid, names, 0) == {1}
    before = local_grid.deployment(names.deployment)
    source = request.getfixturevalue(bad)
    columns = FEATURES if bad == "lacking" else None
    with pytest.raises(gi.DeploymentError, match="can't be put to work") as no:
        local_grid.deploy(names.deployment, source, features=names.features, columns=columns)
    assert no.value.remedy == f"nothing has changed: {name}@1 goes on scoring"
    assert local_grid.deployment(names.deployment) == before
    assert put(local_grid, names, 100) == {1}
    assert state(local_grid, names).failures == []
    assert local_grid.models()[name].current("champion") == 1


def test_the_alias_of_an_estimator_stays(local_grid: gi.Grid, names: Names, model: Any, lacking: str) -> None:
    local_grid.deploy(names.deployment, model, features=names.features, columns=FEATURES)
    with pytest.raises(gi.DeploymentError, match=f"{names.deployment}@2 can't be put to work"):
        local_grid.deploy(names.deployment, lacking, features=names.features, columns=FEATURES)
    assert local_grid.models()[names.deployment].aliases == {"champion": (1,)}
    assert [one.version for one in local_grid.model_versions(names.deployment)] == [1]
    assert put(local_grid, names, 0) == {1}
    assert local_grid.deploy(names.deployment, model, features=names.features, columns=FEATURES).version == 3
    local_grid.undeploy(names.deployment)


@pytest.mark.parametrize("how", ["promote", "rollback"])
def test_a_bad_deploy_is_mended(
    local_grid: gi.Grid, names: Names, published: list[Any], name: str, lacking: str, how: str
) -> None:
    """One that nobody was asked about, or that could be loaded then."""
    bad = local_grid.publish(lacking, name=name, columns=FEATURES)
    assert put(local_grid, names, 0) == {1}
    on_a_link(local_grid, lambda link: Catalog(link).move(name, "champion", bad.version))
    put_to_work(local_grid, names, str(bad))
    until(lambda: bool(state(local_grid, names).failures), "the reason")
    if how == "promote":
        assert local_grid.promote(name, 2).deployments == (names.deployment,)
        assert put(local_grid, names, 100) == {2}
    else:
        assert local_grid.rollback(name).version == 1
        assert put(local_grid, names, 100) == {1}
    assert state(local_grid, names).failures == []


def test_every_command_gives_the_same_reason(
    local_grid: gi.Grid, names: Names, published: list[Any], name: str, lacking: str
) -> None:
    bad = local_grid.publish(lacking, name=name, columns=FEATURES)
    put_to_work(local_grid, names, str(bad))
    until(lambda: bool(state(local_grid, names).failures), "the reason")
    [reason] = state(local_grid, names).failures
    for command in (["status"], ["deployments"], ["verify", names.deployment, "--wait", "0"]):
        assert reason in run(local_grid, *command).stdout, command
    said = json.loads(run(local_grid, "verify", names.deployment, "--wait", "0", "--json").stdout)
    assert said["failures"] == [reason]
    said = json.loads(run(local_grid, "deployments", "--json").stdout)
    assert [one["failures"] for one in said if one["config"]["name"] == names.deployment] == [[reason]]
    local_grid.promote(name, 1)
    assert "does not run" not in run(local_grid, "verify", names.deployment).stdout


def run(grid: gi.Grid, *words: str) -> subprocess.CompletedProcess[str]:
    where = ["--address", grid.address, "--cluster-name", grid.cluster_name]
    command = [sys.executable, "-m", "grid_inference.cli", *words, *where]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_the_command(local_grid: gi.Grid, names: Names, model: Any, spoiled: str) -> None:
    said = run(local_grid, "deploy", names.deployment, "--features", names.features, "--model", spoiled)
    assert said.returncode == 4
    assert "computes otherwise here" in said.stderr
    assert "nothing is deployed" in said.stderr
    gold = f"gold-{names.features}"
    local_grid.features(gold).put_batch(batch(3), key="key")
    local_grid.deploy(names.deployment, model, features=names.features, columns=FEATURES)
    put(local_grid, names, 0)
    good = f"{names.deployment}@champion"
    said = run(local_grid, "deploy", names.deployment, "--features", gold, "--model", good)
    assert said.returncode == 4
    assert "--replace-features" in said.stderr
    moved = run(local_grid, "deploy", names.deployment, "--features", gold, "--model", good, "--replace-features")
    assert moved.returncode == 0, moved.stderr
    until(lambda: local_grid.predictions(names.deployment).size() == 3, "the new map's predictions alone")
    local_grid.undeploy(names.deployment)


def test_a_clock_that_is_ahead_lets_no_bad_version_through(
    local_grid: gi.Grid, names: Names, published: list[Any], name: str, lacking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To an operator whose clock is an hour ahead all that workers say is old."""
    now = time.time_ns
    bad = local_grid.publish(lacking, name=name, columns=FEATURES)
    monkeypatch.setattr(time, "time_ns", lambda: now() + HOUR_US * 1000)
    with pytest.raises(gi.PromotionError, match="No module named"):
        local_grid.promote(name, bad.version)
    with pytest.raises(gi.PromotionError, match="can't be loaded"):
        local_grid.shadow(names.deployment, str(bad), timeout_s=30)
    assert len(local_grid.status().workers) == 1
    local_grid.pause(names.deployment)
    assert state(local_grid, names).owned == 0
    local_grid.resume(names.deployment)
    assert local_grid.models()[name].current("champion") == 1


# ---- a grid of its own


@pytest.fixture
def member() -> Iterator[gi.Member]:
    with gi.Member.start(gi.MemberConfig(cluster_name=f"deploying-{uuid.uuid4().hex[:8]}", heap_mb=512)) as started:
        yield started


def test_a_worker_that_comes_up_meanwhile_is_waited_for(
    member: gi.Member, model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No warning, which would be an error here, and each of both is loaded when the call returns."""
    monkeypatch.setattr(liveness, "COMING_S", 120.0)
    with gi.connect(member.address, cluster_name=member.cluster_name) as grid:
        with Workers(member.address, member.cluster_name, 1):
            grid.deploy("d", model, features="f", columns=FEATURES)
            assert grid.status().workers
        until(lambda: not grid.status().workers, "the worker's end")
        version = grid.publish(fitted(1.0), name="d", columns=FEATURES)
        with Workers(member.address, member.cluster_name, 1):
            grid.promote("d", version.version)
            assert grid.status().workers


def test_without_a_worker_it_says_so_and_returns(
    member: gi.Member, model: Any, lacking: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "COMING_S", 0.1)
    with gi.connect(member.address, cluster_name=member.cluster_name) as grid:
        with pytest.warns(gi.NoWorkersWarning, match="no worker runs"):
            deployed = grid.deploy("d", model, features="f", columns=FEATURES)
        assert deployed.version == 1
        with pytest.warns(gi.NoWorkersWarning, match="no worker runs"):
            grid.deploy("d", lacking, features="f", columns=FEATURES)
        with pytest.warns(gi.NoWorkersWarning, match="no worker runs"):
            assert grid.rollback("d").version == 1
        entry = {"id": "gone", "beat": 3, "pid": 1, "said_at_us": time.time_ns() // 1000}
        key = encode_keys(["gone"])[0]
        on_a_link(grid, lambda link: GridMap(link, WORKERS_MAP).set(key, encode_json(entry)))
    with gi.connect(member.address, cluster_name=member.cluster_name) as grid:
        with pytest.warns(gi.NoWorkersWarning, match="nothing has been heard of gone"):
            grid.deploy("d", model, features="f", columns=FEATURES)
        with pytest.raises(gi.PromotionError, match="nothing is heard of the workers gone"):
            grid.promote("d", 2)
        assert grid.deployment("d").version == 3
        assert grid.models()["d"].current("champion") == 3


def test_a_model_that_takes_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = tmp_path / "gate"
    (tmp_path / "slowly.py").write_text(
        "import pathlib, time\n"
        f"while not pathlib.Path({str(gate)!r}).exists():\n"
        "    time.sleep(0.02)\n"
        "def score(inputs):\n"
        "    return inputs.sum(axis=1)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    config = gi.MemberConfig(cluster_name=f"slowly-{uuid.uuid4().hex[:8]}", heap_mb=512)
    with gi.local(workers=2, member=config) as grid:
        grid.deploy("d", fitted(1.0), features="f", columns=FEATURES)
        gate.touch()
        version: ModelVersion = grid.publish("slowly:score", name="slow", columns=FEATURES)
        gate.unlink()
        with pytest.raises(gi.DeploymentError, match=r"slow@1 is not loaded after 1 s by .*, .*") as late:
            grid.deploy("d", str(version), features="f", timeout_s=1)
        assert "d@1 goes on scoring" in late.value.remedy
        assert put(grid, Names("d", "f"), 0) == {1}
        gate.touch()
        grid.deploy("d", str(version), features="f")
        values = iter(range(1_000_000))
        predict = grid.predictions("d").predict
        until(lambda: predict("k", dict.fromkeys(FEATURES, float(next(values)))).model == "slow", "the slow one's turn")

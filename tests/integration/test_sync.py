"""Published models in a folder: kept, and brought back after all members were gone at once."""

from __future__ import annotations

import uuid
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import grid_inference as gi
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap
from grid_inference.model.store.published import MODELS_MAP
from grid_inference.versions.synchronization import Synchronized
from grid_inference.wire.json.values import encode_json
from grid_inference.wire.keys import encode_keys
from tests.integration.conftest import FEATURES, batch, on_a_link

INPUTS = np.random.default_rng(11).random((400, 3))


def fitted(slope: float) -> LogisticRegression:
    return LogisticRegression(C=slope).fit(INPUTS, INPUTS.sum(axis=1) > 1.5)


def a_grid() -> gi.Grid:
    return gi.local(workers=1, member=gi.MemberConfig(cluster_name=f"sync-{uuid.uuid4().hex[:8]}", heap_mb=512))


def test_a_restart_of_the_whole_cluster_brings_all_back(tmp_path: Path) -> None:
    models = [fitted(slope) for slope in (0.01, 1.0, 100.0)]
    with a_grid() as grid:
        for one in models:
            grid.publish(one, name="fraud", columns=FEATURES, sample=INPUTS)
        for version in (1, 3):
            grid.promote("fraud", version)
        done = grid.sync_models(tmp_path)
        assert done == Synchronized(to_folder=["fraud@1", "fraud@2", "fraud@3"])
        assert grid.sync_models(tmp_path) == Synchronized()
        published = grid.model_versions("fraud")
    with a_grid() as grid:
        assert grid.sync_models(tmp_path) == Synchronized(to_grid=["fraud@1", "fraud@2", "fraud@3"])
        assert grid.model_versions("fraud") == published
        assert grid.models()["fraud"].aliases == {"champion": (1, 3)}
        grid.deploy("cards", "fraud@champion", features="payments")
        columns = batch(100)
        grid.features("payments").put_batch(columns, key="key")
        assert grid.verify("cards", wait_s=30).complete
        scores = [one.score for one in map(grid.predictions("cards").get, range(100)) if one]
        expected = models[2].predict_proba(np.stack([columns[name] for name in FEATURES], axis=1))[:, 1]
        np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-12)
        assert grid.rollback("fraud").version == 1
        assert grid.publish(models[0], name="fraud", columns=FEATURES).version == 4


@pytest.fixture
def kept(local_grid: gi.Grid, tmp_path: Path) -> str:
    """A model in the grid and in the folder."""
    name = f"s{uuid.uuid4().hex[:10]}"
    local_grid.publish(fitted(1.0), name=name, columns=FEATURES, sample=INPUTS)
    local_grid.sync_models(tmp_path)
    return name


@pytest.mark.parametrize("harm", ["cut", "changed", "gone", "json", "moved", "another"])
def test_files_that_are_not_whole_are_refused_by_name(
    local_grid: gi.Grid, kept: str, tmp_path: Path, harm: str
) -> None:
    place = tmp_path / kept / "1"
    artifact, version = place / "model.skops", place / "version.json"
    content = artifact.read_bytes()
    said = {"cut": "is damaged", "changed": "is damaged", "gone": "can't be read", "json": "is no JSON"}
    said |= {"moved": f"is that of {kept}@1", "another": "in the grid is another model"}
    if harm in {"cut", "changed"}:
        artifact.write_bytes(content[:-1] if harm == "cut" else content[:-1] + bytes([content[-1] ^ 1]))
    elif harm == "gone":
        artifact.unlink()
    elif harm == "json":
        version.write_text("{")
    if harm == "moved":
        place.rename(tmp_path / kept / "2")
    elif harm == "another":
        # The number was given to another model after the version had been deleted.
        on_a_link(local_grid, lambda link: _restart(link, kept))
        local_grid.publish(fitted(9.0), name=kept, columns=FEATURES)
        on_a_link(local_grid, lambda link: _hide(link, kept))
    else:
        on_a_link(local_grid, lambda link: _restart(link, kept))
    failures = local_grid.sync_models(tmp_path).failures
    assert said[harm] in failures[f"{kept}@{2 if harm == 'moved' else 1}"]


async def _restart(link: Link, name: str) -> None:
    """As if the grid knew nothing of the model."""
    for key in encode_keys([name, f"{name}@1"]).tolist():
        await GridMap(link, MODELS_MAP).delete(key)


async def _hide(link: Link, name: str) -> None:
    """The version stands, and the model's own entry is lost."""
    [key] = encode_keys([name]).tolist()
    await GridMap(link, MODELS_MAP).delete(key)


def test_a_name_in_the_grid_leads_out_of_no_folder(local_grid: gi.Grid, tmp_path: Path) -> None:
    async def plant(link: Link) -> None:
        entry = encode_json({"name": "../planted", "latest": 1, "aliases": {}})
        await GridMap(link, MODELS_MAP).set(encode_keys(["../planted"]).tolist()[0], entry)

    on_a_link(local_grid, plant)
    local_grid.sync_models(tmp_path / "models")
    assert not (tmp_path / "planted").exists()
    assert "../planted" not in local_grid.models()


def test_a_folder_that_can_not_be_written(local_grid: gi.Grid, kept: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "can't be written" in local_grid.sync_models(tmp_path / "file").failures[f"{kept}@1"]

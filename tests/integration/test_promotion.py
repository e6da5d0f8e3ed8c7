"""Models in the grid: published, deployed by alias, promoted and rolled back while records come."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import grid_inference as gi
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap
from grid_inference.model.store.published import MODELS_MAP, ModelVersion
from grid_inference.model.store.registry import ARTIFACTS_MAP
from grid_inference.wire.json.values import encode_json
from grid_inference.wire.keys import encode_keys
from tests.integration.conftest import FEATURES, INPUTS, Names, batch, fitted, on_a_link, state, under_load, until

CHANGES = 20
ROWS = 25


def put(grid: gi.Grid, names: Names, count: int, first_key: int) -> np.ndarray[Any, Any]:
    """Put records and wait for their predictions; their inputs."""
    columns = batch(count, first_key, first_key)
    grid.features(names.features).put_batch(columns, key="key")
    predictions = grid.predictions(names.deployment)
    until(lambda: predictions.size() == first_key + count, "the predictions")
    return np.stack([columns[field] for field in FEATURES], axis=1)


def test_versions_count_up_and_are_shown(local_grid: gi.Grid, name: str) -> None:
    versions = [local_grid.publish(fitted(1.0 + n), name=name, columns=FEATURES, sample=INPUTS) for n in range(3)]
    assert [one.version for one in versions] == [1, 2, 3]
    newest, *_ = local_grid.model_versions(name)
    assert str(newest) == f"{name}@3"
    assert newest.signature.names == FEATURES
    assert newest.expected is not None
    assert len(newest.expected.score) == 20
    assert newest.published_by
    assert local_grid.models()[name].latest == 3
    assert local_grid.models()[name].aliases == {}


def test_what_stands_stays_and_what_comes_is_scored_by_the_promoted(
    local_grid: gi.Grid, names: Names, name: str, published: list[LogisticRegression]
) -> None:
    predictions = local_grid.predictions(names.deployment)
    inputs = put(local_grid, names, 500, 0)
    done = local_grid.promote(name, 2)
    assert (done.model, done.alias, done.version, done.deployments) == (name, "champion", 2, (names.deployment,))
    inputs = np.concatenate([inputs, put(local_grid, names, 500, 500)])
    found = [predictions.get(key) for key in range(1000)]
    assert Counter((one.model, one.version) for one in found if one) == {(name, 1): 500, (name, 2): 500}
    for version, rows in ((1, slice(0, 500)), (2, slice(500, 1000))):
        expected = published[version - 1].predict_proba(inputs[rows])[:, 1]
        np.testing.assert_allclose([one.score for one in found[rows] if one], expected, rtol=0, atol=1e-12)
    assert local_grid.verify(names.deployment).complete
    assert state(local_grid, names).unexplained == 0


def test_a_rollback_goes_one_back(
    local_grid: gi.Grid, names: Names, name: str, published: list[LogisticRegression]
) -> None:
    for version in (3, 2):
        local_grid.promote(name, version)
    assert local_grid.rollback(name).version == 3
    assert local_grid.rollback(name).version == 1
    put(local_grid, names, 10, 0)
    assert {one.version for one in map(local_grid.predictions(names.deployment).get, range(10)) if one} == {1}
    with pytest.raises(gi.ModelError, match="has named no version but 1"):
        local_grid.rollback(name)


def test_twenty_changes_under_load(
    local_grid: gi.Grid, names: Names, name: str, published: list[LogisticRegression]
) -> None:
    rows = list[np.ndarray[Any, Any]]()

    def load(number: int) -> None:
        columns = batch(ROWS, number, number * ROWS)
        local_grid.features(names.features).put_batch(columns, key="key")
        rows.append(np.stack([columns[field] for field in FEATURES], axis=1))

    with under_load(load):
        for change in range(CHANGES):
            if change % 3 == 2:
                local_grid.rollback(name)
            else:
                local_grid.promote(name, 1 + (change + 1) % 3)
    verdict = local_grid.verify(names.deployment, wait_s=30)
    assert verdict.complete, str(verdict)
    inputs = np.concatenate(rows)
    found = local_grid.predictions(names.deployment).to_arrow()
    keys, versions, scores = (found[field].to_numpy() for field in ("key", "version", "score"))
    assert len(keys) == len(inputs)
    assert set(versions) == {1, 2, 3}
    for version, one in enumerate(published, 1):
        by = versions == version
        expected = one.predict_proba(inputs[keys[by]])[:, 1]
        np.testing.assert_allclose(scores[by], expected, rtol=0, atol=1e-12)
    now = state(local_grid, names)
    assert (now.unexplained, now.failures) == (0, [])
    silent_s = np.diff(np.unique(found["scored_at"].to_numpy())).max() / np.timedelta64(1, "s")
    sys.stdout.write(f"{len(keys)} records, {CHANGES} changes; at most {silent_s:.3f} s between two batches\n")


def test_of_two_promotions_at_once_one_wins(
    local_grid: gi.Grid, names: Names, name: str, published: list[LogisticRegression]
) -> None:
    done, refused = list[int](), list[int]()

    def promote(version: int) -> None:
        try:
            done.append(local_grid.promote(name, version).version)
        except gi.PromotionError:
            refused.append(version)

    both = [threading.Thread(target=promote, args=[version]) for version in (2, 3)]
    for one in both:
        one.start()
    for one in both:
        one.join()
    assert sorted(done + refused) == [2, 3]
    assert done
    assert local_grid.deployment(names.deployment).version == local_grid.models()[name].current("champion") == done[-1]
    put(local_grid, names, 10, 0)
    until(lambda: state(local_grid, names).candidate is None, "the end of both")


def test_a_version_that_computes_otherwise_leaves_the_old_one_serving(
    local_grid: gi.Grid, names: Names, name: str, published: list[LogisticRegression]
) -> None:
    async def spoil(link: Link) -> None:
        models = GridMap(link, MODELS_MAP)
        [key] = encode_keys([f"{name}@2"]).tolist()
        version = ModelVersion.read(await models.get(key) or b"")
        assert version.expected
        other = replace(version.expected, score=[1 - score for score in version.expected.score])
        await models.set(key, encode_json(replace(version, expected=other).to_mapping()))

    on_a_link(local_grid, spoil)
    with pytest.raises(gi.PromotionError, match=rf"{name}@2 can't be loaded by .*computes otherwise here: row 0") as no:
        local_grid.promote(name, 2)
    assert "version 1 goes on scoring" in no.value.remedy
    assert local_grid.models()[name].current("champion") == 1
    put(local_grid, names, 10, 0)
    assert {one.version for one in map(local_grid.predictions(names.deployment).get, range(10)) if one} == {1}
    assert local_grid.promote(name, 3).version == 3


def test_a_version_whose_artifact_is_lost_leaves_the_old_one_serving(
    local_grid: gi.Grid, names: Names, name: str, published: list[LogisticRegression]
) -> None:
    sha256 = local_grid.model_versions(name)[1].manifest.sha256
    [piece] = encode_keys([f"{sha256}/0"]).tolist()
    on_a_link(local_grid, lambda link: GridMap(link, ARTIFACTS_MAP).delete(piece))
    with pytest.raises(gi.PromotionError, match="is damaged"):
        local_grid.promote(name, 2)
    put(local_grid, names, 10, 0)
    assert state(local_grid, names).version == 1


def test_what_is_in_use_is_not_deleted(
    local_grid: gi.Grid, names: Names, name: str, published: list[LogisticRegression]
) -> None:
    with pytest.raises(gi.ModelError, match=f"in use by alias champion, deployment {names.deployment}"):
        local_grid.delete_version(name, 1)
    local_grid.delete_version(name, 2)
    assert [one.version for one in local_grid.model_versions(name)] == [3, 1]
    with pytest.raises(gi.ModelError, match="there is no version 2"):
        local_grid.promote(name, 2)
    assert local_grid.publish(published[1], name=name, columns=FEATURES).version == 4


def test_a_fixed_version_does_not_follow(
    local_grid: gi.Grid, names: Names, name: str, published: list[LogisticRegression]
) -> None:
    fixed = Names(f"{names.deployment}-fixed", names.features)
    local_grid.deploy(fixed.deployment, f"{name}@3", features=names.features)
    try:
        assert local_grid.promote(name, 2).deployments == (names.deployment,)
        put(local_grid, fixed, 10, 0)
        assert {one.version for one in map(local_grid.predictions(fixed.deployment).get, range(10)) if one} == {3}
    finally:
        local_grid.undeploy(fixed.deployment)


def test_references_to_nothing(local_grid: gi.Grid, names: Names, name: str) -> None:
    with pytest.raises(gi.ModelError, match=f"there is no model '{name}'"):
        local_grid.deploy(names.deployment, f"{name}@champion", features=names.features)
    local_grid.publish(fitted(1.0), name=name, columns=FEATURES)
    with pytest.raises(gi.ModelError, match="has no alias 'champion'; there are: none"):
        local_grid.deploy(names.deployment, f"{name}@champion", features=names.features)
    with pytest.raises(gi.ModelError, match="there is no version 2"):
        local_grid.promote(name, 2)
    with pytest.raises(gi.ConfigError, match="is not a model's name"):
        local_grid.publish(fitted(1.0), name="a/b")


def test_a_new_deploy_scores_all_anew(
    local_grid: gi.Grid, names: Names, name: str, published: list[LogisticRegression]
) -> None:
    put(local_grid, names, 50, 0)
    local_grid.deploy(names.deployment, f"{name}@2", features=names.features)
    predictions = local_grid.predictions(names.deployment)
    until(lambda: {one.version for one in map(predictions.get, range(50)) if one} == {2}, "the second version")
    with pytest.raises(gi.DeploymentError, match="made with other `inputs`, `nan` or `score_of`"):
        local_grid.deploy(names.deployment, f"{name}@2", features=names.features, nan="score")

"""Scoring what stands by the version at work: while records come, at a rate, interrupted, refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import grid_inference as gi
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap
from grid_inference.grid.topology import LEAVING, WORKERS_MAP, read_workers
from grid_inference.versions.rescoring import Rescored
from grid_inference.wire.json.values import encode_json
from grid_inference.wire.keys import encode_keys
from tests.integration.conftest import FEATURES, Names, batch, on_a_link, state, under_load

INPUTS = np.random.default_rng(11).random((400, 3))
KEYS = 2000


@pytest.fixture
def published(local_grid: gi.Grid, names: Names) -> Iterator[list[LogisticRegression]]:
    """Two versions of a model that is called like the deployment, the first of which has scored all keys."""
    models = [LogisticRegression(C=slope).fit(INPUTS, INPUTS.sum(axis=1) > 1.5) for slope in (0.01, 100.0)]
    name = names.deployment
    for one in models:
        local_grid.publish(one, name=name, columns=FEATURES, sample=INPUTS[:30])
    local_grid.promote(name, 1)
    local_grid.deploy(name, f"{name}@champion", features=names.features)
    put(local_grid, names, 0)
    yield models
    local_grid.undeploy(name)


def put(grid: gi.Grid, names: Names, seed: int) -> np.ndarray[Any, Any]:
    """Put all keys anew and wait until each value is scored; the inputs."""
    columns = batch(KEYS, seed)
    grid.features(names.features).put_batch(columns, key="key")
    verdict = grid.verify(names.deployment, wait_s=30)
    assert verdict.complete, str(verdict)
    return np.stack([columns[field] for field in FEATURES], axis=1)


def found(grid: gi.Grid, names: Names) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Versions and scores by key."""
    table = grid.predictions(names.deployment).to_arrow()
    order = np.argsort(table["key"].to_numpy())
    assert len(order) == KEYS
    return table["version"].to_numpy()[order], table["score"].to_numpy()[order]


def test_what_another_version_has_scored_is_scored_by_the_one_at_work(
    local_grid: gi.Grid, names: Names, published: list[LogisticRegression]
) -> None:
    inputs = put(local_grid, names, 1)
    local_grid.promote(names.deployment, 2)
    assert set(found(local_grid, names)[0]) == {1}
    seen: list[Rescored] = []
    done = local_grid.rescore(names.deployment, watch=seen.append)
    assert (done.version, done.records, done.complete) == (2, KEYS, True)
    assert seen[-1] == done
    assert [one.partitions for one in seen] == sorted(one.partitions for one in seen)
    versions, scores = found(local_grid, names)
    assert set(versions) == {2}
    np.testing.assert_allclose(scores, published[1].predict_proba(inputs)[:, 1], rtol=0, atol=1e-12)
    assert local_grid.verify(names.deployment).complete
    assert (state(local_grid, names).unexplained, local_grid.deployment(names.deployment).rescore) == (0, 0)
    again = local_grid.rescore(names.deployment)
    assert (again.records, again.complete) == (0, True), "what names the version is left as it is"


def test_records_that_come_meanwhile_win(
    local_grid: gi.Grid, names: Names, published: list[LogisticRegression]
) -> None:
    local_grid.promote(names.deployment, 2)
    features = local_grid.features(names.features)

    def load(number: int) -> None:
        features.put_batch({name: values[::2] for name, values in batch(KEYS, number + 1).items()}, key="key")

    with under_load(load, pause_s=0.05) as rounds:
        done = local_grid.rescore(names.deployment)
    assert done.records >= KEYS / 2
    verdict = local_grid.verify(names.deployment, wait_s=30)
    assert verdict.complete, str(verdict)
    versions, scores = found(local_grid, names)
    assert set(versions) == {2}
    first, last = (
        np.stack([columns[field] for field in FEATURES], axis=1)
        for columns in (batch(KEYS, 0), batch(KEYS, rounds[-1] + 1))
    )
    expected = published[1].predict_proba(np.where((np.arange(KEYS) % 2 == 0)[:, None], last, first))[:, 1]
    np.testing.assert_allclose(scores, expected, rtol=0, atol=1e-12)
    assert state(local_grid, names).unexplained == 0


def test_it_keeps_a_rate(local_grid: gi.Grid, names: Names, published: list[LogisticRegression]) -> None:
    local_grid.promote(names.deployment, 2)
    done = local_grid.rescore(names.deployment, rate=KEYS / 2)
    assert done.records == KEYS
    assert done.seconds > 1.5, "the pause behind the last partition is not waited for"


class Enough(Exception):  # noqa: N818
    """Raised in the middle."""


def test_interrupted_it_stops_and_called_again_it_goes_on(
    local_grid: gi.Grid, names: Names, published: list[LogisticRegression]
) -> None:
    local_grid.promote(names.deployment, 2)

    def stop(at: Rescored) -> None:
        if at.partitions > 2:
            raise Enough

    with pytest.raises(Enough):
        local_grid.rescore(names.deployment, rate=KEYS / 5, watch=stop)
    assert local_grid.deployment(names.deployment).rescore == 0
    done = local_grid.rescore(names.deployment)
    assert 0 < done.records < KEYS
    assert set(found(local_grid, names)[0]) == {2}


def test_what_two_workers_say_of_the_same_partitions_counts_once(
    local_grid: gi.Grid, names: Names, published: list[LogisticRegression]
) -> None:
    """As a worker that has died and its heir do until the silence of the one is noticed."""
    local_grid.promote(names.deployment, 2)

    async def twin(link: Link) -> None:
        for worker, said in (await read_workers(link)).items():
            if not worker.startswith("twin-"):
                also = {**said, "id": f"twin-{worker}", "phase": LEAVING, "machine": "another"}
                await GridMap(link, WORKERS_MAP).set(encode_keys([also["id"]])[0], encode_json(also))

    async def forget(link: Link) -> None:
        for worker in await read_workers(link):
            if worker.startswith("twin-"):
                await GridMap(link, WORKERS_MAP).delete(encode_keys([worker])[0])

    with under_load(lambda _: on_a_link(local_grid, twin), pause_s=0.1):
        done = local_grid.rescore(names.deployment, rate=KEYS / 4)
        assert done.complete
        assert set(found(local_grid, names)[0]) == {2}
    on_a_link(local_grid, forget)


def test_what_can_not_be_scored_anew(local_grid: gi.Grid, names: Names, published: list[LogisticRegression]) -> None:
    with pytest.raises(gi.DeploymentError, match="there is no deployment 'nowhere'"):
        local_grid.rescore("nowhere")
    with pytest.raises(gi.ConfigError, match="is no rate"):
        local_grid.rescore(names.deployment, rate=0)
    local_grid.pause(names.deployment)
    with pytest.raises(gi.DeploymentError, match="is paused") as caught:
        local_grid.rescore(names.deployment)
    assert "resume" in caught.value.remedy
    local_grid.deploy(names.deployment, f"{names.deployment}@2", features=names.features, start="new")
    with pytest.raises(gi.DeploymentError, match="scores new records only"):
        local_grid.rescore(names.deployment)

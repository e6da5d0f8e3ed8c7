"""A result is that of its record's value by what is deployed: another model, deploy or type of value is another one.

Every test plants what must not be taken for right, and looks at what stands in the end.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hazelcast import HazelcastClient
from hazelcast.core import HazelcastJsonValue

import grid_inference as gi
from grid_inference.flow.positions import Position, Positions, encode_progress
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap
from grid_inference.records import DEAD_LETTER, PREDICTION
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import decode_record, encode_record
from grid_inference.wire.digest import input_digest
from grid_inference.wire.keys import encode_keys
from tests.integration.conftest import FEATURES, Names, batch, fitted, on_a_link, until
from tests.poison import Waiting

GOOD = dict.fromkeys(FEATURES, 0.5)
BAD = {"a": 0.5, "b": float("nan"), "c": 0.5}


def models_of(predictions: gi.Predictions, keys: Any) -> set[str]:
    return set(predictions.get_batch(keys)["model"].tolist())


def complete(grid: gi.Grid, names: Names) -> gi.Verdict:
    verdict = grid.verify(names.deployment, 30)
    assert verdict.complete, verdict
    return verdict


def differing(grid: gi.Grid, names: Names) -> gi.Verdict:
    """What `verify` finds at once; nobody repairs it meanwhile, as the deployment is paused."""
    verdict = grid.verify(names.deployment, 0)
    assert not verdict.complete
    return verdict


@pytest.fixture
def two(local_grid: gi.Grid, name: str) -> tuple[str, str]:
    """Two models, each with a version 1."""
    for each, slope in ((f"{name}a", 0.01), (f"{name}b", 100.0)):
        local_grid.publish(fitted(slope), name=each, columns=FEATURES)
    return f"{name}a", f"{name}b"


def test_another_model_of_the_same_version_number_scores_all_anew(
    local_grid: gi.Grid, names: Names, two: tuple[str, str]
) -> None:
    columns = batch(500)
    columns["b"][:20] = np.nan
    local_grid.deploy(names.deployment, f"{two[0]}@1", features=names.features, nan="dead-letter")
    local_grid.features(names.features).put_batch(columns, key="key")
    assert complete(local_grid, names).dead_letters == 20
    local_grid.deploy(names.deployment, f"{two[1]}@1", features=names.features, nan="dead-letter")
    assert complete(local_grid, names).predictions == 480
    assert models_of(local_grid.predictions(names.deployment), columns["key"][20:]) == {two[1]}
    assert {letter.model for letter in local_grid.dead_letters(names.deployment)} == {two[1]}
    local_grid.undeploy(names.deployment)


def test_an_estimator_after_another_model_scores_all_anew(
    local_grid: gi.Grid, names: Names, two: tuple[str, str], model: Any
) -> None:
    columns = batch(200)
    local_grid.deploy(names.deployment, f"{two[0]}@1", features=names.features)
    local_grid.features(names.features).put_batch(columns, key="key")
    complete(local_grid, names)
    again = local_grid.deploy(names.deployment, model, features=names.features, columns=FEATURES)
    assert again.version == 1
    complete(local_grid, names)
    assert models_of(local_grid.predictions(names.deployment), columns["key"]) == {names.deployment}
    local_grid.undeploy(names.deployment)


def test_verify_is_not_complete_before_the_model_at_work_has_scored(
    local_grid: gi.Grid, names: Names, two: tuple[str, str]
) -> None:
    local_grid.deploy(names.deployment, f"{two[0]}@1", features=names.features)
    local_grid.features(names.features).put_batch(batch(100), key="key")
    complete(local_grid, names)
    local_grid.deploy(names.deployment, f"{two[1]}@1", features=names.features)
    local_grid.pause(names.deployment)
    on_a_link(local_grid, lambda link: _written_by(link, names, two[0]))
    assert differing(local_grid, names).outdated == 100
    local_grid.undeploy(names.deployment)


async def _written_by(link: Link, names: Names, model: str) -> None:
    """Have all predictions be another model's."""
    predictions = GridMap(link, f"{names.deployment}.predictions")
    async for page in predictions.scan_all():
        records = [decode_record(PREDICTION, value) for value in page.values.tolist()]
        values = Blobs.of([encode_record(PREDICTION, {**record, "model": model}) for record in records])
        await predictions.put_batch(page.keys, values)


def test_the_same_version_again_scores_all_anew_and_tries_dead_letters_again(
    local_grid: gi.Grid, names: Names, name: str, tmp_path: Path
) -> None:
    lacking = tmp_path / "there"
    local_grid.publish(Waiting(str(lacking)).fit(np.zeros((2, 3)), np.array([0, 1])), name=name, columns=FEATURES)
    local_grid.deploy(names.deployment, f"{name}@1", features=names.features)
    features = local_grid.features(names.features)
    for key in range(3):
        features.put(key, {**GOOD, "a": 0.1 * key})
    assert complete(local_grid, names).dead_letters == 3
    assert {letter.cause for letter in local_grid.dead_letters(names.deployment)} == {"MODEL_ERROR"}
    lacking.touch()
    local_grid.deploy(names.deployment, f"{name}@1", features=names.features)
    verdict = complete(local_grid, names)
    assert (verdict.predictions, verdict.dead_letters) == (3, 0)
    before = local_grid.predictions(names.deployment).get(0)
    local_grid.deploy(names.deployment, f"{name}@1", features=names.features)
    complete(local_grid, names)
    after = local_grid.predictions(names.deployment).get(0)
    assert before
    assert after
    assert after.scored_at_us > before.scored_at_us
    local_grid.undeploy(names.deployment)


@pytest.mark.parametrize("first", [str, HazelcastJsonValue], ids=["text then JSON", "JSON then text"])
def test_a_value_of_another_type_with_an_equal_payload_is_another_value(
    local_grid: gi.Grid, deployed: gi.Predictions, names: Names, first: Callable[[str], Any]
) -> None:
    second = HazelcastJsonValue if first is str else str
    text = json.dumps(GOOD)
    client = _stock(local_grid)
    try:
        features = client.get_map(names.features).blocking()
        features.put("k", first(text))
        complete(local_grid, names)
        local_grid.pause(names.deployment)
        # What is put meanwhile is more than the journal holds: only a scan can find it.
        local_grid.features(names.features).put_batch(batch(1000, first_key=100), key="key")
        features.put("k", second(text))
        on_a_link(local_grid, lambda link: _forget_position(link, names))
        local_grid.resume(names.deployment)
        complete(local_grid, names)
    finally:
        client.shutdown()
    scored, letter = deployed.get("k"), deployed.dead_letters.get("k")
    if second is str:
        assert scored is None
        assert letter is not None
        assert letter.cause == "UNSUPPORTED_FORMAT"
    else:
        assert scored is not None
        assert letter is None


def _stock(grid: gi.Grid) -> Any:
    return HazelcastClient(cluster_members=[grid.address], cluster_name=grid.cluster_name)


async def _forget_position(link: Link, names: Names) -> None:
    """Have the journal lack what the positions need, as after an overflow."""
    positions = Positions(link, names.deployment)
    for partition, progress in (await positions.load(list(range(link.partition_count)))).items():
        lost = replace(progress, position=Position(progress.position.sequence + 1000, 4711))
        await positions._map.set(positions._key(partition), encode_progress(lost, 1))


# ---- one result a key


async def _plant(link: Link, names: Names, key: int, *, dead: bool, **fields: Any) -> None:
    """Write a result of a record under a key, as a late write of a former owner would."""
    deployment = names.deployment
    [data] = encode_keys([key]).tolist()
    value = await GridMap(link, names.features).get(data)
    digest = int(input_digest(Blobs.of([value]))[0]) if value else 1
    shared = {"deployment": deployment, "model": deployment, "version": 1, "input_digest": digest}
    if dead:
        other = {"cause": "NAN_FEATURE", "message": "planted", "record": np.zeros(8, np.int8), "failed_at_us": 1}
        planted = encode_record(DEAD_LETTER, {**shared, **other, **fields})
        await GridMap(link, f"{deployment}.dead-letters").set(data, planted)
        return
    other = {"score": 0.5, "label": "fraud", "scores": [0.5, 0.5], "owner_epoch": 1, "scored_at_us": 1}
    await GridMap(link, f"{deployment}.predictions").set(data, encode_record(PREDICTION, {**shared, **other, **fields}))


@pytest.fixture(scope="module")
def proving() -> Any:
    """Workers that compare each partition every second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRID_INFERENCE_PROOF_INTERVAL_S", "1")
        config = gi.MemberConfig(cluster_name=f"prove-{uuid.uuid4().hex[:8]}", heap_mb=512, partitions=5)
        with gi.local(workers=1, member=config) as grid:
            yield grid


PLANTED = {
    "a stale prediction beside the right dead letter": (BAD, False, {"input_digest": 1}),
    "a prediction of equal digest beside the right dead letter": (BAD, False, {}),
    "a stale dead letter beside the right prediction": (GOOD, True, {"input_digest": 1}),
    "a dead letter of equal digest beside the right prediction": (GOOD, True, {}),
    "a dead letter that waits for a replay that never came": (GOOD, True, {"version": 0}),
    "a dead letter without a record": (None, True, {}),
    "a prediction without a record": (None, False, {}),
}


def owned(grid: gi.Grid, names: Names) -> int:
    """Partitions that workers feed for the deployment."""
    return next(one.owned for one in grid.status().deployments if one.name == names.deployment)


@pytest.mark.parametrize("case", PLANTED)
def test_a_result_too_many_is_found_and_repaired(proving: gi.Grid, model: Any, names: Names, case: str) -> None:
    record, dead, fields = PLANTED[case]
    proving.deploy(names.deployment, model, features=names.features, columns=FEATURES, nan="dead-letter")
    features = proving.features(names.features)
    features.put_batch(batch(50, first_key=100), key="key")
    if record:
        features.put(1, record)
    complete(proving, names)
    predictions = proving.predictions(names.deployment)
    proving.pause(names.deployment)
    until(lambda: owned(proving, names) == 0, "the pause")  # or what is planted may be repaired before it is counted
    on_a_link(proving, lambda link: _plant(link, names, 1, dead=dead, **fields))
    verdict = proving.verify(names.deployment, 0)
    assert (verdict.orphans, verdict.doubles) == ((1, 0) if record is None else (0, 1))
    proving.resume(names.deployment)

    def right() -> bool:
        scored, letter = predictions.get(1), predictions.dead_letters.get(1)
        if record is None:
            return scored is None and letter is None
        wanted = letter if record is BAD else scored
        other = scored if record is BAD else letter
        return wanted is not None and other is None and wanted.version == 1

    until(right, "the repair")
    complete(proving, names)
    proving.undeploy(names.deployment)


# ---- from the deploy on


def test_start_new_begins_when_deploy_returns(local_grid: gi.Grid, model: Any, names: Names) -> None:
    features = local_grid.features(names.features)
    features.put_batch(batch(100), key="key")
    local_grid.deploy(names.deployment, model, features=names.features, columns=FEATURES, start="new")
    features.put_batch(batch(200, first_key=1000), key="key")
    predictions = local_grid.predictions(names.deployment)
    until(lambda: predictions.size() == 200, "the predictions of what was put behind the deploy")
    assert predictions.get(5) is None
    verdict = complete(local_grid, names)
    assert (verdict.records, verdict.predictions, verdict.older) == (300, 200, 100)
    local_grid.undeploy(names.deployment)


def test_start_new_on_another_map_leaves_its_older_records_alone(local_grid: gi.Grid, model: Any, names: Names) -> None:
    first, second = names.features, f"{names.features}-b"
    local_grid.features(second).put_batch(batch(300), key="key")
    local_grid.deploy(names.deployment, model, features=first, columns=FEATURES, start="new")
    local_grid.features(first).put_batch(batch(300), key="key")
    predictions = local_grid.predictions(names.deployment)
    until(lambda: predictions.size() == 300, "the predictions of the first map")
    local_grid.undeploy(names.deployment)
    local_grid.features(f"{names.deployment}.predictions").clear()
    local_grid.deploy(names.deployment, model, features=second, columns=FEATURES, start="new")
    local_grid.features(second).put_batch(batch(10, first_key=5000), key="key")
    until(lambda: predictions.size() >= 10, "the predictions of what is new in the second map")
    assert complete(local_grid, names).older == 300
    assert predictions.size() == 10
    local_grid.undeploy(names.deployment)


def test_start_new_goes_on_where_the_version_before_stood(local_grid: gi.Grid, model: Any, names: Names) -> None:
    features = local_grid.features(names.features)
    local_grid.deploy(names.deployment, model, features=names.features, columns=FEATURES, start="new")
    features.put(1, GOOD)
    predictions = local_grid.predictions(names.deployment)
    until(lambda: predictions.get(1) is not None, "the first prediction")
    local_grid.pause(names.deployment)
    features.put(2, GOOD)
    again = local_grid.deploy(names.deployment, model, features=names.features, columns=FEATURES, start="new")
    assert again.version == 2
    until(lambda: predictions.get(2) is not None, "the prediction of what was put between two deploys")
    local_grid.undeploy(names.deployment)


def test_start_new_finds_stale_results_and_orphans(proving: gi.Grid, model: Any, names: Names) -> None:
    features = proving.features(names.features)
    features.put_batch(batch(100), key="key")
    proving.deploy(names.deployment, model, features=names.features, columns=FEATURES, start="new")
    features.put(500, GOOD)
    predictions = proving.predictions(names.deployment)
    until(lambda: predictions.get(500) is not None, "the prediction")
    now = {"scored_at_us": 2**60}
    on_a_link(proving, lambda link: _plant(link, names, 500, dead=False, input_digest=1, **now))
    on_a_link(proving, lambda link: _plant(link, names, 501, dead=False, **now))
    until(lambda: predictions.get(501) is None, "the end of the orphan")

    def right() -> bool:
        found = predictions.get(500)
        return found is not None and found.input_digest != 1

    until(right, "the repair of the stale one")
    assert predictions.size() == 1
    proving.undeploy(names.deployment)


def test_a_sweep_leaves_what_is_no_result_of_ours(proving: gi.Grid, model: Any, names: Names) -> None:
    proving.deploy(names.deployment, model, features=names.features, columns=FEATURES)
    features, gold = proving.features(names.features), proving.features(f"{names.deployment}.predictions")
    features.put_batch(batch(50), key="key")
    complete(proving, names)
    gold.put("bar", {"carat": 24.0})
    on_a_link(proving, lambda link: _plant(link, names, 999, dead=False, deployment="another"))
    on_a_link(proving, lambda link: _plant(link, names, 1000, dead=False))
    on_a_link(proving, lambda link: _forget_position(link, names))
    proving.pause(names.deployment)
    proving.resume(names.deployment)
    predictions = proving.predictions(names.deployment)
    until(lambda: predictions.get(1000) is None, "the sweep of the orphan that is ours")
    complete(proving, names)
    assert gold.get("bar") == {"carat": 24.0}
    assert predictions.get(999) is not None
    proving.undeploy(names.deployment)

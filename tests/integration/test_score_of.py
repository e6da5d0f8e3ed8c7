"""`score_of`: the class whose probability a prediction's score is, with whatever version is at work or beside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.svm import LinearSVC

import grid_inference as gi
from grid_inference.cli.app import run
from grid_inference.config import DeploymentConfig
from tests.integration.conftest import FEATURES, INPUTS, Names, batch, state, until

KEYS = 300
TWO = np.where(INPUTS.sum(axis=1) > 1.5, "fraud", "ok")
THREE = np.array(["good", "maybe", "bad"])[np.digitize(INPUTS.sum(axis=1), [1.2, 1.8])]


def put(grid: gi.Grid, names: Names, seed: int = 0) -> np.ndarray[Any, Any]:
    """Put all keys anew; the inputs in the order of the keys."""
    columns = batch(KEYS, seed)
    grid.features(names.features).put_batch(columns, key="key")
    return np.stack([columns[field] for field in FEATURES], axis=1)


def scores(grid: gi.Grid, names: Names, **which: Any) -> np.ndarray[Any, Any]:
    """The scores that stand once all is scored, in the order of the keys."""
    assert grid.verify(names.deployment, wait_s=60).complete
    found = grid.predictions(names.deployment, **which).to_arrow()
    return found["score"].to_numpy()[np.argsort(found["key"].to_numpy())]


def column(grid: gi.Grid, names: Names, field: str) -> np.ndarray[Any, Any]:
    """A field of what stands, in the order of the keys."""
    found = grid.predictions(names.deployment).to_arrow()
    return found[field].to_numpy()[np.argsort(found["key"].to_numpy())]


def versions(grid: gi.Grid, names: Names) -> np.ndarray[Any, Any]:
    """Which version has said what stands, in the order of the keys."""
    return column(grid, names, "version")


def labels(grid: gi.Grid, names: Names) -> np.ndarray[Any, Any]:
    """The labels that stand, in the order of the keys."""
    return column(grid, names, "label")


def canary_scores(grid: gi.Grid, names: Names, share: float) -> bool:
    """Whether the worker scores a share of the keys by a canary; what is set is seen with its next turn."""
    said = [one["canary"] for one in grid.worker_counts(names.deployment).values()]
    return bool(said) and all(one and one["share"] == share for one in said)


@pytest.mark.parametrize(("labels", "name"), [(TWO, "fraud"), (TWO, "ok"), (THREE, "bad"), (THREE, "maybe")])
def test_the_score_is_that_class(local_grid: gi.Grid, names: Names, labels: Any, name: str) -> None:
    model = LogisticRegression().fit(INPUTS, labels)
    inputs = put(local_grid, names)
    local_grid.deploy(
        names.deployment, model, features=names.features, columns=FEATURES, sample=INPUTS[:30], score_of=name
    )
    expected = model.predict_proba(inputs)
    np.testing.assert_allclose(
        scores(local_grid, names), expected[:, model.classes_.tolist().index(name)], rtol=0, atol=1e-12
    )
    one = local_grid.predictions(names.deployment).get(0)
    assert one is not None
    assert one.label == model.predict(inputs[:1])[0]
    np.testing.assert_allclose(one.scores, expected[0], rtol=0, atol=1e-12)
    local_grid.undeploy(names.deployment)


def test_one_of_several_labels_and_a_model_without_probabilities(local_grid: gi.Grid, names: Names) -> None:
    several = MultiOutputClassifier(LogisticRegression()).fit(INPUTS, INPUTS[:, :2] > 0.5)
    inputs = put(local_grid, names)
    local_grid.deploy(names.deployment, several, features=names.features, columns=FEATURES, score_of=1)
    np.testing.assert_allclose(scores(local_grid, names), several.predict_proba(inputs)[1][:, 1], rtol=0, atol=1e-12)
    plain = LinearSVC().fit(INPUTS, TWO)
    local_grid.deploy(names.deployment, plain, features=names.features, columns=FEATURES, score_of="fraud")
    np.testing.assert_array_equal(scores(local_grid, names), plain.predict(inputs) == "fraud")
    local_grid.undeploy(names.deployment)


def test_the_topic_passes_on_what_is_surely_of_it(local_grid: gi.Grid, names: Names) -> None:
    model = LogisticRegression(C=100).fit(INPUTS, TWO)
    local_grid.deploy(
        names.deployment,
        model,
        features=names.features,
        columns=FEATURES,
        score_of="fraud",
        topic={"where": "score >= 0.9"},
    )
    with local_grid.predictions(names.deployment).subscribe(source="topic", timeout=1.0) as topic:
        inputs = put(local_grid, names)
        assert local_grid.verify(names.deployment, wait_s=60).complete
        told = {one.key for one in topic}
    assert told == set(np.flatnonzero(model.predict_proba(inputs)[:, 0] >= 0.9).tolist())
    assert 0 < len(told) < KEYS
    local_grid.undeploy(names.deployment)


def test_other_versions_keep_the_class_and_one_version_has_one(local_grid: gi.Grid, names: Names, name: str) -> None:
    models = [LogisticRegression(C=slope).fit(INPUTS, TWO) for slope in (0.1, 10.0)]
    for one in models:
        local_grid.publish(one, name=name, columns=FEATURES, sample=INPUTS[:30])
    local_grid.promote(name, 1)
    inputs = put(local_grid, names)
    reference, how = f"{name}@champion", {"features": names.features}
    local_grid.deploy(names.deployment, reference, **how, score_of="fraud")
    np.testing.assert_allclose(scores(local_grid, names), models[0].predict_proba(inputs)[:, 0], atol=1e-12)
    with pytest.raises(gi.DeploymentError, match="`score_of`"):
        local_grid.deploy(names.deployment, reference, **how, score_of="ok")
    local_grid.shadow(names.deployment, f"{name}@2", budget=1.0)
    inputs = put(local_grid, names, 1)
    np.testing.assert_allclose(scores(local_grid, names), models[0].predict_proba(inputs)[:, 0], atol=1e-12)
    beside = local_grid.predictions(names.deployment, shadow=True)
    until(lambda: beside.size() > 0, "what the shadow says", 120.0)
    for one in beside.to_arrow().to_pylist():
        assert (one["version"], one["score"]) == (2, one["scores"][0])
    local_grid.promote(name, 2)
    inputs = put(local_grid, names, 2)
    np.testing.assert_allclose(scores(local_grid, names), models[1].predict_proba(inputs)[:, 0], atol=1e-12)
    compared = local_grid.compare(f"{name}@1", f"{name}@2", deployment=names.deployment)
    assert compared.score_of == "fraud"
    by_key = np.argsort(compared.rows.keys)
    np.testing.assert_allclose(
        compared.rows.other.score[by_key], models[1].predict_proba(inputs)[:, 0], rtol=0, atol=1e-12
    )
    local_grid.publish(LogisticRegression().fit(INPUTS, THREE), name=name, columns=FEATURES)
    for change in (local_grid.promote, lambda *which: local_grid.shadow(names.deployment, "{}@{}".format(*which))):
        with pytest.raises(gi.SignatureError, match="'fraud' is none of the model's classes"):
            change(name, 3)
    local_grid.undeploy(names.deployment)


def test_a_canary_and_a_rescore_keep_the_class(local_grid: gi.Grid, names: Names, name: str) -> None:
    models = [LogisticRegression(C=slope).fit(INPUTS, TWO) for slope in (0.1, 10.0)]
    for one in models:
        local_grid.publish(one, name=name, columns=FEATURES, sample=INPUTS[:30])
    local_grid.promote(name, 1)
    inputs = put(local_grid, names)
    local_grid.deploy(names.deployment, f"{name}@champion", features=names.features, score_of="fraud")
    first, second = (one.predict_proba(inputs)[:, 0] for one in models)  # "fraud" is the first of the two
    np.testing.assert_allclose(scores(local_grid, names), first, rtol=0, atol=1e-12)
    local_grid.promote(name, 2, share=0.5)
    until(lambda: canary_scores(local_grid, names, 0.5), "the canary", 120.0)
    put(local_grid, names, 1)
    inputs = put(local_grid, names, 2)  # each key at least once since the canary is at work
    first, second = (one.predict_proba(inputs)[:, 0] for one in models)
    found = scores(local_grid, names)
    by = versions(local_grid, names)
    assert set(by) == {1, 2}
    np.testing.assert_allclose(found, np.where(by == 1, first, second), rtol=0, atol=1e-12)
    assert (labels(local_grid, names) == np.where(found > 0.5, "fraud", "ok")).all()
    local_grid.promote(name, 2)
    assert set(versions(local_grid, names)) == {1, 2}, "what stands stays"
    done = local_grid.rescore(names.deployment)
    assert (done.version, done.records, done.complete) == (2, int((by == 1).sum()), True)
    np.testing.assert_allclose(scores(local_grid, names), second, rtol=0, atol=1e-12)
    assert set(versions(local_grid, names)) == {2}
    local_grid.undeploy(names.deployment)


def test_what_can_be_no_canary_of_the_class(local_grid: gi.Grid, names: Names, name: str) -> None:
    for labels in (TWO, THREE):
        local_grid.publish(LogisticRegression().fit(INPUTS, labels), name=name, columns=FEATURES)
    local_grid.promote(name, 1)
    local_grid.deploy(names.deployment, f"{name}@champion", features=names.features, score_of="fraud")
    with pytest.raises(gi.SignatureError, match="'fraud' is none of the model's classes"):
        local_grid.promote(name, 2, share=0.5)
    assert (state(local_grid, names).candidate, state(local_grid, names).share) == (None, 0.0)
    local_grid.undeploy(names.deployment)


def test_a_class_that_there_is_not(local_grid: gi.Grid, names: Names, model: Any) -> None:
    with pytest.raises(gi.SignatureError, match="score_of = 'froud' is none of the model's classes") as caught:
        local_grid.deploy(names.deployment, model, features=names.features, columns=FEATURES, score_of="froud")
    assert caught.value.remedy == "they are authentic, fraud"
    assert names.deployment not in local_grid.models()


def test_the_command_and_the_file(
    local_grid: gi.Grid, names: Names, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = LogisticRegression().fit(INPUTS, TWO)
    local_grid.publish(model, name=names.deployment, columns=FEATURES)
    where = ["--address", local_grid.address, "--cluster-name", local_grid.cluster_name]
    file = tmp_path / "cards.toml"
    said = {"name": names.deployment, "features": names.features, "model": f"{names.deployment}@1", "score_of": "fraud"}
    file.write_text("".join(f'{key} = "{value}"\n' for key, value in said.items()))
    assert DeploymentConfig.from_toml(file).score_of == "fraud"
    inputs = put(local_grid, names)
    assert run(["deploy", str(file), *where]) == 0
    np.testing.assert_allclose(scores(local_grid, names), model.predict_proba(inputs)[:, 0], rtol=0, atol=1e-12)
    local_grid.publish(model, name=names.deployment, columns=FEATURES)
    other = ["--model", f"{names.deployment}@2", "--score-of", "ok"]
    assert run(["deploy", str(file), *other, *where]) == 0
    np.testing.assert_allclose(scores(local_grid, names), model.predict_proba(inputs)[:, 1], rtol=0, atol=1e-12)
    assert run(["deploy", str(file), "--score-of", "froud", *where]) == 4
    assert "they are fraud, ok" in capsys.readouterr().err
    local_grid.undeploy(names.deployment)

"""Each format on a running grid: publish, deploy, put, and what stands is what the bare library says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xgboost
from sklearn.linear_model import LogisticRegression

import grid_inference as gi
from grid_inference.errors import ArtifactError, ConfigError, SignatureError
from tests.cases import CASES, FIELDS, FRAME, MATRIX, THREE, ZERO_ONE, Case
from tests.integration.conftest import Names, until

ROWS = 300


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_publish_deploy_put_equal(case: Case, local_grid: gi.Grid, names: Names, tmp_path: Path) -> None:
    source = case.source(tmp_path)
    version = local_grid.publish(source, name=names.deployment, **case.publish)
    assert (version.manifest.format, version.signature.task) == (case.format, case.task)
    local_grid.deploy(names.deployment, f"{names.deployment}@1", features=names.features)
    rows = case.rows(ROWS)
    columns: dict[str, Any] = {name: rows[name].to_numpy() for name in rows}
    local_grid.features(names.features).put_batch(columns | {"key": np.arange(ROWS)}, key="key")
    predictions = local_grid.predictions(names.deployment)
    until(lambda: predictions.size() == ROWS, "the predictions", 60)
    found = [predictions.get(key) for key in range(ROWS)]
    values, labels = case.said(source, rows)
    values = np.asarray(values)
    several = values.ndim == 2 and values.shape[1] > 1
    got = [each.scores if several else each.score for each in found]
    np.testing.assert_allclose(got, values if several else values.reshape(-1), rtol=case.tolerance, atol=case.tolerance)
    assert [each.label for each in found] == (labels if labels is not None else [None] * ROWS)
    assert local_grid.verify(names.deployment).complete
    local_grid.undeploy(names.deployment)


def test_deploy_takes_a_file_of_any_format_and_classes(local_grid: gi.Grid, names: Names, tmp_path: Path) -> None:
    path = tmp_path / "three.ubj"
    xgboost.XGBClassifier(n_estimators=3).fit(FRAME, THREE).save_model(path)
    deployed = local_grid.deploy(names.deployment, str(path), features=names.features, classes=["low", "mid", "high"])
    assert deployed.signature.classes == ("low", "mid", "high")
    local_grid.features(names.features).put(1, dict(zip(FIELDS, [5.0, 5.0, 0.0], strict=True)))
    predictions = local_grid.predictions(names.deployment)
    until(lambda: predictions.get(1) is not None, "the prediction")
    assert predictions.get(1).label == "high"
    local_grid.undeploy(names.deployment)


@pytest.mark.parametrize(
    ("source", "more", "kind", "said"),
    [
        ("tests.rules:nothing", {}, ArtifactError, "has no function 'nothing'"),
        ("nowhere.at_all:score", {}, ArtifactError, "nowhere.at_all:score can't be imported here"),
        (xgboost.XGBClassifier(), {}, SignatureError, "XGBClassifier is not fitted"),
        (
            xgboost.XGBClassifier(n_estimators=2).fit(MATRIX, ZERO_ONE),
            {"classes": ["a", "b", "c"]},
            SignatureError,
            "has 2 classes, and 3 are named",
        ),
        (
            xgboost.XGBClassifier(n_estimators=2, objective="binary:logitraw").fit(MATRIX, ZERO_ONE),
            {},
            SignatureError,
            "binary:logitraw gives no probabilities",
        ),
        (
            LogisticRegression().fit(MATRIX, ZERO_ONE),
            {"classes": ["no", "yes"]},
            SignatureError,
            "says its classes itself",
        ),
    ],
    ids=["no function", "no module", "not fitted", "classes", "margins", "needless classes"],
)
def test_what_can_not_be_published(
    source: Any, more: dict[str, Any], kind: type[Exception], said: str, local_grid: gi.Grid, names: Names
) -> None:
    with pytest.raises(kind, match=said) as caught:
        local_grid.publish(source, name=names.deployment, columns=FIELDS, **more)
    assert getattr(caught.value, "remedy", "there")
    assert names.deployment not in local_grid.models()


@pytest.mark.parametrize(
    ("file", "content"), [("m.ubj", b"{L\0learner"), ("m.txt", b"tree\nversion=v4\nx"), ("m.onnx", b"\1\2")]
)
def test_a_file_that_is_no_model(file: str, content: bytes, local_grid: gi.Grid, names: Names, tmp_path: Path) -> None:
    path = tmp_path / file
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=f"{file}: is no model that") as caught:
        local_grid.publish(path, name=names.deployment, columns=FIELDS)
    assert caught.value.remedy


def test_one_class_is_none(names: Names) -> None:
    with pytest.raises(ConfigError, match="no two different ones"):
        gi.DeploymentConfig(names.deployment, names.features, classes=("a",))

"""A model's sample: kept with its results where it is published, asked again where it is loaded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from grid_inference.errors import ArtifactError
from grid_inference.model.engines.expected import ROWS_MAX, WARM_ROWS, Expected
from grid_inference.model.engines.sklearn import SklearnEngine
from grid_inference.model.signature import Signature
from grid_inference.model.store.making import inputs_of

NAMES = ("a", "b")
INPUTS = np.random.default_rng(3).random((100, 2))
LABELS = INPUTS.sum(axis=1) > 1
TABLE = pd.DataFrame(INPUTS, columns=list(NAMES)).assign(city=["Bern", "Basel"] * 50)


def engine_of(model: Any, sample: Any = None, columns: Any = NAMES) -> SklearnEngine:
    return SklearnEngine(model, Signature.of(model, columns, sample))


def mixed(labels: Any) -> Any:
    steps = make_column_transformer((OneHotEncoder(), ["city"]), (StandardScaler(), list(NAMES)))
    return make_pipeline(steps, LogisticRegression()).fit(TABLE, labels)


@pytest.mark.parametrize(
    ("engine", "sample"),
    [
        pytest.param(engine_of(LogisticRegression().fit(INPUTS, LABELS)), INPUTS, id="classifier"),
        pytest.param(engine_of(LinearRegression().fit(INPUTS, INPUTS[:, 0])), INPUTS, id="regressor"),
        pytest.param(engine_of(LinearRegression().fit(INPUTS, INPUTS[:, 0])), TABLE, id="columns in another order"),
        pytest.param(engine_of(mixed(LABELS), TABLE, None), TABLE, id="frame"),
    ],
)
def test_a_model_gives_what_it_gave(engine: SklearnEngine, sample: Any) -> None:
    expected = Expected.of(engine, inputs_of(sample, engine.signature))
    assert expected is not None
    assert len(expected.score) == ROWS_MAX
    again = Expected.from_mapping(expected.to_mapping())
    assert again == expected
    seconds, rows = again.check(engine, "m@1")
    assert seconds > 0
    assert rows == WARM_ROWS


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(LogisticRegression(C=1e-3).fit(INPUTS, LABELS), id="scores"),
        pytest.param(LogisticRegression().fit(INPUTS[:, :1], LABELS), id="inputs"),
    ],
)
def test_another_model_is_refused(other: Any) -> None:
    expected = Expected.of(engine_of(LogisticRegression().fit(INPUTS, LABELS)), INPUTS)
    assert expected is not None
    names = NAMES[: other.n_features_in_]
    with pytest.raises(ArtifactError, match=r"m@2 (computes otherwise here: row 0|can't score its own sample here)"):
        expected.check(engine_of(other, columns=names), "m@2")


def test_other_labels_are_refused() -> None:
    engine = engine_of(LogisticRegression().fit(INPUTS, LABELS))
    said = Expected.of(engine, INPUTS)
    assert said is not None
    mapping = said.to_mapping()
    mapping["label"] = ["True" if label == "False" else "False" for label in mapping["label"]]
    with pytest.raises(ArtifactError, match="computes otherwise here"):
        Expected.from_mapping(mapping).check(engine, "m@1")


def test_rows_that_the_model_can_not_score_are_left_out() -> None:
    engine = engine_of(LogisticRegression().fit(INPUTS, LABELS))
    sample = INPUTS[:3].copy()
    sample[1, 0] = np.nan
    expected = Expected.of(engine, inputs_of(sample, engine.signature))
    assert expected is not None
    assert expected.columns["a"] == [sample[0, 0], sample[2, 0]]
    assert Expected.of(engine, np.full((5, 2), np.inf)) is None
    assert Expected.of(engine, None) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"score": []}, "no list of 1 to 20 scores"),
        ({"score": [0.5] * 1000}, "no list of 1 to 20 scores"),
        ({"score": ["0.5"]}, "a score is no number"),
        ({"columns": [0.5]}, "has no columns"),
        ({"columns": {"a": [0.5, 0.5]}}, "a column has not 1 values"),
        ({"columns": {"a": 0.5}}, "a column has not 1 values"),
        ({"label": ["yes", "no"]}, "a column has not 1 values"),
        ({"more": 1}, "unexpected keyword"),
    ],
)
def test_what_is_no_sample_is_refused(change: dict[str, Any], said: str) -> None:
    whole = {"columns": {"a": [0.5], "b": [0.5]}, "score": [0.5], "label": None}
    with pytest.raises(ArtifactError, match=said):
        Expected.from_mapping(whole | change)

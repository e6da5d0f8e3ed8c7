"""Translating models to ONNX: what says the same is used where it is faster, and nothing else is."""

from __future__ import annotations

import re
import sys

import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from grid_inference.errors import ArtifactError
from grid_inference.model.engines import compiling
from grid_inference.model.engines.native import engine_of
from grid_inference.model.engines.native.compiled import CompiledModel
from grid_inference.model.engines.report import TOLERANCE, Report
from grid_inference.model.engines.timing import BATCHES
from grid_inference.model.store.artifact import load
from grid_inference.model.store.making import inputs_of, make
from grid_inference.model.store.published import Made
from grid_inference.model.store.trust import Trust
from tests.cases import BINARY, FIELDS, MATRIX, TEXTS, THREE, VALUES, ZERO_ONE, plus_one

HERE = Trust(allow_pickle=True, loopback=True)
MIXED = ColumnTransformer(
    [("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["a", "b"]),
     ("texts", OneHotEncoder(handle_unknown="ignore"), ["kind"])]
)  # fmt: skip
MODELS = {
    "logistic regression": (LogisticRegression(), MATRIX, BINARY),
    "forest": (RandomForestClassifier(100, random_state=0), MATRIX, THREE),
    "gradient boosting": (GradientBoostingClassifier(random_state=0), MATRIX, BINARY),
    "histogram gradient boosting": (HistGradientBoostingClassifier(), MATRIX, BINARY),
    "histogram regressor": (HistGradientBoostingRegressor(), MATRIX, VALUES[:, 0]),
    "forest regressor": (RandomForestRegressor(30, random_state=0), MATRIX, VALUES[:, 0]),
    "columns": (make_pipeline(MIXED, LogisticRegression()), TEXTS, BINARY),
    "xgboost": (xgboost.XGBClassifier(n_estimators=20), MATRIX, ZERO_ONE),
    "xgboost three": (xgboost.XGBClassifier(n_estimators=20), MATRIX, THREE),
    "lightgbm": (lightgbm.LGBMClassifier(n_estimators=20, verbose=-1), MATRIX, BINARY),
    "lightgbm regressor": (lightgbm.LGBMRegressor(n_estimators=20, verbose=-1), MATRIX, VALUES[:, 0]),
}


@pytest.fixture
def always_faster(monkeypatch) -> None:
    """The translation wins at 64 rows, and loses at all other sizes, however noisy the machine is."""
    times = iter([(1.0, 2.0), (2.0, 1.0), (1.0, 2.0)])
    monkeypatch.setattr(compiling, "took", lambda *_: next(times))


@pytest.mark.usefixtures("always_faster")
@pytest.mark.parametrize("name", MODELS)
def test_a_translation_that_says_the_same_is_used_for_its_sizes(name: str, monkeypatch) -> None:
    model, sample, target = MODELS[name]
    model.fit(sample, target)
    columns = None if isinstance(sample, pd.DataFrame) else FIELDS
    plain, made = make(model, columns, sample), make(model, columns, sample, compile=True)
    report = made.compiled
    assert report is not None
    assert (report.rows, report.used, report.reason) == (len(sample), (64,), "")
    assert report.difference is not None
    assert report.difference <= TOLERANCE
    assert Report.from_mapping(report.to_mapping()) == report
    both = load(made.artifact, HERE)
    assert isinstance(both, CompiledModel)
    assert both.plan == {1: False, 64: True, 4096: False}
    asked, bare = engine_of(both, made.signature), engine_of(load(plain.artifact, HERE), plain.signature)
    asks: list[int] = []
    session = both.onnx.session.run
    monkeypatch.setattr(both.onnx.session, "run", lambda *given: asks.append(1) or session(*given))
    for rows, translated in ((1, False), (8, False), (9, True), (64, True), (512, True), (513, False)):
        inputs = inputs_of(sample, made.signature)[np.resize(np.arange(len(sample)), rows)]
        asks.clear()
        mine, theirs = asked.predict(inputs), bare.predict(inputs)
        assert bool(asks) == translated
        np.testing.assert_allclose(mine.score, theirs.score, atol=TOLERANCE)
        assert translated or mine.score.tolist() == theirs.score.tolist()
        if theirs.label_index is not None:
            assert mine.label_index.tolist() == theirs.label_index.tolist()


@pytest.mark.usefixtures("always_faster")
def test_what_the_translation_can_not_take_the_model_scores() -> None:
    model, sample, target = MODELS["columns"]
    model.fit(sample, target)
    made = make(model, sample=sample, compile=True)
    asked = engine_of(load(made.artifact, HERE), made.signature)
    rows = sample[:64].assign(kind=["new", None, *sample.kind[2:64]])
    inputs = inputs_of(rows, made.signature)
    assert asked.predict(inputs).score.tolist() == pytest.approx(
        model.predict_proba(rows)[:, 1].tolist(), abs=TOLERANCE
    )


@pytest.mark.usefixtures("always_faster")
def test_what_is_translated_as_floats_only(monkeypatch) -> None:
    monkeypatch.setattr(compiling, "_as_floats_only", lambda _: True)
    model = RandomForestClassifier(random_state=0).fit(MATRIX, MATRIX[:, 0] > np.median(MATRIX[:, 0]))
    assert not compiling._translates_as(model, "DoubleTensorType")
    made = make(model, FIELDS, MATRIX, compile=True)
    assert made.compiled is not None
    scores, good, _ = engine_of(load(made.artifact, HERE), made.signature).score(MATRIX, "score")
    assert good.size == len(MATRIX)
    np.testing.assert_allclose(scores.scores, model.predict_proba(MATRIX), atol=TOLERANCE)


FAR = np.array([[1e9], [1e9 + 1]] * 20)
UNUSED = {
    "float32 can't tell the values": (
        HistGradientBoostingClassifier(min_samples_leaf=1),
        FAR,
        [0, 1] * 20,
        "it says otherwise",
    ),
    "no converter": (
        make_pipeline(FunctionTransformer(plus_one), LogisticRegression()),
        MATRIX,
        BINARY,
        "plus_one|FunctionTransformer|Function",
    ),
    "another task": (IsolationForest(n_estimators=5), MATRIX, None, "only classifiers and regressors"),
}


@pytest.mark.parametrize("name", UNUSED)
def test_what_is_not_the_same_is_never_used(name: str) -> None:
    model, sample, target, said = UNUSED[name]
    model.fit(sample, target)
    unused(make(model, FIELDS[: model.n_features_in_], sample, compile=True), said)


def test_without_a_sample_it_is_never_used() -> None:
    model = LogisticRegression().fit(MATRIX, BINARY)
    unused(make(model, FIELDS, compile=True), "no sample to hold it against")


def unused(made: Made, said: str) -> None:
    assert made.compiled is not None
    assert made.compiled.used == ()
    assert made.compiled.model_us == {}
    assert re.search(said, made.compiled.reason)
    assert made.artifact.manifest.format in {"skops", "joblib"}


def test_scores_that_differ_by_more_than_the_tolerance_are_not_the_same(monkeypatch) -> None:
    monkeypatch.setattr(compiling, "TOLERANCE", 1e-20)
    made = make(LogisticRegression().fit(MATRIX, BINARY), FIELDS, MATRIX, compile=True)
    assert made.compiled is not None
    assert made.compiled.reason == "it says otherwise than the model"
    assert made.compiled.difference is not None
    assert made.compiled.difference > 0
    assert made.artifact.manifest.format == "skops"


def test_a_translation_that_is_slower_is_not_used(monkeypatch) -> None:
    monkeypatch.setattr(compiling, "took", lambda *_: (1.0, 2.0))
    made = make(LogisticRegression().fit(MATRIX, BINARY), FIELDS, MATRIX, compile=True)
    assert made.compiled is not None
    assert made.compiled.model_us == {str(size): 1.0 for size in BATCHES}
    assert made.compiled.reason == "the model itself is faster at every size"
    assert made.artifact.manifest.format == "skops"


def test_what_translates_is_named_where_it_is_missing(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "skl2onnx", None)
    with pytest.raises(ArtifactError, match="needs skl2onnx") as caught:
        make(LogisticRegression().fit(MATRIX, BINARY), FIELDS, MATRIX, compile=True)
    assert caught.value.remedy == "pip install 'grid-inference[onnx-compile]'"

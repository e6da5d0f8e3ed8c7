"""Where models of other libraries could have gone wrong without a word."""

from __future__ import annotations

import dataclasses
import pickle
import tempfile
import warnings
from pathlib import Path
from typing import Any

import lightgbm
import mlflow.sklearn
import numpy as np
import pandas as pd
import psutil
import pytest
import xgboost
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.ensemble import BaggingClassifier, IsolationForest, RandomForestClassifier, StackingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from grid_inference.errors import ArtifactError, ModelError, SignatureError
from grid_inference.flow.encode import PredictionEncoder
from grid_inference.model.engines import compiling
from grid_inference.model.engines.native import engine_of
from grid_inference.model.engines.trial import TrialEngine
from grid_inference.model.signature import Signature
from grid_inference.model.store.artifact import Artifact, load
from grid_inference.model.store.folder import Folder
from grid_inference.model.store.making import inputs_of, make
from grid_inference.model.store.manifest import Manifest
from grid_inference.model.store.published import ModelVersion
from grid_inference.model.store.trust import Trust
from grid_inference.records import PredictionBatch
from grid_inference.wire.keys import encode_keys
from tests.battery.records import Published
from tests.cases import BINARY, FIELDS, FRAME, LABELS, MATRIX, THREE, VALUES, ZERO_ONE
from tests.requests import entries_of

HERE = Trust(allow_pickle=True, loopback=True)


def asked(model, **how):
    made = make(model, **how)
    return engine_of(load(made.artifact, HERE), made.signature)


# ---- what stands in the grid


def test_the_name_of_a_format_is_no_path(tmp_path: Path) -> None:
    made = make(LogisticRegression().fit(MATRIX, BINARY), FIELDS)
    for form in ("x/../../../home", "..", "a\\b", "", "X"):
        with pytest.raises(ArtifactError, match="is no format"):
            Manifest.from_mapping({**made.artifact.manifest.to_mapping(), "format": form})
    manifest = dataclasses.replace(made.artifact.manifest, format="pmml")
    version = ModelVersion("m", 1, made.signature, manifest, None, 1, "me")
    with pytest.raises(ModelError, match="of the format 'pmml', which this version does not know"):
        Folder(tmp_path / "kept").write(version, Artifact(manifest, b"x"))
    assert not list(tmp_path.rglob("model.*"))


@pytest.mark.parametrize(
    "change",
    [
        {"task": "oracle"},
        {"outputs": 10**12},
        {"outputs": -1},
        {"outputs": 2.0},
        {"inputs_count": "3"},
        {"classes": [1, 2]},
        {"task": "clusterer", "classes": ["0", "1", "2"], "outputs": 2},
        {"task": "multilabel", "classes": [str(label) for label in range(21)]},
        {"inputs": [{"name": 3}]},
    ],
    ids=str,
)
def test_signatures_that_can_not_be(change) -> None:
    mapping = Signature.of(LogisticRegression().fit(MATRIX, BINARY), FIELDS).to_mapping()
    with pytest.raises(SignatureError, match="can't be read"):
        Signature.from_mapping({**mapping, **change})


def test_a_clusterer_whose_measures_are_others_than_said() -> None:
    model = KMeans(3, n_init=1, random_state=0).fit(MATRIX)
    signature = Signature.of(model, FIELDS)
    other = dataclasses.replace(signature, classes=(*signature.classes, "3"), outputs=4)
    _, good, failures = engine_of(model, other).score(MATRIX[:3])
    assert not good.size
    assert {failure.cause for failure in failures} == {"BAD_OUTPUT"}


# ---- translations


@pytest.fixture
def faster(monkeypatch) -> None:
    """The translation wins at every size."""
    monkeypatch.setattr(compiling, "took", lambda *_: (2.0, 1.0))


@pytest.mark.usefixtures("faster")
def test_a_translation_is_not_asked_for_what_the_sample_had_not() -> None:
    forest = RandomForestClassifier(30, random_state=0).fit(MATRIX, BINARY)
    engine = asked(forest, columns=FIELDS, sample=MATRIX, compile=True)
    rows = MATRIX[:5].copy()
    rows[1, 0] = np.nan
    found, good, _ = engine.score(rows, "score")
    assert good.size == 5
    np.testing.assert_allclose(found.scores, forest.predict_proba(rows), atol=1e-5)
    assert found.scores[1].tolist() == forest.predict_proba(rows[1:2])[0].tolist()
    rows[1, 0] = np.inf
    _, good, [failure] = engine.score(rows, "score")
    assert (good.tolist(), failure.row, failure.cause) == ([0, 2, 3, 4], 1, "MODEL_ERROR")


@pytest.mark.usefixtures("faster")
@pytest.mark.parametrize("trees", [10, 20])
def test_ties_are_settled_by_the_model_itself(trees: int) -> None:
    forest = RandomForestClassifier(trees, max_features=1, random_state=0).fit(MATRIX, BINARY)
    rows = np.random.default_rng(1).normal(size=(20_000, 3))
    proba = forest.predict_proba(rows)
    ties = rows[np.abs(proba[:, 0] - proba[:, 1]) < 1e-9]
    assert len(ties) > 100
    settled = np.abs(forest.predict_proba(MATRIX) @ [1, -1]) > 1e-3
    engine = asked(forest, columns=FIELDS, sample=MATRIX[settled], compile=True)
    for size in (1, 64, len(ties)):
        labels = [engine.signature.label(index) for index in engine.predict(ties[:size]).label_index]
        assert labels == forest.predict(ties[:size]).tolist()


# ---- ONNX


@pytest.mark.parametrize(
    "model",
    [
        StackingClassifier([("tree", DecisionTreeClassifier(max_depth=2)), ("line", LogisticRegression())], cv=2),
        BaggingClassifier(LogisticRegression(), 3, random_state=0),
        OneVsRestClassifier(LogisticRegression()),
    ],
    ids=lambda model: type(model).__name__,
)
@pytest.mark.parametrize("zipmap", [False, True])
@pytest.mark.parametrize("classes", [("fraud", "ok"), ("fraud", "maybe", "ok")], ids=["two", "three"])
def test_classes_are_the_graphs_own_and_not_those_of_a_model_within(model, classes, *, zipmap: bool) -> None:
    labels = np.where(BINARY == "yes", "fraud", "ok") if len(classes) == 2 else np.array(classes)[THREE]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = to_onnx(model.fit(MATRIX, labels), MATRIX[:1].astype(np.float32), options={"zipmap": zipmap})
    engine = asked(graph, columns=FIELDS)
    assert engine.signature.classes == classes
    found, good, _ = engine.score(MATRIX[:50])
    assert good.size == 50
    assert [engine.signature.label(index) for index in found.label_index] == model.predict(
        MATRIX[:50].astype(np.float32)
    ).tolist()


def test_a_graph_of_several_labels_a_record_is_refused() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = to_onnx(OneVsRestClassifier(LogisticRegression()).fit(MATRIX, LABELS), MATRIX[:1].astype(np.float32))
    for more in ({}, {"sample": MATRIX[:30]}, {"classes": ["0", "1"]}):
        with pytest.raises(SignatureError, match=r"several labels: its output 'output_label' has the shape \(n, 2\)"):
            make(graph, FIELDS, **more)


def test_a_graph_that_names_its_classes_takes_no_others() -> None:
    graph = to_onnx(LogisticRegression().fit(MATRIX, ZERO_ONE), MATRIX[:1].astype(np.float32))
    for classes in (["ok", "fraud"], ["1", "0"]):
        with pytest.raises(SignatureError, match="the graph names its classes itself: 0, 1"):
            make(graph, FIELDS, classes=classes)
    assert make(graph, FIELDS, classes=["0", "1"]).signature.classes == ("0", "1")


def test_whole_numbers_are_not_cut_off() -> None:
    counts = np.random.default_rng(0).integers(0, 10, (200, 1))
    tree = DecisionTreeClassifier(max_depth=1).fit(counts, counts[:, 0] > 4)
    graph = to_onnx(tree, initial_types=[("count", Int64TensorType([None, 1]))], options={"zipmap": False})
    engine = asked(graph, columns=["count"])
    values = np.array([[3.0], [4.99], [5.0]])
    inputs = inputs_of(values, engine.signature)
    _, good, [failure] = engine.score(inputs)
    assert (good.tolist(), failure.row, failure.cause) == ([0, 2], 1, "MODEL_ERROR")
    assert failure.message == "ValueError: count is 4.99, which is no int64"


# ---- boosters


@pytest.mark.parametrize(
    "model",
    [
        xgboost.XGBClassifier(n_estimators=20).fit(MATRIX, ZERO_ONE),
        lightgbm.LGBMClassifier(n_estimators=20, verbose=-1).fit(MATRIX, BINARY),
    ],
    ids=["xgboost", "lightgbm"],
)
def test_a_trial_of_many_rows_does_not_hang(model) -> None:
    made = make(model, FIELDS)
    loaded = load(made.artifact, HERE)
    engine, trial = engine_of(loaded, made.signature), TrialEngine(loaded, made.signature, 20.0)
    try:
        for rows in (1, 256):
            found, good, failures = engine.score(MATRIX[:rows], by=trial)
            assert (good.size, failures) == (rows, [])
            assert found.score.tolist() == pytest.approx(engine.predict(MATRIX[:rows]).score.tolist(), abs=1e-6)
    finally:
        trial.close()


def test_what_can_not_be_kept_or_is_not_known() -> None:
    many = (MATRIX[:, :1] > np.linspace(-1, 1, 21)).astype(int)
    with pytest.raises(SignatureError, match="21 labels at once"):
        make(xgboost.XGBClassifier(n_estimators=2).fit(MATRIX, many), FIELDS)
    own = lightgbm.LGBMClassifier(n_estimators=2, verbose=-1, objective=lambda y, p: (p - y, np.ones_like(p)))
    with pytest.raises(SignatureError, match="objective of LGBMClassifier is its own"):
        make(own.fit(MATRIX, ZERO_ONE), FIELDS)
    regressor = lightgbm.LGBMRegressor(n_estimators=2, verbose=-1).fit(MATRIX, VALUES[:, 0])
    with pytest.raises(SignatureError, match="LGBMRegressor is no classifier, and classes are named"):
        make(regressor, FIELDS, classes=["a", "b"])
    for classes in ("ok", ["a"], ["a", "a"]):
        with pytest.raises(SignatureError, match="no two different ones"):
            make(regressor, FIELDS, classes=classes)


# ---- samples, MLflow


def test_labels_that_are_none_of_the_classes_are_found_by_the_sample() -> None:
    with pytest.raises(
        SignatureError, match=r"can't score row 0 of its own sample: the model's label is none"
    ) as caught:
        make("tests.rules:verdict", sample=FRAME[:10], classes=["good", "bad"])
    assert caught.value.remedy


def test_several_outputs_are_found_by_any_sort_of_sample() -> None:
    model = make_pipeline(ColumnTransformer([("all", StandardScaler(), list(FIELDS))]), LinearRegression())
    model.fit(FRAME, VALUES)
    columns = {name: FRAME[name].to_numpy() for name in FIELDS}
    for sample in (FRAME, columns):
        assert make(model, sample=sample).signature.outputs == 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegression().fit(FRAME, ZERO_ONE)
        mlflow.sklearn.save_model(
            model, tmp_path / "model", pip_requirements=["mlflow"], serialization_format="cloudpickle"
        )
    return tmp_path / "model"


def test_numbers_of_classes_are_named_in_an_mlflow_model(folder: Path) -> None:
    engine = asked(folder, sample=FRAME[:10], classes=["ok", "fraud"])
    found, good, _ = engine.score(inputs_of(FRAME, engine.signature))
    assert good.size == len(FRAME)
    labels = [engine.signature.label(index) for index in found.label_index]
    assert labels == ["fraud" if each else "ok" for each in LogisticRegression().fit(FRAME, ZERO_ONE).predict(FRAME)]


def test_folders_of_processes_that_are_gone_are_removed(folder: Path) -> None:
    gone = next(number for number in range(2**22 - 1, 1, -1) if not psutil.pid_exists(number))
    with tempfile.TemporaryDirectory(prefix=f"grid-inference-mlflow-{gone}-") as left:
        (Path(left) / "MLmodel").write_text("")
        made = make(folder, sample=FRAME[:10])
        engine = engine_of(pickle.loads(pickle.dumps(load(made.artifact, HERE))), made.signature)
        assert engine.score(inputs_of(FRAME[:2], made.signature))[1].size == 2
        assert not Path(left).exists()
        Path(left).mkdir()


def test_templates_of_many_combinations_are_bounded() -> None:
    labels = tuple(str(label) for label in range(14))
    encoder = PredictionEncoder("d", "m", 1, Signature((), "multilabel", labels))
    count = 1 << 14
    some = np.zeros(count, np.int64)
    index = np.random.default_rng(0).permutation(count).astype(np.int32)
    batch = PredictionBatch(
        encode_keys(np.arange(count)), some.astype(np.int32), some, some / 1, index, np.zeros((count, 14)), some, 1
    )
    assert len(entries_of(encoder.predictions(batch, "p"))) == count
    few = batch.take(np.arange(3))
    few.label_index = np.array([1 << 14, 2 << 14, 3 << 14], np.int32)  # none of those that are known
    assert len(entries_of(encoder.predictions(few, "p"))) == 3
    assert encoder._predictions._known.size <= 4096


# ---- ONNX models that are no classifiers


def graph_of_columns(last: Any, *, texts: bool) -> tuple[Any, Any, pd.DataFrame]:
    """A model behind scaled numbers and encoded texts, its graph of a column each, and the rows of its fit."""
    cities = np.array(["Ulm", "Bonn"])[np.arange(len(MATRIX)) % 2]
    table = pd.DataFrame({"age": MATRIX[:, 0], "amount": MATRIX[:, 1], "city": cities})
    numbers, city = (StandardScaler(), ["age", "amount"]), (OneHotEncoder(), ["city"])
    table = table if texts else table[["age", "amount"]]
    model = make_pipeline(make_column_transformer(numbers, *([city] if texts else [])), last).fit(table)
    types = [(name, FloatTensorType([None, 1])) for name in numbers[1]] + [
        ("city", StringTensorType([None, 1]))
    ] * texts
    return model, to_onnx(model, initial_types=types, target_opset={"": 21, "ai.onnx.ml": 3}), table


@pytest.mark.parametrize("texts", [False, True], ids=["numbers", "texts"])
def test_a_graph_of_columns_detects_outliers(texts: object) -> None:
    model, graph, table = graph_of_columns(IsolationForest(n_estimators=5, random_state=0), texts=bool(texts))
    for sample in (table, *([] if texts else [None])):
        answers = Published(graph, sample=sample).answers(table)
        labels = np.where(model.predict(table) == 1, "inlier", "outlier").tolist()
        assert [each.label for each in answers] == labels
        with pytest.raises(SignatureError, match="detects outliers"):
            make(graph, sample=sample, classes=["outlier", "inlier"])


@pytest.mark.parametrize("classes", [None, ("one", "other")])
def test_a_graph_of_texts_that_does_not_say_what_it_gives_needs_a_sample(classes: tuple[str, ...] | None) -> None:
    _, graph, _ = graph_of_columns(IsolationForest(n_estimators=5, random_state=0), texts=True)
    with pytest.raises(SignatureError, match="whether the graph's output 'scores' holds probabilities") as refused:
        make(graph, classes=classes)
    assert refused.value.remedy.startswith("give rows of its inputs as the sample")


def test_an_isolation_forest_in_onnx_detects_outliers() -> None:
    forest = IsolationForest(n_estimators=20, random_state=0, contamination=0.1).fit(MATRIX)
    graph = to_onnx(forest, MATRIX[:1].astype(np.float32), target_opset={"": 18, "ai.onnx.ml": 3})
    engine = asked(graph, columns=FIELDS, sample=MATRIX[:30])
    assert engine.signature.task == "outlier_detector"
    rows = np.concatenate([MATRIX, 5 * MATRIX])
    found, good, _ = engine.score(rows)
    assert good.size == len(rows)
    labels = [engine.signature.label(index) for index in found.label_index]
    assert labels == ["outlier" if one < 0 else "inlier" for one in forest.predict(rows.astype(np.float32))]
    np.testing.assert_allclose(found.score, forest.decision_function(rows.astype(np.float32)), atol=1e-5)
    with pytest.raises(SignatureError, match="detects outliers"):
        make(graph, FIELDS, classes=["outlier", "inlier"])


def test_probabilities_of_onnx_lie_between_0_and_1() -> None:
    forest = RandomForestClassifier(100, random_state=0).fit(MATRIX, BINARY)
    engine = asked(to_onnx(forest, MATRIX[:1].astype(np.float32), options={"zipmap": False}), columns=FIELDS)
    for size in (1, 64, 400):
        scores = engine.predict(MATRIX[:size]).scores
        assert scores.min() >= 0
        assert scores.max() <= 1


# ---- what an estimator of a booster is


@pytest.mark.parametrize("booster", ["gbtree", "gblinear"])
def test_softmax_has_the_probabilities_of_its_estimator(booster: str) -> None:
    """A booster of this objective says the class alone, its estimator the probabilities, too."""
    three = np.digitize(MATRIX[:, 0], [-0.5, 0.5])
    model = xgboost.XGBClassifier(n_estimators=3, objective="multi:softmax", booster=booster).fit(MATRIX, three)
    for each in (model, model.get_booster()):
        scores = asked(each, columns=FIELDS, sample=MATRIX[:30]).predict(MATRIX)
        np.testing.assert_array_equal(scores.scores, model.predict_proba(MATRIX))
        np.testing.assert_array_equal(scores.label_index, model.predict(MATRIX))


SHARES = 1 / (1 + np.exp(-MATRIX[:, 0]))


@pytest.mark.parametrize(
    "model",
    [
        xgboost.XGBRegressor(n_estimators=3, objective="binary:logistic"),
        lightgbm.LGBMRegressor(n_estimators=3, objective="binary", verbose=-1),
    ],
    ids=["xgboost", "lightgbm"],
)
def test_a_regressor_by_an_objective_of_classifiers_gives_values(model) -> None:
    model.fit(MATRIX, (SHARES > 0.5).astype(float))
    engine = asked(model, columns=FIELDS, sample=MATRIX[:30])
    scores = engine.predict(MATRIX)
    assert (engine.signature.task, scores.label_index, scores.scores) == ("regressor", None, None)
    np.testing.assert_array_equal(scores.score, model.predict(MATRIX))
    named = asked(model, columns=FIELDS, classes=["low", "high"])
    assert (named.signature.task, named.signature.classes) == ("classifier", ("low", "high"))

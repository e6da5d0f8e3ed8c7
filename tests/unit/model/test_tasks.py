"""What models of every task give, held against the model itself: labels, outputs, outliers, clusters."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import Birch, BisectingKMeans, KMeans, MeanShift
from sklearn.covariance import EllipticEnvelope
from sklearn.cross_decomposition import PLSRegression
from sklearn.ensemble import IsolationForest, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, LocalOutlierFactor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier

from grid_inference.errors import SignatureError
from grid_inference.flow.encode import PredictionEncoder
from grid_inference.model.engines.sklearn import SklearnEngine
from grid_inference.model.engines.width import settled
from grid_inference.model.signature import Signature
from grid_inference.model.store.making import inputs_of
from grid_inference.records import Prediction, PredictionBatch
from grid_inference.wire.blobs import FEW
from grid_inference.wire.keys import encode_keys
from tests.requests import entries_of

NAMES = ("a", "b", "c")
MATRIX = np.random.default_rng(7).normal(size=(200, 3))
SEVERAL = np.stack([MATRIX[:, 0] > 0, MATRIX[:, 1] > 0.5, MATRIX.sum(axis=1) > 0], axis=1).astype(int)
VALUES = MATRIX @ np.array([[1.0, 2.0], [0.5, -1.0], [0.0, 3.0]])

UNCONVERGED = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def engine(model) -> SklearnEngine:
    signature = Signature.of(model, NAMES)
    signature = settled(SklearnEngine(model, signature), inputs_of(MATRIX, signature))
    assert Signature.from_mapping(signature.to_mapping()) == signature
    return SklearnEngine(model, signature)


def predictions(asked: SklearnEngine, matrix=MATRIX) -> list[Prediction]:
    """Scored, encoded and read again, as an application sees it."""
    scores, good, failures = asked.score(matrix)
    assert not failures
    assert good.size == len(matrix)
    keys = encode_keys(np.arange(len(matrix)))
    none = np.zeros(len(matrix), np.int64)
    batch = PredictionBatch(keys, none.astype(np.int32), none, scores.score, scores.label_index, scores.scores, none, 1)
    records = entries_of(PredictionEncoder("d", "m", 1, asked.signature).predictions(batch, "p"))
    return [Prediction.decode(key, records[key]) for key in keys.tolist()]


LABELLERS = [
    MultiOutputClassifier(LogisticRegression()),
    MultiOutputClassifier(LinearSVC()),
    ClassifierChain(LogisticRegression()),
    RandomForestClassifier(5, random_state=0),
    DecisionTreeClassifier(max_depth=3),
    KNeighborsClassifier(3),
    OneVsRestClassifier(LogisticRegression()),
    MLPClassifier((4,), max_iter=300, random_state=0),
    make_pipeline(StandardScaler(), RandomForestClassifier(5, random_state=0)),
    GridSearchCV(RandomForestClassifier(random_state=0), {"n_estimators": [3, 4]}, cv=2),
]


@UNCONVERGED
@pytest.mark.parametrize("model", LABELLERS, ids=lambda model: str(model)[:40])
def test_several_labels(model) -> None:
    model.fit(MATRIX, SEVERAL)
    asked = engine(model)
    assert (asked.signature.task, asked.signature.classes) == ("multilabel", ("0", "1", "2"))
    on = np.asarray(model.predict(MATRIX))
    if hasattr(model, "predict_proba"):
        proba = model.predict_proba(MATRIX)
        proba = np.stack([each[:, 1] for each in proba], axis=1) if isinstance(proba, list) else proba
    else:
        proba = on
    for each, labels, chances in zip(predictions(asked), on, proba, strict=True):
        assert each.label == ", ".join(str(label) for label in np.flatnonzero(labels))
        assert each.scores == tuple(map(float, chances))
        assert each.score == max(chances)


def test_a_label_that_no_record_had() -> None:
    model = DecisionTreeClassifier(max_depth=2).fit(MATRIX, SEVERAL * [1, 0, 1])
    each = predictions(engine(model))[0]
    assert each.scores is not None
    assert each.scores[1] == 0.0


def test_labels_that_are_more_or_others_than_can_be_kept() -> None:
    many = (MATRIX[:, :1] > np.linspace(-1, 1, 21)).astype(int)
    with pytest.raises(SignatureError, match="21 labels at once"):
        engine(DecisionTreeClassifier(max_depth=2).fit(MATRIX, many))
    with pytest.raises(SignatureError, match="several outputs of several classes"):
        engine(DecisionTreeClassifier(max_depth=2).fit(MATRIX, SEVERAL + 1))


REGRESSORS = [
    LinearRegression(),
    Ridge(),
    PLSRegression(2),
    RandomForestRegressor(5, random_state=0),
    KNeighborsRegressor(3),
    MLPRegressor(hidden_layer_sizes=(4,), max_iter=300, random_state=0),
    MultiOutputRegressor(Ridge()),
    make_pipeline(StandardScaler(), LinearRegression()),
]


@UNCONVERGED
@pytest.mark.parametrize("model", REGRESSORS, ids=lambda model: str(model)[:40])
def test_several_outputs(model) -> None:
    model.fit(MATRIX, VALUES)
    asked = engine(model)
    assert (asked.signature.task, asked.signature.outputs) == ("regressor", 2)
    for each, values in zip(predictions(asked), model.predict(MATRIX), strict=True):
        assert (each.label, each.score, each.scores) == (None, values[0], tuple(values))


def test_one_output_in_a_column_of_its_own_is_one() -> None:
    asked = engine(LinearRegression().fit(MATRIX, VALUES[:, :1]))
    assert asked.signature.outputs == 0
    assert predictions(asked)[0].scores is None


DETECTORS = [
    IsolationForest(n_estimators=20, random_state=0),
    IsolationForest(n_estimators=20, contamination=0.1, random_state=0),
    OneClassSVM(),
    LocalOutlierFactor(novelty=True),
    EllipticEnvelope(random_state=0),
    make_pipeline(StandardScaler(), IsolationForest(n_estimators=20, random_state=0)),
]


@pytest.mark.parametrize("model", DETECTORS, ids=lambda model: str(model)[:60])
def test_outliers(model) -> None:
    model.fit(MATRIX)
    asked = engine(model)
    assert (asked.signature.task, asked.signature.classes) == ("outlier_detector", ("inlier", "outlier"))
    outside = np.concatenate([MATRIX, MATRIX * 5])
    found = predictions(asked, outside)
    assert [each.label == "outlier" for each in found] == (model.predict(outside) == -1).tolist()
    assert [each.score for each in found] == model.decision_function(outside).tolist()
    assert {each.label for each in found} == {"inlier", "outlier"}
    assert found[0].scores is None


CLUSTERERS = [
    KMeans(3, n_init=1, random_state=0),
    BisectingKMeans(3, random_state=0),
    GaussianMixture(3, random_state=0),
]


@pytest.mark.parametrize("model", CLUSTERERS, ids=lambda model: type(model).__name__)
@pytest.mark.parametrize("scaled", [False, True], ids=["alone", "behind a scaler"])
def test_clusters(model, *, scaled: bool) -> None:
    model = make_pipeline(StandardScaler(), model) if scaled else model
    model.fit(MATRIX)
    asked = engine(model)
    assert (asked.signature.task, asked.signature.classes) == ("clusterer", ("0", "1", "2"))
    clusters = model.predict(MATRIX)
    measures = (model.predict_proba if hasattr(model, "predict_proba") else model.transform)(MATRIX)
    for each, cluster, measured in zip(predictions(asked), clusters, measures, strict=True):
        assert (each.label, each.score, each.scores) == (str(cluster), measured[cluster], tuple(measured))


@pytest.mark.parametrize("model", [MeanShift(), Birch(n_clusters=2)], ids=lambda model: type(model).__name__)
def test_clusters_without_distances(model) -> None:
    model.fit(MATRIX)
    found = predictions(engine(model))
    assert [each.label for each in found] == list(map(str, model.predict(MATRIX)))
    assert {(each.score, each.scores) for each in found} == {(0.0, None)}


def test_distances_to_other_things_than_its_clusters_are_none() -> None:
    """Birch's `transform` measures subclusters, which may be as many as the clusters and in another order."""
    centers = np.array([[0.0, 0.0, 0.0], [9.0, 0.0, 0.0], [0.0, 9.0, 0.0], [0.0, 0.0, 9.0]])
    rows = centers[np.arange(80) % 4] + np.random.default_rng(0).normal(scale=0.1, size=(80, 3))
    model = Birch(n_clusters=4, threshold=1.0).fit(rows)
    assert sorted(model.subcluster_labels_) == [0, 1, 2, 3]
    assert list(model.subcluster_labels_) != [0, 1, 2, 3]
    found = predictions(engine(model), rows)
    assert [each.label for each in found] == list(map(str, model.predict(rows)))
    assert {(each.score, each.scores) for each in found} == {(0.0, None)}


@pytest.mark.parametrize("rows", [0, 1, FEW, FEW + 1])
@pytest.mark.parametrize(
    "model",
    [
        RandomForestClassifier(3, random_state=0).fit(MATRIX, SEVERAL),
        Ridge().fit(MATRIX, VALUES),
        IsolationForest(n_estimators=5, random_state=0).fit(MATRIX),
        KMeans(3, n_init=1, random_state=0).fit(MATRIX),
    ],
    ids=lambda model: type(model).__name__,
)
def test_few_rows_are_as_many(model, rows: int) -> None:
    asked = engine(model)
    some, every = predictions(asked, MATRIX[:rows]), predictions(asked)
    assert [(each.label, each.score, each.scores) for each in some] == [
        (each.label, pytest.approx(each.score, abs=1e-12), pytest.approx(each.scores, abs=1e-12))
        if each.scores
        else (each.label, pytest.approx(each.score, abs=1e-12), None)
        for each in every[:rows]
    ]

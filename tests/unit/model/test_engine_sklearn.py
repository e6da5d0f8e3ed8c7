"""Every scikit-learn classifier and regressor: labels exactly, scores within 1e-12, whatever the batch."""

import inspect
import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, clone
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import all_estimators

from grid_inference.model import estimators
from grid_inference.model.engines.isolate import plainly_finite
from grid_inference.model.engines.sklearn import SklearnEngine
from grid_inference.model.signature import Signature

ROWS, INPUTS = 120, 5
NAMES = ["age", "amount", "hour", "limit", "rate"]
random = np.random.default_rng(7)
MATRIX = np.abs(random.normal(size=(ROWS, INPUTS)))
NOISE = random.normal(size=ROWS) / 2
VALUE = MATRIX[:, 0] - MATRIX[:, 1] + 0.5 * NOISE
BINARY = np.where(VALUE > 0, "yes", "no")
THREE = np.digitize(VALUE, [-0.5, 0.5]) * 10
COUNTS = np.digitize(MATRIX, [0.3, 0.7, 1.2]).astype(float)

# They need inputs or outputs of another kind than a matrix and a vector, or another estimator to be made at all.
OTHER_INPUT = {"IsotonicRegression", "CCA", "PLSCanonical", "PLSRegression", "ClassifierChain", "RegressorChain"}
OTHER_INPUT |= {"MultiOutputClassifier", "MultiOutputRegressor", "MultiTaskElasticNet", "MultiTaskElasticNetCV"}
OTHER_INPUT |= {"MultiTaskLasso", "MultiTaskLassoCV"}
ONLY_BINARY = {"FixedThresholdClassifier", "TunedThresholdClassifierCV"}
QUICKER = {"n_estimators": 10, "max_iter": 300}


def _made(kind):
    """An estimator with small settings; what wraps others gets linear ones."""
    linear = (LinearRegression, Ridge) if issubclass(kind, RegressorMixin) else (LogisticRegression, GaussianNB)
    wanted = inspect.signature(kind).parameters
    inner = {"estimator": linear[0](), "estimators": [(each.__name__, each()) for each in linear]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # some are on their way out
        model = kind(**{name: value for name, value in inner.items() if name in wanted})
    given = model.get_params(deep=False)
    quicker = {name: most for name, most in QUICKER.items() if isinstance(given.get(name), int) and given[name] > most}
    return model.set_params(**quicker)


def _fitted(model, target, matrix=MATRIX):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(matrix, target)


@cache
def _cases():
    cases = []
    for task, targets in (("classifier", {"binary": BINARY, "three": THREE}), ("regressor", {"value": VALUE})):
        for name, kind in all_estimators(type_filter=task):
            if name in OTHER_INPUT or not kind.__module__.startswith("sklearn."):
                continue
            for target_name, target in targets.items():
                cases.append(pytest.param(kind, target, id=f"{name}-{target_name}"))
    return cases


def _engine(model, **more):
    return SklearnEngine(
        model, Signature.of(model, columns=None if hasattr(model, "feature_names_in_") else ["x"], **more)
    )


def _assert_same(model, scores, matrix, *, exactly=False):
    within = 0 if exactly else 1e-12
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = model.predict(matrix.copy())
        proba = model.predict_proba(matrix.copy()) if hasattr(model, "predict_proba") else None
    if scores.label_index is None:
        np.testing.assert_allclose(scores.score, expected, rtol=within, atol=within)
        return
    assert (model.classes_[scores.label_index] == expected).all()
    if proba is None:
        proba = (expected[:, None] == model.classes_).astype(float)
    np.testing.assert_allclose(scores.scores, proba, rtol=0, atol=within)
    picked = proba[:, 1] if proba.shape[1] == 2 else proba[np.arange(len(proba)), scores.label_index]
    np.testing.assert_allclose(scores.score, picked, rtol=0, atol=within)


@pytest.mark.parametrize(("kind", "target"), _cases())
def test_every_estimator_scores_as_it_does_bare(kind, target):
    model = _made(kind)
    matrix = COUNTS if kind.__name__ == "CategoricalNB" else MATRIX
    target = (
        np.abs(target) + 0.1 if kind.__name__ in ("GammaRegressor", "TweedieRegressor", "PoissonRegressor") else target
    )
    if kind.__name__ in ONLY_BINARY and target is THREE:
        pytest.skip("two classes only")
    target = target == "yes" if kind.__name__ == "SelfTrainingClassifier" and target is BINARY else target
    _fitted(model, target, matrix)
    engine = _engine(model)
    scores, good, failures = engine.score(matrix)
    assert not failures
    assert (good == np.arange(ROWS)).all()
    assert scores.score.dtype == np.float64
    # Label propagation takes distances to its own training matrix, which a copy of it changes in the last bit.
    _assert_same(model, scores, matrix, exactly="label_propagation" not in kind.__module__)
    for row in range(0, ROWS, 40):
        _assert_same(model, engine.score(matrix[row : row + 1])[0], matrix[row : row + 1])
    some = engine.score(matrix[10:73])[0]
    np.testing.assert_allclose(some.score, scores.score[10:73], rtol=1e-12, atol=1e-12)


PIPELINES = {
    "scaled logistic": make_pipeline(StandardScaler(), LogisticRegression()),
    "scaled without mean": make_pipeline(StandardScaler(with_mean=False), LogisticRegression(C=9)),
    "scaled twice": make_pipeline(StandardScaler(with_std=False), StandardScaler(), LogisticRegression()),
    "passthrough": make_pipeline("passthrough", StandardScaler(), HistGradientBoostingClassifier(max_iter=5)),
    "in place": make_pipeline(StandardScaler(copy=False), KNeighborsClassifier()),
    "in place, linear": make_pipeline(StandardScaler(copy=False), LogisticRegression()),
    "search": GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression()), {"logisticregression__C": [1, 2]}, cv=2
    ),
    "no intercept": LogisticRegression(fit_intercept=False),
    "log loss": SGDClassifier(loss="log_loss", random_state=0),
    "huber": SGDClassifier(loss="modified_huber", random_state=0),
    "no probabilities": make_pipeline(StandardScaler(), LinearSVC()),
    "rest": OneVsRestClassifier(LogisticRegression()),
    "vote": VotingClassifier([("a", LogisticRegression()), ("b", GaussianNB())], voting="soft"),
    "hard vote": VotingClassifier([("a", LogisticRegression()), ("b", GaussianNB())]),
    "function": make_pipeline(FunctionTransformer(np.log1p), DecisionTreeClassifier(max_depth=3)),
    "columns": make_pipeline(
        ColumnTransformer([("one", OneHotEncoder(handle_unknown="ignore"), ["hour"])], remainder="passthrough"),
        LogisticRegression(max_iter=1000),
    ),
    "pandas inside": make_pipeline(StandardScaler(), LogisticRegression()).set_output(transform="pandas"),
}


@pytest.mark.parametrize("named", [False, True], ids=["matrix", "frame"])
@pytest.mark.parametrize("target", [BINARY, THREE], ids=["binary", "three"])
@pytest.mark.parametrize("name", PIPELINES)
def test_pipelines_score_as_they_do_bare_and_never_warn_of_names(name, target, named):
    if name == "columns" and not named:
        pytest.skip("picks columns by name")
    matrix = COUNTS.copy()
    frame = pd.DataFrame(matrix.copy(), columns=NAMES)
    # Some fit in place: each gets a matrix of its own.
    model = _fitted(clone(PIPELINES[name]), target, frame.copy() if named else matrix.copy())
    engine = _engine(model)
    kept = matrix.copy()
    scores = engine.score(matrix)[0]
    assert (matrix == kept).all()
    # A DataFrame keeps its values column by column, and sums in another order differ in the last bit.
    _assert_same(model, scores, frame if named else matrix.copy(), exactly=not named)
    one = engine.score(matrix[5:6])[0]
    np.testing.assert_allclose(one.scores, scores.scores[5:6], rtol=0, atol=1e-12)
    assert one.label_index == scores.label_index[5:6]
    assert (estimators.feature_names(model) is not None) == named


def test_regressors_behind_scalers_and_transformed_targets():
    for model in (
        make_pipeline(StandardScaler(), Ridge()),
        TransformedTargetRegressor(LinearRegression(), func=np.log1p, inverse_func=np.expm1),
        GridSearchCV(Ridge(), {"alpha": [1, 2]}, cv=2),
    ):
        _fitted(model, np.abs(VALUE))
        _assert_same(model, _engine(model).score(MATRIX)[0], MATRIX, exactly=True)


def test_near_ties_are_decided_by_the_model():
    model = LogisticRegression().fit(MATRIX, BINARY)
    model.coef_, model.intercept_ = np.zeros((1, INPUTS)), np.zeros(1)
    _assert_same(model, _engine(model).score(MATRIX)[0], MATRIX, exactly=True)
    model.intercept_ = np.array([1e-17])  # predict says yes, the probabilities are both 0.5
    scores = _engine(model).score(MATRIX)[0]
    assert (scores.scores == 0.5).all()
    assert (scores.label_index == 1).all()


def test_classes_in_any_order():
    class Backwards(ClassifierMixin, BaseEstimator):
        def fit(self, _matrix, _target):
            self.classes_, self.n_features_in_ = np.array(["yes", "no"]), INPUTS
            return self

        def predict(self, matrix):
            return np.where(matrix[:, 0] > 1, "yes", "no")

    model = Backwards().fit(MATRIX, BINARY)
    scores = _engine(model).score(MATRIX)[0]
    assert (model.classes_[scores.label_index] == model.predict(MATRIX)).all()
    assert (scores.score == (model.predict(MATRIX) == "no")).all()


# ---- bad rows


class Picky(RegressorMixin, BaseEstimator):
    """Raises, or answers nonsense, for rows that say so in their first input."""

    def fit(self, matrix, _target):
        self.n_features_in_ = matrix.shape[1]
        return self

    def predict(self, matrix):
        if (matrix[:, 0] == 100).any():
            raise RuntimeError("a hundred is too much\nfor this model")
        if (matrix[:, 0] == 200).any():
            return np.zeros(len(matrix) + 1)
        return np.where(matrix[:, 0] == 300, np.nan, matrix.sum(axis=1))


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([1.0, 2.0, 100.0, 200.0, 300.0, np.nan, np.inf]), min_size=1, max_size=40), st.booleans()
)
def test_a_bad_row_costs_its_batch_mates_nothing(first, refuse):
    matrix = np.ones((len(first), 2))
    matrix[:, 0] = first
    engine = SklearnEngine(Picky().fit(matrix, None), Signature.of(Picky().fit(matrix, None), columns=["a", "b"]))
    scores, good, failures = engine.score(matrix, "dead-letter" if refuse else "score")
    expected = [row for row, value in enumerate(first) if value in (1.0, 2.0)]
    assert good.tolist() == expected
    assert scores.score.tolist() == [first[row] + 1 for row in expected]
    causes = {100.0: "MODEL_ERROR", 200.0: "BAD_OUTPUT", 300.0: "BAD_OUTPUT"}
    not_finite = "NAN_FEATURE" if refuse else "BAD_OUTPUT"
    wanted = [(row, causes.get(value, not_finite)) for row, value in enumerate(first) if value not in (1.0, 2.0)]
    assert [(failure.row, failure.cause) for failure in failures] == wanted
    assert all(failure.message for failure in failures)


def test_failures_say_what_happened():
    matrix = np.array([[100.0, 1], [300.0, 1], [200.0, 1], [np.nan, -np.inf], [1, 1]])
    model = Picky().fit(matrix, None)
    failures = SklearnEngine(model, Signature.of(model, columns=["a", "b"])).score(matrix)[2]
    assert [failure.message for failure in failures] == [
        "RuntimeError: a hundred is too much",
        "the model's score is nan",
        "the model gave 2 predictions for 1 records",
        "a is NaN or null, b is infinite",
    ]


def test_what_a_model_quotes_can_be_written():
    class Quoting(Picky):
        def predict(self, _matrix):
            raise ValueError("no such city: \ud83d Ghent")

    model = Quoting().fit(MATRIX, None)
    (failure,) = SklearnEngine(model, Signature.of(model, columns=NAMES)).score(MATRIX[:1])[2]
    assert failure.message == "ValueError: no such city: \\ud83d Ghent"
    assert failure.message.encode()


def test_nan_goes_to_models_that_can_take_it():
    matrix = MATRIX.copy()
    matrix[3, 1] = np.nan
    tree = _fitted(HistGradientBoostingClassifier(max_iter=5), BINARY, matrix)
    scores, good, failures = _engine(tree).score(matrix, "score")
    assert not failures
    assert len(good) == ROWS
    _assert_same(tree, scores, matrix, exactly=True)
    linear = _fitted(LogisticRegression(), BINARY)
    scores, good, failures = _engine(linear).score(matrix, "score")
    assert [(failure.row, failure.cause) for failure in failures] == [(3, "MODEL_ERROR")]
    assert failures[0].message.startswith("ValueError: Input X contains NaN")
    _assert_same(linear, scores, matrix[good])
    assert _engine(linear).score(matrix)[2][0].message == "x[1] is NaN or null"


def test_values_beyond_float32_are_refused_as_by_the_bare_model():
    matrix = MATRIX.copy()
    matrix[2, 0] = 1e200
    tree = _fitted(DecisionTreeClassifier(max_depth=3), BINARY)
    _, good, failures = _engine(tree).score(matrix)
    assert [(failure.row, failure.cause) for failure in failures] == [(2, "MODEL_ERROR")]
    assert len(good) == ROWS - 1
    linear = _fitted(LogisticRegression(), BINARY)
    assert not _engine(linear).score(matrix)[2]


def test_no_rows():
    for target, classes in ((BINARY, 2), (THREE, 3)):
        scores, good, failures = _engine(_fitted(LogisticRegression(), target)).score(np.empty((0, INPUTS)))
        assert scores.scores.shape == (0, classes)
        assert not len(good)
        assert not failures
    only_bad = np.full((2, INPUTS), np.nan)
    scores, good, failures = _engine(_fitted(RandomForestClassifier(2), BINARY)).score(only_bad)
    assert scores.scores.shape == (0, 2)
    assert len(failures) == 2


@given(st.lists(st.floats(width=64), max_size=20))
def test_plainly_finite_never_misses(values):
    if plainly_finite(np.array(values)):
        assert np.isfinite(np.array(values, np.float32)).all()

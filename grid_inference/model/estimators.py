"""What a fitted scikit-learn object tells about itself without being run.

In: any object a user hands over. Out: `Described`: its feature names, number of inputs, task, classes, and whether it
picks columns by name. Nothing here calls `predict`, and nothing changes the object.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal, cast

import numpy as np
from sklearn.base import BaseEstimator, is_classifier, is_clusterer, is_outlier_detector, is_regressor
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.mixture._base import BaseMixture
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from grid_inference.errors import SignatureError
from grid_inference.model.described import Described, Task
from grid_inference.model.training import (
    inputs_of_steps,
    is_opaque,
    parts,
    steps_of,
    takes_numbers_alone,
    takes_texts_alone,
)

__all__ = [
    "batch_independent_float32",
    "check_fitted",
    "classes_of",
    "describe",
    "feature_names",
    "fitted_dtype",
    "gives_one_value",
    "inputs_count",
    "last_step",
    "may_overwrite",
    "measures_of",
    "outer_chain",
    "outputs_of",
    "picks_by_name",
    "task_of",
    "transform_output",
    "unsearched",
]

DETECTED = ("inlier", "outlier")
BRUTE_ROWS = 64
"""Neighbours by brute force are looked up for so many records at a time: which of several equally near ones count
hangs on the size of the call, and on the number of threads: so many are one thread's work (`threads.py`)."""

SCALERS = frozenset({"StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler", "SimpleImputer", "Binarizer"})
"""Steps that turn each value on its own, so that the size of a batch can't change a result."""
TREES = frozenset(
    {"DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreeClassifier", "ExtraTreeRegressor"}
    | {f"{kind}{task}" for kind in ("RandomForest", "ExtraTrees", "GradientBoosting", "HistGradientBoosting")
       for task in ("Classifier", "Regressor")}
)  # fmt: skip
"""Models that only compare inputs with thresholds: float32 in gives the same bits whatever the batch."""


def describe(model: Any) -> Described:
    """What a fitted model says of itself; raise SignatureError for what is none."""
    check_fitted(model)
    task, alone = task_of(model), takes_texts_alone(model)
    classes, names = classes_of(model, task), feature_names(model)
    count = 1 if alone else inputs_count(model)
    inputs = inputs_of_steps(model, names or [str(index) for index in range(count or 0)])
    if names is None:
        inputs = tuple(replace(each, name="") for each in inputs)
    needs_texts = any(each.dtype not in {"", "float64"} for each in inputs)
    return Described(
        task=task,
        classes=classes,
        inputs=inputs or None,
        count=count,
        outputs=measures_of(model, classes) if task == "clusterer" else outputs_of(model) if task == "regressor" else 0,
        frame=picks_by_name(model) or alone or needs_texts,
        float_dtype="float32" if batch_independent_float32(model) else "float64",
        call_rows=BRUTE_ROWS if any(getattr(each, "_fit_method", "") == "brute" for each in parts(model)) else 0,
    )


def check_fitted(model: Any) -> None:
    """Refuse what is no fitted scikit-learn model that predicts, saying what it is instead."""
    kind = type(model).__name__
    if isinstance(model, type) or not callable(getattr(model, "predict", None)):
        raise SignatureError(
            f"{kind if not isinstance(model, type) else model.__name__} is not a model: it has no predict method",
            remedy="hand over a fitted scikit-learn estimator that predicts, or a Pipeline that ends in one",
        )
    task_of(model)
    try:
        if isinstance(model, BaseEstimator):
            check_is_fitted(model)
    except NotFittedError:
        raise SignatureError(f"{kind} is not fitted", remedy="call model.fit(X, y) before deploying it") from None


def task_of(model: Any) -> Task:
    """What a model does, by what it says of itself; one that says nothing is refused."""
    if is_classifier(model):
        return "multilabel" if _gives_several_labels(last_step(model)) else "classifier"
    if is_regressor(model):
        return "regressor"
    if is_outlier_detector(model):
        return "outlier_detector"
    if is_clusterer(model) or isinstance(last_step(model), BaseMixture):
        return "clusterer"
    raise SignatureError(
        f"{type(model).__name__} is no classifier, regressor, outlier detector or clusterer",
        remedy="transformers give no label or value per record: wrap or replace it",
    )


def last_step(model: Any) -> Any:
    """What predicts in the end: a Pipeline's last step, a search's best, and so on."""
    while True:
        inner = unsearched(model)
        inner = inner.steps[-1][1] if isinstance(inner, Pipeline) else inner
        if inner is model:
            return model
        model = inner


def _gives_several_labels(last: Any) -> bool:
    """Whether a fitted classifier gives a record several labels: each class its own yes or no."""
    if getattr(last, "multilabel_", False):
        return True
    classes = getattr(last, "classes_", None)
    if classes is not None and _are_several(classes):
        return True
    binarizer: Any = getattr(last, "_label_binarizer", None)  # a network says it nowhere else
    return str(getattr(binarizer, "y_type_", "")).startswith("multilabel")


def _are_several(classes: Any) -> bool:
    return any(isinstance(each, list) or getattr(each, "ndim", 0) for each in classes)


def outer_chain(model: Any) -> Iterator[Any]:
    """What sees the input matrix itself: the model, then a Pipeline's first step, a search's best, and so on."""
    seen: Any = model
    while seen is not None:
        yield seen
        seen = _first_step(seen) if hasattr(seen, "steps") else getattr(seen, "best_estimator_", None)


def _first_step(pipeline: Any) -> Any:
    """A Pipeline's first step that is not left out."""
    return next((step for _, step in pipeline.steps if step is not None and step != "passthrough"), None)


def unsearched(model: Any) -> Any:
    """A hyperparameter search's best estimator; any other model as it is."""
    while isinstance(model, BaseSearchCV):
        model = cast("Any", model).best_estimator_
    return model


def feature_names(model: Any) -> tuple[str, ...] | None:
    """The column names the model was fitted with, or None."""
    for each in outer_chain(model):
        names = getattr(each, "feature_names_in_", None)
        if names is not None:
            return tuple(str(name) for name in names)
    return None


def inputs_count(model: Any) -> int | None:
    """How many columns the model was fitted with, or None if it does not say."""
    for each in outer_chain(model):
        count = getattr(each, "n_features_in_", None)
        if count is not None:
            return int(count)
    return 1 if takes_numbers_alone(model) else None


def classes_of(model: Any, task: Task) -> tuple[str, ...]:
    """The classes, labels or clusters as readable text, in the order of `classes_`; a regressor has none."""
    last = last_step(model)
    if task == "regressor":
        return ()
    if task == "outlier_detector":
        return DETECTED
    if task == "clusterer":
        return _clusters(last)
    classes: Any = getattr(last if task == "multilabel" else model, "classes_", None)
    if classes is None:
        raise SignatureError(
            f"{type(model).__name__} does not say its classes", remedy="fit it, or wrap it in what says them"
        )
    if task == "multilabel" and _are_several(classes):
        classes = _labels(model, classes)
    return tuple(str(each) for each in classes)


def _labels(model: Any, classes: Any) -> range:
    """The labels of a model that has several outputs, each of them yes or no; they have no names but their numbers."""
    if not all({*np.asarray(each).tolist()} <= {0, 1} for each in classes):
        raise SignatureError(
            f"{type(model).__name__} predicts several outputs of several classes each",
            remedy="deploy one model per output; several outputs at once are 0 or 1 each",
        )
    return range(len(classes))


def _clusters(last: Any) -> tuple[str, ...]:
    count = getattr(last, "n_components", None)
    if count is None and hasattr(last, "cluster_centers_"):
        count = len(last.cluster_centers_)
    return tuple(map(str, range(count) if count is not None else np.unique(last.labels_).tolist()))


def measures_of(model: Any, classes: tuple[str, ...]) -> int:
    """How many values a clusterer gives beside the cluster: one for each of these clusters, or none.

    They are probabilities where it has them, else the distances of `transform`.
    """
    last = last_step(model)
    if hasattr(last, "predict_proba"):
        return len(classes)
    own: Any = getattr(last, "subcluster_labels_", None)  # Birch measures these, which are other things than clusters
    if own is not None and not np.array_equal(own, np.arange(len(classes))):
        return 0
    named = hasattr(last, "transform") and hasattr(last, "get_feature_names_out")
    return len(classes) if named and len(last.get_feature_names_out()) == len(classes) else 0


def picks_by_name(model: Any) -> bool:
    """Whether the model must get a DataFrame: somewhere inside, columns are chosen or remembered by name.

    A model fitted on a DataFrame whose inner parts work on plain matrices does not need one: its outer names can be
    left off. Doubt, such as a class that is not scikit-learn's, counts as yes.
    """
    if feature_names(model) is None:
        return False
    # A search asks its best estimator only, whatever else it remembers.
    model = unsearched(model)
    outer = {id(each) for each in outer_chain(model)}
    for each in parts(model):
        if not type(each).__module__.startswith("sklearn.") or isinstance(
            each, ColumnTransformer | FunctionTransformer
        ):
            return True
        if getattr(each, "_sklearn_output_config", None):
            return True
        if id(each) not in outer and hasattr(each, "feature_names_in_"):
            return True
    return False


def may_overwrite(model: Any) -> bool:
    """Whether some step was told to work in place (`copy=False`) and so may change the matrix it is given."""
    return any(False in (vars(each).get("copy", True), vars(each).get("copy_X", True)) for each in parts(model))


def outputs_of(model: Any) -> int:
    """How many values a regressor gives for a record, where it gives several; 0 if one, or if it does not say."""
    last = last_step(model)
    inner = getattr(last, "regressor_", None)
    if inner is not None:  # of a TransformedTargetRegressor
        return outputs_of(inner)
    several = getattr(last, "n_outputs_", None)
    if hasattr(last, "estimators_") and type(last).__name__ in {"MultiOutputRegressor", "RegressorChain"}:
        several = len(last.estimators_)
    weights: Any = getattr(last, "coef_", None)
    if several is None and getattr(weights, "ndim", 0) == 2:
        several = weights.shape[0]
    return int(several) if isinstance(several, int) and several > 1 else 0


def gives_one_value(regressor: Any) -> bool:
    """Whether a regressor is of a class of scikit-learn that knows no several outputs."""
    own = isinstance(regressor, BaseEstimator) and type(regressor).__module__.startswith("sklearn.")
    return own and not get_tags(regressor).target_tags.multi_output


def fitted_dtype(model: Any) -> np.dtype[np.float32] | None:
    """The one type in which a model that compares with what it has stored takes its inputs; None if it takes any."""
    centers = getattr(model, "cluster_centers_", None)
    return np.dtype(np.float32) if getattr(centers, "dtype", None) == np.float32 else None


def transform_output(model: Any) -> Literal["default", "pandas"]:
    """Whether steps gave DataFrames to those behind them when they were fitted, by a setting of the fitting thread."""
    for each in parts(model):
        steps = steps_of(each) if isinstance(each, Pipeline) else []
        for before, behind in pairwise(steps):
            told = getattr(before, "_sklearn_output_config", None)
            if not told and not is_opaque(before) and hasattr(behind, "feature_names_in_"):
                return "pandas"
    return "default"


def batch_independent_float32(model: Any) -> bool:
    """Whether float32 input gives the same result whatever the batch size: trees behind value-by-value steps.

    Matrix products do not qualify: their float32 sums differ by 1e-7 with the number of rows.
    """
    model = unsearched(model)
    steps = [step for _, step in getattr(model, "steps", [("", model)]) if step is not None and step != "passthrough"]
    names = [type(step).__name__ if type(step).__module__.startswith("sklearn.") else "" for step in steps]
    own_start = getattr(steps[-1], "init", None) is not None if steps else False
    return bool(names) and names[-1] in TREES and not own_start and all(name in SCALERS for name in names[:-1])

"""What a fitted scikit-learn object tells about itself without being run.

In: any object a user hands over. Out: its feature names, number of inputs, task, classes, and whether it picks columns
by name. Nothing here calls `predict`, and nothing changes the object.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, cast

import numpy as np
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.model_selection._search import BaseSearchCV
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.validation import check_is_fitted

from grid_inference.errors import SignatureError

__all__ = [
    "batch_independent_float32",
    "check_fitted",
    "classes_of",
    "feature_names",
    "inputs_count",
    "may_overwrite",
    "outer_chain",
    "picks_by_name",
    "task_of",
    "unsearched",
]

Task = Literal["classifier", "regressor"]

SCALERS = frozenset({"StandardScaler", "MinMaxScaler", "MaxAbsScaler", "RobustScaler", "SimpleImputer", "Binarizer"})
"""Steps that turn each value on its own, so that the size of a batch can't change a result."""
TREES = frozenset(
    {"DecisionTreeClassifier", "DecisionTreeRegressor", "ExtraTreeClassifier", "ExtraTreeRegressor"}
    | {f"{kind}{task}" for kind in ("RandomForest", "ExtraTrees", "GradientBoosting", "HistGradientBoosting")
       for task in ("Classifier", "Regressor")}
)  # fmt: skip
"""Models that only compare inputs with thresholds: float32 in gives the same bits whatever the batch."""


def check_fitted(model: Any) -> None:
    """Refuse what is no fitted scikit-learn classifier or regressor, saying what it is instead."""
    kind = type(model).__name__
    if isinstance(model, type) or not callable(getattr(model, "predict", None)):
        raise SignatureError(
            f"{kind if not isinstance(model, type) else model.__name__} is not a model: it has no predict method",
            remedy="hand over a fitted scikit-learn classifier, regressor or Pipeline that ends in one",
        )
    task_of(model)
    try:
        if isinstance(model, BaseEstimator):
            check_is_fitted(model)
    except NotFittedError:
        raise SignatureError(f"{kind} is not fitted", remedy="call model.fit(X, y) before deploying it") from None


def task_of(model: Any) -> Task:
    """Tell classifier from regressor; anything else is refused."""
    if is_classifier(model):
        return "classifier"
    if is_regressor(model):
        return "regressor"
    raise SignatureError(
        f"{type(model).__name__} is neither a classifier nor a regressor",
        remedy="clusterers, outlier detectors and transformers give no label or value per record: wrap or replace it",
    )


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
    return None


def classes_of(model: Any) -> tuple[str, ...]:
    """The classes as readable text, in the order of `classes_`."""
    classes = getattr(model, "classes_", None)
    if classes is None or any(isinstance(each, list) or getattr(each, "ndim", 0) for each in classes):
        raise SignatureError(
            f"{type(model).__name__} predicts several outputs at once, or does not say its classes",
            remedy="deploy one model per output",
        )
    return tuple(str(each) for each in classes)


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
    for each in _parts(model, set()):
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
    return any(False in (vars(each).get("copy", True), vars(each).get("copy_X", True)) for each in _parts(model, set()))


def _parts(value: Any, seen: set[int]) -> Iterator[BaseEstimator]:
    """Every estimator reachable from a value's attributes, lists and dicts, each once."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, BaseEstimator):
        yield value
        children = list(vars(value).values())
    elif isinstance(value, dict):
        children = list(value.values())
    elif isinstance(value, list | tuple):
        children = list(value)
    elif isinstance(value, np.ndarray) and value.dtype.kind == "O":
        children = list(value.flat)
    else:
        return
    for child in children:
        yield from _parts(child, seen)


def batch_independent_float32(model: Any) -> bool:
    """Whether float32 input gives the same result whatever the batch size: trees behind value-by-value steps.

    Matrix products do not qualify: their float32 sums differ by 1e-7 with the number of rows.
    """
    model = unsearched(model)
    steps = [step for _, step in getattr(model, "steps", [("", model)]) if step is not None and step != "passthrough"]
    names = [type(step).__name__ if type(step).__module__.startswith("sklearn.") else "" for step in steps]
    own_start = getattr(steps[-1], "init", None) is not None if steps else False
    return bool(names) and names[-1] in TREES and not own_start and all(name in SCALERS for name in names[:-1])

"""`SklearnEngine`: a fitted scikit-learn model asked once where that is enough, with its per-call overhead cut.

In: a float matrix in the signature's order, or a frame for a model that picks columns by name. Out: `Scores`; labels
are those of `model.predict`, scores those of its `predict_proba`. Classifiers without `predict_proba` get 1.0 for the
predicted class and 0.0 for the others. Keys, records and events are not known here.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from grid_inference.errors import SignatureError
from grid_inference.model import estimators
from grid_inference.model.engines.columns import ColumnPath
from grid_inference.model.engines.direct import DirectPath
from grid_inference.model.engines.isolate import (
    BadOutputError,
    Failure,
    Inputs,
    NanPolicy,
    Predicts,
    Scores,
    isolate,
    plainly_finite,
)
from grid_inference.model.engines.threads import OpenMPThreads
from grid_inference.model.frame import Frame
from grid_inference.model.signature import Signature

__all__ = ["SklearnEngine"]

ARGMAX_EXACTLY = frozenset(
    {"DecisionTreeClassifier", "ExtraTreeClassifier", "RandomForestClassifier", "ExtraTreesClassifier"}
    | {"BaggingClassifier", "CalibratedClassifierCV"}
)
"""Their `predict` is the argmax of their own `predict_proba`, as their source says."""
ARGMAX_BUT_FOR_TIES = frozenset(
    {"LogisticRegression", "LogisticRegressionCV", "SGDClassifier", "MLPClassifier"}
    | {"HistGradientBoostingClassifier", "GradientBoostingClassifier"}
    | {"LinearDiscriminantAnalysis", "QuadraticDiscriminantAnalysis"}
    | {"GaussianNB", "MultinomialNB", "BernoulliNB", "CategoricalNB", "ComplementNB"}
)
"""Their `predict` is the argmax of values that grow with the probabilities: rounding matters only between near ties."""
TIE = {"f": 1e-5, "d": 1e-9}
"""Closer than this, by the probabilities' type, the model itself decides."""


class SklearnEngine:
    """Calls one fitted model; safe to use from several threads, as the model is not changed."""

    def __init__(self, model: Any, signature: Signature) -> None:
        self.signature = signature
        self._task = signature.task
        if signature.frame and find_spec(signature.frame_type) is None:
            raise SignatureError(
                f"the model takes a DataFrame of {signature.frame_type}, which is not installed here",
                remedy=f"pip install 'grid-inference[{signature.frame_type}]'",
            )
        self._names = signature.names
        self._nullable = np.array([each.nullable for each in signature.inputs] or [False], np.bool_)
        self._frame_names = estimators.feature_names(model) if signature.frame else None
        # Some transformers may be told to work in place (copy=False): they must not change what is scored again.
        self._overwrites = estimators.may_overwrite(model)
        self._transforms, self._last = _opened(model, keep_names=signature.frame)
        kind = type(self._last).__name__ if type(self._last).__module__.startswith("sklearn.") else ""
        self._argmax = kind in ARGMAX_EXACTLY
        self._argmax_but_ties = kind in ARGMAX_BUT_FOR_TIES
        self._has_proba = hasattr(self._last, "predict_proba")
        self._classes = np.asarray(self._last.classes_) if self._task == "classifier" else np.empty(0)
        self._sorter = np.argsort(self._classes, kind="stable")
        self._threads = OpenMPThreads()
        self._columns = (
            ColumnPath.of(self._transforms[0])
            if self._transforms and signature.frame and signature.frame_type == "pandas"
            else None
        )
        behind = self._transforms[1:] if self._columns else self._transforms
        self._direct = DirectPath.of(behind, self._last) if self._columns or not signature.frame else None

    def score(
        self, inputs: Inputs, nan: NanPolicy = "dead-letter", *, by: Predicts | None = None
    ) -> tuple[Scores, NDArray[np.int64], list[Failure]]:
        """Score what can be scored: scores of the good rows, their row numbers, a failure for each other row.

        `by` asks the model in our place: under a watch, or in a process of its own.
        """
        if not inputs.shape[0]:
            return self._empty(), np.empty(0, np.int64), []
        scores, good, failures = isolate(by or self, inputs, nan, self._names, self._nullable)
        return (scores if good.size else self._empty()), good, failures

    def predict(self, inputs: Inputs, *, finite: bool | None = None) -> Scores:
        """Score all rows, or raise what the model raises. `finite` says that all values are known to be finite."""
        if not inputs.shape[0]:
            return self._empty()
        finite = plainly_finite(inputs) if finite is None else finite
        if not (isinstance(inputs, Frame) or self._columns) and finite and (scores := self._directly(inputs)):
            return scores
        with (
            self._threads.fit_for(inputs.shape[0]),
            sklearn.config_context(assume_finite=finite, skip_parameter_validation=True),
            np.errstate(over="ignore", under="ignore", invalid="ignore", divide="ignore"),
        ):
            if isinstance(inputs, Frame) and self._columns:
                matrix = self._columns(inputs, finite=finite)
                if matrix is not None:
                    # An encoder may make a NaN of a text.
                    scores = self._directly(matrix) if finite and plainly_finite(matrix) else None
                    return scores or self._ask(matrix, self._transforms[1:])
            return self._ask(self._handed(inputs), self._transforms)

    def _directly(self, matrix: NDArray[Any]) -> Scores | None:
        """Scores of finite values by plain arithmetic; None if the model itself must say them."""
        if self._direct is None or matrix.dtype != np.float64:
            return None
        values = self._direct(matrix)
        if self._task == "regressor":
            return Scores(values, None, None)
        # The labels come from the model itself wherever rounding could matter.
        return None if self._near_ties(values) else self._scored(values, _argmax(values))

    def check_outputs(self) -> None:
        """Refuse a model that gives several outputs per record, by a trial on one row of zeros."""
        inputs = self._handed(np.zeros((1, max(self.signature.inputs_count, 1))))
        try:
            for transform in self._transforms:
                inputs = transform.transform(inputs)
            _one_column(self._last.predict(inputs))
        except BadOutputError as error:
            raise SignatureError(str(error), remedy="deploy one model per output") from None
        except Exception:  # noqa: BLE001  # zeros may be no possible record; real ones will tell
            return

    def _handed(self, inputs: Inputs) -> Any:
        """The inputs as the model's first step wants them."""
        if isinstance(inputs, Frame):
            polars = self.signature.frame_type == "polars"
            return inputs.to_polars() if polars else inputs.to_pandas(copy=self._overwrites)
        matrix = inputs
        if self._frame_names is not None:
            import pandas as pd  # noqa: PLC0415  # only models that pick columns by name need it

            return pd.DataFrame(matrix, columns=list(self._frame_names), copy=self._overwrites)
        return matrix.copy() if self._overwrites else matrix

    def _ask(self, inputs: Any, transforms: Sequence[Any]) -> Scores:
        for transform in transforms:
            inputs = transform.transform(inputs)
        if self._task == "regressor":
            return Scores(_one_column(self._last.predict(inputs)).astype(np.float64, copy=False), None, None)
        if not self._has_proba:
            index = self._index_of(self._last.predict(inputs))
            return self._scored((index[:, None] == np.arange(self._classes.size)).astype(np.float64), index)
        found = self._last.predict_proba(inputs)
        proba = np.asarray(found)
        if isinstance(found, list) or proba.ndim != 2 or proba.shape[1] != self._classes.size:
            raise BadOutputError(f"predict_proba gave shape {proba.shape} for {self._classes.size} classes")
        if self._argmax or (self._argmax_but_ties and not self._near_ties(proba)):
            return self._scored(proba, _argmax(proba))
        return self._scored(proba, self._index_of(self._last.predict(inputs)))

    def _near_ties(self, proba: NDArray[Any]) -> bool:
        """Whether any row's two best classes are so close that rounding could change the label."""
        tie = TIE.get(proba.dtype.char, 1.0)
        if proba.shape[1] == 2:
            return not bool((np.abs(proba[:, 1] - proba[:, 0]) > tie).all())
        if proba.shape[1] < 2:
            return False
        best = np.partition(proba, -2, axis=1)[:, -2:]
        return not bool((best[:, 1] - best[:, 0] > tie).all())

    def _scored(self, proba: NDArray[Any], index: NDArray[np.int32]) -> Scores:
        proba = proba.astype(np.float64, copy=False)
        if proba.shape[1] == 2:
            score = np.ascontiguousarray(proba[:, 1])
        else:
            score = proba[np.arange(proba.shape[0]), np.maximum(index, 0)]
        return Scores(score, index, proba)

    def _index_of(self, labels: Any) -> NDArray[np.int32]:
        """Labels as indexes into the classes; -1 where a label is none of them."""
        labels = _one_column(labels)
        place = np.searchsorted(self._classes, labels, sorter=self._sorter)
        index = self._sorter[np.minimum(place, self._classes.size - 1)].astype(np.int32)
        return np.where(self._classes[index] == labels, index, np.int32(-1)).astype(np.int32, copy=False)

    def _empty(self) -> Scores:
        if self._task == "regressor":
            return Scores(np.empty(0), None, None)
        return Scores(np.empty(0), np.empty(0, np.int32), np.empty((0, self._classes.size)))


def _opened(model: Any, *, keep_names: bool) -> tuple[Sequence[Any], Any]:
    """The transforming steps and the last step, so that a batch is transformed once however often the last is asked."""
    model = estimators.unsearched(model)
    steps: list[Any] = [model]
    if type(model) is Pipeline:
        steps = [step for _, step in model.steps if step is not None and step != "passthrough"]
    if not keep_names:
        steps[0] = _nameless(steps[0])
    return steps[:-1], steps[-1]


def _nameless(step: Any) -> Any:
    """The step as if fitted on a plain matrix: it would warn of missing names at every call otherwise."""
    if "feature_names_in_" not in vars(step):
        return step
    twin = copy.copy(step)
    del twin.feature_names_in_
    return twin


def _argmax(proba: NDArray[Any]) -> NDArray[np.int32]:
    if proba.shape[1] == 2:
        return (proba[:, 1] > proba[:, 0]).astype(np.int32)
    return proba.argmax(axis=1).astype(np.int32)


def _one_column(values: Any) -> NDArray[Any]:
    """What `predict` gave as a vector; a single column counts as one."""
    values = np.asarray(values)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise BadOutputError(f"predict gave shape {values.shape}: several outputs per record")
    return values

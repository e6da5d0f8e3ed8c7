"""`SklearnEngine`: a fitted scikit-learn model asked once where that is enough, with its per-call overhead cut.

Labels are those of `model.predict`, scores those of its `predict_proba`. Classifiers without `predict_proba` get 1.0
for the predicted class and 0.0 for the others. Outlier detectors' scores are those of `decision_function`; clusterers'
those of `predict_proba`, or the distances of `transform`.
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
from grid_inference.model.engines import outputs
from grid_inference.model.engines.columns import ColumnPath
from grid_inference.model.engines.direct import DirectPath
from grid_inference.model.engines.engine import Engine
from grid_inference.model.engines.isolate import BadOutputError, Scores, plainly_finite
from grid_inference.model.engines.threads import OpenMPThreads
from grid_inference.model.inputs.frame import Frame, Inputs
from grid_inference.model.signature import Signature
from grid_inference.model.training import takes_texts_alone

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
SIGN_OF_DECISION = frozenset({"IsolationForest"})
"""Their `predict` says outlier where their `decision_function` is below zero, as their source says."""
TIE = {"f": 1e-5, "d": 1e-9}
"""Closer than this, by the probabilities' type, the model itself decides."""


class SklearnEngine(Engine):
    """Calls one fitted model; safe to use from several threads, as the model is not changed."""

    def __init__(self, model: Any, signature: Signature) -> None:
        super().__init__(signature)
        self._task = signature.task
        by_task = {"regressor": self._value, "classifier": self._class, "multilabel": self._labels}
        self._by_task = {**by_task, "outlier_detector": self._outlier, "clusterer": self._cluster}[signature.task]
        if signature.frame and find_spec(signature.frame_type) is None:
            raise SignatureError(
                f"the model takes a DataFrame of {signature.frame_type}, which is not installed here",
                remedy=f"pip install 'grid-inference[{signature.frame_type}]'",
            )
        self._frame_names = estimators.feature_names(model) if signature.frame else None
        # Some transformers may be told to work in place (copy=False): they must not change what is scored again.
        self._overwrites = estimators.may_overwrite(model)
        self._transforms, self._last = _opened(model, keep_names=signature.frame)
        kind = type(self._last).__name__ if type(self._last).__module__.startswith("sklearn.") else ""
        self._argmax = kind in ARGMAX_EXACTLY
        self._argmax_but_ties = kind in ARGMAX_BUT_FOR_TIES
        self._has_proba = hasattr(self._last, "predict_proba")
        self._by_sign = kind in SIGN_OF_DECISION
        self._classes = np.asarray(self._last.classes_) if self._task == "classifier" else np.empty(0)
        if self._task == "clusterer":
            self._classes = np.array(signature.classes, np.int64)
        self._sorter = np.argsort(self._classes, kind="stable")
        self._threads = OpenMPThreads()
        self._texts_alone = takes_texts_alone(model)
        self._dtype = estimators.fitted_dtype(self._last)
        self._output = estimators.transform_output(model)
        plain = signature.frame and signature.frame_type == "pandas" and self._output == "default"
        self._columns = ColumnPath.of(self._transforms[0]) if self._transforms and plain else None
        behind = self._transforms[1:] if self._columns else self._transforms
        self._direct = DirectPath.of(behind, self._last) if self._columns or not signature.frame else None

    def _predict(self, inputs: Inputs, *, finite: bool | None) -> Scores:
        finite = plainly_finite(inputs) if finite is None else finite
        if not (isinstance(inputs, Frame) or self._columns) and finite and (scores := self._directly(inputs)):
            return scores
        with (
            self._threads.fit_for(inputs.shape[0]),
            # The settings are a thread's own: here is another one than that in which the model was fitted.
            sklearn.config_context(assume_finite=finite, skip_parameter_validation=True, transform_output=self._output),
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
        return None if self._near_ties(values) else outputs.of_classes(values, outputs.argmax(values))

    def raw(self, inputs: Inputs) -> Any:
        """What the model's own `predict` gives."""
        handed = self._handed(inputs)
        with sklearn.config_context(transform_output=self._output):
            for transform in self._transforms:
                handed = transform.transform(handed)
            return self._last.predict(handed)

    def raw_of_last(self) -> Any:
        """What its last step alone gives for a row of zeros, of as many as it was fitted with."""
        return self._last.predict(np.zeros((1, self._last.n_features_in_)))

    @property
    def gives_one(self) -> bool:
        """Whether its class gives one value for a record, whatever it was fitted on."""
        return estimators.gives_one_value(self._last)

    def _handed(self, inputs: Inputs) -> Any:
        """The inputs as the model's first step wants them."""
        if isinstance(inputs, Frame):
            if self._texts_alone:
                return next(iter(inputs.columns.values()))
            polars = self.signature.frame_type == "polars"
            frame = inputs.to_polars() if polars else inputs.to_pandas(copy=self._overwrites)
            return frame if self._frame_names is not None else frame.to_numpy(object)
        matrix = inputs if self._dtype is None else inputs.astype(self._dtype, copy=False)
        if self._frame_names is not None:
            import pandas as pd  # noqa: PLC0415  # only models that pick columns by name need it

            return pd.DataFrame(matrix, columns=list(self._frame_names), copy=self._overwrites)
        return matrix.copy() if self._overwrites else matrix

    def _ask(self, inputs: Any, transforms: Sequence[Any]) -> Scores:
        for transform in transforms:
            inputs = transform.transform(inputs)
        if self._dtype is not None and getattr(inputs, "dtype", self._dtype) != self._dtype:
            inputs = inputs.astype(self._dtype)
        return self._by_task(inputs)

    def _value(self, inputs: Any) -> Scores:
        return outputs.values(self._last.predict(inputs), self.signature.outputs)

    def _class(self, inputs: Any) -> Scores:
        if not self._has_proba:
            return outputs.certain(self._index_of(self._last.predict(inputs)), self._classes.size)
        proba = np.asarray(self._last.predict_proba(inputs))
        if proba.ndim != 2 or proba.shape[1] != self._classes.size:
            raise BadOutputError(f"predict_proba gave shape {proba.shape} for {self._classes.size} classes")
        if self._argmax or (self._argmax_but_ties and not self._near_ties(proba)):
            return outputs.of_classes(proba, outputs.argmax(proba))
        return outputs.of_classes(proba, self._index_of(self._last.predict(inputs)))

    def _labels(self, inputs: Any) -> Scores:
        """Of several labels a record each one's probability, or 1 and 0 where the model gives none."""
        on = self._last.predict(inputs)
        found = self._last.predict_proba(inputs) if self._has_proba else on
        if isinstance(found, list):  # one matrix a label
            pairs = zip(found, self._last.classes_, strict=True)
            found = np.stack([_of_one(np.asarray(proba), classes) for proba, classes in pairs], axis=1)
        return outputs.labelled(found, on, len(self.signature.classes))

    def _outlier(self, inputs: Any) -> Scores:
        decision = self._last.decision_function(inputs)
        outlier = decision < 0 if self._by_sign else self._last.predict(inputs) == -1
        return outputs.detected(decision, outlier)

    def _cluster(self, inputs: Any) -> Scores:
        index = self._index_of(self._last.predict(inputs))
        if not self.signature.outputs:
            return outputs.grouped(index, None)
        measure = self._last.predict_proba if self._has_proba else self._last.transform
        return outputs.grouped(index, outputs.matrix(measure(inputs), self.signature.outputs, measure.__name__))

    def _near_ties(self, proba: NDArray[Any]) -> bool:
        """Whether any row's two best classes are so close that rounding could change the label."""
        tie = TIE.get(proba.dtype.char, 1.0)
        return proba.shape[1] > 1 and not bool((outputs.lead(proba) > tie).all())

    def _index_of(self, labels: Any) -> NDArray[np.int32]:
        """Labels as indexes into the classes; -1 where a label is none of them."""
        labels = outputs.one_column(labels)
        place = np.searchsorted(self._classes, labels, sorter=self._sorter)
        index = self._sorter[np.minimum(place, self._classes.size - 1)].astype(np.int32)
        return np.where(self._classes[index] == labels, index, np.int32(-1)).astype(np.int32, copy=False)


def _opened(model: Any, *, keep_names: bool) -> tuple[Sequence[Any], Any]:
    """The transforming steps and the last step, so that a batch is transformed once however often the last is asked."""
    model = estimators.unsearched(model)
    steps: list[Any] = [model]
    if type(model) is Pipeline:
        steps = [step for _, step in model.steps if step is not None and step != "passthrough"]
    if not keep_names:
        steps[0] = _nameless(steps[0])
    return steps[:-1], steps[-1]


def _of_one(proba: NDArray[Any], classes: Any) -> NDArray[Any]:
    """How likely it is that one of several labels applies: of two classes the second, of one all or nothing."""
    return proba[:, 1] if proba.shape[1] == 2 else np.full(proba.shape[0], float(classes[0]))


def _nameless(step: Any) -> Any:
    """The step as if fitted on a plain matrix: it would warn of missing names at every call otherwise."""
    if "feature_names_in_" not in vars(step):
        return step
    twin = copy.copy(step)
    del twin.feature_names_in_
    return twin

"""The bare model, with nothing of ours before it: asked by its own `predict` for a sample's rows as they were given.

In: a model as it was handed over, and a sample. Out: a refusal that names row, output and both values where records of
the same rows make the model say something else. Boosters and graphs take a matrix of numbers whatever comes in, so
there is nothing to hold them against.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import sklearn
from numpy.typing import NDArray

from grid_inference.errors import SignatureError
from grid_inference.model import estimators
from grid_inference.model.engines import outputs
from grid_inference.model.engines.agreement import SINGLE_TOLERANCE, TOLERANCE, disagreement
from grid_inference.model.engines.engine import Engine
from grid_inference.model.engines.isolate import BadOutputError, Scores
from grid_inference.model.engines.native.function import PythonFunction
from grid_inference.model.engines.native.library import ArrayEngine
from grid_inference.model.engines.native.mlflow import MlflowModel
from grid_inference.model.engines.steadiness import Tried
from grid_inference.model.engines.threads import OpenMPThreads
from grid_inference.model.inputs.frame import Inputs
from grid_inference.model.sample import Sample
from grid_inference.model.signature import Signature
from grid_inference.model.training import is_opaque, parts, takes_texts_alone

__all__ = ["hold"]

REMEDY = (
    "a record has values by their fields' names and nothing else: no index, no categories, no types but the fields'. "
    "Make the model look at nothing else; an estimator of your own that is to get the columns as it was fitted on them "
    "says so by feature_names_in_, as validate_data of scikit-learn sets it"
)


def hold(model: Any, sample: Sample, inputs: Inputs, tried: Tried) -> None:
    """Hold what a model said of a sample's rows as records, `inputs`, against the bare model's answer to the rows.

    Raises SignatureError where they differ. A model that can't be asked for the rows as they are is left alone.
    """
    signature, every = tried.engine.signature, np.arange(inputs.shape[0])
    bare = _Bare.of(model, signature)
    if bare is None:
        return
    said = bare.said(sample, every)
    if said is None:
        said = bare.said(sample, tried.rows)
    elif tried.rows.size < every.size:
        _check_scored(tried.engine, inputs, said)
        said = said.take(tried.rows)
    if said is None:
        return
    found = disagreement(said, tried.scores, signature, SINGLE_TOLERANCE if bare.single else TOLERANCE)
    if found is not None:
        raise _other(int(tried.rows[found.row]), f"the {found.output} {found.one!r}", f"{found.other!r}")


def _check_scored(engine: Engine, inputs: Inputs, said: Scores) -> None:
    """Refuse a model that can't score a row as a record, and by itself can."""
    for failure in engine.score(inputs, "score")[2]:
        if np.isfinite(said.score[failure.row]):
            raise _other(failure.row, f"the score {float(said.score[failure.row])!r}", f"none ({failure.message})")


def _other(row: int, bare: str, ours: str) -> SignatureError:
    return SignatureError(
        f"row {row} of the sample has {bare} by the model itself, and {ours} as a record", remedy=REMEDY
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Given:
    """Rows of a sample, of the columns of these names."""

    sample: Sample
    names: Sequence[str]
    rows: NDArray[np.intp]

    @property
    def shape(self) -> tuple[int, int]:
        return self.rows.size, len(self.names)

    def __getitem__(self, some: Any) -> _Given:
        return replace(self, rows=self.rows[some])

    def forms(self, own_names: Sequence[str] | None) -> tuple[Any, Any]:
        """The rows as they were given, and a matrix in place of a frame or a frame in place of a matrix."""
        rows = self.sample.rows(self.rows, self.names)
        if isinstance(rows, np.ndarray):
            import pandas as pd  # noqa: PLC0415  # only models that pick columns by name need it

            return rows, pd.DataFrame(rows, columns=list(own_names or self.names) or None)
        if own_names is not None and tuple(own_names) != tuple(self.names):
            rows.columns = list(own_names)
        return rows, rows.to_numpy()


class _Bare(Engine):
    """Asks a model for as many rows at a time as ours does, on as many threads: what it says may hang on that."""

    def __init__(self, model: Any, signature: Signature) -> None:
        super().__init__(signature)
        self._model = model
        self._is_estimator = not isinstance(model, PythonFunction | MlflowModel)
        self._own_names = estimators.feature_names(model) if self._is_estimator else None
        self._threads = OpenMPThreads()
        self._texts_alone = takes_texts_alone(model)
        # What is scikit-learn's throughout, and picks nothing by name, makes a matrix of a frame before all else.
        self._matrix_first = self._is_estimator and not (signature.frame or any(map(is_opaque, parts(model))))
        self.single = False
        """Whether it computes in float32, as far as its answers tell."""

    @classmethod
    def of(cls, model: Any, signature: Signature) -> _Bare | None:
        """None for what takes nothing but a matrix of numbers."""
        known = isinstance(model, PythonFunction | MlflowModel) or (hasattr(model, "fit") and hasattr(model, "predict"))
        return cls(model, signature) if known else None

    def said(self, sample: Sample, rows: NDArray[np.intp]) -> Scores | None:
        """What it says of rows of a sample; None if it can't be asked for them."""
        try:
            with (
                warnings.catch_warnings(),
                sklearn.config_context(transform_output=estimators.transform_output(self._model)),
            ):
                warnings.simplefilter("ignore")
                return self.predict(cast("Inputs", _Given(sample, self.signature.names, rows)))
        except Exception:  # noqa: BLE001  # a model may raise anything
            return None

    def _predict(self, inputs: Inputs, *, finite: bool | None) -> Scores:
        del finite
        given = cast("_Given", inputs)
        forms = given.forms(self._own_names)
        for rows in reversed(forms) if self._matrix_first and not isinstance(forms[0], np.ndarray) else forms:
            try:
                # Which of equally near neighbours count hangs on how many threads look for them.
                with self._threads.fit_for(given.rows.size):
                    found = self._read(_first_column(rows) if self._texts_alone else rows)
            except Exception:  # noqa: BLE001, S112  # it may take the other form
                continue
            if found.score.size == given.rows.size:
                return found
        raise BadOutputError("it can't be asked for rows as they are")

    def _read(self, rows: Any) -> Scores:
        if isinstance(self._model, PythonFunction):
            return ArrayEngine(self._model.call, self.signature).predict(rows)
        if isinstance(self._model, MlflowModel):
            return ArrayEngine(self._model.loaded.predict, self.signature).predict(rows)
        task = self.signature.task
        if task == "regressor":
            return outputs.values(self._asked("predict", rows), self.signature.outputs)
        if not hasattr(self._model, "classes_") and task in {"classifier", "multilabel"}:
            return ArrayEngine(self._model.predict, self.signature).predict(rows)
        return {"classifier": self._class, "multilabel": self._several, "outlier_detector": self._outlier}.get(
            task, self._cluster
        )(rows)

    def _asked(self, method: str, rows: Any) -> Any:
        found = getattr(self._model, method)(rows)
        self.single = self.single or getattr(found, "dtype", None) == np.float32
        return found

    def _class(self, rows: Any) -> Scores:
        index = _places(self._asked("predict", rows), self._model.classes_)
        if not hasattr(self._model, "predict_proba"):
            return outputs.certain(index, len(self.signature.classes))
        return outputs.of_classes(np.asarray(self._asked("predict_proba", rows)), index)

    def _several(self, rows: Any) -> Scores:
        on = np.asarray(self._asked("predict", rows))
        found: Any = self._asked("predict_proba", rows) if hasattr(self._model, "predict_proba") else on
        if isinstance(found, list):  # a matrix for each label; of one that is always there or never a single column
            each = enumerate(cast("list[Any]", found))
            found = np.stack([proba[:, 1] if proba.shape[1] == 2 else on[:, at] for at, proba in each], axis=1)
        return outputs.labelled(found, on, len(self.signature.classes))

    def _outlier(self, rows: Any) -> Scores:
        return outputs.detected(self._asked("decision_function", rows), np.ravel(self._asked("predict", rows)) == -1)

    def _cluster(self, rows: Any) -> Scores:
        index = _places(self._asked("predict", rows), self.signature.classes)
        if not self.signature.outputs:
            return outputs.grouped(index, None)
        measure = "predict_proba" if hasattr(self._model, "predict_proba") else "transform"
        return outputs.grouped(index, outputs.matrix(self._asked(measure, rows), self.signature.outputs, measure))


def _first_column(rows: Any) -> Any:
    return rows[:, 0] if isinstance(rows, np.ndarray) else rows[rows.columns[0]]


def _places(labels: Any, classes: Any) -> NDArray[np.int32]:
    """Labels as places among the classes, by their texts; -1 for one that is none of them."""
    places = {str(each): place for place, each in enumerate(classes)}
    return np.array([places.get(str(label), -1) for label in outputs.one_column(labels)], np.int32)

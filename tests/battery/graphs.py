"""Subjects in ONNX: graphs as skl2onnx and onnxmltools make them, asked by ONNX Runtime itself."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from skl2onnx import to_onnx, update_registered_converter
from skl2onnx.common.shape_calculator import (
    calculate_linear_classifier_output_shapes,
    calculate_linear_regressor_output_shapes,
)

from tests.battery.bare import VALUES, Said, of_certain, of_classes, of_clusters, of_detector, of_labels, of_values
from tests.battery.boosters import KINDS
from tests.battery.subjects import Fitted, Subject, scikit_learn
from tests.battery.tables import NAMES, Form

__all__ = ["graphs"]

ONNX_FORMS = ("float64", "int64", "gaps", "matrix32", "columns")
TENSORS = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64,
           "tensor(string)": object, "tensor(bool)": bool}  # fmt: skip
ROUNDING = 1e-5


def graphs() -> Iterator[Subject]:
    """One of every estimator; what can't be converted says so when it is fitted."""
    onnxruntime.set_default_logger_severity(4)  # what a graph can't do raises
    for subject in scikit_learn():
        yield Subject("ONNX", subject.name, subject.task, partial(_onnx, subject), ONNX_FORMS, single=True)
    for kind, given in KINDS:
        for task in ("two classes", "three classes") if kind.__name__.endswith("Classifier") else ("value",):
            fit = partial(_onnx, _boosted(kind, given, task))
            yield Subject("ONNX", kind.__name__, task, fit, ("matrix32", "array", "gaps"), single=True)


def _boosted(kind: type, given: dict[str, Any], task: str) -> Subject:
    """A booster that onnxmltools converts for skl2onnx."""

    def fit(form: Form, target: Any, _folder: Path) -> Fitted:
        _register(kind)
        target = np.unique(target, return_inverse=True)[1] if task.endswith("classes") else target
        return Fitted(kind(**given).fit(np.asarray(form.fitted, np.float32), target), _nothing)

    return Subject("", kind.__name__, task, fit, ())


def _register(kind: type) -> None:
    from onnxmltools.convert.lightgbm.operator_converters.LightGbm import convert_lightgbm  # noqa: PLC0415
    from onnxmltools.convert.xgboost.operator_converters.XGBoost import convert_xgboost  # noqa: PLC0415

    classifier = kind.__name__.endswith("Classifier")
    update_registered_converter(
        kind,
        kind.__name__,
        calculate_linear_classifier_output_shapes if classifier else calculate_linear_regressor_output_shapes,
        convert_xgboost if kind.__module__.startswith("xgboost") else convert_lightgbm,
        options={"nocl": [True, False], "zipmap": [True, False, "columns"]} if classifier else None,
    )


def _nothing(_rows: Any) -> Said:
    raise NotImplementedError


def _onnx(subject: Subject, form: Form, target: Any, folder: Path) -> Fitted:
    """A graph of one matrix, double where the rows are, or of a column each."""
    model = subject.fit(form, target, folder).source
    rows = form.fitted if form.name == "columns" else np.asarray(form.fitted)
    if form.name == "gaps" or subject.name.startswith(("XGB", "LGBM")):
        # onnxmltools knows floats only, and skl2onnx is asked for no doubles here.
        rows = rows.astype(np.float32)
    # A dict of each row's probabilities is made of floats only.
    plain = hasattr(model, "predict_proba") and getattr(rows, "dtype", None) != np.float32
    options = {id(model): {"zipmap": False}} if plain else None
    graph = to_onnx(model, rows[:1], target_opset={"": 21, "ai.onnx.ml": 3}, options=options)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    publish = {} if form.name == "columns" or form.columns else {"columns": list(NAMES)}
    classes = getattr(model, "classes_", None)
    return Fitted(graph, lambda asked: _of_session(session, asked, subject.task, classes), publish)


def _of_session(session: Any, rows: Any, task: str, classes: Any) -> Said:
    inputs = session.get_inputs()
    if len(inputs) == 1:
        feed = {inputs[0].name: np.asarray(rows).astype(TENSORS[inputs[0].type])}
    else:
        feed = {each.name: rows[[each.name]].to_numpy().astype(TENSORS[each.type]) for each in inputs}
    first, *rest = session.run(None, feed)
    if task in VALUES:
        return of_values(first)
    if task == "outliers":
        return of_detector(rest[0], first)
    proba = rest[0] if rest else None
    if task == "clusters":
        return of_clusters(first, proba)
    if task == "several labels":
        return of_labels(first, first)
    if isinstance(proba, list):
        proba = np.array([list(each.values()) for each in proba])
    labels = np.ravel(first).tolist()
    probable = proba.shape == (len(labels), len(classes)) and -ROUNDING <= proba.min() <= proba.max() <= 1 + ROUNDING
    return of_classes(np.clip(proba, 0, 1), labels, classes) if probable else of_certain(labels, classes)

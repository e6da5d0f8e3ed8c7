"""Translating a model to ONNX, if it says the same then, and for the sizes of batches at which it is faster.

In: a fitted model of scikit-learn, XGBoost or LightGBM with its signature, and rows of its inputs. Out: `Report`, and
the model with its translation where that wins anywhere. Sources: skl2onnx (`to_onnx`) and onnxmltools
(`convert_xgboost`, `convert_lightgbm`).
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from grid_inference.errors import ArtifactError
from grid_inference.model.engines.engine import Engine
from grid_inference.model.engines.formats import said
from grid_inference.model.engines.isolate import Scores
from grid_inference.model.engines.native.compiled import CompiledEngine, CompiledModel, own_library
from grid_inference.model.engines.native.library import Library
from grid_inference.model.engines.native.onnx import Onnx, OnnxModel, without_zipmap
from grid_inference.model.engines.report import TOLERANCE, Report
from grid_inference.model.engines.timing import BATCHES, batch_of, took
from grid_inference.model.inputs.frame import Inputs
from grid_inference.model.signature import Signature
from grid_inference.model.training import parts

__all__ = ["compiled"]

ROWS_MAX = 10_000
TASKS = ("classifier", "regressor")
_one_at_a_time = threading.Lock()
TYPES = ("DoubleTensorType", "FloatTensorType")
"""What numbers are translated as: as exactly as the model, else as fast as most others do."""


def compiled(
    model: Any, signature: Signature, engine: Engine, inputs: Inputs | None
) -> tuple[Report, CompiledModel | None]:
    """Translate a model, hold it against `engine` at the rows of `inputs`, and measure both.

    Raises ArtifactError where what translates is not installed. A translation that fails, or says otherwise, or is
    slower at every size, is not used; the report says why.
    """
    if signature.task not in TASKS or signature.outputs:
        return Report(reason="only classifiers and regressors of one output are translated"), None
    if inputs is None or not inputs.shape[0]:
        return Report(reason="there is no sample to hold it against"), None
    inputs = inputs[np.arange(min(inputs.shape[0], ROWS_MAX))]
    report = Report(reason="nothing translates it")
    for numbers in TYPES:
        try:
            onnx = OnnxModel(without_zipmap(_translated(model, signature, numbers)))
            other = Onnx().engine(onnx, signature)
            difference = _difference(engine, other, inputs)
        except ArtifactError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever its converters can't do
            report = Report(reason=said(error.__cause__ or error))
            continue
        if difference is None or difference > TOLERANCE:
            report = Report(inputs.shape[0], difference, reason="it says otherwise than the model")
            continue
        both = CompiledModel(model, onnx, dict.fromkeys(BATCHES, True))
        report = _measured(engine, CompiledEngine(both, signature), inputs, difference)
        if report.used:
            return report, replace(both, plan={size: size in report.used for size in BATCHES})
    return report, None


def _translated(model: Any, signature: Signature, numbers: str) -> bytes:
    own = own_library(model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return (_of_booster(model, own, signature) if own else _sklearn(model, signature, numbers)).SerializeToString()


def _sklearn(model: Any, signature: Signature, numbers: str) -> Any:
    skl2onnx, types = _module("skl2onnx"), _module("skl2onnx.common.data_types")
    if not _translates_as(model, numbers):
        raise ValueError("it is translated as floats only")
    number = getattr(types, numbers)
    if signature.frame:
        kinds = {"string": types.StringTensorType, "bool": types.BooleanTensorType}
        inputs = [(each.name, kinds.get(each.dtype, number)([None, 1])) for each in signature.inputs]
    else:
        inputs = [("inputs", number([None, signature.inputs_count]))]
    plain = {id(model): {"zipmap": False}} if signature.task == "classifier" else None
    with _whole_numbers(_module("skl2onnx.common._container").ModelComponentContainer):
        return skl2onnx.to_onnx(model, initial_types=inputs, options=plain)


def _translates_as(model: Any, numbers: str) -> bool:
    """Whether skl2onnx 1.20 comes to an end with numbers of this type."""
    return numbers != "DoubleTensorType" or not _as_floats_only(model)


def _as_floats_only(model: Any) -> bool:
    """Whether one of its trees has a threshold of which there is no next double."""
    trees = (getattr(each, "tree_", None) for each in parts(model))
    return any(tree is not None and not np.isfinite(tree.threshold).all() for tree in trees)


@contextmanager
def _whole_numbers(container: Any) -> Generator[None, None, None]:
    """skl2onnx 1.20 writes truth values of histogram gradient boosting where onnx takes whole numbers only."""
    with _one_at_a_time:
        add_node = container.add_node

        def add(self: Any, kind: str, takes: Any, gives: Any, *more: Any, **attributes: Any) -> Any:
            plain = {
                name: [int(each) if isinstance(each, bool | np.bool_) else each for each in values]
                if isinstance(values, list)
                else values
                for name, values in attributes.items()
            }
            return add_node(self, kind, takes, gives, *more, **plain)

        container.add_node = add
        try:
            yield
        finally:
            container.add_node = add_node


def _of_booster(model: Any, own: Library, signature: Signature) -> Any:
    types = _module("onnxmltools.convert.common.data_types")
    inputs = [("inputs", types.FloatTensorType([None, signature.inputs_count]))]
    booster = own.read(own.write(model))
    if own.format == "lightgbm":
        onnx = _module("onnxmltools").convert_lightgbm(booster, initial_types=inputs, zipmap=False)
    else:
        booster.feature_names = None  # its converter knows numbered ones only
        onnx = _module("onnxmltools").convert_xgboost(booster, initial_types=inputs)
    if signature.task == "classifier":  # a booster knows its classes as numbers: the probabilities say them by place
        del onnx.graph.output[0]
    return onnx


def _module(name: str) -> Any:
    from importlib import import_module  # noqa: PLC0415

    try:
        return import_module(name)
    except ImportError:
        raise ArtifactError(
            f"translating a model needs {name.partition('.')[0]}, which is not installed here",
            remedy="pip install 'grid-inference[onnx-compile]'",
        ) from None


def _difference(engine: Engine, other: Engine, inputs: Inputs) -> float | None:
    """The greatest difference between scores of rows; None where labels or refused rows differ."""
    (mine, good, _), (theirs, also_good, _) = engine.score(inputs, "score"), other.score(inputs, "score")
    if good.tolist() != also_good.tolist() or not good.size or not _same_labels(mine, theirs):
        return None
    pairs = [(mine.score, theirs.score)]
    if mine.scores is not None and theirs.scores is not None:
        pairs.append((mine.scores, theirs.scores))
    return max(float(np.abs(one - two).max()) for one, two in pairs)


def _same_labels(mine: Scores, theirs: Scores) -> bool:
    if mine.label_index is None or theirs.label_index is None:
        return mine.label_index is theirs.label_index
    return bool((mine.label_index == theirs.label_index).all())


def _measured(engine: Engine, other: Engine, inputs: Inputs, difference: float) -> Report:
    batches = {str(size): batch_of(inputs, size) for size in BATCHES}
    model_us, onnx_us = dict[str, float](), dict[str, float]()
    for size, batch in batches.items():
        model_us[size], onnx_us[size] = took(partial(engine.predict, batch), partial(other.predict, batch))
    slower = all(onnx_us[size] >= model_us[size] for size in batches)
    reason = "the model itself is faster at every size" if slower else ""
    return Report(inputs.shape[0], difference, model_us=model_us, onnx_us=onnx_us, reason=reason)

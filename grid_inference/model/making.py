"""From what a data scientist hands over to what is published: bytes, signature, and what the model makes of a sample.

In: an estimator, a model object of another library, the path of a file or folder of one, or `module:function`. Out:
`Made`. Nothing of the grid is known here, and nobody vouches for the bytes yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from grid_inference.config import FUNCTION_NAME
from grid_inference.errors import SignatureError
from grid_inference.model import estimators
from grid_inference.model.artifact import Artifact, read_file
from grid_inference.model.compiling import Report, compiled
from grid_inference.model.engines.engine import Engine
from grid_inference.model.engines.isolate import Inputs
from grid_inference.model.engines.sklearn import SklearnEngine
from grid_inference.model.expected import Expected
from grid_inference.model.frame import Frame
from grid_inference.model.native import engine_of, library_of
from grid_inference.model.native.function import PythonFunction
from grid_inference.model.native.library import ArrayEngine
from grid_inference.model.signature import Signature
from grid_inference.model.statistics import Statistics
from grid_inference.wire.compact import Column

__all__ = ["Made", "inputs_of", "make", "settled"]


@dataclass(frozen=True, slots=True)
class Made:
    """A model as it is published."""

    artifact: Artifact
    signature: Signature
    expected: Expected | None
    compiled: Report | None = None
    """What became of its translation to ONNX, if one was asked for."""
    statistics: Statistics | None = None
    """How the sample was spread; None if it has too few rows for that."""


def make(
    model: Any,
    columns: Sequence[str] | None = None,
    sample: Any = None,
    classes: Sequence[str] | None = None,
    *,
    compile: bool = False,  # noqa: A002  # the option's name
) -> Made:
    """Write a model down, describe it, and ask it for the sample; with `compile` translate it to ONNX where that pays.

    Raises ArtifactError for what is no model, SignatureError for one that can't be fed.
    """
    if classes is not None and (isinstance(classes, str) or len(classes) < 2 or len(set(classes)) < len(classes)):
        raise SignatureError(
            f"classes = {classes!r} are no two different ones",
            remedy="list each class once, in the order of the model's probabilities",
        )
    if _is_function(model):
        model = PythonFunction.named(model)
    elif isinstance(model, str | Path):
        model = read_file(model)
    library = library_of(model)
    if library is None:
        if classes:
            raise SignatureError(
                f"{type(model).__name__} says its classes itself", remedy="leave classes out, or fit it with others"
            )
        described = estimators.describe(model)
        artifact, loaded = Artifact.from_model(model), model
    else:
        artifact = Artifact.from_model(model)
        loaded = library.load(artifact.content, artifact.manifest.class_name)
        described = library.describe(model, classes, sample)
        if classes and not described.classes:
            raise SignatureError(
                f"{artifact.manifest.class_name} is no classifier, and classes are named", remedy="leave classes out"
            )
    signature = Signature.described(described, columns, sample)
    engine, inputs, report = engine_of(loaded, signature), inputs_of(sample, signature), None
    if (found := settled(engine, inputs)) != signature:
        signature, engine = found, engine_of(loaded, found)
    if compile:
        report, both = compiled(loaded, signature, engine, inputs)
        if both is not None:
            artifact, engine = Artifact.from_model(both), engine_of(both, signature)
    expected = Expected.of(engine, sample)
    rows = inputs if inputs is not None else _unnamed(sample, signature)
    return Made(artifact, signature, expected, report, Statistics.of(engine, rows))


def settled(engine: Engine, inputs: Inputs | None) -> Signature:
    """The signature with what only the model's answer tells: how many values a regressor gives for a record.

    It is asked for one row of the sample, or of zeros; a model that raises for it is taken to give one value.
    """
    signature = engine.signature
    if signature.task != "regressor" or signature.outputs or not isinstance(engine, SklearnEngine | ArrayEngine):
        return signature
    if inputs is None and not signature.frame:
        inputs = np.zeros((1, max(signature.inputs_count, 1)))
    if inputs is None:
        return signature
    try:
        found = np.asarray(engine.raw(inputs[np.arange(1)]))
    except Exception:  # noqa: BLE001  # zeros may be no possible record; real ones will tell
        return signature
    return replace(signature, outputs=found.shape[1]) if found.ndim == 2 and found.shape[1] > 1 else signature


def inputs_of(sample: Any, signature: Signature) -> Inputs | None:
    """A sample's rows as the model gets them; None without a sample, or where records hold them in one array."""
    if sample is None or not signature.names:
        return None
    try:
        if isinstance(sample, np.ndarray | list | tuple):
            matrix = np.atleast_2d(np.asarray(sample, np.float64))
            if not signature.frame:
                return matrix
            found = {name: matrix[:, index] for index, name in enumerate(signature.names)}
        else:
            found = {name: np.asarray(sample[name]) for name in signature.names}
    except LookupError as error:
        raise SignatureError(
            f"the sample lacks a column: {error}", remedy=f"give the model's inputs: {', '.join(signature.names)}"
        ) from error
    if not signature.frame:
        return np.stack([np.asarray(values, np.float64) for values in found.values()], axis=1)
    return Frame.of({name: _column(values) for name, values in found.items()})


def _unnamed(sample: Any, signature: Signature) -> Inputs | None:
    """A matrix whose columns nobody has named yet."""
    if signature.names or not isinstance(sample, np.ndarray | list | tuple):
        return None
    try:
        matrix = np.atleast_2d(np.asarray(sample, np.float64))
    except (TypeError, ValueError):
        return None
    return matrix if matrix.ndim == 2 and matrix.shape[1] == signature.inputs_count else None


def _column(values: Any) -> Column:
    if values.dtype.kind not in "OUS":
        return Column(values)
    texts = values.astype(object)
    valid = np.array([value is not None and value == value for value in texts.tolist()], np.bool_)  # noqa: PLR0124  # NaN
    return Column(texts, None if bool(valid.all()) else valid)


def _is_function(model: Any) -> bool:
    """Whether a text names a function; a file of that name goes first."""
    return isinstance(model, str) and FUNCTION_NAME.fullmatch(model) is not None and not Path(model).exists()

"""From what a data scientist hands over to what is published: bytes, signature, and what the model makes of a sample.

In: an estimator, a model object of another library, the path of a file or folder of one, or `module:function`. Out:
`Made`. Nothing of the grid is known here, and nobody vouches for the bytes yet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from grid_inference.config import FUNCTION_NAME
from grid_inference.errors import SignatureError
from grid_inference.model import estimators
from grid_inference.model.engines.bare import hold
from grid_inference.model.engines.compiling import compiled
from grid_inference.model.engines.engine import Engine
from grid_inference.model.engines.expected import Expected
from grid_inference.model.engines.native import engine_of, library_of
from grid_inference.model.engines.native.function import PythonFunction
from grid_inference.model.engines.steadiness import ROWS, steady
from grid_inference.model.engines.width import settled
from grid_inference.model.inputs.frame import Inputs
from grid_inference.model.inputs.recorded import recorded
from grid_inference.model.inputs.sources import Misfits, Sources
from grid_inference.model.sample import Sample
from grid_inference.model.signature import Signature
from grid_inference.model.store.artifact import Artifact, read_file
from grid_inference.model.store.published import Made
from grid_inference.model.store.statistics import Statistics

__all__ = ["inputs_of", "make"]


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
    _check_classes(classes)
    sample = Sample.of(sample)
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
    sample = sample and sample.of_inputs(described.count)
    signature = Signature.described(described, columns, sample)
    engine, inputs, report = engine_of(loaded, signature), inputs_of(sample, signature), None
    if (found := settled(engine, inputs)) != signature:
        signature, engine = found, engine_of(loaded, found)
    if sample is not None and inputs is not None and inputs.shape[0]:
        engine = _tried(model, sample, engine, inputs, partial(engine_of, loaded))
        signature = engine.signature
    if compile:
        report, both = compiled(loaded, signature, engine, inputs)
        if both is not None:
            artifact, engine = Artifact.from_model(both), engine_of(both, signature)
    expected = Expected.of(engine, inputs)
    return Made(artifact, signature, expected, report, Statistics.of(engine, inputs))


def _check_classes(classes: Sequence[str] | None) -> None:
    if classes is not None and (isinstance(classes, str) or len(classes) < 2 or len(set(classes)) < len(classes)):
        raise SignatureError(
            f"classes = {classes!r} are no two different ones",
            remedy="list each class once, in the order of the model's probabilities",
        )


def _tried(model: Any, sample: Sample, engine: Engine, inputs: Inputs, again: Callable[[Signature], Engine]) -> Engine:
    """Ask for a sample's first rows as records: steady whatever the batch, and what the bare model says of the rows."""
    first = sample.first(ROWS)
    records = recorded(first, engine.signature)
    if records is None:
        records = inputs[np.arange(len(first))]
    tried = steady(engine, records, again)
    hold(model, first, records, tried)
    return tried.engine


def inputs_of(sample: Any, signature: Signature) -> Inputs | None:
    """A sample's rows as the model gets them; None without a sample, or where nothing says which column is which.

    Raises SignatureError where it is no sample of these inputs.
    """
    sample = Sample.of(sample)
    if sample is None:
        return None
    if not signature.names or signature.array_field is not None:
        return _unnamed(sample, signature)
    sample = sample.named(signature.names)
    lacking = [name for name in signature.names if name not in sample]
    if lacking:
        raise SignatureError(
            f"the sample lacks a column: {lacking[0]!r}",
            remedy=f"give the model's inputs: {', '.join(signature.names)}",
        )
    misfits: Misfits = {}
    columns = {name: sample.column(name) for name in signature.names}
    inputs = Sources(signature, {}).inputs(columns, len(sample), misfits)
    if misfits:
        row, reason = next(iter(misfits.items()))
        raise SignatureError(
            f"the model can't be asked for row {row} of its sample: {reason.message}",
            remedy="give rows of its inputs, of the types that it was fitted on, as the sample",
        )
    return inputs


def _unnamed(sample: Sample, signature: Signature) -> Inputs | None:
    """A matrix whose columns have no names, or whose values are in one array."""
    try:
        matrix = None if sample.matrix is None else sample.matrix.astype(np.float64)
    except (TypeError, ValueError):
        return None
    return matrix if matrix is not None and matrix.shape[1] == signature.inputs_count else None


def _is_function(model: Any) -> bool:
    """Whether a text names a function; a file of that name goes first."""
    return isinstance(model, str) and FUNCTION_NAME.fullmatch(model) is not None and not Path(model).exists()

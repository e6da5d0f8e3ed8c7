"""From what a data scientist hands over to what is published: bytes, signature, and what the model makes of a sample.

In: an estimator, a model object of another library, the path of a file or folder of one, or `module:function`. Out:
`Made`. Nothing of the grid is known here, and nobody vouches for the bytes yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grid_inference.errors import SignatureError
from grid_inference.model.artifact import Artifact, read_file
from grid_inference.model.engines.sklearn import settled
from grid_inference.model.expected import Expected
from grid_inference.model.native import engine_of, library_of
from grid_inference.model.native.function import Function, PythonFunction
from grid_inference.model.signature import Signature

__all__ = ["Made", "is_function", "make"]


@dataclass(frozen=True, slots=True)
class Made:
    """A model as it is published."""

    artifact: Artifact
    signature: Signature
    expected: Expected | None


def make(
    model: Any, columns: Sequence[str] | None = None, sample: Any = None, classes: Sequence[str] | None = None
) -> Made:
    """Write a model down, describe it, and ask it for the sample.

    Raises ArtifactError for what is no model, SignatureError for one that can't be fed.
    """
    if is_function(model):
        model = PythonFunction.named(model)
    elif isinstance(model, str | Path):
        model = read_file(model)
    library = library_of(model)
    if library is None:
        if classes:
            raise SignatureError(
                f"{type(model).__name__} says its classes itself", remedy="leave classes out, or fit it with others"
            )
        signature = settled(model, Signature.of(model, columns, sample), sample)
        artifact, loaded = Artifact.from_model(model), model
    else:
        artifact = Artifact.from_model(model)
        loaded = library.load(artifact.content, artifact.manifest.class_name)
        signature = Signature.described(library.describe(model, classes, sample), columns, sample)
    return Made(artifact, signature, Expected.of(engine_of(loaded, signature), sample))


def is_function(model: Any) -> bool:
    """Whether a text names a function; a file of that name goes first."""
    return isinstance(model, str) and Function.is_name(model) and not Path(model).exists()

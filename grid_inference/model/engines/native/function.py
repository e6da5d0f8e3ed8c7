"""A Python function named `module:function`, which gives an array for a matrix or a DataFrame.

The name travels, the code does not: the module must be importable in every worker.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar, Self

from grid_inference.config import FUNCTION_NAME
from grid_inference.errors import ArtifactError
from grid_inference.model.described import Described
from grid_inference.model.engines.engine import Engine
from grid_inference.model.engines.formats import OWN_MODULE, OWN_REMEDY
from grid_inference.model.engines.native.library import ArrayEngine, Library
from grid_inference.model.inputs.frame import Frame, Inputs
from grid_inference.model.sample import Sample
from grid_inference.model.signature import Signature

__all__ = ["Function", "PythonFunction"]


@dataclass(frozen=True, slots=True)
class PythonFunction:
    """A function by its name, imported."""

    name: str
    """`module:function`."""
    call: Callable[[Any], Any] = field(repr=False)

    @classmethod
    def named(cls, name: str) -> Self:
        """Import it; raise ArtifactError that says what is missing."""
        found = FUNCTION_NAME.fullmatch(name)
        if found is None:
            raise ArtifactError(f"{name!r} names no function", remedy="name it as module:function")
        if found["module"] == OWN_MODULE:
            raise ArtifactError(f"{name!r} is a function that no worker has", remedy=OWN_REMEDY)
        try:
            module = import_module(found["module"])
        except ImportError as error:
            raise ArtifactError(
                f"the module of {name} can't be imported here: {error}",
                remedy="install it here and in the workers, or put its folder on PYTHONPATH",
            ) from error
        function = getattr(module, found["function"], None)
        if not callable(function):
            raise ArtifactError(
                f"the module {found['module']} has no function {found['function']!r}",
                remedy="name a function of that module",
            )
        return cls(name, function)

    def __reduce__(self) -> tuple[Any, ...]:
        return PythonFunction.named, (self.name,)


class Function(Library):
    """Functions of modules that are installed in the workers."""

    format: ClassVar[str] = "function"
    suffix: ClassVar[str] = "function.json"
    runs_code: ClassVar[bool] = True

    def takes(self, model: Any) -> bool:
        """A name was made a `PythonFunction`."""
        return isinstance(model, PythonFunction)

    def is_in(self, path: Path) -> bool:
        """No file holds one."""
        del path
        return False

    def name_of(self, model: PythonFunction) -> str:
        """As it was named."""
        return model.name

    def write(self, model: PythonFunction) -> bytes:
        """Its name."""
        return json.dumps({"function": model.name}).encode()

    def read(self, content: bytes) -> PythonFunction:
        """The function, imported."""
        return PythonFunction.named(str(json.loads(content)["function"]))

    def describe(self, model: PythonFunction, classes: Sequence[str] | None, sample: Sample | None) -> Described:
        """A classifier if classes are named, else a regressor; it gets what the sample is, else a matrix."""
        del model
        matrix = None if sample is None else sample.matrix
        framed = sample is not None and matrix is None
        width = None if matrix is None else matrix.shape[1]
        task = "classifier" if classes else "regressor"
        return Described(task, tuple(map(str, classes or ())), count=width, frame=framed)

    def engine(self, model: PythonFunction, signature: Signature) -> Engine:
        """It calls the function."""
        polars = signature.frame_type == "polars"

        def ask(inputs: Inputs) -> Any:
            if isinstance(inputs, Frame):
                return model.call(inputs.to_polars() if polars else inputs.to_pandas(copy=True))
            return model.call(inputs.copy())

        return ArrayEngine(ask, signature)

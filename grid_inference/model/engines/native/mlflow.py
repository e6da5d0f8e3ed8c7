"""MLflow model folders, asked as `pyfunc`: whatever flavour it is, it takes a DataFrame.

The folder travels as a tar. Source: MLflow's documentation, "MLflow Model" (the file `MLmodel`, signatures, pyfunc).
"""

from __future__ import annotations

import io
import logging
import os
import shutil
import tarfile
import tempfile
import weakref
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import psutil

from grid_inference.errors import SignatureError
from grid_inference.model.described import Described, Input
from grid_inference.model.engines.engine import Engine
from grid_inference.model.engines.native.library import ArrayEngine, Library, cast
from grid_inference.model.inputs.frame import Frame, Inputs
from grid_inference.model.sample import Sample
from grid_inference.model.signature import Signature

__all__ = ["Mlflow", "MlflowModel"]

MODEL_FILE = "MLmodel"
DTYPES = {"long": "int64", "integer": "int32", "float": "float32", "double": "float64", "boolean": "bool"}
OTHER_DTYPES = {"string": "string", "datetime": "datetime64[us]"}
FOLDER = "grid-inference-mlflow-"


class MlflowModel:
    """A folder as a tar, and the model in it, which is loaded when it is first needed and does not travel."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def __reduce__(self) -> tuple[Any, ...]:
        return MlflowModel, (self.content,)

    @cached_property
    def loaded(self) -> Any:
        """A `PyFuncModel`; its folder lasts as long as this object."""
        import mlflow.pyfunc  # noqa: PLC0415

        logging.getLogger("mlflow").setLevel(logging.ERROR)  # it would tell of each difference to its requirements
        _sweep()
        folder = tempfile.mkdtemp(prefix=f"{FOLDER}{os.getpid()}-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        with tarfile.open(fileobj=io.BytesIO(self.content)) as archive:
            archive.extractall(folder, filter="data")
        return mlflow.pyfunc.load_model(folder)


class Mlflow(Library):
    """MLflow model folders."""

    format: ClassVar[str] = "mlflow"
    modules: ClassVar[tuple[str, ...]] = ("mlflow", "pandas")
    packages: ClassVar[tuple[str, ...]] = ("mlflow", "pandas")
    suffix: ClassVar[str] = "tar"
    runs_code: ClassVar[bool] = True

    def takes(self, model: Any) -> bool:
        """One that was read."""
        return isinstance(model, MlflowModel)

    def is_in(self, path: Path) -> bool:
        """A folder with the file `MLmodel`."""
        return (path / MODEL_FILE).is_file()

    def content(self, path: Path) -> bytes:
        """The folder as a tar; the same folder gives the same bytes."""
        files = sorted(file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for file in files:
                info = tarfile.TarInfo(file.relative_to(path).as_posix())
                info.size = file.stat().st_size
                with file.open("rb") as content:
                    archive.addfile(info, content)
        return buffer.getvalue()

    def name_of(self, model: MlflowModel) -> str:
        """The flavour's loader."""
        return str(model.loaded.loader_module) if hasattr(model.loaded, "loader_module") else "PyFuncModel"

    def write(self, model: MlflowModel) -> bytes:
        """Its tar."""
        return model.content

    def read(self, content: bytes) -> MlflowModel:
        """A model that is loaded."""
        model = MlflowModel(content)
        _ = model.loaded
        return model

    def describe(self, model: MlflowModel, classes: Sequence[str] | None, sample: Sample | None) -> Described:
        """By its signature; a classifier if classes are named, as a `pyfunc` does not say its own."""
        schema = model.loaded.metadata.get_input_schema()
        task = "classifier" if classes else "regressor"
        gives: dict[str, Any] = {"task": task, "classes": tuple(map(str, classes or ())), "frame": True}
        if schema is None:
            if sample is None or sample.matrix is not None:
                raise SignatureError(
                    "the MLflow model has no signature",
                    remedy="give a DataFrame as sample, or save it with mlflow.models.infer_signature(X, y)",
                )
            return Described(**gives)
        if schema.is_tensor_spec():
            raise SignatureError(
                "the MLflow model takes tensors, and records are columns", remedy="save it with a signature of columns"
            )
        inputs = tuple(Input(each.name, _dtype(each)) for each in schema.inputs)
        gives["outputs"] = 0 if classes else _outputs(model.loaded.metadata.get_output_schema())
        return Described(inputs=inputs, count=len(inputs), **gives)

    def engine(self, model: MlflowModel, signature: Signature) -> Engine:
        """It calls `predict` with a DataFrame of the types that the signature names: MLflow takes no others."""
        loaded, names = model.loaded, signature.names
        schema = loaded.metadata.get_input_schema()
        wanted = {} if schema is None else {each.name: _dtype(each) for each in schema.inputs}
        own = dict(zip(names, wanted, strict=True)) if wanted else dict.fromkeys(names, "")

        def ask(inputs: Inputs) -> Any:
            frame: Any = inputs.to_pandas() if isinstance(inputs, Frame) else inputs
            if wanted:
                frame = frame.rename(columns=own)
                kinds = {name: np.dtype(kind) for name, kind in wanted.items() if kind in DTYPES.values()}
                frame = frame.assign(**{name: cast(frame[name].to_numpy(), kind, name) for name, kind in kinds.items()})
            found = loaded.predict(frame)
            return found.to_numpy() if hasattr(found, "to_numpy") else np.asarray(found)

        gives = loaded.metadata.get_output_schema()
        return ArrayEngine(ask, signature, gives_one=gives is not None and not signature.outputs)


def _sweep() -> None:
    """Remove the folders of processes that were killed, or ended without a word as trials do."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER}*-*"):
        owner = folder.name.removeprefix(FOLDER).partition("-")[0]
        if owner.isdecimal() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def _outputs(schema: Any) -> int:
    """How many values a record gets by the signature; 0 where it is one, or nothing is said."""
    if schema is None:
        return 0
    if schema.is_tensor_spec():
        shapes = [each.shape for each in schema.inputs]
        count = shapes[0][1] if len(shapes) == 1 and len(shapes[0]) == 2 else 0
    else:
        if texts := [each for each in schema.inputs if getattr(each.type, "name", "") == "string"]:
            raise SignatureError(
                f"the MLflow model gives texts{f' as {texts[0].name!r}' if texts[0].name else ''}, no numbers",
                remedy="name the classes that they are: classes = [...]",
            )
        count = len(schema.inputs)
    return count if count > 1 else 0


def _dtype(column: Any) -> str:
    kind = getattr(column.type, "name", str(column.type))
    dtype = (DTYPES | OTHER_DTYPES).get(kind)
    if dtype is None or column.name is None:
        raise SignatureError(
            f"the MLflow model's input {column.name!r} is {column.type}, which no record holds",
            remedy="save it with a signature of named columns of numbers, booleans, strings or dates",
        )
    return dtype

"""A model beside its translation to ONNX: batches of each size are scored by the faster of the two.

Which is faster was measured where it was published, and that both say the same (`engines/compiling.py`). The model
itself is asked for missing and infinite values, where two classes are so close that the label could be another one, and
where the translation raises.
"""

from __future__ import annotations

import bisect
import io
import json
import math
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from grid_inference.model.described import Described
from grid_inference.model.engines import formats, outputs
from grid_inference.model.engines.engine import Engine
from grid_inference.model.engines.isolate import Scores, plainly_finite
from grid_inference.model.engines.native.library import Library
from grid_inference.model.engines.native.lightgbm import Lightgbm
from grid_inference.model.engines.native.onnx import Onnx, OnnxModel
from grid_inference.model.engines.native.xgboost import Xgboost
from grid_inference.model.engines.report import TOLERANCE
from grid_inference.model.inputs.frame import Inputs
from grid_inference.model.sample import Sample
from grid_inference.model.signature import Signature

__all__ = ["Compiled", "CompiledEngine", "CompiledModel", "own_library"]

ONNX, PLAN = "model.onnx", "plan.json"
OWN: dict[str, Library] = {one.format: one for one in (Xgboost(), Lightgbm())}


@dataclass(frozen=True, slots=True)
class CompiledModel:
    """A model, its translation, and which of them scores batches of which size."""

    model: Any
    onnx: OnnxModel
    plan: Mapping[int, bool]
    """Rows of a batch that was measured → whether the translation scores batches of about that size."""


class Compiled(Library):
    """Models of scikit-learn, XGBoost and LightGBM that were translated to ONNX."""

    format: ClassVar[str] = "compiled"
    extra: ClassVar[str] = "onnx"
    modules: ClassVar[tuple[str, ...]] = ("onnxruntime",)
    packages: ClassVar[tuple[str, ...]] = ("onnxruntime", "scikit-learn", "numpy", "scipy")
    suffix: ClassVar[str] = "tar"
    runs_code: ClassVar[bool] = True

    def takes(self, model: Any) -> bool:
        """Both of them."""
        return isinstance(model, CompiledModel)

    def is_in(self, path: Path) -> bool:
        """No file that a user has."""
        del path
        return False

    def packages_of(self, model: CompiledModel) -> tuple[str, ...]:
        """Those of the model too."""
        own = own_library(model.model)
        return (*self.packages, *(own.packages if own else ("skops", "joblib")))

    def name_of(self, model: CompiledModel) -> str:
        """The model's own."""
        return type(model.model).__name__

    def write(self, model: CompiledModel) -> bytes:
        """A tar of the model in its own format, the translation and the plan."""
        own = own_library(model.model)
        form, content = (own.format, own.write(model.model)) if own else formats.dump(model.model)
        plan = {"format": form, "sizes": {str(size): chosen for size, chosen in model.plan.items()}}
        files = {form: content, ONNX: model.onnx.content, PLAN: json.dumps(plan).encode()}
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for name, each in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(each)
                archive.addfile(info, io.BytesIO(each))
        return buffer.getvalue()

    def read(self, content: bytes) -> CompiledModel:
        """Both, loaded."""
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            files = {info.name: _read(archive, info) for info in archive}
        plan = json.loads(files[PLAN])
        form = str(plan["format"])
        own = OWN.get(form)
        model = own.load(files[form], form) if own else formats.read(form, files[form], form)
        return CompiledModel(
            model, Onnx().read(files[ONNX]), {int(size): bool(chosen) for size, chosen in plan["sizes"].items()}
        )

    def describe(self, model: CompiledModel, classes: Sequence[str] | None, sample: Sample | None) -> Described:
        """A translation is made for a signature that is known."""
        raise NotImplementedError

    def engine(self, model: CompiledModel, signature: Signature) -> Engine:
        """It asks the one or the other."""
        return CompiledEngine(model, signature)


class CompiledEngine(Engine):
    """Asks the faster of two for each batch."""

    def __init__(self, model: CompiledModel, signature: Signature) -> None:
        super().__init__(signature)
        from grid_inference.model.engines.sklearn import SklearnEngine  # noqa: PLC0415 - scikit-learn, with a model

        own = own_library(model.model)
        self._model = own.engine(model.model, signature) if own else SklearnEngine(model.model, signature)
        self._onnx = Onnx().engine(model.onnx, signature)
        sizes = sorted(model.plan)
        self._chosen = [model.plan[size] for size in sizes]
        self._limits = [math.sqrt(one * next_one) for one, next_one in pairwise(sizes)]

    def _predict(self, inputs: Inputs, *, finite: bool | None) -> Scores:
        finite = plainly_finite(inputs) if finite is None else finite
        if not finite or not self._chosen[bisect.bisect_left(self._limits, inputs.shape[0])]:
            return self._model.predict(inputs, finite=finite)
        try:
            scores = self._onnx.predict(inputs, finite=True)
        except Exception:  # noqa: BLE001  # what it can't take the model itself may
            return self._model.predict(inputs, finite=True)
        doubtful = _doubtful(scores)
        return (
            scores.replaced(doubtful, self._model.predict(inputs[doubtful], finite=True)) if doubtful.size else scores
        )


def _doubtful(scores: Scores) -> NDArray[np.int64]:
    """Rows whose label could be another one within the tolerance, or whose score is no number."""
    bad = ~np.isfinite(scores.score)
    if scores.scores is not None and scores.scores.shape[1] > 1:
        bad |= ~(outputs.lead(scores.scores) > 2 * TOLERANCE)
    return np.flatnonzero(bad)


def own_library(model: Any) -> Library | None:
    """The library whose booster a model is; None if scikit-learn made it."""
    return next((one for one in OWN.values() if one.takes(model)), None)


def _read(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(info)
    if file is None:
        raise ValueError(f"{info.name!r} is no file")
    return file.read()

"""Models of other libraries than scikit-learn, each read and asked by its own library; `engine_of` knows whose one is.

Such a library is imported with the first model of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from grid_inference.model.engines.engine import Engine
from grid_inference.model.engines.native.compiled import Compiled
from grid_inference.model.engines.native.function import Function
from grid_inference.model.engines.native.library import Library
from grid_inference.model.engines.native.lightgbm import Lightgbm
from grid_inference.model.engines.native.mlflow import Mlflow
from grid_inference.model.engines.native.onnx import Onnx
from grid_inference.model.engines.native.xgboost import Xgboost
from grid_inference.model.signature import Signature

__all__ = ["LIBRARIES", "engine_of", "library_in", "library_of"]

LIBRARIES: dict[str, Library] = {
    one.format: one for one in (Xgboost(), Lightgbm(), Onnx(), Compiled(), Mlflow(), Function())
}
"""By the format of a manifest."""


def library_of(model: Any) -> Library | None:
    """The library of a model object; None if it is scikit-learn's, or one of its own."""
    return _first(one for one in LIBRARIES.values() if one.takes(model))


def library_in(path: Path) -> Library | None:
    """The library of a file or folder; None if it is a skops or joblib file, or nothing."""
    return _first(one for one in LIBRARIES.values() if one.is_in(path))


def engine_of(model: Any, signature: Signature) -> Engine:
    """What asks a model that was loaded."""
    if library := library_of(model):
        return library.engine(model, signature)
    from grid_inference.model.engines.sklearn import SklearnEngine  # noqa: PLC0415 - scikit-learn, with its first model

    return SklearnEngine(model, signature)


def _first(found: Iterable[Library]) -> Library | None:
    return next(iter(found), None)

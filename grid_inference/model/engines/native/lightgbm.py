"""LightGBM: boosters as the text that LightGBM writes; `LGBMClassifier` and the like are kept as their booster.

Source of the format: LightGBM's documentation of `Booster.model_to_string` and `save_model`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from grid_inference.errors import SignatureError
from grid_inference.model.described import Described, Input
from grid_inference.model.engines.engine import Engine
from grid_inference.model.engines.native.library import (
    ArrayEngine,
    Library,
    fitted,
    is_regressor,
    named_classes,
    no_categories,
)
from grid_inference.model.sample import Sample
from grid_inference.model.signature import Signature

__all__ = ["Lightgbm"]

MAGIC = b"tree\nversion="
OBJECTIVE = re.compile(r"^objective=(\w+)(?:.*num_class:(\d+))?", re.MULTILINE)
UNNAMED = re.compile(r"Column_\d+")


class Lightgbm(Library):
    """Boosted trees of LightGBM."""

    format: ClassVar[str] = "lightgbm"
    modules: ClassVar[tuple[str, ...]] = ("lightgbm",)
    packages: ClassVar[tuple[str, ...]] = ("lightgbm",)
    suffix: ClassVar[str] = "txt"

    def takes(self, model: Any) -> bool:
        """A Booster or an estimator of LightGBM."""
        return type(model).__module__.startswith("lightgbm.") and not isinstance(model, type)

    def is_in(self, path: Path) -> bool:
        """A text that begins as LightGBM's."""
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC

    def write(self, model: Any) -> bytes:
        """Its booster, up to the best iteration."""
        return _booster(model).model_to_string().encode()

    def read(self, content: bytes) -> Any:
        """A Booster."""
        import lightgbm  # noqa: PLC0415

        if not content.startswith(MAGIC):  # LightGBM would write its complaint to standard output
            raise ValueError(f"it does not begin with {MAGIC.decode().splitlines()[0]!r} and a version")
        return lightgbm.Booster(model_str=content.decode())

    def describe(self, model: Any, classes: Sequence[str] | None, sample: Sample | None) -> Described:
        """By the booster's objective, and an estimator's classes."""
        del sample
        booster = _booster(model)
        if booster.pandas_categorical:
            raise no_categories("LightGBM")
        found = OBJECTIVE.search(booster.model_to_string(num_iteration=1))
        objective, count = (found[1], int(found[2] or 2)) if found else ("", 0)
        names = getattr(model, "feature_names_in_", None)
        names = list(booster.feature_name() if names is None else names)
        described = Described(
            task="regressor",
            inputs=None if all(map(UNNAMED.fullmatch, names)) else tuple(Input(str(name)) for name in names),
            count=int(booster.num_feature()),
            float_dtype="float32",
        )
        known = getattr(model, "classes_", None)
        if objective not in {"binary", "multiclass", "multiclassova"} or (is_regressor(model) and not classes):
            if known is not None:
                raise SignatureError(
                    f"the objective of {type(model).__name__} is its own, and gives no probabilities",
                    remedy='fit it with the objective "binary" or "multiclass"',
                )
            return described
        numbers = [str(each) for each in (range(count) if known is None else known)]
        return replace(described, task="classifier", classes=named_classes(numbers, classes, type(model).__name__))

    def engine(self, model: Any, signature: Signature) -> Engine:
        """It asks the booster."""
        return ArrayEngine(model.predict, signature)


def _booster(model: Any) -> Any:
    return fitted(model, lambda: model.booster_) if hasattr(model, "fit") else model

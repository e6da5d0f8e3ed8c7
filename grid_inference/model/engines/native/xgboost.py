"""XGBoost: boosters of trees as UBJSON, their own format; `XGBClassifier` and the like are kept as their booster.

Source of the format and of `inplace_predict`: XGBoost's documentation, "Introduction to Model IO" and "Prediction".
"""

from __future__ import annotations

import json
import math
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

__all__ = ["Xgboost"]

BINARY, MARGINS = "binary:logistic", ("binary:logitraw", "binary:hinge")
NUMBERS = "multi:softmax"
"""A booster of this objective gives the class's number; its estimator's probabilities are those of its margins."""
SEVERAL = ("multi:softprob", NUMBERS)
HEAD_BYTES = 64


class Xgboost(Library):
    """Boosted trees of XGBoost."""

    format: ClassVar[str] = "xgboost"
    modules: ClassVar[tuple[str, ...]] = ("xgboost",)
    packages: ClassVar[tuple[str, ...]] = ("xgboost",)
    suffix: ClassVar[str] = "ubj"

    def takes(self, model: Any) -> bool:
        """A Booster, or an estimator of XGBoost whose booster alone is the model."""
        if not type(model).__module__.startswith("xgboost.") or isinstance(model, type):
            return False
        missing = getattr(model, "missing", math.nan)  # an estimator with another one turns values into it itself
        return isinstance(missing, float) and math.isnan(missing)

    def is_in(self, path: Path) -> bool:
        """UBJSON or JSON that begins with the learner."""
        if path.suffix not in {".ubj", ".json", ".xgb"} or not path.is_file():
            return False
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        return b"learner" in head

    def write(self, model: Any) -> bytes:
        """Its booster as UBJSON."""
        return bytes(_booster(model).save_raw("ubj"))

    def read(self, content: bytes) -> Any:
        """A Booster."""
        import xgboost  # noqa: PLC0415

        booster = xgboost.Booster()
        booster.load_model(bytearray(content))
        return booster

    def describe(self, model: Any, classes: Sequence[str] | None, sample: Sample | None) -> Described:
        """By the booster's objective; it knows no class by its name, and no estimator of XGBoost does."""
        del sample
        booster = _booster(model)
        if "c" in (booster.feature_types or ()):
            raise no_categories("XGBoost")
        learner = json.loads(booster.save_config())["learner"]
        objective, facts = learner["objective"]["name"], learner["learner_model_param"]
        targets, count = int(facts["num_target"]), int(facts["num_class"])
        if objective in MARGINS:
            raise SignatureError(
                f"the objective {objective} gives no probabilities", remedy=f"fit it with the objective {BINARY}"
            )
        names = booster.feature_names
        described = Described(
            task="regressor",
            inputs=None if names is None else tuple(map(Input, names)),
            count=int(booster.num_features()),
            float_dtype="float32",
            outputs=targets if targets > 1 else 0,
        )
        if is_regressor(model) and not classes:
            return described
        what = type(model).__name__
        if objective == BINARY and targets > 1:
            labels = named_classes([str(label) for label in range(targets)], classes, what)
            return replace(described, task="multilabel", classes=labels, outputs=0)
        if objective == BINARY or objective in SEVERAL:
            numbers = [str(number) for number in range(count or 2)]
            return replace(described, task="classifier", classes=named_classes(numbers, classes, what))
        return described

    def engine(self, model: Any, signature: Signature) -> Engine:
        """It asks for predictions in place: without a copy into XGBoost's own matrix."""
        from scipy.special import softmax  # noqa: PLC0415 - with the first model, as XGBoost itself

        best = model.attr("best_iteration")
        until = (0, int(best) + 1) if best is not None else (0, 0)
        learner = json.loads(model.save_config())["learner"]
        numbers, linear = learner["objective"]["name"] == NUMBERS, learner["gradient_booster"]["name"] == "gblinear"

        def ask(matrix: Any) -> Any:
            if linear:
                import xgboost  # noqa: PLC0415

                found = model.predict(xgboost.DMatrix(matrix), output_margin=numbers, validate_features=False)
            else:
                found = model.inplace_predict(
                    matrix,
                    iteration_range=until,
                    predict_type="margin" if numbers else "value",
                    validate_features=False,
                )
            return softmax(found, axis=1) if numbers else found

        return ArrayEngine(ask, signature)


def _booster(model: Any) -> Any:
    return fitted(model, model.get_booster) if hasattr(model, "get_booster") else model

"""The arithmetic of linear models behind scalers, done directly.

scikit-learn spends some 100 µs a call on checking its input, more than a whole small batch costs. For exactly these
classes the same numpy expressions as in their source give the same bits; tests hold every one against the model itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.linear_model import ElasticNet, Lasso, LinearRegression, LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

__all__ = ["DirectPath", "Step", "scaled"]

REGRESSORS = (LinearRegression, Ridge, Lasso, ElasticNet)
Step = Callable[[NDArray[np.float64]], NDArray[np.float64]]


class DirectPath:
    """Scalers and a linear model as plain numpy: probabilities, or a regressor's values."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._steps = steps

    @classmethod
    def of(cls, transforms: Sequence[Any], last: Any) -> DirectPath | None:
        """The direct path of this chain, or None if any part is not known to be exactly that."""
        steps: list[Step] = []
        for each in transforms:
            if type(each) is not StandardScaler:
                return None
            steps.append(scaled(each))
        coefficients = getattr(last, "coef_", None)
        if not isinstance(coefficients, np.ndarray):
            return None
        if type(last) is LogisticRegression and _softmax_or_binary(last):
            steps.append(_binary(last) if len(last.classes_) == 2 else _multiclass(last))
        elif type(last) in REGRESSORS and coefficients.ndim == 1:
            steps.append(_value(last))
        else:
            return None
        return cls(steps)

    def __call__(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Turn a float64 matrix of finite values into what `predict_proba`, or a regressor's `predict`, would give."""
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            for step in self._steps:
                matrix = step(matrix)
        return matrix


def _softmax_or_binary(model: Any) -> bool:
    """Whether several classes are weighed by softmax; before scikit-learn 1.8 they could be one against the rest."""
    old_choice = getattr(model, "multi_class", "deprecated")
    return old_choice in ("auto", "deprecated") and (len(model.classes_) == 2 or model.solver != "liblinear")


def scaled(scaler: Any) -> Step:
    """What a StandardScaler does to finite values, or to NaN."""
    mean = scaler.mean_.astype(np.float64) if scaler.with_mean else None
    scale = scaler.scale_.astype(np.float64) if scaler.with_std else None

    def apply(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        scaled = np.array(matrix)
        if mean is not None:
            scaled -= mean
        if scale is not None:
            scaled /= scale
        return scaled

    return apply


def _binary(model: Any) -> Step:
    weights, bias = model.coef_.T, model.intercept_

    def binary(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        positive = expit((matrix @ weights + bias).reshape(-1))
        return np.stack([1 - positive, positive], axis=1)

    return binary


def _multiclass(model: Any) -> Step:
    weights, bias = model.coef_.T, model.intercept_

    def multiclass(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        decision = matrix @ weights + bias
        decision -= decision.max(axis=1, keepdims=True)
        np.exp(decision, out=decision)
        decision /= decision.sum(axis=1, keepdims=True)
        return decision

    return multiclass


def _value(model: Any) -> Step:
    weights, bias = model.coef_, model.intercept_

    def value(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        return matrix @ weights + bias

    return value

"""`Slow`: a classifier over three fields that takes its time, or waits for a file, in processes that were told so."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

__all__ = ["FIELDS", "LOADS_BEHIND", "SCORES_BEHIND", "Slow", "fitted"]

FIELDS = ("a", "b", "c")
LOADS_BEHIND, SCORES_BEHIND = "TESTS_SLOW_LOADS_BEHIND", "TESTS_SLOW_SCORES_BEHIND"
"""Names of environment variables, which name the file that is waited for, in loading and in scoring."""
LOOK_S = 0.02


class Slow(ClassifierMixin, BaseEstimator):
    """P(1) is the mean of the fields; each row takes `row_s`. Nothing but a gated one waits for files."""

    def __init__(self, row_s: float = 0.0, *, gated: bool = False) -> None:
        self.row_s = row_s
        self.gated = gated

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._wait(LOADS_BEHIND)

    def fit(self, inputs: NDArray[Any], labels: NDArray[Any]) -> Slow:
        self.classes_ = np.unique(labels)
        self.n_features_in_ = inputs.shape[1]
        return self

    def predict_proba(self, inputs: NDArray[Any]) -> NDArray[np.float64]:
        self._wait(SCORES_BEHIND)
        time.sleep(self.row_s * len(inputs))
        likely = np.clip(inputs.mean(axis=1), 0, 1)
        return np.stack([1 - likely, likely], axis=1)

    def predict(self, inputs: NDArray[Any]) -> NDArray[Any]:
        return self.classes_[self.predict_proba(inputs).argmax(axis=1)]

    def _wait(self, variable: str) -> None:
        file = os.environ.get(variable)
        while self.gated and file and not Path(file).exists():
            time.sleep(LOOK_S)


def fitted(row_s: float = 0.0, *, gated: bool = False) -> Slow:
    """A model that gives "no" and "yes"."""
    return Slow(row_s, gated=gated).fit(np.zeros((2, len(FIELDS))), np.array(["no", "yes"]))

"""`Poisonable`: a classifier over three fields that does what a marked record tells it to do to its process."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

__all__ = ["EXIT", "FIELDS", "HANG", "KILL", "RAISE", "SPIN", "Poisonable", "Waiting", "fitted"]

FIELDS = ("a", "b", "c")
KILL, EXIT, HANG, RAISE, SPIN = 1001.0, 1002.0, 1003.0, 1004.0, 1005.0
"""Values of the field `a` that mark a record."""
HANG_S = 600.0
ENDLESS = "a" * 64 + "!"
"""A text that a pattern of nested repeats needs ages for, while it holds the interpreter's lock."""


class Poisonable(ClassifierMixin, BaseEstimator):
    """P(1) is the mean of the fields."""

    def fit(self, inputs: NDArray[Any], labels: NDArray[Any]) -> Poisonable:
        self.classes_ = np.unique(labels)
        self.n_features_in_ = inputs.shape[1]
        return self

    def predict_proba(self, inputs: NDArray[Any]) -> NDArray[np.float64]:
        marks = set(np.asarray(inputs)[:, 0].tolist())
        if KILL in marks:
            os.kill(os.getpid(), signal.SIGKILL)
        if EXIT in marks:
            os._exit(3)
        if HANG in marks:
            time.sleep(HANG_S)
        if RAISE in marks:
            raise ValueError("a marked record")
        if SPIN in marks:
            re.match("(a+)+$", ENDLESS)
        likely = np.clip(inputs.mean(axis=1), 0, 1)
        return np.stack([1 - likely, likely], axis=1)

    def predict(self, inputs: NDArray[Any]) -> NDArray[Any]:
        return self.classes_[self.predict_proba(inputs).argmax(axis=1)]


class Waiting(Poisonable):
    """Can't be asked until a file is there."""

    def __init__(self, path: str) -> None:
        self.path = path

    def predict_proba(self, inputs: NDArray[Any]) -> NDArray[np.float64]:
        if not Path(self.path).exists():
            raise FileNotFoundError(self.path)
        return super().predict_proba(inputs)


def fitted() -> Poisonable:
    """A model that gives "no" and "yes"."""
    return Poisonable().fit(np.zeros((2, len(FIELDS))), np.array(["no", "yes"]))

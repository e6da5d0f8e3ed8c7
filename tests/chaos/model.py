"""A model that misbehaves on marked records: it raises, hangs, answers NaN, or takes its process along.

Its versions differ in each score.
"""

from __future__ import annotations

import os
import signal
import time
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.chaos.workload import FEATURES, Form

HANG_S = 600.0
TRAINING_ROWS = 2000
SAMPLE_ROWS = 20
SHIFT = 0.25
"""By so much the intercepts of one version and the next differ."""


class ChaosModel(ClassifierMixin, BaseEstimator):
    """A logistic regression over a, b and c, with a fourth column that says how to misbehave."""

    def fit(self, inputs: NDArray[np.float64], labels: NDArray[Any]) -> Self:
        self.inner_ = make_pipeline(StandardScaler(), LogisticRegression()).fit(inputs[:, :-1], labels)
        self.classes_ = self.inner_.classes_
        self.n_features_in_ = len(FEATURES)
        return self

    def predict_proba(self, inputs: Any) -> NDArray[np.float64]:
        marks = inputs[:, -1]
        if (marks == Form.DIES).any():
            os.kill(os.getpid(), signal.SIGKILL)
        if (marks == Form.HANGS).any():
            time.sleep(HANG_S)
        if (marks == Form.RAISES).any():
            raise ValueError("this record is marked to make the model raise")
        scores = self.inner_.predict_proba(inputs[:, :-1])
        scores[marks == Form.NAN_SCORE] = np.nan
        return scores

    def __setstate__(self, state: Any) -> None:
        """Where a worker loads it: a failpoint."""
        super().__setstate__(state)

    def predict(self, inputs: Any) -> NDArray[Any]:
        return self.inner_.predict(inputs[:, :-1])


def trained(version: int = 1) -> ChaosModel:
    """A version of the model, or another model by a number that no version has: the same on every machine."""
    random = np.random.default_rng(7)
    inputs = random.random((TRAINING_ROWS, len(FEATURES)))
    labels = np.where(inputs[:, :3] @ [1.0, -2.0, 3.0] + random.normal(0, 0.2, TRAINING_ROWS) > 1.0, "high", "low")
    model = ChaosModel().fit(inputs, labels)
    model.inner_[-1].intercept_ += SHIFT * (version - 1)
    return model


def sample() -> NDArray[np.float64]:
    """Rows by which workers check what they have loaded; none is marked."""
    rows = np.random.default_rng(8).random((SAMPLE_ROWS, len(FEATURES)))
    rows[:, -1] = 0.0
    return rows

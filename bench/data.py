"""What both sides are given: synthetic records of 30 float32 features, and two models trained on such."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

__all__ = ["FEATURES", "NAMES", "columns", "matrix", "train"]

FEATURES: Final = 30
NAMES: Final = tuple(f"f{number:02d}" for number in range(FEATURES))
TRAINING_ROWS: Final = 10_000
NEVER: Any = False  # scikit-learn's types forget this value


def matrix(rows: int, seed: int = 0) -> NDArray[np.float32]:
    """Records as a matrix, row after row in memory."""
    return np.random.default_rng(seed).standard_normal((rows, FEATURES), np.float32)


def columns(rows: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """The same as named columns, each in one piece, as a DataFrame or an Arrow table has them."""
    by_column = np.asfortranarray(rows)
    return {name: by_column[:, index] for index, name in enumerate(NAMES)}


def train(folder: Path) -> dict[str, Path]:
    """Fit both models, with noisy labels so that the trees grow to their full size; returns their joblib files."""
    records = matrix(TRAINING_ROWS, seed=1)
    truth = records[:, :10].sum(axis=1) + records[:, 10] * records[:, 11] + np.abs(records[:, 12])
    noise = np.random.default_rng(2).standard_normal(TRAINING_ROWS)
    labels = np.where(truth + noise > 1.0, "fraud", "authentic")
    models: dict[str, Any] = {
        "lr": LogisticRegression(max_iter=200),
        "hgb": HistGradientBoostingClassifier(max_iter=100, early_stopping=NEVER, random_state=0),
    }
    files: dict[str, Path] = {}
    for name, model in models.items():
        files[name] = folder / f"{name}.joblib"
        joblib.dump(model.fit(records, labels), files[name])
    return files

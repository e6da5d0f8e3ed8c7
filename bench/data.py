"""What both sides are given: synthetic records of 30 floats, or of ten numbers and five texts, and models for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler

__all__ = ["FEATURES", "NAMES", "NUMBERS", "TEXTS", "TRAINING_ROWS", "columns", "matrix", "table", "train"]

FEATURES: Final = 30
NAMES: Final = tuple(f"f{number:02d}" for number in range(FEATURES))
NUMBERS: Final = tuple(f"n{number}" for number in range(10))
TEXTS: Final = tuple(f"t{number}" for number in range(5))
CATEGORIES: Final = (4, 8, 16, 40, 100)
"""How many different texts each text field has."""
TRAINING_ROWS: Final = 10_000
NEVER: Any = False  # scikit-learn's types forget this value


def matrix(rows: int, seed: int = 0) -> NDArray[np.float32]:
    """Records as a matrix, row after row in memory."""
    return np.random.default_rng(seed).standard_normal((rows, FEATURES), np.float32)


def columns(rows: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """The same as named columns, each in one piece, as a DataFrame or an Arrow table has them."""
    by_column = np.asfortranarray(rows)
    return {name: by_column[:, index] for index, name in enumerate(NAMES)}


def table(rows: int, seed: int = 0) -> pd.DataFrame:
    """Records of ten doubles and five texts of some ten letters."""
    random = np.random.default_rng(seed)
    columns: dict[str, Any] = {name: random.standard_normal(rows) for name in NUMBERS}
    for name, count in zip(TEXTS, CATEGORIES, strict=True):
        texts = np.array([f"category {number}" for number in range(count)], object)
        columns[name] = pd.Series(texts[random.integers(0, count, rows)], dtype=object)
    return pd.DataFrame(columns)


def mixed_model(estimator: Any) -> Any:
    """Fit an estimator behind a ColumnTransformer of texts and numbers."""
    records, random = table(TRAINING_ROWS, seed=3), np.random.default_rng(4)
    truth = records[list(NUMBERS)].sum(axis=1) + records["t0"].str.len() * (records["t1"] == "category 3")
    texts = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    encoder = ColumnTransformer([("texts", texts, list(TEXTS)), ("numbers", StandardScaler(), list(NUMBERS))])
    labels = np.where(truth + random.standard_normal(TRAINING_ROWS) > 0, "fraud", "authentic")
    return make_pipeline(encoder, estimator).fit(records, labels)


def train(folder: Path) -> dict[str, Path]:
    """Fit the models, with noisy labels so that the trees grow to their full size; returns their joblib files."""
    records = matrix(TRAINING_ROWS, seed=1)
    truth = records[:, :10].sum(axis=1) + records[:, 10] * records[:, 11] + np.abs(records[:, 12])
    noise = np.random.default_rng(2).standard_normal(TRAINING_ROWS)
    labels = np.where(truth + noise > 1.0, "fraud", "authentic")
    models: dict[str, Any] = {
        "lr": LogisticRegression(max_iter=200),
        "hgb": HistGradientBoostingClassifier(max_iter=100, early_stopping=NEVER, random_state=0),
    }
    fitted = {name: model.fit(records, labels) for name, model in models.items()}
    fitted["mixed"] = mixed_model(clone(models["hgb"]))
    files = {name: folder / f"{name}.joblib" for name in fitted}
    for name, model in fitted.items():
        joblib.dump(model, files[name])
    return files

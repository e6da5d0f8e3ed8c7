"""The forms in which rows come: what a model is fitted on, what the records are, and what the bare model is handed.

Each form is made of the same rows of four numbers, so that the targets hold for all of them. The rows that are asked
for are others than those of the fit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

NAMES = ("age", "amount", "hour", "rate")
FITTED, ASKED = 90, 40
MANY = 1024
"""So many records are asked for where what is said of one may hang on how many there are."""
CITIES = np.array(["Ulm", "Köln", "Bonn"])
GAPS = 0.1


def _rows(seed: int, count: int) -> pd.DataFrame:
    """Positive numbers, as some models take no others."""
    return pd.DataFrame(np.abs(np.random.default_rng(seed).normal(size=(count, len(NAMES)))), columns=list(NAMES))


FIT, ASK, ASK_MANY = _rows(7, FITTED), _rows(8, ASKED), _rows(9, MANY)


@dataclass(frozen=True)
class Form:
    """One way in which rows come."""

    name: str
    made: Callable[[pd.DataFrame], pd.DataFrame]
    """Rows of numbers → the columns of the records."""
    handed: Callable[[pd.DataFrame], Any] = lambda table: table
    """The columns of the records → what a library is handed."""
    columns: tuple[str, ...] | None = None
    """What is said beside a model that was fitted without names."""
    sampled: bool = True
    """Whether the rows of the fit are given as the sample."""

    @property
    def fitted(self) -> Any:
        """The rows that a model is fitted on."""
        return self.handed(self.made(FIT))

    @property
    def asked(self) -> pd.DataFrame:
        """The records."""
        return self.made(ASK)

    @property
    def asked_many(self) -> pd.DataFrame:
        """More records."""
        return self.made(ASK_MANY)

    @property
    def publish(self) -> dict[str, Any]:
        """What is said beside the model."""
        said: dict[str, Any] = {"sample": self.fitted} if self.sampled else {}
        return said if self.columns is None else said | {"columns": list(self.columns)}


def _as(dtype: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    return lambda rows: rows.astype(dtype)


def _whole(rows: pd.DataFrame) -> pd.DataFrame:
    return (rows * 10).astype("int64")


def _large(rows: pd.DataFrame) -> pd.DataFrame:
    """Whole numbers that float32 can't tell apart from their neighbours."""
    return (rows * 1e9).astype("int64")


def _truths(rows: pd.DataFrame) -> pd.DataFrame:
    return rows > 0.6


def _gaps(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.mask(np.random.default_rng(len(rows)).random(rows.shape) < GAPS)


def _nullable(rows: pd.DataFrame) -> pd.DataFrame:
    return _gaps(rows).assign(hour=_gaps(rows)["hour"].mul(10).round()).astype(
        {"age": "Float64", "amount": "Float64", "hour": "Int64", "rate": "Float64"}
    )  # fmt: skip


def _mixed(rows: pd.DataFrame) -> pd.DataFrame:
    """A number with gaps, a number, texts with gaps, truth values."""
    gaps = _gaps(rows)
    city = pd.Series(CITIES[(rows["hour"] * 10).astype(int) % 3]).mask(gaps["hour"].isna())
    return gaps[["age"]].assign(amount=rows["amount"], city=city, new=rows["rate"] > 0.6)


def _columns(rows: pd.DataFrame) -> pd.DataFrame:
    """Numbers, and texts without gaps."""
    return rows[["age", "amount"]].assign(city=CITIES[(rows["hour"] * 10).astype(int) % 3])


def _categories(rows: pd.DataFrame) -> pd.DataFrame:
    """Texts as the categories that pandas numbers."""
    return _columns(rows).astype({"city": pd.CategoricalDtype(sorted(CITIES))})


def _lists(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"x": pd.Series(rows.to_numpy().tolist(), dtype=object)})


def _of_lists(table: pd.DataFrame) -> np.ndarray:
    return np.array(table["x"].tolist())


def _plain(rows: pd.DataFrame) -> pd.DataFrame:
    return rows


FORMS: dict[str, Form] = {
    each.name: each
    for each in (
        Form("float64", _plain),
        Form("float32", _as("float32")),
        Form("int64", _whole),
        Form("large", _large),
        Form("bool", _truths),
        Form("gaps", _gaps),
        Form("nullable", _nullable),
        Form("polars", _plain, pl.from_pandas),
        Form("unsampled", _plain, sampled=False),
        Form("matrix", _plain, lambda table: table.to_numpy(), columns=NAMES),
        Form("matrix32", _as("float32"), lambda table: table.to_numpy(), columns=NAMES),
        Form("array", _lists, _of_lists, columns=("x",), sampled=False),
        Form("mixed", _mixed),
        Form("columns", _columns),
        Form("categories", _categories),
    )
}


# ---- targets, by the task


def target(task: str) -> Any:
    """What a model is to learn, of the rows of the fit."""
    value = (FIT["age"] - FIT["amount"]).to_numpy()
    other = (FIT["hour"] + FIT["rate"]).to_numpy()
    return {
        "two classes": lambda: np.where(value > 0, "yes", "no"),
        "three classes": lambda: np.array([10, 20, 30])[np.digitize(value, [-0.3, 0.3])],
        "several labels": lambda: np.stack([value > 0, other > 1.5], axis=1).astype(int),
        "value": lambda: value + 5,
        "several values": lambda: np.stack([value + 5, other], axis=1),
        "ranks": lambda: np.digitize(value, [-0.3, 0.3]),
        "shares": lambda: 1 / (1 + np.exp(-value)),
    }.get(task, lambda: None)()

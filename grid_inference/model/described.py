"""`Described`: what a model says of itself, whichever library made it.

In: nothing but plain values. Out: the same; `Signature` makes of it what the records need to know.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

__all__ = ["LABELS_MAX", "Described", "FloatType", "Input", "Null", "Task", "null_of"]

Task = Literal["classifier", "multilabel", "regressor", "outlier_detector", "clusterer"]
"""`multilabel`: a classifier that may give a record several labels, or none."""
LABELS_MAX = 20
"""Which of several labels apply is kept as bits."""
FloatType = Literal["float32", "float64"]
Null = Literal["NaN", "None", "NA"]
"""What stands for a missing value in a DataFrame: a NaN (of moments NaT), Python's None, or `pandas.NA`."""


@dataclass(frozen=True, slots=True)
class Input:
    """One column of the model's inputs."""

    name: str
    """The record's field, or `field[3]` for a value of the array field."""
    dtype: str = "float64"
    """The type of the sample, or the one that the model names: numpy's name, `datetime64[us, Europe/Berlin]`, `string`,
    `date` or `time`. float64 where nobody says and any number will do; empty where nobody says and it counts."""
    nullable: bool = False
    """Whether the sample had missing values here: then NaN and null are scored, whatever the policy for them."""
    null: Null = "NaN"
    """What the model gets for a missing value: what its own steps were fitted with, else what the sample has."""
    exact: bool = False
    """Whether the column must be of just this type, as a function or a class of another library takes it; to all else
    one number is as good as another."""


@dataclass(frozen=True, slots=True)
class Described:
    """What a model takes and gives, as far as it knows; the fields are those of `Signature`."""

    task: Task
    classes: tuple[str, ...] = ()
    inputs: tuple[Input, ...] | None = None
    """In its own order, without names where it does not know them; None where it knows nothing of them."""
    count: int | None = None
    """How many there are, if it says so."""
    outputs: int = 0
    frame: bool = False
    float_dtype: FloatType = "float64"
    call_rows: int = 0


def null_of(values: Iterable[Any]) -> Null | None:
    """What stands for a missing value among Python values; None if nothing does."""
    for value in values:
        if value is None:
            return "None"
        if isinstance(value, float | np.floating) and value != value:  # noqa: PLR0124  # NaN
            return "NaN"
        if type(value).__name__ == "NAType":
            return "NA"
    return None

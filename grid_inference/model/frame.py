"""`Frame`: named columns of several types, the input of a model that picks its columns by name.

A column's type follows from the record's field alone, never from what else is in the batch: int64, float64, bool,
datetime64, or Python strings. A null is NaN or NaT, as pandas reads it from a file; a column of integers or booleans
that may be null is float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid_inference.wire.compact import Column

__all__ = ["Frame"]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """n rows of k columns."""

    columns: Mapping[str, NDArray[Any]]
    """Name → values, shape (n,)."""
    absent: NDArray[np.bool_]
    """Where there is no value, or no finite one; shape (n, k)."""

    @classmethod
    def of(cls, columns: Mapping[str, Column]) -> Frame:
        """Decoded columns as a model sees them; one whose `valid` is None can't be null at all."""
        absent = [_absent(column) for column in columns.values()]
        values = {name: _values(column) for name, column in columns.items()}
        return cls(values, np.stack(absent, axis=1) if absent else np.empty((0, 0), np.bool_))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.absent.shape[0], self.absent.shape[1]

    def __getitem__(self, rows: slice | NDArray[Any]) -> Frame:
        """The rows of a slice, an index array or a boolean mask."""
        return Frame({name: values[rows] for name, values in self.columns.items()}, self.absent[rows])

    def to_pandas(self, *, copy: bool = False) -> Any:
        """The same as a DataFrame; `copy` for a model that may write into it."""
        import pandas as pd  # noqa: PLC0415  # only models that pick columns by name need it

        return pd.DataFrame(dict(self.columns), copy=copy)

    def to_polars(self) -> Any:
        """The same as a polars DataFrame, where NaN, NaT and missing strings are null."""
        import polars as pl  # noqa: PLC0415  # only models that were fitted on its frames need it

        columns = {
            name: [None if value != value else value for value in values.tolist()]  # noqa: PLR0124  # NaN alone differs
            if values.dtype.kind == "O"
            else values
            for name, values in self.columns.items()
        }
        return pl.DataFrame(columns, nan_to_null=True)


def _values(column: Column) -> NDArray[Any]:
    values, kind, valid = column.values, column.values.dtype.kind, column.valid
    if valid is None:
        return values.astype({"f": np.float64, "i": np.int64, "u": np.int64}.get(kind, values.dtype), copy=False)
    if kind in "fiub":
        return np.where(valid, values.astype(np.float64), np.nan)
    if bool(valid.all()):
        return values
    return np.where(valid, values, np.nan if kind == "O" else values.dtype.type("NaT"))


def _absent(column: Column) -> NDArray[np.bool_]:
    """Where there is no value, or no finite one."""
    if column.values.dtype.kind == "f":
        return ~(column.present() & np.isfinite(column.values))
    return ~column.present()

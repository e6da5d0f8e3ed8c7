"""`Frame`: named columns of several types, the input of a model that picks its columns by name.

A column's type follows from the record's field alone, never from what else is in the batch: int64, float64, bool,
datetime64, or Python strings. A null is NaN or NaT, as pandas reads it from a file; a column of integers or booleans
that may be null is float64.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid_inference.wire.compact import Column
from grid_inference.wire.texts import Texts

__all__ = ["Frame"]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """n rows of k columns."""

    columns: Mapping[str, NDArray[Any]]
    """Name → values, shape (n,)."""
    missing: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict[str, NDArray[np.bool_]])
    """Name → where there is no value, shape (n,); of those columns of texts and moments that have such rows."""
    shared: Mapping[str, Texts] = field(default_factory=dict[str, Texts])
    """The same values of those columns of texts that are known to repeat."""

    @classmethod
    def of(cls, columns: Mapping[str, Column]) -> Frame:
        """Decoded columns as a model sees them; one whose `valid` is None can't be null at all."""
        missing = {name: ~column.present() for name, column in columns.items() if column.values.dtype.kind in "OmM"}
        shared = {name: column.texts.with_null(np.nan) for name, column in columns.items() if column.texts}
        values = {
            name: _values(column) if name not in shared else column.values if shared[name] is column.texts
            else shared[name].values()
            for name, column in columns.items()
        }  # fmt: skip
        return cls(values, {name: rows for name, rows in missing.items() if rows.any()}, shared)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return next((values.size for values in self.columns.values()), 0), len(self.columns)

    @property
    def absent(self) -> NDArray[np.bool_]:
        """Where there is no value, or no finite one; shape (n, k)."""
        found = np.zeros(self.shape, np.bool_)
        for index, (name, values) in enumerate(self.columns.items()):
            if values.dtype.kind == "f":
                found[:, index] = ~np.isfinite(values)
            elif name in self.missing:
                found[:, index] = self.missing[name]
        return found

    def __getitem__(self, rows: slice | NDArray[Any]) -> Frame:
        """The rows of a slice, an index array or a boolean mask."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        missing = {name: where[rows] for name, where in self.missing.items() if where[rows].any()}
        return Frame(columns, missing, {name: texts[rows] for name, texts in self.shared.items()})

    def texts(self, name: str) -> Texts | None:
        """A column's texts, with NaN for a null, each distinct one once; None if it has other values than texts."""
        values = self.columns[name]
        return self.shared.get(name) or (Texts.of(values) if values.dtype.kind == "O" else None)

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
    filled = values.copy()
    filled[~valid] = np.nan if kind == "O" else values.dtype.type("NaT")
    return filled

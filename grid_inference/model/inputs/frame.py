"""`Frame`: named columns of several types, the input of a model that picks its columns by name.

A column's type follows from the model's input and the record's field, never from what else is in the batch: int64,
float64, bool, datetime64, or Python strings, dates and times. A null is what the model was fitted with: NaN or NaT, as
pandas reads it from a file, None or `pandas.NA`. Where nothing tells, a column of integers or booleans that may be null
is float64; where the sample has them, rows with a gap are asked apart from those without.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid_inference.model.described import Input
from grid_inference.model.dtypes import zone_of
from grid_inference.wire.columns import EXACT_MAX
from grid_inference.wire.compact import Column
from grid_inference.wire.texts import Texts

__all__ = ["Frame", "Inputs", "Whole", "counting_inputs", "odd_inputs"]


NULLS: Mapping[str, Any] = MappingProxyType({"NaN": np.nan, "None": None, "NA": None})
"""What stands in a column of objects for a missing value; `pandas.NA` when pandas makes its frame of it."""
NO_INPUTS: Mapping[str, Input] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class Whole:
    """Whole numbers or booleans, and where there are some; both of shape (n,)."""

    values: NDArray[Any]
    holds: NDArray[np.bool_]

    @property
    def large(self) -> NDArray[np.bool_]:
        """Where a double may be another number."""
        if self.values.dtype.kind == "b":
            return np.zeros(self.values.size, np.bool_)
        return (self.values > EXACT_MAX) | (self.values < -EXACT_MAX)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """n rows of k columns."""

    columns: Mapping[str, NDArray[Any]]
    """Name → values, shape (n,)."""
    missing: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict[str, NDArray[np.bool_]])
    """Name → where there is no value, shape (n,); of those columns that have such rows, and have others than floats, or
    floats beside whose NaN the model knows nulls."""
    shared: Mapping[str, Texts] = field(default_factory=dict[str, Texts])
    """The same values of those columns of texts that are known to repeat."""
    inputs: Mapping[str, Input] = field(default_factory=dict[str, Input])
    """What the model takes in those columns whose type or gaps are others than those of the values here."""
    whole: Mapping[str, Whole] = field(default_factory=dict[str, "Whole"])
    """Of a column that is float64 here as it holds gaps or fractions, and that the model was fitted on as whole numbers
    or booleans: its values as such, and where they are some. `calls` makes such columns of them."""

    @classmethod
    def of(
        cls, columns: Mapping[str, Column], odd: Mapping[str, Input] = NO_INPUTS, counts: Collection[str] = ()
    ) -> Frame:
        """Columns as a model sees them, which are of its types; one whose `valid` is None can't be null.

        `odd` are its `odd_inputs`, `counts` its `counting_inputs`.
        """
        whole = {name: _whole(columns[name]) for name in counts if _is_mixed(columns[name])}
        columns = {
            name: Column(column.values) if name in counts and _is_full(column)
            else _as_floats(column) if name in whole
            else column
            for name, column in columns.items()
        }  # fmt: skip
        missing = {
            name: ~column.present()
            for name, column in columns.items()
            if column.values.dtype.kind in "OmM" or (name in odd and column.values.dtype.kind != "f")
        }
        floats = (name for name in odd if odd[name].null == "NA" and columns[name].values.dtype.kind == "f")
        missing |= {name: _null_floats(columns[name]) for name in floats}
        shared = {
            name: column.texts.with_null(NULLS[odd[name].null] if name in odd else np.nan)
            for name, column in columns.items()
            if column.texts
        }
        values = {
            name: _values(column, odd.get(name)) if name not in shared
            else column.values if shared[name] is column.texts
            else shared[name].values()
            for name, column in columns.items()
        }  # fmt: skip
        return cls(values, {name: rows for name, rows in missing.items() if rows.any()}, shared, odd, whole)

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
        shared = {name: texts[rows] for name, texts in self.shared.items()}
        whole = {name: Whole(each.values[rows], each.holds[rows]) for name, each in self.whole.items()}
        return Frame(columns, missing, shared, self.inputs, whole)

    def calls(self) -> list[tuple[NDArray[np.intp], Frame]]:
        """The rows apart by what their columns are, with their numbers; of each of these parts no column is mixed.

        A row of whole numbers throughout has them as such. One that lacks some, or has a fraction, has doubles, but for
        its numbers beyond 2^53. Neither hangs on what other rows hold.
        """
        holds = np.column_stack([each.holds for each in self.whole.values()])
        large = np.column_stack([each.holds & each.large for each in self.whole.values()]).any(axis=1)
        exact = np.asarray(holds.all(axis=1) | large, np.bool_)
        kept = holds & exact[:, None]
        patterns, which = np.unique(kept, axis=0, return_inverse=True)
        parts: list[tuple[NDArray[np.intp], Frame]] = []
        for index, pattern in enumerate(patterns[::-1].tolist()):
            rows = np.flatnonzero(which.reshape(-1) == len(patterns) - 1 - index)
            part = self[rows]
            mine = {name: part.whole[name].values for name, keep in zip(self.whole, pattern, strict=True) if keep}
            parts.append((rows, replace(part, columns={**part.columns, **mine}, whole={})))
        return parts

    def texts(self, name: str) -> Texts | None:
        """A column's texts and what stands for a null, each distinct one once; None if it has other values."""
        if name in self.shared:
            return self.shared[name]
        wanted = self.inputs.get(name)
        if wanted is not None and (wanted.null == "NA" or wanted.dtype != "string"):
            return None
        values = self.columns[name]
        return Texts.of(values, NULLS[wanted.null] if wanted else np.nan) if values.dtype.kind == "O" else None

    def to_pandas(self, *, copy: bool = False) -> Any:
        """The same as a DataFrame; `copy` for a model that may write into it."""
        import pandas as pd  # noqa: PLC0415  # only models that pick columns by name need it

        columns = {name: self._series(name) if name in self.inputs else values for name, values in self.columns.items()}
        return pd.DataFrame(columns, copy=copy)

    def _series(self, name: str) -> Any:
        """A column that pandas would else make another one of."""
        import pandas as pd  # noqa: PLC0415

        wanted, values = self.inputs[name], self.columns[name]
        if zone := zone_of(wanted.dtype):
            return pd.Series(values).dt.tz_localize("UTC").dt.tz_convert(zone)
        kind, gaps = values.dtype.kind, self.missing.get(name, np.zeros(values.size, np.bool_))
        objects = wanted.null == "None" or (wanted.dtype == "bool" and wanted.nullable and wanted.null == "NaN")
        if kind == "O" and wanted.dtype == "string" and wanted.null != "None":
            # A column of nothing but gaps is one of texts as well.
            return pd.Series(values, dtype="string" if wanted.null == "NA" else _type_of_texts())
        if kind == "O":
            found = pd.Series(values, dtype=object)
            return found.mask(gaps, pd.NA) if wanted.null == "NA" else found
        if kind == "M" or not (objects or wanted.null == "NA"):
            return pd.Series(values)
        if objects:
            gaps = np.isnan(values) if kind == "f" else gaps
            found = values.astype(object)
            found[gaps] = NULLS[wanted.null]
            return pd.Series(found, dtype=object)
        masked = {"b": pd.arrays.BooleanArray, "f": pd.arrays.FloatingArray}.get(kind, pd.arrays.IntegerArray)
        return pd.Series(masked(values.copy(), gaps.copy()))

    def to_polars(self) -> Any:
        """The same as a polars DataFrame, where NaT and missing strings are null.

        So is a NaN of a field that can't be null.
        """
        import polars as pl  # noqa: PLC0415  # only models that were fitted on its frames need it

        columns: dict[str, Any] = {}
        for name, values in self.columns.items():
            wanted, missing = self.inputs.get(name), self.missing.get(name)
            dtype = wanted.dtype if wanted else ""
            if values.dtype.kind == "O":
                some = [None if value != value else value for value in values.tolist()]  # noqa: PLR0124  # NaN alone
                known = {"date": pl.Date, "time": pl.Time, "string": pl.String}.get(dtype)
                columns[name] = pl.Series(some, dtype=known)
            elif missing is not None and values.dtype.kind in "biuf":
                columns[name] = pl.select(pl.when(pl.Series(~missing)).then(pl.Series(values))).to_series()
            else:
                both = wanted is not None and wanted.null == "NA"
                columns[name] = pl.Series(values, nan_to_null=values.dtype.kind == "f" and not both)
            if zone := zone_of(dtype):
                columns[name] = columns[name].dt.replace_time_zone("UTC").dt.convert_time_zone(zone)
        return pl.DataFrame(columns)


Inputs = NDArray[Any] | Frame
"""What a model is handed: n rows."""


def counting_inputs(inputs: Iterable[Input]) -> frozenset[str]:
    """Those that were whole numbers or booleans when the model was fitted, which are numbers like any to it."""
    return frozenset(each.name for each in inputs if not each.exact and each.dtype in _COUNTS)


_COUNTS = frozenset({"bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))})


@cache
def _type_of_texts() -> Any:
    """What pandas itself makes of texts: objects before version 3."""
    import pandas as pd  # noqa: PLC0415

    return pd.Series(["text"]).dtype


def _null_floats(column: Column) -> NDArray[np.bool_]:
    """Of a field that can be null its nulls; of one that can't what is NaN stands for them."""
    return np.isnan(column.values) if column.valid is None else ~column.valid


def _is_full(column: Column) -> bool:
    return column.values.dtype.kind in "biu" and column.valid is not None and bool(column.valid.all())


def _is_mixed(column: Column) -> bool:
    """Whether it holds whole numbers or booleans beside gaps or fractions."""
    kind = column.values.dtype.kind
    if kind in "biu":
        return column.valid is not None and not bool(column.valid.all())
    return kind == "O" and any(isinstance(value, int | float) for value in column.values.tolist())


def _whole(column: Column) -> Whole:
    if column.values.dtype.kind != "O":
        values = column.values if column.values.dtype.kind == "b" else column.values.astype(np.int64)
        return Whole(values, column.present())
    holds = np.array([isinstance(value, int) for value in column.values.tolist()], np.bool_) & column.present()
    return Whole(np.where(holds, column.values, 0).astype(np.int64), holds)


def _as_floats(column: Column) -> Column:
    if column.values.dtype.kind != "O":
        return column
    return Column(np.array([np.nan if value is None else value for value in column.values.tolist()], np.float64))


def odd_inputs(inputs: Iterable[Input]) -> Mapping[str, Input]:
    """Those of a model's inputs whose column is another one to it than numpy's values of it are to pandas."""
    return {each.name: each for each in inputs if _is_odd(each)}


def _is_odd(wanted: Input) -> bool:
    if wanted.dtype in {"date", "time"} or zone_of(wanted.dtype):
        return True
    if wanted.dtype == "string":
        return True
    return bool(wanted.dtype) and (wanted.exact or (wanted.null == "None" and not wanted.dtype.startswith("datetime")))


def _values(column: Column, wanted: Input | None) -> NDArray[Any]:
    values, kind, valid = column.values, column.values.dtype.kind, column.valid
    whole = valid is None or bool(valid.all())
    if wanted is not None and wanted.exact and kind in "biuf":
        return (
            values if valid is None or whole or kind != "f" else np.where(valid, values, np.array(np.nan, values.dtype))
        )
    if valid is None:
        return values.astype({"f": np.float64, "i": np.int64, "u": np.int64}.get(kind, values.dtype), copy=False)
    if kind in "fiub":
        return np.where(valid, values.astype(np.float64), np.nan)
    null = NULLS[wanted.null if wanted else "NaN"]
    if whole and not (kind == "O" and null is None):
        return values
    filled = values.copy()
    filled[~valid] = null if kind == "O" else values.dtype.type("NaT")
    return filled

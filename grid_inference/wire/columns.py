"""Columns of values with their nulls, how several become one, and the Compact schema that they or a dict call for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from grid_inference.errors import DecodeError, EncodeError
from grid_inference.wire.layout import INT64_MAX, INT64_MIN
from grid_inference.wire.schema import FieldKind, Schema
from grid_inference.wire.texts import Texts

__all__ = [
    "Column",
    "ColumnLike",
    "as_column",
    "childless",
    "column_of",
    "infer_schema",
    "join_columns",
    "objects_of",
    "value_kind",
]


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One value a row: shape (n,), or (n, k) where each row holds k numbers."""

    values: NDArray[Any]
    """Native-endian numbers or booleans, or Python objects; what stands at a null is of no meaning."""
    valid: NDArray[np.bool_] | None = None
    """False at a null, shape (n,); None if there is none."""
    texts: Texts | None = None
    """The same values, if they are texts that are known to repeat."""

    def __len__(self) -> int:
        return self.values.shape[0]

    def present(self) -> NDArray[np.bool_]:
        """Which rows of a column of shape (n,) have a value that is neither null nor NaN, shape (n,)."""
        present = np.ones(len(self), np.bool_) if self.valid is None else self.valid
        return present & ~np.isnan(self.values) if self.values.dtype.kind in "fmM" else present

    @property
    def empty(self) -> bool:
        """Whether there is no value that is not null."""
        return not len(self) or (self.valid is not None and not self.valid.any())


ColumnLike = Column | NDArray[Any]


def as_column(name: str, values: ColumnLike) -> Column:
    """A column from an array; a masked array's mask says what is null, and strings become Python's."""
    column = values if isinstance(values, Column) else Column(values)
    if not isinstance(cast("Any", column.values), np.ndarray) or column.values.ndim not in (1, 2):
        raise EncodeError(f"column {name!r} is no array of one or two dimensions")
    if isinstance(column.values, np.ma.MaskedArray):
        mask: NDArray[np.bool_] = np.asarray(np.ma.getmaskarray(cast("Any", column.values)))
        null: NDArray[np.bool_] = np.asarray(mask.any(axis=1)) if mask.ndim > 1 else mask
        column = Column(np.asarray(column.values.data), ~null)
    if column.values.dtype.kind == "U":
        column = Column(column.values.astype(object), column.valid)
    if column.valid is not None and column.valid.shape != column.values.shape[:1]:
        raise EncodeError(f"column {name!r} has {len(column)} values and {column.valid.size} marks of validity")
    return column


def column_of(values: Sequence[Any]) -> Column:
    """The narrowest column that holds Python values: bool, int64, float64, or objects; None is a null."""
    valid = np.fromiter((value is not None for value in values), np.bool_, len(values))
    types: set[type] = {type(value) for value in values} - {type(None)}
    if types == {bool}:
        return Column(np.array([value is True for value in values], np.bool_), valid)
    if not types <= {int, float}:
        return objects_of(values)
    numbers = [0 if value is None else value for value in values]
    if types == {int} and INT64_MIN <= min(numbers) <= max(numbers) <= INT64_MAX:
        return Column(np.array(numbers, np.int64), valid)
    return Column(np.array(list(map(float, numbers)), np.float64), valid)


def objects_of(values: Sequence[Any]) -> Column:
    """A column of Python values just as they are; None is a null."""
    column = Column(np.empty(len(values), np.object_), np.array([value is not None for value in values], np.bool_))
    for row, value in enumerate(values):  # at once, numpy would take lists apart
        column.values[row] = value
    return column


def join_columns(count: int, parts: Sequence[tuple[NDArray[Any], Column]]) -> Column:
    """One column of `count` rows from columns that hold some of them; the other rows are null.

    Numbers of several dtypes become the one that holds them all, and so do moments; else there are Python objects, as
    where there is no value at all.
    """
    parts = [(rows, column) for rows, column in parts if not (column.values.dtype == np.object_ and column.empty)]
    if not parts:
        return Column(np.full(count, None, np.object_), np.zeros(count, np.bool_))
    dtype, shapes = _common_dtype([column.values for _, column in parts]), {c.values.shape[1:] for _, c in parts}
    if len(shapes) > 1:
        raise DecodeError("records hold a field as a number and as an array")
    values = np.zeros((count, *shapes.pop()), dtype)
    if dtype.kind in "mMO":
        values[...] = None if dtype.kind == "O" else np.array("NaT", dtype)
    valid = np.zeros(count, np.bool_)
    for rows, column in parts:
        values[rows] = column.values
        valid[rows] = True if column.valid is None else column.valid
    return Column(values, valid)


def _common_dtype(arrays: Sequence[NDArray[Any]]) -> np.dtype[Any]:
    dtypes = {array.dtype for array in arrays}
    if len(dtypes) == 1:
        return dtypes.pop()
    kinds = {dtype.kind for dtype in dtypes}
    return np.result_type(*dtypes) if kinds <= set("if") or kinds == {"M"} else np.dtype(np.object_)


def childless(columns: Mapping[str, bool]) -> list[str]:
    """Names of columns, but for those that hold nothing and whose fields stand as columns of their own.

    `columns` says of each whether it is empty: of `a`, null or missing everywhere, and `a.b` only `a.b` is left.
    """
    parents = {name[:at] for name in columns for at, letter in enumerate(name) if letter == "."}
    return [name for name, empty in columns.items() if not (empty and name in parents)]


_KIND_NAMES = {
    "int8": "INT8",
    "uint8": "INT16",
    "int16": "INT16",
    "uint16": "INT32",
    "int32": "INT32",
    "uint32": "INT64",
    "int64": "INT64",
    "float16": "FLOAT32",
    "float32": "FLOAT32",
    "float64": "FLOAT64",
    "bool": "BOOLEAN",
}


def infer_schema(type_name: str, columns: Mapping[str, ColumnLike]) -> Schema:
    """The narrowest schema that holds the columns: masked or marked ones are nullable, (n, k) ones are arrays.

    datetime64[D] is DATE and any other datetime64 TIMESTAMP, in which NaT is a null; timedelta64 is no time of day.
    """
    return Schema.of(type_name, {name: _column_kind(name, as_column(name, each)) for name, each in columns.items()})


def _column_kind(name: str, column: Column) -> FieldKind:
    dtype = column.values.dtype
    if dtype == np.object_ and column.values.ndim == 1:
        return _objects_kind(name, column.values.tolist())
    kind = _kind_name(dtype)
    if kind is None:
        raise EncodeError(f"column {name!r}: there is no field kind for {dtype}")
    if column.values.ndim == 2:
        return FieldKind[f"ARRAY_OF_{kind}"]
    return FieldKind[kind if column.valid is None or dtype.kind == "M" else f"NULLABLE_{kind}"]


def _kind_name(dtype: np.dtype[Any]) -> str | None:
    if dtype.kind != "M":
        return _KIND_NAMES.get(dtype.name)
    return {"generic": None, "D": "DATE"}.get(np.datetime_data(dtype)[0], "TIMESTAMP")


def _objects_kind(name: str, values: list[Any]) -> FieldKind:
    types: set[type] = {type(value) for value in values} - {type(None)}
    if types <= {str}:
        return FieldKind.STRING
    if types == {bool}:
        return FieldKind.NULLABLE_BOOLEAN
    if types == {int}:
        return FieldKind.NULLABLE_INT64
    if types <= {int, float}:
        return FieldKind.NULLABLE_FLOAT64
    kinds = {_temporal_or_decimal(value) for value in values if value is not None}
    kind = kinds.pop()
    if kind is not None and not kinds:
        return kind
    if any(isinstance(value, Mapping) for value in values):
        raise EncodeError(
            f"column {name!r} holds dicts, and put_batch writes no nested records",
            remedy="put such records one by one, or their fields as columns of their own",
        )
    raise EncodeError(f"column {name!r} mixes what no field kind holds: {', '.join(sorted(t.__name__ for t in types))}")


def _temporal_or_decimal(value: Any) -> FieldKind | None:
    """The kind of a date, a time or a decimal, Python's or numpy's; None for anything else."""
    if isinstance(value, datetime):
        return FieldKind.TIMESTAMP if value.tzinfo is None else FieldKind.TIMESTAMP_WITH_TIMEZONE
    if isinstance(value, np.datetime64):
        kind = _kind_name(value.dtype)
        return None if kind is None else FieldKind[kind]
    by_type = {date: FieldKind.DATE, time: FieldKind.TIME, Decimal: FieldKind.DECIMAL}
    return next((kind for each, kind in by_type.items() if isinstance(value, each)), None)


_VALUE_KINDS: tuple[tuple[tuple[type, ...], FieldKind], ...] = (
    ((str, type(None)), FieldKind.STRING),
    ((bool, np.bool_), FieldKind.BOOLEAN),
    ((int, np.integer), FieldKind.INT64),
    ((float, np.floating), FieldKind.FLOAT64),
    ((bytes, bytearray), FieldKind.ARRAY_OF_INT8),
)


def value_kind(name: str, value: Any) -> FieldKind:
    """The kind of one value that is no dict; raises EncodeError with the field's name."""
    for types, kind in _VALUE_KINDS:
        if isinstance(value, types):
            if kind is FieldKind.INT64 and not INT64_MIN <= int(value) <= INT64_MAX:
                raise EncodeError(f"field {name!r}: {value} does not fit into 64 bits")
            return kind
    kind = _temporal_or_decimal(value)
    if kind is not None:
        return kind
    if isinstance(value, np.ndarray):
        return _array_kind(name, cast("NDArray[Any]", value))
    if isinstance(value, list | tuple):
        return _list_kind(name, cast("list[Any] | tuple[Any, ...]", value))
    raise EncodeError(f"field {name!r}: there is no field kind for {type(value).__name__}")


def _array_kind(name: str, value: NDArray[Any]) -> FieldKind:
    kind = _kind_name(value.dtype)
    if value.ndim != 1 or kind is None:
        raise EncodeError(f"field {name!r}: there is no field kind for {value.ndim}-dimensional {value.dtype}")
    return FieldKind[f"ARRAY_OF_{kind}"]


def _list_kind(name: str, items: list[Any] | tuple[Any, ...]) -> FieldKind:
    if items and all(isinstance(item, bool | np.bool_) for item in items):
        return FieldKind.ARRAY_OF_BOOLEAN
    if all(isinstance(item, int | float | np.integer | np.floating) for item in items):
        return FieldKind.ARRAY_OF_FLOAT64
    if all(item is None or isinstance(item, str) for item in items):
        return FieldKind.ARRAY_OF_STRING
    kinds = {_temporal_or_decimal(item) for item in items if item is not None}
    kind = kinds.pop()
    if kind is not None and not kinds:
        return FieldKind[f"ARRAY_OF_{kind.name}"]
    raise EncodeError(f"field {name!r}: there is no field kind for a list of these items")

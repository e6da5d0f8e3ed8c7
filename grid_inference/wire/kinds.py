"""Which field kinds columns and single values call for: by their type, never by whether a null is among them.

Arrays of numpy say their kind by their dtype. Python objects say it all together: what is missing has the kind of the
others, NaN is missing where these are no floats, and a whole number that a double would round is refused beside floats.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal
from functools import cache
from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from grid_inference.errors import EncodeError
from grid_inference.wire.columns import EXACT_MAX, Column, ColumnLike, as_column
from grid_inference.wire.layout import INT64_MAX, INT64_MIN
from grid_inference.wire.missing import is_missing, is_nan, plain_value
from grid_inference.wire.rows import blobs_of
from grid_inference.wire.schema import NULLABLE_KINDS, NULLABLE_OF, FieldKind, Schema

__all__ = [
    "all_settled",
    "infer_schema",
    "is_double",
    "is_undecided",
    "kind_of_dtype",
    "nested_columns",
    "objects_column",
    "settled",
    "undecided",
    "value_kind",
]

_KIND_NAMES = {
    "int8": "INT8",
    "uint8": "INT16",
    "int16": "INT16",
    "uint16": "INT32",
    "int32": "INT32",
    "uint32": "INT64",
    "int64": "INT64",
    "uint64": "INT64",
    "float16": "FLOAT32",
    "float32": "FLOAT32",
    "float64": "FLOAT64",
    "bool": "BOOLEAN",
}
_NUMBER_KINDS = {frozenset({bool}): FieldKind.NULLABLE_BOOLEAN, frozenset({int}): FieldKind.NULLABLE_INT64}
"""What else than floats Python's numbers are, by their types."""
FLOATS = frozenset({FieldKind.FLOAT32, FieldKind.FLOAT64})


def infer_schema(type_name: str, columns: Mapping[str, ColumnLike]) -> Schema:
    """The narrowest schema that holds the columns: masked or marked ones are nullable, (n, k) ones are arrays.

    datetime64[D] is DATE and any other datetime64 TIMESTAMP, in which NaT is a null; timedelta64 is no time of day.
    """
    return Schema.of(type_name, {name: _column_kind(name, as_column(name, each)) for name, each in columns.items()})


def nested_columns(type_name: str, columns: Mapping[str, ColumnLike]) -> Iterator[tuple[str, Mapping[str, Column]]]:
    """The type and columns of records within the records, `<outer type>.<field>`, the innermost first."""
    for name, column in columns.items():
        if isinstance(column, Column) and column.fields is not None:
            inner = f"{type_name}.{name}"
            yield from nested_columns(inner, column.fields)
            yield inner, column.fields


def _column_kind(name: str, column: Column) -> FieldKind:
    if column.kind is not None:
        return column.kind
    dtype = column.values.dtype
    if dtype.kind == "O" and column.values.ndim == 1:
        values: list[Any] = column.values.tolist()
        if column.valid is not None:
            values = [value if there else None for value, there in zip(values, column.valid.tolist(), strict=True)]
        found = objects_column(name, values)
        return cast("FieldKind", (settled(found) if is_undecided(found) else found).kind)
    kind = kind_of_dtype(dtype)
    if kind is None:
        raise EncodeError(f"column {name!r}: there is no field kind for {dtype}")
    if column.values.ndim == 2:
        return FieldKind[f"ARRAY_OF_{kind.name}"]
    return kind if column.valid is None else NULLABLE_KINDS.get(kind, kind)


@cache
def kind_of_dtype(dtype: np.dtype[Any]) -> FieldKind | None:
    """The kind of a dtype's values, none of which can be null unless it is NaT; None if no field holds them."""
    if dtype.kind == "M":
        unit = np.datetime_data(dtype)[0]
        return None if unit == "generic" else FieldKind.DATE if unit == "D" else FieldKind.TIMESTAMP
    name = _KIND_NAMES.get(dtype.name)
    return None if name is None else FieldKind[name]


# ---- columns of Python objects


def objects_column(name: str, values: Sequence[Any]) -> Column:
    """A column from Python objects; one that holds nothing at all has no kind yet (`is_undecided`).

    Raises EncodeError that names the column, and the row that is to blame if it is one.
    """
    if (texts := _of_texts(values)) is not None:
        return texts
    plain = [plain_value(value) for value in values]
    types: set[type] = {type(value) for value in plain if value is not None and not is_nan(value)}
    if not types:
        return _of_objects(plain, None)
    if types <= {int, float} or types == {bool}:
        return _of_numbers(name, plain, _NUMBER_KINDS.get(frozenset(types), FieldKind.NULLABLE_FLOAT64))
    there = [None if is_nan(value) else value for value in plain]
    if all(issubclass(each, list | tuple | np.ndarray) for each in types):
        return _of_objects(*_arrays(name, there))
    return _of_objects(there, _objects_kind(name, there))


def _of_texts(values: Sequence[Any]) -> Column | None:
    """A column of texts and what is missing, without a look at each; None if there is anything else, or no text."""
    if not isinstance(next((value for value in values if not is_missing(value) and not is_nan(value)), None), str):
        return None
    with suppress(pa.ArrowException, UnicodeEncodeError):  # values of several types, or half of a surrogate pair
        found = pa.array(values, from_pandas=True)
        if pa.types.is_string(found.type):
            texts = found.cast(pa.large_string())
            return Column.of_utf8(blobs_of(texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts))
    return None


def _of_objects(values: Sequence[Any], kind: FieldKind | None) -> Column:
    column = Column(
        np.empty(len(values), np.object_), np.array([each is not None for each in values], np.bool_), kind=kind
    )
    for row, value in enumerate(values):  # at once, numpy would take lists apart
        column.values[row] = value
    return column


def _of_numbers(name: str, values: list[Any], kind: FieldKind) -> Column:
    floats = kind is FieldKind.NULLABLE_FLOAT64
    valid = np.array([value is not None and (floats or not is_nan(value)) for value in values], np.bool_)
    plain = [value if there else 0 for value, there in zip(values, valid.tolist(), strict=True)]
    for row, value in enumerate(plain):
        if isinstance(value, int) and not _fits(value, floats=floats):
            raise _misfit(f"column {name!r}, row {row}", value, floats=floats)
    dtype = {FieldKind.NULLABLE_BOOLEAN: np.bool_, FieldKind.NULLABLE_INT64: np.int64}.get(kind, np.float64)
    return Column(np.array(plain, dtype), valid, kind=kind)


def _fits(value: int, *, floats: bool) -> bool:
    return INT64_MIN <= value <= INT64_MAX if not floats else abs(value) <= EXACT_MAX or is_double(value)


def is_double(value: int) -> bool:
    """Whether a double is just this whole number."""
    return abs(value) < 2**1023 and int(float(value)) == value


def _misfit(place: str, value: int, *, floats: bool) -> EncodeError:
    if floats:
        return EncodeError(
            f"{place}: {value} stands beside fractions, and no double is just this number",
            remedy="put the column as texts or decimals, or leave the fractions out",
        )
    return EncodeError(f"{place}: {value} does not fit into 64 bits", remedy="put the column as decimals or texts")


def _objects_kind(name: str, values: list[Any]) -> FieldKind:
    types: set[type] = {type(value) for value in values if value is not None}
    if all(issubclass(each, str) for each in types):
        return FieldKind.STRING
    kinds = {_temporal_or_decimal(value) for value in values if value is not None}
    kind = kinds.pop()
    if kind is not None and not kinds:
        return kind
    if any(isinstance(value, Mapping) for value in values):
        raise EncodeError(
            f"column {name!r} holds dicts, whose fields have no types",
            remedy="put it as structs of Arrow or polars, or such records one by one",
        )
    listed = ", ".join(sorted(each.__name__ for each in types))
    raise EncodeError(
        f"column {name!r} {'mixes' if len(types) > 1 else 'holds'} what no field kind holds: {listed}",
        remedy="put it as numbers, texts, dates or arrays of one of them",
    )


def _arrays(name: str, values: list[Any]) -> tuple[list[Any], FieldKind]:
    """Lists and arrays as what is to be written, and the one kind of all of them."""
    there = [value for value in values if value is not None]
    dtypes = {value.dtype for value in there if isinstance(value, np.ndarray)}
    if len(dtypes) == 1 and all(isinstance(value, np.ndarray) and value.ndim == 1 for value in there):
        kind = kind_of_dtype(dtypes.pop())
        if kind is not None:
            return values, FieldKind[f"ARRAY_OF_{kind.name}"]
    lists = [None if value is None else _items(value) for value in values]
    items = [item for some in lists if some for item in some]
    whole = all(item is None or (isinstance(item, int) and not isinstance(item, bool)) for item in items)
    if whole and any(item is not None for item in items):
        kind = FieldKind.ARRAY_OF_NULLABLE_INT64 if None in items else FieldKind.ARRAY_OF_INT64
        return lists, kind
    try:
        return lists, _list_kind(name, items)
    except EncodeError as error:
        raise EncodeError(f"column {name!r}: {error}", remedy="put lists of numbers, texts or dates") from None


def _items(value: Any) -> list[Any]:
    """The items of a list or array; NaN is None beside what are no numbers."""
    items = [plain_value(item) for item in cast("Sequence[Any]", value)]
    numbers = all(item is None or isinstance(item, int | float) for item in items)
    return items if numbers else [None if is_nan(item) else item for item in items]


# ---- columns that hold nothing


def is_undecided(column: ColumnLike) -> bool:
    """Whether a column holds nothing but what is missing, and its type doesn't say of what kind that is."""
    if not isinstance(column, Column) or column.kind is not None or column.values.dtype.kind != "O":
        return False
    return column.values.ndim == 1 and all(is_missing(value) or is_nan(value) for value in column.values.tolist())


def undecided(columns: Mapping[str, Column]) -> set[str]:
    """The names of undecided columns; `a.b` for b in the records of a."""
    found = {name for name, column in columns.items() if is_undecided(column)}
    within = [(name, column.fields) for name, column in columns.items() if column.fields is not None]
    return found.union(*({f"{name}.{each}" for each in undecided(fields)} for name, fields in within))


def all_settled(columns: Mapping[str, Column], known: Mapping[str, FieldKind], within: str = "") -> dict[str, Column]:
    """The same columns, undecided ones as of the kinds that are known of them."""
    found = dict[str, Column]()
    for name, column in columns.items():
        path = f"{within}{name}"
        if column.fields is not None:
            found[name] = replace(column, fields=all_settled(column.fields, known, f"{path}."))
        else:
            found[name] = settled(column, known.get(path)) if is_undecided(column) else column
    return found


def settled(column: Column, kind: FieldKind | None = None) -> Column:
    """An undecided column as one of `kind`, all null; if nobody knows it, NaN makes it floats, else it is STRING."""
    nan = np.array([is_nan(value) for value in column.values.tolist()], np.bool_)
    plain = FieldKind.FLOAT64 if kind is None and bool(nan.any()) else FieldKind.STRING if kind is None else kind
    plain = NULLABLE_OF.get(plain, plain)
    if plain in FLOATS:
        return Column(np.full(len(column), np.nan), nan, kind=NULLABLE_KINDS[plain])
    nothing = np.full(len(column), None, np.object_)
    return Column(nothing, np.zeros(len(column), np.bool_), kind=NULLABLE_KINDS.get(plain, plain))


# ---- single values


def _temporal_or_decimal(value: Any) -> FieldKind | None:
    """The kind of a date, a time or a decimal, Python's or numpy's; None for anything else."""
    if isinstance(value, datetime):
        return FieldKind.TIMESTAMP if value.tzinfo is None else FieldKind.TIMESTAMP_WITH_TIMEZONE
    if isinstance(value, np.datetime64):
        return kind_of_dtype(value.dtype)
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
    kind = kind_of_dtype(value.dtype)
    if value.ndim != 1 or kind is None:
        raise EncodeError(f"field {name!r}: there is no field kind for {value.ndim}-dimensional {value.dtype}")
    return FieldKind[f"ARRAY_OF_{kind.name}"]


def _list_kind(name: str, items: Sequence[Any]) -> FieldKind:
    there = [item for item in items if not is_missing(item)]
    nullable = "NULLABLE_" if len(there) < len(items) else ""
    if there and all(isinstance(item, bool | np.bool_) for item in there):
        return FieldKind[f"ARRAY_OF_{nullable}BOOLEAN"]
    if (there or not items) and all(isinstance(item, int | float | np.integer | np.floating) for item in there):
        for item in there:
            if isinstance(item, int | np.integer) and not _fits(int(item), floats=True):
                raise EncodeError(
                    f"field {name!r}: no double is just {item}", remedy="put the list as a numpy array of int64"
                )
        return FieldKind[f"ARRAY_OF_{nullable}FLOAT64"]
    if all(isinstance(item, str) for item in there):
        return FieldKind.ARRAY_OF_STRING
    kinds = {_temporal_or_decimal(item) for item in there}
    kind = kinds.pop()
    if kind is not None and not kinds:
        return FieldKind[f"ARRAY_OF_{kind.name}"]
    raise EncodeError(f"field {name!r}: there is no field kind for a list of these items")

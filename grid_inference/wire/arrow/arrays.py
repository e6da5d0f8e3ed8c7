"""Keys, Compact records and columns → Arrow arrays: a record's strings and numbers from their bytes, without an object.

A null is an Arrow null, a NaN stays one. DATE is date32, TIME time64[us], TIMESTAMP timestamp[us],
TIMESTAMP_WITH_TIMEZONE the same in UTC, an array a list; decimals take the narrowest type that holds them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from grid_inference.errors import DecodeError
from grid_inference.wire import layout
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.columns import Column, objects_of
from grid_inference.wire.compact.decode import decode_even_columns, decode_text_blobs
from grid_inference.wire.compact.nested import element_of, has_field, nested_ids, split_wanted
from grid_inference.wire.compact.record import Nesting
from grid_inference.wire.compact.var import VarReader
from grid_inference.wire.keys import decode_keys, key_texts
from grid_inference.wire.schema import ARRAY_OF, ITEMS_OF, NULLABLE_OF, FieldKind, Schema
from grid_inference.wire.texts import arrow_texts

__all__ = ["ArrowParts", "arrow_array", "arrow_columns", "arrow_keys"]

_TYPES: Mapping[FieldKind, Any] = MappingProxyType(
    {
        FieldKind.BOOLEAN: pa.bool_(),
        FieldKind.INT8: pa.int8(),
        FieldKind.INT16: pa.int16(),
        FieldKind.INT32: pa.int32(),
        FieldKind.INT64: pa.int64(),
        FieldKind.FLOAT32: pa.float32(),
        FieldKind.FLOAT64: pa.float64(),
        FieldKind.STRING: pa.large_string(),
        FieldKind.DATE: pa.date32(),
        FieldKind.TIME: pa.time64("us"),
        FieldKind.TIMESTAMP: pa.timestamp("us"),
        FieldKind.TIMESTAMP_WITH_TIMEZONE: pa.timestamp("us", tz="UTC"),
    }
)
"""Of one value. A DECIMAL's type follows from its digits."""
_REMEDY = "name the columns that you want, without this one"
_JSON_NAMES: Mapping[type, str] = {str: "string", int: "number", float: "number", list: "array", dict: "object"}
DECIMAL_DIGITS_MAX = 76
"""Of a decimal256."""
_TEXT = layout.DATA_HEADER_BYTES + layout.LENGTH_BYTES
_LONG_KEY_BYTES = layout.DATA_HEADER_BYTES + 8


def arrow_columns(
    values: Blobs,
    schema: Schema,
    wanted: Iterable[str] | None = None,
    schemas: Mapping[int, Schema] = MappingProxyType({}),
) -> dict[str, Any]:
    """The wanted fields (or all) as Arrow arrays of n values; `values` are whole Data, all of this schema.

    `schemas` are those of nested records, which become structs; `a.b` is the field b of the record nested in a, `a[3]`
    element 3 of the array in a. Raises DecodeError for bytes that are no such record and decimals of over 76 digits.
    """
    names = list(schema.slots if wanted is None else wanted)
    plain, paths = split_wanted(schema, names)
    strings = [name for name in plain if name in schema.slots and schema.slots[name].kind is FieldKind.STRING]
    found = {name: arrow_texts(texts) for name, texts in decode_text_blobs(values, schema, strings).items()}
    others = [name for name in plain if name not in found]
    for name, column in decode_even_columns(values, schema, others, schemas).items():
        element = element_of(schema, name)
        kind = _item_of(schema.slots[element[0]].kind) if element else schema.slots[name].kind
        found[name] = _array(name, kind, column)
    for head, rest in paths.items():
        found.update(_nested_arrays(values, schema, head, rest, schemas))
    return {name: found[name] for name in names}


def _nested_arrays(
    values: Blobs, schema: Schema, head: str, paths: Mapping[str, str], schemas: Mapping[int, Schema]
) -> dict[str, Any]:
    """Fields of the records nested in one field, by wanted name; `paths` says how the nested record calls each."""
    rows, records = VarReader(values, schema).nested(schema.slots[head])
    ids = nested_ids(records)
    parts, order = ArrowParts(), np.full(len(values), -1)
    for schema_id in np.unique(ids).tolist():
        mine, inner = np.flatnonzero(ids == schema_id), Nesting(schemas).schema(schema_id)
        there = {name: path for name, path in paths.items() if has_field(inner, path)}
        arrays = arrow_columns(records.take(mine), inner, there.values(), schemas)
        order[rows[mine]] = np.arange(parts.rows, parts.rows + mine.size)
        parts.add(mine.size, {name: arrays[path] for name, path in there.items()})
    places = pa.array(order, mask=order < 0)
    return {name: parts.column(name).take(places).combine_chunks() for name in paths}


def _item_of(kind: FieldKind) -> FieldKind:
    return ARRAY_OF.get(kind, ITEMS_OF.get(kind, kind))


def _array(name: str, kind: FieldKind, column: Column) -> Any:
    item = _item_of(kind)
    wanted = _TYPES.get(NULLABLE_OF.get(item, item))
    if column.values.ndim == 2:
        return _lists(column, wanted)
    mask = None if column.valid is None else ~column.valid
    if column.values.dtype.kind == "m":
        return pa.array(column.values.astype(np.int64), mask=mask).cast(wanted)
    if column.values.dtype.kind != "O":
        return pa.array(column.values, mask=mask, from_pandas=False).cast(wanted)
    of_objects = wanted if kind not in ARRAY_OF and kind not in ITEMS_OF else wanted and pa.list_(wanted)
    if wanted is None and any(map(_holds_endless_decimal, column.values.tolist())):
        raise DecodeError(f"field {name!r} ({kind.name}) holds a decimal of more than {DECIMAL_DIGITS_MAX} digits")
    values = column.values
    if kind in (FieldKind.COMPACT, FieldKind.ARRAY_OF_COMPACT):
        values = objects_of(list(map(_in_utc, values.tolist()))).values
    try:
        return pa.array(values, of_objects, mask=mask, from_pandas=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise _unfit(f"{name!r} ({kind.name})", error) from None


def _in_utc(value: Any) -> Any:
    """What a record holds, its moments with a zone in UTC: Arrow would else take the first one's zone for all."""
    if isinstance(value, dict):
        return {name: _in_utc(each) for name, each in value.items()}
    if isinstance(value, list):
        return list(map(_in_utc, value))
    aware = isinstance(value, datetime) and value.tzinfo is not None
    return value.astimezone(UTC) if aware else value


def arrow_array(name: str, column: Column) -> Any:
    """A column of no stated kind, as a JSON field's is: its values tell the type, which is null if there are none.

    Raises DecodeError where they have no type in common, or one of them has none at all.
    """
    if column.empty:
        return pa.nulls(len(column))
    mask = None if column.valid is None else ~column.valid
    if column.values.dtype.kind != "O":
        return pa.array(column.values, mask=mask, from_pandas=False)
    types: set[type] = set(map(type, column.values.tolist())) - {type(None)}
    try:
        return pa.array(column.values, pa.large_string() if types == {str} else None, mask=mask, from_pandas=False)
    except (pa.ArrowException, OverflowError, UnicodeError) as error:
        if len(types) == 1:
            raise _unfit(repr(name), error) from None
        if types == {int, float}:
            raise _misfit(name, ("whole numbers beyond 2^53", "fractions")) from None
        raise _misfit(name, sorted({_JSON_NAMES.get(each, each.__name__) for each in types})) from None


def _unfit(field: str, error: Exception) -> DecodeError:
    return DecodeError(f"field {field} does not fit into Arrow: {error}", remedy=_REMEDY)


def _misfit(name: str, kinds: Iterable[str]) -> DecodeError:
    problem = f"field {name!r} differs from record to record and fits no one column: {', '.join(kinds)}"
    return DecodeError(problem, remedy=_REMEDY)


def _holds_endless_decimal(value: Any) -> bool:
    """Whether a decimal, or one in a list or a dict, is too far from 1 for Arrow.

    pyarrow 26 adds the digits before the point to those behind it in 32 bits, and crashes where the sum overflows.
    """
    if isinstance(value, Decimal):
        return abs(value.adjusted()) > DECIMAL_DIGITS_MAX
    inner: Any = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return any(map(_holds_endless_decimal, inner))


def _lists(column: Column, item: Any) -> Any:
    """A matrix with no null as Arrow lists of its rows; shape (n, k)."""
    count, length = column.values.shape
    offsets = np.arange(count + 1, dtype=np.int64) * length
    flat = pa.array(column.values.reshape(-1), from_pandas=False).cast(item)
    return pa.LargeListArray.from_arrays(pa.array(offsets), flat).cast(pa.list_(item))


def _common_type(name: str, arrays: Sequence[Any]) -> Any:
    """The narrowest type that holds all values; a null that is of another type than all that has a value is any."""
    if not arrays:
        return pa.null()
    try:
        return _unified(name, arrays)
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        saying = [array for array in arrays if array.null_count < len(array)]
        if not 0 < len(saying) < len(arrays):
            raise
        return _unified(name, saying)


def _unified(name: str, arrays: Sequence[Any]) -> Any:
    schemas = [pa.schema([(name, array.type)]) for array in arrays]
    return pa.unify_schemas(schemas, promote_options="permissive").field(0).type


class ArrowParts:
    """Columns of the same names, gathered part by part; a part may lack some, which are null there."""

    def __init__(self) -> None:
        self.rows = 0
        self._found: dict[str, list[tuple[int, Any]]] = {}

    @property
    def names(self) -> list[str]:
        """All names so far, in the order in which they first came."""
        return list(self._found)

    def add(self, rows: int, columns: Mapping[str, Any]) -> None:
        """Append a part of so many rows."""
        for name, array in columns.items():
            self._found.setdefault(name, []).append((self.rows, array))
        self.rows += rows

    def column(self, name: str) -> Any:
        """One column as a ChunkedArray of `rows` values; all null for a name that never came.

        Parts of several types take the narrowest that holds them all, to which nulls alone say nothing if they fit
        none; raises DecodeError if there is none.
        """
        found = self._found.get(name, [])
        try:
            kind = _common_type(name, [array for _, array in found])
            return pa.chunked_array(self._chunks(found, kind), kind)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
            raise _misfit(name, dict.fromkeys(str(array.type) for _, array in found)) from None

    def _chunks(self, found: list[tuple[int, Any]], kind: Any) -> list[Any]:
        chunks: list[Any] = []
        end = 0
        for start, array in found:
            if start > end:
                chunks.append(pa.nulls(start - end, kind))
            if array.type != kind:  # what pyarrow 26 makes of a list of nulls as its own type is too short
                array = array.cast(kind) if array.null_count < len(array) else pa.nulls(len(array), kind)  # noqa: PLW2901
            chunks.append(array)
            end = start + len(array)
        return [*chunks, pa.nulls(self.rows - end, kind)]


def arrow_keys(parts: Sequence[Blobs]) -> Any:
    """Keys as a ChunkedArray, one chunk a part: whole numbers as int64, fractions as double, texts as large_string.

    Byte arrays become large_binary. UUIDs, keys of several types or of an unknown one become text, as in `key_texts`.
    """
    kinds = {kind for part in parts for kind in np.unique(_key_types(part)).tolist()}
    if not kinds:
        return pa.chunked_array([], pa.null())
    for chosen, convert in _KEY_COLUMNS:
        if kinds <= chosen:
            # One key that is not what its type says must not keep the others from being read.
            with suppress(DecodeError, pa.ArrowInvalid, pa.ArrowTypeError):
                return pa.chunked_array([convert(part) for part in parts])
    return pa.chunked_array([arrow_texts(key_texts(part)) for part in parts])


def _key_types(keys: Blobs) -> NDArray[np.int32]:
    types = np.zeros(len(keys), np.int32)
    there = keys.lengths >= layout.DATA_HEADER_BYTES
    types[there] = keys.take(there).read(layout.TYPE_OFFSET, ">i4")
    return types


def _whole(keys: Blobs) -> Any:
    longs = bool((keys.lengths == _LONG_KEY_BYTES).all()) and bool((_key_types(keys) == layout.TYPE_LONG).all())
    if longs:
        return pa.array(keys.read(layout.DATA_HEADER_BYTES, ">i8").astype(np.int64))
    return pa.array(decode_keys(keys), pa.int64())


def _fractions(keys: Blobs) -> Any:
    return pa.array(decode_keys(keys), pa.float64(), from_pandas=False)


def _strings(keys: Blobs) -> Any:
    sizes = keys.read(layout.DATA_HEADER_BYTES, ">i4").astype(np.int64)
    if bool((sizes != keys.lengths - _TEXT).any()):
        raise DecodeError("a key of type string claims another length than it has")
    return arrow_texts(Blobs(keys.buffer, keys.starts + _TEXT, sizes))


def _binary(keys: Blobs) -> Any:
    return pa.array([bytes(key) for key in decode_keys(keys)], pa.large_binary())


_WHOLE = frozenset({layout.TYPE_BYTE, layout.TYPE_SHORT, layout.TYPE_INT, layout.TYPE_LONG})
_KEY_COLUMNS = (
    (_WHOLE, _whole),
    (frozenset({layout.TYPE_FLOAT, layout.TYPE_DOUBLE}), _fractions),
    (frozenset({layout.TYPE_STRING}), _strings),
    (frozenset({layout.TYPE_BYTE_ARRAY}), _binary),
)

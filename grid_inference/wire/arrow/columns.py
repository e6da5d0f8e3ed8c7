"""Arrow arrays → columns that are put: the kind follows from the Arrow type, never from what is null in this batch.

Every value is kept as it is, a null included; a moment with a zone keeps its offset from UTC. What no field holds, or
holds only rounded, is refused by column and row.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray
from pyarrow import types

from grid_inference.errors import EncodeError
from grid_inference.wire.columns import Column, objects_of
from grid_inference.wire.kinds import kind_of_dtype
from grid_inference.wire.layout import INT64_MAX, NESTING_MAX
from grid_inference.wire.rows import blobs_of
from grid_inference.wire.schema import NULLABLE_KINDS, NULLABLE_OF, FieldKind

__all__ = ["arrow_kind", "column_of_arrow", "plain_arrow"]

pc: Any = pyarrow.compute  # makes its functions at import, which a type checker can't see
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_KINDS: tuple[tuple[Callable[[Any], bool], FieldKind], ...] = (
    (types.is_string, FieldKind.STRING),
    (types.is_large_string, FieldKind.STRING),
    (types.is_string_view, FieldKind.STRING),
    (types.is_date, FieldKind.DATE),
    (types.is_time, FieldKind.TIME),
    (types.is_decimal, FieldKind.DECIMAL),
)


def arrow_kind(kind: Any) -> FieldKind | None:
    """The field kind of an Arrow type whose values may be null; None if no field holds them, or for the type null.

    Of a list it is the kind for items of which none is null.
    """
    if types.is_dictionary(kind) or types.is_run_end_encoded(kind):
        return arrow_kind(kind.value_type)
    if types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind):
        plain = kind_of_dtype(np.dtype(kind.to_pandas_dtype()))
        return None if plain is None else NULLABLE_KINDS[plain]
    if types.is_timestamp(kind):
        return FieldKind.TIMESTAMP_WITH_TIMEZONE if kind.tz else FieldKind.TIMESTAMP
    if _is_list(kind):
        item = None if _is_list(kind.value_type) else arrow_kind(kind.value_type)
        return (
            None
            if item is None or item is FieldKind.COMPACT
            else FieldKind[f"ARRAY_OF_{NULLABLE_OF.get(item, item).name}"]
        )
    if types.is_struct(kind):
        return FieldKind.COMPACT if len(kind) and all(_has_kind(each.type) for each in kind) else None
    return next((found for is_such, found in _KINDS if is_such(kind)), None)


def _has_kind(kind: Any) -> bool:
    return types.is_null(kind) or arrow_kind(kind) is not None


def _without_kind(name: str, kind: Any) -> tuple[str, Any]:
    """The field that is to blame for a column that no field holds, and its type."""
    inner = kind if types.is_struct(kind) else ()
    wrong = next((each for each in inner if not _has_kind(each.type)), None)
    return (name, kind) if wrong is None else _without_kind(f"{name}.{wrong.name}", wrong.type)


def plain_arrow(values: Any) -> Any:
    """One array of plain values from a ChunkedArray, from codes of a dictionary, or from runs."""
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if isinstance(values, pa.ChunkedArray):  # more texts than one array holds
        values = values.cast(pa.large_string()).combine_chunks()
    if types.is_dictionary(values.type):
        # What ChunkedArray.to_numpy makes of a null here is the dictionary's last value.
        return values.dictionary_decode()
    return pc.run_end_decode(values) if types.is_run_end_encoded(values.type) else values


def column_of_arrow(name: str, values: Any, *, nullable: bool = True, depth: int = 0) -> Column:
    """The column of an Array or ChunkedArray; `nullable` is False for a field of a schema that says so.

    `depth` says in how many records the field lies.
    """
    array = plain_arrow(values)
    kind = arrow_kind(array.type)
    if kind is None:
        if not types.is_null(array.type):
            field, its = _without_kind(name, array.type)
            raise EncodeError(
                f"column {field!r} is {its}, for which a record has no field",
                remedy="leave it out, or put it as numbers, texts, dates or lists of them",
            )
        return Column(np.full(len(array), None, np.object_), np.zeros(len(array), np.bool_))
    valid: NDArray[np.bool_] = array.is_valid().to_numpy(zero_copy_only=False)
    if kind is FieldKind.COMPACT:
        return _records(name, array, valid, depth + 1)
    column = _column(name, array, kind, valid)
    if kind in NULLABLE_OF and not nullable and bool(valid.all()):
        return Column(column.values, kind=NULLABLE_OF[kind])
    return column


def _column(name: str, array: Any, kind: FieldKind, valid: NDArray[np.bool_]) -> Column:
    if _is_list(array.type):
        return _lists(name, array, kind, valid)
    if kind in NULLABLE_OF:
        return Column(_numbers(name, array), valid, kind=kind)
    if kind is FieldKind.STRING:
        return _texts(name, array)
    if kind is FieldKind.DECIMAL:
        return Column(objects_of(array.to_pylist()).values, valid, kind=kind)
    return _moments(name, array, kind, valid)


def _texts(name: str, array: Any) -> Column:
    try:
        texts = array.cast(pa.large_string())
        texts.validate(full=True)
    except pa.ArrowInvalid as error:
        raise EncodeError(f"column {name!r} holds a text that is no UTF-8: {error}") from None
    return Column.of_utf8(blobs_of(texts))


def _records(name: str, array: Any, valid: NDArray[np.bool_], depth: int) -> Column:
    """Structs as the columns of their fields: each row's become a record within the record."""
    names = [each.name for each in array.type]
    if len(set(names)) < len(names):
        raise EncodeError(f"column {name!r} is {array.type}: two fields have one name", remedy="rename one of them")
    if depth > NESTING_MAX:
        raise EncodeError(
            f"field {name!r}: records are nested more than {NESTING_MAX} deep (NESTING_MAX)",
            remedy="put the inner fields further out",
        )
    # `flatten` makes a struct's fields null where the struct is.
    pairs = zip(names, array.flatten(), strict=True)
    fields = {each: column_of_arrow(f"{name}.{each}", values, depth=depth) for each, values in pairs}
    return Column(np.full(len(array), None, np.object_), valid, kind=FieldKind.COMPACT, fields=fields)


def _is_list(kind: Any) -> bool:
    return types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)


def _numbers(name: str, array: Any) -> NDArray[Any]:
    if types.is_float16(array.type):
        array = array.cast(pa.float32())
    zero = pa.scalar(0, pa.int8()).cast(array.type)
    values: NDArray[Any] = (array.fill_null(zero) if array.null_count else array).to_numpy(zero_copy_only=False)
    if values.dtype == np.uint64:
        row = int(np.argmax(values)) if values.size else 0
        if values.size and int(values[row]) > INT64_MAX:
            raise EncodeError(
                f"column {name!r}, row {row}: {values[row]} does not fit into 64 bits with a sign",
                remedy="put the column as decimals or texts",
            )
        values = values.astype(np.int64)
    return values


# ---- dates and times


def _moments(name: str, array: Any, kind: FieldKind, valid: NDArray[np.bool_]) -> Column:
    if types.is_date64(array.type):
        array = array.cast(pa.date32())
    ticks = array.view(pa.int32() if array.type.bit_width == 32 else pa.int64()).fill_null(0)
    numbers = ticks.to_numpy(zero_copy_only=False).astype(np.int64)
    unit = "D" if kind is FieldKind.DATE else array.type.unit
    values = numbers.view(f"{'m' if kind is FieldKind.TIME else 'M'}8[{unit}]").copy()
    ahead = None
    if kind is FieldKind.TIMESTAMP_WITH_TIMEZONE:
        ahead = _seconds_ahead(name, array.type.tz, numbers, unit, valid)
    values[~valid] = "NaT"
    return Column(values, valid, kind=kind, ahead=ahead)


def _seconds_ahead(
    name: str, zone: str, ticks: NDArray[np.int64], unit: str, valid: NDArray[np.bool_]
) -> NDArray[np.int32]:
    """By how much each moment's clock is ahead of UTC: asked once for each second that there is."""
    tz = _zone(name, zone)
    ahead = np.zeros(ticks.size, np.int32)
    if tz is UTC:
        return ahead
    seconds, where = np.unique(ticks[valid] // _PER_SECOND[unit], return_inverse=True)
    found = np.empty(seconds.size, np.int32)
    for index, second in enumerate(seconds.tolist()):
        try:
            offset = (_EPOCH + timedelta(seconds=second)).astimezone(tz).utcoffset()
        except (OverflowError, ValueError):
            row = int(np.flatnonzero(valid)[np.argmax(where == index)])
            raise EncodeError(
                f"column {name!r}, row {row}: a year is not 1 … 9999", remedy="put a null, or another moment there"
            ) from None
        found[index] = 0 if offset is None else offset // timedelta(seconds=1)
    ahead[valid] = found[where]
    return ahead


_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def _zone(name: str, zone: str) -> Any:
    if zone.upper() in {"UTC", "Z", "ETC/UTC"}:
        return UTC
    if zone[0] in "+-":
        hours, minutes = zone[1:].split(":") if ":" in zone else (zone[1:3], zone[3:] or "0")
        offset = timedelta(hours=int(hours), minutes=int(minutes))
        return timezone(-offset if zone[0] == "-" else offset)
    try:
        return ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise EncodeError(
            f"column {name!r}: nobody here knows the time zone {zone!r}",
            remedy="install `tzdata`, or convert the column to UTC",
        ) from None


# ---- lists


def _lists(name: str, array: Any, kind: FieldKind, valid: NDArray[np.bool_]) -> Column:
    """Lists as a matrix where it is numbers, as many in each; else as lists. A null item makes the items nullable."""
    lengths = pc.list_value_length(array).fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    items = column_of_arrow(name, array.drop_null().flatten())
    item = FieldKind[kind.name.removeprefix("ARRAY_OF_")]
    numbers = item in NULLABLE_KINDS
    if numbers and items.valid is not None and not bool(items.valid.all()):
        plain = [value if there else None for value, there in zip(items.values.tolist(), items.valid, strict=True)]
        return _cut(objects_of(plain).values, lengths, FieldKind[f"ARRAY_OF_NULLABLE_{item.name}"])
    sizes = np.unique(lengths[valid])
    if numbers and sizes.size <= 1:
        matrix = np.zeros((len(array), int(sizes[0]) if sizes.size else 0), items.values.dtype)
        matrix[valid] = items.values.reshape(np.count_nonzero(valid), matrix.shape[1])
        return Column(matrix, valid, kind=kind)
    return _cut(_as_objects(items), lengths, kind)


def _as_objects(items: Column) -> NDArray[Any]:
    """Items that are written one by one; of moments with a zone each knows its own."""
    if items.ahead is None:
        return items.objects()
    moments = items.values.astype("M8[us]").tolist()
    if any(isinstance(moment, int) for moment in moments):
        raise EncodeError("a year in a list is not 1 … 9999", remedy="put a null, or another moment there")
    found = [
        None if moment is None else moment.replace(tzinfo=UTC).astimezone(timezone(timedelta(seconds=ahead)))
        for moment, ahead in zip(moments, items.ahead.tolist(), strict=True)
    ]
    return objects_of(found).values


def _cut(items: NDArray[Any], lengths: NDArray[np.int64], kind: FieldKind) -> Column:
    """Items one behind the other as lists of these lengths; -1 is a null."""
    ends = np.cumsum(np.maximum(lengths, 0))
    rows = [
        None if length < 0 else items[end - length : end]
        for end, length in zip(ends.tolist(), lengths.tolist(), strict=True)
    ]
    column = objects_of(rows)
    return Column(column.values, column.valid, kind=kind)

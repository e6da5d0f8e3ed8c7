"""Columns → Compact records, without a Python object per record unless a column holds Python objects.

Where all records have equal lengths they are the rows of one byte matrix, written column by column; else each column's
bytes are a piece of every record, and the pieces are joined row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid_inference.errors import EncodeError
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.columns import Column, ColumnLike, as_column
from grid_inference.wire.compact.fixed import Run, fixed_runs, native
from grid_inference.wire.compact.record import VALUE_ERRORS, encode_value, offset_bytes
from grid_inference.wire.compact.temporal import TEMPORAL_DTYPES, encode_temporal_column
from grid_inference.wire.kinds import infer_schema
from grid_inference.wire.layout import DATA_HEADER, LENGTH_BYTES, TYPE_COMPACT
from grid_inference.wire.rows import join_rows
from grid_inference.wire.schema import ARRAY_OF, NULLABLE_OF, NUMBER_DTYPES, FieldKind, Schema, Slot

__all__ = ["encode_columns"]

_BLOCK_BYTES = 1 << 19
"""What is written column by column at a time stays in a core's cache."""
_BLOCK_ROWS_MIN = 64
"""Of records of thousands of fields, as each block costs a step a field."""


def encode_columns(schema: Schema, columns: Mapping[str, ColumnLike]) -> Blobs:
    """One whole Data per row, partition hash 0; a field that can be null may be left out."""
    given = {name: as_column(name, column) for name, column in columns.items()}
    rows = _row_count(schema, given)
    fixed = [(run, [_fixed_values(slot, given.get(slot.name)) for slot in run.slots]) for run in fixed_runs(schema)]
    parts = [_part(schema, slot, given.get(slot.name), rows) for slot in schema.slots.values() if slot.index >= 0]
    sizes = tuple(size for part in parts if (size := part.size) is not None)
    if len(sizes) < len(parts):
        return _encode_ragged(schema, rows, fixed, parts)
    return Blobs.from_matrix(_encode_equal(schema, rows, fixed, parts, sizes))


def _row_count(schema: Schema, columns: Mapping[str, Column]) -> int:
    unknown = [name for name in columns if name not in schema.slots]
    if unknown:
        raise EncodeError(f"{schema.type_name} has no field {min(unknown)!r}")
    counts = {column.values.shape[0] for column in columns.values()}
    if len(counts) > 1:
        raise EncodeError(f"columns of {schema.type_name} have different lengths: {sorted(counts)}")
    return counts.pop() if counts else 0


# ---- the columns of fixed-size fields


def _fixed_values(slot: Slot, column: Column | None) -> NDArray[Any]:
    if column is None:
        raise EncodeError(f"field {slot.name!r} can't be null and has no column")
    if column.valid is not None and not bool(column.valid.all()):
        raise EncodeError(f"field {slot.name!r} ({slot.kind.name}) can't be null, but some of its values are")
    return _checked(slot, slot.kind, column.values, 1)


def _checked(slot: Slot, kind: FieldKind, values: NDArray[Any], dimensions: int) -> NDArray[Any]:
    """The values, if each fits into the kind; integers widen to floats, doubles are rounded to floats."""
    dtype = native(kind)
    if values.dtype is dtype and values.ndim == dimensions:
        return values
    label = f"field {slot.name!r} ({slot.kind.name})"
    if values.ndim != dimensions:
        raise EncodeError(f"{label} takes {dimensions} dimensions, not {values.ndim}")
    if values.dtype == np.object_:
        values = _from_objects(label, kind, values)
    if values.dtype.kind not in {"b": "b", "i": "iu", "f": "iuf"}[dtype.kind]:
        raise EncodeError(f"{label} can't take values of {values.dtype}")
    if dtype.kind == "i" and not np.can_cast(values.dtype, dtype) and values.size:
        limits = np.iinfo(dtype)
        least, most = int(values.min()), int(values.max())
        if least < limits.min or most > limits.max:
            row = int(np.argmin(values) if least < limits.min else np.argmax(values)) // (values.size // len(values))
            raise EncodeError(f"{label} has a value outside {limits.min} … {limits.max} in row {row}")
    if kind is FieldKind.FLOAT32 and values.dtype.itemsize > 4:
        _check_float_range(label, values)
    return values


def _check_float_range(label: str, values: NDArray[Any]) -> None:
    with np.errstate(over="raise", invalid="ignore"):
        try:
            values.astype(np.float32)
        except FloatingPointError:
            raise EncodeError(f"{label} has a finite value that is infinite as float32") from None


def _from_objects(label: str, kind: FieldKind, values: NDArray[Any]) -> NDArray[Any]:
    found = np.array(values.tolist())
    if found.dtype == np.object_ or (found.dtype.kind == "b") != (kind is FieldKind.BOOLEAN):
        raise EncodeError(f"{label} can't take every one of its values")
    return found


# ---- the columns of variable-size fields


@dataclass(slots=True)
class _Part:
    """The bytes that a field adds to each record: those of all pieces, one behind the other; a null's are none."""

    sizes: NDArray[np.int64]
    """Bytes in each row; -1 for a null."""
    pieces: list[Blobs]

    @classmethod
    def of_matrix(cls, matrix: NDArray[np.uint8], valid: NDArray[np.bool_] | None) -> _Part:
        """From bytes that are as many in every row that is no null."""
        blobs = Blobs.from_matrix(np.ascontiguousarray(matrix))
        if valid is not None and not bool(valid.all()):
            blobs = Blobs(blobs.buffer, blobs.starts, np.where(valid, blobs.lengths, -1))
        return cls(blobs.lengths, [blobs])

    @property
    def size(self) -> int | None:
        """The same number for all rows (-1: all are null), or None."""
        size = int(self.sizes[0]) if self.sizes.size else -1
        return size if bool((self.sizes == size).all()) else None


def _part(schema: Schema, slot: Slot, column: Column | None, rows: int) -> _Part:
    if column is None or column.empty:
        return _Part(np.full(rows, -1), [])
    values, valid = column.values, column.valid
    if slot.kind in NULLABLE_OF:
        kind = NULLABLE_OF[slot.kind]
        if values.dtype == np.object_:
            present = np.array([value is not None for value in values.tolist()], np.bool_)
            valid = present if valid is None else present & valid
            values = np.where(valid, values, next(iter(values[valid]), native(kind).type().item()))
        return _Part.of_matrix(_bytes_of(kind, _checked(slot, kind, values, 1)), valid)
    if slot.kind in TEMPORAL_DTYPES and values.dtype.kind in "mM" and values.ndim == 1:
        return _temporal_part(slot, column)
    if slot.kind in ARRAY_OF and values.dtype != np.object_:
        return _Part.of_matrix(_array_bytes(slot, ARRAY_OF[slot.kind], values), valid)
    if column.utf8 is not None and slot.kind is FieldKind.STRING:
        return _text_part(column.utf8)
    if column.fields is None:
        blobs = _objects_part(slot, column.objects(), valid)
    else:
        blobs = _nested_part(f"{schema.type_name}.{slot.name}", column.fields, valid)
    return _Part(blobs.lengths, [blobs])


def _text_part(utf8: Blobs) -> _Part:
    """Each text with its length before it."""
    sizes = np.where(utf8.lengths < 0, -1, utf8.lengths + LENGTH_BYTES)
    lengths = _Part.of_matrix(_bytes_of(FieldKind.INT32, utf8.lengths), utf8.lengths >= 0)
    return _Part(sizes, [*lengths.pieces, utf8])


def _bytes_of(kind: FieldKind, values: NDArray[Any]) -> NDArray[np.uint8]:
    """Numbers as big-endian bytes, booleans as a byte each, shape (n, bytes of a row)."""
    dtype = np.dtype(np.uint8) if kind is FieldKind.BOOLEAN else NUMBER_DTYPES[kind]
    plain = np.ascontiguousarray(values, dtype)
    return plain.view(np.uint8).reshape(values.shape[0], dtype.itemsize * int(np.prod(values.shape[1:])))


def _temporal_part(slot: Slot, column: Column) -> _Part:
    """The bytes of datetime64 or timedelta64, in which NaT is a null."""
    values = column.values
    there = ~np.isnat(values) if column.valid is None else ~np.isnat(values) & column.valid
    ahead = None if column.ahead is None else column.ahead[there]
    matrix = np.zeros((values.size, TEMPORAL_DTYPES[slot.kind].itemsize), np.uint8)
    try:
        found = encode_temporal_column(slot.kind, values[there], ahead)
    except EncodeError as error:
        row = _first_refused(values, there, lambda value: encode_temporal_column(slot.kind, value))
        raise EncodeError(f"field {slot.name!r} ({slot.kind.name}){row}: {error}") from None
    matrix[there] = found.view(np.uint8).reshape(-1, matrix.shape[1])
    return _Part.of_matrix(matrix, there)


def _first_refused(values: NDArray[Any], there: NDArray[np.bool_], encode: Callable[[NDArray[Any]], Any]) -> str:
    """Which row is the first that can't be encoded, in words; nothing if each can be by itself."""
    for row in np.flatnonzero(there).tolist():
        try:
            encode(values[row : row + 1])
        except EncodeError:
            return f", row {row}"
    return ""


def _array_bytes(slot: Slot, kind: FieldKind, values: NDArray[Any]) -> NDArray[np.uint8]:
    checked = _checked(slot, kind, values, 2)
    boolean = kind is FieldKind.BOOLEAN
    items = np.packbits(checked, axis=1, bitorder="little") if boolean else _bytes_of(kind, checked)
    matrix = np.empty((values.shape[0], LENGTH_BYTES + items.shape[1]), np.uint8)
    matrix[:, :LENGTH_BYTES] = np.frombuffer(values.shape[1].to_bytes(LENGTH_BYTES, "big"), np.uint8)
    matrix[:, LENGTH_BYTES:] = items
    return matrix


def _nested_part(type_name: str, fields: Mapping[str, Column], valid: NDArray[np.bool_] | None) -> Blobs:
    """Records within the records: each is a whole one from its schema's id on."""
    whole = encode_columns(infer_schema(type_name, fields), fields)
    lengths = whole.lengths - DATA_HEADER.size
    return Blobs(
        whole.buffer, whole.starts + DATA_HEADER.size, lengths if valid is None else np.where(valid, lengths, -1)
    )


def _objects_part(slot: Slot, values: NDArray[Any], valid: NDArray[np.bool_] | None) -> Blobs:
    plain: list[Any] = list(values) if values.ndim > 1 else values.tolist()
    if valid is not None:
        plain = [value if there else None for value, there in zip(plain, valid.tolist(), strict=True)]
    items: list[bytes | None] = []
    try:
        for value in plain:
            items.append(encode_value(slot.kind, value))  # noqa: PERF401  # an error says how far it came
    except VALUE_ERRORS as error:
        raise EncodeError(f"field {slot.name!r} ({slot.kind.name}), row {len(items)}: {error}") from None
    lengths = np.array([-1 if item is None else len(item) for item in items], np.int64)
    packed = Blobs.of([item or b"" for item in items])
    return Blobs(packed.buffer, packed.starts, lengths)


# ---- records of equal length

_Fixed = list[tuple[Run, list[NDArray[Any]]]]


def _encode_equal(
    schema: Schema, rows: int, fixed: _Fixed, parts: list[_Part], sizes: tuple[int, ...]
) -> NDArray[np.uint8]:
    head, table = _around(schema, sizes)
    pieces = [piece for part, size in zip(parts, sizes, strict=True) if size > 0 for piece in part.pieces]
    columns = [piece.matrix(0, piece.width or 0) for piece in pieces]
    matrix = np.empty((rows, head.size + sum(column.shape[1] for column in columns) + table.size), np.uint8)
    block = max(_BLOCK_ROWS_MIN, _BLOCK_BYTES // matrix.shape[1])
    for first in range(0, rows, block):
        some, at = slice(first, first + block), head.size
        matrix[some, :at] = head
        _write_fixed(matrix[some], schema, [(run, [each[some] for each in values]) for run, values in fixed])
        for column in columns:
            matrix[some, at : at + column.shape[1]] = column[some]
            at += column.shape[1]
        matrix[some, at:] = table
    return matrix


@lru_cache(maxsize=256)
def _around(schema: Schema, sizes: tuple[int, ...]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """What stands around the variable part: header, schema id and a fixed part of zeros; the table of offsets."""
    begins = [*accumulate((max(size, 0) for size in sizes), initial=schema.fixed_bytes)]
    data_bytes = begins.pop() if sizes else schema.fixed_bytes
    head = DATA_HEADER.pack(0, TYPE_COMPACT) + schema.schema_id.to_bytes(8, "big", signed=True)
    if schema.var_count:
        head += data_bytes.to_bytes(LENGTH_BYTES, "big")
    offsets = [-1 if size < 0 else begin for size, begin in zip(sizes, begins, strict=bool(sizes))]
    table = _offset_table(np.array(offsets, np.int64), offset_bytes(data_bytes))
    return np.frombuffer(head + bytes(schema.fixed_bytes), np.uint8), table.view(np.uint8)


def _offset_table(offsets: NDArray[np.int64], width: int) -> NDArray[Any]:
    return (offsets & ((1 << 8 * width) - 1)).astype(f">u{width}")


def _write_fixed(matrix: NDArray[np.uint8], schema: Schema, fixed: _Fixed) -> None:
    """Values into the rows of a matrix whose fixed part is zero."""
    with np.errstate(over="ignore", invalid="ignore"):
        for run, values in fixed:
            run.write(matrix, -schema.data_start, values)


# ---- records of several lengths


def _encode_ragged(schema: Schema, rows: int, fixed: _Fixed, parts: list[_Part]) -> Blobs:
    sizes = np.stack([part.sizes for part in parts], axis=1)
    ends = schema.fixed_bytes + np.cumsum(np.maximum(sizes, 0), axis=1)
    begins = np.concatenate([np.full((rows, 1), schema.fixed_bytes), ends[:, :-1]], axis=1)
    data_bytes = ends[:, -1]
    head, _ = _around(schema, (-1,) * schema.var_count)
    heads = np.empty((rows, head.size), np.uint8)
    heads[:] = head
    heads[:, schema.data_start - LENGTH_BYTES : schema.data_start] = _bytes_of(FieldKind.INT32, data_bytes)
    _write_fixed(heads, schema, fixed)
    pieces = [Blobs.from_matrix(heads), *(piece for part in parts for piece in part.pieces)]
    widths = np.where(data_bytes < 0xFF, 1, np.where(data_bytes < 0xFFFF, 2, 4))
    for width in np.unique(widths).tolist():
        table = _offset_table(np.where(sizes < 0, -1, begins), width).view(np.uint8)
        pieces += _Part.of_matrix(table, widths == width).pieces
    return join_rows(pieces)

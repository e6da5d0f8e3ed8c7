"""Columns → Compact records, without a Python object per record unless a column holds Python objects.

Where all records have equal lengths they are the rows of one byte matrix, written column by column; else each column's
bytes are scattered to where every record has its place for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid_inference.errors import EncodeError
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.columns import Column, ColumnLike, as_column
from grid_inference.wire.compact.record import VALUE_ERRORS, encode_value, offset_bytes
from grid_inference.wire.compact.temporal import TEMPORAL_DTYPES, encode_temporal_column
from grid_inference.wire.kinds import infer_schema
from grid_inference.wire.layout import DATA_HEADER, LENGTH_BYTES, TYPE_COMPACT
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
    fixed = [(slot, _fixed_values(slot, given.get(slot.name))) for slot in schema.slots.values() if slot.index < 0]
    parts = [_part(schema, slot, given.get(slot.name), rows) for slot in schema.slots.values() if slot.index >= 0]
    sizes = [part.constant_size() for part in parts]
    if None in sizes:
        return _encode_ragged(schema, rows, fixed, parts)
    return Blobs.from_matrix(_encode_equal(schema, rows, fixed, parts, [size or 0 for size in sizes]))


def _row_count(schema: Schema, columns: Mapping[str, Column]) -> int:
    unknown = columns.keys() - schema.slots.keys()
    if unknown:
        raise EncodeError(f"{schema.type_name} has no field {min(unknown)!r}")
    counts = {len(column) for column in columns.values()}
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
    label = f"field {slot.name!r} ({slot.kind.name})"
    if values.ndim != dimensions:
        raise EncodeError(f"{label} takes {dimensions} dimensions, not {values.ndim}")
    if values.dtype == np.object_:
        values = _from_objects(label, kind, values)
    dtype: np.dtype[Any] = np.dtype(np.bool_) if kind is FieldKind.BOOLEAN else NUMBER_DTYPES[kind]
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
    """The bytes that a field adds to each record: all of one width in a matrix, or blobs; nulls have none."""

    matrix: NDArray[np.uint8] | None
    blobs: Blobs
    valid: NDArray[np.bool_] | None

    def sizes(self) -> NDArray[np.int64]:
        """Bytes in each row; -1 for a null."""
        if self.matrix is None:
            return self.blobs.lengths
        sizes = np.full(self.matrix.shape[0], self.matrix.shape[1], np.int64)
        if self.valid is not None:
            sizes[~self.valid] = -1
        return sizes

    def constant_size(self) -> int | None:
        """The same number for all rows (-1: all are null), or None."""
        if self.matrix is not None and (self.valid is None or bool(self.valid.all())):
            return self.matrix.shape[1]
        sizes = self.sizes()
        return int(sizes[0]) if sizes.size and int(sizes.min()) == int(sizes.max()) else None if sizes.size else -1

    def bytes_of_equal(self, size: int) -> NDArray[np.uint8]:
        """All rows, shape (n, size)."""
        return self.blobs.matrix(0, size) if self.matrix is None else self.matrix


def _part(schema: Schema, slot: Slot, column: Column | None, rows: int) -> _Part:
    nothing = np.empty((rows, 0), np.uint8)
    if column is None:
        return _Part(nothing, Blobs.empty(), np.zeros(rows, np.bool_))
    values, valid = column.values, column.valid
    if slot.kind in NULLABLE_OF:
        kind = NULLABLE_OF[slot.kind]
        if values.dtype == np.object_:
            present = np.array([value is not None for value in values.tolist()], np.bool_)
            valid = present if valid is None else present & valid
            if not bool(valid.any()):
                return _Part(nothing, Blobs.empty(), valid)
            values = np.where(valid, values, values[valid][0])
        return _Part(_bytes_of(kind, _checked(slot, kind, values, 1)), Blobs.empty(), valid)
    if slot.kind in TEMPORAL_DTYPES and values.dtype.kind in "mM" and values.ndim == 1:
        return _temporal_part(slot, column)
    if slot.kind in ARRAY_OF and values.dtype != np.object_:
        return _Part(_array_bytes(slot, ARRAY_OF[slot.kind], values), Blobs.empty(), valid)
    if column.fields is None:
        blobs = _objects_part(slot, values, valid)
    else:
        blobs = _nested_part(f"{schema.type_name}.{slot.name}", column.fields, valid)
    return _Part(None, blobs, None)


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
    return _Part(matrix, Blobs.empty(), there)


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

_Fixed = list[tuple[Slot, NDArray[Any]]]


def _encode_equal(schema: Schema, rows: int, fixed: _Fixed, parts: list[_Part], sizes: list[int]) -> NDArray[np.uint8]:
    start = schema.data_start
    ends = start + schema.fixed_bytes + np.cumsum([0, *(max(size, 0) for size in sizes)])
    template = _template(schema, (ends - start).tolist(), sizes)
    matrix = np.empty((rows, template.size), np.uint8)
    block = max(_BLOCK_ROWS_MIN, _BLOCK_BYTES // template.size)
    columns = [part.bytes_of_equal(size) if size > 0 else None for part, size in zip(parts, sizes, strict=True)]
    for first in range(0, rows, block):
        some = slice(first, first + block)
        matrix[some] = template
        _write_fixed(matrix[some], start, [(slot, values[some]) for slot, values in fixed])
        for column, at, end in zip(columns, ends[:-1].tolist(), ends[1:].tolist(), strict=True):
            if column is not None:
                matrix[some, at:end] = column[some]
    return matrix


def _template(schema: Schema, ends: list[int], sizes: list[int]) -> NDArray[np.uint8]:
    """A record whose fields are all zero: header, schema id, and what the variable part needs."""
    head = DATA_HEADER.pack(0, TYPE_COMPACT) + schema.schema_id.to_bytes(8, "big", signed=True)
    data_bytes = ends[-1]
    if schema.var_count:
        head += data_bytes.to_bytes(LENGTH_BYTES, "big")
    offsets = np.where(np.array(sizes, np.int64) < 0, -1, np.array(ends[:-1], np.int64))
    table = _offset_table(offsets, offset_bytes(data_bytes)).tobytes()
    return np.frombuffer(head + bytes(data_bytes) + table, np.uint8)


def _offset_table(offsets: NDArray[np.int64], width: int) -> NDArray[Any]:
    return (offsets & ((1 << 8 * width) - 1)).astype(f">u{width}")


def _write_fixed(matrix: NDArray[np.uint8], start: int, fixed: _Fixed) -> None:
    """Values into the rows of a matrix whose fixed part begins at `start` and is zero."""
    rows, width = matrix.shape
    if not rows:
        return
    with np.errstate(over="ignore", invalid="ignore"):
        for slot, values in fixed:
            at = start + slot.offset
            if slot.kind is FieldKind.BOOLEAN:
                matrix[:, at] |= values.astype(np.uint8) << np.uint8(slot.bit)
            else:
                target: NDArray[Any] = np.ndarray((rows,), NUMBER_DTYPES[slot.kind], matrix, at, (width,))
                target[:] = values


# ---- records of several lengths


def _encode_ragged(schema: Schema, rows: int, fixed: _Fixed, parts: list[_Part]) -> Blobs:
    start, fixed_end = schema.data_start, schema.data_start + schema.fixed_bytes
    sizes = np.stack([part.sizes() for part in parts], axis=1)
    ends = schema.fixed_bytes + np.cumsum(np.maximum(sizes, 0), axis=1)
    begins = np.concatenate([np.full((rows, 1), schema.fixed_bytes), ends[:, :-1]], axis=1)
    data_bytes = ends[:, -1]
    widths = np.where(data_bytes < 0xFF, 1, np.where(data_bytes < 0xFFFF, 2, 4))
    lengths = start + data_bytes + widths * schema.var_count
    starts = np.cumsum(lengths) - lengths
    buffer = np.empty(int(lengths.sum()), np.uint8)

    head = np.zeros((rows, fixed_end), np.uint8)
    head[:] = _template(schema, [schema.fixed_bytes] * (schema.var_count + 1), [-1] * schema.var_count)[:fixed_end]
    head[:, start - LENGTH_BYTES : start] = data_bytes.astype(">i4")[:, np.newaxis].view(np.uint8)
    _write_fixed(head, start, fixed)
    _scatter(buffer, starts, head)
    for i, part in enumerate(parts):
        there = np.flatnonzero(sizes[:, i] > 0)
        _scatter_part(buffer, starts[there] + start + begins[there, i], part, there)
    offsets = np.where(sizes < 0, -1, begins)
    for width in np.unique(widths).tolist():
        mine = np.flatnonzero(widths == width)
        table = _offset_table(offsets[mine], width).view(np.uint8).reshape(mine.size, width * schema.var_count)
        _scatter(buffer, starts[mine] + start + data_bytes[mine], table)
    return Blobs(buffer, starts, lengths)


def _scatter(buffer: NDArray[np.uint8], at: NDArray[np.int64], rows: NDArray[np.uint8]) -> None:
    """Write each row of a byte matrix at its own offset."""
    width = rows.shape[1]
    if at.size and width:
        item = np.dtype((np.void, width))
        everywhere: NDArray[Any] = np.ndarray((buffer.size - width + 1,), item, buffer, 0, (1,))
        everywhere[at] = np.ascontiguousarray(rows).view(item).reshape(-1)


def _scatter_part(buffer: NDArray[np.uint8], at: NDArray[np.int64], part: _Part, there: NDArray[np.int64]) -> None:
    if part.matrix is not None:
        _scatter(buffer, at, part.matrix[there])
        return
    blobs = part.blobs.take(there)
    moved = np.arange(int(blobs.lengths.sum())) - np.repeat(np.cumsum(blobs.lengths) - blobs.lengths, blobs.lengths)
    buffer[np.repeat(at, blobs.lengths) + moved] = blobs.buffer[np.repeat(blobs.starts, blobs.lengths) + moved]

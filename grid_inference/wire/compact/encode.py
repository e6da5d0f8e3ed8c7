"""Columns → Compact records, without a Python object per record unless a column holds Python objects.

The fixed part of all records is one matrix, the bytes of each other field are a piece of every record, and the pieces
are joined row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
from grid_inference.wire.rows import blocks, join_rows
from grid_inference.wire.schema import ARRAY_OF, NULLABLE_OF, NUMBER_DTYPES, FieldKind, Schema, Slot

__all__ = ["around", "encode_columns", "with_fixed_part"]


def encode_columns(schema: Schema, columns: Mapping[str, ColumnLike]) -> Blobs:
    """One whole Data per row, partition hash 0; a field that can be null may be left out."""
    given = {name: as_column(name, column) for name, column in columns.items()}
    rows = _row_count(schema, given)
    parts = [_part(schema, slot, given.get(slot.name)) for slot in schema.slots.values() if slot.index >= 0]
    sizes = tuple(part.sizes for part in parts if isinstance(part.sizes, int))
    alike = len(sizes) == len(parts)
    head, table = around(schema, sizes if alike else (-1,) * len(parts))
    fixed = [(run, [_fixed_values(slot, given.get(slot.name)) for slot in run.slots]) for run in fixed_runs(schema)]
    heads = with_fixed_part(head, rows, schema, fixed)
    tables = [table] if alike else _tables(schema, heads, parts)
    return join_rows([heads, *(piece for part in parts for piece in part.pieces), *tables])


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

    sizes: NDArray[np.int64] | int
    """Bytes in each row, -1 for a null; one number if all rows have it."""
    pieces: list[Blobs | NDArray[np.uint8]]

    @classmethod
    def of_matrix(cls, matrix: NDArray[np.uint8], valid: NDArray[np.bool_] | None) -> _Part:
        """From bytes that are as many in every row that is no null."""
        if valid is None or bool(valid.all()):
            return cls(matrix.shape[1], [matrix])
        blobs = Blobs.from_matrix(np.ascontiguousarray(matrix))
        return cls.of_blobs(Blobs(blobs.buffer, blobs.starts, np.where(valid, blobs.lengths, -1)))

    @classmethod
    def of_blobs(cls, blobs: Blobs) -> _Part:
        """From bytes of any length."""
        if (width := blobs.width) is not None:
            return cls(width, [blobs.matrix(0, width)])
        return cls(blobs.lengths, [blobs]) if bool((blobs.lengths >= 0).any()) else cls(-1, [])


def _part(schema: Schema, slot: Slot, column: Column | None) -> _Part:
    if column is None or column.empty:
        return _Part(-1, [])
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
    return _Part.of_blobs(blobs)


def _text_part(utf8: Blobs) -> _Part:
    """Each text with its length before it; not all of them are null."""
    lengths = _Part.of_matrix(_bytes_of(FieldKind.INT32, utf8.lengths), utf8.lengths >= 0)
    texts = _Part.of_blobs(utf8)
    sizes = texts.sizes + LENGTH_BYTES
    return _Part(
        sizes if isinstance(sizes, int) else np.where(utf8.lengths < 0, -1, sizes), lengths.pieces + texts.pieces
    )


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


# ---- what stands around the variable part


@lru_cache(maxsize=256)
def around(schema: Schema, sizes: tuple[int, ...]) -> tuple[bytes, bytes]:
    """Header, schema id and a fixed part of zeros; and the table of offsets, if fields have these sizes in all rows."""
    begins = [*accumulate((max(size, 0) for size in sizes), initial=schema.fixed_bytes)]
    head = DATA_HEADER.pack(0, TYPE_COMPACT) + schema.schema_id.to_bytes(8, "big", signed=True)
    if schema.var_count:
        head += begins[-1].to_bytes(LENGTH_BYTES, "big")
    width = offset_bytes(begins[-1])
    offsets = ((-1 if size < 0 else begin) & ((1 << 8 * width) - 1) for size, begin in zip(sizes, begins, strict=False))
    return head + bytes(schema.fixed_bytes), b"".join(offset.to_bytes(width, "big") for offset in offsets)


def with_fixed_part(
    head: bytes, rows: int, schema: Schema, fixed: Sequence[tuple[Run, list[NDArray[Any]]]]
) -> NDArray[np.uint8]:
    """The first bytes of each record, up to the end of its fixed part; each run with its columns, whose values fit."""
    matrix, template = np.empty((rows, len(head)), np.uint8), np.frombuffer(head, np.uint8)
    with np.errstate(over="ignore", invalid="ignore"):
        for some in blocks(rows, len(head)):
            matrix[some] = template
            for run, values in fixed:
                run.write(matrix[some], -schema.data_start, [each[some] for each in values])
    return matrix


def _tables(schema: Schema, heads: NDArray[np.uint8], parts: list[_Part]) -> list[Blobs | NDArray[np.uint8]]:
    """The tables of records of several lengths; how long each record's data is, goes into its head."""
    begins: list[Any] = [*accumulate((np.maximum(part.sizes, 0) for part in parts), initial=schema.fixed_bytes)]
    data_bytes = begins.pop()
    heads[:, schema.data_start - LENGTH_BYTES : schema.data_start] = _bytes_of(FieldKind.INT32, data_bytes)
    narrow, wide = offset_bytes(int(data_bytes.min())), offset_bytes(int(data_bytes.max()))
    if narrow == wide:
        return [_table(parts, begins, wide, len(heads))]
    widths = np.where(data_bytes < 0xFF, 1, np.where(data_bytes < 0xFFFF, 2, 4))
    each = (_Part.of_matrix(_table(parts, begins, width, len(heads)), widths == width) for width in (1, 2, 4))
    return [piece for part in each for piece in part.pieces]


def _table(parts: list[_Part], begins: list[Any], width: int, rows: int) -> NDArray[np.uint8]:
    """Tables of offsets of one width; those of records for which it is too narrow are of no use."""
    table = np.empty((rows, len(parts)), f">u{width}")
    for place, (part, begin) in enumerate(zip(parts, begins, strict=True)):
        table[:, place] = np.where(np.asarray(part.sizes) < 0, -1, begin) & ((1 << 8 * width) - 1)
    return table.view(np.uint8)

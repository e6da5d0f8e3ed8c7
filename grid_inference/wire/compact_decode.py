"""Compact records → columns or one feature matrix. Every byte is taken for hostile: a value or `DecodeError`.

The fixed part of a record lies at a constant offset whatever the record's length, so all fixed-size fields of all
records come out in one gather. Variable-size fields are found by each record's table of offsets, as vectors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from grid_inference.errors import DecodeError
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.columns import Column
from grid_inference.wire.compact_record import decode_value
from grid_inference.wire.compact_temporal import TEMPORAL_DTYPES, decode_temporal_column
from grid_inference.wire.layout import DATA_HEADER_BYTES, LENGTH_BYTES, TYPE_COMPACT, TYPE_OFFSET
from grid_inference.wire.schema import (
    ARRAY_OF,
    ITEMS_OF,
    NULLABLE_OF,
    NUMBER_DTYPES,
    SCHEMA_ID_BYTES,
    FieldKind,
    Schema,
    Slot,
)
from grid_inference.wire.texts import decode_texts

__all__ = ["decode_columns", "decode_matrix", "decode_text_blobs", "schema_ids"]

_BLOCK_BYTES = 1 << 19
"""What is decoded at a time stays in a core's cache."""
_NO_LENGTHS: Mapping[str, int] = MappingProxyType({})
_TYPE_AND_ID = np.dtype([("type", ">i4"), ("id", ">i8")])


def schema_ids(values: Blobs) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which values are Compact records, and the schema id of each of them (0 elsewhere)."""
    compact = values.lengths >= DATA_HEADER_BYTES + SCHEMA_ID_BYTES
    whole = bool(compact.all())
    head = (values if whole else values.take(compact)).read(TYPE_OFFSET, _TYPE_AND_ID)
    found = np.where(head["type"] == TYPE_COMPACT, head["id"], 0).astype(np.int64)
    if whole:
        return np.asarray(head["type"] == TYPE_COMPACT), found
    ids = np.zeros(len(values), np.int64)
    ids[compact] = found
    compact[compact] = head["type"] == TYPE_COMPACT
    return compact, ids


# ---- a feature matrix


def decode_matrix(values: Blobs, schema: Schema, names: Sequence[str], dtype: DTypeLike = np.float64) -> NDArray[Any]:
    """Numeric and boolean fields as the columns of one float matrix, in the order of `names`; a null becomes NaN.

    `values` are whole Data, all of this schema. A double that is too large for a float32 becomes infinite.
    """
    slots, runs, places = _matrix_plan(schema, tuple(names))
    matrix = np.empty((len(values), len(slots)), dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        if all(slot.index < 0 for slot in slots):
            _fill_fixed(matrix, values, schema, runs, places)
        else:
            _fill_mixed(matrix, values, schema, slots)
    return matrix


@lru_cache(maxsize=256)
def _matrix_plan(schema: Schema, names: tuple[str, ...]) -> tuple[list[Slot], list[_Run], NDArray[np.intp] | None]:
    """Slots by name; runs in the order of the layout; where each name stands in that order, None if just so."""
    slots = [_slot(schema, name) for name in names]
    order = sorted(range(len(slots)), key=lambda i: (slots[i].index, slots[i].offset, slots[i].bit))
    runs = _runs([slots[i] for i in order if slots[i].index < 0])
    return slots, runs, None if order == list(range(len(order))) else np.argsort(order)


def _fill_mixed(matrix: NDArray[Any], values: Blobs, schema: Schema, slots: list[Slot]) -> None:
    columns = decode_columns(values, schema, [slot.name for slot in slots])
    for i, slot in enumerate(slots):
        column = columns[slot.name]
        if slot.index >= 0 and slot.kind not in NULLABLE_OF:
            raise DecodeError(f"field {slot.name!r} of {schema.type_name} is {slot.kind.name}, not one number")
        matrix[:, i] = column.values
        if column.valid is not None:
            matrix[~column.valid, i] = np.nan


def _fill_fixed(
    matrix: NDArray[Any], values: Blobs, schema: Schema, runs: list[_Run], places: NDArray[np.intp] | None
) -> None:
    for rows, block, start in _fixed_blocks(values, schema, runs):
        target = matrix[rows] if places is None else np.empty((block.shape[0], places.size), matrix.dtype)
        column = 0
        for run in runs:
            target[:, column : column + run.count] = run.view(block, start)
            column += run.count
        if places is not None:
            np.take(target, places, axis=1, out=matrix[rows], mode="clip")


@dataclass(frozen=True, slots=True)
class _Run:
    """Fields of one kind that are neighbours in the fixed part."""

    first: Slot
    count: int
    end: int
    """Where the run ends in the fixed part."""

    def view(self, block: NDArray[np.uint8], start: int) -> NDArray[Any]:
        """The fields in a byte matrix that begins at `start` of the fixed part, shape (n, count)."""
        at = self.first.offset - start
        if self.first.kind is FieldKind.BOOLEAN:
            return (block[:, at : at + 1] & np.uint8(1 << self.first.bit)) != 0
        dtype = NUMBER_DTYPES[self.first.kind]
        return np.ndarray((block.shape[0], self.count), dtype, block, at, (block.shape[1], dtype.itemsize))


def _runs(fixed: Iterable[Slot]) -> list[_Run]:
    """Cut fields in the order of the layout into runs."""
    runs: list[_Run] = []
    for slot in fixed:
        boolean = slot.kind is FieldKind.BOOLEAN
        end = slot.offset + (1 if boolean else NUMBER_DTYPES[slot.kind].itemsize)
        if runs and not boolean and runs[-1].first.kind is slot.kind and runs[-1].end == slot.offset:
            runs[-1] = _Run(runs[-1].first, runs[-1].count + 1, end)
        else:
            runs.append(_Run(slot, 1, end))
    return runs


def _fixed_blocks(values: Blobs, schema: Schema, runs: list[_Run]) -> Iterator[tuple[slice, NDArray[np.uint8], int]]:
    """The bytes around the runs, some rows at a time: (rows, byte matrix, where in the fixed part it begins)."""
    if not runs:
        return
    start = runs[0].first.offset
    width = runs[-1].end - start
    block_rows = max(1, _BLOCK_BYTES // width)
    for first in range(0, len(values), block_rows):
        rows = slice(first, first + block_rows)
        some = Blobs(values.buffer, values.starts[rows], values.lengths[rows])
        yield rows, some.matrix(schema.data_start + start, width), start


def _slot(schema: Schema, name: str) -> Slot:
    slot = schema.slots.get(name)
    if slot is None:
        raise DecodeError(f"{schema.type_name} has no field {name!r}")
    return slot


# ---- columns


def decode_columns(
    values: Blobs,
    schema: Schema,
    wanted: Iterable[str] | None = None,
    array_lengths: Mapping[str, int] = _NO_LENGTHS,
) -> dict[str, Column]:
    """The wanted fields (or all) as columns; `values` are whole Data, all of this schema.

    An array field with a stated length becomes an (n, length) matrix, not valid where a record's array has another;
    other arrays, strings and decimals become Python objects. DATE is datetime64[D], TIME timedelta64[us] since
    midnight, TIMESTAMP datetime64[us], TIMESTAMP_WITH_TIMEZONE the same in UTC. `valid` is None for fields that can't
    be null.
    """
    slots = [_slot(schema, name) for name in (schema.slots if wanted is None else wanted)]
    columns = _fixed_columns(values, schema, [slot for slot in slots if slot.index < 0])
    var = [slot for slot in slots if slot.index >= 0]
    if var:
        reader = _VarReader(values, schema)
        columns.update((slot.name, reader.column(slot, array_lengths.get(slot.name))) for slot in var)
    return {slot.name: columns[slot.name] for slot in slots}


def decode_text_blobs(values: Blobs, schema: Schema, wanted: Iterable[str]) -> dict[str, Blobs]:
    """The UTF-8 bytes of STRING fields where they lie, a null's length -1; not checked to be UTF-8."""
    slots = [_slot(schema, name) for name in wanted]
    if not slots:  # the schema may have no variable part at all
        return {}
    reader = _VarReader(values, schema)
    return {slot.name: reader.texts(slot) for slot in slots}


def _fixed_columns(values: Blobs, schema: Schema, slots: list[Slot]) -> dict[str, Column]:
    """Each run of neighbours of one kind becomes one matrix, whose columns the fields' columns are."""
    fixed = sorted(slots, key=lambda slot: (slot.offset, slot.bit))
    runs = _runs(fixed)
    matrices = [np.empty((len(values), run.count), _native(run.first.kind)) for run in runs]
    for rows, block, start in _fixed_blocks(values, schema, runs):
        for run, matrix in zip(runs, matrices, strict=True):
            matrix[rows] = run.view(block, start)
    each = (matrix[:, i] for matrix in matrices for i in range(matrix.shape[1]))
    return {slot.name: Column(column) for slot, column in zip(fixed, each, strict=True)}


def _native(kind: FieldKind) -> np.dtype[Any]:
    return np.dtype(np.bool_) if kind is FieldKind.BOOLEAN else NUMBER_DTYPES[kind].newbyteorder("=")


class _VarReader:
    """The variable-size fields of some records: sizes and offsets as vectors, checked before anything is read."""

    def __init__(self, values: Blobs, schema: Schema) -> None:
        self._values = values
        self._type_name = schema.type_name
        self._fixed_bytes = schema.fixed_bytes
        self._start = schema.data_start
        self._sizes = values.read(self._start - LENGTH_BYTES, ">i4").astype(np.int64)
        self._widths = np.where(self._sizes < 0xFF, 1, np.where(self._sizes < 0xFFFF, 2, 4))
        ends = self._start + self._sizes + self._widths * schema.var_count
        if bool(((self._sizes < schema.fixed_bytes) | (ends > values.lengths)).any()):
            raise DecodeError(f"a record of {schema.type_name} claims another size than it has")

    def column(self, slot: Slot, length: int | None) -> Column:
        """One field's values, by its kind."""
        offsets = self._offsets(slot)
        try:
            return self._by_kind(slot.kind, length, offsets, offsets >= 0)
        except DecodeError as error:
            raise DecodeError(f"field {slot.name!r} ({slot.kind.name}) of {self._type_name}: {error}") from None

    def texts(self, slot: Slot) -> Blobs:
        """The bytes of one STRING field's values."""
        offsets = self._offsets(slot)
        try:
            return self._texts(offsets, offsets >= 0)
        except DecodeError as error:
            raise DecodeError(f"field {slot.name!r} ({slot.kind.name}) of {self._type_name}: {error}") from None

    def _by_kind(
        self, kind: FieldKind, length: int | None, offsets: NDArray[np.int64], valid: NDArray[np.bool_]
    ) -> Column:
        if kind in NULLABLE_OF:
            return self._scalars(NULLABLE_OF[kind], offsets, valid)
        if kind in TEMPORAL_DTYPES:
            return self._temporals(kind, offsets, valid)
        if kind in ARRAY_OF and length is not None:
            return self._arrays(ARRAY_OF[kind], length, offsets, valid)
        if kind is FieldKind.STRING:
            return Column(decode_texts(self._texts(offsets, valid)), valid)
        if kind is FieldKind.DECIMAL or kind in ARRAY_OF or kind in ITEMS_OF:
            return self._objects(kind, offsets, valid)
        raise DecodeError("values of this kind can't be read")

    def _offsets(self, slot: Slot) -> NDArray[np.int64]:
        """Where the field begins in each record's data; -1 for a null."""
        offsets = np.empty(len(self._values), np.int64)
        for width in (1, 2, 4):
            rows = np.flatnonzero(self._widths == width)
            if rows.size:
                where = self._start + self._sizes[rows] + slot.index * width
                found = self._values.take(rows).read(where, f">u{width}").astype(np.int64)
                found[found == (1 << 8 * width) - 1] = -1
                offsets[rows] = found
        there = offsets >= 0
        if bool((there & ((offsets < self._fixed_bytes) | (offsets > self._sizes))).any()):
            raise DecodeError(f"field {slot.name!r} of {self._type_name} lies outside its record")
        return offsets

    def _read(self, rows: NDArray[np.intp], offsets: NDArray[np.int64], dtype: np.dtype[Any]) -> NDArray[Any]:
        """One value of `dtype` in each of the rows, at an offset into its data."""
        if bool((offsets + dtype.itemsize > self._sizes[rows]).any()):
            raise DecodeError("a value reaches outside its record")
        return self._values.take(rows).read(self._start + offsets, dtype)

    def _scalars(self, kind: FieldKind, offsets: NDArray[np.int64], valid: NDArray[np.bool_]) -> Column:
        dtype = np.dtype(np.uint8) if kind is FieldKind.BOOLEAN else NUMBER_DTYPES[kind]
        rows = np.flatnonzero(valid)
        values = np.zeros(valid.size, _native(kind))
        found = self._read(rows, offsets[rows], dtype)
        values[rows] = found != 0 if kind is FieldKind.BOOLEAN else found
        return Column(values, valid)

    def _temporals(self, kind: FieldKind, offsets: NDArray[np.int64], valid: NDArray[np.bool_]) -> Column:
        rows = np.flatnonzero(valid)
        found = decode_temporal_column(kind, self._read(rows, offsets[rows], TEMPORAL_DTYPES[kind]))
        values = np.full(valid.size, "NaT", found.dtype)
        values[rows] = found
        return Column(values, valid)

    def _arrays(self, kind: FieldKind, length: int, offsets: NDArray[np.int64], valid: NDArray[np.bool_]) -> Column:
        boolean = kind is FieldKind.BOOLEAN
        rows = np.flatnonzero(valid)
        counts = self._read(rows, offsets[rows], np.dtype(">i4")).astype(np.int64)
        item_bytes = (counts + 7) // 8 if boolean else counts * NUMBER_DTYPES[kind].itemsize
        if bool(((counts < 0) | (offsets[rows] + LENGTH_BYTES + item_bytes > self._sizes[rows])).any()):
            raise DecodeError("an array reaches outside its record")
        fitting = rows[counts == length]
        values = np.zeros((valid.size, length), _native(kind))
        width = (length + 7) // 8 if boolean else length * NUMBER_DTYPES[kind].itemsize
        if fitting.size and width:
            raw = self._read(fitting, offsets[fitting] + LENGTH_BYTES, np.dtype((np.void, width)))
            raw = raw.view(np.uint8).reshape(fitting.size, width)
            if boolean:
                values[fitting] = np.unpackbits(raw, axis=1, count=length, bitorder="little")
            else:
                values[fitting] = raw.view(NUMBER_DTYPES[kind])
        matching = np.zeros(valid.size, np.bool_)
        matching[fitting] = True
        return Column(values, matching)

    def _texts(self, offsets: NDArray[np.int64], valid: NDArray[np.bool_]) -> Blobs:
        rows = np.flatnonzero(valid)
        sizes = self._read(rows, offsets[rows], np.dtype(">i4")).astype(np.int64)
        if bool(((sizes < 0) | (offsets[rows] + LENGTH_BYTES + sizes > self._sizes[rows])).any()):
            raise DecodeError("a string reaches outside its record")
        starts, lengths = np.zeros(valid.size, np.int64), np.full(valid.size, -1, np.int64)
        starts[rows] = self._values.starts[rows] + self._start + offsets[rows] + LENGTH_BYTES
        lengths[rows] = sizes
        return Blobs(self._values.buffer, starts, lengths)

    def _objects(self, kind: FieldKind, offsets: NDArray[np.int64], valid: NDArray[np.bool_]) -> Column:
        values = np.full(valid.size, None, np.object_)
        rows = np.flatnonzero(valid)
        starts = (self._values.starts[rows] + self._start).tolist()
        where = zip(rows.tolist(), starts, offsets[rows].tolist(), self._sizes[rows].tolist(), strict=True)
        whole = self._values.buffer.data
        for row, start, offset, size in where:
            values[row] = decode_value(kind, bytes(whole[start : start + size]), offset, size)
        return Column(values, valid)

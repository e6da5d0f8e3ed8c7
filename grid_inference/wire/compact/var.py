"""The variable-size fields of many Compact records as columns; those of fixed size: `decode.py`.

The fields are found by each record's table of offsets, as vectors, and nothing is read that was not checked.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid_inference.errors import DecodeError
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.columns import Column, objects_of
from grid_inference.wire.compact.fixed import native
from grid_inference.wire.compact.record import TOP, Nesting, decode_value, item_places
from grid_inference.wire.compact.temporal import TEMPORAL_DTYPES, decode_temporal_column
from grid_inference.wire.layout import DATA_HEADER_BYTES, LENGTH_BYTES
from grid_inference.wire.schema import ARRAY_OF, NULLABLE_OF, NUMBER_DTYPES, FieldKind, Schema, Slot
from grid_inference.wire.texts import decode_texts, shared_texts

__all__ = ["VarReader"]


class VarReader:
    """The variable-size fields of some records: sizes and offsets as vectors, checked before anything is read."""

    def __init__(self, values: Blobs, schema: Schema, nesting: Nesting = TOP) -> None:
        self._values = values
        self._nesting = nesting
        self._type_name = schema.type_name
        self._fixed_bytes = schema.fixed_bytes
        self._start = schema.data_start
        self._sizes = values.read(self._start - LENGTH_BYTES, ">i4").astype(np.int64)
        self._widths = np.where(self._sizes < 0xFF, 1, np.where(self._sizes < 0xFFFF, 2, 4))
        ends = self._start + self._sizes + self._widths * schema.var_count
        if bool(((self._sizes < schema.fixed_bytes) | (ends > values.lengths)).any()):
            raise DecodeError(f"a record of {schema.type_name} claims another size than it has")

    @property
    def rows(self) -> int:
        """How many records there are."""
        return len(self._values)

    def column(self, slot: Slot, length: int | None) -> Column:
        """One field's values, by its kind."""
        offsets = self._offsets(slot)
        try:
            return self._by_kind(slot.kind, length, offsets, offsets >= 0)
        except DecodeError as error:
            raise DecodeError(f"field {slot.name!r} ({slot.kind.name}) of {self._type_name}: {error}") from None

    def element(self, slot: Slot, index: int) -> Column:
        """Element `index` of an array field's arrays; null where there is no array, or a shorter one."""
        offsets = self._offsets(slot)
        try:
            if slot.kind in ARRAY_OF and slot.kind is not FieldKind.ARRAY_OF_BOOLEAN:
                return self._elements(ARRAY_OF[slot.kind], index, offsets)
            lists = self._objects(slot.kind, offsets, offsets >= 0).values.tolist()
        except DecodeError as error:
            raise DecodeError(f"field {slot.name!r} ({slot.kind.name}) of {self._type_name}: {error}") from None
        return objects_of([items[index] if items is not None and index < len(items) else None for items in lists])

    def texts(self, slot: Slot) -> Blobs:
        """The bytes of one STRING field's values where they lie; a null's length is -1."""
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
            return _text_column(self._texts(offsets, valid), valid)
        return self._objects(kind, offsets, valid)

    def nested(self, slot: Slot) -> tuple[NDArray[np.intp], Blobs]:
        """The records nested in a COMPACT field and the rows they are in, each as if it were a Data of its own.

        The bytes in the place of its header are whatever stands before it.
        """
        offsets = self._offsets(slot)
        rows = np.flatnonzero(offsets >= 0)
        starts = self._values.starts[rows] + self._start + offsets[rows]
        return rows, _as_data(self._values, starts, self._sizes[rows] - offsets[rows])

    def nested_items(self, slot: Slot) -> Blobs:
        """The records nested in an ARRAY_OF_COMPACT field of all rows, each as if it were a Data of its own."""
        offsets = self._offsets(slot)
        rows = np.flatnonzero(offsets >= 0)
        starts, lengths = list[int](), list[int]()
        for start, offset, size in self._spans(rows, offsets):
            content = bytes(self._values.buffer.data[start : start + size])
            for place in item_places(content, offset, size):
                if place is not None:
                    starts.append(start + place[0])
                    lengths.append(place[1] - place[0])
        return _as_data(self._values, np.array(starts, np.int64), np.array(lengths, np.int64))

    def _spans(self, rows: NDArray[np.intp], offsets: NDArray[np.int64]) -> Iterator[tuple[int, int, int]]:
        """Where the data of each row begins, the field in it, and how long the data is."""
        starts = self._values.starts[rows] + self._start
        return zip(starts.tolist(), offsets[rows].tolist(), self._sizes[rows].tolist(), strict=True)

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
        values = np.zeros(valid.size, native(kind))
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
        rows, counts = self._counts(offsets, 0 if boolean else NUMBER_DTYPES[kind].itemsize)
        fitting = rows[counts == length]
        values = np.zeros((valid.size, length), native(kind))
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

    def _counts(self, offsets: NDArray[np.int64], item_bytes: int) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        """The rows that have an array, and how many items each has; 0 bytes an item are bits."""
        rows = np.flatnonzero(offsets >= 0)
        counts = self._read(rows, offsets[rows], np.dtype(">i4")).astype(np.int64)
        size = counts * item_bytes if item_bytes else (counts + 7) // 8
        if bool(((counts < 0) | (offsets[rows] + LENGTH_BYTES + size > self._sizes[rows])).any()):
            raise DecodeError("an array reaches outside its record")
        return rows, counts

    def _elements(self, kind: FieldKind, index: int, offsets: NDArray[np.int64]) -> Column:
        dtype = NUMBER_DTYPES[kind]
        rows, counts = self._counts(offsets, dtype.itemsize)
        longer = rows[counts > index]
        values = np.zeros(offsets.size, native(kind))
        values[longer] = self._read(longer, offsets[longer] + LENGTH_BYTES + index * dtype.itemsize, dtype)
        valid = np.zeros(offsets.size, np.bool_)
        valid[longer] = True
        return Column(values, valid)

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
        whole = self._values.buffer.data
        for row, (start, offset, size) in zip(rows.tolist(), self._spans(rows, offsets), strict=True):
            values[row] = decode_value(kind, bytes(whole[start : start + size]), offset, size, self._nesting)
        return Column(values, valid)


def _text_column(blobs: Blobs, valid: NDArray[np.bool_]) -> Column:
    texts = shared_texts(blobs)
    return Column(decode_texts(blobs) if texts is None else texts.values(), valid, texts)


def _as_data(values: Blobs, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> Blobs:
    return Blobs(values.buffer, starts - DATA_HEADER_BYTES, lengths + DATA_HEADER_BYTES)

"""Records of plain fields, one by one: numbers, booleans and texts, whose places are known before they come.

What a schema says of them is looked up once. Whatever is not as plain as that is no business of this module's: `encode`
and `decode` return None then, and `record.py` and the columns have the last word.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from math import isnan
from operator import itemgetter
from typing import Any

import numpy as np

from grid_inference.errors import DecodeError
from grid_inference.wire.compact.record import decode_record, encode_text, with_offsets
from grid_inference.wire.layout import TYPE_COMPACT
from grid_inference.wire.schema import NULLABLE_KINDS, NUMBER_DTYPES, FieldKind, Schema

__all__ = ["PlainDecoder", "PlainEncoder", "Shape", "schema_id_of", "shape_of"]

_HEAD = struct.Struct(">iiq")
_SIZE = struct.Struct(">i")
_KINDS: Mapping[type, FieldKind] = {
    float: FieldKind.FLOAT64,
    np.float64: FieldKind.FLOAT64,
    int: FieldKind.INT64,
    np.int64: FieldKind.INT64,
    bool: FieldKind.BOOLEAN,
    str: FieldKind.STRING,
}
_CODES = dict(zip(NUMBER_DTYPES, "bhiqfd", strict=True))
_READ_KINDS = frozenset({*_CODES, *(NULLABLE_KINDS[kind] for kind in _CODES)}) | {
    FieldKind.BOOLEAN,
    FieldKind.NULLABLE_BOOLEAN,
    FieldKind.STRING,
}

Shape = tuple[tuple[Any, ...], tuple[type, ...]]
"""The names of a record's fields and the types of their values, both in its order."""


def shape_of(record: Mapping[str, Any]) -> Shape:
    """What tells whether another record is encoded alike."""
    return tuple(record), tuple(map(type, record.values()))


class PlainEncoder:
    """Encodes dicts of one shape by their schema."""

    def __init__(self, schema: Schema, *, nan: bool) -> None:
        """With `nan` NaN is a number as any other, else it takes a closer look."""
        self.schema = schema
        slots = sorted(schema.slots.values(), key=lambda slot: (slot.index, slot.offset, slot.bit))
        numbers = [slot for slot in slots if slot.kind in _CODES]
        self._numbers = _getter([slot.name for slot in numbers])
        self._pack = struct.Struct(">" + "".join(_CODES[slot.kind] for slot in numbers)).pack
        self._never_nan = _getter([slot.name for slot in numbers if slot.kind is FieldKind.FLOAT64 and not nan])
        first = 8 * len(numbers)
        self._flags = [(slot.name, slot.offset - first, slot.bit) for slot in slots if slot.kind is FieldKind.BOOLEAN]
        self._flag_bytes = schema.fixed_bytes - first
        self._texts = [slot.name for slot in slots if slot.kind is FieldKind.STRING]
        self._head = _HEAD.pack(0, TYPE_COMPACT, schema.schema_id)

    @classmethod
    def of(cls, schema: Schema, shape: Shape, *, nan: bool) -> PlainEncoder | None:
        """For dicts of this shape, for which the schema was made; None if not all of its fields are plain."""
        kinds = {name: _KINDS.get(kind) for name, kind in zip(*shape, strict=True)}
        plain = kinds == {name: slot.kind for name, slot in schema.slots.items()}
        return cls(schema, nan=nan) if plain else None

    def encode(self, record: Mapping[str, Any]) -> bytes | None:
        """A whole Data of a dict of this shape; None for NaN, a number too large, or a text that is none."""
        if any(map(isnan, self._never_nan(record))):
            return None
        try:
            fixed = self._pack(*self._numbers(record))
            texts = [encode_text(record[name]) for name in self._texts]
        except (struct.error, UnicodeEncodeError):
            return None
        if self._flags:
            flags = bytearray(self._flag_bytes)
            for name, offset, bit in self._flags:
                flags[offset] |= record[name] << bit
            fixed += flags
        if not texts:
            return self._head + fixed
        data, table = with_offsets(fixed, texts)
        return b"".join((self._head, _SIZE.pack(len(data)), data, table))


class PlainDecoder:
    """Decodes records of one schema into dicts."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        slots = sorted(schema.slots.values(), key=lambda slot: (slot.offset, slot.bit))
        numbers = [slot for slot in slots if slot.kind in _CODES]
        self._flags = [(slot.offset, slot.bit) for slot in slots if slot.kind is FieldKind.BOOLEAN]
        self._struct = struct.Struct(">" + "".join(_CODES[slot.kind] for slot in numbers))
        places = {slot.name: place for place, slot in enumerate(slots)}
        self._names = tuple(schema.slots)
        self._in_order = [places[name] for name in self._names]
        self._size = schema.data_start + schema.fixed_bytes

    @classmethod
    def of(cls, schema: Schema) -> PlainDecoder | None:
        """For records of a schema; None if not all of its fields are plain."""
        plain = all(slot.kind in _READ_KINDS for slot in schema.slots.values())
        return cls(schema) if plain else None

    def decode(self, data: bytes) -> dict[str, Any] | None:
        """The fields in order of name; None for what is no whole record of this schema."""
        if self._schema.var_count:
            try:
                return decode_record(self._schema, data)
            except DecodeError:
                return None
        if len(data) != self._size:
            return None
        start = self._schema.data_start
        values = self._struct.unpack_from(data, start)
        values += tuple(bool(data[start + offset] >> bit & 1) for offset, bit in self._flags)
        return dict(zip(self._names, map(values.__getitem__, self._in_order), strict=True))


def schema_id_of(data: bytes) -> int | None:
    """The schema id that stands in a Compact record; None in any other Data."""
    if len(data) < _HEAD.size:
        return None
    _, type_id, schema_id = _HEAD.unpack_from(data)
    return schema_id if type_id == TYPE_COMPACT else None


def _getter(names: list[str]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """The values of these fields."""
    if len(names) > 1:
        return itemgetter(*names)
    return lambda record: tuple(record[name] for name in names)

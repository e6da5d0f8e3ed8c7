"""Compact schemas: field kinds, where each field lies in a record, and the 64-bit id under which a schema is known.

Fields are ordered by name. The fixed-size ones lie at constant offsets, the widest first and by name among equals,
booleans last as bits; the variable-size ones (all that can be null) are found by a table of offsets at the record's
end, in order of name. How a record's bytes look: `compact/`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np

from grid_inference.errors import DecodeError, EncodeError
from grid_inference.wire.layout import DATA_HEADER_BYTES, LENGTH_BYTES

__all__ = ["Field", "FieldKind", "Schema", "Slot"]

SCHEMA_ID_BYTES = 8


class FieldKind(IntEnum):
    """What a field holds, with Hazelcast's numbers; those of Portable fields (5, 6, 31, 32) can't be in a schema."""

    BOOLEAN = 1
    ARRAY_OF_BOOLEAN = 2
    INT8 = 3
    ARRAY_OF_INT8 = 4
    INT16 = 7
    ARRAY_OF_INT16 = 8
    INT32 = 9
    ARRAY_OF_INT32 = 10
    INT64 = 11
    ARRAY_OF_INT64 = 12
    FLOAT32 = 13
    ARRAY_OF_FLOAT32 = 14
    FLOAT64 = 15
    ARRAY_OF_FLOAT64 = 16
    STRING = 17
    ARRAY_OF_STRING = 18
    DECIMAL = 19
    ARRAY_OF_DECIMAL = 20
    TIME = 21
    ARRAY_OF_TIME = 22
    DATE = 23
    ARRAY_OF_DATE = 24
    TIMESTAMP = 25
    ARRAY_OF_TIMESTAMP = 26
    TIMESTAMP_WITH_TIMEZONE = 27
    ARRAY_OF_TIMESTAMP_WITH_TIMEZONE = 28
    COMPACT = 29
    ARRAY_OF_COMPACT = 30
    NULLABLE_BOOLEAN = 33
    ARRAY_OF_NULLABLE_BOOLEAN = 34
    NULLABLE_INT8 = 35
    ARRAY_OF_NULLABLE_INT8 = 36
    NULLABLE_INT16 = 37
    ARRAY_OF_NULLABLE_INT16 = 38
    NULLABLE_INT32 = 39
    ARRAY_OF_NULLABLE_INT32 = 40
    NULLABLE_INT64 = 41
    ARRAY_OF_NULLABLE_INT64 = 42
    NULLABLE_FLOAT32 = 43
    ARRAY_OF_NULLABLE_FLOAT32 = 44
    NULLABLE_FLOAT64 = 45
    ARRAY_OF_NULLABLE_FLOAT64 = 46


NUMBER_DTYPES: Mapping[FieldKind, np.dtype[Any]] = MappingProxyType(
    {
        FieldKind.INT8: np.dtype(">i1"),
        FieldKind.INT16: np.dtype(">i2"),
        FieldKind.INT32: np.dtype(">i4"),
        FieldKind.INT64: np.dtype(">i8"),
        FieldKind.FLOAT32: np.dtype(">f4"),
        FieldKind.FLOAT64: np.dtype(">f8"),
    }
)
"""The fixed-size kinds except BOOLEAN, and how their values lie in a record."""
_SCALARS = (FieldKind.BOOLEAN, *NUMBER_DTYPES)
NULLABLE_OF: Mapping[FieldKind, FieldKind] = MappingProxyType({FieldKind[f"NULLABLE_{k.name}"]: k for k in _SCALARS})
"""NULLABLE_INT8 → INT8, and so on."""
NULLABLE_KINDS: Mapping[FieldKind, FieldKind] = MappingProxyType({kind: each for each, kind in NULLABLE_OF.items()})
"""INT8 → NULLABLE_INT8, and so on."""
ARRAY_OF: Mapping[FieldKind, FieldKind] = MappingProxyType({FieldKind[f"ARRAY_OF_{k.name}"]: k for k in _SCALARS})
"""ARRAY_OF_INT8 → INT8, and so on: items can't be null, BOOLEAN items are bits."""
_OBJECTS = (
    FieldKind.STRING,
    FieldKind.DECIMAL,
    FieldKind.TIME,
    FieldKind.DATE,
    FieldKind.TIMESTAMP,
    FieldKind.TIMESTAMP_WITH_TIMEZONE,
    FieldKind.COMPACT,
)
ITEMS_OF: Mapping[FieldKind, FieldKind] = MappingProxyType(
    {FieldKind[f"ARRAY_OF_NULLABLE_{k.name}"]: k for k in _SCALARS}
    | {FieldKind[f"ARRAY_OF_{k.name}"]: k for k in _OBJECTS}
)
"""Arrays whose items can be null → the kind of an item that is not."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field's name and kind."""

    name: str
    kind: FieldKind


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a field lies in a record."""

    name: str
    kind: FieldKind
    offset: int
    """Bytes from the start of the fixed part, if the field is of fixed size."""
    bit: int
    """Which bit of the byte at `offset` a BOOLEAN is."""
    index: int
    """Place in the table of offsets; -1 if the field is of fixed size."""


@dataclass(frozen=True)
class Schema:
    """A Compact type: its name and fields, in order of name whatever the order they are given in."""

    type_name: str
    fields: tuple[Field, ...]
    schema_id: int = field(init=False, compare=False)
    """Rabin fingerprint of name and fields, signed: what stands in every record."""
    slots: Mapping[str, Slot] = field(init=False, compare=False, repr=False)
    """Where each field lies, in order of name."""
    fixed_bytes: int = field(init=False, compare=False, repr=False)
    """Bytes of the fixed part."""
    var_count: int = field(init=False, compare=False, repr=False)
    """How many fields are of variable size."""

    def __post_init__(self) -> None:
        # Java compares strings by UTF-16 units, Python by code points: they differ above U+FFFF.
        ordered = tuple(sorted(self.fields, key=lambda each: each.name.encode("utf-16-be", "surrogatepass")))
        for left, right in pairwise(ordered):
            if left.name == right.name:
                raise EncodeError(f"{self.type_name}: field {left.name!r} is there twice")
        slots, fixed_bytes, var_count = _layout(ordered)
        derived = {
            "fields": ordered,
            "schema_id": _schema_id(self.type_name, ordered),
            "slots": MappingProxyType({each.name: slots[each.name] for each in ordered}),
            "fixed_bytes": fixed_bytes,
            "var_count": var_count,
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def __hash__(self) -> int:
        return self.schema_id

    def __reduce__(self) -> tuple[type[Schema], tuple[str, tuple[Field, ...]]]:
        return Schema, (self.type_name, self.fields)

    @classmethod
    def of(cls, type_name: str, kinds: Mapping[str, FieldKind]) -> Schema:
        """A schema from field names and kinds."""
        return _schema_of(type_name, tuple(kinds.items()))

    @classmethod
    def from_wire(cls, type_name: str, fields: Iterable[tuple[str, int]]) -> Schema:
        """A schema as a member sent it; raise DecodeError if it can't be one."""
        try:
            return cls(type_name, tuple(Field(name, FieldKind(kind)) for name, kind in fields))
        except (ValueError, EncodeError) as error:
            raise DecodeError(f"schema {type_name!r}: {error}") from None

    @property
    def data_start(self) -> int:
        """Where the fixed part begins in a record's Data; a length stands before it if there are variable sizes."""
        return DATA_HEADER_BYTES + SCHEMA_ID_BYTES + (LENGTH_BYTES if self.var_count else 0)


@lru_cache(maxsize=256)
def _schema_of(type_name: str, kinds: tuple[tuple[str, FieldKind], ...]) -> Schema:
    """A map's records have few schemas, which are asked for with every one of them."""
    return Schema(type_name, tuple(Field(name, kind) for name, kind in kinds))


def _layout(fields: tuple[Field, ...]) -> tuple[dict[str, Slot], int, int]:
    """Slots of fields ordered by name, bytes of the fixed part, number of variable-size fields."""
    numbers = sorted((f for f in fields if f.kind in NUMBER_DTYPES), key=lambda f: -NUMBER_DTYPES[f.kind].itemsize)
    booleans = [f for f in fields if f.kind is FieldKind.BOOLEAN]
    others = [f for f in fields if f.kind not in NUMBER_DTYPES and f.kind is not FieldKind.BOOLEAN]
    slots: dict[str, Slot] = {}
    end = 0
    for each in numbers:
        slots[each.name] = Slot(each.name, each.kind, end, 0, -1)
        end += NUMBER_DTYPES[each.kind].itemsize
    for i, each in enumerate(booleans):
        slots[each.name] = Slot(each.name, each.kind, end + i // 8, i % 8, -1)
    for i, each in enumerate(others):
        slots[each.name] = Slot(each.name, each.kind, -1, 0, i)
    return slots, end + (len(booleans) + 7) // 8, len(others)


_EMPTY = 0xC15D213AA4D7A795


def _rabin_table() -> tuple[int, ...]:
    table: list[int] = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (_EMPTY & -(value & 1))
        table.append(value)
    return tuple(table)


_TABLE = _rabin_table()


def _schema_id(type_name: str, fields: tuple[Field, ...]) -> int:
    fields_text = b"".join(_text(f.name) + f.kind.to_bytes(4, "little") for f in fields)
    fingerprint = _EMPTY
    for byte in _text(type_name) + len(fields).to_bytes(4, "little") + fields_text:
        fingerprint = fingerprint >> 8 ^ _TABLE[(fingerprint ^ byte) & 0xFF]
    return fingerprint - (fingerprint >> 63 << 64)


def _text(text: str) -> bytes:
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        raise EncodeError(f"the name {text!r} holds half of a surrogate pair") from None
    return len(encoded).to_bytes(4, "little") + encoded

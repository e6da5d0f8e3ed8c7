"""One Compact record ⇄ a dict, and one variable-size value ⇄ its bytes. Many at once: `encode.py`, `decode.py`."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any, cast

import numpy as np

from grid_inference.errors import DecodeError, EncodeError
from grid_inference.wire.compact.decimal import decode_decimal, encode_decimal
from grid_inference.wire.compact.temporal import TEMPORAL_DTYPES, decode_temporal, encode_temporal, is_null_temporal
from grid_inference.wire.layout import NESTING_MAX, TYPE_COMPACT
from grid_inference.wire.schema import ARRAY_OF, ITEMS_OF, NULLABLE_OF, NUMBER_DTYPES, FieldKind, Schema, Slot

__all__ = [
    "NESTING_MAX",
    "NO_SCHEMAS",
    "TOP",
    "Nesting",
    "decode_record",
    "decode_value",
    "encode_record",
    "encode_text",
    "encode_value",
    "item_places",
    "offset_bytes",
    "with_offsets",
]

_STRUCTS = {kind: struct.Struct(f">{code}") for kind, code in zip(NUMBER_DTYPES, "bhiqfd", strict=True)}
_BYTE = struct.Struct("B")
_INT = struct.Struct(">i")
_TWO_INTS = struct.Struct(">ii")
_TYPE = struct.Struct(">ii")
_ID = struct.Struct(">q")
_HEAD = struct.Struct(">iiq")
_INTEGERS = (FieldKind.INT8, FieldKind.INT16, FieldKind.INT32, FieldKind.INT64)
_OFFSETS = {1: struct.Struct(">B"), 2: struct.Struct(">H"), 4: struct.Struct(">i")}
_NULL_OFFSET = {1: 0xFF, 2: 0xFFFF, 4: -1}


_NESTED_KINDS = (FieldKind.COMPACT, FieldKind.ARRAY_OF_COMPACT)
NO_SCHEMAS: Mapping[int, Schema] = MappingProxyType({})
_NO_NESTED: Mapping[str, Schema] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Nesting:
    """How deep in other records a record lies, and what those nested in it may be."""

    schemas: Mapping[int, Schema]
    depth: int = 0

    def deeper(self) -> Nesting:
        """One record further in; DecodeError beyond NESTING_MAX."""
        if self.depth == NESTING_MAX:
            raise DecodeError(f"records are nested more than {NESTING_MAX} deep (NESTING_MAX)")
        return Nesting(self.schemas, self.depth + 1)

    def schema(self, schema_id: int) -> Schema:
        """The schema of a nested record."""
        schema = self.schemas.get(schema_id)
        if schema is None:
            raise DecodeError(f"the schema {schema_id} of a nested record is not known")
        return schema


TOP = Nesting(NO_SCHEMAS)
"""A record in no other, in which nested ones can't be read."""

VALUE_ERRORS = (EncodeError, TypeError, ValueError, OverflowError, struct.error)
"""What `encode_value` raises; only its callers know the field's name."""


def offset_bytes(data_bytes: int) -> int:
    """How wide the entries of a table of offsets are, by the size of what they point into."""
    return 1 if data_bytes < 0xFF else 2 if data_bytes < 0xFFFF else 4


# ---- encode


def encode_record(schema: Schema, record: Mapping[str, Any], nested: Mapping[str, Schema] = _NO_NESTED) -> bytes:
    """A whole Data from a dict; a field that can be null may be left out.

    `nested` has the schema of the dicts in each COMPACT and ARRAY_OF_COMPACT field: `a`, and `a.b` for b in a.
    """
    return _TYPE.pack(0, TYPE_COMPACT) + _encode_content(schema, record, nested, ())


def _encode_content(
    schema: Schema, record: Mapping[str, Any], nested: Mapping[str, Schema], path: tuple[str, ...]
) -> bytes:
    """A record from its schema id on; `path` are the fields it is nested in."""
    unknown = record.keys() - schema.slots.keys()
    if unknown:
        raise EncodeError(f"{schema.type_name} has no field {min(unknown)!r}")
    fixed, parts = bytearray(schema.fixed_bytes), list[bytes | None]()
    for slot in schema.slots.values():
        value = record.get(slot.name)
        try:
            if slot.index < 0:
                _put_fixed(fixed, slot, value)
            elif slot.kind in _NESTED_KINDS:
                parts.append(_encode_nested(slot.kind, value, nested, (*path, slot.name)))
            else:
                parts.append(encode_value(slot.kind, value))
        except VALUE_ERRORS as error:
            raise EncodeError(f"field {slot.name!r} ({slot.kind.name}) of {schema.type_name}: {error}") from None
    head = _ID.pack(schema.schema_id)
    if not schema.var_count:
        return head + fixed
    data, table = with_offsets(bytes(fixed), parts)
    return b"".join((head, _INT.pack(len(data)), data, table))


def _encode_nested(kind: FieldKind, value: Any, nested: Mapping[str, Schema], path: tuple[str, ...]) -> bytes | None:
    if value is None:
        return None
    if kind is FieldKind.ARRAY_OF_COMPACT:
        return _items(_encode_nested(FieldKind.COMPACT, each, nested, path) for each in _sequence(value))
    schema = nested.get(".".join(path))
    if schema is None:
        raise EncodeError("the schema of the nested record is not given")
    if len(path) > NESTING_MAX:
        raise EncodeError(f"records are nested more than {NESTING_MAX} deep (NESTING_MAX)")
    if not isinstance(value, Mapping):
        raise EncodeError(f"{value!r} is no dict")
    return _encode_content(schema, cast("Mapping[str, Any]", value), nested, path)


def _put_fixed(fixed: bytearray, slot: Slot, value: Any) -> None:
    if value is None:
        raise EncodeError("it can't be null and has no value")
    if slot.kind is FieldKind.BOOLEAN:
        fixed[slot.offset] |= _boolean(value) << slot.bit
    else:
        _STRUCTS[slot.kind].pack_into(fixed, slot.offset, _number(slot.kind, value))


def encode_value(kind: FieldKind, value: Any) -> bytes | None:
    """The bytes of a value in the variable part; None for a null."""
    if value is None or is_null_temporal(value):
        return None
    if kind in ARRAY_OF:
        return _array(ARRAY_OF[kind], value)
    if kind in ITEMS_OF:
        return _items(encode_value(ITEMS_OF[kind], each) for each in _sequence(value))
    return _item(NULLABLE_OF.get(kind, kind), value)


def _items(parts: Iterable[bytes | None]) -> bytes:
    items = list(parts)
    data, table = with_offsets(b"", items)
    return b"".join((_TWO_INTS.pack(len(data), len(items)), data, table))


def _item(kind: FieldKind, value: Any) -> bytes:
    if kind is FieldKind.STRING:
        return encode_text(value)
    if kind is FieldKind.DECIMAL:
        return encode_decimal(value)
    if kind in TEMPORAL_DTYPES:
        return encode_temporal(kind, value)
    if kind is FieldKind.BOOLEAN or kind in NUMBER_DTYPES:
        return _scalar(kind, value)
    raise EncodeError("values of this kind can't be written")


def with_offsets(fixed: bytes, parts: Iterable[bytes | None]) -> tuple[bytes, bytes]:
    """The parts one behind the other after `fixed`, and where each begins."""
    pieces, offsets, end = [fixed], list[int | None](), len(fixed)
    for part in parts:
        offsets.append(None if part is None else end)
        if part is not None:
            pieces.append(part)
            end += len(part)
    width = offset_bytes(end)
    pack, null = _OFFSETS[width].pack, _NULL_OFFSET[width]
    return b"".join(pieces), b"".join(pack(null if offset is None else offset) for offset in offsets)


def encode_text(value: Any) -> bytes:
    """A text with its length before it; EncodeError for anything else."""
    if not isinstance(value, str):
        raise EncodeError(f"{value!r} is no string")
    encoded = value.encode()
    return _INT.pack(len(encoded)) + encoded


def _scalar(kind: FieldKind, value: Any) -> bytes:
    if kind is FieldKind.BOOLEAN:
        return _BYTE.pack(_boolean(value))
    return _STRUCTS[kind].pack(_number(kind, value))


def _boolean(value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise EncodeError(f"{value!r} is no boolean")
    return bool(value)


def _number(kind: FieldKind, value: Any) -> int | float:
    integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if kind in _INTEGERS:
        if not integer:
            raise EncodeError(f"{value!r} is no integer")
        return int(value)
    if not integer and not isinstance(value, float | np.floating):
        raise EncodeError(f"{value!r} is no number")
    return float(value)


def _sequence(value: Any) -> Sequence[Any]:
    if isinstance(value, np.ndarray):
        array = cast("np.ndarray[Any, np.dtype[Any]]", value)
        if array.ndim != 1:
            raise EncodeError(f"an array of {array.ndim} dimensions instead of one")
        # As numpy's scalars, dates keep the nanoseconds that tolist() turns into plain integers.
        return cast("Sequence[Any]", list(array) if array.dtype.kind in "mM" else array.tolist())
    if isinstance(value, list | tuple):
        return cast("Sequence[Any]", value)
    raise EncodeError(f"{value!r} is no list and no array")


def _array(kind: FieldKind, value: Any) -> bytes:
    if kind is FieldKind.INT8 and isinstance(value, bytes | bytearray):
        return _INT.pack(len(value)) + value
    items = _sequence(value)
    if kind is FieldKind.BOOLEAN:
        bits = np.array([_boolean(each) for each in items], np.bool_)
        return _INT.pack(len(items)) + np.packbits(bits, bitorder="little").tobytes()
    packer = struct.Struct(f">{len(items)}{_STRUCTS[kind].format[1:]}")
    return _INT.pack(len(items)) + packer.pack(*(_number(kind, each) for each in items))


# ---- decode


def decode_record(schema: Schema, data: bytes, schemas: Mapping[int, Schema] = NO_SCHEMAS) -> dict[str, Any]:
    """A dict of every field from a whole Data; nested records are dicts too, their schemas are in `schemas` by id."""
    if len(data) < schema.data_start + schema.fixed_bytes:
        raise DecodeError(f"{len(data)} bytes are too few for a record of {schema.type_name}")
    _, type_id, schema_id = _HEAD.unpack_from(data)
    if type_id != TYPE_COMPACT or schema_id != schema.schema_id:
        raise DecodeError(f"this is no record of the schema {schema.type_name!r} ({schema.schema_id})")
    return _decode_content(schema, data, _HEAD.size, len(data), Nesting(schemas))


def _decode_content(schema: Schema, data: bytes, at: int, end: int, nesting: Nesting) -> dict[str, Any]:
    """The fields of a record whose schema id ends at `at`."""
    start, size = at + (_INT.size if schema.var_count else 0), schema.fixed_bytes
    if start + size > end:
        raise DecodeError(f"{end - at} bytes are too few for a record of {schema.type_name}")
    offsets: list[int | None] = []
    if schema.var_count:
        size = _INT.unpack_from(data, at)[0]
        if size < schema.fixed_bytes:
            raise DecodeError(f"a record of {schema.type_name} claims {size} bytes")
        offsets = _offsets(data, start, size, schema.var_count, end)
        if any(offset is not None and offset < schema.fixed_bytes for offset in offsets):
            raise DecodeError(f"a variable-size field of {schema.type_name} lies in the fixed part")
    # Fields that share bytes, level upon level, would multiply what a few bytes cost.
    limits = _limits(offsets, size) if nesting.depth else {}
    record: dict[str, Any] = {}
    for slot in schema.slots.values():
        offset = slot.offset if slot.index < 0 else offsets[slot.index]
        limit = size if offset is None else limits.get(offset, size)
        try:
            record[slot.name] = None if offset is None else _field(slot, data, start + offset, start + limit, nesting)
        except DecodeError as error:
            raise DecodeError(f"field {slot.name!r} ({slot.kind.name}) of {schema.type_name}: {error}") from None
    return record


def value_offset(schema: Schema, data: bytes, name: str) -> int | None:
    """Where a field's bytes begin in a whole Data that we wrote ourselves; None for a null."""
    slot, start = schema.slots[name], schema.data_start
    if slot.index < 0:
        return start + slot.offset
    size = _INT.unpack_from(data, start - _INT.size)[0]
    offset = _offsets(data, start, size, schema.var_count, len(data))[slot.index]
    return None if offset is None else start + offset


def _field(slot: Slot, data: bytes, at: int, end: int, nesting: Nesting) -> Any:
    if slot.kind is FieldKind.BOOLEAN:
        return bool(data[at] >> slot.bit & 1)
    if slot.index < 0:
        return _STRUCTS[slot.kind].unpack_from(data, at)[0]
    return decode_value(slot.kind, data, at, end, nesting)


def decode_value(kind: FieldKind, data: bytes, at: int, end: int, nesting: Nesting = TOP) -> Any:
    """The value whose bytes begin at `at` and lie before `end`."""
    if kind in ARRAY_OF:
        return _read_array(ARRAY_OF[kind], data, at, end)
    if kind in ITEMS_OF:
        item, places = ITEMS_OF[kind], item_places(data, at, end)
        return [None if place is None else decode_value(item, data, *place, nesting) for place in places]
    if kind is FieldKind.COMPACT:
        inner = nesting.deeper()
        schema = nesting.schema(_unpack(_ID, data, at, end))
        return _decode_content(schema, data, at + _ID.size, end, inner)
    return _read_item(NULLABLE_OF.get(kind, kind), data, at, end)


def _unpack(layout: struct.Struct, data: bytes, at: int, end: int) -> Any:
    if at + layout.size > end:
        raise DecodeError("a value reaches outside the record")
    return layout.unpack_from(data, at)[0]


def _read_scalar(kind: FieldKind, data: bytes, at: int, end: int) -> Any:
    if kind is FieldKind.BOOLEAN:
        return _unpack(_BYTE, data, at, end) != 0
    return _unpack(_STRUCTS[kind], data, at, end)


def _read_text(data: bytes, at: int, end: int) -> str:
    size = _unpack(_INT, data, at, end)
    at += _INT.size
    if not 0 <= size <= end - at:
        raise DecodeError(f"a string claims {size} bytes")
    try:
        return data[at : at + size].decode()
    except UnicodeDecodeError as error:
        raise DecodeError(f"a string is no UTF-8: {error}") from None


def _read_array(kind: FieldKind, data: bytes, at: int, end: int) -> list[Any]:
    count = _unpack(_INT, data, at, end)
    at += _INT.size
    size = (count + 7) // 8 if kind is FieldKind.BOOLEAN else count * NUMBER_DTYPES[kind].itemsize
    if not 0 <= size <= end - at or count < 0:
        raise DecodeError(f"an array claims {count} items")
    if kind is FieldKind.BOOLEAN:
        packed = np.frombuffer(data, np.uint8, size, at)
        return np.unpackbits(packed, count=count, bitorder="little").astype(np.bool_).tolist()
    return np.frombuffer(data, NUMBER_DTYPES[kind], count, at).tolist()


def item_places(data: bytes, at: int, end: int) -> list[tuple[int, int] | None]:
    """Where each item of an array with nullable items begins and must have ended; None for a null."""
    size = _unpack(_INT, data, at, end)
    count = _unpack(_INT, data, at + _INT.size, end)
    at += _TWO_INTS.size
    if size < 0 or count < 0:
        raise DecodeError(f"an array claims {count} items in {size} bytes")
    offsets = _offsets(data, at, size, count, end)
    limits = _limits(offsets, size)
    return [None if offset is None else (at + offset, at + limits[offset]) for offset in offsets]


def _limits(offsets: list[int | None], size: int) -> dict[int, int]:
    """Offset → the next larger one, up to which its value may reach; `size` for the last one."""
    ordered = sorted(offset for offset in offsets if offset is not None)
    limits = dict(pairwise([*ordered, size]))
    if len(limits) < len(ordered):
        raise DecodeError("two values begin at the same place")
    return limits


def _read_item(kind: FieldKind, data: bytes, at: int, end: int) -> Any:
    if kind is FieldKind.STRING:
        return _read_text(data, at, end)
    if kind is FieldKind.DECIMAL:
        return decode_decimal(data, at, end)
    if kind in TEMPORAL_DTYPES:
        return decode_temporal(kind, data, at, end)
    if kind is FieldKind.BOOLEAN or kind in NUMBER_DTYPES:
        return _read_scalar(kind, data, at, end)
    raise DecodeError("values of this kind can't be read")


def _offsets(data: bytes, start: int, size: int, count: int, end: int) -> list[int | None]:
    """The table of offsets behind `size` bytes of data; None for a null."""
    width = offset_bytes(size)
    table = start + size
    if table + count * width > end:
        raise DecodeError(f"{count} offsets behind {size} bytes reach outside the record")
    null = _NULL_OFFSET[width]
    places = [each[0] for each in _OFFSETS[width].iter_unpack(data[table : table + count * width])]
    if any(place != null and not 0 <= place <= size for place in places):
        raise DecodeError("an offset points outside the record")
    return [None if place == null else place for place in places]

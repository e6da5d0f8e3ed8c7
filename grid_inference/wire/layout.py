"""Numbers of Hazelcast's `Data`: the serialized form of every key and value. Frames of messages: `protocol/frames.py`.

    offset  type      meaning
    0       int32 BE  partition hash; 0 means none is stored, and the murmur3 of the payload counts
    4       int32 BE  type id, one of those below
    8       bytes     payload, big-endian

Source: Hazelcast's `SerializationConstants`.
"""

from __future__ import annotations

import struct

DATA_HEADER_BYTES = 8
"""Bytes of a Data before its payload."""
TYPE_OFFSET = 4
"""Where a Data's type id stands."""
LENGTH_BYTES = 4
"""Bytes of a length in front of strings and arrays."""
DATA_HEADER = struct.Struct(">ii")
"""Partition hash and type id."""
NESTING_MAX = 8
"""So many records may lie one in the other, the outermost not counted; a name may have so many dots."""

TYPE_NULL = 0
TYPE_BYTE = -3
TYPE_BOOLEAN = -4
TYPE_SHORT = -6
TYPE_INT = -7
TYPE_LONG = -8
TYPE_FLOAT = -9
TYPE_DOUBLE = -10
TYPE_STRING = -11
TYPE_BYTE_ARRAY = -12
TYPE_UUID = -21
TYPE_COMPACT = -55
TYPE_JSON = -130

TYPE_NAMES = {
    TYPE_NULL: "an empty value",
    -1: "a Portable value",
    -2: "an IdentifiedDataSerializable value",
    TYPE_BYTE: "a byte",
    TYPE_BOOLEAN: "a boolean",
    -5: "a char",
    TYPE_SHORT: "a short",
    TYPE_INT: "an int",
    TYPE_LONG: "a long",
    TYPE_FLOAT: "a float",
    TYPE_DOUBLE: "a double",
    TYPE_STRING: "a string",
    TYPE_BYTE_ARRAY: "a byte array",
    **dict.fromkeys(range(-20, -12), "an array"),
    TYPE_UUID: "a UUID",
    **dict.fromkeys(range(-31, -28), "a java.util.List"),
    **dict.fromkeys(range(-36, -31), "a java.util.Map"),
    -100: "a java.io.Serializable value",
    -101: "a java.io.Externalizable value",
    -120: "a pickled Python object",
}


def described(type_id: int) -> str:
    """What a Data of this type id is, in words."""
    return TYPE_NAMES.get(type_id, f"a value of the serialization type {type_id}")


INT32_MIN = -(2**31)
INT64_MIN = -(2**63)
INT64_MAX = 2**63 - 1

"""JSON values and byte arrays as Data: Hazelcast's type -130 (a length and UTF-8 text) and type -12.

Equal values give equal bytes, without which there is no compare-and-set. A record is read as strictly by itself as in
columns.
"""

from __future__ import annotations

import json
import struct
from typing import Any

from grid_inference.errors import DecodeError
from grid_inference.wire.json.lookup import parse_object

__all__ = ["decode_bytes", "decode_json", "decode_json_object", "encode_bytes", "encode_json"]

_head = struct.Struct(">iii")
_JSON = -130
_BYTES = -12


def encode_json(value: Any) -> bytes:
    """A value as the Data of a HazelcastJsonValue; equal values give equal bytes."""
    return _encode(_JSON, json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def decode_json(data: bytes) -> Any:
    """The value of a HazelcastJsonValue's Data."""
    try:
        return json.loads(_decode(_JSON, data, "a JSON value"))
    except RecursionError:
        raise DecodeError("a JSON value is nested too deeply") from None
    except ValueError as error:
        raise DecodeError(f"a JSON value can't be parsed: {error}") from None


def decode_json_object(data: bytes) -> dict[str, Any]:
    """The object of a HazelcastJsonValue's Data, read as strictly as its columns are: NaN is not JSON."""
    return parse_object(_decode(_JSON, data, "a JSON value"))


def encode_bytes(content: bytes) -> bytes:
    """The Data of a byte array."""
    return _encode(_BYTES, content)


def decode_bytes(data: bytes) -> bytes:
    """The content of a byte array's Data."""
    return _decode(_BYTES, data, "a byte array")


def _encode(kind: int, payload: bytes) -> bytes:
    return _head.pack(0, kind, len(payload)) + payload


def _decode(kind: int, data: bytes, what: str) -> bytes:
    if len(data) < _head.size:
        raise DecodeError(f"{what} has {len(data)} bytes, too few for its header")
    _, found, length = _head.unpack_from(data)
    if found != kind:
        raise DecodeError(f"{what} is expected, but the type is {found}")
    if length != len(data) - _head.size:
        raise DecodeError(f"{what} claims {length} bytes and has {len(data) - _head.size}")
    return data[_head.size :]

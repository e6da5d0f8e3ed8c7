"""What the witnesses read of a prediction without decoding it: the fixed-size fields stand at fixed places.

Compact keeps fixed-size fields by size and name behind the schema's id and the length, so in Prediction and
PredictionMessage alike: input_digest, owner_epoch, score, scored_at_us, version.
"""

from __future__ import annotations

import struct
from typing import Any

_fixed = struct.Struct(">qqdqi")
_int = struct.Struct(">i")
_positions = struct.Struct(">B"), struct.Struct(">H"), _int
_NARROW = 255, 65_535
"""Below these lengths of a record its positions take one byte, or two."""
_LENGTH_OFFSET = 8 + 8
_FIXED_OFFSET = _LENGTH_OFFSET + 4


def fields_of(data: Any) -> tuple[int, int, float, int, int]:
    """Digest, epoch, score, scored_at_us and version of a stock client's Data."""
    return _fixed.unpack_from(data.buffer, _FIXED_OFFSET)


def raw(proxy: Any) -> Any:
    """A stock proxy that hands out Data instead of objects."""
    proxy._to_object = lambda data: data
    return proxy


def key_of(message: Any) -> int:
    """The field `key` of a PredictionMessage: the second one of those without a fixed size, after `deployment`.

    Where these begin stands behind them, in as few bytes as their length allows.
    """
    buffer = message.buffer
    (length,) = _int.unpack_from(buffer, _LENGTH_OFFSET)
    begin = _LENGTH_OFFSET + _int.size
    position = _positions[sum(length >= most for most in _NARROW)]
    at = begin + position.unpack_from(buffer, begin + length + position.size)[0]
    (size,) = _int.unpack_from(buffer, at)
    return int(buffer[at + _int.size : at + _int.size + size])

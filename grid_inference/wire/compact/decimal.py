"""Decimals in the variable part of Compact records ⇄ Python's, digit by digit: 1.50 stays 1.50.

    type      meaning
    int32 BE  bytes of the unscaled value
    bytes     unscaled value, two's complement, big-endian, as short as can be
    int32 BE  scale: the decimal is the unscaled value · 10 ** -scale

The form of Java's `BigDecimal`: it knows no negative zero, no infinity and no NaN.
"""

from __future__ import annotations

import struct
from decimal import Decimal
from typing import Any

from grid_inference.errors import DecodeError, EncodeError

__all__ = ["decode_decimal", "encode_decimal"]

_INT = struct.Struct(">i")
UNSCALED_BYTES_MAX = 1024
"""Some 2,400 digits: turning bytes into digits takes time by the square of their number."""


def encode_decimal(value: Any) -> bytes:
    """The bytes of a finite Decimal."""
    if not isinstance(value, Decimal):
        raise EncodeError(f"{value!r} is no Decimal")
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise EncodeError(f"{value!r} is not finite")
    magnitude = int(Decimal((0, digits, 0)))
    unscaled = -magnitude if sign else magnitude
    size = (unscaled + (unscaled < 0)).bit_length() // 8 + 1
    if size > UNSCALED_BYTES_MAX:
        raise EncodeError(f"a decimal of {size} bytes is larger than {UNSCALED_BYTES_MAX}")
    return _INT.pack(size) + unscaled.to_bytes(size, "big", signed=True) + _INT.pack(-exponent)


def decode_decimal(data: bytes, at: int, end: int) -> Decimal:
    """The decimal whose bytes begin at `at` and lie before `end`."""
    if end - at < 2 * _INT.size:
        raise DecodeError("a decimal reaches outside the record")
    size: int = _INT.unpack_from(data, at)[0]
    at += _INT.size
    if not 1 <= size <= min(end - at - _INT.size, UNSCALED_BYTES_MAX):
        raise DecodeError(f"a decimal claims {size} bytes")
    unscaled = int.from_bytes(data[at : at + size], "big", signed=True)
    return Decimal(f"{unscaled}E{-_INT.unpack_from(data, at + size)[0]}")

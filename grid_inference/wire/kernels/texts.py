"""Keys as texts for people's eyes: those that are whole numbers or plain ASCII strings."""

from __future__ import annotations

import numpy as np

from grid_inference.wire.kernels.kernel import Bytes, Ints, Room, Table, kernel
from grid_inference.wire.kernels.words import int32_at, laid, word_at

__all__ = ["DIGITS_MAX", "key_texts"]

U64 = np.uint64
DIGITS_MAX = 20
"""Bytes that a text may take at least; a string takes its own."""
_LONG, _STRING, _LONG_BYTES, _HEAD_BYTES = -8, -11, 16, 12


@kernel
def key_texts(buffer: Bytes, starts: Ints, lengths: Ints, room: Room, places: Table) -> int:
    """Texts of keys → `room`, begin and length of each → `places`, shape (2, n); the first row that is no such key.

    `room` has `DIGITS_MAX` and the bytes of the key for each row.
    """
    data, end = laid(buffer), 0
    for row in range(starts.size):
        start, length = starts[row], lengths[row]
        if length < _HEAD_BYTES:
            return row
        kind = int32_at(data, start + 4)
        if kind == _LONG and length == _LONG_BYTES:
            rest = word_at(data, start + 8)
            negative = rest >> U64(63) != 0
            if negative:
                rest = U64(0) - rest
            end += DIGITS_MAX
            at = end
            while True:
                at -= 1
                higher = rest // U64(10)
                room[U64(at)] = np.uint8(U64(48) + rest - higher * U64(10))
                rest = higher
                if rest == 0:
                    break
            if negative:
                at -= 1
                room[U64(at)] = 45
            places[0, row], places[1, row] = at, end - at
        elif kind == _STRING and int32_at(data, start + 8) == length - _HEAD_BYTES:
            places[0, row], places[1, row] = end, length - _HEAD_BYTES
            for i in range(start + _HEAD_BYTES, start + length):
                if buffer[U64(i)] >= 128:
                    return row
                room[U64(end)] = buffer[U64(i)]
                end += 1
        else:
            return row
    return -1

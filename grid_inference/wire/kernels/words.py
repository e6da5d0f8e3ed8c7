"""Words at any place of some bytes, and their order: what all kernels read and write by.

Reading needs no copy: arrays of overlapping words are laid over the bytes, one word beginning at each of them. Places
are made unsigned, as a negative one would count from the end. Nothing here looks whether a place lies within its blob.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from grid_inference.wire.kernels.kernel import Bytes, Halves, Words, part, view

__all__ = [
    "Laid",
    "copy",
    "frame",
    "half_at",
    "int32_at",
    "int32_le",
    "laid",
    "put_int32",
    "put_word",
    "word_at",
    "word_le",
]

U64, U32 = np.uint64, np.uint32
Laid = tuple[Bytes, Words, Halves]
"""Bytes; the eight from each place on as a word; the four from each place on as one. The lowest byte is the first."""


@view
def laid(data: Bytes) -> Laid:
    """Bytes with the words that lie over them."""
    eights = as_strided(data[: data.size // 8 * 8].view(np.uint64), (max(data.size - 7, 0),), (1,))
    fours = as_strided(data[: data.size // 4 * 4].view(np.uint32), (max(data.size - 3, 0),), (1,))
    return data, eights, fours


@part
def _swap64(word: np.uint64) -> np.uint64:
    word = (word >> U64(32)) | (word << U64(32))
    word = ((word >> U64(16)) & U64(0x0000FFFF0000FFFF)) | ((word & U64(0x0000FFFF0000FFFF)) << U64(16))
    return ((word >> U64(8)) & U64(0x00FF00FF00FF00FF)) | ((word & U64(0x00FF00FF00FF00FF)) << U64(8))


@part
def _swap32(word: np.uint32) -> np.uint32:
    word = (word >> U32(16)) | (word << U32(16))
    return ((word >> U32(8)) & U32(0x00FF00FF)) | ((word & U32(0x00FF00FF)) << U32(8))


@part
def word_le(data: Laid, at: int) -> np.uint64:
    """Eight bytes, the lowest first."""
    return data[1][U64(at)]


@part
def word_at(data: Laid, at: int) -> np.uint64:
    """Eight bytes, the highest first."""
    return _swap64(data[1][U64(at)])


@part
def half_at(data: Laid, at: int) -> np.uint32:
    """Four bytes, the highest first."""
    return _swap32(data[2][U64(at)])


@part
def int32_at(data: Laid, at: int) -> Any:
    """An int32, the highest byte first."""
    value = np.int64(_swap32(data[2][U64(at)]))
    return value - ((value >> 31) << 32)


@part
def int32_le(data: Laid, at: int) -> Any:
    """An int32, the lowest byte first."""
    value = np.int64(data[2][U64(at)])
    return value - ((value >> 31) << 32)


@part
def put_word(room: Laid, at: int, word: np.uint64) -> None:
    """Write eight bytes, the highest first."""
    room[1][U64(at)] = _swap64(word)


@part
def put_int32(room: Laid, at: int, value: int) -> None:
    """Write a number from 0 to 2^31 - 1, the highest byte first."""
    room[2][U64(at)] = _swap32(U32(value))


@part
def frame(room: Laid, at: int, length: int) -> int:
    """Write the header of a frame without flags around so many bytes; where its payload begins."""
    room[2][U64(at)] = U32(length + 6)
    room[0][U64(at + 4)] = 0
    room[0][U64(at + 5)] = 0
    return at + 6


@part
def copy(room: Laid, to: int, data: Laid, start: int, length: int) -> int:
    """Copy bytes from one buffer to another; where they end there."""
    for i in range(length >> 3):
        room[1][U64(to + 8 * i)] = data[1][U64(start + 8 * i)]
    for i in range(length & ~7, length):
        room[0][U64(to + i)] = data[0][U64(start + i)]
    return to + length

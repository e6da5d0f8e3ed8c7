"""Words at any place of some bytes, and their order: what all kernels read and write by.

Reading needs no copy: an array of overlapping words is laid over the bytes, one beginning at each of them. Places are
made unsigned, as a negative one would count from the end. Nothing here looks whether a place lies within its blob.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from grid_inference.wire.kernels.kernel import Bytes, Halves, Room, Words, part

__all__ = ["copy", "frame", "int32_at", "int32_le", "put_int32", "swap32", "swap64", "words32", "words64"]

U64, U32 = np.uint64, np.uint32


@part
def words64(data: Bytes) -> Words:
    """Eight bytes from each place on, the lowest first."""
    return as_strided(data[: data.size // 8 * 8].view(np.uint64), (max(data.size - 7, 0),), (1,))


@part
def words32(data: Bytes) -> Halves:
    """Four bytes from each place on, the lowest first."""
    return as_strided(data[: data.size // 4 * 4].view(np.uint32), (max(data.size - 3, 0),), (1,))


@part
def swap64(word: np.uint64) -> np.uint64:
    """A word with its bytes the other way round."""
    word = (word >> U64(32)) | (word << U64(32))
    word = ((word >> U64(16)) & U64(0x0000FFFF0000FFFF)) | ((word & U64(0x0000FFFF0000FFFF)) << U64(16))
    return ((word >> U64(8)) & U64(0x00FF00FF00FF00FF)) | ((word & U64(0x00FF00FF00FF00FF)) << U64(8))


@part
def swap32(word: np.uint32) -> np.uint32:
    """The same of four bytes."""
    word = (word >> U32(16)) | (word << U32(16))
    return ((word >> U32(8)) & U32(0x00FF00FF)) | ((word & U32(0x00FF00FF)) << U32(8))


@part
def int32_at(fours: Halves, at: int) -> Any:
    """An int32, the highest byte first."""
    value = np.int64(swap32(fours[U64(at)]))
    return value - ((value >> 31) << 32)


@part
def int32_le(fours: Halves, at: int) -> Any:
    """An int32, the lowest byte first."""
    value = np.int64(fours[U64(at)])
    return value - ((value >> 31) << 32)


@part
def put_int32(fours: Halves, at: int, value: int) -> None:
    """Write a number from 0 to 2^31 - 1, the highest byte first."""
    fours[U64(at)] = swap32(U32(value))


@part
def frame(room: Room, fours: Halves, at: int, length: int) -> int:
    """Write the header of a frame without flags around so many bytes; where its payload begins."""
    fours[U64(at)] = U32(length + 6)
    room[U64(at + 4)] = 0
    room[U64(at + 5)] = 0
    return at + 6


@part
def copy(room: Room, to: int, data: Bytes, start: int, length: int) -> int:
    """Copy bytes from one buffer to another; where they end there."""
    for i in range(length):
        room[U64(to + i)] = data[U64(start + i)]
    return to + length

"""Fingerprints of records and keys as kernels: the digest of `wire/digest.py`, and which events speak of one entry."""

from __future__ import annotations

import numpy as np

from grid_inference.wire.kernels.kernel import Int32s, Ints, Numbers, kernel, part
from grid_inference.wire.kernels.words import Laid, int32_at, word_le

__all__ = ["digest", "identity", "newest"]

U64 = np.uint64
_STEP = U64(0x9E3779B97F4A7C15)
HEADER = 8


@part
def _factor(number: int) -> np.uint64:
    z = U64(0x677269642D696E66) + (U64(number) + U64(1)) * _STEP
    z = (z ^ (z >> U64(30))) * U64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> U64(27))) * U64(0x94D049BB133111EB)
    return (z ^ (z >> U64(31))) | U64(1)


@part
def _mixed(word: np.uint64, number: int) -> np.uint64:
    word = (word ^ (word >> U64(32))) * _factor(number)
    return word ^ (word >> U64(29))


@part
def digest(data: Laid, start: int, length: int) -> np.uint64:
    """The digest of one Data that lies within the buffer; of less than a header it is 0."""
    size = length - HEADER
    if size < 0:
        return U64(0)
    total = U64(size) * _STEP
    full, tail = size // 8, size % 8
    for number in range(full):
        total += _mixed(word_le(data, start + HEADER + 8 * number), number)
    if tail:  # the header makes every Data long enough to read eight bytes that end there
        total += _mixed(word_le(data, start + length - 8) >> U64(64 - 8 * tail), full)
    total = (total ^ (total >> U64(33))) * U64(0xFF51AFD7ED558CCD)
    total = (total ^ (total >> U64(33))) * U64(0xC4CEB9FE1A85EC53)
    return total ^ (total >> U64(33))


@part
def identity(data: Laid, start: int, length: int) -> np.uint64:
    """A number for a key of at least a header, equal for equal keys: `key_identities` of `grid/maps.py`."""
    return digest(data, start, length) ^ (U64(int32_at(data, start + 4)) * _STEP)


@kernel
def newest(identities: Ints, partitions: Int32s, slots: Numbers, rows: Numbers) -> int:
    """The last row of each key of a partition, in order → the end of `rows`; where in it they begin.

    `slots` holds -1 alone; its size is a power of two, twice that of the others or more.
    """
    mask, begin = U64(slots.size - 1), identities.size
    for back in range(identities.size):
        row = identities.size - 1 - back
        word = U64(identities[row]) ^ (U64(partitions[row]) * _STEP)
        at = (word ^ (word >> U64(32))) & mask
        while slots[at] >= 0 and (identities[slots[at]] != identities[row] or partitions[slots[at]] != partitions[row]):
            at = (at + U64(1)) & mask
        if slots[at] < 0:
            slots[at] = row
            begin -= 1
            rows[begin] = row
    return begin

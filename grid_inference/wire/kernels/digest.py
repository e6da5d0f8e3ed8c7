"""Fingerprints of records and keys as kernels: the digest of `wire/digest.py`, and which events speak of one entry."""

from __future__ import annotations

import numpy as np

from grid_inference.wire.kernels.kernel import Bytes, Halves, Int32s, Ints, Table, Words, kernel, part
from grid_inference.wire.kernels.words import int32_at, words32, words64

__all__ = ["digest", "fingerprints", "identity", "newest"]

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
def digest(eights: Words, start: int, length: int) -> np.uint64:
    """The digest of one Data that lies within the buffer; of less than a header it is 0."""
    size = length - HEADER
    if size < 0:
        return U64(0)
    total = U64(size) * _STEP
    full, tail = size // 8, size % 8
    for number in range(full):
        total += _mixed(eights[U64(start + HEADER + 8 * number)], number)
    if tail:  # the header makes every Data long enough to read eight bytes that end there
        total += _mixed(eights[U64(start + length - 8)] >> U64(64 - 8 * tail), full)
    total = (total ^ (total >> U64(33))) * U64(0xFF51AFD7ED558CCD)
    total = (total ^ (total >> U64(33))) * U64(0xC4CEB9FE1A85EC53)
    return total ^ (total >> U64(33))


@part
def identity(eights: Words, fours: Halves, start: int, length: int) -> np.uint64:
    """A number for a key of at least a header, equal for equal keys: `key_identities` of `grid/maps.py`."""
    return digest(eights, start, length) ^ (U64(int32_at(fours, start + 4)) * _STEP)


@kernel
def fingerprints(
    keys: Bytes, key_starts: Ints, key_lengths: Ints, values: Bytes, starts: Ints, lengths: Ints, found: Table
) -> int:
    """Identity of each key and digest of each value → `found`, shape (2, n); the first row without a key, or -1."""
    key_eights, key_fours, eights, bits = words64(keys), words32(keys), words64(values), found.view(np.uint64)
    for row in range(key_starts.size):
        if key_lengths[row] < HEADER:
            return row
        bits[0, row] = identity(key_eights, key_fours, key_starts[row], key_lengths[row])
        bits[1, row] = digest(eights, starts[row], lengths[row])
    return -1


@kernel
def newest(identities: Ints, partitions: Int32s, rows: Table) -> int:
    """The last row of each key of a partition, in order → the end of `rows[0]`; where in it they begin."""
    size = 16
    while size < 2 * identities.size:
        size *= 2
    slots, mask, begin = np.full(size, -1, np.int64), U64(size - 1), identities.size
    for back in range(identities.size):
        row = identities.size - 1 - back
        word = U64(identities[row]) ^ (U64(partitions[row]) * _STEP)
        at = (word ^ (word >> U64(32))) & mask
        while slots[at] >= 0 and (identities[slots[at]] != identities[row] or partitions[slots[at]] != partitions[row]):
            at = (at + U64(1)) & mask
        if slots[at] < 0:
            slots[at] = row
            begin -= 1
            rows[0, begin] = row
    return begin

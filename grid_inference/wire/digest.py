"""The 64-bit digest of a record, by which a prediction tells which value of its record it belongs to.

Over the bytes of a Data from offset 8 (a Compact record's schema id included; partition hash and type id not). All
arithmetic is modulo 2^64, `>>` shifts zeros in:

1. Cut the bytes into words of eight, little-endian; the last one is filled up with zero bytes. Word i becomes
   `x = w ^ (w >> 32)`, `x = x * m(i)`, `x = x ^ (x >> 29)`, where m(i) is output i (from 0) of SplitMix64 seeded with
   0x67726964_2D696E66, with its lowest bit set: `z = seed + (i + 1) * 0x9E3779B97F4A7C15`,
   `z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9`, `z = (z ^ (z >> 27)) * 0x94D049BB133111EB`, `m = (z ^ (z >> 31)) | 1`.
2. h = sum of all x + number of bytes * 0x9E3779B97F4A7C15.
3. `h = (h ^ (h >> 33)) * 0xFF51AFD7ED558CCD`, `h = (h ^ (h >> 33)) * 0xC4CEB9FE1A85EC53`, `h = h ^ (h >> 33)`, taken
   as a signed 64-bit integer. A Data of fewer than 8 bytes, and a null, has the digest 0, as no bytes at all have.

Two records that differ within one word never have the same digest: every step is a bijection of the word. It is no
defence against somebody who looks for collisions. Test vectors, bytes from offset 8 on in hex → digest:

    (nothing)                               0
    00                                      -7160610219483255062
    0102030405060708                        3435122957273990306
    000102030405060708090a0b0c0d0e0f101112  4008272625333919452

The same in Java: `tests/golden/java/InputDigest.java`.
"""

from __future__ import annotations

import struct
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from grid_inference.wire.blobs import Blobs
from grid_inference.wire.layout import DATA_HEADER_BYTES

__all__ = ["digest_of", "input_digest"]

_MASK = (1 << 64) - 1
_SEED = np.uint64(0x677269642D696E66)
_STEP = np.uint64(0x9E3779B97F4A7C15)
_WORD_BYTES = 8
_ONE_BY_ONE_ROWS_MAX = 4
"""So few rows are done faster without arrays."""
_BLOCK_BYTES = 1 << 19
"""What is worked on at a time stays in a core's cache."""
_GROUP_ROWS_MIN = 128
"""Fewer rows of one length than this go the way of mixed lengths."""


def input_digest(values: Blobs) -> NDArray[np.int64]:
    """The digest of each blob's bytes from offset 8 on, shape (n,)."""
    if len(values) <= _ONE_BY_ONE_ROWS_MAX:
        return np.array([digest_of(value) for value in values.tolist()], np.int64)
    sums = np.zeros(len(values), np.uint64)
    sizes = np.maximum(values.lengths - DATA_HEADER_BYTES, 0)
    if len(values) and bool((sizes == sizes[0]).all()):
        _add_equal(sums, np.arange(len(values)), values, int(sizes[0]))
    else:
        _add_mixed(sums, values, sizes)
    sums += sizes.astype(np.uint64) * _STEP
    return _finish(sums).view(np.int64)


def _add_mixed(sums: NDArray[np.uint64], values: Blobs, sizes: NDArray[np.int64]) -> None:
    found, group, counts = np.unique(sizes, return_inverse=True, return_counts=True)
    for i in np.flatnonzero(counts >= _GROUP_ROWS_MIN).tolist():
        _add_equal(sums, np.flatnonzero(group == i), values, int(found[i]))
    rest = np.flatnonzero((counts < _GROUP_ROWS_MIN)[group])
    ends = np.cumsum(sizes[rest])
    start = 0
    while start < rest.size:
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + _BLOCK_BYTES)))
        rows = rest[start:stop]
        sums[rows] = _sums_ragged(values.take(rows), sizes[rows])
        start = stop


def _add_equal(sums: NDArray[np.uint64], rows: NDArray[np.int64], values: Blobs, size: int) -> None:
    """Rows that all have `size` bytes: words as a matrix, one row of it per word."""
    if not size:
        return
    full, tail = divmod(size, _WORD_BYTES)
    factors = _factors(full + (tail > 0))[:, np.newaxis]
    block = max(1, _BLOCK_BYTES // size)
    whole = rows.size == len(values)
    for start in range(0, rows.size, block):
        part = slice(start, start + block) if whole else rows[start : start + block]
        blobs = Blobs(values.buffer, values.starts[part], values.lengths[part])
        words = np.empty((factors.size, len(blobs)), np.uint64)
        if full:
            words[:full] = blobs.matrix(DATA_HEADER_BYTES, full * _WORD_BYTES).view("<u8").T
        if tail:
            words[full] = _tails(blobs, np.full(len(blobs), tail))
        sums[part] = _mixed(words, factors).sum(axis=0)


def _sums_ragged(blobs: Blobs, sizes: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Rows of any sizes: all their words one behind the other."""
    counts = (sizes + _WORD_BYTES - 1) // _WORD_BYTES
    ends = np.cumsum(counts)
    total = int(ends[-1])
    if not total:
        return np.zeros(len(blobs), np.uint64)
    number = np.arange(total) - np.repeat(ends - counts, counts)
    owner = np.repeat(np.arange(len(blobs)), counts)
    tail = sizes % _WORD_BYTES
    words = np.empty(total, np.uint64)
    last = np.zeros(total, np.bool_)
    last[ends[tail > 0] - 1] = True
    inner = ~last
    words[inner] = blobs.take(owner[inner]).read(DATA_HEADER_BYTES + number[inner] * _WORD_BYTES, "<u8")
    words[last] = _tails(blobs.take(tail > 0), tail[tail > 0])
    mixed = _mixed(words, _factors(int(counts.max()))[number])
    running = np.concatenate([np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)])
    return running[ends] - running[ends - counts]


def _tails(blobs: Blobs, tail: NDArray[np.int64]) -> NDArray[np.uint64]:
    """The last 1 to 7 bytes as a word: the header makes every blob long enough to read eight that end there."""
    words = blobs.read(blobs.lengths - _WORD_BYTES, "<u8").astype(np.uint64)
    return words >> ((_WORD_BYTES - tail) * 8).astype(np.uint64)


def _mixed(words: NDArray[np.uint64], factors: NDArray[np.uint64]) -> NDArray[np.uint64]:
    shifted = words >> np.uint64(32)
    words ^= shifted
    words *= factors
    np.right_shift(words, np.uint64(29), out=shifted)
    words ^= shifted
    return words


def digest_of(value: bytes) -> int:
    """The digest of one Data: in plain integers, which takes less for one than arrays do."""
    size = max(0, len(value) - DATA_HEADER_BYTES)
    count = (size + _WORD_BYTES - 1) // _WORD_BYTES
    words = struct.unpack(f"<{count}Q", value[DATA_HEADER_BYTES:].ljust(count * _WORD_BYTES, b"\0")) if count else ()
    total = size * int(_STEP)
    for word, factor in zip(words, _plain_factors(count), strict=True):
        mixed = (word ^ word >> 32) * factor & _MASK
        total += mixed ^ mixed >> 29
    h = total & _MASK
    h = (h ^ h >> 33) * 0xFF51AFD7ED558CCD & _MASK
    h = (h ^ h >> 33) * 0xC4CEB9FE1A85EC53 & _MASK
    h ^= h >> 33
    return h - (h >> 63 << 64)


@lru_cache(maxsize=256)
def _plain_factors(count: int) -> list[int]:
    return _factors(count).tolist()


@lru_cache(maxsize=256)
def _factors(count: int) -> NDArray[np.uint64]:
    z = _SEED + np.arange(1, count + 1, dtype=np.uint64) * _STEP
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> np.uint64(31))) | np.uint64(1)


def _finish(h: NDArray[np.uint64]) -> NDArray[np.uint64]:
    h = (h ^ (h >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    h = (h ^ (h >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return h ^ (h >> np.uint64(33))

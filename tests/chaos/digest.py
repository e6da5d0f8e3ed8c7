"""The input digest once more, from its description in `grid_inference/wire/digest.py`: one record, plain integers."""

from __future__ import annotations

from itertools import count
from struct import iter_unpack

HEADER_BYTES = 8
STEP = 0x9E3779B97F4A7C15
SEED = 0x677269642D696E66
ALL = 2**64 - 1
_factors: list[int] = []


def factor(index: int) -> int:
    """m(index): an output of SplitMix64, made odd."""
    for i in count(len(_factors)):
        if i > index:
            return _factors[index]
        z = (SEED + (i + 1) * STEP) & ALL
        z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & ALL
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & ALL
        _factors.append((z ^ z >> 31) | 1)
    raise AssertionError


def digest_of(data: bytes) -> int:
    """The digest of a Data: of its bytes behind the header."""
    payload = bytes(data[HEADER_BYTES:])
    h = len(payload) * STEP
    for i, (word,) in enumerate(iter_unpack("<Q", payload + bytes(-len(payload) % 8))):
        x = ((word ^ word >> 32) * factor(i)) & ALL
        h += x ^ x >> 29
    h &= ALL
    for multiplier in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        h = ((h ^ h >> 33) * multiplier) & ALL
    h ^= h >> 33
    return h - 2**64 if h >> 63 else h

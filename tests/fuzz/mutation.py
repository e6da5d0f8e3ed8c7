"""Valid bytes → damaged bytes, as a broken or a hostile writer sends them. Equal generators give equal bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

__all__ = ["mutated"]

TIMES = (1, 1, 1, 2, 3, 4)
REPEATED_BYTES_MAX = 1 << 16
CUT_BYTES_MAX = 64
TAIL_BYTES_MAX = 32
"""As long as the tables of offsets are that records of a dozen fields end with."""
BYTES = (0x00, 0x01, 0x7F, 0x80, 0xFE, 0xFF)
LENGTHS = (0, 1, -1, -2, 0xFE, 0xFF, 0x100, 0xFFFE, 0xFFFF, 0x10000, 0x7FFFFFFF, -0x80000000, 0x10000000)
WORDS = tuple(
    bytes.fromhex(each)
    for each in ("7f800001", "7f800000", "7fffffff", "80000000", "7ff0000000000001", "fff0000000000000")
)
"""A signalling NaN, an infinity, limits: of four bytes and of eight."""
Change = Callable[[np.random.Generator, bytearray, bytes], bytearray]


def mutated(rng: np.random.Generator, whole: bytes, other: bytes, tokens: Sequence[bytes] = ()) -> bytes:
    """`whole` after some changes. Splices take their bytes from `other`; `tokens` are put in as they are."""
    data = bytearray(whole)
    changes = (*CHANGES, _token(tokens)) if tokens else CHANGES
    for _ in range(TIMES[int(rng.integers(len(TIMES)))]):
        data = changes[int(rng.integers(len(changes)))](rng, data, other)
    return bytes(data)


def _place(rng: np.random.Generator, data: bytes | bytearray) -> int:
    """An offset into the data, its end included."""
    return int(rng.integers(len(data) + 1))


def _flip_bit(rng: np.random.Generator, data: bytearray, _: bytes) -> bytearray:
    if data:
        data[int(rng.integers(len(data)))] ^= 1 << int(rng.integers(8))
    return data


def _set_byte(rng: np.random.Generator, data: bytearray, _: bytes) -> bytearray:
    if data:
        data[int(rng.integers(len(data)))] = BYTES[int(rng.integers(len(BYTES)))]
    return data


def _set_length(rng: np.random.Generator, data: bytearray, _: bytes) -> bytearray:
    """Change what may be a length: four bytes of which two neighbours are zero, in either byte order."""
    found = np.frombuffer(bytes(data), np.uint8)
    places = np.flatnonzero((found[:-3] | found[1:-2]) == 0) if rng.random() < 0.5 else np.empty(0, np.intp)
    order = "big"
    if not places.size:
        places, order = np.flatnonzero((found[2:-1] | found[3:]) == 0), "little"
    if not places.size:
        return _set_byte(rng, data, b"")
    at = int(places[int(rng.integers(places.size))])
    value = int.from_bytes(data[at : at + 4], order, signed=True)
    chosen = (value + 1, value - 1, *LENGTHS)[int(rng.integers(len(LENGTHS) + 2))]
    data[at : at + 4] = (chosen & 0xFFFFFFFF).to_bytes(4, order)
    return data


def _set_word(rng: np.random.Generator, data: bytearray, _: bytes) -> bytearray:
    at, word = _place(rng, data), WORDS[int(rng.integers(len(WORDS)))]
    data[at : at + len(word)] = word
    return data


def _truncate(rng: np.random.Generator, data: bytearray, _: bytes) -> bytearray:
    return data[: _place(rng, data)] if rng.random() < 0.5 else data[: -int(rng.integers(1, 5))]


def _cut_out(rng: np.random.Generator, data: bytearray, _: bytes) -> bytearray:
    at = _place(rng, data)
    del data[at : at + int(rng.integers(1, CUT_BYTES_MAX))]
    return data


def _insert(rng: np.random.Generator, data: bytearray, _: bytes) -> bytearray:
    at = _place(rng, data)
    data[at:at] = rng.bytes(int(rng.integers(1, 9)))
    return data


def _repeat(rng: np.random.Generator, data: bytearray, _: bytes) -> bytearray:
    """Some bytes again and again where they stand: deep nesting, long texts, many items."""
    at = _place(rng, data)
    piece = data[at : at + int(rng.integers(1, CUT_BYTES_MAX))]
    times = 2 ** int(rng.integers(1, 17))
    data[at:at] = piece * min(times, REPEATED_BYTES_MAX // max(len(piece), 1))
    return data


def _splice(rng: np.random.Generator, data: bytearray, other: bytes) -> bytearray:
    """The beginning of one, the end of another; or bytes of the other in the place of as many."""
    at, there = _place(rng, data), _place(rng, other)
    if rng.random() < 0.5:
        return data[:at] + other[there:]
    piece = other[there : there + int(rng.integers(1, CUT_BYTES_MAX))]
    data[at : at + len(piece)] = piece
    return data


def _attack_tail(rng: np.random.Generator, data: bytearray, _: bytes) -> bytearray:
    """Change the last bytes, where a record has its table of offsets: all equal, shuffled, or shifted."""
    size = int(rng.integers(1, TAIL_BYTES_MAX))
    tail = np.frombuffer(bytes(data[-size:]), np.uint8)
    if not tail.size:
        return data
    forms = (
        np.full(tail.size, tail[int(rng.integers(tail.size))]),
        np.full(tail.size, BYTES[int(rng.integers(len(BYTES)))], np.uint8),
        rng.permutation(tail),
        tail + np.uint8(rng.integers(1, 256)),
    )
    data[-tail.size :] = forms[int(rng.integers(len(forms)))].tobytes()
    return data


def _token(tokens: Sequence[bytes]) -> Change:
    def put_in(rng: np.random.Generator, data: bytearray, _: bytes) -> bytearray:
        at, token = _place(rng, data), tokens[int(rng.integers(len(tokens)))]
        data[at : at + int(rng.integers(2)) * len(token)] = token
        return data

    return put_in


CHANGES: tuple[Change, ...] = (
    *(_flip_bit, _flip_bit, _set_byte, _set_byte, _set_length, _set_length),  # these leave the length as it is
    _set_word,
    _truncate,
    _cut_out,
    _insert,
    _repeat,
    _splice,
    _attack_tail,
)

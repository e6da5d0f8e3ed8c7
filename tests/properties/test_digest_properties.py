"""The vectorised digest against the one that `digest.py` writes down, word by word."""

from hypothesis import given
from hypothesis import strategies as st
from strategies import scattered

from grid_inference.wire.blobs import Blobs
from grid_inference.wire.digest import input_digest

MASK = 2**64 - 1
STEP = 0x9E3779B97F4A7C15


def factor(i: int) -> int:
    z = 0x677269642D696E66 + (i + 1) * STEP & MASK
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
    return z ^ z >> 31 | 1


def reference(payload: bytes) -> int:
    h = len(payload) * STEP
    for i in range(0, len(payload), 8):
        word = int.from_bytes(payload[i : i + 8], "little")
        x = (word ^ word >> 32) * factor(i // 8) & MASK
        h += x ^ x >> 29
    h &= MASK
    h = (h ^ h >> 33) * 0xFF51AFD7ED558CCD & MASK
    h = (h ^ h >> 33) * 0xC4CEB9FE1A85EC53 & MASK
    h ^= h >> 33
    return h - (h >> 63 << 64)


@given(st.data())
def test_digest_is_what_is_written_down(data: st.DataObject) -> None:
    payloads = data.draw(st.lists(st.binary(max_size=100), max_size=12))
    # So many of one length that they go the way of equal lengths, beside those of mixed lengths.
    payloads += [payload[:17] for payload in payloads] * data.draw(st.sampled_from([0, 1, 150]))
    header = data.draw(st.binary(min_size=8, max_size=8))
    blobs = data.draw(scattered([header + payload for payload in payloads])) if len(payloads) < 50 else None
    blobs = blobs or Blobs.of([header + payload for payload in payloads])
    assert input_digest(blobs).tolist() == [reference(payload) for payload in payloads]


@given(st.lists(st.binary(max_size=7), max_size=5))
def test_less_than_a_header_digests_as_nothing(items: list[bytes]) -> None:
    assert input_digest(Blobs.of(items)).tolist() == [0] * len(items)


@given(st.binary(min_size=8, max_size=64), st.integers(0, 63), st.integers(1, 255))
def test_one_changed_byte_changes_the_digest(payload: bytes, at: int, change: int) -> None:
    other = bytearray(payload)
    other[at % len(payload)] ^= change
    first, second = input_digest(Blobs.of([bytes(8) + payload, bytes(8) + bytes(other)])).tolist()
    assert first != second

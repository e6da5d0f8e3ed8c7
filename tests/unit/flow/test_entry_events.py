"""Events of entry listeners: many that are alike are cut off a stream at once, and name their keys."""

from __future__ import annotations

import struct
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grid_inference.flow.listen import PendingKeys
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.protocol import frames as f
from grid_inference.wire.protocol import messages

EVENT_FLAGS = f.UNFRAGMENTED | f.IS_EVENT
NULL = struct.pack("<iH", 6, f.IS_NULL)


def frame(payload: bytes, flags: int = 0) -> bytes:
    return struct.pack("<iH", 6 + len(payload), flags) + payload


def event(key: bytes | None, *, correlation: int = 7, partition: int = -1, kind: int = 1) -> bytes:
    """An entry event without values: type 0x011902, three null values, nobody's uuid."""
    fixed = struct.pack("<iqi", 0x011902, correlation, partition) + struct.pack("<i", kind) + bytes(17 + 4)
    last = struct.pack("<iH", 6, f.IS_NULL | f.IS_FINAL)
    return frame(fixed, EVENT_FLAGS) + (NULL if key is None else frame(key)) + NULL * 2 + last


def events(stream: bytes, chunk: int) -> Iterable[tuple[f.Message, np.ndarray]]:
    scanner = f.Scanner()
    for start in range(0, len(stream), chunk):
        scanner.feed(stream[start : start + chunk])
        while message := scanner.next_message():
            yield message, scanner.next_like(message)
    assert not len(scanner)


@given(
    keys=st.lists(st.binary(max_size=3) | st.none(), max_size=40),
    others=st.sets(st.integers(0, 39)),
    chunk=st.integers(1, 400),
)
def test_keys_are_those_of_the_events_one_by_one(keys: list[bytes | None], others: set[int], chunk: int) -> None:
    """Keys of different sizes, another listener's events among them, however the stream is cut."""
    parts = [
        event(key, correlation=8 if index in others else 7, partition=index, kind=1 + index % 3)
        for index, key in enumerate(keys)
    ]
    found = list[tuple[int, bytes | None]]()
    for message, like in events(b"".join(parts), chunk):
        named = messages.decode_entry_keys(message, like)
        count = 1 + len(like)
        some: list[bytes | None] = [None] * count if named is None else list(named.tolist())
        assert len(some) == count
        found += [(message.correlation, key) for key in some]
    assert found == [(8 if index in others else 7, key) for index, key in enumerate(keys)]


def test_a_run_of_like_events_is_cut_off_at_once() -> None:
    stream = b"".join(event(struct.pack(">q", number)) for number in range(100)) + event(b"longer than the others")
    (first, like), (last, nothing) = events(stream, 1 << 20)
    assert (len(like), len(nothing)) == (99, 0)
    keys = messages.decode_entry_keys(first, like)
    assert keys is not None
    assert keys.tolist() == [struct.pack(">q", number) for number in range(100)]
    assert messages.decode_entry_event(last)[1] == b"longer than the others"


def test_a_message_without_a_whole_header_is_like_no_other() -> None:
    short = frame(b"", EVENT_FLAGS | f.IS_FINAL)
    found = list(events(short * 3, 1 << 20))
    assert [(message.data, len(like)) for message, like in found] == [(short, 0)] * 3


def key_blobs(numbers: Iterable[int]) -> Blobs:
    return Blobs.of([struct.pack(">iiq", 0, -8, number) for number in numbers])


def test_pending_keys_are_each_there_once_and_the_newest_event_counts() -> None:
    pending = PendingKeys(100)
    assert not pending
    assert pending.add(key_blobs([1, 2, 3]))
    assert pending.add(key_blobs([2, 4]))
    assert pending.take(2).tolist() == key_blobs([1, 3]).tolist()
    assert pending.take(10).tolist() == key_blobs([2, 4]).tolist()
    assert not pending
    assert len(pending.take(10)) == 0


def test_keys_that_come_again_and_again_do_not_count_as_many() -> None:
    pending = PendingKeys(10)
    assert all(pending.add(key_blobs([1, 2, 3])) for _ in range(50))
    assert len(pending) <= 10
    assert pending.add(key_blobs(range(10)))
    assert not pending.add(key_blobs(range(10, 12)))
    assert len(pending) == 12


@pytest.mark.parametrize("chunk", [1, 64, 1 << 20])
def test_what_is_not_alike_stays_in_the_stream(chunk: int) -> None:
    stream = (
        event(b"aaaa") + frame(b"\1\2\3\4" + struct.pack("<q", 9) + b"\0", f.UNFRAGMENTED | f.IS_FINAL) + event(b"bbbb")
    )
    assert [(message.correlation, len(like)) for message, like in events(stream, chunk)] == [(7, 0), (9, 0), (7, 0)]

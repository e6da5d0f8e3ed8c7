"""Answers of any bytes give a value or DecodeError: never a hang, an over-read, or another exception."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hazelcast.config import Config
from hazelcast.serialization.data import Data
from hazelcast.serialization.objects import ReliableTopicMessage
from hazelcast.serialization.service import SerializationServiceV1
from hypothesis import given
from hypothesis import strategies as st

from grid_inference.errors import DecodeError
from grid_inference.grid.maps import key_identities
from grid_inference.wire.digest import input_digest
from grid_inference.wire.json import values as json_values
from grid_inference.wire.protocol import expiry, journal, mapconfig, messages, topics
from grid_inference.wire.protocol import frames as f


def frame(payload: bytes, flags: int = 0) -> bytes:
    return struct.pack("<iH", 6 + len(payload), flags) + payload


def data(key: bytes) -> bytes:
    return struct.pack(">ii", 0, -11) + key


def journal_item(kind: int, key: bytes, value: bytes | None, old: bytes | None, lost: int | None) -> bytes:
    parts = b"".join(
        struct.pack(">i", -1) if part is None else struct.pack(">i", len(part)) + part for part in (key, value, old)
    )
    tail = b"" if lost is None else bytes([lost])
    return struct.pack(">ii?iii", 0, -2, True, -20, 132, kind) + parts + tail


def journal_answer(items: list[bytes], start: int = 0) -> bytes:
    head = struct.pack("<iqBiq", 0x014201, 1, 0, len(items), start + len(items))
    sequences = struct.pack(f"<{len(items)}q", *range(start, start + len(items)))
    body = [frame(head, f.UNFRAGMENTED), frame(b"", f.BEGIN), *map(frame, items), frame(b"", f.END)]
    return b"".join([*body, frame(sequences, f.IS_FINAL)])


def decode_journal(message: f.Message) -> Any:
    page = journal.decode_page(message)
    return journal.decode_items([page]) if page.count else page


DECODERS: list[Callable[[f.Message], Any]] = [
    decode_journal,
    journal.decode_range,
    messages.decode_data,
    messages.decode_flag,
    messages.decode_size,
    messages.decode_entries,
    messages.decode_values,
    messages.decode_scan_page,
    messages.decode_entry_event,
    expiry.decode_map_limits,
    expiry.decode_entry_times,
    mapconfig.decode_member_config,
    topics.decode_ring_page,
    topics.decode_tail,
    topics.decode_topic_event,
]

entries = st.tuples(
    st.sampled_from([1, 2, 4, 8]),
    st.binary(max_size=12).map(data),
    st.none() | st.binary(max_size=20),
    st.none() | st.binary(max_size=20),
    st.sampled_from([None, 0, 1]),
)


@given(st.lists(entries, min_size=1, max_size=40), st.integers(0, 2**40))
def test_journal_items_come_back_as_they_were(items: list[tuple[Any, ...]], start: int) -> None:
    (message,) = f.message_ends(journal_answer([journal_item(*item) for item in items], start))
    page = journal.decode_page(message)
    assert (page.count, page.first_sequence, page.next_sequence) == (len(items), start, start + len(items))
    found = journal.decode_items([page, page])
    assert found.keys.tolist() == [item[1] for item in items] * 2
    assert found.types.tolist() == [item[0] for item in items] * 2
    assert found.lost.tolist() == [bool(item[4]) for item in items] * 2
    values = [None if item[0] & journal.GONE else item[2] for item in items] * 2
    assert found.values.tolist() == [value or b"" for value in values]
    assert (found.values.lengths < 0).tolist() == [value is None for value in values]
    assert found.identities.tolist() == key_identities(found.keys).tolist()
    assert found.digests.tolist() == input_digest(found.values).tolist()


@given(st.lists(st.binary(max_size=60), max_size=20), st.integers(0, 2**40), st.integers(0, 5))
def test_items_of_a_ring_come_back_as_they_were(items: list[bytes], start: int, lost: int) -> None:
    head = struct.pack("<iqBiq", 0x170901, 1, 0, len(items), start + lost + len(items))
    body = [frame(head, f.UNFRAGMENTED), frame(b"", f.BEGIN), *map(frame, items), frame(b"", f.END)]
    (message,) = f.message_ends(b"".join([*body, frame(b"", f.IS_NULL | f.IS_FINAL)]))
    page = topics.decode_ring_page(message)
    assert page.items == items
    assert page.next_sequence - len(page.items) - start == lost


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A journal answer with some bytes changed or cut away."""
    items = [journal_item(*item) for item in draw(st.lists(entries, min_size=1, max_size=12))]
    whole = bytearray(journal_answer(items))
    for place in draw(st.lists(st.integers(0, len(whole) - 1), max_size=6)):
        whole[place] = draw(st.integers(0, 255))
    return bytes(whole[: draw(st.integers(0, len(whole)))] if draw(st.booleans()) else whole)


@st.composite
def framed(draw: st.DrawFn) -> bytes:
    """Frames of any content that end with a final one."""
    flags = st.sampled_from([0, f.BEGIN, f.END, f.IS_NULL, f.UNFRAGMENTED])
    some = [frame(draw(st.binary(max_size=40)), draw(flags)) for _ in range(draw(st.integers(0, 8)))]
    return b"".join([*some, frame(draw(st.binary(max_size=40)), draw(flags) | f.IS_FINAL)])


@pytest.mark.parametrize("decode", DECODERS)
@given(stream=st.one_of(damaged(), framed(), st.binary(max_size=300)))
def test_any_bytes_give_a_value_or_a_decode_error(decode: Callable[[f.Message], Any], stream: bytes) -> None:
    try:
        for message in f.message_ends(stream):
            decode(message)
    except DecodeError:
        pass


@given(st.binary(max_size=60))
def test_any_stored_value_gives_a_value_or_a_decode_error(stored: bytes) -> None:
    for decode in (json_values.decode_json, json_values.decode_bytes):
        with contextlib.suppress(DecodeError):
            decode(stored)


@given(st.binary(max_size=60))
def test_any_ring_item_gives_its_content_or_none(item: bytes) -> None:
    content = topics.decode_ring_item(item)
    assert content is None or item.endswith(content)


@given(st.binary(max_size=60))
def test_what_the_stock_client_publishes_is_read(content: bytes) -> None:
    service = SerializationServiceV1(Config())
    item = service.to_data(ReliableTopicMessage(1.5, None, Data(data(content)))).buffer
    assert topics.decode_ring_item(item) == data(content)
    assert topics.decode_ring_item(item + b"x") is None


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=9))
def test_json_values_come_back(value: Any) -> None:
    assert json_values.decode_json(json_values.encode_json(value)) == value


@given(st.binary())
def test_byte_arrays_come_back(content: bytes) -> None:
    assert json_values.decode_bytes(json_values.encode_bytes(content)) == content

"""Finding messages in a stream: literal bytes in, frames out; however the bytes are cut."""

from __future__ import annotations

import random
import struct

import numpy as np
import pytest

from grid_inference.errors import DecodeError
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.protocol import frames as f
from grid_inference.wire.protocol import messages


def frame(payload: bytes, flags: int = 0) -> bytes:
    return struct.pack("<iH", 6 + len(payload), flags) + payload


def test_a_request_is_these_bytes() -> None:
    written = f.request(0x012A00, b"", f.string_frame("map"))
    assert bytes(written) == bytes.fromhex("16000000 00c0 002a0100 0000000000000000 ffffffff 09000000 0020 6d6170")


def test_a_request_that_ends_in_a_list_is_final_at_the_end_frame() -> None:
    written = f.request(1, b"", f.list_of_data([b"a", b"bc"]))
    assert written[-6:] == struct.pack("<iH", 6, f.END | f.IS_FINAL)


def test_a_request_without_frames_is_final_itself() -> None:
    assert struct.unpack_from("<iH", f.request(1, b"x")) == (23, f.UNFRAGMENTED | f.IS_FINAL)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 8, 9, 100, 5_000])
@pytest.mark.parametrize("sizes", [(10,), (10, 200), (10, 200, 30)])
@pytest.mark.parametrize("chunk", [1, 7, 1_000, 1 << 20])
def test_frames_are_found_however_the_stream_is_cut(count: int, sizes: tuple[int, ...], chunk: int) -> None:
    if chunk == 1 and count > 100:
        pytest.skip("the same as with fewer frames, and slow")
    payloads = [bytes([index % 251]) * sizes[index % len(sizes)] for index in range(count)]
    data = frame(b"head", f.UNFRAGMENTED) + b"".join(map(frame, payloads)) + frame(b"tail", f.IS_FINAL)
    scanner, found = f.Scanner(), list[f.Message]()
    stream = data * 4
    for start in range(0, len(stream), chunk):
        scanner.feed(stream[start : start + chunk])
        while message := scanner.next_message():
            found.append(message)
    assert [message.data for message in found] == [data] * 4
    assert not len(scanner)
    for message in found:
        blobs, flags = message.frames()
        assert blobs.tolist() == [b"head", *payloads, b"tail"]
        assert int(flags[0]) == f.UNFRAGMENTED
        assert int(flags[-1]) == f.IS_FINAL


@pytest.mark.parametrize("seed", range(6))
def test_frames_are_found_where_long_runs_and_irregular_ones_take_turns(seed: int) -> None:
    chance = random.Random(seed)
    payloads: list[bytes] = []
    while len(payloads) < 6_000:
        sizes = chance.choices((10, 11, 40, 200), k=2)
        several = chance.choice((1, 3, 40, 900))
        payloads += [bytes([several % 251]) * sizes[index % 2] for index in range(several)]
        payloads += [bytes(chance.choice((10, 40))) for _ in range(chance.choice((0, 5, 700)))]
    data = frame(b"head", f.UNFRAGMENTED) + b"".join(map(frame, payloads)) + frame(b"tail", f.IS_FINAL)
    stream, scanner, found = data * 2, f.Scanner(), list[f.Message]()
    while stream:
        size = chance.choice((1, 100, 60_000))
        scanner.feed(stream[:size])
        stream = stream[size:]
        while message := scanner.next_message():
            found.append(message)
    assert [message.data for message in found] == [data] * 2
    assert all(message.frames()[0].tolist() == [b"head", *payloads, b"tail"] for message in found)


@pytest.mark.parametrize("length", [0, 5, -1, (1 << 30) + 1])
def test_an_impossible_length_is_a_damaged_stream(length: int) -> None:
    scanner = f.Scanner()
    scanner.feed(struct.pack("<iH", length, 0))
    with pytest.raises(DecodeError, match="damaged"):
        scanner.next_message()


def test_bytes_left_over_are_reported() -> None:
    with pytest.raises(DecodeError, match="left over"):
        f.message_ends(frame(b"x", f.IS_FINAL) + b"\x01")


@pytest.mark.parametrize(("byte", "flag"), [(0, False), (1, True), (2, False), (255, False)])
def test_a_flag_is_one_or_it_is_not_set(byte: int, flag: bool) -> None:  # noqa: FBT001
    (message,) = f.message_ends(frame(bytes(13) + bytes([byte]), f.UNFRAGMENTED | f.IS_FINAL))
    assert messages.decode_flag(message) is flag


def test_put_all_lays_out_keys_and_values_by_partition() -> None:
    keys = Blobs.of([b"k1", b"k22", b"k3", b"k4"])
    values = Blobs.of([b"v1", b"v2", b"v333", b"v4"])
    partitions = np.array([5, 3, 5, 5], np.int32)
    found = dict(messages.put_all_requests("m", keys, values, partitions))
    assert sorted(found) == [3, 5]
    (three,), (five,) = (f.message_ends(bytes(found[partition])) for partition in (3, 5))
    assert three.frames()[0].tolist()[1:] == [b"m", b"", b"k22", b"v2", b""]
    entries = five.frames()[0].tolist()[3:-1]
    assert dict(zip(entries[0::2], entries[1::2], strict=True)) == {b"k1": b"v1", b"k3": b"v333", b"k4": b"v4"}


def test_put_all_is_cut_where_a_message_would_grow_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "MESSAGE_BYTES_MAX", 100)
    keys = Blobs.of([bytes([index]) for index in range(20)])
    values = Blobs.of([bytes(20)] * 20)
    found = list(messages.put_all_requests("m", keys, values, np.zeros(20, np.int32)))
    assert len(found) > 5
    seen = [payload for _, body in found for payload in f.message_ends(bytes(body))[0].frames()[0].tolist()[3:-1:2]]
    assert seen == keys.tolist()


@pytest.mark.parametrize("count", [3, 100])
def test_put_all_keeps_the_order_of_rows_with_equal_keys(count: int) -> None:
    keys = Blobs.of([b"key"] * count)
    values = Blobs.of([bytes(count - index) for index in range(count)])
    [(_, body)] = messages.put_all_requests("m", keys, values, np.zeros(count, np.int32))
    entries = f.message_ends(bytes(body))[0].frames()[0].tolist()[3:-1]
    assert entries[1::2] == values.tolist()


@pytest.mark.parametrize("limit", [1, 60, 61, 100, 1_000])
def test_each_cut_of_put_all_is_as_large_as_may_be(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messages, "MESSAGE_BYTES_MAX", limit)
    rows = 40
    keys = Blobs.of([bytes([index]) for index in range(rows)])
    values = Blobs.of([bytes(index) for index in range(rows)])
    partitions = np.arange(rows, dtype=np.int32) % 2
    found = [
        (partition, f.message_ends(bytes(body))[0].frames()[0].tolist()[3:-1])
        for partition, body in messages.put_all_requests("m", keys, values, partitions)
    ]
    for partition in (0, 1):
        mine = [entries for each, entries in found if each == partition]
        assert [key for entries in mine for key in entries[0::2]] == [bytes([row]) for row in range(partition, rows, 2)]
        sizes = [sum(6 + len(payload) for payload in entries) for entries in mine]
        assert all(size <= limit or len(entries) == 2 for size, entries in zip(sizes, mine, strict=True))
        firsts = [sum(6 + len(payload) for payload in entries[:2]) for entries in mine]
        assert all(size + first > limit for size, first in zip(sizes, firsts[1:], strict=False))


def test_answers_are_read_in_one_pass_as_one_by_one() -> None:
    chance = random.Random(1)
    bodies = list[bytes]()
    for count in (0, 1, 3, 40, 0, 7):
        sizes = (chance.choice((9, 16)), chance.choice((20, 30)))
        pairs = [bytes([index]) * sizes[index % 2] for index in range(2 * count)]
        pieces = [f.BEGIN_FRAME, *map(frame, pairs), frame(b"", f.END | f.IS_FINAL)]
        bodies.append(frame(bytes(13), f.UNFRAGMENTED) + b"".join(pieces))
    answers = f.message_ends(b"".join(bodies))
    keys, values = messages.decode_entries(*answers)
    alone = [messages.decode_entries(answer) for answer in answers]
    assert keys.tolist() == [key for each, _ in alone for key in each.tolist()]
    assert values.tolist() == [value for _, each in alone for value in each.tolist()]
    assert len(keys) == 51


@pytest.mark.parametrize("damage", ["no begin", "no end", "odd", "flag", "short"])
def test_one_damaged_answer_among_others_is_refused(damage: str) -> None:
    whole = [frame(b"k"), frame(b"v")]
    inner = {"odd": whole[:1], "flag": [frame(b"k"), frame(b"v", f.IS_NULL)]}.get(damage, whole)
    begin, end = (frame(b"", f.BEGIN), frame(b"", f.END | f.IS_FINAL))
    pieces = {
        "no begin": [frame(b"", f.IS_NULL), *inner, end],
        "no end": [begin, *inner, frame(b"", f.IS_FINAL)],
        "short": [frame(b"", f.IS_FINAL)],
    }.get(damage, [begin, *inner, end])
    good = frame(bytes(13), f.UNFRAGMENTED) + b"".join([begin, *whole, end])
    bad = frame(bytes(13), f.UNFRAGMENTED) + b"".join(pieces)
    with pytest.raises(DecodeError, match="list of entries"):
        messages.decode_entries(*f.message_ends(good + bad + good))

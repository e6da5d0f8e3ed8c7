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

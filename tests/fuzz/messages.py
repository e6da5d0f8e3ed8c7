"""Targets: the stream of messages, answers of maps and of event journals. Oracles: a plain walk, the stock client."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from hazelcast.protocol.client_message import Frame, InboundMessage
from hazelcast.protocol.codec import (
    map_add_entry_listener_codec,
    map_get_all_codec,
    map_get_codec,
    map_get_entry_view_codec,
    map_replace_if_same_codec,
    map_size_codec,
    map_values_codec,
)

from grid_inference.errors import DecodeError
from grid_inference.wire.protocol import expiry, journal, messages
from grid_inference.wire.protocol import frames as f

from .case import Case, OnlyStockError, Target
from .inputs import ANSWER_KINDS, Inputs, pick
from .limits import NOTHING, read_by_stock
from .mutation import mutated

__all__ = ["MESSAGES"]

CHUNKS = (1, 5, 64, 1000, 1 << 20)
FLAGS = (0, f.BEGIN, f.END, f.IS_NULL, f.IS_FINAL, f.UNFRAGMENTED, f.IS_EVENT, 0xFFFF)
Frames = list[tuple[int, bytes]]


def _walk(stream: bytes) -> tuple[list[Frames], bool]:
    """Messages of a stream, one frame at a time, and whether it is damaged behind them."""
    found, frames, at = list[Frames](), Frames(), 0
    while at + f.FRAME_HEADER_BYTES <= len(stream):
        length, flags = f.HEADER.unpack_from(stream, at)
        if not f.FRAME_HEADER_BYTES <= length <= f.FRAME_BYTES_MAX:
            return found, True
        if at + length > len(stream):
            break
        frames.append((flags, stream[at + f.FRAME_HEADER_BYTES : at + length]))
        at += length
        if flags & f.IS_FINAL:
            found.append(frames)
            frames = []
    return found, False


# ---- the stream


def _make_stream(rng: np.random.Generator, inputs: Inputs) -> Case:
    answers = [pick(rng, inputs.answers[pick(rng, list(ANSWER_KINDS))]) for _ in range(int(rng.integers(1, 5)))]
    stream = b"".join(answers)
    if rng.random() < 0.85:
        stream = mutated(rng, stream, answers[0])
    return Case((stream,), names=(str(pick(rng, CHUNKS)),))


def _scan(case: Case) -> tuple[list[f.Message], bool]:
    """Messages up to where the stream is damaged, if it is."""
    (stream,), chunk = case.items, int(case.names[0])
    scanner, found = f.Scanner(), list[f.Message]()
    for start in range(0, len(stream), chunk):
        scanner.feed(stream[start : start + chunk])
        try:
            while message := scanner.next_message():
                found.append(message)
        except DecodeError:
            return found, True
    return found, False


def _check_stream(case: Case, found: tuple[list[f.Message], bool]) -> None:
    every, damaged = found
    frames: list[Frames] = []
    for message in every:
        payloads, flags = message.frames()
        frames.append(list(zip(flags.tolist(), payloads.tolist(), strict=True)))
    assert (frames, damaged) == _walk(case.items[0])


# ---- answers


def _make_answer(kind: str, rng: np.random.Generator, inputs: Inputs) -> Case:
    """An answer with damaged payloads or frames; now and then of another kind than its reader's."""
    if rng.random() < 0.1:
        kind = pick(rng, list(ANSWER_KINDS))
    answer = pick(rng, inputs.answers[kind])
    form = rng.random()
    if form < 0.1:
        return Case((answer,))
    if form < 0.3:
        return Case((mutated(rng, answer, pick(rng, inputs.answers[kind])),))
    (frames,) = _walk(answer)[0]
    for _ in range(int(rng.integers(1, 4))):
        _damage(rng, frames)
    return Case((b"".join(f.HEADER.pack(f.FRAME_HEADER_BYTES + len(data), flags) + data for flags, data in frames),))


def _damage(rng: np.random.Generator, frames: Frames) -> None:
    """Change one frame's payload, its flags, or where it stands."""
    at, form = int(rng.integers(len(frames))), rng.random()
    flags, payload = frames[at]
    if form < 0.5:
        frames[at] = (flags, mutated(rng, payload, pick(rng, frames)[1]))
    elif form < 0.65:
        frames[at] = (flags ^ pick(rng, FLAGS), payload)
    elif form < 0.75 and len(frames) > 1:
        del frames[at]
    elif form < 0.9:
        frames.insert(at, pick(rng, frames))
    else:
        other = int(rng.integers(len(frames)))
        frames[at], frames[other] = frames[other], frames[at]


def _decode(read: Callable[[f.Message], Any], case: Case) -> list[Any]:
    return [read(message) for message in f.message_ends(case.items[0])]


def _check_answer(stock: Callable[[Any], Any], case: Case, found: Any) -> None:
    """Where the stock client reads every message too, it reads the same."""
    try:
        every = f.message_ends(case.items[0])
    except DecodeError:
        return
    theirs = [read_by_stock(partial(stock, _stock_message(message))) for message in every]
    if any(each is NOTHING for each in theirs):
        return
    if isinstance(found, DecodeError):
        raise OnlyStockError(str(found))
    assert found == theirs


def _read_entries(message: f.Message) -> list[tuple[bytes, bytes]]:
    keys, values = messages.decode_entries(message)
    return list(zip(keys.tolist(), values.tolist(), strict=True))


def _read_page(message: f.Message) -> tuple[Any, ...]:
    page = messages.decode_scan_page(message)
    return page.keys.tolist(), page.values.tolist(), page.next


def _stock_message(message: f.Message) -> InboundMessage:
    payloads, flags = message.frames()
    first, *others = map(Frame, payloads.tolist(), flags.tolist())
    stock = InboundMessage(first)
    for each in others:
        stock.add_frame(each)
    return stock


def _data(found: Any) -> bytes | None:
    return None if found is None else bytes(found.buffer)


def _stock_event(message: Any) -> tuple[Any, ...]:
    found: list[tuple[Any, ...]] = []
    map_add_entry_listener_codec.handle(message, lambda *event: found.append(event))
    (key, value, old, _, kind, *_) = found[0]
    return (kind, _data(key), _data(value), _data(old))


def _stock_times(message: Any) -> tuple[int, int] | None:
    view = map_get_entry_view_codec.decode_response(message)["response"]
    return None if view is None else (view.ttl, view.max_idle)


STOCK: dict[str, Callable[[Any], Any]] = {
    "data": lambda message: _data(map_get_codec.decode_response(message)),
    "flag": map_replace_if_same_codec.decode_response,
    "size": map_size_codec.decode_response,
    "values": lambda message: [_data(each) for each in map_values_codec.decode_response(message)],
    "entries": lambda message: [(_data(k), _data(v)) for k, v in map_get_all_codec.decode_response(message)],
    "entry event": _stock_event,
    "entry times": _stock_times,
}
READERS: dict[str, Callable[[f.Message], Any]] = {
    "data": messages.decode_data,
    "flag": messages.decode_flag,
    "size": messages.decode_size,
    "values": messages.decode_values,
    "entries": _read_entries,
    "scan page": _read_page,
    "entry event": messages.decode_entry_event,
    "journal range": journal.decode_range,
    "map limits": expiry.decode_map_limits,
    "entry times": expiry.decode_entry_times,
}


# ---- journals


def _decode_journal(case: Case) -> list[Any]:
    return _rows(case, 1)


def _rows(case: Case, times: int) -> list[Any]:
    """Every item of every page; many at once are read another way than few."""
    pages = [journal.decode_page(message) for message in f.message_ends(case.items[0])] * times
    some = [page for page in pages if page.count]
    if not some:
        return []
    items = journal.decode_items(some)
    columns = (items.keys.tolist(), items.values.tolist(), items.values.lengths, items.types, items.lost)
    columns += (items.identities, items.digests)
    return [tuple(row) for row in zip(*map(list, columns), strict=True)]


def _check_journal(case: Case, found: Any) -> None:
    times = 33
    try:
        many = _rows(case, times)
    except DecodeError:
        assert isinstance(found, DecodeError)
    else:
        assert many == found * times


MESSAGES = (
    Target("message stream", _make_stream, _scan, _check_stream, refuses=False, weight=2),
    *(
        Target(
            f"answer {kind}",
            partial(_make_answer, kind),
            partial(_decode, read),
            partial(_check_answer, STOCK[kind]) if kind in STOCK else None,
        )
        for kind, read in READERS.items()
    ),
    Target("answer journal", partial(_make_answer, "journal"), _decode_journal, _check_journal, weight=4),
)

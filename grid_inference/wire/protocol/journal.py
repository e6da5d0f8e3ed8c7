"""Event-journal messages of a map: requests, and responses as columns of keys, new values and event types.

A journal item is a Data of an identified object:

    offset  type      meaning
    0       int32 BE  partition hash
    4       int32 BE  type id, -2
    8       uint8     1: identified
    9       int32 BE  factory
    13      int32 BE  class, 132
    17      int32 BE  event type (Hazelcast's `EntryEventType`; see below)
    21      3 x       key, new value, old value: int32 BE length (-1: null), then that many bytes of Data
    end     uint8     from 5.7 on: 1 if events were lost before this one

Items of one response have several lengths, because updates carry the old value: all offsets are vectors.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grid_inference.errors import DecodeError
from grid_inference.wire.blobs import FEW, Blobs
from grid_inference.wire.protocol import frames as f

__all__ = [
    "JournalItems",
    "JournalPage",
    "decode_items",
    "decode_page",
    "decode_range",
    "range_request",
    "read_request",
]

SUBSCRIBE = 0x014100
READ = 0x014200

ADDED, REMOVED, UPDATED, EVICTED, EXPIRED, EVICT_ALL, CLEAR_ALL, MERGED, INVALIDATION, LOADED = (
    1 << bit for bit in range(10)
)
"""Numbers of `com.hazelcast.core.EntryEventType`. A map's journal has ADDED, REMOVED, UPDATED, EVICTED and LOADED: it
writes an expiry and each entry of `evict_all` as EVICTED, of `clear` as REMOVED, a merge as ADDED or UPDATED. Listeners
get these as what they are; INVALIDATION is for near caches."""

GONE = REMOVED | EVICTED | EXPIRED | EVICT_ALL | CLEAR_ALL
"""Event types, which are bits, of entries that are no more."""

_read_fixed = struct.Struct("<qii")
_read_answer = struct.Struct("<iq")
_range_answer = struct.Struct("<qq")
_correlation_sequence = struct.Struct("<q")
_item_head = struct.Struct(">iiBiiii")
_length = struct.Struct(">i")
_IDENTIFIED = -2
_KEY_BYTES_MIN = 8
_HEAD = np.dtype([("hash", ">i4"), ("type", ">i4"), ("identified", "u1"), ("factory", ">i4"), ("class", ">i4")])
_EVENT_TYPE_OFFSET = 17
_KEY_OFFSET = 21


@dataclass(frozen=True, slots=True)
class JournalPage:
    """One response, not yet looked into: how many items, their sequences, and the message that holds them."""

    message: f.Message
    count: int
    first_sequence: int
    """Sequence of the first item; -1 if there is none."""
    next_sequence: int
    """Sequence to read from next; only meaningful if `count` > 0."""


@dataclass(frozen=True, slots=True, eq=False)
class JournalItems:
    """n journal items as columns."""

    keys: Blobs
    """Key Data as they came."""
    values: Blobs
    """New values; length -1 where the entry went."""
    types: NDArray[np.int32]
    """Event types, shape (n,)."""
    lost: NDArray[np.bool_]
    """True where the member says that events were lost before this one; members before 5.7 never say."""

    @property
    def records(self) -> Blobs:
        """The new values, null where the entry is no more, whatever value its item still holds."""
        gone = (self.types & GONE) != 0
        if not bool(gone.any()):
            return self.values
        return Blobs(self.values.buffer, self.values.starts, np.where(gone, -1, self.values.lengths))


def range_request(name: str) -> bytearray:
    """Map.EventJournalSubscribe: which sequences a partition's journal holds; `decode_range` reads the answer."""
    return f.request(SUBSCRIBE, b"", f.string_frame(name))


def decode_range(message: f.Message) -> tuple[int, int]:
    """(oldest, newest) sequence; newest is oldest - 1 where the journal is empty."""
    oldest, newest = message.fixed(_range_answer)
    return oldest, newest


def read_request(name: str, start: int, items_min: int, items_max: int) -> bytearray:
    """Map.EventJournalRead from a sequence on; parks until `items_min` are there. No predicate, no projection."""
    fixed = _read_fixed.pack(start, items_min, items_max)
    return f.request(READ, fixed, f.string_frame(name), f.NULL_FRAME, f.NULL_FRAME)


def decode_page(message: f.Message) -> JournalPage:
    """The frame around the items: header, BEGIN, items, END, sequences. The items wait for `decode_items`."""
    count, following = message.fixed(_read_answer)
    if count < 0:
        raise DecodeError(f"a journal response claims {count} items")
    if not count:
        return JournalPage(message, 0, -1, following)
    last = message.runs[-1][0] if message.runs else 0
    length, flags = f.HEADER.unpack_from(message.data, last)
    if flags & f.IS_NULL or length != f.FRAME_HEADER_BYTES + count * 8:
        raise DecodeError(f"a journal response of {count} items lacks their sequences")
    first = _correlation_sequence.unpack_from(message.data, last + f.FRAME_HEADER_BYTES)[0]
    return JournalPage(message, count, first, following)


def decode_items(pages: Sequence[JournalPage]) -> JournalItems:
    """The items of several responses, one behind the other, in one pass."""
    items = _item_blobs(pages)
    if len(items) <= FEW:
        return _few_items(items)
    head = items.read(0, _HEAD)
    if not bool(((head["type"] == _IDENTIFIED) & (head["identified"] == 1)).all()):
        raise DecodeError("a journal item is not an identified object: is it a map's event journal?")
    types = items.read(_EVENT_TYPE_OFFSET, ">i4").astype(np.int32)
    keys, after_key = _nested(items, np.full(len(items), _KEY_OFFSET, np.int64))
    values, after_value = _nested(items, after_key)
    _, after_old = _nested(items, after_value)
    if bool((keys.lengths < _KEY_BYTES_MIN).any()):
        raise DecodeError("a journal item has no key")
    lost = np.zeros(len(items), np.bool_)
    flagged = items.lengths > after_old
    if bool(flagged.any()):
        lost[flagged] = items.take(flagged).read(after_old[flagged], "u1") != 0
    return JournalItems(keys, values, types, lost)


def _few_items(items: Blobs) -> JournalItems:
    """The same, one by one."""
    found: list[tuple[int, int, int, int, int, bool]] = []
    for start, item in zip(items.starts.tolist(), items.tolist(), strict=True):
        try:
            _, kind, identified, _, _, event_type, key_bytes = _item_head.unpack_from(item)
            value_at = _item_head.size + max(key_bytes, 0) + 4
            value_bytes = _length.unpack_from(item, value_at - 4)[0]
            old_at = value_at + max(value_bytes, 0) + 4
            old_bytes = _length.unpack_from(item, old_at - 4)[0]
        except struct.error:
            raise DecodeError("a part of a journal item reaches outside the item") from None
        end, least = old_at + max(old_bytes, 0), min(value_bytes, old_bytes)
        if kind != _IDENTIFIED or identified != 1 or key_bytes < _KEY_BYTES_MIN or least < -1 or end > len(item):
            raise DecodeError("a journal item is damaged, or is no item of a map's event journal")
        lost = len(item) > end and item[end] != 0
        found.append((start + _item_head.size, key_bytes, start + value_at, value_bytes, event_type, lost))
    columns = np.array(found, np.int64).reshape(-1, 6).T
    keys, values = Blobs(items.buffer, columns[0], columns[1]), Blobs(items.buffer, columns[2], columns[3])
    return JournalItems(keys, values, columns[4].astype(np.int32), columns[5] != 0)


def _nested(items: Blobs, offset: NDArray[np.int64]) -> tuple[Blobs, NDArray[np.int64]]:
    """A length and that many bytes at `offset` into each item, and where the next part begins."""
    lengths = items.read(offset, ">i4").astype(np.int64)
    after = offset + 4 + np.maximum(lengths, 0)
    if bool(((lengths < -1) | (after > items.lengths)).any()):
        raise DecodeError("a part of a journal item reaches outside the item")
    return Blobs(items.buffer, items.starts + offset + 4, lengths), after


def _item_blobs(pages: Sequence[JournalPage]) -> Blobs:
    """The item frames of all pages over one joined buffer."""
    joined = b"".join(page.message.data for page in pages) if len(pages) > 1 else pages[0].message.data
    starts, base = list[NDArray[np.int64]](), 0
    for page in pages:
        found = page.message.frame_starts()
        if found.size != page.count + 4:
            raise DecodeError(f"a journal response of {page.count} items has {found.size} frames")
        starts.append(found[2:-2] + base)
        base += len(page.message.data)
    begins = np.concatenate(starts)
    buffer = np.frombuffer(joined, np.uint8)
    headers = Blobs(buffer, begins, np.full(begins.size, f.FRAME_HEADER_BYTES, np.int64)).check()
    lengths = headers.read(0, "<i4").astype(np.int64) - f.FRAME_HEADER_BYTES
    return Blobs(buffer, begins + f.FRAME_HEADER_BYTES, lengths).check()

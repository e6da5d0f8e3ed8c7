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

Items of one response have several lengths, because updates carry the old value. They are walked by a kernel,
`kernels/journal.py`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from grid_inference.errors import DecodeError
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.kernels import journal as kernel
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
_WRONG = {
    kernel.FRAMES: "a journal response has other frames than its count of items says",
    kernel.NO_ITEM: "a journal item is not an identified object: is it a map's event journal?",
    kernel.KEY: "a journal item has no key",
    kernel.OUTSIDE: "a part of a journal item reaches outside the item",
}


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
    """New values; length -1 where the entry is no more, whatever value its item still holds."""
    types: NDArray[np.int64]
    """Event types, shape (n,)."""
    lost: NDArray[np.int64]
    """1 where the member says that events were lost before this one; members before 5.7 never say."""
    identities: NDArray[np.int64]
    """Of the keys, as `key_identities` has them."""
    digests: NDArray[np.int64]
    """Of the values, as `input_digest` has them."""
    pages: NDArray[np.int64]
    """Of each page the witness of its first item, that of its last, and 1 if events were lost in it; shape (3, pages).

    A witness is a fingerprint over key and value: equal on every replica, unlike the event's type."""


def range_request(name: str) -> bytearray:
    """Map.EventJournalSubscribe: which sequences a partition's journal holds; `decode_range` reads the answer."""
    return f.request(SUBSCRIBE, b"", f.string_frame(name))


def decode_range(message: f.Message) -> tuple[int, int]:
    """(oldest, newest) sequence; newest is oldest - 1 where the journal is empty."""
    oldest, newest = message.fixed(_range_answer)
    return oldest, newest


def read_request(name: str, start: int, items_min: int, items_max: int) -> bytearray:
    """Map.EventJournalRead from a sequence on; parks until `items_min` are there. No predicate, no projection."""
    return f.request(READ, _read_fixed.pack(start, items_min, items_max), _read_frames(name))


@lru_cache(maxsize=256)
def _read_frames(name: str) -> bytes:
    return f.string_frame(name) + f.NULL_FRAME + f.NULL_FRAME


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
    """The items of several responses, one behind the other, in one pass; DecodeError if one of them is damaged."""
    data = b"".join([page.message.data for page in pages]) if len(pages) > 1 else pages[0].message.data
    counts, sizes = [page.count for page in pages], [len(page.message.data) for page in pages]
    if any(size < count * f.FRAME_HEADER_BYTES for size, count in zip(sizes, counts, strict=True)):
        raise DecodeError(_WRONG[kernel.FRAMES])  # before room is made for as many as a response claims
    buffer, items = np.frombuffer(data, np.uint8), np.empty((kernel.COLUMNS, sum(counts)), np.int64)
    found = np.zeros((3, len(pages)), np.int64)
    ends = np.fromiter(accumulate(sizes), np.int64, len(sizes))
    if wrong := kernel.walk(buffer, ends, np.array(counts, np.int64), GONE, items, found):
        raise DecodeError(_WRONG[wrong])
    keys, values = Blobs(buffer, items[0], items[1]), Blobs(buffer, items[2], items[3])
    return JournalItems(keys, values, items[4], items[5], items[6], items[7], found)

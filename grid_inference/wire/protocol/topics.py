"""Reading topics: messages of a plain one, pages of a reliable one's ring. Publishing: `messages.py`.

An item of a reliable topic's ring is a Data of an identified object:

    offset  type      meaning
    0       int32 BE  partition hash
    4       int32 BE  type id, -2
    8       uint8     1: identified
    9       int32 BE  factory, -9
    13      int32 BE  class, 2
    17      int64 BE  when it was published, in milliseconds since 1970
    25      int32 BE  type id of the publisher's address; 0: none, as our workers write it
    29      int32 BE  length of the message, then its Data

Source of the layouts: Hazelcast Open Binary Client Protocol 2, `Topic.yaml` and `Ringbuffer.yaml`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np

from grid_inference.errors import DecodeError
from grid_inference.wire.protocol import frames as f

__all__ = [
    "RingPage",
    "add_topic_listener_request",
    "decode_ring_item",
    "decode_ring_page",
    "decode_tail",
    "decode_topic_event",
    "read_ring_request",
    "ring_name",
    "tail_request",
]

TOPIC_ADD_LISTENER = 0x040200
RING_TAIL = 0x170200
RING_READ_MANY = 0x170900
RING_PREFIX: Final = "_hz_rb_"
"""A reliable topic keeps its messages in a ring of this name and the topic's."""

_local_only = b"\1"
_read_fixed = struct.Struct("<qii")
_read_answer = struct.Struct("<iq")
_tail_answer = struct.Struct("<q")
_item = struct.Struct(">ii?iiqii")
_ITEM_KIND = (-2, True, -9, 2)


@dataclass(frozen=True, slots=True)
class RingPage:
    """Some items of a ring."""

    items: list[bytes]
    """Data as they came, the oldest first."""
    next_sequence: int
    """Where to read on. Items before it that are not in the page were overwritten."""


def ring_name(topic: str) -> str:
    """The name of the ring behind a reliable topic."""
    return RING_PREFIX + topic


def add_topic_listener_request(topic: str) -> bytearray:
    """Topic.AddMessageListener for what the member itself publishes; due on every member."""
    return f.request(TOPIC_ADD_LISTENER, _local_only, f.string_frame(topic))


def decode_topic_event(message: f.Message) -> bytes:
    """The Data of a message that a topic's listener is sent."""
    payloads, _ = message.frames()
    if len(payloads) != 2:
        raise DecodeError(f"a topic's event has {len(payloads)} frames instead of 2")
    return payloads[1]


def tail_request(ring: str) -> bytearray:
    """Ringbuffer.TailSequence; `decode_tail` reads the answer."""
    return f.request(RING_TAIL, b"", f.string_frame(ring))


def decode_tail(message: f.Message) -> int:
    """The sequence of a ring's newest item; -1 if it never had one."""
    return message.fixed(_tail_answer)[0]


def read_ring_request(ring: str, start: int, items_min: int, items_max: int) -> bytearray:
    """Ringbuffer.ReadMany from a sequence on, without a filter; parks until `items_min` are there."""
    fixed = _read_fixed.pack(start, items_min, items_max)
    return f.request(RING_READ_MANY, fixed, f.string_frame(ring), f.NULL_FRAME)


def decode_ring_page(message: f.Message) -> RingPage:
    """What Ringbuffer.ReadMany answered."""
    count, following = message.fixed(_read_answer)
    payloads, flags = message.frames()
    end = count + 2
    if count < 0 or flags.size < end + 1 or not int(flags[1]) & f.BEGIN or not int(flags[end]) & f.END:
        raise DecodeError(f"a page of a ring is not BEGIN, {count} items, END")
    return RingPage(payloads.take(np.arange(2, end)).tolist(), following)


def decode_ring_item(item: bytes) -> bytes | None:
    """The Data of the message within a ring's item; None if it was not published as our workers do."""
    if len(item) < _item.size:
        return None
    _, *kind, _, publisher, length = _item.unpack_from(item)
    if tuple(kind) != _ITEM_KIND or publisher != 0 or length != len(item) - _item.size:
        return None
    return item[_item.size :]

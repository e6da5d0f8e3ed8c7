"""Map and topic messages as bytes: requests ready to be sent, responses as blobs. Event-journal messages: `journal.py`.

Writing and asking for many entries costs no Python object per entry: the frames of all are laid out in one buffer, and
each partition's request is cut from it. Source of the layouts: Hazelcast
Open Binary Client Protocol 2, `protocol-definitions/Map.yaml` and `Topic.yaml`. Each request may be
carried out twice without harm, as one whose answer was lost is sent again.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
from operator import sub

import numpy as np
from numpy.typing import NDArray

from grid_inference.errors import DecodeError
from grid_inference.wire.blobs import FEW, Blobs
from grid_inference.wire.protocol import frames as f
from grid_inference.wire.rows import join_rows

__all__ = [
    "ScanPage",
    "add_entry_listener_request",
    "around_entries",
    "around_messages",
    "clear_request",
    "decode_data",
    "decode_entries",
    "decode_entry_event",
    "decode_entry_keys",
    "decode_flag",
    "decode_scan_page",
    "decode_size",
    "decode_values",
    "delete_request",
    "destroy_proxy_request",
    "evict_request",
    "fetch_entries_request",
    "get_all_request",
    "get_all_requests",
    "get_request",
    "publish_all_request",
    "put_all_requests",
    "put_if_absent_request",
    "put_transient_request",
    "remove_if_same_request",
    "replace_if_same_request",
    "set_request",
    "size_request",
    "values_request",
]

MAP_GET = 0x010200
MAP_REPLACE_IF_SAME = 0x010500
MAP_REMOVE_IF_SAME = 0x010800
MAP_DELETE = 0x010900
MAP_PUT_TRANSIENT = 0x010D00
MAP_PUT_IF_ABSENT = 0x010E00
MAP_SET = 0x010F00
MAP_ADD_ENTRY_LISTENER_WITH_PREDICATE = 0x011700
MAP_ADD_ENTRY_LISTENER = 0x011900
MAP_EVICT = 0x011E00
MAP_GET_ALL = 0x012300
MAP_VALUES = 0x012400
MAP_SIZE = 0x012A00
MAP_PUT_ALL = 0x012C00
MAP_CLEAR = 0x012D00
MAP_FETCH_ENTRIES = 0x013800
TOPIC_PUBLISH_ALL = 0x040400
CLIENT_DESTROY_PROXY = 0x000500

MESSAGE_BYTES_MAX = 4 << 20
"""A PutAll is cut where it would grow beyond this, so that no partition thread is held for long."""

_no_thread = struct.pack("<q", 0)
_ttl = struct.Struct("<q")
_no_ttl = _ttl.pack(-1)
_pointer = struct.Struct("<ii")
_bool = struct.Struct("<B")
_int = struct.Struct("<i")
_event_type = struct.Struct("<i")

ScanPosition = tuple[tuple[int, int], ...]
"""Iteration pointers as (index in the hash table, size of the table), one a resize; index -1 is the end."""
SCAN_START: ScanPosition = ((2**31 - 1, -1),)


class ScanPage:
    """What one FetchEntries answered: keys and values of some entries, and from where to go on (None: that was all)."""

    __slots__ = ("keys", "next", "values")

    def __init__(self, keys: Blobs, values: Blobs, following: ScanPosition | None) -> None:
        self.keys = keys
        self.values = values
        self.next = following


# ---- requests about one key


def get_request(name: str, key: bytes) -> bytearray:
    """Map.Get; the answer is read by `decode_data`."""
    return f.request(MAP_GET, _no_thread, f.string_frame(name), f.data_frame(key))


def set_request(name: str, key: bytes, value: bytes, ttl_ms: int = -1) -> bytearray:
    """Map.Set; -1: without a time to live of its own."""
    return f.request(
        MAP_SET, _no_thread + _ttl.pack(ttl_ms), f.string_frame(name), f.data_frame(key), f.data_frame(value)
    )


def delete_request(name: str, key: bytes) -> bytearray:
    """Map.Delete: remove without returning the value."""
    return f.request(MAP_DELETE, _no_thread, f.string_frame(name), f.data_frame(key))


def put_transient_request(name: str, key: bytes, value: bytes, ttl_ms: int) -> bytearray:
    """Map.PutTransient: as Map.Set, past the map's store."""
    fixed = _no_thread + _ttl.pack(ttl_ms)
    return f.request(MAP_PUT_TRANSIENT, fixed, f.string_frame(name), f.data_frame(key), f.data_frame(value))


def evict_request(name: str, key: bytes) -> bytearray:
    """Map.Evict: remove, past the map's store."""
    return f.request(MAP_EVICT, _no_thread, f.string_frame(name), f.data_frame(key))


def put_if_absent_request(name: str, key: bytes, value: bytes) -> bytearray:
    """Map.PutIfAbsent; `decode_data` gives the value that was there, or None if ours went in."""
    fixed = _no_thread + _no_ttl
    return f.request(MAP_PUT_IF_ABSENT, fixed, f.string_frame(name), f.data_frame(key), f.data_frame(value))


def replace_if_same_request(name: str, key: bytes, expected: bytes, value: bytes) -> bytearray:
    """Map.ReplaceIfSame: compare and set; `decode_flag` tells if it was done."""
    frames = (f.string_frame(name), f.data_frame(key), f.data_frame(expected), f.data_frame(value))
    return f.request(MAP_REPLACE_IF_SAME, _no_thread, *frames)


def remove_if_same_request(name: str, key: bytes, expected: bytes) -> bytearray:
    """Map.RemoveIfSame: remove only if the value is still `expected`; `decode_flag` tells if it was done."""
    frames = (f.string_frame(name), f.data_frame(key), f.data_frame(expected))
    return f.request(MAP_REMOVE_IF_SAME, _no_thread, *frames)


# ---- requests about a whole map


def size_request(name: str) -> bytearray:
    """Map.Size; `decode_size` reads the answer."""
    return f.request(MAP_SIZE, b"", f.string_frame(name))


def values_request(name: str) -> bytearray:
    """Map.Values: every value of a small map at once; `decode_values` reads the answer."""
    return f.request(MAP_VALUES, b"", f.string_frame(name))


def clear_request(name: str) -> bytearray:
    """Map.Clear."""
    return f.request(MAP_CLEAR, b"", f.string_frame(name))


def destroy_proxy_request(name: str) -> bytearray:
    """Client.DestroyProxy of a map."""
    return f.request(CLIENT_DESTROY_PROXY, b"", f.string_frame(name), f.string_frame("hz:impl:mapService"))


# ---- requests about many keys


def put_all_requests(
    name: str, keys: Blobs, values: Blobs, partitions: NDArray[np.int32]
) -> Iterator[tuple[int, bytearray]]:
    """Map.PutAll, one request or more per partition, as (partition, message); rows with equal keys keep their order."""
    return _list_requests(MAP_PUT_ALL, b"\0", name, (keys, values), partitions)


def get_all_requests(name: str, keys: Blobs, partitions: NDArray[np.int32]) -> Iterator[tuple[int, bytearray]]:
    """Map.GetAll, one request or more per partition; `decode_entries` reads the answers."""
    return _list_requests(MAP_GET_ALL, b"", name, (keys,), partitions)


def get_all_request(name: str, keys: Blobs) -> bytearray:
    """Map.GetAll for keys of one partition; `decode_entries` reads the answer, in any order, absent keys left out."""
    return f.request(MAP_GET_ALL, b"", f.string_frame(name), f.list_of_data(keys.tolist()))


def _list_requests(
    message_type: int, fixed: bytes, name: str, columns: tuple[Blobs, ...], partitions: NDArray[np.int32]
) -> Iterator[tuple[int, bytearray]]:
    """Requests with a list of frames, those of each row one behind the other: the rows of a partition, in order."""
    opening = f.opening(message_type, fixed) + f.string_frame(name) + f.BEGIN_FRAME
    few = len(partitions) <= FEW and sum(column.nbytes for column in columns) < MESSAGE_BYTES_MAX
    contents = _one_by_one(columns, partitions) if few else _at_once(columns, partitions)
    return ((partition, bytearray().join((opening, content, f.FINAL_END_FRAME))) for partition, content in contents)


def _one_by_one(columns: tuple[Blobs, ...], partitions: NDArray[np.int32]) -> Iterable[tuple[int, f.Buffer]]:
    """The frames of the rows of each partition; for few rows this takes less than numpy's calls."""
    found: dict[int, bytes] = {}
    for partition, *row in zip(partitions.tolist(), *(column.tolist() for column in columns), strict=True):
        found[partition] = found.get(partition, b"") + b"".join(map(f.data_frame, row))
    return found.items()


def _at_once(columns: tuple[Blobs, ...], partitions: NDArray[np.int32]) -> Iterable[tuple[int, f.Buffer]]:
    """The same in one buffer, of which each partition's is cut; no content outgrows a message, unless by one row."""
    order = np.argsort(partitions.astype(np.min_scalar_type(partitions.max())), kind="stable")  # few bits sort faster
    partitions = partitions[order]
    rows = join_rows([part for column in columns for part in _frames_of(column.take(order))])
    ends, data = rows.starts + rows.lengths, rows.buffer.data
    lasts = np.append(np.flatnonzero(partitions[1:] != partitions[:-1]), len(rows) - 1)
    stops = ends[lasts].tolist()
    if max(map(sub, stops, [0, *stops])) > MESSAGE_BYTES_MAX:
        lasts = np.array(_cuts(lasts.tolist(), ends))
        stops = ends[lasts].tolist()
    contents = (data[begin:stop] for begin, stop in pairwise([0, *stops]))
    return zip(partitions[lasts].tolist(), contents, strict=True)


def _cuts(lasts: list[int], ends: NDArray[np.int64]) -> list[int]:
    """The last row of each message: of each partition, and where one would outgrow the limit."""
    cuts: list[int] = []
    first = 0
    for last in lasts:
        while first <= last:
            begin = int(ends[first - 1]) if first else 0
            fitting = int(np.searchsorted(ends[: last + 1], begin + MESSAGE_BYTES_MAX, "right"))
            first = max(first + 1, fitting)
            cuts.append(first - 1)
    return cuts


def _frames_of(payloads: Blobs) -> tuple[Blobs | NDArray[np.uint8] | bytes, ...]:
    """Each payload's frame: its header, and what is in it."""
    if (width := payloads.width) is not None:
        return f.HEADER.pack(f.FRAME_HEADER_BYTES + width, 0), payloads.matrix(0, width)
    heads = np.zeros(len(payloads), f.LENGTH_AND_FLAGS)
    heads["length"] = payloads.lengths + f.FRAME_HEADER_BYTES
    return heads.view(np.uint8).reshape(len(payloads), f.FRAME_HEADER_BYTES), payloads


def fetch_entries_request(name: str, position: ScanPosition, entries_max: int) -> bytearray:
    """Map.FetchEntries: some entries of one partition; `decode_scan_page` reads the answer."""
    pointers = f.data_frame(b"".join(_pointer.pack(index, size) for index, size in position))
    return f.request(MAP_FETCH_ENTRIES, _int.pack(entries_max), f.string_frame(name), pointers)


def publish_all_request(topic: str, items: Sequence[bytes]) -> bytearray:
    """Topic.PublishAll of whole Data to the partition of the topic's name."""
    return f.request(TOPIC_PUBLISH_ALL, b"", f.string_frame(topic), f.list_of_data(items))


def around_entries(name: str) -> tuple[bytes, bytes]:
    """What stands before and behind the frames of keys and values in a PutAll, for who writes those frames himself."""
    return _around(MAP_PUT_ALL, b"\0", name)


def around_messages(topic: str) -> tuple[bytes, bytes]:
    """What stands before and behind the frames of the messages in a PublishAll."""
    return _around(TOPIC_PUBLISH_ALL, b"", topic)


@lru_cache(maxsize=256)
def _around(message_type: int, fixed: bytes, name: str) -> tuple[bytes, bytes]:
    whole = bytes(f.request(message_type, fixed, f.string_frame(name), f.list_of_data([])))
    return whole[: -len(f.END_FRAME)], whole[-len(f.END_FRAME) :]


def add_entry_listener_request(name: str, flags: int, predicate: bytes | None, *, include_value: bool) -> bytearray:
    """Map.AddEntryListener, with a predicate if there is one; `flags` is a sum of `EntryEventType` numbers.

    For the events of the member's own partitions, so it is due on every member: else each would send all of them.
    """
    fixed = _bool.pack(include_value) + _int.pack(flags) + _bool.pack(1)
    if predicate is None:
        return f.request(MAP_ADD_ENTRY_LISTENER, fixed, f.string_frame(name))
    return f.request(MAP_ADD_ENTRY_LISTENER_WITH_PREDICATE, fixed, f.string_frame(name), f.data_frame(predicate))


# ---- responses


def decode_data(message: f.Message) -> bytes | None:
    """One nullable Data behind the header, as Map.Get and Map.PutIfAbsent answer."""
    starts = message.starts()
    if len(starts) != 2:
        raise DecodeError(f"an answer with one value has {len(starts)} frames instead of 2")
    return message.payload(starts[1])


def decode_flag(message: f.Message) -> bool:
    """A boolean in the header's frame, as Map.ReplaceIfSame answers."""
    return message.fixed(_bool)[0] == 1


def decode_size(message: f.Message) -> int:
    """An int32 in the header's frame, as Map.Size answers."""
    return message.fixed(_int)[0]


def decode_values(message: f.Message) -> list[bytes]:
    """A list of Data (Map.Values)."""
    payloads, flags = message.frames()
    if flags.size < 3 or not int(flags[1]) & f.BEGIN or not int(flags[-1]) & f.END or bool(flags[2:-1].any()):
        raise DecodeError("a list of values is not BEGIN, values, END")
    return payloads.take(np.arange(2, flags.size - 1)).tolist()


def decode_entries(*answers: f.Message) -> tuple[Blobs, Blobs]:
    """Keys and values of lists of entries (Map.GetAll), of all answers in one pass."""
    return _pairs(*f.joined_frames(answers))


def decode_scan_page(message: f.Message) -> ScanPage:
    """Keys, values and the next iteration pointers (Map.FetchEntries)."""
    payloads, flags = message.frames()
    if len(payloads) < 2:
        raise DecodeError("a page of a scan lacks its iteration pointers")
    raw = payloads[1]
    if not raw or len(raw) % _pointer.size:
        raise DecodeError(f"iteration pointers of {len(raw)} bytes")
    pointers: ScanPosition = tuple((index, size) for index, size in _pointer.iter_unpack(raw))
    others = np.arange(len(payloads)) != 1
    keys, values = _pairs(payloads.take(others), flags[others], [len(payloads) - 1])
    return ScanPage(keys, values, None if pointers[-1][0] < 0 else pointers)


def _pairs(payloads: Blobs, flags: NDArray[np.int64], counts: Sequence[int]) -> tuple[Blobs, Blobs]:
    """The frames between BEGIN and END of each message, taken as key, value, key, value and so on; they have no flags.

    `counts` says how many frames each message has.
    """
    stops = np.array([*accumulate(counts)], np.intp)
    listed = flags == 0
    listed[stops - counts] = False
    rows = np.flatnonzero(listed)
    whole = all(count >= 3 and count % 2 for count in counts) and rows.size == len(payloads) - 3 * len(counts)
    if not whole or not bool(((flags[stops - counts + 1] & f.BEGIN > 0) & (flags[stops - 1] & f.END > 0)).all()):
        raise DecodeError("a list of entries is not BEGIN, keys and values by turns, END")
    return payloads.take(rows[0::2]), payloads.take(rows[1::2])


def decode_entry_event(message: f.Message) -> tuple[int, bytes | None, bytes | None, bytes | None]:
    """(event type, key, value, old value) of an entry listener's event; what is absent is None."""
    payloads, flags = message.frames()
    if len(payloads) < 4:
        raise DecodeError(f"an entry event has {len(payloads)} frames instead of 5")
    parts = [None if int(flags[i]) & f.IS_NULL else payloads[i] for i in range(1, 4)]
    return message.fixed(_event_type, f.EVENT_HEADER_BYTES)[0], parts[0], parts[1], parts[2]


def decode_entry_keys(message: f.Message, like: NDArray[np.uint8]) -> Blobs | None:
    """The keys of an entry listener's event and of those like it (`Scanner.next_like`); None if it names no key."""
    payloads, flags = message.frames()
    if len(payloads) < 2:
        raise DecodeError(f"an entry event has {len(payloads)} frames instead of 5")
    if int(flags[1]) & f.IS_NULL:
        return None
    first = payloads.take(np.array([1])).compact()
    if not len(like):
        return first
    start, length = int(payloads.starts[1]), int(payloads.lengths[1])
    return Blobs.concat([first, Blobs.from_matrix(np.ascontiguousarray(like[:, start : start + length]))])

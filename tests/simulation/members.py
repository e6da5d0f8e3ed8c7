"""The members of a cluster as far as our messages go: request bytes in, answer bytes out, no time and no network.

Maps as a dict a partition, event journals as rings, reads of them that park. The layouts are those of
`wire/protocol/messages.py` and `wire/protocol/journal.py`; `scenarios/` hold this against a real member.
"""

from __future__ import annotations

import struct
import zlib
from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from hazelcast import errors as stock

from grid_inference.wire.protocol import frames as f
from grid_inference.wire.protocol import journal, messages

__all__ = ["Cluster", "Journal", "Reply", "error_answer", "frames_of"]

Reply = Callable[[bytes], None]

_request_head = struct.Struct("<iqi")
_header = struct.Struct("<iqB")
_int, _long = struct.Struct("<i"), struct.Struct("<q")
_pointer = struct.Struct("<ii")
_item_head = struct.Struct(">iiBiii")
_length = struct.Struct(">i")
ITEM_CLASS = 132
MAP_FACTORY = -10
POSITION_MAX = 2**31 - 1

_NULL, _BEGIN, _END = object(), object(), object()


def frames_of(payload: bytes | bytearray) -> list[tuple[int, bytes]]:
    """(flags, payload) of each frame."""
    found, at, size = [], 0, len(payload)
    while at < size:
        length, flags = f.HEADER.unpack_from(payload, at)
        found.append((flags, bytes(payload[at + f.FRAME_HEADER_BYTES : at + length])))
        at += length
    return found


def answer(request: bytes | bytearray, fixed: bytes = b"", *parts: Any) -> bytes:
    """An answer: header with its fixed fields, then payloads, nulls, begins and ends."""
    kind, correlation, _ = _request_head.unpack_from(request, f.FRAME_HEADER_BYTES)
    return _message(_header.pack(kind + 1, correlation, 0) + fixed, parts)


def error_answer(request: bytes | bytearray, code: int, name: str) -> bytes:
    """An error, as members tell it: one holder, without a stack."""
    _, correlation, _ = _request_head.unpack_from(request, f.FRAME_HEADER_BYTES)
    holder = (_BEGIN, _int.pack(code), name.encode(), b"simulated", _BEGIN, _END, _END)
    return _message(_header.pack(f.EXCEPTION_TYPE, correlation, 0), (_BEGIN, *holder, _END))


OPERATION_TIMEOUT = stock._OPERATION_TIMEOUT
INDETERMINATE = stock._INDETERMINATE_OPERATION_STATE
NOT_MEMBER = stock._TARGET_NOT_MEMBER


def _message(head: bytes, parts: tuple[Any, ...]) -> bytes:
    pieces = [f.HEADER.pack(f.FRAME_HEADER_BYTES + len(head), f.UNFRAGMENTED) + head]
    for part in parts:
        if part is _NULL:
            pieces.append(f.NULL_FRAME)
        elif part is _BEGIN:
            pieces.append(f.BEGIN_FRAME)
        elif part is _END:
            pieces.append(f.END_FRAME)
        else:
            pieces.append(f.HEADER.pack(f.FRAME_HEADER_BYTES + len(part), 0) + part)
    last = bytearray(pieces[-1])
    length, flags = f.HEADER.unpack_from(last, 0)
    f.HEADER.pack_into(last, 0, length, flags | f.IS_FINAL)
    pieces[-1] = bytes(last)
    return b"".join(pieces)


@dataclass
class Parked:
    """A journal read that waits for items."""

    request: bytes
    start: int
    least: int
    most: int
    reply: Reply


@dataclass
class Journal:
    """The event journal of one partition of one map."""

    capacity: int
    items: deque[bytes] = field(default_factory=deque)
    events: deque[tuple[bytes, bytes | None]] = field(default_factory=deque)
    """Key and new value of each item, for the judge."""
    newest: int = -1
    parked: list[Parked] = field(default_factory=list)

    @property
    def oldest(self) -> int:
        return self.newest - len(self.items) + 1

    def add(self, kind: int, key: bytes, value: bytes | None, old: bytes | None) -> None:
        """One more event; the oldest goes if the ring is full."""
        parts = [_item_head.pack(0, -2, 1, MAP_FACTORY, ITEM_CLASS, kind)]
        for part in (key, value, old):
            parts += [_length.pack(-1)] if part is None else [_length.pack(len(part)), part]
        if len(self.items) == self.capacity:
            self.items.popleft()
            self.events.popleft()
        self.items.append(b"".join(parts) + b"\0")
        self.events.append((key, value))
        self.newest += 1
        waiting, self.parked = self.parked, []
        for read in waiting:
            self.read(read)

    def read(self, read: Parked) -> None:
        """Answer a read, or let it wait."""
        start = min(max(read.start, self.oldest), self.newest + 1)
        there = self.newest + 1 - start
        if there < read.least:
            read.start = start
            self.parked.append(read)
            return
        count = min(there, read.most)
        at = start - self.oldest
        items = [self.items[at + index] for index in range(count)]
        sequences = b"".join(_long.pack(start + index) for index in range(count))
        fixed = _int.pack(count) + _long.pack(start + count)
        read.reply(answer(read.request, fixed, _BEGIN, *items, _END, sequences))


class Cluster:
    """Maps of all members; `watch` is told of every change of an entry, with who made it."""

    def __init__(self, partitions: int, *, journaled: str, capacity: int) -> None:
        self.partition_count = partitions
        self.maps: dict[str, list[dict[bytes, bytes]]] = defaultdict(lambda: [{} for _ in range(partitions)])
        self.journaled = journaled
        self.journals = [Journal(capacity) for _ in range(partitions)]
        self.watch: Callable[[str, int, bytes, bytes | None, bytes | None, Any], None] = _unwatched
        self._by_type = {
            messages.MAP_GET: self._get,
            messages.MAP_SET: self._set,
            messages.MAP_DELETE: self._delete,
            messages.MAP_PUT_IF_ABSENT: self._put_if_absent,
            messages.MAP_REPLACE_IF_SAME: self._replace_if_same,
            messages.MAP_REMOVE_IF_SAME: self._remove_if_same,
            messages.MAP_GET_ALL: self._get_all,
            messages.MAP_PUT_ALL: self._put_all,
            messages.MAP_FETCH_ENTRIES: self._fetch_entries,
            journal.SUBSCRIBE: self._range,
            journal.READ: self._read,
        }

    # ---- for whoever stands beside

    def put(self, name: str, partition: int, key: bytes, value: bytes, by: Any = None) -> None:
        """Put an entry."""
        entries = self.maps[name][partition]
        old = entries.get(key)
        entries[key] = value
        if name == self.journaled:
            self.journals[partition].add(journal.ADDED if old is None else journal.UPDATED, key, value, old)
        self.watch(name, partition, key, old, value, by)

    def remove(self, name: str, partition: int, key: bytes, by: Any = None) -> None:
        """Remove an entry, if it is there."""
        old = self.maps[name][partition].pop(key, None)
        if old is not None and name == self.journaled:
            self.journals[partition].add(journal.REMOVED, key, None, old)
        self.watch(name, partition, key, old, None, by)

    # ---- requests

    def execute(
        self, request: bytes | bytearray, frames: list[tuple[int, bytes]], partition: int, reply: Reply, by: Any = None
    ) -> None:
        """Carry out a request about one partition; `frames` are its own."""
        kind = _request_head.unpack_from(request, f.FRAME_HEADER_BYTES)[0]
        self._by_type[kind](request, frames, partition, reply, by)

    def values(self, name: str, partitions: Iterable[int]) -> list[bytes]:
        """Values of some partitions of a map."""
        return [value for partition in partitions for value in self.maps[name][partition].values()]

    @staticmethod
    def values_answer(request: bytes | bytearray, values: list[bytes]) -> bytes:
        """The answer to a Map.Values."""
        return answer(request, b"", _BEGIN, *values, _END)

    @staticmethod
    def size_answer(request: bytes | bytearray, values: list[bytes]) -> bytes:
        """The answer to a Map.Size."""
        return answer(request, _int.pack(len(values)))

    def _get(self, request: Any, frames: Any, partition: int, reply: Reply, by: Any) -> None:
        del by
        value = self.maps[frames[1][1].decode()][partition].get(frames[2][1])
        reply(answer(request, b"", _NULL if value is None else value))

    def _set(self, request: Any, frames: Any, partition: int, reply: Reply, by: Any) -> None:
        self.put(frames[1][1].decode(), partition, frames[2][1], frames[3][1], by)
        reply(answer(request))

    def _delete(self, request: Any, frames: Any, partition: int, reply: Reply, by: Any) -> None:
        self.remove(frames[1][1].decode(), partition, frames[2][1], by)
        reply(answer(request))

    def _put_if_absent(self, request: Any, frames: Any, partition: int, reply: Reply, by: Any) -> None:
        name, key = frames[1][1].decode(), frames[2][1]
        there = self.maps[name][partition].get(key)
        if there is None:
            self.put(name, partition, key, frames[3][1], by)
        reply(answer(request, b"", _NULL if there is None else there))

    def _replace_if_same(self, request: Any, frames: Any, partition: int, reply: Reply, by: Any) -> None:
        name, key = frames[1][1].decode(), frames[2][1]
        same = self.maps[name][partition].get(key) == frames[3][1]
        if same:
            self.put(name, partition, key, frames[4][1], by)
        reply(answer(request, bytes([same])))

    def _remove_if_same(self, request: Any, frames: Any, partition: int, reply: Reply, by: Any) -> None:
        name, key = frames[1][1].decode(), frames[2][1]
        same = self.maps[name][partition].get(key) == frames[3][1]
        if same:
            self.remove(name, partition, key, by)
        reply(answer(request, bytes([same])))

    def _get_all(self, request: Any, frames: Any, partition: int, reply: Reply, by: Any) -> None:
        del by
        entries = self.maps[frames[1][1].decode()][partition]
        found = [part for _, key in frames[3:-1] if key in entries for part in (key, entries[key])]
        reply(answer(request, b"", _BEGIN, *found, _END))

    def _put_all(self, request: Any, frames: Any, partition: int, reply: Reply, by: Any) -> None:
        name, pairs = frames[1][1].decode(), frames[3:-1]
        for (_, key), (_, value) in zip(pairs[0::2], pairs[1::2], strict=True):
            self.put(name, partition, key, value, by)
        reply(answer(request))

    def _fetch_entries(self, request: Any, frames: Any, partition: int, reply: Reply, by: Any) -> None:
        """Entries by falling place, which follows from the key alone: what nobody touches comes exactly once."""
        del by
        most = _int.unpack_from(frames[0][1], 16)[0]
        entries = self.maps[frames[1][1].decode()][partition]
        below = _pointer.unpack_from(frames[2][1], 0)[0]
        waiting = sorted(((_place(key), key) for key in entries if _place(key) < below), reverse=True)
        page = waiting[:most]
        following = page[-1][0] if len(waiting) > most else -1
        found = [part for _, key in page for part in (key, entries[key])]
        reply(answer(request, b"", _pointer.pack(following, POSITION_MAX), _BEGIN, *found, _END))

    def _range(self, request: Any, frames: Any, partition: int, reply: Reply, by: Any) -> None:
        del by
        self._journal_of(frames, partition)
        ring = self.journals[partition]
        reply(answer(request, _long.pack(ring.oldest) + _long.pack(ring.newest)))

    def _read(self, request: Any, frames: Any, partition: int, reply: Reply, by: Any) -> None:
        del by
        start, least, most = journal._read_fixed.unpack_from(frames[0][1], 16)
        self._journal_of(frames, partition).read(Parked(bytes(request), start, least, most, reply))

    def _journal_of(self, frames: Any, partition: int) -> Journal:
        name = frames[1][1].decode()
        if name != self.journaled:
            raise NotImplementedError(f"map {name!r} has no journal here")
        return self.journals[partition]


def _place(key: bytes) -> int:
    return zlib.crc32(key) >> 1  # Python's own hash of bytes differs from run to run


def _unwatched(*_: Any) -> None:
    """Nobody looks."""

"""Message bytes ⇄ frames.

A message is frames one behind the other, each with a 6-byte header:

    offset  type       meaning
    0       int32 LE   length of the frame, these six bytes included
    4       uint16 LE  flags; the last frame of a message carries IS_FINAL
    6       bytes      payload

The first payload of a request holds its type (int32 LE), correlation id (int64 LE) and partition (int32 LE); that of a
response its type, correlation id and number of backup acknowledgements (uint8). Runs of frames that repeat with a
period of one or two are stepped over by one numpy comparison; where there are none, frames are walked. Source:
Hazelcast Open Binary Client Protocol 2.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, chain

import numpy as np
from numpy.typing import NDArray

from grid_inference.errors import DecodeError
from grid_inference.wire.blobs import Blobs

__all__ = [
    "Message",
    "Scanner",
    "data_frame",
    "joined_frames",
    "list_of_data",
    "message_ends",
    "opening",
    "request",
    "string_frame",
]

HEADER = struct.Struct("<iH")
FRAME_HEADER_BYTES = HEADER.size
FRAME_BYTES_MAX = 1 << 30
"""A longer frame is taken for a damaged stream."""
HANDED_OVER_SHARE = 8
"""A message takes the buffer along, instead of being copied, if what came behind it is so many times smaller."""
RUN_FRAMES_MIN = 8
"""Fewer frames than this are stepped over one by one."""
LONG_RUN_PAIRS = 32
"""A shorter run costs more to be found than to be walked: the next one is looked for further on, each time further."""
PATIENCE_FRAMES_MAX = 512

UNFRAGMENTED = 0xC000
IS_FINAL = 1 << 13
BEGIN = 1 << 12
END = 1 << 11
IS_NULL = 1 << 10
IS_EVENT = 1 << 9
IS_BACKUP_EVENT = 1 << 7

CORRELATION_OFFSET = FRAME_HEADER_BYTES + 4
PARTITION_OFFSET = CORRELATION_OFFSET + 8
RESPONSE_HEADER_BYTES = 13
"""Bytes of the first payload of a response before its own fields: type, correlation id, backup acknowledgements."""
EVENT_HEADER_BYTES = 16
"""Bytes of the first payload of an event before its own fields: type, correlation id, partition."""
EXCEPTION_TYPE = 0

BEGIN_FRAME = HEADER.pack(FRAME_HEADER_BYTES, BEGIN)
END_FRAME = HEADER.pack(FRAME_HEADER_BYTES, END)
FINAL_END_FRAME = HEADER.pack(FRAME_HEADER_BYTES, END | IS_FINAL)
NULL_FRAME = HEADER.pack(FRAME_HEADER_BYTES, IS_NULL)

LENGTH_AND_FLAGS = np.dtype([("length", "<i4"), ("flags", "<u2")])
"""A frame's header."""

Buffer = bytes | bytearray | memoryview
Request = bytearray | memoryview
"""A whole message that can be written to: who sends it sets its number and partition."""
Run = tuple[int, int, int, int, int]
"""Frames: offset, length of even ones, length of odd ones, number of pairs, flags; 0 and 1 in one that is alone."""

_request_head = struct.Struct("<iHiqi")


@dataclass(slots=True)
class Message:
    """One whole message: its bytes and where its frames are."""

    data: bytes | bytearray
    """Every byte of the message, frame headers included; they must not be changed."""
    runs: list[Run] = field(default_factory=list[Run])
    """Its frames, as a scanner has found them."""

    @property
    def type(self) -> int:
        """The message type, for example 0x014201."""
        return int.from_bytes(self.data[6:10], "little", signed=True)

    @property
    def flags(self) -> int:
        """The flags of the first frame."""
        return self.runs[0][4]

    @property
    def correlation(self) -> int:
        """The correlation id, which tells the request that this message answers."""
        return int.from_bytes(self.data[CORRELATION_OFFSET:PARTITION_OFFSET], "little", signed=True)

    def fixed(self, layout: struct.Struct, skip: int = RESPONSE_HEADER_BYTES) -> tuple[int, ...]:
        """Unpack the fixed-size fields of the first frame, `skip` bytes into its payload."""
        first = HEADER.unpack_from(self.data, 0)[0]
        if first < FRAME_HEADER_BYTES + skip + layout.size:
            raise DecodeError(f"the first frame has {first} bytes, too few for its {layout.size} bytes of fields")
        return layout.unpack_from(self.data, FRAME_HEADER_BYTES + skip)

    def frame_starts(self) -> NDArray[np.int64]:
        """Where each frame begins (its header), shape (frames,)."""
        return self.frames()[0].starts - FRAME_HEADER_BYTES

    def starts(self) -> list[int]:
        """The same of a message of few frames, without arrays."""
        if any(run[2] for run in self.runs):
            return self.frame_starts().tolist()
        return [run[0] for run in self.runs]

    def payload(self, start: int) -> bytes | None:
        """What a frame holds that begins there; None for a null."""
        length, flags = HEADER.unpack_from(self.data, start)
        if not FRAME_HEADER_BYTES <= length <= len(self.data) - start:
            raise DecodeError(f"a frame of {length} bytes does not fit into its message")
        return None if flags & IS_NULL else bytes(self.data[start + FRAME_HEADER_BYTES : start + length])

    def frames(self) -> tuple[Blobs, NDArray[np.int64]]:
        """All payloads as blobs over this message's bytes, and the flags of each frame."""
        payloads, flags, _ = joined_frames((self,))
        return payloads, flags


def joined_frames(messages: Sequence[Message]) -> tuple[Blobs, NDArray[np.int64], list[int]]:
    """All payloads of several messages as blobs over one buffer, the flags of each frame; how many each message has."""
    runs = np.fromiter(chain.from_iterable(chain.from_iterable(each.runs for each in messages)), np.int64).reshape(
        -1, 5
    )
    counts = [len(each.runs) for each in messages]
    data = b"".join(message.data for message in messages) if len(messages) > 1 else messages[0].data
    starts, even, odd, pairs, flags = runs.T
    if len(messages) > 1:
        starts = starts + np.repeat([0, *accumulate(len(each.data) for each in messages[:-1])], counts)
    if bool(odd.any()):
        frames = np.where(odd > 0, 2 * pairs, 1)
        counts = np.add.reduceat(frames, np.array([0, *accumulate(counts[:-1])], np.intp)).tolist()
        place = np.arange(int(frames.sum())) - np.repeat(np.cumsum(frames) - frames, frames)
        starts, even, odd, flags = (np.repeat(each, frames) for each in (starts, even, odd, flags))
        starts = starts + (place >> 1) * (even + odd) + (place & 1) * even
        even = np.where(place & 1, odd, even)
    return Blobs(np.frombuffer(data, np.uint8), starts + FRAME_HEADER_BYTES, even - FRAME_HEADER_BYTES), flags, counts


class Scanner:
    """Finds the ends of messages in a stream; keeps its place between calls, so no byte is looked at twice."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._next = 0
        self._runs: list[Run] = []
        self._patience, self._look_from = 1, 0
        """Frames that are walked after a look for a run was in vain; where the next look is worth it."""

    def __len__(self) -> int:
        return len(self._buffer)

    def feed(self, data: Buffer) -> None:
        """More bytes have come."""
        self._buffer += data

    def next_message(self) -> Message | None:
        """Cut the first whole message off the front, or return None until more bytes are there."""
        buffer = self._buffer
        position, size = self._next, len(buffer)
        while position + FRAME_HEADER_BYTES <= size:
            length, flags = HEADER.unpack_from(buffer, position)
            if not FRAME_HEADER_BYTES <= length <= FRAME_BYTES_MAX:
                raise DecodeError(f"a frame claims {length} bytes: the stream is damaged")
            if position + length > size:
                break
            pairs, even, odd = 1, length, 0
            if not flags and position >= self._look_from and size - position >= RUN_FRAMES_MIN * length:
                pairs, even, odd = _repeating_pairs(buffer, position, length)
                self._patience = 1 if pairs >= LONG_RUN_PAIRS else min(2 * self._patience, PATIENCE_FRAMES_MAX)
                self._look_from = position + (even + odd) * pairs + self._patience * length
            self._runs.append((position, even, odd, pairs, flags))
            position += (even + odd) * pairs
            if flags & IS_FINAL:
                return self._cut(position)
        self._next = position
        return None

    def next_like(self, message: Message) -> NDArray[np.uint8]:
        """Cut off all messages next in the stream that are like the one just cut: shape (n, bytes of a message).

        They have its type and correlation id, and frames at the same places: events of a listener, many in a row.
        """
        size = len(message.data)
        count = len(self._buffer) // size if size >= PARTITION_OFFSET else 0
        if not count:
            return np.empty((0, size), np.uint8)
        starts = message.frame_starts()
        heads = (starts[:, None] + np.arange(FRAME_HEADER_BYTES)).reshape(-1)
        fixed = np.concatenate([heads, np.arange(FRAME_HEADER_BYTES, PARTITION_OFFSET)])
        rows: NDArray[np.uint8] = np.frombuffer(self._buffer, np.uint8, count * size).reshape(count, size)
        like = (rows[:, fixed] == np.frombuffer(message.data, np.uint8)[fixed]).all(axis=1)
        taken = rows[: count if bool(like.all()) else int(like.argmin())].copy()
        del rows  # a buffer that is looked at can't be cut
        del self._buffer[: taken.size]
        return taken

    def _cut(self, end: int) -> Message:
        """The first `end` bytes as a message: handed over if little came behind them, which is copied then."""
        buffer = self._buffer
        if len(buffer) - end > end // HANDED_OVER_SHARE:
            message = Message(bytes(memoryview(buffer)[:end]), self._runs)
            del buffer[:end]
        else:
            self._buffer = buffer[end:]
            del buffer[end:]
            message = Message(buffer, self._runs)
        self._next, self._runs, self._look_from = 0, [], max(0, self._look_from - end)
        return message


def _repeating_pairs(buffer: bytearray, position: int, even: int) -> tuple[int, int, int]:
    """How many (even, odd) frame pairs with the same two headers follow, without any flag: (pairs, even, odd)."""
    size = len(buffer)
    single = (1, even, 0)
    after = position + even
    if after + FRAME_HEADER_BYTES > size:
        return single
    odd, odd_flags = HEADER.unpack_from(buffer, after)
    if odd_flags or not FRAME_HEADER_BYTES <= odd <= FRAME_BYTES_MAX:
        return single
    stride = even + odd
    room = (size - position) // stride
    if room < RUN_FRAMES_MIN:
        return single
    count, window = 0, RUN_FRAMES_MIN
    while count < room:
        window = min(window, room - count)
        same = _same_headers(buffer, position + count * stride, even, odd, window)
        count += same
        if same < window:
            break
        window *= 8
    return (count, even, odd) if count >= RUN_FRAMES_MIN // 2 else single


def _same_headers(buffer: Buffer, position: int, even: int, odd: int, count: int) -> int:
    stride = (even + odd,)
    first: NDArray[np.void] = np.ndarray((count,), LENGTH_AND_FLAGS, buffer, position, stride)
    second: NDArray[np.void] = np.ndarray((count,), LENGTH_AND_FLAGS, buffer, position + even, stride)
    same = (first["length"] == even) & (second["length"] == odd) & ((first["flags"] | second["flags"]) == 0)
    return count if bool(same.all()) else int(same.argmin())


def message_ends(data: bytes) -> list[Message]:
    """Split bytes that hold whole messages; raise DecodeError if something is left over."""
    scanner, messages = Scanner(), list[Message]()
    scanner.feed(data)
    while message := scanner.next_message():
        messages.append(message)
    if scanner:
        raise DecodeError(f"{len(scanner)} bytes are left over after the last whole message")
    return messages


def request(message_type: int, fixed: bytes, *frames: Buffer) -> bytearray:
    """Join a request: header, fixed-size fields, then frames that are ready, the last of which becomes final.

    The correlation id and the partition are filled in by the link.
    """
    body = bytearray().join((opening(message_type, fixed), *frames))
    last = 0 if not frames else len(body) - _last_frame_bytes(frames[-1])
    HEADER.pack_into(body, last, *_final(HEADER.unpack_from(body, last)))
    return body


def opening(message_type: int, fixed: bytes) -> bytes:
    """The first frame of a request that has others."""
    return _request_head.pack(FRAME_HEADER_BYTES + 16 + len(fixed), UNFRAGMENTED, message_type, 0, -1) + fixed


def _final(header: tuple[int, ...]) -> tuple[int, int]:
    return header[0], header[1] | IS_FINAL


def _last_frame_bytes(frames: Buffer) -> int:
    """The size of the last frame in a piece: pieces are single frames, except lists, which end with an END frame."""
    view = memoryview(frames)
    length = int(HEADER.unpack_from(view, 0)[0])
    return view.nbytes if length == view.nbytes else FRAME_HEADER_BYTES


def string_frame(text: str) -> bytes:
    """A string as UTF-8 in one frame."""
    return data_frame(text.encode())


def data_frame(payload: bytes | None) -> bytes:
    """One payload in a frame of its own; None is a null frame."""
    if payload is None:
        return NULL_FRAME
    return HEADER.pack(FRAME_HEADER_BYTES + len(payload), 0) + payload


def list_of_data(payloads: Sequence[bytes]) -> bytes:
    """BEGIN, one frame a payload, END."""
    return b"".join((BEGIN_FRAME, *map(data_frame, payloads), END_FRAME))

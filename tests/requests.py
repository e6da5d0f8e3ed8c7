"""What requests hold that a worker writes."""

from __future__ import annotations

from collections.abc import Iterable

from grid_inference.wire.protocol import frames as f

__all__ = ["entries_of", "messages_of"]


def entries_of(requests: Iterable[tuple[int, bytearray]]) -> dict[bytes, bytes]:
    """Keys and values of PutAll requests."""
    found: dict[bytes, bytes] = {}
    for _, request in requests:
        _, _, begin, *entries, end = _payloads(request)
        assert begin == end == b""
        found |= zip(entries[0::2], entries[1::2], strict=True)
    return found


def messages_of(requests: Iterable[bytearray]) -> list[bytes]:
    """The messages of PublishAll requests."""
    found: list[bytes] = []
    for request in requests:
        _, _, begin, *some, end = _payloads(request)
        assert begin == end == b""
        found += some
    return found


def _payloads(request: bytearray) -> list[bytes]:
    (message,) = f.message_ends(bytes(request))
    return message.frames()[0].tolist()

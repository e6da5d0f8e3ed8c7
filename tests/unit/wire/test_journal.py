"""Journal items are read one by one if they are few, as columns if they are many: both ways refuse the same."""

from __future__ import annotations

import struct

import pytest

from grid_inference.errors import DecodeError
from grid_inference.wire.protocol import frames as f
from grid_inference.wire.protocol import journal


def item(value_bytes: int, old_bytes: int) -> bytes:
    """An item whose values have these lengths, or claim to be shorter than nothing."""
    head = struct.pack(">iiBiii", 0, -2, 1, -20, 132, journal.UPDATED)
    parts = ((8, b"\0" * 8), (value_bytes, b"v" * value_bytes), (old_bytes, b"o" * old_bytes))
    return head + b"".join(struct.pack(">i", size) + content for size, content in parts)


def answer(items: list[bytes]) -> f.Message:
    head = struct.pack("<iqBiq", 0x014201, 1, 0, len(items), len(items))
    sequences = struct.pack(f"<{len(items)}q", *range(len(items)))
    frames = [(head, f.UNFRAGMENTED), (b"", f.BEGIN), *((each, 0) for each in items), (b"", f.END)]
    frames.append((sequences, f.IS_FINAL))
    (message,) = f.message_ends(b"".join(f.HEADER.pack(6 + len(data), flags) + data for data, flags in frames))
    return message


@pytest.mark.parametrize("count", [1, 100], ids=["few", "many"])
@pytest.mark.parametrize("sizes", [(0, 0), (-1, -1), (-1, 3), (4, -1)])
def test_values_may_be_null(count: int, sizes: tuple[int, int]) -> None:
    items = journal.decode_items([journal.decode_page(answer([item(*sizes)] * count))])
    assert items.values.lengths.tolist() == [sizes[0]] * count


@pytest.mark.parametrize("count", [1, 100], ids=["few", "many"])
@pytest.mark.parametrize("sizes", [(-2, 0), (0, -2), (-2, -2), (0, -(2**31))])
def test_a_value_is_not_shorter_than_null(count: int, sizes: tuple[int, int]) -> None:
    page = journal.decode_page(answer([item(0, 0)] * (count - 1) + [item(*sizes)]))
    with pytest.raises(DecodeError, match="journal item"):
        journal.decode_items([page])

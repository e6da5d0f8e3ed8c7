"""Journal items, one and many, by kernels that are compiled and that are not: all refuse the same."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from grid_inference.errors import DecodeError
from grid_inference.grid.maps import key_identities
from grid_inference.wire.digest import input_digest
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


@pytest.mark.usefixtures("either_kernels")
@pytest.mark.parametrize("count", [1, 100], ids=["few", "many"])
@pytest.mark.parametrize("sizes", [(0, 0), (-1, -1), (-1, 3), (4, -1)])
def test_values_may_be_null(count: int, sizes: tuple[int, int]) -> None:
    items = journal.decode_items([journal.decode_page(answer([item(*sizes)] * count))])
    assert items.values.lengths.tolist() == [sizes[0]] * count


@pytest.mark.usefixtures("either_kernels")
@pytest.mark.parametrize("count", [1, 100], ids=["few", "many"])
@pytest.mark.parametrize("sizes", [(-2, 0), (0, -2), (-2, -2), (0, -(2**31))])
def test_a_value_is_not_shorter_than_null(count: int, sizes: tuple[int, int]) -> None:
    page = journal.decode_page(answer([item(0, 0)] * (count - 1) + [item(*sizes)]))
    with pytest.raises(DecodeError, match="journal item"):
        journal.decode_items([page])


@pytest.mark.usefixtures("either_kernels")
def test_items_of_several_pages_have_the_fingerprints_that_clients_compute() -> None:
    pages = [[item(size, size // 2) for size in range(start, start + 20)] for start in (0, 30, 250)]
    items = journal.decode_items([journal.decode_page(answer(page)) for page in pages])
    assert items.values.tolist() == [b"v" * size for start in (0, 30, 250) for size in range(start, start + 20)]
    assert items.identities.tolist() == key_identities(items.keys).tolist()
    assert items.digests.tolist() == input_digest(items.values).tolist()
    witnesses = items.identities * np.int64(3) + items.digests
    assert items.pages.tolist() == [witnesses[::20].tolist(), witnesses[19::20].tolist(), [0, 0, 0]]


@pytest.mark.usefixtures("either_kernels")
@pytest.mark.parametrize("at", [0, 1, 2])
def test_of_which_page_events_were_lost(at: int) -> None:
    pages = [[item(1, 1) + b"\0"] * 3, [item(1, 1) + (b"\1" if index == at else b"\0") for index in range(3)]]
    items = journal.decode_items([journal.decode_page(answer(page)) for page in pages])
    assert items.pages[2].tolist() == [0, 1]
    assert np.flatnonzero(items.lost).tolist() == [3 + at]


@pytest.mark.usefixtures("either_kernels")
def test_any_cut_or_changed_page_gives_items_or_a_decode_error() -> None:
    whole, rng, refused = answer([item(3, 4), item(-1, 0)]), np.random.default_rng(1), 0
    for _ in range(300):
        data = bytearray(whole.data)
        data[int(rng.integers(40, len(data)))] = int(rng.integers(0, 256))
        data = data[: len(data) - int(rng.integers(0, 3)) * int(rng.integers(0, 60))]
        try:
            found = journal.decode_items([journal.JournalPage(f.Message(bytes(data)), 2, 0, 2)])
        except DecodeError:
            refused += 1
            continue
        for blobs in (found.keys, found.values):
            assert bool((blobs.starts >= 0).all())
            assert bool((blobs.lengths >= -1).all())
            assert bool((blobs.starts + np.maximum(blobs.lengths, 0) <= len(data)).all())
    assert refused > 50

"""Pages of the event journal → where keys and values lie, with their fingerprints. Byte table: `protocol/journal.py`.

Everything is checked before it is read. What is wrong is told by a code, which `decode_items` makes a DecodeError of.
"""

from __future__ import annotations

import numpy as np

from grid_inference.wire.kernels.digest import digest, identity
from grid_inference.wire.kernels.kernel import Bytes, Ints, Table, kernel
from grid_inference.wire.kernels.words import int32_at, int32_le, laid

__all__ = ["COLUMNS", "FRAMES", "KEY", "NO_ITEM", "OUTSIDE", "walk"]

U64 = np.uint64
FRAMES, NO_ITEM, KEY, OUTSIDE = 1, 2, 3, 4
COLUMNS = 8
"""Of an item: where its key begins, the bytes of that; the same of its value; event type, lost, identity, digest."""
_FRAME_HEADER, _HEAD, _KEY_BYTES_MIN = 6, 25, 8
_AROUND = 2
"""So many frames stand before the items, and as many behind them."""


@kernel
def walk(buffer: Bytes, ends: Ints, counts: Ints, gone: int, items: Table, pages: Table) -> int:
    """Pages that end at these places and have so many items → `items`, shape (COLUMNS, n); 0 or what is wrong.

    A value is null, its length -1, where one of the bits of `gone` is in the event type. Of each page the witnesses of
    its first and its last item, and whether events were lost → `pages`, shape (3, pages).
    """
    data, bits, witnesses = laid(buffer), items.view(np.uint64), pages.view(np.uint64)
    row, begin = 0, 0
    for page in range(ends.size):
        at, end, last = begin, ends[page], counts[page] + _AROUND
        pages[2, page] = 0
        for number in range(counts[page] + 2 * _AROUND):
            if at + _FRAME_HEADER > end:
                return FRAMES
            start, length = at + _FRAME_HEADER, int32_le(data, at)
            at += length
            if length < _FRAME_HEADER or at > end:
                return FRAMES
            if number < _AROUND or number >= last:
                continue
            if start + _HEAD > at:
                return OUTSIDE
            if int32_at(data, start + 4) != -2 or buffer[U64(start + 8)] != 1:
                return NO_ITEM
            key_at, key_bytes = start + _HEAD, int32_at(data, start + 21)
            if key_bytes < _KEY_BYTES_MIN:
                return KEY
            value_at = key_at + key_bytes + 4
            if value_at > at:
                return OUTSIDE
            value_bytes = int32_at(data, value_at - 4)
            old_at = value_at + max(value_bytes, 0) + 4
            if value_bytes < -1 or old_at > at:
                return OUTSIDE
            old_bytes = int32_at(data, old_at - 4)
            after = old_at + max(old_bytes, 0)
            if old_bytes < -1 or after > at:
                return OUTSIDE
            kind = int32_at(data, start + 17)
            if kind & gone:
                value_bytes = -1
            items[0, row], items[1, row] = key_at, key_bytes
            items[2, row], items[3, row] = value_at, value_bytes
            items[4, row] = kind
            items[5, row] = 1 if after < at and buffer[U64(after)] != 0 else 0
            bits[6, row] = identity(data, key_at, key_bytes)
            bits[7, row] = digest(data, value_at, value_bytes)
            pages[2, page] |= items[5, row]
            witnesses[1, page] = bits[6, row] * U64(3) + bits[7, row]
            if number == _AROUND:
                witnesses[0, page] = witnesses[1, page]
            row += 1
        if at != end:
            return FRAMES
        begin = end
    return 0

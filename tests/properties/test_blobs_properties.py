"""`Blobs` against a list of Python byte strings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import scattered

from grid_inference.errors import DecodeError
from grid_inference.wire.blobs import Blobs

items_lists = st.lists(st.binary(max_size=30), max_size=12)


@given(items_lists, st.data())
def test_items_survive_every_rearrangement(items: list[bytes], data: st.DataObject) -> None:
    blobs = data.draw(scattered(items))
    assert blobs.tolist() == items == [blobs[i] for i in range(len(blobs))] == blobs.compact().tolist()
    assert blobs.nbytes == sum(map(len, items))
    rows = data.draw(st.lists(st.integers(0, len(items) - 1))) if items else []
    assert blobs.take(np.array(rows, np.int64)).tolist() == [items[row] for row in rows]
    other = data.draw(scattered(items[::-1]))
    assert Blobs.concat([blobs, Blobs.empty(), other, blobs]).tolist() == items + items[::-1] + items
    assert Blobs.concat([blobs, blobs]).tolist() == items + items


@given(items_lists, st.integers(-2, 32), st.integers(0, 32), st.data())
def test_reads_stay_inside(items: list[bytes], offset: int, width: int, data: st.DataObject) -> None:
    blobs = data.draw(scattered(items))
    inside = offset >= 0 and all(len(item) >= offset + width for item in items)
    if inside or not items or not width:
        expected = [item[offset : offset + width] for item in items] if width else [b""] * len(items)
        assert [row.tobytes() for row in blobs.matrix(offset, width)] == expected
    else:
        with pytest.raises(DecodeError):
            blobs.matrix(offset, width)


@given(items_lists, st.data())
def test_each_blob_has_its_own_offset(items: list[bytes], data: st.DataObject) -> None:
    items = [item + b"ab" for item in items]
    offsets = [data.draw(st.integers(0, len(item) - 2)) for item in items]
    found = data.draw(scattered(items)).read(np.array(offsets, np.int64), ">u2").tolist()
    assert found == [int.from_bytes(item[at : at + 2], "big") for item, at in zip(items, offsets, strict=True)]

"""Texts that repeat are made once, and are the same as if each were made by itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grid_inference.errors import DecodeError
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.texts import SAMPLE_ROWS, SHARED_ROWS_MIN, Texts, arrow_texts, decode_texts, shared_texts

SOME = ["", "a", "Łódź", "Αθήνα", "a longer text than the others", "\N{GRINNING FACE}"]


def _blobs(texts, order=None):
    packed = Blobs.of([b"" if text is None else text.encode() for text in texts])
    lengths = np.where([text is None for text in texts], -1, packed.lengths)
    blobs = Blobs(packed.buffer, np.where(lengths < 0, 0, packed.starts), lengths)
    return blobs if order is None else blobs.take(np.array(order, np.int64))


@given(st.lists(st.one_of(st.none(), st.sampled_from(SOME)), max_size=300), st.randoms())
def test_shared_texts_are_the_texts(texts, shuffle):
    order = list(range(len(texts)))
    for _ in range(2):
        blobs = _blobs(texts, order)
        expected = [texts[row] for row in order]
        assert arrow_texts(blobs).to_pylist() == decode_texts(blobs).tolist() == expected
        shared = shared_texts(blobs)
        assert (shared is None) == (len(texts) < SHARED_ROWS_MIN)
        if shared is not None:
            assert shared.values().tolist() == expected
            assert set(shared.distinct.tolist()) == set(texts)
            assert None not in shared.distinct[:-1]
        shuffle.shuffle(order)


def test_texts_that_hardly_repeat_are_not_shared():
    assert shared_texts(_blobs([f"{number}" for number in range(SAMPLE_ROWS * 2)])) is None
    few = [f"{number % 100}" for number in range(SAMPLE_ROWS * 2)]
    shared = shared_texts(_blobs(few))
    assert shared is not None
    assert (len(shared.distinct), shared.values().tolist()) == (100, few)
    assert Texts.of(np.array([f"{number}" for number in range(SAMPLE_ROWS * 2)], object)) is None


@pytest.mark.parametrize("reader", [arrow_texts, decode_texts, shared_texts])
@pytest.mark.parametrize("count", [1, 200])
def test_what_is_no_utf8_is_refused(reader, count):
    blobs = Blobs.of([*[b"fine"] * count, b"\xff\xfe"])
    if reader is shared_texts and count == 1:
        assert shared_texts(blobs) is None
        return
    with pytest.raises(DecodeError, match="a string is no UTF-8"):
        reader(blobs)


def test_bytes_between_texts_are_not_looked_at():
    buffer = np.frombuffer(b"\xff".join([b"a", b"bc", b""] * 40), np.uint8)
    lengths = np.array([1, 2, 0] * 40)
    starts = np.concatenate([[0], np.cumsum(lengths[:-1] + 1)])
    assert arrow_texts(Blobs(buffer, starts, lengths)).to_pylist() == ["a", "bc", ""] * 40


def test_texts_of_objects():
    values = np.array(["a", np.nan, "b", "a"], object)
    texts = Texts.of(values)
    assert texts is not None
    assert texts.codes.tolist() == [0, 1, 2, 0]
    assert [str(value) for value in texts.values()] == ["a", "nan", "b", "a"]
    assert [Texts.of(np.array(other, object)) for other in (["a", 1], [True], ["a", None], [float("nan")])] == [
        None
    ] * 4

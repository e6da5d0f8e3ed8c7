import numpy as np
import pytest

from grid_inference.errors import DecodeError
from grid_inference.wire.blobs import Blobs


def test_packs_in_order() -> None:
    blobs = Blobs.of([b"ab", b"", b"cde"])
    assert (blobs.buffer.tobytes(), blobs.starts.tolist(), blobs.lengths.tolist()) == (b"abcde", [0, 2, 2], [2, 0, 3])
    assert (len(blobs), blobs.nbytes, blobs[2]) == (3, 5, b"cde")


def test_rows_of_a_matrix_are_blobs_without_a_copy() -> None:
    matrix = np.arange(6, dtype=np.uint8).reshape(2, 3)
    blobs = Blobs.from_matrix(matrix)
    assert blobs.tolist() == [b"\0\1\2", b"\3\4\5"]
    assert np.shares_memory(blobs.buffer, matrix)


def test_empty() -> None:
    empty = Blobs.empty()
    assert (len(empty), empty.nbytes, empty.tolist()) == (0, 0, [])
    assert Blobs.concat([]).tolist() == Blobs.of([]).compact().tolist() == []
    assert empty.read(3, ">i4").tolist() == []
    assert empty.matrix(0, 4).shape == (0, 4)


@pytest.mark.parametrize("lengths", [[1, -1, 2], [-1, -1], [1, 1], [0, 0]])
def test_nulls_stay_nulls(lengths: list[int]) -> None:
    blobs = Blobs(np.frombuffer(b"xabyz", np.uint8), np.arange(len(lengths)), np.array(lengths))
    assert blobs.compact().lengths.tolist() == lengths
    assert blobs.compact().tolist() == blobs.tolist()
    assert blobs.take(np.array([-1])).lengths.tolist() == [lengths[-1]]
    assert Blobs.concat([blobs, Blobs.of([b"q"])]).lengths.tolist() == [*lengths, 1]
    if -1 in lengths:
        with pytest.raises(DecodeError):
            blobs.read(0, "u1")


def test_reads_big_endian_records_at_odd_places() -> None:
    blobs = Blobs.of([b"x\0\1\0\0\0\2", b"yy\0\3\0\0\0\4"]).take(np.array([1, 0]))
    found = blobs.read(np.array([2, 1]), np.dtype([("a", ">u2"), ("b", ">u4")]))
    assert found.tolist() == [(3, 4), (1, 2)]


@pytest.mark.parametrize(("offset", "width"), [(-1, 1), (3, 1), (0, 4), (2, 2), (2**40, 1)])
def test_no_read_beyond_a_blob_even_inside_the_buffer(offset: int, width: int) -> None:
    with pytest.raises(DecodeError, match="outside its blob"):
        Blobs.of([b"abc", b"defgh"]).matrix(offset, width)

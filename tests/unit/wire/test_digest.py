import re
from itertools import combinations

import numpy as np
import pytest

from grid_inference.wire import digest
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.digest import input_digest

VECTORS = re.findall(r"^ {4}(\(nothing\)|[0-9a-f]+) +(-?\d+)$", digest.__doc__ or "", re.MULTILINE)


@pytest.mark.parametrize(("payload", "expected"), VECTORS)
@pytest.mark.parametrize("rows", [1, 3, 200])
def test_vectors_of_the_docstring(payload: str, expected: str, rows: int) -> None:
    item = b"\1\2\3\4\5\6\7\10" + bytes.fromhex("" if payload == "(nothing)" else payload)
    assert input_digest(Blobs.of([item] * rows)).tolist() == [int(expected)] * rows
    mixed = input_digest(Blobs.of([item, item + b"x", item[:5]])).tolist()
    assert mixed[0] == int(expected) != mixed[1]


def test_there_are_vectors() -> None:
    assert len(VECTORS) == 4


def test_header_does_not_count_and_everything_else_does() -> None:
    base = np.arange(40, dtype=np.uint8)
    changed = np.tile(base, (41, 1))
    changed[np.arange(40), np.arange(40)] ^= 0x80
    digests = input_digest(Blobs.from_matrix(changed))
    assert set(digests[:8].tolist()) == {int(digests[40])}
    assert len(set(digests[8:].tolist())) == 33


def test_a_zero_more_or_less_counts() -> None:
    digests = input_digest(Blobs.of([bytes(size) for size in range(8, 60)]))
    assert len(set(digests.tolist())) == 52


def test_small_changes_in_two_words_do_not_cancel() -> None:
    # As in records of whose numbers only the last byte differs: 65,536 values of two bytes, at several pairs of places.
    values = np.arange(65_536, dtype=np.uint32)
    for first, second in combinations((8, 15, 16, 23, 24), 2):
        records = np.zeros((values.size, 32), np.uint8)
        records[:, first], records[:, second] = values & 0xFF, values >> 8
        assert np.unique(input_digest(Blobs.from_matrix(records))).size == values.size


def test_no_records() -> None:
    assert input_digest(Blobs.empty()).tolist() == []
    assert input_digest(Blobs(np.zeros(0, np.uint8), np.array([0]), np.array([-1]))).tolist() == [0]


def test_one_long_record_among_short_ones() -> None:
    long = bytes(8) + bytes(range(256)) * 5000
    alone = input_digest(Blobs.of([long])).tolist()
    assert input_digest(Blobs.of([b"short" * 4, long, b""])).tolist()[1:] == [*alone, 0]

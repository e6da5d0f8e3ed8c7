"""Rows of bytes joined, and columns that are encoded by their dtypes: the same bytes as one by one."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest

from grid_inference.errors import EncodeError
from grid_inference.wire.arrow.intake import column_from
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import ArraysEncoder, dtypes_of, encode_columns, encode_record, infer_schema
from grid_inference.wire.rows import arrow_bytes, join_rows
from grid_inference.wire.schema import FieldKind, Schema


def some_blobs(rows: int, chance: random.Random, *, nulls: bool) -> tuple[Blobs, list[bytes | None]]:
    pieces: list[bytes | None] = [
        None if nulls and chance.random() < 0.3 else bytes(chance.choices(range(256), k=chance.randrange(9)))
        for _ in range(rows)
    ]
    packed = Blobs.of([piece or b"" for piece in pieces])
    lengths = np.array([-1 if piece is None else len(piece) for piece in pieces], np.int64)
    return Blobs(packed.buffer, packed.starts, lengths), pieces


@pytest.mark.parametrize("rows", [1, 5, 40, 500])
@pytest.mark.parametrize("nulls", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_rows_are_joined_wherever_their_pieces_lie(rows: int, nulls: bool, seed: int) -> None:  # noqa: FBT001
    chance = random.Random(seed)
    blobs, pieces = some_blobs(rows, chance, nulls=nulls)
    order = np.random.default_rng(seed).permutation(rows)
    matrix = np.arange(rows * 3, dtype=np.uint8).reshape(rows, 3)
    found = join_rows([b"<", matrix, blobs.take(order), b"|", blobs, b">"])
    expected = [
        b"<" + matrix[row].tobytes() + (pieces[order[row]] or b"") + b"|" + (pieces[row] or b"") + b">"
        for row in range(rows)
    ]
    assert found.tolist() == expected
    assert arrow_bytes(blobs.take(order)).to_pylist() == [pieces[row] for row in order]


def test_blobs_that_share_bytes_are_joined_too() -> None:
    buffer = np.frombuffer(b"abcdef", np.uint8)
    blobs = Blobs(buffer, np.arange(50) % 4, np.full(50, 3) - np.arange(50) % 2)
    assert join_rows([blobs, b"."]).tolist() == [blob + b"." for blob in blobs.tolist()]


ARRAYS = {
    "truth": np.array([True, False, True]),
    "b": np.array([1, -2, 3], np.int8),
    "a": np.array([1.5, np.nan, -0.0]),
    "c": np.array([1, 2, 255], np.uint8),
    "flag": np.array([False, False, True]),
    "d": np.array([1e10, -1e-10, np.inf], np.float32),
    "e": np.array([2**62, -1, 0]),
    "swapped": np.array([1.25, 2.5, 3.75], ">f8"),
    "every other": np.arange(6)[::2],
}


def test_arrays_are_encoded_as_columns_are() -> None:
    schema = infer_schema("t", ARRAYS)
    encoder = ArraysEncoder.of(schema, dtypes_of(ARRAYS))
    assert encoder is not None
    found = encoder.encode(ARRAYS)
    assert found is not None
    assert found.tolist() == encode_columns(schema, ARRAYS).tolist()
    for row, record in enumerate(found.tolist()):
        assert record == encode_record(schema, {name: values[row].item() for name, values in ARRAYS.items()})


@pytest.mark.parametrize(
    "odd",
    [
        np.array([1], np.uint64),
        np.array(["x"]),
        np.array(["x"], object),
        np.array(["2024-01-01"], "M8[s]"),
        np.ones((1, 2)),
        np.ma.masked_array([1.0], [True]),
        [1.0],
        pa.array([1.0]),
    ],
)
def test_what_may_not_fit_or_may_be_null_is_not_encoded_by_its_dtype(odd: object) -> None:
    columns = {"plain": np.ones(1), "odd": odd}
    schema = infer_schema("t", {name: column_from(name, values) for name, values in columns.items()})
    assert ArraysEncoder.of(schema, dtypes_of(columns)) is None


def test_arrays_of_different_lengths_are_left_to_the_columns() -> None:
    encoder = ArraysEncoder.of(Schema.of("t", {"a": FieldKind.FLOAT64}), dtypes_of({"a": np.ones(1)}))
    assert encoder is not None
    assert encoder.encode({"a": np.ones(1), "b": np.ones(2)}) is None


def test_a_text_of_arrow_that_is_no_utf8_is_refused_by_its_column() -> None:
    damaged = pa.Array.from_buffers(
        pa.string(), 1, [None, pa.py_buffer(np.array([0, 2], np.int32)), pa.py_buffer(b"\xff\xfe")]
    )
    with pytest.raises(EncodeError, match="column 'a' holds a text that is no UTF-8"):
        column_from("a", damaged)

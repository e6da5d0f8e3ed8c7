"""What applications read: dead letters and tables, whatever their writers put into them."""

from __future__ import annotations

import numpy as np

from grid_inference.records import DEAD_LETTER, DeadLetter, RecordTable
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import FieldKind, Schema, decode_columns, encode_record
from grid_inference.wire.keys import encode_keys

NUMBERS = {"input_digest": 5, "version": 1, "failed_at_us": 7}


def test_a_dead_letter_without_its_record() -> None:
    written = encode_record(DEAD_LETTER, {**NUMBERS, "deployment": "d", "cause": "c", "message": "m", "model": "m"})
    letter = DeadLetter.decode(encode_keys([1])[0], written)
    assert (letter.key, letter.cause, letter.record, letter.input_digest) == (1, "c", b"", 5)


def test_signalling_nans_among_other_schemas_are_nan_without_a_warning() -> None:
    wide, narrow = (Schema.of(name, {"x": kind}) for name, kind in (("a", FieldKind.FLOAT64), ("b", FieldKind.FLOAT32)))
    nullable = Schema.of("c", {"x": FieldKind.NULLABLE_FLOAT32})
    signalling = bytes.fromhex("7f800001")
    some = [
        (wide, encode_record(wide, {"x": 0.5})),
        (narrow, encode_record(narrow, {"x": 0.0})[:-4] + signalling),
        (nullable, encode_record(nullable, {"x": None})),
        (nullable, encode_record(nullable, {"x": 0.0})[:-5] + signalling + b"\0"),
    ]
    parts = [(np.array([row]), decode_columns(Blobs.of([data]), schema)) for row, (schema, data) in enumerate(some)]
    np.testing.assert_array_equal(RecordTable.of([1, 2, 3, 4], parts)["x"], [0.5, np.nan, np.nan, np.nan])

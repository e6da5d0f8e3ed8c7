"""Arrays as Java's `List<Double>` and `Double[]` are written feed a model of one array field."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from grid_inference.model.inputs.binding import Binding, bind, resolve
from grid_inference.model.inputs.sources import Mismatch
from grid_inference.model.signature import Signature
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import FieldKind, Schema, encode_record

SIGNATURE = Signature.of(LinearRegression().fit(np.eye(3), [1, 2, 3]), columns=["x"])


@pytest.mark.parametrize("kind", ["FLOAT64", "FLOAT32", "INT32", "BOOLEAN"])
def test_an_array_of_nullable_numbers(kind: str) -> None:
    schema = Schema.of("t", {"x": FieldKind[f"ARRAY_OF_NULLABLE_{kind}"]})
    rows = [[True, False, None], [True, True], None, [False, False, True]]
    rows = (
        rows if kind == "BOOLEAN" else [row and [each if each is None else int(each) for each in row] for row in rows]
    )
    binding = bind(SIGNATURE, schema)
    assert isinstance(binding, Binding)
    matrix, misfits = binding.inputs(Blobs.of([encode_record(schema, {"x": row}) for row in rows]))
    np.testing.assert_array_equal(matrix[[0, 3]], [[1, 0, np.nan], [0, 0, 1]])
    assert misfits == dict.fromkeys([1, 2], Mismatch("WRONG_TYPE", "x is no array of 3 numbers"))


def test_the_one_array_field_is_found() -> None:
    unnamed = Signature.of(LinearRegression().fit(np.eye(3), [1, 2, 3]))
    schema = Schema.of("t", {"x": FieldKind.ARRAY_OF_NULLABLE_FLOAT64, "note": FieldKind.STRING})
    assert resolve(unnamed, schema).array_field == "x"

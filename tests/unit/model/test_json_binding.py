"""JSON values feed a model as the same Compact records would; what has no meaning is set apart row by row."""

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from grid_inference.config import InputConfig
from grid_inference.model.described import Input
from grid_inference.model.inputs.frame import Frame
from grid_inference.model.inputs.json_binding import JsonBinding
from grid_inference.model.inputs.sources import Mismatch, Sources
from grid_inference.model.signature import Signature
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.json.values import encode_json

FRAME = pd.DataFrame({"amount": np.arange(20.0), "hour": np.arange(20) % 5})
TARGET = np.arange(20) % 2
SIGNATURE = Signature.of(LogisticRegression().fit(FRAME, TARGET))


def _values(*records: object) -> Blobs:
    return Blobs.of([encode_json(record) for record in records])


@pytest.mark.parametrize("times", [1, 100], ids=["few", "many"])
def test_numbers_become_the_models_matrix(times: int) -> None:
    records = [{"hour": 3, "amount": 1.5, "note": "x"}, {"amount": True, "hour": None}, {"hour": -1}]
    matrix, misfits = JsonBinding(Sources(SIGNATURE, {})).inputs(_values(*records * times))
    assert not misfits
    np.testing.assert_array_equal(matrix, [[1.5, 3], [1, np.nan], [np.nan, -1]] * times)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("2", "amount is a string, the model needs a number"),
        ([1], "amount is an array, the model needs a number"),
        ({"x": 1}, "amount is an object, the model needs a number"),
    ],
)
def test_a_wrong_type_sets_its_row_apart(value: object, said: str) -> None:
    good = {"amount": 1.0, "hour": 2}
    matrix, misfits = JsonBinding(Sources(SIGNATURE, {})).inputs(_values(good, {"amount": value, "hour": 1}, good))
    assert misfits == {1: Mismatch("WRONG_TYPE", said)}
    np.testing.assert_array_equal(matrix[[0, 2]], [[1, 2], [1, 2]])


@pytest.mark.parametrize("text", [b'{"amount": 1', b"[1, 2]", b"\xff", b"", b'{"amount": NaN, "hour": 1}'])
def test_damage_sets_its_row_apart(text: bytes) -> None:
    good = encode_json({"amount": 1.0, "hour": 2})
    damaged = b"\0\0\0\0" + (-130).to_bytes(4, "big", signed=True) + len(text).to_bytes(4, "big") + text
    matrix, misfits = JsonBinding(Sources(SIGNATURE, {})).inputs(Blobs.of([good, damaged, good]))
    assert {row: reason.cause for row, reason in misfits.items()} == {1: "UNDECODABLE"}
    np.testing.assert_array_equal(matrix[[0, 2]], [[1, 2], [1, 2]])


def test_one_array_field() -> None:
    signature = Signature.of(LinearRegression().fit(np.eye(3), [1, 2, 3]), columns=["x"])
    records = [{"x": [1, 2.5, None]}, {"x": [1, 2]}, {"x": None}, {"x": ["1", 2, 3]}, {"x": [4, 5, 6]}]
    matrix, misfits = JsonBinding(Sources(signature, {})).inputs(_values(*records))
    reason = Mismatch("WRONG_TYPE", "x is no array of 3 numbers")
    assert misfits == {1: reason, 2: reason, 3: reason}
    np.testing.assert_array_equal(matrix[[0, 4]], [[1, 2.5, np.nan], [4, 5, 6]])


def test_strings_for_a_model_that_picks_columns_by_name() -> None:
    table = pd.DataFrame({"city": ["Ghent", "Porto"] * 10, "amount": np.arange(20.0)})
    columns = ColumnTransformer([("city", OneHotEncoder(handle_unknown="ignore"), ["city"])], remainder="passthrough")
    model = make_pipeline(columns, LogisticRegression()).fit(table, TARGET)
    signature = Signature.of(model, sample=table)
    inputs, misfits = JsonBinding(Sources(signature, {})).inputs(_values(*table.to_dict("records"), {"amount": 1}))
    assert isinstance(inputs, Frame)
    assert not misfits
    assert inputs.absent.sum(axis=0).tolist() == [1, 0]
    pd.testing.assert_frame_equal(inputs[:20].to_pandas(), table)
    nothing, _ = JsonBinding(Sources(signature, {})).inputs(_values({"city": None}))
    assert {name: values.dtype.name for name, values in nothing.columns.items()} == {
        "city": "object",
        "amount": "float64",
    }


LARGE = 2**53 + 1
MATES = [0.5, 9.5e15, "x", True, 2**70, None, [1], 2**63 - 1]


@pytest.mark.parametrize("times", [1, 100], ids=["few", "many"])
@pytest.mark.parametrize("cast", ["float", "int", "string", "bool", "epoch_s", "epoch_ms", None])
@pytest.mark.parametrize(
    "value", [LARGE, -LARGE, 2**63 - 1, -(2**63), 2**63, 2**64 + 1, 10**15 + 1, 10**14 + 7, 2**54 + 2**30 + 1, 5, 0]
)
def test_what_a_number_is_hangs_on_no_batch_mate(value: int, cast: str | None, times: int) -> None:
    for dtype in ("int64", "float64", "float32", "int32", "string", "datetime64[us]"):
        signature = Signature((Input("n", dtype, exact=dtype != "string"),), "regressor", inputs_count=1, frame=True)
        sources = Sources(signature, {"n": InputConfig(cast=cast)} if cast else {})
        alone, said = JsonBinding(sources).inputs(_values({"n": value}))
        for mate in MATES:
            among, others = JsonBinding(sources).inputs(_values(*[{"n": value}, {"n": mate}] * times))
            assert isinstance(alone, Frame)
            assert isinstance(among, Frame)
            assert others.get(0) == said.get(0), (dtype, mate)
            if not said:
                assert repr(among.columns["n"][0]) == repr(alone.columns["n"][0]), (dtype, mate)


def test_exact_digits_reach_a_model_that_was_fitted_on_them() -> None:
    signature = Signature((Input("n", "int64", exact=True),), "regressor", inputs_count=1, frame=True)
    values = _values({"n": LARGE}, {"n": 0.5}, {"n": 7.0}, {"n": 2**63})
    inputs, misfits = JsonBinding(Sources(signature, {})).inputs(values)
    assert isinstance(inputs, Frame)
    assert (inputs.columns["n"].dtype, inputs.columns["n"][[0, 2]].tolist()) == (np.dtype(np.int64), [LARGE, 7])
    assert list(misfits) == [1, 3]

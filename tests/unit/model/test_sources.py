"""Declared inputs: each step by itself, the same for Compact and JSON records, and what is refused, where."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from grid_inference.config import DeploymentConfig
from grid_inference.errors import SignatureError
from grid_inference.model.described import Input
from grid_inference.model.inputs.binding import Binding, bind
from grid_inference.model.inputs.frame import Frame, Inputs
from grid_inference.model.inputs.json_binding import JsonBinding
from grid_inference.model.inputs.sources import Misfits, Mismatch, Sources
from grid_inference.model.signature import Signature
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import FieldKind, Schema, encode_record
from grid_inference.wire.json.values import encode_json

K = FieldKind
ADDRESS = Schema.of("Address", {"city": K.STRING, "floor": K.NULLABLE_INT32, "height": K.DECIMAL})
ORDER = Schema.of(
    "Order",
    {
        "address": K.COMPACT,
        "amount": K.NULLABLE_FLOAT64,
        "betrag": K.NULLABLE_FLOAT64,
        "count": K.STRING,
        "country": K.STRING,
        "day": K.DATE,
        "express": K.STRING,
        "items": K.ARRAY_OF_INT32,
        "sent": K.INT64,
        "tags": K.ARRAY_OF_STRING,
        "when": K.STRING,
    },
)
ROW: dict[str, Any] = {
    "address": {"city": "Ghent", "floor": 3, "height": Decimal("2.5")},
    "amount": 12.5,
    "betrag": None,
    "count": "7",
    "country": "BE",
    "day": dt.date(2026, 1, 31),
    "express": "Yes",
    "items": [4, 5, 6],
    "sent": 1_700_000_000_500,
    "tags": ["new", None],
    "when": "2026-01-31T12:00:00+02:00",
}
BARE: dict[str, Any] = dict.fromkeys(ROW) | {"sent": 0}


def _declared(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    return DeploymentConfig.from_mapping({"name": "d", "features": "f", "inputs": inputs}).inputs


def _matrix_signature(names: list[str]) -> Signature:
    table = pd.DataFrame(np.eye(len(names) + 1)[:, : len(names)], columns=names)
    return Signature.of(LinearRegression().fit(table, range(len(names) + 1)))


def _frame_signature(sample: pd.DataFrame) -> Signature:
    model = make_pipeline(FunctionTransformer(lambda table: table.notna()), LinearRegression())
    return Signature.of(model.fit(sample, range(len(sample))), sample=sample)


def _compact(signature: Signature, inputs: Mapping[str, Any], *rows: Mapping[str, Any]) -> tuple[Inputs, Misfits]:
    binding = bind(signature, ORDER, _declared(inputs))
    assert isinstance(binding, Binding), binding
    values = Blobs.of([encode_record(ORDER, row, {"address": ADDRESS}) for row in rows])
    return binding.inputs(values, {ADDRESS.schema_id: ADDRESS})


def _json(signature: Signature, inputs: Mapping[str, Any], *rows: Mapping[str, Any]) -> tuple[Inputs, Misfits]:
    plain = [
        {name: value.isoformat() if isinstance(value, dt.date) else value for name, value in row.items()}
        for row in rows
    ]
    for row in plain:
        if row["address"] is not None:
            row["address"] = row["address"] | {"height": 2.5}
    return JsonBinding(Sources(signature, _declared(inputs))).inputs(Blobs.of([encode_json(row) for row in plain]))


@pytest.fixture(params=[_compact, _json], ids=["compact", "json"])
def read(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.parametrize(
    ("said", "expected", "bare"),
    [
        ("amount", 12.5, np.nan),
        ({"field": "amount"}, 12.5, np.nan),
        ({"field": ["betrag", "amount"]}, 12.5, np.nan),
        ({"field": ["nowhere", "betrag"], "default": 1}, 1, 1),
        ({"field": "nowhere", "default": -1.5}, -1.5, -1.5),
        ({"constant": 4}, 4, 4),
        ({"constant": True}, 1, 1),
        ({"field": "amount", "default": 3}, 12.5, 3),
        ({"field": "address.floor"}, 3, np.nan),
        ({"field": "address.floor", "default": 0}, 3, 0),
        ({"field": "address.height"}, 2.5, np.nan),
        ({"field": "items[2]"}, 6, np.nan),
        ({"field": "items[3]"}, np.nan, np.nan),
        ({"field": "count", "cast": "float"}, 7, np.nan),
        ({"field": "count", "cast": "int", "default": 2}, 7, 2),
        ({"field": "express", "cast": "bool", "default": False}, 1, 0),
        ({"field": "country", "equals": "BE"}, 1, 0),
        ({"field": "country", "equals": "NL"}, 0, 0),
        ({"field": "address.city", "equals": "Ghent"}, 1, 0),
        ({"field": "tags[0]", "equals": "new"}, 1, 0),
        ({"field": "tags[1]", "equals": "new"}, 0, 0),
        ({"field": "items[0]", "one_of": [4, 5]}, 4, np.nan),
        ({"field": "items[0]", "one_of": [5], "default": 5}, 5, 5),
        ({"field": "country", "one_of": ["NL"], "default": "NL", "equals": "NL"}, 1, 1),
    ],
    ids=str,
)
def test_a_number_from_anywhere(read: Any, said: Any, expected: float, bare: float) -> None:
    matrix, misfits = read(_matrix_signature(["x", "sent"]), {"x": said}, ROW, BARE)
    assert misfits == {}
    assert isinstance(matrix, np.ndarray)
    np.testing.assert_array_equal(matrix, [[expected, ROW["sent"]], [bare, 0]])


@pytest.mark.parametrize(
    ("said", "expected", "bare"),
    [
        ({"field": "address.city"}, "Ghent", np.nan),
        ({"field": "address.city", "default": "nowhere"}, "Ghent", "nowhere"),
        ({"field": "sent", "cast": "string"}, "1700000000500", "0"),
        ({"field": "country", "one_of": ["NL", "DE"], "default": "other"}, "other", "other"),
        ({"constant": "web"}, "web", "web"),
        ({"field": "tags[0]"}, "new", np.nan),
        ({"field": "when", "cast": "datetime"}, pd.Timestamp("2026-01-31T10:00"), pd.NaT),
        (
            {"field": "when", "cast": "datetime", "default": "2020-02-02"},
            pd.Timestamp("2026-01-31T10:00"),
            "2020-02-02",
        ),
        ({"field": "sent", "cast": "epoch_ms"}, pd.Timestamp("2023-11-14T22:13:20.5"), pd.Timestamp(0)),
        ({"field": "day", "cast": "datetime"}, pd.Timestamp("2026-01-31"), pd.NaT),
    ],
    ids=str,
)
def test_a_column_of_a_frame_from_anywhere(read: Any, said: Any, expected: Any, bare: Any) -> None:
    moments = said.get("cast") in ("datetime", "epoch_ms")
    sample = pd.DataFrame({"x": pd.to_datetime(["2026-01-01"] * 2) if moments else ["a", "b"]})
    frame, misfits = read(_frame_signature(sample), {"x": said}, ROW, BARE)
    assert misfits == {}
    assert isinstance(frame, Frame)
    values = frame.columns["x"]
    assert values.dtype.kind == ("M" if moments else "O")
    found = [None if pd.isna(value) else value for value in (map(pd.Timestamp, values) if moments else values)]
    wanted = [None if pd.isna(value) else value for value in (expected, bare)]
    assert found == (list(map(pd.Timestamp, wanted)) if moments and None not in wanted else wanted)
    # Alone in a batch, each row's column has the same type.
    for row in (ROW, BARE):
        alone, _ = read(_frame_signature(sample), {"x": said}, row)
        assert alone.columns["x"].dtype == frame.columns["x"].dtype


@pytest.mark.parametrize(
    ("said", "bad", "mismatch"),
    [
        (
            {"field": "count", "cast": "int"},
            {"count": "many"},
            Mismatch("WRONG_TYPE", "x is 'many', which is no int"),
        ),
        ({"field": "count", "cast": "int"}, {"count": "7.5"}, Mismatch("WRONG_TYPE", "x is '7.5', which is no int")),
        ({"field": "express", "cast": "bool"}, {"express": "2"}, Mismatch("WRONG_TYPE", "x is '2', which is no bool")),
        (
            {"field": "items[0]", "one_of": [4, 5]},
            {"items": [9]},
            Mismatch("WRONG_VALUE", "x is 9, which is none of 4, 5"),
        ),
        (
            {"field": "address.city"},
            {"address": {"city": "Ghent", "floor": 1, "height": Decimal("2.5")}},
            Mismatch("WRONG_TYPE", "x is a string, the model needs a number"),
        ),
    ],
    ids=str,
)
def test_a_value_that_can_not_be_sets_its_row_apart(read: Any, said: Any, bad: Any, mismatch: Mismatch) -> None:
    good = ROW | {"address": None}
    matrix, misfits = read(_matrix_signature(["x"]), {"x": said}, good, ROW | bad, good)
    assert {row: reason for row, reason in misfits.items() if row == 1} == {1: mismatch}
    assert set(misfits) == {1}
    assert matrix[0] == matrix[2] or np.isnan(matrix[[0, 2]]).all()


def test_long_values_are_shortened_in_a_message(read: Any) -> None:
    said = {"x": {"field": "count", "cast": "float"}}
    _, misfits = read(_matrix_signature(["x"]), said, ROW | {"count": "9" * 50 + "x"})
    assert misfits[0].message == f"x is '{'9' * 39}…, which is no float"


def test_fields_of_their_own_name_go_the_fast_way() -> None:
    signature = _matrix_signature(["sent", "x"])
    renamed = bind(signature, ORDER, _declared({"x": "amount"}))
    assert isinstance(renamed, Binding)
    assert renamed.direct == ("sent", "amount")
    nested = bind(signature, ORDER, _declared({"x": "address.floor"}))
    assert isinstance(nested, Binding)
    assert (nested.direct, nested.nested_fields) == ((), ("address.floor",))


@pytest.mark.parametrize(
    ("said", "cause", "message"),
    [
        ({"field": "nowhere"}, "MISSING_FEATURE", "nowhere: no such field in Order"),
        ({"field": ["here", "there"]}, "MISSING_FEATURE", "here, there: no such field in Order"),
        ({"field": "amount.cents"}, "MISSING_FEATURE", "amount.cents: no such field in Order"),
        ({"field": "amount[0]"}, "MISSING_FEATURE", "amount[0]: no such field in Order"),
        ({"field": "country"}, "WRONG_TYPE", "country is STRING in Order, the model needs a number"),
        ({"field": "tags[0]"}, "WRONG_TYPE", "tags[0] is STRING in Order, the model needs a number"),
        ({"field": "address", "cast": "string"}, "WRONG_TYPE", "address is COMPACT in Order, the model needs a number"),
    ],
    ids=str,
)
def test_a_schema_that_can_not_feed_an_input(said: Any, cause: str, message: str) -> None:
    found = bind(_matrix_signature(["x"]), ORDER, _declared({"x": said}))
    assert isinstance(found, Mismatch)
    assert found.cause == cause
    assert found.message.startswith(message)


def test_what_is_declared_must_be_an_input_of_the_model() -> None:
    with pytest.raises(SignatureError, match=r"inputs\.y: the model has no such input") as refused:
        Sources(_matrix_signature(["x"]), _declared({"y": "amount"}))
    assert refused.value.remedy == "its inputs are x"
    with pytest.raises(SignatureError, match=r"inputs\.x: default = 'soon' is no datetime"):
        Sources(_matrix_signature(["x"]), _declared({"x": {"cast": "epoch_s", "default": "soon"}}))
    array = Signature.of(LinearRegression().fit(np.eye(3), [1, 2, 3]), columns=["x"])
    with pytest.raises(SignatureError, match="can't be declared where all are values of the array field 'x'"):
        Sources(array, _declared({"x[0]": "amount"}))


def test_one_hot_columns_of_pandas_need_no_code(read: Any) -> None:
    """A model fitted on get_dummies, fed with the plain text."""
    cities = ["Ghent", "Porto", "Ghent", "Oslo"]
    table = pd.get_dummies(pd.DataFrame({"city": cities}))
    model = LinearRegression().fit(table, [1, 2, 1, 3])
    inputs = {name: {"field": "address.city", "equals": name.removeprefix("city_")} for name in table.columns}
    rows = [ROW | {"address": {"city": city, "floor": 1, "height": Decimal("2.5")}} for city in cities]
    matrix, misfits = read(Signature.of(model), inputs, *rows)
    assert misfits == {}
    np.testing.assert_array_equal(matrix, table)


def test_a_column_transformer_over_declared_inputs(read: Any) -> None:
    table = pd.DataFrame({"city": ["Ghent", "Porto", "Oslo"], "size": [1.0, 2.0, 3.0]})
    encoder = ColumnTransformer([("city", OneHotEncoder(), ["city"])], remainder="passthrough")
    model = make_pipeline(encoder, LinearRegression()).fit(table, [1, 2, 3])
    inputs = {
        "city": {"field": "address.city", "one_of": ["Ghent", "Porto", "Oslo"], "default": "Oslo"},
        "size": {"field": ["betrag", "amount"], "default": 0},
    }
    frame, misfits = read(Signature.of(model, sample=table), inputs, ROW, BARE)
    assert misfits == {}
    expected = pd.DataFrame({"city": ["Ghent", "Oslo"], "size": [12.5, 0.0]})
    np.testing.assert_array_equal(model.predict(frame.to_pandas()), model.predict(expected))


def test_decimals_as_moments_whatever_the_other_records_hold() -> None:
    """Beside a whole number of another schema a decimal is an object, and may have billions of digits."""
    schemas = [Schema.of("Sent", {"at": kind}) for kind in (K.INT64, K.DECIMAL)]
    outer, table = Schema.of("Mail", {"sent": K.COMPACT}), pd.DataFrame({"day": pd.to_datetime(["2024-01-01"])})
    model = make_pipeline(FunctionTransformer(lambda found: found.to_numpy("M8[s]").astype(float)), LinearRegression())
    binding = bind(
        Signature.of(model.fit(table, [1.0]), columns=["day"], sample=table),
        outer,
        _declared({"day": {"field": "sent.at", "cast": "epoch_s"}}),
    )
    assert isinstance(binding, Binding)
    values = [(0, 5), (1, Decimal("1.25")), (1, Decimal("1E+2147483647")), (1, Decimal("1E-2147483647"))]
    rows = [encode_record(outer, {"sent": {"at": value}}, {"sent": schemas[which]}) for which, value in values]
    known = {each.schema_id: each for each in schemas}
    inputs, misfits = binding.inputs(Blobs.of(rows), known)
    assert isinstance(inputs, Frame)
    days = inputs.columns["day"].astype("M8[us]").astype(int)
    assert days[[0, 1, 3]].tolist() == [5_000_000, 1_250_000, 0]
    assert list(misfits) == [2]


def test_a_nested_field_is_the_same_beside_records_that_hold_it_as_another_kind() -> None:
    """The schema of the records within a record is not the outer one's to tell."""
    ours = Schema.of("Place", {"height": K.INT64})
    fraction = Schema.of("Place", {"height": K.FLOAT64})
    rows = [(ADDRESS, Decimal("2.5")), (ours, 2**53 + 1), (fraction, 0.5), (ADDRESS, None)]
    blobs = [
        encode_record(
            ORDER, BARE | {"address": dict.fromkeys(("city", "floor")) | {"height": value}}, {"address": inner}
        )
        if inner is ADDRESS
        else encode_record(ORDER, BARE | {"address": {"height": value}}, {"address": inner})
        for inner, value in rows
    ]
    schemas = {inner.schema_id: inner for inner in (ADDRESS, ours, fraction)}
    for wanted, expected in (("float64", [2.5, 2.0**53, 0.5]), ("int64", [None, 2**53 + 1, None])):
        signature = Signature((Input("x", wanted, exact=True),), "regressor", inputs_count=1, frame=True)
        binding = bind(signature, ORDER, _declared({"x": "address.height"}))
        assert isinstance(binding, Binding)
        together, misfits = binding.inputs(Blobs.of(blobs), schemas)
        for row, each in enumerate(expected):
            alone, said = binding.inputs(Blobs.of([blobs[row]]), schemas)
            assert (row in misfits, 0 in said) == (each is None, each is None)
            assert each is None or alone.columns["x"][0] == together.columns["x"][row] == each

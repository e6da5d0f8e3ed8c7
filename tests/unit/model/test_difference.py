"""Where records are not what a model was fitted on, field by field."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from grid_inference.config import InputConfig
from grid_inference.model.described import Described, Input
from grid_inference.model.inputs.difference import differences
from grid_inference.model.signature import Signature
from grid_inference.wire.schema import FieldKind as K
from grid_inference.wire.schema import Schema

SAMPLE = pd.DataFrame({"amount": [1.5, 2.5], "hour": [3, 4]})
MODEL = LogisticRegression().fit(SAMPLE, [0, 1])
SIGNATURE = Signature.of(MODEL, sample=SAMPLE)
FRAMED = Signature.described(
    Described("classifier", ("no", "yes"), (Input("amount"), Input("kind", "string", nullable=True)), frame=True)
)


def said(signature: Signature, fields: dict[str, K], **declared: InputConfig) -> dict[tuple[str, str], str]:
    found = differences(signature, Schema.of("payment", fields), declared)
    assert all(one.schema == "payment" for one in found)
    return {(one.input, one.field): one.said for one in found}


def test_records_that_are_what_the_model_was_fitted_on() -> None:
    assert said(SIGNATURE, {"amount": K.FLOAT64, "hour": K.INT64}) == {}
    assert said(SIGNATURE, {"amount": K.FLOAT32, "hour": K.FLOAT64}) == {}
    assert said(FRAMED, {"amount": K.FLOAT64, "kind": K.STRING}) == {}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"amount": K.FLOAT64, "hour": K.BOOLEAN}, {("hour", "hour"): "1 or 0"}),
        (
            {"amount": K.NULLABLE_FLOAT64, "hour": K.INT64},
            {("amount", "amount"): 'null is refused, unless nan = "score"'},
        ),
        ({"amount": K.FLOAT64}, {("hour", ""): "missing: such records become dead letters"}),
        (
            {"amount": K.STRING, "hour": K.INT64},
            {("amount", "amount"): "no number: such records become dead letters"},
        ),
        ({"amount": K.FLOAT64, "hour": K.INT64, "note": K.STRING}, {("", "note"): "not used"}),
    ],
)
def test_what_differs(fields: dict[str, K], expected: dict[tuple[str, str], str]) -> None:
    assert said(SIGNATURE, fields) == expected


def test_what_a_deployment_declares_counts() -> None:
    fields = {"total": K.FLOAT64, "at": K.STRING}
    declared = {"amount": InputConfig(field="total"), "hour": InputConfig(field="at", cast="int")}
    assert said(SIGNATURE, fields, **declared) == {("hour", "at"): "cast"}
    declared = {"amount": InputConfig(field="total"), "hour": InputConfig(constant=3)}
    assert said(SIGNATURE, fields, **declared) == {("hour", ""): "a constant", ("", "at"): "not used"}
    declared = {"amount": InputConfig(field="total"), "hour": InputConfig(default=3)}
    assert said(SIGNATURE, fields, **declared) == {("hour", ""): "the default", ("", "at"): "not used"}


def test_models_that_take_frames() -> None:
    other = "of another type than the model was fitted on"
    assert said(FRAMED, {"amount": K.INT64, "kind": K.STRING}) == {("amount", "amount"): other}
    assert said(FRAMED, {"amount": K.STRING, "kind": K.INT32}) == {("amount", "amount"): other, ("kind", "kind"): other}
    assert said(FRAMED, {"amount": K.FLOAT64, "card": K.COMPACT}, kind=InputConfig(field="card.kind")) == {
        ("kind", "card.kind"): "within a record: known when it comes"
    }


def test_a_field_is_used_if_anything_of_it_is() -> None:
    fields = {"place": K.COMPACT, "places": K.INT64, "row": K.ARRAY_OF_FLOAT64, "a.b": K.INT64, "c": K.INT64}
    declared = {"amount": InputConfig("place.height.m"), "hour": InputConfig(("row[3]", "a.b"))}
    unused = [field for (name, field), word in said(SIGNATURE, fields, **declared).items() if word == "not used"]
    assert unused == ["c", "places"]


def test_inputs_in_one_array_are_no_fields() -> None:
    signature = Signature.of(LogisticRegression().fit(np.eye(2), [0, 1]), ["x"])
    assert differences(signature, Schema.of("payment", {"x": K.ARRAY_OF_FLOAT64})) == []


def test_dates_are_no_difference() -> None:
    inputs = (Input("day", "datetime64[s]"), Input("at", "datetime64[us, Europe/Berlin]"), Input("on", "date"))
    signature = Signature.described(Described("regressor", inputs=(*inputs, Input("any", "", exact=True)), frame=True))
    same = {"day": K.DATE, "at": K.TIMESTAMP_WITH_TIMEZONE, "on": K.DATE, "any": K.TIME}
    assert said(signature, same) == {}
    assert said(signature, same | {"day": K.TIMESTAMP}) == {}
    other = "of another type than the model was fitted on"
    assert said(signature, same | {"at": K.TIMESTAMP}) == {("at", "at"): other}

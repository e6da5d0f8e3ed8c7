"""Plain records one by one are the bytes, and the values, of the general way; what is not plain is left to that."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grid_inference.wire.compact import (
    FieldKind,
    PlainDecoder,
    PlainEncoder,
    Schema,
    decode_record,
    encode_record,
    infer_record_schemas,
    schema_id_of,
    shape_of,
)
from grid_inference.wire.compact.record_schemas import plain_record
from grid_inference.wire.json.values import encode_json
from grid_inference.wire.schema import NULLABLE_KINDS, NUMBER_DTYPES

INT64 = st.integers(-(2**63), 2**63 - 1)
FLOATS = st.floats(allow_nan=False)
TEXTS = st.text(st.characters(exclude_categories=("Cs",)))
VALUES = st.one_of(FLOATS, INT64, st.booleans(), TEXTS, FLOATS.map(np.float64), INT64.map(np.int64))
RECORDS = st.dictionaries(st.text("abcdefghijklmnopqrstuvwxyz_0123456789", min_size=1), VALUES, max_size=40)
KINDS = [*NUMBER_DTYPES, *(NULLABLE_KINDS[kind] for kind in NUMBER_DTYPES)]
KINDS += [FieldKind.BOOLEAN, FieldKind.NULLABLE_BOOLEAN, FieldKind.STRING]


def encoder_of(record: dict[str, Any], *, nan: bool = False) -> tuple[Schema, PlainEncoder | None]:
    """What the general way finds out of a record, and who encodes the next ones."""
    schema, _ = infer_record_schemas("m", plain_record(record))
    return schema, PlainEncoder.of(schema, shape_of(record), nan=nan)


@given(RECORDS)
def test_plain_records_are_the_same_bytes_and_come_back(record: dict[str, Any]) -> None:
    schema, encoder = encoder_of(record)
    assert encoder
    data = encoder.encode(record)
    assert data == encode_record(schema, plain_record(record))
    assert schema_id_of(data) == schema.schema_id
    decoder = PlainDecoder.of(schema)
    assert decoder
    found = decoder.decode(data)
    assert found == decode_record(schema, data) == record
    assert found is not None
    assert list(found) == sorted(record)
    assert {name: type(value) for name, value in found.items()} == {
        name: type(value.item() if isinstance(value, np.generic) else value) for name, value in record.items()
    }


@pytest.mark.parametrize(
    "other", [{"a": math.nan, "b": 1}, {"a": 1.0, "b": 2**63}, {"a": 1.0, "b": -(2**63) - 1}], ids=str
)
def test_what_needs_a_closer_look_is_left_to_it(other: dict[str, Any]) -> None:
    record = {"a": 0.5, "b": 1}
    _, encoder = encoder_of(record)
    assert encoder
    assert shape_of(other) == shape_of(record)
    assert encoder.encode(other) is None
    assert encoder.encode(record) is not None


def test_a_text_that_is_none_is_left_to_the_general_way() -> None:
    _, encoder = encoder_of({"a": "blue"})
    assert encoder
    assert encoder.encode({"a": "\ud800"}) is None


def test_nan_is_a_number_where_it_is_said_to_be() -> None:
    schema, encoder = encoder_of({"a": 0.5, "b": 1}, nan=True)
    assert encoder
    assert encoder.encode({"a": math.nan, "b": 1}) == encode_record(schema, {"a": math.nan, "b": 1})


@pytest.mark.parametrize("value", [None, [1.0], {"b": 1}, b"bytes", np.datetime64(0, "s"), np.float32(1)], ids=repr)
def test_other_values_are_not_plain(value: Any) -> None:
    record = {"a": 0.5, "b": value}
    try:
        _, encoder = encoder_of(record)
    except Exception:  # noqa: BLE001 - the general way refuses it by name
        return
    assert encoder is None


def test_another_order_or_type_is_another_shape() -> None:
    shape = shape_of({"a": 1.0, "b": 1})
    assert shape_of({"b": 1, "a": 1.0}) != shape
    assert shape_of({"a": True, "b": 1}) != shape
    assert shape_of({"a": 1, "b": 1}) != shape


def a_value(kind: FieldKind, number: int) -> Any:
    """Some value of a kind; a null now and then where it can be one."""
    if kind.name.startswith("NULLABLE") and number % 3 == 0:
        return None
    if "BOOLEAN" in kind.name:
        return number % 2 == 0
    if kind is FieldKind.STRING:
        return None if number % 5 == 0 else f"text {number}"
    return float(number) if "FLOAT" in kind.name else number


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.integers(-128, 127)), max_size=30))
def test_every_plain_kind_is_read_as_the_general_way_does(fields: list[tuple[FieldKind, int]]) -> None:
    schema = Schema.of("m", {f"f{at}": kind for at, (kind, _) in enumerate(fields)})
    data = encode_record(schema, {f"f{at}": a_value(kind, number) for at, (kind, number) in enumerate(fields)})
    decoder = PlainDecoder.of(schema)
    assert decoder
    assert decoder.decode(data) == decode_record(schema, data)


def test_damaged_records_are_left_to_the_general_way() -> None:
    for record in ({"a": 1.0, "b": True}, {"a": 1.0, "b": "text"}):
        schema, encoder = encoder_of(record)
        decoder = PlainDecoder.of(schema)
        assert encoder
        assert decoder
        data = encoder.encode(record)
        assert data
        for cut in range(16, len(data)):
            assert decoder.decode(data[:cut]) is None


def test_a_schema_with_other_kinds_has_no_plain_records() -> None:
    assert PlainDecoder.of(Schema.of("m", {"a": FieldKind.FLOAT64, "b": FieldKind.TIMESTAMP})) is None


def test_only_compact_records_have_a_schema_id() -> None:
    assert schema_id_of(encode_json({"a": 1, "b": [1, 2, 3]})) is None
    assert schema_id_of(b"") is None

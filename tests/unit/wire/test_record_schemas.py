"""What schemas a dict with dicts in it calls for, and what it is refused for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from grid_inference.errors import EncodeError
from grid_inference.wire.compact import (
    NESTING_MAX,
    FieldKind,
    Schema,
    decode_record,
    encode_record,
    infer_record_schemas,
)
from grid_inference.wire.kinds import infer_schema


def kinds(schema: Schema) -> dict[str, FieldKind]:
    return {each.name: each.kind for each in schema.fields}


def deep(levels: int) -> dict[str, Any]:
    """A record with so many in one another within it."""
    record: dict[str, Any] = {"x": 1}
    for _ in range(levels):
        record = {"in": record}
    return record


def test_nested_types_are_named_by_their_fields_and_come_innermost_first() -> None:
    record = {"id": 1, "address": {"city": "Kiel", "geo": {"lat": 54.3, "seen": None}}}
    schema, nested = infer_record_schemas("orders", record)
    assert list(nested) == ["address.geo", "address"]
    assert [each.type_name for each in nested.values()] == ["orders.address.geo", "orders.address"]
    assert kinds(schema) == {"id": FieldKind.INT64, "address": FieldKind.COMPACT}
    assert kinds(nested["address"]) == {"city": FieldKind.STRING, "geo": FieldKind.COMPACT}
    assert kinds(nested["address.geo"]) == {"lat": FieldKind.FLOAT64, "seen": FieldKind.STRING}
    data = encode_record(schema, record, nested)
    assert decode_record(schema, data, {each.schema_id: each for each in nested.values()}) == record


def test_the_dicts_of_a_list_are_of_one_schema() -> None:
    lines: list[Any] = [{"sku": "a", "n": 1, "at": {"x": 1}}, None, {"sku": None, "n": 2.5, "gift": True}, {"at": None}]
    schema, nested = infer_record_schemas("orders", {"lines": lines})
    assert kinds(schema) == {"lines": FieldKind.ARRAY_OF_COMPACT}
    assert kinds(nested["lines"]) == {
        "sku": FieldKind.STRING,
        "n": FieldKind.NULLABLE_FLOAT64,
        "at": FieldKind.COMPACT,
        "gift": FieldKind.NULLABLE_BOOLEAN,
    }
    assert nested["lines.at"].type_name == "orders.lines.at"
    data = encode_record(schema, {"lines": lines}, nested)
    found = decode_record(schema, data, {each.schema_id: each for each in nested.values()})
    empty = dict.fromkeys(("sku", "n", "at", "gift"))
    assert found == {"lines": [line if line is None else empty | line for line in lines]}


def test_records_lie_in_one_another_just_as_deep_as_they_are_read() -> None:
    record = deep(NESTING_MAX)
    schema, nested = infer_record_schemas("t", record)
    data = encode_record(schema, record, nested)
    assert decode_record(schema, data, {each.schema_id: each for each in nested.values()}) == record
    with pytest.raises(
        EncodeError, match=r"'in(\.in){8}': records are nested more than 8 deep \(NESTING_MAX\)"
    ) as error:
        infer_record_schemas("t", deep(NESTING_MAX + 1))
    assert error.value.remedy


def test_a_record_within_itself_is_refused() -> None:
    record: dict[str, Any] = {"x": 1}
    record["self"] = [record]
    with pytest.raises(EncodeError, match=r"'self\.self.*NESTING_MAX"):
        infer_record_schemas("t", record)


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ({"a": {"b": {1}}}, "'a.b': there is no field kind for set"),
        ({"a": {"b": 2**63}}, "'a.b': 9223372036854775808 does not fit into 64 bits"),
        ({"a": [{"b": 1}, {"b": "x"}]}, "'a.b': the records of a list hold it as INT64, STRING"),
        ({"a": [{"b": 1}, 5]}, "'a' holds a dict and a value of int"),
        ({"a": [{"b": {}}, {"b": 5}]}, "'a.b' holds a dict and a value of int"),
        ({"a": [{"b": [{}]}, {"b": {}}]}, "'a.b' holds a dict and a value of list"),
        ({"a": [[{"b": 1}]]}, "'a': there is no field kind for a list of these items"),
        ({"a": {5: 1}}, "t.a: the field name 5 is no string"),
        ({"a.b": {"x": 1}, "a": {"b": {"y": 1}}}, "'a.b' is there twice"),
    ],
)
def test_what_can_not_be_put_is_named(record: dict[Any, Any], problem: str) -> None:
    with pytest.raises(EncodeError) as error:
        infer_record_schemas("t", record)
    assert problem in str(error.value)


def test_columns_of_dicts_are_refused() -> None:
    with pytest.raises(EncodeError, match="column 'a' holds dicts") as error:
        infer_schema("t", {"a": np.array([{"b": 1}, None], np.object_)})
    assert "structs of Arrow" in error.value.remedy

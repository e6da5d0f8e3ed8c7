"""Bytes that Hazelcast's own Java code wrote (`tests/golden/README.md`)."""

import hashlib
import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pytest

from grid_inference.errors import DecodeError
from grid_inference.wire import layout
from grid_inference.wire.arrow.arrays import ArrowParts, arrow_columns
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import (
    Column,
    FieldKind,
    Schema,
    decode_columns,
    decode_matrix,
    decode_record,
    encode_columns,
    encode_record,
    nested_schema_ids,
    schema_ids,
)
from grid_inference.wire.digest import input_digest
from grid_inference.wire.json.columns import decode_json_columns, json_rows
from grid_inference.wire.json.values import decode_json, encode_json
from grid_inference.wire.keys import DataKey, decode_keys, encode_keys, murmur3, partition_ids
from grid_inference.wire.schema import ARRAY_OF, ITEMS_OF, NUMBER_DTYPES

K = FieldKind
FOLDER = Path(__file__).parents[2] / "golden"
TOO_LATE, TOO_LARGE, AS_DECLARED = "years beyond Python's", "decimals beyond Arrow's", "a Java record"


def _text(value: dict[str, Any]) -> Any:
    return value["repeat"] * value["times"] if value.keys() == {"repeat", "times"} else value


def load(name: str) -> list[dict[str, Any]]:
    entries = json.loads((FOLDER / name).read_text(), object_hook=_text)
    assert entries
    return entries


RECORDS, KEYS, HASHES, VALUES = (load(f"{name}.json") for name in ("records", "keys", "hashes", "values"))
READABLE = [each for each in RECORDS if each["name"] != TOO_LATE]
BY_NAME = [each for each in READABLE if each["name"] != AS_DECLARED]


def name_of(entry: dict[str, Any]) -> str:
    return entry["name"]


def record_named(name: str) -> dict[str, Any]:
    return next(each for each in RECORDS if each["name"] == name)


def schema_of(entry: dict[str, Any]) -> Schema:
    return Schema.of(entry["type_name"], {name: K(kind) for name, kind in entry["kinds"].items()})


def nested_of(entry: dict[str, Any]) -> dict[str, Schema]:
    """The schemas of nested records, by the path of their fields."""
    return {path: schema_of(each) for path, each in entry.get("nested", {}).items()}


def known_of(entry: dict[str, Any]) -> dict[int, Schema]:
    return {schema.schema_id: schema for schema in nested_of(entry).values()}


def data_of(entry: dict[str, Any]) -> bytes:
    """Java's bytes. Those that are too many to be stored are written again, and their hash is held against Java's."""
    if entry["data"]:
        return bytes.fromhex(entry["data"])
    data = encode_record(schema_of(entry), values_of(entry, precise), nested_of(entry))
    assert hashlib.sha256(data).hexdigest() == entry["sha256"]
    return data


# ---- Java's values in Python

Convert = Callable[[FieldKind, Any], Any]
FROM_TEXT: dict[FieldKind, Callable[[str], Any]] = {
    K.DECIMAL: Decimal,
    K.DATE: date.fromisoformat,
    K.TIME: time.fromisoformat,
    K.TIMESTAMP: datetime.fromisoformat,
    K.TIMESTAMP_WITH_TIMEZONE: datetime.fromisoformat,
}


def values_of(entry: dict[str, Any], convert: Convert) -> dict[str, Any]:
    return _record(entry["kinds"], entry["values"], "", entry.get("nested", {}), convert)


def _record(
    kinds: dict[str, int], values: dict[str, Any], path: str, nested: dict[str, Any], convert: Convert
) -> dict[str, Any]:
    return {name: _value(K(kinds[name]), value, path + name, nested, convert) for name, value in values.items()}


def _value(kind: FieldKind, value: Any, path: str, nested: dict[str, Any], convert: Convert) -> Any:
    if value is None:
        return None
    if kind in ITEMS_OF:
        return [_value(ITEMS_OF[kind], each, path, nested, convert) for each in value]
    if kind is K.COMPACT:
        return _record(nested[path]["kinds"], value, f"{path}.", nested, convert)
    return convert(kind, value)


def plain(kind: FieldKind, value: Any) -> Any:
    """As `get` gives it: nanoseconds are cut off."""
    return FROM_TEXT[kind](value) if kind in FROM_TEXT else value


def precise(kind: FieldKind, value: Any) -> Any:
    """What holds Java's nanoseconds, where there are some."""
    nanoseconds = kind in FROM_TEXT and kind is not K.DECIMAL and re.search(r"\.\d{9}", value)
    if not nanoseconds:
        return plain(kind, value)
    return pd.Timedelta(value).to_timedelta64() if kind is K.TIME else pd.Timestamp(value)


def in_column(kind: FieldKind, value: Any) -> Any:
    """What `get` gives, as numpy's columns hold it: times since midnight, moments in UTC."""
    if kind is K.TIME and value is not None:
        return datetime.combine(date.min, value) - datetime.min  # noqa: DTZ901
    if kind is K.TIMESTAMP_WITH_TIMEZONE and value is not None:
        return value.astimezone(UTC).replace(tzinfo=None)
    return value


def listed(column: Column) -> list[Any]:
    values = column.values.tolist()  # noqa: PD011  # no Series
    return [value if column.valid is None or column.valid[row] else None for row, value in enumerate(values)]


def equal(left: Any, right: Any) -> bool:
    return repr(left) == repr(right)  # NaN is NaN, -0.0 is not 0.0, 1 is not 1.0, 1.50 is not 1.5


# ---- records


@pytest.mark.parametrize("entry", RECORDS, ids=name_of)
def test_schema_id_and_order_of_fields(entry: dict[str, Any]) -> None:
    for each in (entry, *entry.get("nested", {}).values()):
        schema = schema_of(each)
        assert schema.schema_id == each["schema_id"]
        assert list(schema.slots) == list(each["kinds"])


@pytest.mark.parametrize("entry", RECORDS, ids=name_of)
def test_digest_and_schema_ids(entry: dict[str, Any]) -> None:
    blobs = Blobs.of([data_of(entry)])
    assert input_digest(blobs).tolist() == [entry["digest"]]
    assert [each.tolist() for each in schema_ids(blobs)] == [[True], [entry["schema_id"]]]
    assert nested_schema_ids(blobs, schema_of(entry), schemas=known_of(entry)) == known_of(entry).keys()


@pytest.mark.parametrize("entry", READABLE, ids=name_of)
def test_record_is_read(entry: dict[str, Any]) -> None:
    assert equal(decode_record(schema_of(entry), data_of(entry), known_of(entry)), values_of(entry, plain))


@pytest.mark.parametrize("entry", BY_NAME, ids=name_of)
def test_record_is_written(entry: dict[str, Any]) -> None:
    assert encode_record(schema_of(entry), values_of(entry, precise), nested_of(entry)) == data_of(entry)


def test_a_class_that_hazelcast_serializes_by_itself_has_its_own_order_of_bytes() -> None:
    entry = record_named(AS_DECLARED)
    data = encode_record(schema_of(entry), values_of(entry, precise))
    assert data != data_of(entry)
    assert len(data) == len(data_of(entry))
    assert decode_record(schema_of(entry), data) == values_of(entry, plain)


@pytest.mark.parametrize("entry", READABLE, ids=name_of)
def test_columns(entry: dict[str, Any]) -> None:
    values = values_of(entry, plain)
    columns = decode_columns(Blobs.of([data_of(entry)] * 3), schema_of(entry), schemas=known_of(entry))
    assert list(columns) == list(entry["kinds"])
    for name, column in columns.items():
        assert equal(listed(column), [in_column(K(entry["kinds"][name]), values[name])] * 3)


NESTED = {K.COMPACT, K.ARRAY_OF_COMPACT}
"""Columns of them are read, but not written."""
WRITABLE = [each for each in BY_NAME if each["values"] and NESTED.isdisjoint(each["kinds"].values())]


@pytest.mark.parametrize("entry", WRITABLE, ids=name_of)
def test_columns_are_written_as_java_writes_records(entry: dict[str, Any]) -> None:
    columns: dict[str, Any] = {name: np.empty(3, object) for name in entry["kinds"]}
    for name, value in values_of(entry, precise).items():
        columns[name][:] = [value] * 3
    assert encode_columns(schema_of(entry), columns).tolist() == [data_of(entry)] * 3


@pytest.mark.parametrize("entry", READABLE, ids=name_of)
def test_arrow(entry: dict[str, Any]) -> None:
    blobs, values = Blobs.of([data_of(entry)] * 2), values_of(entry, plain)
    if entry["name"] == TOO_LARGE:
        with pytest.raises(DecodeError, match=r"does not fit into Arrow|more than 76 digits"):
            arrow_columns(blobs, schema_of(entry))
        return
    for name, array in arrow_columns(blobs, schema_of(entry), schemas=known_of(entry)).items():
        array.validate(full=True)
        assert same(array.to_pylist(), [values[name]] * 2)


def same(left: Any, right: Any) -> bool:
    """Equal, where NaN is NaN, and a decimal may have more zeros at its end than the other."""
    if isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[name], right[name]) for name in right)
    return left == right or (left != left and right != right)  # noqa: PLR0124


def test_every_kind_is_there_with_its_nulls() -> None:
    seen = [(K(kind), entry["values"][name]) for entry in RECORDS for name, kind in entry["kinds"].items()]
    assert {kind for kind, value in seen if value is not None} == set(K)
    assert {kind for kind, value in seen if value is None} == set(K) - set(NUMBER_DTYPES) - {K.BOOLEAN}
    assert {kind for kind, value in seen if value == []} == {*ARRAY_OF, *ITEMS_OF}
    assert {kind for kind, value in seen if isinstance(value, list) and None in value} == set(ITEMS_OF)


def test_matrix() -> None:
    entry, names = record_named("thirty floats"), [f"V{i}" for i in range(30)]
    matrix = decode_matrix(Blobs.of([data_of(entry)] * 2), schema_of(entry), names)
    assert matrix.tolist() == [[entry["values"][name] for name in names]] * 2


def test_years_that_python_does_not_know_leave_the_other_fields_readable() -> None:
    entry = record_named(TOO_LATE)
    schema, data = schema_of(entry), bytes.fromhex(entry["data"])
    columns = decode_columns(Blobs.of([data]), schema, ["amount", "text"])
    assert {name: listed(column) for name, column in columns.items()} == {"amount": [12.5], "text": ["here"]}
    for name in ("date", "timestamp", "zoned"):
        with pytest.raises(DecodeError, match=f"field '{name}' .* year"):
            decode_columns(Blobs.of([data]), schema, [name])
    with pytest.raises(DecodeError, match=r"field 'date' .* year"):
        decode_record(schema, data)


def test_three_schemas_of_one_type_stand_side_by_side() -> None:
    entries = [each for each in RECORDS if each["type_name"] == "golden.Evolving"]
    assert len({each["schema_id"] for each in entries}) == len(entries) == 3
    parts = ArrowParts()
    for entry in entries:
        parts.add(1, arrow_columns(Blobs.of([data_of(entry)]), schema_of(entry)))
    assert {name: parts.column(name).to_pylist() for name in sorted(parts.names)} == {
        "amount": [1.5, 2.5, None],
        "city": ["Ghent", "Porto", None],
        "items": [None, 3, None],
        "paid": [None, True, None],
    }
    matrices = [decode_matrix(Blobs.of([data_of(each)]), schema_of(each), ["amount"]) for each in entries]
    np.testing.assert_array_equal(np.concatenate(matrices), [[1.5], [2.5], [np.nan]])


# ---- values that are no Compact records

JSON = [each for each in VALUES if each["format"] == "JSON"]
WORDS = {
    "Portable": "a Portable value",
    "Serializable": "a java.io.Serializable value",
    "Externalizable": "a java.io.Externalizable value",
    "IdentifiedDataSerializable": "an IdentifiedDataSerializable value",
    "String": "a string",
    "Byte": "a byte",
    "Boolean": "a boolean",
    "Character": "a char",
    "Short": "a short",
    "Integer": "an int",
    "Long": "a long",
    "Float": "a float",
    "Double": "a double",
    "byte[]": "a byte array",
    "double[]": "an array",
    "UUID": "a UUID",
    "ArrayList": "a java.util.List",
    "HashMap": "a java.util.Map",
}


@pytest.mark.parametrize("entry", VALUES, ids=lambda entry: entry["format"])
def test_formats_are_told_apart(entry: dict[str, Any]) -> None:
    blobs = Blobs.of([bytes.fromhex(entry["data"])])
    assert blobs.read(layout.TYPE_OFFSET, ">i4").tolist() == [entry["type_id"]]
    assert json_rows(blobs).tolist() == [entry in JSON]
    assert schema_ids(blobs)[0].tolist() == [False]
    assert input_digest(blobs).tolist() == [entry["digest"]]
    assert entry in JSON or layout.described(entry["type_id"]) == WORDS[entry["format"]]


@pytest.mark.parametrize("entry", JSON, ids=lambda entry: entry["text"])
def test_json_value(entry: dict[str, Any]) -> None:
    data, value = bytes.fromhex(entry["data"]), json.loads(entry["text"])
    assert decode_json(data) == value
    for rows in (1, 100):
        columns, damaged = decode_json_columns(Blobs.of([data] * rows), list(value))
        assert not damaged
        assert {name: listed(column) for name, column in columns.items()} == {
            name: [each] * rows for name, each in value.items()
        }


def test_our_json_is_javas_for_the_same_text() -> None:
    entry = next(each for each in JSON if each["text"].startswith('{"amount":'))
    assert encode_json(json.loads(entry["text"])).hex() == entry["data"]


# ---- keys

KINDS = {"Long": "long", "Integer": "int", "Short": "short", "Byte": "byte", "Float": "float", "Double": "double"}
OPAQUE = {"Boolean", "Character", "LocalDate", "Compact", "Portable"}
"""Keys that stay the bytes that they are."""


@pytest.mark.parametrize("entry", KEYS, ids=lambda entry: f"{entry['type']} {entry['value']}")
def test_key(entry: dict[str, Any]) -> None:
    data = bytes.fromhex(entry["data"])
    blobs, value, kind = Blobs.of([data]), entry["value"], KINDS.get(entry["type"])
    (decoded,) = decode_keys(blobs)
    if entry["type"] in OPAQUE:
        assert decoded == DataKey(data)
    elif entry["type"] == "byte[]":
        assert np.frombuffer(decoded, np.int8).tolist() == value
    else:
        assert equal(decoded, UUID(value) if entry["type"] == "UUID" else value)
    if data[:4] == bytes(4):
        assert encode_keys([decoded], kind).tolist() == [data]
        assert murmur3(blobs).tolist() == murmur3(Blobs.of([data] * 20)).tolist()[:1] == [entry["hash"]]
    for count, partition in entry["partitions"].items():
        assert partition_ids(blobs, int(count)).tolist() == [partition]
        assert partition_ids(Blobs.of([data] * 20), int(count)).tolist() == [partition] * 20


def test_stored_hashes() -> None:
    for entry in HASHES:
        key = entry["hash"].to_bytes(4, "big", signed=True) + encode_keys(["any"])[0][4:]
        assert partition_ids(Blobs.of([key]), entry["count"]).tolist() == [entry["partition"]]

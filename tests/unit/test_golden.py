"""Bytes that Hazelcast's own Java code wrote (`tests/golden/README.md`)."""

import hashlib
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import (
    FieldKind,
    Schema,
    decode_columns,
    decode_matrix,
    decode_record,
    encode_columns,
    encode_record,
    schema_ids,
)
from grid_inference.wire.digest import input_digest
from grid_inference.wire.keys import DataKey, decode_keys, encode_keys, murmur3, partition_ids

FOLDER = Path(__file__).parent.parent / "golden"
NOT_READ = "not read yet"


def _text(value: dict[str, Any]) -> Any:
    return value["repeat"] * value["times"] if value.keys() == {"repeat", "times"} else value


def load(name: str) -> list[dict[str, Any]]:
    entries = json.loads((FOLDER / name).read_text(), object_hook=_text)
    assert entries
    return entries


RECORDS, KEYS, HASHES = load("records.json"), load("keys.json"), load("hashes.json")
READABLE = [each for each in RECORDS if NOT_READ not in each["values"].values()]


def name_of(entry: dict[str, Any]) -> str:
    return entry["name"]


def schema_of(entry: dict[str, Any]) -> Schema:
    return Schema.of(entry["type_name"], {name: FieldKind(kind) for name, kind in entry["kinds"].items()})


def equal(left: Any, right: Any) -> bool:
    return repr(left) == repr(right)  # NaN is NaN, -0.0 is not 0.0, 1 is not 1.0


@pytest.mark.parametrize("entry", RECORDS, ids=name_of)
def test_schema_id_and_order_of_fields(entry: dict[str, Any]) -> None:
    schema = schema_of(entry)
    assert schema.schema_id == entry["schema_id"]
    assert list(schema.slots) == list(entry["kinds"])


@pytest.mark.parametrize("entry", READABLE, ids=name_of)
def test_record(entry: dict[str, Any]) -> None:
    schema, values = schema_of(entry), entry["values"]
    data = encode_record(schema, values)
    assert hashlib.sha256(data).hexdigest() == entry["sha256"]
    assert entry["data"] in (None, data.hex())
    assert equal(decode_record(schema, data), values)
    assert input_digest(Blobs.of([data])).tolist() == [entry["digest"]]
    assert [each.tolist() for each in schema_ids(Blobs.of([data]))] == [[True], [entry["schema_id"]]]


@pytest.mark.parametrize("entry", READABLE, ids=name_of)
def test_columns(entry: dict[str, Any]) -> None:
    schema, values = schema_of(entry), entry["values"]
    if not values:
        return
    data = encode_record(schema, values)
    columns: dict[str, Any] = {name: np.empty(3, object) for name in values}
    for name, value in values.items():
        columns[name][:] = [value] * 3
    assert encode_columns(schema, columns).tolist() == [data] * 3
    for name, column in decode_columns(Blobs.of([data] * 3), schema).items():
        found = column.values.tolist() if column.valid is None or column.valid.all() else [None] * 3
        assert equal(found, [values[name]] * 3)


def test_matrix() -> None:
    entry = next(each for each in RECORDS if each["name"] == "thirty floats")
    names = [f"V{i}" for i in range(30)]
    matrix = decode_matrix(Blobs.of([bytes.fromhex(entry["data"])] * 2), schema_of(entry), names)
    assert matrix.tolist() == [[entry["values"][name] for name in names]] * 2


def test_a_record_that_holds_kinds_not_read_yet() -> None:
    entry = next(each for each in RECORDS if each not in READABLE)
    blobs = Blobs.of([bytes.fromhex(entry["data"])])
    assert input_digest(blobs).tolist() == [entry["digest"]]
    readable = [name for name, value in entry["values"].items() if value != NOT_READ]
    columns = decode_columns(blobs, schema_of(entry), readable)
    assert {name: column.values[0] for name, column in columns.items()} == {"amount": 12.5, "after": 7, "text": "here"}


def test_every_kind_is_there() -> None:
    seen = {kind for entry in RECORDS for kind in entry["kinds"].values()}
    later = {kind for kind in FieldKind if FieldKind.DECIMAL <= kind <= FieldKind.ARRAY_OF_COMPACT}
    assert set(FieldKind) - later <= seen


KINDS = {"Long": "long", "Integer": "int", "Short": "short", "Byte": "byte", "Float": "float", "Double": "double"}


@pytest.mark.parametrize("entry", KEYS, ids=lambda entry: f"{entry['type']} {entry['value']}")
def test_key(entry: dict[str, Any]) -> None:
    data = bytes.fromhex(entry["data"])
    blobs, value, kind = Blobs.of([data]), entry["value"], KINDS.get(entry["type"])
    (decoded,) = decode_keys(blobs)
    if entry["type"] in ("Boolean", "LocalDate"):
        assert decoded == DataKey(data)
    elif entry["type"] == "byte[]":
        assert list(np.frombuffer(decoded, np.int8)) == value
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

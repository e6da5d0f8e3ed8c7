"""What docs/clients/go.md says of Go's surprises, seen by a program that does it, and by Python beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import grid_inference as gi
from grid_inference.wire.keys import DataKey, encode_keys
from tests.interop.conftest import Program

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

KEYS = {
    "int": (4711, None),
    "int64": (4712, None),
    "int32": (4711, "int"),
    "int16": (4711, "short"),
    "int8": (47, "byte"),
    "uint8": (48, "byte"),
    "float32": (0.5, "float"),
    "float64": (0.5, None),
    "string": ("a", None),
}
"""The types of Go's keys that others find, and the key for Python."""
OF_GO_ALONE = ["main.Account", "main.Shop", "uint32", "uint64"]
GOB = (-140).to_bytes(4, "big", signed=True).hex()
"""The type of what only Go reads, in a key's Data."""


@pytest.fixture(scope="module")
def seen(go: Program, interop_grid: gi.Grid) -> dict[str, Any]:
    wanted = interop_grid.features("go-wanted")
    wanted.put("number", {"wanted": 5})
    wanted.put("absent", {"other": 5})
    nullable = np.ma.masked_array(np.array([5, 0]), [False, True])
    wanted.put_batch({"wanted": nullable}, key=["nullable", "null"])
    return go("surprises")


def test_keys_of_gos_own_types_are_found_by_others(seen: dict[str, Any], interop_grid: gi.Grid):
    records = interop_grid.features("go-keys")
    found = {name: records.get(DataKey(encode_keys([key], kind)[0])) for name, (key, kind) in KEYS.items()}
    assert found == {name: {"type": name} for name in KEYS}


def test_keys_of_named_and_unsigned_types_are_gos_alone(seen: dict[str, Any], interop_grid: gi.Grid):
    tables = list(interop_grid.features("go-keys").scan())
    keys = [key for table in tables for key in table.keys]
    types = [name for table in tables for name in table.columns["type"].tolist()]
    of_go = [name for key, name in zip(keys, types, strict=True) if GOB in repr(key)]
    assert sorted(of_go) == OF_GO_ALONE
    assert [seen[f"put {name}"] for name in OF_GO_ALONE] == ["stored"] * 4
    assert [seen[f"get {name}"] for name in OF_GO_ALONE] == [f'{{"type": "{name}"}}' for name in OF_GO_ALONE]


def test_a_decimal_stays_exact_but_as_a_float(seen: dict[str, Any], interop_grid: gi.Grid):
    assert str(interop_grid.features("go-values").get("value")["price"]) == seen["price"] == "12345678901234567890.12"
    assert seen["price as float64"] == -13639628150831692


def test_a_moment_keeps_its_offset_and_a_timestamp_its_wall_clock(seen: dict[str, Any], interop_grid: gi.Grid):
    record = interop_grid.features("go-values").get("value")
    assert record["moment"].isoformat() == "2026-07-01T12:00:00.123456+02:00"
    assert record["stamp"].isoformat() == "2026-07-01T12:00:00.123456"
    assert seen["moment"] == "2026-07-01 12:00:00.123456789 +0200 +0200"
    assert seen["stamp"].startswith("2026-07-01 12:00:00.123456789 ")


def test_a_field_that_is_left_out_reads_anothers_value(seen: dict[str, Any], interop_grid: gi.Grid):
    assert (seen["put left out"], seen["get whole"], seen["get left out"]) == ("stored", "7 8", "8 8")
    assert interop_grid.features("go-values").get("left out") == {"count": 8, "other": 8}
    assert "invalid field name: 'added'" in seen["put added"]


def test_missing_and_null_numbers_are_errors(seen: dict[str, Any]):
    assert (seen["get number"], seen["get nullable"]) == ("5", "5")
    assert "unknown field name 'wanted'" in seen["get absent"]
    assert "Use readNullableInt64 instead" in seen["get null"]


def test_what_is_no_record_is_stored_all_the_same(seen: dict[str, Any], interop_grid: gi.Grid):
    values = interop_grid.features("go-values")
    for stored in ("prices", "map", "struct"):
        with pytest.raises(gi.GridInferenceError, match="serialization type -140"):
            values.get(stored)
    for stored in ("text", "bytes"):
        with pytest.raises(gi.GridInferenceError, match=r"is a (string|byte array), which is not read"):
            values.get(stored)
    assert seen["put Prices pointer"] == seen["put map"] == seen["put without serializer"] == "stored"
    assert "no exported fields" in seen["put pointer"]


def test_loose_json_rounds_whole_numbers(seen: dict[str, Any]):
    assert seen["json 2^53+1"] == str(2**53)

"""Keys and records as Arrow: values, types and nulls as they were written."""

import datetime as dt
import uuid
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from grid_inference.errors import DecodeError
from grid_inference.records import RecordTable
from grid_inference.wire.arrow.arrays import ArrowParts, arrow_columns, arrow_keys
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import Column, FieldKind, Schema, encode_record
from grid_inference.wire.keys import encode_keys

K = FieldKind
NOON = dt.datetime(2026, 5, 1, 12, 0, 0, 5)  # noqa: DTZ001  # a TIMESTAMP has no zone
VALUES = {
    "boolean": (K.BOOLEAN, [True, False, True], pa.bool_()),
    "byte": (K.INT8, [-1, 0, 127], pa.int8()),
    "long": (K.INT64, [2**62 + 1, 0, -(2**63)], pa.int64()),
    "float": (K.FLOAT32, [0.5, -1.0, 2.0], pa.float32()),
    "maybe_long": (K.NULLABLE_INT64, [2**62 + 1, None, 0], pa.int64()),
    "maybe_boolean": (K.NULLABLE_BOOLEAN, [None, True, False], pa.bool_()),
    "text": (K.STRING, ["", None, "Łódź & Αθήνα"], pa.large_string()),
    "day": (K.DATE, [NOON.date(), None, dt.date(1969, 1, 1)], pa.date32()),
    "clock": (K.TIME, [NOON.time(), None, dt.time(0)], pa.time64("us")),
    "moment": (K.TIMESTAMP, [NOON, None, NOON], pa.timestamp("us")),
    "instant": (K.TIMESTAMP_WITH_TIMEZONE, [NOON.replace(tzinfo=dt.UTC), None, None], pa.timestamp("us", tz="UTC")),
    "price": (K.DECIMAL, [Decimal("1.25"), None, Decimal("-1234.5")], pa.decimal128(6, 2)),
    "equal": (K.ARRAY_OF_FLOAT64, [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], pa.list_(pa.float64())),
    "ragged": (K.ARRAY_OF_INT32, [[1], [], None], pa.list_(pa.int32())),
    "bits": (K.ARRAY_OF_BOOLEAN, [[True], [False], [True]], pa.list_(pa.bool_())),
    "gaps": (K.ARRAY_OF_NULLABLE_INT64, [[1, None], None, []], pa.list_(pa.int64())),
    "texts": (K.ARRAY_OF_STRING, [["a", None], None, []], pa.list_(pa.large_string())),
}
SCHEMA = Schema.of("everything", {name: kind for name, (kind, _, _) in VALUES.items()})


def records(schema: Schema, rows: list[dict]) -> Blobs:
    return Blobs.of([encode_record(schema, row) for row in rows])


def three() -> Blobs:
    return records(SCHEMA, [{name: each[row] for name, (_, each, _) in VALUES.items()} for row in range(3)])


@pytest.mark.parametrize("name", VALUES)
def test_every_kind_comes_back(name: str):
    _, expected, kind = VALUES[name]
    array = arrow_columns(three(), SCHEMA, [name])[name]
    array.validate(full=True)
    assert array.type == kind
    assert array.to_pylist() == expected


def test_all_columns_in_the_order_asked_for_and_none_of_no_rows():
    assert list(arrow_columns(three(), SCHEMA, ["text", "byte"])) == ["text", "byte"]
    assert {name: len(array) for name, array in arrow_columns(Blobs.empty(), SCHEMA).items()} == dict.fromkeys(
        SCHEMA.slots, 0
    )


def test_nan_is_a_value_and_a_null_is_none():
    schema = Schema.of("t", {"x": K.NULLABLE_FLOAT64})
    array = arrow_columns(records(schema, [{"x": float("nan")}, {"x": None}]), schema)["x"]
    assert array.null_count == 1
    assert np.isnan(array[0].as_py())


def test_bytes_that_are_no_text_are_refused():
    schema = Schema.of("t", {"x": K.STRING})
    with pytest.raises(DecodeError, match="UTF-8"):
        arrow_columns(Blobs.of([encode_record(schema, {"x": "abcd"}).replace(b"abcd", b"ab\xff\xff")]), schema)


def test_parts_that_lack_a_column_are_null_there_and_types_widen():
    parts = ArrowParts()
    parts.add(2, {"a": pa.array([1, 2], pa.int32())})
    parts.add(1, {"b": pa.array(["x"])})
    parts.add(1, {"a": pa.array([2**40])})
    assert parts.names == ["a", "b"]
    assert parts.column("a").to_pylist() == [1, 2, None, 2**40]
    assert parts.column("b").to_pylist() == [None, None, "x", None]
    assert parts.column("c").to_pylist() == [None] * 4


def test_parts_that_fit_no_one_type_are_named():
    parts = ArrowParts()
    parts.add(1, {"a": pa.array([1])})
    parts.add(1, {"a": pa.array(["x"])})
    with pytest.raises(DecodeError, match=r"field 'a' .*int64, string"):
        parts.column("a")
    wide = ArrowParts()
    wide.add(1, {"a": pa.array([2**62 + 1])})
    wide.add(1, {"a": pa.array([0.5])})
    with pytest.raises(DecodeError, match="int64, double"):
        wide.column("a")


ID = uuid.UUID(int=5)


@pytest.mark.parametrize(
    ("keys", "kind", "expected"),
    [
        ([[1, -(2**63)], [3]], "int64", [1, -(2**63), 3]),
        ([["a", "Łódź"], [""]], "large_string", ["a", "Łódź", ""]),
        ([[0.5], [1.0]], "double", [0.5, 1.0]),
        ([[b"\xff"]], "large_binary", [b"\xff"]),
        ([[ID]], "large_string", [str(ID)]),
        ([[1], ["1a"]], "large_string", ["1", "1a"]),
        ([], "null", []),
    ],
)
def test_keys_take_one_type(keys: list, kind: str, expected: list):
    column = arrow_keys([encode_keys(each) for each in keys])
    assert str(column.type) == kind
    assert column.to_pylist() == expected


def test_ints_of_several_widths_are_one_column():
    assert arrow_keys([encode_keys([1], "int"), encode_keys([2])]).to_pylist() == [1, 2]


def test_a_malformed_key_does_not_keep_the_others_back():
    odd = bytearray(encode_keys(["abc"])[0])
    odd[11] = 99  # claims 99 bytes
    column = arrow_keys([Blobs.of([bytes(odd), encode_keys(["b"])[0]])])
    assert column.to_pylist() == [bytes(odd).hex(), "b"]


def test_a_record_table_of_two_schemas_keeps_whole_numbers_whole():
    parts = [
        (np.array([0]), {"n": Column(np.array([2**62 + 1])), "b": Column(np.array([True])), "s": Column(np.ones(1))}),
        (np.array([1]), {"n": Column(np.array([7], np.int32)), "b": Column(np.array([False]))}),
    ]
    table = RecordTable.of([1, 2], parts)
    assert table["n"].tolist() == [2**62 + 1, 7]
    assert table["b"].tolist() == [True, False]
    np.testing.assert_array_equal(table["s"], [1.0, np.nan])
    mixed = RecordTable.of([1, 2], [parts[0], (np.array([1]), {"n": Column(np.array(["x"], object))})])
    assert mixed["n"].tolist() == [2**62 + 1, "x"]


def test_nested_records_are_structs():
    inner = Schema.of("inner", {"n": K.INT16, "s": K.STRING})
    outer = Schema.of("outer", {"a": K.COMPACT, "each": K.ARRAY_OF_COMPACT})
    one, nested = {"n": 1, "s": "x"}, {"a": inner, "each": inner}
    rows = [{"a": one, "each": [one, None]}, {"a": None, "each": None}]
    values = Blobs.of([encode_record(outer, row, nested) for row in rows])
    found = arrow_columns(values, outer, schemas={inner.schema_id: inner})
    assert {name: array.to_pylist() for name, array in found.items()} == {
        "a": [one, None],
        "each": [[one, None], None],
    }
    assert found["a"].type.num_fields == 2


@pytest.mark.parametrize("endless", ["1E-2147483638", "1E+2147483647", "1E+77", "1E-77"])
def test_decimals_far_from_one_are_refused_before_arrow_sees_them(endless: str) -> None:
    inner = Schema.of("inner", {"price": K.DECIMAL})
    kinds = {"price": K.DECIMAL, "prices": K.ARRAY_OF_DECIMAL, "in": K.COMPACT, "all": K.ARRAY_OF_COMPACT}
    for name, kind in kinds.items():
        schema, nested = Schema.of("t", {name: kind}), {"in": inner, "all": inner}
        rows: list[bytes] = []
        for text in ("1E+24", endless):
            one: object = Decimal(text) if name.startswith("price") else {"price": Decimal(text)}
            rows.append(encode_record(schema, {name: [one] if name in ("prices", "all") else one}, nested))
        with pytest.raises(DecodeError, match=f"'{name}' .* a decimal of more than 76 digits"):
            arrow_columns(Blobs.of(rows), schema, None, {inner.schema_id: inner})
        assert arrow_columns(Blobs.of(rows[:1] * 2), schema, None, {inner.schema_id: inner})[name].null_count == 0


def test_moments_in_records_are_in_utc_whatever_their_offsets() -> None:
    """Of records in a list Arrow would take the first moment's zone for all, and knows none of seconds."""
    inner = Schema.of("inner", {"z": K.TIMESTAMP_WITH_TIMEZONE})
    outer = Schema.of("outer", {"several": K.ARRAY_OF_COMPACT, "one": K.COMPACT})
    moments = [NOON.replace(tzinfo=dt.timezone(dt.timedelta(seconds=ahead))) for ahead in (3208, -7200, 0)]
    row = {"several": [{"z": moment} for moment in [*moments, None]], "one": {"z": moments[0]}}
    nested = {"several": inner, "one": inner}
    values = Blobs.of([encode_record(outer, row, nested), encode_record(outer, row | {"one": None}, nested)])
    found = arrow_columns(values, outer, ["several", "one"], {inner.schema_id: inner})
    assert found["several"].type == pa.list_(pa.struct([("z", pa.timestamp("us", tz="UTC"))]))
    assert found["several"].to_pylist()[0] == row["several"]
    assert found["one"].to_pylist() == [row["one"], None]


@pytest.mark.parametrize(
    "others", [[], [pa.array([[{"t": "x", "n": 0.5}]])], [pa.array([[]], pa.list_(pa.struct([])))]]
)
def test_lists_of_records_whose_field_is_null_in_all_of_them(others: list) -> None:
    """A cast of such a list to its own type gives fewer nulls than there are records."""
    rows = [[{"t": None, "n": 1}, {"t": None, "n": 2}]]
    parts = ArrowParts()
    for array in [pa.array(rows), *others]:
        parts.add(len(array), {"a": array})
    parts.add(1, {})
    found = pa.table({"a": parts.column("a")})
    found.validate(full=True)
    assert found["a"].to_pylist()[:1] == rows

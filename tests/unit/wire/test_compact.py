import math
import pickle
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from grid_inference.errors import DecodeError, EncodeError
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import (
    Column,
    Field,
    FieldKind,
    Schema,
    as_column,
    decode_columns,
    decode_matrix,
    decode_record,
    encode_columns,
    encode_record,
    infer_record_schemas,
    infer_schema,
    schema_ids,
)

K = FieldKind
HEAD = "00000000 ffffffc9"


def data(schema: Schema, rest: str) -> bytes:
    return bytes.fromhex(f"{HEAD} {schema.schema_id.to_bytes(8, 'big', signed=True).hex()} {rest}")


# ---- schema


def test_layout_is_by_width_then_name_booleans_last() -> None:
    kinds = {
        "z": K.INT8,
        "b": K.BOOLEAN,
        "s": K.STRING,
        "d": K.FLOAT64,
        "a": K.INT32,
        "c": K.FLOAT32,
        "n": K.NULLABLE_INT8,
    }
    schema = Schema.of("t", kinds)
    assert [each.name for each in schema.fields] == list(schema.slots) == ["a", "b", "c", "d", "n", "s", "z"]
    assert {name: slot.offset for name, slot in schema.slots.items() if slot.index < 0} == {
        "d": 0,
        "a": 8,
        "c": 12,
        "z": 16,
        "b": 17,
    }
    assert {name: slot.index for name, slot in schema.slots.items() if slot.index >= 0} == {"n": 0, "s": 1}
    assert (schema.fixed_bytes, schema.var_count, schema.data_start) == (18, 2, 20)
    assert Schema.of("t", {"a": K.INT8}).data_start == 16


def test_nine_booleans_take_two_bytes() -> None:
    schema = Schema.of("t", {f"b{i}": K.BOOLEAN for i in range(9)})
    assert (schema.slots["b7"].offset, schema.slots["b7"].bit) == (0, 7)
    assert (schema.slots["b8"].offset, schema.slots["b8"].bit) == (1, 0)
    assert schema.fixed_bytes == 2


def test_schema_is_a_value() -> None:
    schema = Schema("t", (Field("b", K.INT8), Field("a", K.STRING)))
    assert schema == Schema.of("t", {"a": K.STRING, "b": K.INT8}) == pickle.loads(pickle.dumps(schema))
    assert len({schema, Schema.of("t", {"a": K.STRING, "b": K.INT8})}) == 1
    assert schema != Schema.of("u", {"a": K.STRING, "b": K.INT8})
    assert schema == Schema.from_wire("t", [("a", 17), ("b", 3)])


def test_names_are_ordered_by_utf16_as_in_java() -> None:
    assert list(Schema.of("t", {"\uffff": K.INT8, "\U0001f600": K.INT8}).slots) == ["\U0001f600", "\uffff"]


@pytest.mark.parametrize(
    "fields", [[("a", 5)], [("a", 31)], [("a", 0)], [("a", 47)], [("a", -1)], [("a", 3), ("a", 3)]]
)
def test_wire_schemas_that_can_not_be(fields: list[tuple[str, int]]) -> None:
    with pytest.raises(DecodeError, match="schema 't'"):
        Schema.from_wire("t", fields)


def test_half_a_surrogate_pair_is_no_name() -> None:
    with pytest.raises(EncodeError):
        Schema.of("t", {"\ud800": K.INT8})


# ---- bytes of records

ALL_FIXED = Schema.of("t", {"a": K.INT16, "b": K.BOOLEAN, "c": K.FLOAT32, "d": K.BOOLEAN, "e": K.INT64})
NULLABLE = Schema.of("t", {"a": K.INT8, "n": K.NULLABLE_INT16, "s": K.STRING})

BYTES: list[tuple[Schema, dict[str, Any], str]] = [
    (Schema.of("t", {}), {}, ""),
    (
        ALL_FIXED,
        {"a": -2, "b": True, "c": 1.5, "d": False, "e": 258},
        "0000000000000102 3fc00000 fffe 01",
    ),
    (NULLABLE, {"a": 5, "n": 258, "s": "hi"}, "00000009 05 0102 00000002 6869 01 03"),
    (NULLABLE, {"a": 5, "n": None, "s": "hi"}, "00000007 05 00000002 6869 ff 01"),
    (NULLABLE, {"a": 5, "n": None, "s": None}, "00000001 05 ff ff"),
    (Schema.of("t", {"b": K.NULLABLE_BOOLEAN}), {"b": True}, "00000001 01 00"),
    (Schema.of("t", {"x": K.ARRAY_OF_FLOAT32}), {"x": [1.5]}, "00000008 00000001 3fc00000 00"),
    (Schema.of("t", {"x": K.ARRAY_OF_FLOAT32}), {"x": []}, "00000004 00000000 00"),
    (Schema.of("t", {"x": K.ARRAY_OF_INT8}), {"x": [1, -1]}, "00000006 00000002 01ff 00"),
    (
        Schema.of("t", {"x": K.ARRAY_OF_BOOLEAN}),
        {"x": [True] + [False] * 7 + [True]},
        "00000006 00000009 0101 00",
    ),
    (
        Schema.of("t", {"x": K.ARRAY_OF_NULLABLE_INT8}),
        {"x": [1, None, 3]},
        "0000000d 00000002 00000003 0103 00ff01 00",
    ),
    (
        Schema.of("t", {"x": K.ARRAY_OF_STRING}),
        {"x": ["a", None]},
        "0000000f 00000005 00000002 00000001 61 00ff 00",
    ),
]


@pytest.mark.parametrize(("schema", "record", "rest"), BYTES)
def test_bytes_of_a_record(schema: Schema, record: dict[str, Any], rest: str) -> None:
    whole = data(schema, rest)
    assert encode_record(schema, record) == whole
    assert decode_record(schema, whole) == record


@pytest.mark.parametrize(
    ("size", "width"), [(250, 1), (251, 2), (65_530, 2), (65_531, 4)], ids=["254", "255", "65534", "65535"]
)
def test_offsets_widen_with_the_data(size: int, width: int) -> None:
    schema = Schema.of("t", {"n": K.NULLABLE_INT8, "s": K.STRING})
    record = {"n": None, "s": "x" * size}
    whole = encode_record(schema, record)
    assert len(whole) == 20 + 4 + size + 2 * width
    assert whole[-2 * width :] == b"\xff" * width + b"\0" * width
    assert decode_record(schema, whole) == record
    mixed = Blobs.of([encode_record(schema, {"n": 1, "s": "y"}), whole])
    columns = decode_columns(mixed, schema)
    assert columns["s"].values.tolist() == ["y", "x" * size]
    assert columns["n"].valid is not None
    assert columns["n"].valid.tolist() == [True, False]
    assert encode_columns(schema, columns).tolist() == mixed.tolist()


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (K.INT8, 128),
        (K.INT8, 1.0),
        (K.INT8, True),
        (K.INT64, 2**63),
        (K.INT64, "1"),
        (K.INT64, None),
        (K.FLOAT32, 1e300),
        (K.FLOAT64, "1"),
        (K.FLOAT64, True),
        (K.BOOLEAN, 1),
        (K.BOOLEAN, None),
        (K.STRING, b"x"),
        (K.STRING, "\ud800"),
        (K.NULLABLE_INT16, 2**15),
        (K.NULLABLE_BOOLEAN, "yes"),
        (K.ARRAY_OF_FLOAT64, 1.0),
        (K.ARRAY_OF_FLOAT64, [1.0, None]),
        (K.ARRAY_OF_FLOAT64, np.zeros((2, 2))),
        (K.ARRAY_OF_INT8, [200]),
        (K.ARRAY_OF_STRING, [1]),
        (K.DATE, "2020-01-01"),
    ],
)
def test_refuses_values_that_do_not_fit(kind: FieldKind, value: Any) -> None:
    schema = Schema.of("t", {"it": kind})
    with pytest.raises(EncodeError, match="'it'"):
        encode_record(schema, {"it": value})
    column = np.empty(1, object)
    column[0] = value
    with pytest.raises(EncodeError, match="'it'"):
        encode_columns(schema, {"it": column})


def test_numpy_values_are_as_good_as_pythons() -> None:
    schema = Schema.of(
        "t", {"a": K.INT8, "b": K.BOOLEAN, "c": K.FLOAT32, "x": K.ARRAY_OF_FLOAT64, "y": K.ARRAY_OF_INT8}
    )
    record = {
        "a": np.int64(3),
        "b": np.bool_(1),
        "c": np.float64(0.5),
        "x": np.array([1, 2], np.int32),
        "y": b"\1\xff",
    }
    assert decode_record(schema, encode_record(schema, record)) == {
        "a": 3,
        "b": True,
        "c": 0.5,
        "x": [1, 2],
        "y": [1, -1],
    }


def test_fields_that_are_not_in_the_schema_are_refused() -> None:
    with pytest.raises(EncodeError, match="no field 'x'"):
        encode_record(NULLABLE, {"a": 1, "x": 2})
    with pytest.raises(EncodeError, match="no field 'x'"):
        encode_columns(NULLABLE, {"a": np.ones(1), "x": np.ones(1)})
    with pytest.raises(DecodeError, match="no field 'x'"):
        decode_columns(Blobs.empty(), NULLABLE, ["x"])
    with pytest.raises(DecodeError, match="no field 'x'"):
        decode_matrix(Blobs.empty(), NULLABLE, ["x"])


def test_what_can_be_null_may_be_left_out() -> None:
    assert decode_record(NULLABLE, encode_record(NULLABLE, {"a": 1})) == {"a": 1, "n": None, "s": None}
    assert encode_columns(NULLABLE, {"a": np.array([1, 2], np.int8)})[1] == encode_record(NULLABLE, {"a": 2})
    with pytest.raises(EncodeError, match="'a'"):
        encode_columns(NULLABLE, {"n": np.array([1], np.int16)})


# ---- columns


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (K.INT8, np.array([128])),
        (K.INT8, np.array([-129])),
        (K.INT64, np.array([2**63], np.uint64)),
        (K.INT64, np.array([1.0])),
        (K.INT32, np.array([True])),
        (K.BOOLEAN, np.array([1])),
        (K.FLOAT32, np.array([1e300])),
        (K.FLOAT64, np.array([[1.0]])),
        (K.FLOAT64, np.array([np.datetime64("2020-01-01")])),
        (K.FLOAT64, np.array(["1"])),
        (K.FLOAT64, Column(np.array([1.0]), np.array([False]))),
        (K.FLOAT64, Column(np.array([1.0]), np.array([True, True]))),
        (K.ARRAY_OF_FLOAT32, np.array([1.0])),
        (K.ARRAY_OF_INT16, np.array([[2**15]])),
        (K.FLOAT64, np.float64(1.0)),
        (K.FLOAT64, np.zeros((1, 1, 1))),
        (K.FLOAT64, [1.0]),
    ],
)
def test_columns_that_do_not_fit(kind: FieldKind, values: Any) -> None:
    with pytest.raises(EncodeError, match="'it'"):
        encode_columns(Schema.of("t", {"it": kind}), {"it": values})


def test_columns_of_different_lengths() -> None:
    with pytest.raises(EncodeError, match="different lengths"):
        encode_columns(ALL_FIXED, {"a": np.ones(1), "e": np.ones(2)})


@pytest.mark.parametrize("schema", [ALL_FIXED, NULLABLE])
def test_no_rows(schema: Schema) -> None:
    columns = {name: np.empty(0, bool if slot.kind is K.BOOLEAN else np.int8) for name, slot in schema.slots.items()}
    columns.pop("s", None)
    assert len(encode_columns(schema, columns)) == 0
    assert all(len(column) == 0 for column in decode_columns(Blobs.empty(), schema).values())
    assert decode_matrix(Blobs.empty(), schema, ["a"]).shape == (0, 1)


def test_integers_widen_and_nan_and_infinity_pass() -> None:
    schema = Schema.of("t", {"f": K.FLOAT32, "d": K.FLOAT64})
    columns = {"f": np.array([np.nan, np.inf, 0.1]), "d": np.array([1, -(2**40), 3])}
    matrix = decode_matrix(encode_columns(schema, columns), schema, ["f", "d"])
    expected = np.column_stack([columns["f"].astype(np.float32), columns["d"]])
    np.testing.assert_array_equal(matrix, expected)


def test_masked_columns_and_objects_with_none_are_nullable() -> None:
    masked = np.ma.masked_array(np.array([1, 2, 3], np.int16), [False, True, False])
    columns = {"m": masked, "o": np.array([1.5, None, 2], object), "s": np.array(["a", None, "c"], object)}
    schema = infer_schema("t", columns)
    assert {each.name: each.kind for each in schema.fields} == {
        "m": K.NULLABLE_INT16,
        "o": K.NULLABLE_FLOAT64,
        "s": K.STRING,
    }
    decoded = decode_columns(encode_columns(schema, columns), schema)
    assert [None if column.valid is None else column.valid.tolist() for column in decoded.values()] == [
        [True, False, True]
    ] * 3
    np.testing.assert_array_equal(
        decode_matrix(encode_columns(schema, columns), schema, ["o", "m"]), [[1.5, 1], [np.nan, np.nan], [2, 3]]
    )


def test_neighbours_of_one_kind_share_one_matrix() -> None:
    columns = {f"f{i}": np.full(3, i, np.float32) for i in range(4)}
    schema = infer_schema("t", columns)
    decoded = decode_columns(encode_columns(schema, columns), schema, ["f2", "f1", "f3"])
    assert list(decoded) == ["f2", "f1", "f3"]
    assert decoded["f1"].values.base is decoded["f3"].values.base is not None
    assert all(column.valid is None and column.values.dtype == np.dtype("=f4") for column in decoded.values())


def test_more_rows_than_one_block() -> None:
    generator = np.random.default_rng(7)
    columns = {f"f{i}": generator.normal(size=20_000).astype(np.float32) for i in range(12)}
    columns["flag"] = generator.random(20_000) < 0.5
    columns["array"] = generator.normal(size=(20_000, 5))
    schema = infer_schema("t", columns)
    encoded = encode_columns(schema, columns)
    names = ["f11", "flag", "f0", "f3"]
    np.testing.assert_array_equal(
        decode_matrix(encoded, schema, names), np.column_stack([columns[name] for name in names])
    )
    np.testing.assert_array_equal(
        decode_columns(encoded, schema, ["array"], {"array": 5})["array"].values, columns["array"]
    )


def test_arrays_and_strings_are_no_numbers() -> None:
    for kind, value in ((K.STRING, "1"), (K.ARRAY_OF_FLOAT32, [1.0])):
        schema = Schema.of("t", {"it": kind})
        with pytest.raises(DecodeError, match="'it'"):
            decode_matrix(Blobs.of([encode_record(schema, {"it": value})]), schema, ["it"])


def test_a_double_too_large_for_a_float32_becomes_infinite_without_a_warning() -> None:
    schema = Schema.of("t", {"d": K.FLOAT64})
    assert math.isinf(decode_matrix(Blobs.of([encode_record(schema, {"d": 1e300})]), schema, ["d"], np.float32)[0, 0])


def test_as_column() -> None:
    assert as_column("c", np.array(["a", "b"])).values.tolist() == ["a", "b"]
    column = as_column("c", np.ma.masked_array(np.ones((2, 2)), [[True, True], [False, False]]))
    assert column.valid is not None
    assert column.valid.tolist() == [False, True]
    with pytest.raises(EncodeError, match="row 0"):
        as_column("c", np.ma.masked_array(np.ones((2, 2)), [[False, True], [False, False]]))


# ---- schema ids


def test_schema_ids_beside_other_values() -> None:
    record = encode_record(NULLABLE, {"a": 1})
    is_compact, ids = schema_ids(Blobs.of([record, b"", bytes(16), record[:16], record[:15]]))
    assert is_compact.tolist() == [True, False, False, True, False]
    assert ids.tolist() == [NULLABLE.schema_id, 0, 0, NULLABLE.schema_id, 0]
    assert schema_ids(Blobs.of([record]))[1].tolist() == [NULLABLE.schema_id]
    assert [each.size for each in schema_ids(Blobs.empty())] == [0, 0]


# ---- hostile bytes


@pytest.mark.parametrize(
    "rest",
    [
        "",
        "000000",
        "00000009 05",
        "ffffffff 05 ff ff",
        "00000000 05 ff ff",
        "7fffffff 05 ff ff",
        "00000001 05 ff",  # half a table
        "00000001 05 00 ff",  # into the fixed part (as a column); beyond the end (as a record)
        "00000001 05 ff 02",  # beyond the data
        "00000003 05 0000 00 ff",  # a short in the fixed part
        "00000007 05 0102 00000001 01 03",  # a string that goes on in the table
        "00000002 05 01 01 ff",  # two bytes, one there
        "00000005 05 ffffffff ff 01",  # a string of -1 bytes
        "00000005 05 00000001 ff 01",
        "00000005 05 7fffffff ff 01",
        "00000006 05 00000001 ff ff 01",  # no UTF-8
    ],
)
def test_records_that_lie(rest: str) -> None:
    bad, good = data(NULLABLE, rest), encode_record(NULLABLE, {"a": 1, "n": 2, "s": "x"})
    with pytest.raises(DecodeError):
        decode_record(NULLABLE, bad)
    with pytest.raises(DecodeError):
        decode_columns(Blobs.of([good, bad]), NULLABLE)


def test_counts_that_lie_cost_nothing() -> None:
    for kind, rest in (
        (K.ARRAY_OF_FLOAT64, "00000004 7fffffff 00"),
        (K.ARRAY_OF_BOOLEAN, "00000004 7fffffff 00"),
        (K.ARRAY_OF_FLOAT64, "00000004 ffffffff 00"),
        (K.ARRAY_OF_BOOLEAN, "00000004 ffffffff 00"),
        (K.ARRAY_OF_BOOLEAN, "00000004 fffffff9 00"),
        (K.ARRAY_OF_STRING, "00000008 00000000 7fffffff 00"),
        (K.ARRAY_OF_NULLABLE_INT64, "00000008 00000000 ffffffff 00"),
    ):
        schema = Schema.of("t", {"x": kind})
        with pytest.raises(DecodeError):
            decode_record(schema, data(schema, rest))
        for lengths in ({}, {"x": 2}):
            with pytest.raises(DecodeError, match="'x'"):
                decode_columns(Blobs.of([data(schema, rest)]), schema, None, lengths)


def test_a_record_of_another_schema() -> None:
    with pytest.raises(DecodeError, match="no record of the schema"):
        decode_record(NULLABLE, encode_record(Schema.of("u", {"a": K.INT8, "s": K.STRING}), {"a": 1}))


# ---- schemas from values


def test_schema_of_a_dict() -> None:
    record = {
        "i": 1,
        "f": 1.5,
        "b": True,
        "s": "x",
        "none": None,
        "list": [1, 2.5],
        "empty": [],
        "flags": [True],
        "words": ["a", None],
        "f4": np.zeros(2, np.float32),
        "i2": np.zeros(2, np.int16),
        "raw": b"x",
        "np": np.float32(1),
        "day": date(2024, 2, 29),
        "clock": time(12),
        "moment": datetime(2024, 2, 29),  # noqa: DTZ001
        "instant": datetime(2024, 2, 29, tzinfo=UTC),
        "price": Decimal("1.50"),
        "days": [None, date(2024, 2, 29)],
        "ns": np.datetime64(1, "ns"),
        "moments": np.array([1, "NaT"], "M8[ns]"),
    }
    schema, _ = infer_record_schemas("t", record)
    assert {each.name: each.kind.name for each in schema.fields} == {
        "i": "INT64",
        "f": "FLOAT64",
        "b": "BOOLEAN",
        "s": "STRING",
        "none": "STRING",
        "list": "ARRAY_OF_FLOAT64",
        "empty": "ARRAY_OF_FLOAT64",
        "flags": "ARRAY_OF_BOOLEAN",
        "words": "ARRAY_OF_STRING",
        "f4": "ARRAY_OF_FLOAT32",
        "i2": "ARRAY_OF_INT16",
        "raw": "ARRAY_OF_INT8",
        "np": "FLOAT64",
        "day": "DATE",
        "clock": "TIME",
        "moment": "TIMESTAMP",
        "instant": "TIMESTAMP_WITH_TIMEZONE",
        "price": "DECIMAL",
        "days": "ARRAY_OF_DATE",
        "ns": "TIMESTAMP",
        "moments": "ARRAY_OF_TIMESTAMP",
    }
    assert decode_record(schema, encode_record(schema, record))["list"] == [1.0, 2.5]


@pytest.mark.parametrize(
    "value", [2**63, 1j, {1}, [[1]], [1, "a"], [date.min, time.min], np.zeros((1, 1)), np.array(["a"])]
)
def test_dict_values_without_a_kind(value: Any) -> None:
    with pytest.raises(EncodeError, match="'it'"):
        infer_record_schemas("t", {"it": value})


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        (np.zeros(1, np.int8), K.INT8),
        (np.zeros(1, np.uint8), K.INT16),
        (np.zeros(1, np.uint32), K.INT64),
        (np.zeros(1, np.float16), K.FLOAT32),
        (np.zeros(1, ">f8"), K.FLOAT64),
        (np.zeros(1, bool), K.BOOLEAN),
        (np.zeros((1, 3), np.float32), K.ARRAY_OF_FLOAT32),
        (np.zeros((1, 3), bool), K.ARRAY_OF_BOOLEAN),
        (Column(np.zeros(1), np.ones(1, bool)), K.NULLABLE_FLOAT64),
        (np.array(["a"]), K.STRING),
        (np.array([None], object), K.STRING),
        (np.array([True, None], object), K.NULLABLE_BOOLEAN),
        (np.array([1, None], object), K.NULLABLE_INT64),
        (np.zeros(1, "M8[D]"), K.DATE),
        (np.array(["NaT"], "M8[ns]"), K.TIMESTAMP),
        (Column(np.zeros(1, "M8[s]"), np.ones(1, bool)), K.TIMESTAMP),
        (np.zeros((1, 2), "M8[ns]"), K.ARRAY_OF_TIMESTAMP),
        (np.array([date.min, None], object), K.DATE),
        (np.array([datetime(1, 1, 1)], object), K.TIMESTAMP),  # noqa: DTZ001
        (np.array([datetime.min.replace(tzinfo=UTC)], object), K.TIMESTAMP_WITH_TIMEZONE),
        (np.array([time.min], object), K.TIME),
        (np.array([Decimal(1), None], object), K.DECIMAL),
    ],
)
def test_schema_of_columns(column: Any, kind: FieldKind) -> None:
    schema = infer_schema("t", {"it": column})
    assert schema.fields == (Field("it", kind),)
    assert len(encode_columns(schema, {"it": column})) == len(column)


@pytest.mark.parametrize(
    "column",
    [
        np.zeros(1, "M8"),
        np.zeros(1, "m8[s]"),
        np.full(1, 2**63, np.uint64),
        np.zeros(1, complex),
        np.array([1, "a"], object),
    ],
)
def test_columns_without_a_kind(column: Any) -> None:
    with pytest.raises(EncodeError, match="'it'"):
        encode_columns(infer_schema("t", {"it": column}), {"it": column})

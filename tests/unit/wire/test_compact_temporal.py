"""Dates, times and decimals of Compact records: their bytes, what is refused, and what numpy makes of them."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from grid_inference.errors import DecodeError, EncodeError
from grid_inference.records import RecordTable
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import (
    Column,
    FieldKind,
    Schema,
    decode_columns,
    decode_record,
    encode_columns,
    encode_record,
)
from grid_inference.wire.compact.decimal import decode_decimal

K = FieldKind
MOMENT = datetime(2024, 2, 29, 23, 59, 58, 123_456)  # noqa: DTZ001
MOMENT_BYTES = "000007e8 02 1d 17 3b 3a 075bca00"
EAST = timezone(timedelta(hours=5, minutes=30))


def schema_of(kind: FieldKind) -> Schema:
    return Schema.of("t", {"it": kind})


def record_of(kind: FieldKind, value: str) -> bytes:
    """A record whose one field has these bytes."""
    schema, content = schema_of(kind), bytes.fromhex(value)
    head = bytes.fromhex("00000000 ffffffc9") + schema.schema_id.to_bytes(8, "big", signed=True)
    return head + len(content).to_bytes(4, "big") + content + b"\0"


def column_of(kind: FieldKind, *values: str) -> Column:
    return decode_columns(Blobs.of([record_of(kind, value) for value in values]), schema_of(kind))["it"]


BYTES: list[tuple[FieldKind, Any, str]] = [
    (K.DATE, date(2024, 2, 29), "000007e8 02 1d"),
    (K.DATE, date.min, "00000001 01 01"),
    (K.DATE, date.max, "0000270f 0c 1f"),
    (K.TIME, time(0), "00 00 00 00000000"),
    (K.TIME, time.max, "17 3b 3b 3b9ac618"),
    (K.TIMESTAMP, MOMENT, MOMENT_BYTES),
    (K.TIMESTAMP_WITH_TIMEZONE, MOMENT.replace(tzinfo=UTC), f"{MOMENT_BYTES} 00000000"),
    (K.TIMESTAMP_WITH_TIMEZONE, MOMENT.replace(tzinfo=EAST), f"{MOMENT_BYTES} 00004d58"),
    (K.TIMESTAMP_WITH_TIMEZONE, MOMENT.replace(tzinfo=timezone(timedelta(hours=-1))), f"{MOMENT_BYTES} fffff1f0"),
    (K.DECIMAL, Decimal("1.50"), "00000002 0096 00000002"),
    (K.DECIMAL, Decimal(0), "00000001 00 00000000"),
    (K.DECIMAL, Decimal(-128), "00000001 80 00000000"),
    (K.DECIMAL, Decimal("1E+3"), "00000001 01 fffffffd"),
    (K.ARRAY_OF_DATE, [None, date.min], "00000006 00000002 00000001 01 01 ff00"),
    (K.ARRAY_OF_DECIMAL, [Decimal("0.1")], "00000009 00000001 00000001 01 00000001 00"),
]


@pytest.mark.parametrize(("kind", "value", "content"), BYTES)
def test_bytes_of_a_value(kind: FieldKind, value: Any, content: str) -> None:
    whole = record_of(kind, content)
    assert encode_record(schema_of(kind), {"it": value}) == whole
    assert decode_record(schema_of(kind), whole) == {"it": value}
    column = np.empty(1, object)
    column[0] = value
    assert encode_columns(schema_of(kind), {"it": column}).tolist() == [whole]


@pytest.mark.parametrize(
    ("kind", "content", "dtype", "value"),
    [
        (K.DATE, "000007e8 02 1d", "M8[D]", "2024-02-29"),
        (K.DATE, "00000001 01 01", "M8[D]", "0001-01-01"),
        (K.TIMESTAMP, MOMENT_BYTES, "M8[us]", "2024-02-29T23:59:58.123456"),
        (K.TIMESTAMP_WITH_TIMEZONE, f"{MOMENT_BYTES} 00004d58", "M8[us]", "2024-02-29T18:29:58.123456"),
        (K.TIMESTAMP_WITH_TIMEZONE, "0000270f 0c 1f 17 00 00 00000000 fffff1f0", "M8[us]", "10000-01-01"),
    ],
)
def test_columns_are_numpys(kind: FieldKind, content: str, dtype: str, value: str) -> None:
    column = column_of(kind, content)
    assert column.values.dtype == np.dtype(dtype)
    assert column.values.tolist() == np.array([value], dtype).tolist()


def test_times_are_counted_from_midnight() -> None:
    assert column_of(K.TIME, "17 3b 3b 3b9ac9ff").values.tolist() == [timedelta(days=1, microseconds=-1)]


def test_decimals_are_pythons_in_columns_as_well() -> None:
    column = column_of(K.DECIMAL, "00000002 0096 00000002", "00000001 ff 00000000")
    assert [str(value) for value in column.values.tolist()] == ["1.50", "-1"]


def test_nulls_are_nat_and_not_valid() -> None:
    schema = schema_of(K.TIMESTAMP)
    column = decode_columns(Blobs.of([encode_record(schema, {}), encode_record(schema, {"it": MOMENT})]), schema)["it"]
    assert column.valid is not None
    assert column.valid.tolist() == [False, True]
    assert np.isnat(column.values).tolist() == [True, False]
    encoded = encode_columns(schema, {"it": column})
    assert encode_columns(schema, {"it": column.values}).tolist() == encoded.tolist()
    assert decode_record(schema, encoded[0]) == {"it": None}
    assert decode_record(schema, encode_record(schema, {"it": np.datetime64("NaT")})) == {"it": None}


# ---- numpy's units


@pytest.mark.parametrize("unit", ["Y", "M", "W", "D", "h", "m", "s", "ms", "us", "ns"])
@pytest.mark.parametrize("kind", [K.TIMESTAMP, K.TIMESTAMP_WITH_TIMEZONE])
def test_moments_of_any_unit(kind: FieldKind, unit: str) -> None:
    texts = ["1969-12-31T23:59:59.999999", "1970-01-01", "2024-02-29T12:34:56.789012"]
    values = np.array([*texts, "NaT"], "M8[us]").astype(f"M8[{unit}]")
    decoded = decode_columns(encode_columns(schema_of(kind), {"it": values}), schema_of(kind))["it"].values
    np.testing.assert_array_equal(decoded, values.astype("M8[us]"))


def test_nanoseconds_are_written_and_cut_off_when_read() -> None:
    limits = np.array([np.iinfo(np.int64).min + 1, -1, np.iinfo(np.int64).max]).view("M8[ns]")
    encoded = encode_columns(schema_of(K.TIMESTAMP), {"it": limits})
    nanoseconds = encoded.read(20 + 9, ">i4")
    assert nanoseconds.tolist() == [145_224_193, 999_999_999, 854_775_807]
    decoded = decode_columns(encoded, schema_of(K.TIMESTAMP))["it"].values
    # numpy's own cast of the first one overflows.
    assert decoded.astype(str).tolist() == [
        "1677-09-21T00:12:43.145224",
        "1969-12-31T23:59:59.999999",
        "2262-04-11T23:47:16.854775",
    ]
    one = encode_record(schema_of(K.ARRAY_OF_TIMESTAMP), {"it": limits})
    assert b"".join(value.tobytes() for value in encoded.matrix(20, 13)) in one
    assert decode_record(schema_of(K.TIMESTAMP), encoded[1]) == {"it": limits[1].astype("M8[us]").item()}


def test_timedeltas_are_times_where_the_schema_says_so() -> None:
    schema, values = schema_of(K.TIME), np.array([0, 86_399_999, "NaT"], "m8[ms]")
    decoded = decode_columns(encode_columns(schema, {"it": values}), schema)["it"].values
    np.testing.assert_array_equal(decoded, values)
    assert decode_record(schema, encode_record(schema, {"it": np.timedelta64(90, "m")})) == {"it": time(1, 30)}


def test_tables_of_several_schemas_have_nat_where_there_is_no_moment() -> None:
    days = Column(np.array(["2024-02-29", "NaT"], "M8[D]"), np.array([True, False]))
    moments = Column(np.array(["2024-02-29T12"], "M8[us]"), np.array([True]))
    rows = np.array([2, 0]), np.array([1])
    table = RecordTable.of(["a", "b", "c"], [(rows[0], {"day": days, "it": days}), (rows[1], {"it": moments})])
    assert table["day"].dtype == np.dtype("M8[D]")
    assert table["day"].tolist() == [None, None, date(2024, 2, 29)]
    assert table["it"].tolist() == [None, datetime(2024, 2, 29, 12), datetime(2024, 2, 29)]  # noqa: DTZ001
    assert RecordTable.of(["a", "b"], [(np.arange(2), {"day": days})])["day"].tolist() == [date(2024, 2, 29), None]


# ---- what is refused


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (K.DATE, MOMENT),
        (K.DATE, time(1)),
        (K.TIME, MOMENT),
        (K.TIME, time(1, tzinfo=UTC)),
        (K.TIME, timedelta(1)),
        (K.TIMESTAMP, date.min),
        (K.TIMESTAMP, MOMENT.replace(tzinfo=UTC)),
        (K.TIMESTAMP, 0),
        (K.TIMESTAMP_WITH_TIMEZONE, MOMENT),
        (K.TIMESTAMP_WITH_TIMEZONE, MOMENT.replace(tzinfo=timezone(timedelta(microseconds=1)))),
        (K.DATE, np.datetime64("2024-02-29T01")),
        (K.DATE, np.datetime64(10_000, "Y")),
        (K.DATE, np.datetime64(2**62, "Y")),
        (K.TIMESTAMP, np.datetime64("0000-12-31")),
        (K.TIMESTAMP, np.datetime64(2**62, "W")),
        (K.TIMESTAMP, np.datetime64(-(2**62), "D")),
        (K.TIMESTAMP, np.datetime64(10_000 - 1970, "Y")),
        (K.TIMESTAMP, np.datetime64(1, "ps")),
        (K.TIMESTAMP, np.datetime64(1, "25s")),
        (K.TIMESTAMP, np.timedelta64(1, "s")),
        (K.TIME, np.timedelta64(-1, "ns")),
        (K.TIME, np.timedelta64(1, "D")),
        (K.TIME, np.timedelta64(2**62, "h")),
        (K.TIME, np.timedelta64(1, "Y")),
        (K.TIME, np.timedelta64(1)),
        (K.TIME, np.datetime64(1, "s")),
        (K.DECIMAL, 1.5),
        (K.DECIMAL, Decimal("NaN")),
        (K.DECIMAL, Decimal("-Infinity")),
        (K.DECIMAL, Decimal(2**8191)),
        (K.DECIMAL, Decimal((0, (1,), 2**31 + 1))),
        (K.ARRAY_OF_TIME, [MOMENT]),
        (K.STRING, np.datetime64(1, "s")),
        (K.FLOAT64, np.datetime64(1, "s")),
        (K.NULLABLE_INT64, np.datetime64(1, "s")),
    ],
)
def test_values_that_do_not_fit(kind: FieldKind, value: Any) -> None:
    with pytest.raises(EncodeError, match="'it'"):
        encode_record(schema_of(kind), {"it": value})
    column = np.array([value]) if isinstance(value, np.generic) else np.array([value], object)
    with pytest.raises(EncodeError, match="'it'"):
        encode_columns(schema_of(kind), {"it": column})


def test_the_largest_decimal() -> None:
    schema, value = schema_of(K.DECIMAL), {"it": Decimal(2**8191 - 1)}
    whole = encode_record(schema, value)
    assert decode_record(schema, whole) == value
    for claimed in (1025, 2**31 - 1):
        with pytest.raises(DecodeError, match=f"a decimal claims {claimed} bytes"):
            decode_decimal(claimed.to_bytes(4, "big") + bytes(1029), 0, 1033)


def test_the_offset_is_the_one_of_the_moment() -> None:
    summer = datetime(2024, 7, 1, tzinfo=ZoneInfo("Europe/Berlin"))
    schema = schema_of(K.TIMESTAMP_WITH_TIMEZONE)
    assert decode_record(schema, encode_record(schema, {"it": summer}))["it"].utcoffset() == timedelta(hours=2)


# ---- hostile bytes


@pytest.mark.parametrize(
    ("kind", "content", "what"),
    [
        (K.DATE, "00000000 01 01", "year"),
        (K.DATE, "00002710 01 01", "year"),
        (K.DATE, "7fffffff 01 01", "year"),
        (K.DATE, "80000000 01 01", "year"),
        (K.DATE, "000007e8 00 01", "month"),
        (K.DATE, "000007e8 0d 01", "month"),
        (K.DATE, "000007e8 ff 01", "month"),
        (K.DATE, "000007e8 01 00", "day"),
        (K.DATE, "000007e8 01 20", "day"),
        (K.DATE, "000007e7 02 1d", "day"),
        (K.DATE, "000007e8 01", "outside"),
        (K.TIME, "18 00 00 00000000", "hour"),
        (K.TIME, "80 00 00 00000000", "hour"),
        (K.TIME, "00 3c 00 00000000", "minute"),
        (K.TIME, "00 00 3c 00000000", "second"),
        (K.TIME, "00 00 00 3b9aca00", "second"),
        (K.TIME, "00 00 00 ffffffff", "second"),
        (K.TIME, "00 00 00 80000000", "second"),
        (K.TIME, "00 00 00 000000", "outside"),
        (K.TIMESTAMP, "00000000 01 01 00 00 00 00000000", "year"),
        (K.TIMESTAMP, "00000001 01 01 18 00 00 00000000", "hour"),
        (K.TIMESTAMP_WITH_TIMEZONE, f"{MOMENT_BYTES} 00015180", ""),
        (K.TIMESTAMP_WITH_TIMEZONE, f"{MOMENT_BYTES} 80000000", ""),
        (K.TIMESTAMP_WITH_TIMEZONE, MOMENT_BYTES, "outside"),
        (K.DECIMAL, "00000000 00000000", "0 bytes"),
        (K.DECIMAL, "ffffffff 00 00000000", "-1 bytes"),
        (K.DECIMAL, "7fffffff 00 00000000", "bytes"),
        (K.DECIMAL, "00000001 00 000000", "outside|bytes"),
        (K.DECIMAL, "0000", "outside"),
        (K.ARRAY_OF_TIME, "00000000 00000001 00 00", "outside"),
        (K.ARRAY_OF_DATE, "00000006 00000001 00000001 0d 01 00", "month"),
    ],
)
def test_values_that_lie(kind: FieldKind, content: str, what: str) -> None:
    with pytest.raises(DecodeError, match=rf"field 'it' \({kind.name}\) of t: .*({what})"):
        decode_record(schema_of(kind), record_of(kind, content))
    with pytest.raises(DecodeError, match=rf"field 'it' \({kind.name}\) of t: .*({what})"):
        column_of(kind, content)

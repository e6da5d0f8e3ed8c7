"""What libraries hand over as columns: the kind by the type whatever is null, every value exact, or refused by row."""

# ruff: noqa: E501  # a sort of column is a line

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from grid_inference.errors import EncodeError
from grid_inference.wire.arrow.arrays import arrow_columns
from grid_inference.wire.arrow.intake import column_from, frame_columns, key_values
from grid_inference.wire.columns import Column
from grid_inference.wire.compact import NESTING_MAX, FieldKind, decode_record, encode_columns, infer_schema
from grid_inference.wire.kinds import all_settled, is_undecided, nested_columns, settled, undecided

LARGE = 2**53 + 1
UTC = dt.UTC
NOON = dt.datetime.fromisoformat("2024-07-01T12:00")


def put(values: Any) -> tuple[str, list[Any]]:
    """The kind of field that a column becomes, and its values as a record has them."""
    column = column_from("a", values)
    if is_undecided(column):
        column = settled(column)
    schema = infer_schema("t", {"a": column})
    records = encode_columns(schema, {"a": column})
    return schema.slots["a"].kind.name, [decode_record(schema, data)["a"] for data in records.tolist()]


def series(values: Any, dtype: Any = None) -> pd.Series[Any]:
    return pd.Series(values, dtype=dtype)


def arrow(values: Any, kind: Any = None) -> Any:
    return pa.array(values, kind)


COLUMNS: dict[str, tuple[Any, Any, str, list[Any]]] = {
    "Arrow int64": (arrow([LARGE, None]), arrow([1, 2]), "NULLABLE_INT64", [LARGE, None]),
    "Arrow int8": (arrow([-128, None], pa.int8()), arrow([1], pa.int8()), "NULLABLE_INT8", [-128, None]),
    "Arrow uint64": (arrow([2**63 - 1, None], pa.uint64()), arrow([1], pa.uint64()), "NULLABLE_INT64", [2**63 - 1, None]),
    "Arrow double": (arrow([-0.0, None]), arrow([1.5]), "NULLABLE_FLOAT64", [-0.0, None]),
    "Arrow half": (arrow([np.float16(1.5), None], pa.float16()), arrow([], pa.float16()), "NULLABLE_FLOAT32", [1.5, None]),
    "Arrow bool": (arrow([True, None]), arrow([False]), "NULLABLE_BOOLEAN", [True, None]),
    "Arrow dictionary": (arrow(["b", None, "r"]).dictionary_encode(), arrow(["b"]).dictionary_encode(), "STRING", ["b", None, "r"]),
    "Arrow numbers by codes": (arrow([LARGE, None]).dictionary_encode(), arrow([1]).dictionary_encode(), "NULLABLE_INT64", [LARGE, None]),
    "Arrow date64": (arrow([dt.date(1, 1, 1), None], pa.date64()), arrow([None], pa.date64()), "DATE", [dt.date(1, 1, 1), None]),
    "Arrow time32": (arrow([dt.time(1, 2), None], pa.time32("s")), arrow([None], pa.time32("s")), "TIME", [dt.time(1, 2), None]),
    "Arrow decimal": (arrow([Decimal("1.50"), None]), arrow([None], pa.decimal128(9, 2)), "DECIMAL", [Decimal("1.50"), None]),
    "Arrow zone": (arrow([NOON.replace(tzinfo=UTC), None]), arrow([None], pa.timestamp("ns", "Asia/Tokyo")), "TIMESTAMP_WITH_TIMEZONE", [NOON.replace(tzinfo=UTC), None]),
    "Arrow before 1970": (arrow([-1, None], pa.int64()).cast(pa.timestamp("ns")), arrow([None], pa.timestamp("s")), "TIMESTAMP", [dt.datetime.fromisoformat("1969-12-31T23:59:59.999999"), None]),
    "pandas Int64": (series([LARGE, None], "Int64"), series([1], "Int64"), "NULLABLE_INT64", [LARGE, None]),
    "pandas UInt8": (series([255, None], "UInt8"), series([1], "UInt8"), "NULLABLE_INT16", [255, None]),
    "pandas boolean": (series([True, pd.NA], "boolean"), series([True], "boolean"), "NULLABLE_BOOLEAN", [True, None]),
    "pandas Float64": (series([0.5, pd.NA], "Float64"), series([0.5], "Float64"), "NULLABLE_FLOAT64", [0.5, None]),
    "pandas string": (series(["x", pd.NA], "string"), series(["x"], "string"), "STRING", ["x", None]),
    "pandas of Arrow": (series([LARGE, None], pd.ArrowDtype(pa.int64())), series([1], pd.ArrowDtype(pa.int64())), "NULLABLE_INT64", [LARGE, None]),
    "pandas categories": (series(["b", None, "r"], "category"), series(["b"], "category"), "STRING", ["b", None, "r"]),
    "pandas numbers by codes": (series([5, None], "category"), series([5, 6], "category"), "NULLABLE_INT64", [5, None]),
    "pandas whole numbers by codes": (pd.Series(pd.Categorical.from_codes([0, -1], [LARGE])), pd.Series(pd.Categorical.from_codes([0], [3])), "NULLABLE_INT64", [LARGE, None]),
    "pandas moments by codes": (pd.Series(pd.to_datetime([NOON, None])).dt.tz_localize("Asia/Tokyo").astype("category"), pd.Series(pd.to_datetime([NOON])).dt.tz_localize("Asia/Tokyo").astype("category"), "TIMESTAMP_WITH_TIMEZONE", [NOON.replace(tzinfo=dt.timezone(dt.timedelta(hours=9))), None]),
    "pandas zone": (pd.Series(pd.to_datetime([NOON, None])).dt.tz_localize("Asia/Tokyo"), pd.Series(pd.to_datetime([NOON])).dt.tz_localize("Asia/Tokyo"), "TIMESTAMP_WITH_TIMEZONE", [NOON.replace(tzinfo=dt.timezone(dt.timedelta(hours=9))), None]),
    "pandas objects": (series([LARGE, pd.NA, np.nan, None], object), series([1], object), "NULLABLE_INT64", [LARGE, None, None, None]),
    "pandas texts and NaN": (series(["x", np.nan, pd.NaT], object), series(["x"], object), "STRING", ["x", None, None]),
    "pandas floats": (series([0.5, 1.5]), series([2.5]), "FLOAT64", [0.5, 1.5]),
    "polars": (pl.Series([LARGE, None]), pl.Series([1]), "NULLABLE_INT64", [LARGE, None]),
    "polars texts": (pl.Series(["x", None]), pl.Series(["x"]), "STRING", ["x", None]),
    "polars enum": (pl.Series(["x", None], dtype=pl.Enum(["x"])), pl.Series(["x"], dtype=pl.Enum(["x"])), "STRING", ["x", None]),
    "polars categories": (pl.Series(["b", None, "r"], dtype=pl.Categorical), pl.Series(["b"], dtype=pl.Categorical), "STRING", ["b", None, "r"]),
    "polars objects": (pl.Series([LARGE, None], dtype=pl.Object), pl.Series([1], dtype=pl.Object), "NULLABLE_INT64", [LARGE, None]),
    "list": ([LARGE, None, pd.NA], [1], "NULLABLE_INT64", [LARGE, None, None]),
    "list of texts": (["x", None, float("nan")], ["x"], "STRING", ["x", None, None]),
    "list of numpy's": ([np.int64(LARGE), np.ma.masked], [np.int8(1)], "NULLABLE_INT64", [LARGE, None]),
    "list of Arrow's": ([pa.scalar(LARGE), pa.NULL], [pa.scalar(1)], "NULLABLE_INT64", [LARGE, None]),
    "numpy": (np.array([LARGE, 2]), np.array([1]), "INT64", [LARGE, 2]),
    "numpy uint64": (np.array([2**63 - 1], np.uint64), np.array([1], np.uint64), "INT64", [2**63 - 1]),
    "masked": (np.ma.MaskedArray([LARGE, 2], [False, True]), np.ma.MaskedArray([1], [False]), "NULLABLE_INT64", [LARGE, None]),
}  # fmt: skip
"""Values with what is missing, values of the same type without, the kind of both, and the first as they come back."""


@pytest.mark.parametrize("sort", COLUMNS)
def test_a_column_is_of_one_kind_and_each_value_comes_back(sort: str) -> None:
    values, others, kind, expected = COLUMNS[sort]
    assert put(values) == (kind, expected)
    assert put(others)[0] == kind


LISTS: dict[str, tuple[Any, str, list[Any]]] = {
    "Arrow": (pa.array([[1, 2], None, [3, LARGE]]), "ARRAY_OF_INT64", [[1, 2], None, [3, LARGE]]),
    "Arrow of several lengths": (pa.array([[1.5], [], None]), "ARRAY_OF_FLOAT64", [[1.5], [], None]),
    "Arrow with a null within": (pa.array([[LARGE, None], []]), "ARRAY_OF_NULLABLE_INT64", [[LARGE, None], []]),
    "Arrow of fixed size": (pa.array([[1, 2], None], pa.list_(pa.int8(), 2)), "ARRAY_OF_INT8", [[1, 2], None]),
    "Arrow cut off": (pa.array([[9], [1, 2], [3, 4]])[1:], "ARRAY_OF_INT64", [[1, 2], [3, 4]]),
    "Arrow booleans": (pa.array([[True], None, [False, True]]), "ARRAY_OF_BOOLEAN", [[True], None, [False, True]]),
    "Arrow texts": (pa.array([["x", None], []]), "ARRAY_OF_STRING", [["x", None], []]),
    "Arrow dates": (pa.array([[dt.date(2024, 1, 1), None]]), "ARRAY_OF_DATE", [[dt.date(2024, 1, 1), None]]),
    "Arrow zones": (
        pa.array([[NOON, None]], pa.list_(pa.timestamp("us", "Asia/Tokyo"))),
        "ARRAY_OF_TIMESTAMP_WITH_TIMEZONE",
        [[NOON.replace(tzinfo=UTC).astimezone(dt.timezone(dt.timedelta(hours=9))), None]],
    ),
    "polars": (pl.Series([[1, 2], None]), "ARRAY_OF_INT64", [[1, 2], None]),
    "polars array": (pl.Series([[1, 2]], dtype=pl.Array(pl.Int16, 2)), "ARRAY_OF_INT16", [[1, 2]]),
    "pandas": (pd.Series([[1.5, 2], None, [3]]), "ARRAY_OF_FLOAT64", [[1.5, 2.0], None, [3.0]]),
    "pandas of arrays": (pd.Series([np.array([1, 2], "f4"), None]), "ARRAY_OF_FLOAT32", [[1, 2], None]),
    "lists": ([[1, LARGE], [2, 3]], "ARRAY_OF_INT64", [[1, LARGE], [2, 3]]),
    "lists with None": ([[1.5, None], None], "ARRAY_OF_NULLABLE_FLOAT64", [[1.5, None], None]),
    "matrix": (np.array([[1, 2], [3, 4]], np.int8), "ARRAY_OF_INT8", [[1, 2], [3, 4]]),
}


@pytest.mark.parametrize("sort", LISTS)
def test_lists_are_arrays(sort: str) -> None:
    values, kind, expected = LISTS[sort]
    assert put(values) == (kind, expected)


def test_the_clock_of_a_zone_is_kept_across_its_changes() -> None:
    zone = pa.timestamp("ns", "Europe/Berlin")
    seconds = [0, 1_711_846_799, 1_711_846_800, 1_729_990_799, 1_729_990_800, -2_422_054_408, None]
    values = pa.array([None if s is None else s * 10**9 for s in seconds], pa.int64()).cast(zone)
    kind, found = put(values)
    assert kind == "TIMESTAMP_WITH_TIMEZONE"
    for moment, second in zip(found, seconds, strict=True):
        expected = None if second is None else dt.datetime.fromtimestamp(second, ZoneInfo("Europe/Berlin"))
        assert (moment is None) == (expected is None)
        if moment is not None and expected is not None:
            assert (moment.timestamp(), moment.utcoffset()) == (expected.timestamp(), expected.utcoffset())


def test_a_field_that_can_not_be_null_says_so() -> None:
    schema = pa.schema([pa.field("a", pa.int64(), nullable=False), pa.field("b", pa.int64())])
    columns = frame_columns(pa.table({"a": [1, 2], "b": [1, 2]}, schema=schema))
    found = infer_schema("t", {name: column_from(name, values) for name, values in columns.items()})
    assert (found.slots["a"].kind, found.slots["b"].kind) == (FieldKind.INT64, FieldKind.NULLABLE_INT64)


@pytest.mark.parametrize(
    "frame",
    [
        pa.table({"a": [1]}),
        pa.record_batch({"a": [1]}),
        pa.table({"a": [1]}).to_reader(),
        pl.DataFrame({"a": [1]}),
        pl.LazyFrame({"a": [1]}),
        pd.DataFrame({"a": [1]}),
        {"a": range(1, 2)},
        np.array([(1,)], [("a", "i8")]),
    ],
)
def test_every_frame_gives_its_columns(frame: Any) -> None:
    [(name, values)] = frame_columns(frame).items()
    assert (name, put(values)[1]) == ("a", [1])


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([1, "x"], "mixes"),
        ([LARGE, 0.5], "row 0.*9007199254740993"),
        ([1, 2**63], "row 1.*64 bits"),
        ([[LARGE, 0.5]], "9007199254740993"),
        (np.array([1, 2**63], np.uint64), "row 1"),
        (pa.array([1, 2**63], pa.uint64()), "row 1"),
        (pa.array([1, 2**62], pa.int64()).cast(pa.timestamp("s", "Asia/Tokyo")), "row 1.*year"),
        (pd.Series(pd.period_range("2020", periods=2, freq="M")), "period"),
        (pd.Series(pd.interval_range(0, 2)), "interval"),
        (pa.array([1], pa.duration("s")), "duration"),
        (pa.array([[{"x": 1}]]), "struct"),
        (pa.array([{}], pa.struct([])), "struct"),
        (pa.array([b"x"]), "binary"),
        (pl.Series([1], dtype=pl.Int128), "Int128"),
        (np.array([1 + 2j]), "complex"),
        (np.ma.MaskedArray([[1, 2]], [[True, False]]), "row 0.*masked"),
        ("text", "no array"),
        ([dt.date(2024, 1, 1), NOON], "mixes"),
    ],
)
def test_what_no_field_holds_is_refused_by_name(values: Any, said: str) -> None:
    with pytest.raises(EncodeError, match=rf"(?s)'a'.*{said}|{said}.*'a'"):
        put(values)


STRUCT = pa.struct(
    [
        ("n", pa.int64()),
        ("t", pa.string()),
        ("z", pa.timestamp("us", "Asia/Tokyo")),
        ("deep", pa.struct([("x", pa.float32())])),
    ]
)
RECORDS = [{"n": LARGE, "t": "a", "z": NOON.replace(tzinfo=ZoneInfo("Asia/Tokyo")), "deep": {"x": 0.5}}, None,
           {"n": None, "t": None, "z": None, "deep": None}, {"n": 1, "t": "long enough to be of another length", "z": None, "deep": {"x": None}}]  # fmt: skip


def put_records(values: Any) -> tuple[dict[str, str], list[Any]]:
    """The kinds of the fields of a column's records, `a` and `a.b`, and the records as they are read again."""
    columns = {"a": column_from("a", values), "b": column_from("b", pa.array(range(len(values))))}
    schema, inner = (
        infer_schema("t", columns),
        {name: infer_schema(name, each) for name, each in nested_columns("t", columns)},
    )
    schemas = {each.schema_id: each for each in inner.values()}
    kinds = {
        f"{name.removeprefix('t.')}.{field}": slot.kind.name
        for name, each in inner.items()
        for field, slot in each.slots.items()
    }
    records = encode_columns(schema, columns).tolist()
    assert [decode_record(schema, data, schemas)["b"] for data in records] == list(range(len(records)))
    return kinds, [decode_record(schema, data, schemas)["a"] for data in records]


ARROW_RECORDS = pa.array(RECORDS, STRUCT)


@pytest.mark.parametrize(
    ("values", "rows"),
    [
        (ARROW_RECORDS, slice(None)),
        (ARROW_RECORDS[1:], slice(1, None)),
        (ARROW_RECORDS[:1], slice(0, 1)),
        (ARROW_RECORDS[1:2], slice(1, 2)),
        (pa.chunked_array([ARROW_RECORDS[:2], ARROW_RECORDS[2:]]), slice(None)),
        (pl.from_arrow(ARROW_RECORDS), slice(None)),
        (pd.Series(pd.arrays.ArrowExtensionArray(ARROW_RECORDS)), slice(None)),
        (column_from("a", ARROW_RECORDS).take(np.array([2, 3])), slice(2, None)),
    ],
    ids=["Arrow", "sliced", "one", "null", "in chunks", "polars", "pandas", "taken"],
)
def test_structs_are_records_within_the_record(values: Any, rows: slice) -> None:
    kinds, found = put_records(values)
    assert kinds == {
        "a.n": "NULLABLE_INT64",
        "a.t": "STRING",
        "a.z": "TIMESTAMP_WITH_TIMEZONE",
        "a.deep": "COMPACT",
        "a.deep.x": "NULLABLE_FLOAT32",
    }
    assert found == RECORDS[rows]


def test_what_is_null_in_a_struct_throughout_is_of_the_kind_that_is_known() -> None:
    columns = {"a": column_from("a", pa.array([{"n": None, "deep": {"x": None}}, None]))}
    assert undecided(columns) == {"a.n", "a.deep.x"}
    known = all_settled(columns, {"a.n": FieldKind.INT64, "a.deep.x": FieldKind.DATE})
    kinds = {
        name: {field: slot.kind for field, slot in infer_schema(name, each).slots.items()}
        for name, each in nested_columns("t", known)
    }
    assert kinds == {
        "t.a.deep": {"x": FieldKind.DATE},
        "t.a": {"deep": FieldKind.COMPACT, "n": FieldKind.NULLABLE_INT64},
    }


def test_structs_within_structs_have_a_limit() -> None:
    value: Any = 1
    for _ in range(NESTING_MAX + 1):
        value = {"x": value}
    with pytest.raises(EncodeError, match=f"more than {NESTING_MAX} deep"):
        column_from("a", pa.array([value]))


def test_a_field_of_a_struct_that_no_record_holds_is_named() -> None:
    with pytest.raises(EncodeError, match=r"'a\.x' is binary"):
        column_from("a", pa.array([{"x": b"y"}]))


def test_structs_are_no_keys() -> None:
    with pytest.raises(EncodeError, match="'id' of COMPACT can't be keys"):
        key_values("id", ARROW_RECORDS)


def test_a_name_that_is_there_twice_is_refused() -> None:
    with pytest.raises(EncodeError, match="several columns named '1'"):
        frame_columns(pd.DataFrame([[1, 2]], columns=[1, "1"]))
    with pytest.raises(EncodeError, match="can't be put from list"):
        frame_columns([1, 2])


@pytest.mark.parametrize(
    "values", [[None, None], [pd.NA, pd.NaT], pa.nulls(2), pl.Series([None, None]), [None, np.nan]]
)
def test_a_column_of_nothing_is_of_the_kind_that_is_known(values: Any) -> None:
    column = column_from("a", values)
    assert is_undecided(column)
    for kind, nullable in (("INT64", "NULLABLE_INT64"), ("DATE", "DATE"), ("ARRAY_OF_INT8", "ARRAY_OF_INT8")):
        known = settled(column, FieldKind[kind])
        schema = infer_schema("t", {"a": known})
        assert schema.slots["a"].kind.name == nullable
        assert arrow_columns(encode_columns(schema, {"a": known}), schema)["a"].null_count == 2


# ---- keys


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (np.array([1, 2]), [1, 2]),
        (np.array([1.0, 2.5]), [1, 2.5]),
        (pd.Series([1.0, 2.0]), [1, 2]),
        (pd.array([LARGE], "Int64"), [LARGE]),
        (pa.array([LARGE]), [LARGE]),
        (pl.Series([1.0]), [1]),
        (pa.array(["x"]).dictionary_encode(), ["x"]),
        (pd.Series(["x", "y"], dtype="category"), ["x", "y"]),
        (pa.array([Decimal(LARGE)]), [LARGE]),
        ([1.0, "x"], [1.0, "x"]),
        (range(2), [0, 1]),
    ],
)
def test_keys_of_a_column(keys: Any, expected: list[Any]) -> None:
    found = list(key_values("id", keys))
    assert found == expected
    assert [type(each) in {float, np.float64} for each in found] == [type(each) is float for each in expected]


def test_float_keys_stay_floats_where_that_is_asked() -> None:
    assert [type(key) for key in key_values("id", np.array([1.0, 2.0**60]), "double")] == [float, float]


@pytest.mark.parametrize(
    "keys",
    [
        np.array([1.0, np.nan]),
        pd.Series(["x", None]),
        pd.Series([1, pd.NA], dtype="Int64"),
        pa.array([LARGE, None]),
        pl.Series(["x", None]),
        ["x", pd.NaT],
        [1.0, float("nan")],
        np.ma.MaskedArray([1, 2], [False, True]),
    ],
)
def test_a_row_without_a_key_is_named(keys: Any) -> None:
    with pytest.raises(EncodeError, match=r"row 1 .*no key in 'id'"):
        key_values("id", keys)


@pytest.mark.parametrize(
    "keys", [pd.Series(pd.to_datetime([NOON])), pa.array([True]), np.array([[1.0]]), np.array(["2024"], "M8[ns]")]
)
def test_what_can_be_no_key_is_refused(keys: Any) -> None:
    with pytest.raises(EncodeError, match=r"'id'.*can't be keys"):
        key_values("id", keys)


def test_a_column_of_ours_is_taken_as_it_is() -> None:
    column = Column(np.arange(2))
    assert column_from("a", column) is column

"""Entries of one format: the same names and values as dicts, as columns and as Arrow, and whose fault an error is."""

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from grid_inference.errors import DecodeError
from grid_inference.flow.where import Where
from grid_inference.grid.entries import CompactEntries, Entries, JsonEntries
from grid_inference.records import RecordTable
from grid_inference.wire.arrow.arrays import ArrowParts
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import FieldKind, Schema, encode_record
from grid_inference.wire.json.values import encode_json
from grid_inference.wire.keys import encode_keys

K = FieldKind
NOON = dt.datetime(2024, 2, 29, 12, tzinfo=dt.UTC)
CITY = Schema.of("city", {"name": K.STRING, "since": K.DATE})
PLACE = Schema.of("place", {"city": K.COMPACT, "zip": K.INT32})
OLDER = Schema.of("place", {"zip": K.NULLABLE_INT64})
SCHEMA = Schema.of(
    "order",
    {
        "at": K.TIMESTAMP_WITH_TIMEZONE,
        "n": K.FLOAT32,
        "place": K.COMPACT,
        "price": K.DECIMAL,
        "stops": K.ARRAY_OF_COMPACT,
        "tags": K.ARRAY_OF_STRING,
        "xs": K.ARRAY_OF_FLOAT64,
    },
)
GHENT = {"name": "Ghent", "since": dt.date(2024, 2, 29)}
RECORDS: list[dict[str, Any]] = [
    {"n": 0.9, "place": {"city": GHENT, "zip": 9000}, "tags": ["a", None], "xs": [1.5, 2.5], "at": NOON},
    {"n": 0.5, "place": {"city": None, "zip": 1}, "tags": None, "xs": [], "price": Decimal("1.50")},
    {"n": 0.1, "place": None, "stops": [{"city": GHENT, "zip": 7}, None], "xs": [3.5], "at": None},
    {"n": 0.2, "place": {"zip": None}, "tags": ["b"]},
]
FIELDS = ["at", "n", "place.city.name", "place.city.since", "place.zip", "price", "stops", "tags", "xs"]


def compact() -> CompactEntries:
    values = [
        encode_record(
            SCHEMA,
            record,
            {
                "place": PLACE if record["place"] is None or "city" in record["place"] else OLDER,
                "stops": PLACE,
                "place.city": CITY,
                "stops.city": CITY,
            },
        )
        for record in RECORDS
    ]
    nested = {each.schema_id: each for each in (CITY, PLACE, OLDER)}
    return CompactEntries("orders", encode_keys([1, 2, 3, 4]), Blobs.of(values), SCHEMA, nested)


def json(*records: Any) -> JsonEntries:
    keys = encode_keys(np.arange(len(records)))
    values = [record if isinstance(record, bytes) else encode_json(record) for record in records]
    return JsonEntries("orders", keys, Blobs.of(values))


def pylists(entries: Entries, wanted: list[str] | None = None) -> dict[str, list[Any]]:
    return {name: array.to_pylist() for name, array in entries.arrays(wanted).items()}


def test_records_are_dicts() -> None:
    assert [found["place"] for found in compact().records()] == [
        {"city": GHENT, "zip": 9000},
        {"city": None, "zip": 1},
        None,
        {"zip": None},
    ]
    assert json({"a": {"b": [1]}}, {}).records() == [{"a": {"b": [1]}}, {}]


def test_fields_of_nested_records_are_columns() -> None:
    entries = compact()
    assert entries.names() == set(FIELDS)
    found = pylists(entries)
    assert sorted(found) == FIELDS
    assert found["place.city.name"] == ["Ghent", None, None, None]
    assert found["place.city.since"] == [GHENT["since"], None, None, None]
    assert found["place.zip"] == [9000, 1, None, None]
    assert found["stops"] == [None, None, [{"city": GHENT, "zip": 7}, None], None]
    assert found["price"] == [None, Decimal("1.50"), None, None]
    assert str(entries.arrays()["place.zip"].type) == "int64"  # of INT32 here and NULLABLE_INT64 there
    table = RecordTable.of(list("abcd"), [(np.arange(4), entries.columns())])
    assert list(table.columns) == FIELDS
    assert table["place.city.name"].tolist() == ["Ghent", None, None, None]
    assert table["place.city.since"].dtype == np.dtype("M8[D]")
    np.testing.assert_array_equal(table["place.zip"], [9000, 1, np.nan, np.nan])


def test_what_is_named_may_be_whole_or_an_element_of_an_array() -> None:
    names = ["xs[1]", "place", "tags[0]", "stops[0].city.name", "nowhere", "n.x", "place.nowhere", "xs[0].b", "n[0]"]
    found = pylists(compact(), names)
    assert found.pop("place") == [
        {"city": GHENT, "zip": 9000},
        {"city": None, "zip": 1},
        None,
        {"zip": None, "city": None},
    ]
    assert found == {
        "xs[1]": [2.5, None, None, None],
        "tags[0]": ["a", None, None, "b"],
        "stops[0].city.name": [None, None, "Ghent", None],
        "place.nowhere": [None] * 4,
        "xs[0].b": [None] * 4,
        "n[0]": [None] * 4,
    }
    columns = compact().columns(names)
    assert columns.keys() == found.keys() | {"place"}
    assert columns["xs[1]"].values.dtype == np.float64
    rows = json({"xs": [1, {"b": "x"}], "a": {"b": 5}}, {"a.b": 6}, {"xs": 7, "a": 8})
    assert pylists(rows, ["xs[1].b", "a.b", "nowhere"]) == {
        "xs[1].b": ["x", None, None],
        "a.b": [5, 6, None],
        "nowhere": [None] * 3,
    }


def test_elements_of_arrays_within_records_and_of_every_kind() -> None:
    kinds = {"f": K.ARRAY_OF_FLOAT32, "d": K.ARRAY_OF_DATE, "b": K.ARRAY_OF_BOOLEAN, "n": K.ARRAY_OF_NULLABLE_INT64}
    inner, outer = Schema.of("inner", kinds | {"all": K.ARRAY_OF_COMPACT}), Schema.of("outer", kinds | {"a": K.COMPACT})
    values = {"f": [0.5, 0.9], "d": [None, NOON.date()], "b": [False, True], "n": [None, 2**62 + 1]}
    record = values | {"a": values | {"all": [None, {"f": [7.0], "all": []}]}}
    nested = {"a": inner, "a.all": inner}
    entries = CompactEntries(
        "m",
        encode_keys([1, 2]),
        Blobs.of([encode_record(outer, record, nested), encode_record(outer, {}, nested)]),
        outer,
        {inner.schema_id: inner},
    )
    names = [f"{place}{name}[1]" for place in ("", "a.") for name in kinds]
    found = pylists(entries, [*names, "a.all[1].f[0]", "a.all[0].f", "a.all[1].nowhere"])
    assert found.pop("a.all[1].f[0]") == [7.0, None]
    assert found.pop("a.all[0].f") == found.pop("a.all[1].nowhere") == [None, None]
    assert found == {
        name: [float(np.float32(0.9)) if "f" in name else values[name.removeprefix("a.")[0]][1], None] for name in names
    }
    assert entries.arrays(["f[1]", "d[1]"])["f[1]"].type == pa.float32()
    assert Where.parse("f[1] > 0.85").mask(entries.comparable(["f[1]"])).tolist() == [True, False]
    assert {name: column.values[0] for name, column in entries.columns(names).items() if "n" in name} == {
        "n[1]": 2**62 + 1,
        "a.n[1]": 2**62 + 1,
    }


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("place.city.name = 'Ghent'", "1000"),
        ("place.city.since >= '2024-01-01'", "1000"),
        ("place.zip < 10", "0100"),
        ("place.zip = null", "0011"),
        ("at = '2024-02-29T13:00+01:00'", "1000"),
        ("price < 2 OR tags[0] = 'b'", "0101"),
        ("stops[0].zip = 7", "0010"),
        ("xs[0] > 1 AND NOT xs[1] = 2.5", "0010"),
        ("n > 0.85", "1000"),
        ("n = 0.9", "0000"),  # no float32 is 0.9
        ("place != null", "1101"),
        ("stops = null", "1101"),
    ],
)
def test_a_filter_reads_the_same_names(where: str, expected: str) -> None:
    parsed = Where.parse(where)
    mask = parsed.mask(compact().comparable(sorted(parsed.fields)))
    assert "".join(str(int(hit)) for hit in mask) == expected


def test_formats_make_one_column() -> None:
    parts = [
        compact().take(np.array([0, 3])),
        json({"n": 2, "place": {"zip": 0.5}, "at": None}, {"tags": ["c"], "m": 1}),
    ]
    table = RecordTable.of(
        list("abcd"), [(np.array([0, 2]), parts[0].columns()), (np.array([1, 3]), parts[1].columns())]
    )
    np.testing.assert_array_equal(table["n"], np.array([np.float32(0.9), 2, np.float32(0.2), np.nan]))
    np.testing.assert_array_equal(table["place.zip"], [9000, 0.5, np.nan, np.nan])
    np.testing.assert_array_equal(table["m"], [np.nan, np.nan, np.nan, 1])
    assert table["tags"].tolist() == [["a", None], None, ["b"], ["c"]]
    assert table["at"].dtype == np.dtype("M8[us]")  # the JSON records' nulls have no type
    arrow = ArrowParts()
    for part in parts:
        arrow.add(len(part), part.arrays())
    assert arrow.column("at").type == pa.timestamp("us", "UTC")
    assert arrow.column("place.zip").to_pylist() == [9000, None, 0.5, None]
    assert arrow.column("tags").to_pylist() == [["a", None], ["b"], None, ["c"]]


def test_a_record_that_is_null_everywhere_gives_way_to_its_fields() -> None:
    nothing = compact().take(np.array([2]))
    assert nothing.names() >= {"place"}
    assert {"place.city", "place.zip"} <= compact().take(np.array([1])).names()
    parts = [(np.array([0]), nothing.columns()), (np.array([1]), json({"place": {"zip": 5}}).columns())]
    table = RecordTable.of([1, 2], parts)
    assert "place" not in table.columns
    np.testing.assert_array_equal(table["place.zip"], [np.nan, 5])
    assert RecordTable.of([1], parts[:1])["place"].tolist() == [None]


@pytest.mark.parametrize("rows", [1, 7, 200])
def test_a_value_that_can_not_be_read_is_named_by_its_key(rows: int) -> None:
    bad = json(*[{"a": 1}] * rows, encode_json({"a": 1})[:-1], *[{"a": 1}] * rows)
    for read in (bad.columns, bad.arrays, bad.records, lambda: bad.columns(["a"]), lambda: bad.comparable(["a"])):
        with pytest.raises(
            DecodeError, match=f"the value of key {rows} in 'orders' can't be read: a JSON value"
        ) as caught:
            read()
        assert "remove it" in caught.value.remedy
    assert bad.names() == {"a"}
    good = compact()
    values = [good.values[row % 4] for row in range(rows)]
    entries = CompactEntries(
        "orders", encode_keys(np.arange(rows + 1)), Blobs.of([*values, values[0][:-9]]), SCHEMA, good.nested
    )
    for read in (entries.names, entries.columns, entries.arrays, entries.records):
        with pytest.raises(DecodeError, match=f"the value of key {rows} in 'orders' can't be read: "):
            read()


def test_values_that_fit_no_one_column_are_nobodys_fault() -> None:
    entries = json({"a": 1}, {"a": "x"}, {"a": [1]})
    assert entries.columns()["a"].values.tolist() == [1, "x", [1]]
    with pytest.raises(DecodeError, match=r"field 'a' .* fits no one column: array, number, string") as caught:
        entries.arrays()
    assert "without this one" in caught.value.remedy
    assert entries.arrays(["b"])["b"].null_count == 3


@pytest.mark.parametrize("value", ["\ud800", [1, "x"], [2**64], {"b": [True, 1]}])
def test_what_arrow_has_no_place_for_is_named_by_its_key(value: Any) -> None:
    entries = json({"a": None}, {"a": value})
    with pytest.raises(DecodeError, match=r"key 1 .*field 'a(\.b)?' does not fit into Arrow") as refused:
        entries.arrays()
    assert "without this one" in refused.value.remedy
    assert entries.records()[1] == {"a": value}

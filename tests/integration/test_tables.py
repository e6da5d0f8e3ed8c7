"""Whole maps as tables, through a real member: just what was put, filtered, joined, and true to what stands there."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hazelcast.core import HazelcastJsonValue
from hazelcast.predicate import sql

import grid_inference as gi
from grid_inference import aio
from grid_inference.grid.maps import GridMap
from grid_inference.wire.keys import encode_keys
from grid_inference.wire.layout import NESTING_MAX
from tests.integration.changes import stock_map
from tests.integration.conftest import FEATURES, Names, batch, until

ROWS = 3_000
LATER_ROWS = 2_000
CITIES = np.array(["Ghent", "Łódź", "Porto", None], object)


def expected_records() -> dict[int, dict[str, Any]]:
    """Key → record: two schemas that share `city` and `count`."""
    random = np.random.default_rng(3)
    records: dict[int, dict[str, Any]] = {}
    for key in range(ROWS + LATER_ROWS):
        record = {"city": CITIES[random.integers(4)], "count": int(random.integers(-5, 2**40))}
        record |= {"amount": float(random.random())} if key < ROWS else {"open": bool(random.integers(2))}
        records[key] = record
    return records


RECORDS = expected_records()


@pytest.fixture(scope="module")
def orders(local_grid: gi.Grid) -> gi.Features:
    features = local_grid.features("orders-tables")
    for keys in (range(ROWS), range(ROWS, ROWS + LATER_ROWS)):
        columns = {name: np.array([RECORDS[key][name] for key in keys]) for name in RECORDS[keys[0]]}
        features.put_batch(columns | {"key": np.array(keys)}, key="key")
    return features


def full(record: dict[str, Any]) -> dict[str, Any]:
    return {"amount": None, "city": None, "count": None, "open": None} | record


def rows_of(chunk: gi.RecordTable) -> dict[int, dict[str, Any]]:
    """Key → record of a chunk, its nulls as None."""
    found: dict[int, dict[str, Any]] = {}
    for row, key in enumerate(chunk.keys):
        values = {name: column[row] for name, column in chunk.columns.items()}
        found[key] = {name: None if value != value else value for name, value in values.items()}  # noqa: PLR0124
    return found


def test_a_scan_brings_just_what_was_put(orders: gi.Features) -> None:
    found: dict[int, dict[str, Any]] = {}
    for chunk in orders.scan():
        assert 0 < len(chunk) <= 5_000
        assert not found.keys() & set(chunk.keys)
        found |= {key: full(record) for key, record in rows_of(chunk).items()}
    assert found == {key: full(record) for key, record in RECORDS.items()}


@pytest.mark.parametrize(
    ("where", "matches"),
    [
        ("city = 'Porto' AND amount >= 0.5", lambda r: r["city"] == "Porto" and (r["amount"] or 0) >= 0.5),
        ("city = null", lambda r: r["city"] is None),
        ("open", lambda r: bool(r["open"])),
        ("NOT open = true", lambda r: not r["open"]),
        ("__key < 17 OR __key BETWEEN 4990 AND 9999", lambda r: r["key"] < 17 or r["key"] >= 4990),
        ("count < 0 AND __key < 4000", lambda r: r["count"] < 0 and r["key"] < 4000),
        ("city = 'nowhere'", lambda r: r["city"] == "nowhere"),
    ],
)
def test_a_filter_means_what_it_means_in_a_member(orders: gi.Features, where: str, matches: Any) -> None:
    wanted = {key for key, record in RECORDS.items() if matches(full(record) | {"key": key})}
    chunks = list(orders.scan(where, ["count"]))
    assert all(len(chunk) and list(chunk.columns) == ["count"] for chunk in chunks)
    assert {key: value for chunk in chunks for key, value in zip(chunk.keys, chunk["count"].tolist(), strict=True)} == {
        key: RECORDS[key]["count"] for key in wanted
    }
    table = orders.to_arrow(where, ["open", "city"])
    assert table.column_names == ["key", "open", "city"]
    assert {row["key"]: row["city"] for row in table.to_pylist()} == {key: RECORDS[key]["city"] for key in wanted}


def test_a_name_that_no_record_has_is_refused_with_those_that_are(orders: gi.Features) -> None:
    for arguments in ({"columns": ["amuont"]}, {"where": "amuont > 1"}):
        with pytest.raises(gi.ConfigError, match="no field 'amuont'") as refused:
            next(orders.scan(**arguments))
        assert "amount, city, count, open" in refused.value.remedy
    with pytest.raises(gi.ConfigError, match="is missing"):
        orders.scan("amount >")


def test_a_field_of_one_late_record_is_no_unknown_one(local_grid: gi.Grid, names: Names) -> None:
    features = local_grid.features(names.features)
    features.put_batch(batch(6_000), key="key")
    *_, last = (key for chunk in features.scan(columns=[]) for key in chunk.keys)
    features.put(last, {"late": 1.5, "tags": ["x", None]})
    assert features.to_arrow("late > 1").to_pylist() == [{"key": last, "late": 1.5, "tags": ["x", None]}]
    assert features.to_arrow("tags[0] = 'x'", "late")["key"].to_pylist() == [last]
    assert Counter(features.to_arrow(columns=["late"])["late"].to_pylist()) == {None: 5_999, 1.5: 1}


def test_all_as_arrow_with_types_and_nulls(orders: gi.Features) -> None:
    table = orders.to_arrow()
    assert {name: str(table.schema.field(name).type) for name in table.column_names} == {
        "key": "int64",
        "amount": "double",
        "city": "large_string",
        "count": "int64",
        "open": "bool",
    }
    table.validate(full=True)
    assert {row.pop("key"): row for row in table.to_pylist()} == {key: full(row) for key, row in RECORDS.items()}


def test_a_frame_is_indexed_by_key(orders: gi.Features) -> None:
    frame = orders.to_pandas("amount < 0.1", ["amount", "city"])
    assert frame.index.name == "key"
    assert frame["amount"].to_dict() == {k: r["amount"] for k, r in RECORDS.items() if r.get("amount", 1) < 0.1}
    assert [None if value != value else value for value in frame["city"]] == [  # noqa: PLR0124
        RECORDS[key]["city"] for key in frame.index
    ]


def test_a_field_named_key_and_keys_of_text(local_grid: gi.Grid, names: Names) -> None:
    features = local_grid.features(names.features)
    features.put("Łódź", {"key": "inner"})
    features.put("b", {"key": None})
    assert sorted(features.to_arrow().to_pylist(), key=lambda row: row["__key"], reverse=True) == [
        {"__key": "Łódź", "key": "inner"},
        {"__key": "b", "key": None},
    ]
    assert features.to_pandas().index.name == "key"
    assert features.to_arrow("__key = 'b'")["__key"].to_pylist() == ["b"]
    features.put(5, {"key": "x"})
    assert features.to_arrow("__key >= 5 AND __key = '5'", [])["key"].to_pylist() == [5]
    assert sorted(features.to_arrow(columns=[])["key"].to_pylist()) == ["5", "b", "Łódź"]


def test_an_empty_map_is_an_empty_table(local_grid: gi.Grid, names: Names) -> None:
    features = local_grid.features(names.features)
    assert list(features.scan("a > 1", ["b"])) == []
    assert features.to_arrow(columns=["b"]).column_names == ["key", "b"]
    assert len(features.to_pandas()) == 0


# ---- JSON values, and maps of several formats


def put_json(grid: gi.Grid, name: str, records: dict[int, Any]) -> None:
    with stock_map(grid, name) as values:
        values.put_all({key: HazelcastJsonValue(json.dumps(record)) for key, record in records.items()})


def json_record(key: int) -> dict[str, Any]:
    return {
        "city": [None, "Ghent", "Łódź"][key % 3],
        "place": None if key % 5 == 0 else {"zip": key, "at": {"lat": key / 2, "high": key % 2 == 0}},
        "tags": [f"t{i}" for i in range(key % 3)],
    } | ({"rare": key} if key % 7 == 0 else {})


def test_json_values_are_tables(local_grid: gi.Grid, names: Names) -> None:
    records = {key: json_record(key) for key in range(3_000)}
    put_json(local_grid, names.features, records)
    features = local_grid.features(names.features)
    assert features.get(8) == records[8]
    table = features.to_arrow()
    assert {field.name: str(field.type) for field in table.schema} == {
        "key": "int64",
        "city": "large_string",
        "place.at.high": "bool",
        "place.at.lat": "double",
        "place.zip": "int64",
        "rare": "int64",
        "tags": "list<item: string>",
    }
    for row in table.to_pylist():
        record = records[row["key"]]
        place = record["place"] or {"zip": None, "at": {"lat": None, "high": None}}
        assert (row["city"], row["tags"], row["rare"]) == (record["city"], record["tags"], record.get("rare"))
        assert (row["place.zip"], row["place.at.lat"]) == (place["zip"], place["at"]["lat"])
        assert row["place.at.high"] is place["at"]["high"]
    keys = [4, 77, 99_999, 15]
    found = features.get_batch(keys)
    assert found.keys == [4, 77, 15]
    np.testing.assert_array_equal(found["place.zip"], [4, 77, np.nan])
    assert found["tags"].tolist() == [["t0"], ["t0", "t1"], []]
    frame = features.to_pandas("place.at.lat BETWEEN 100 AND 101 AND tags[0] = 't0'", ["place.zip", "tags[1]", "place"])
    assert frame["place.zip"].to_dict() == {key: key for key in (200, 201, 202) if key % 3 and key % 5}
    assert frame["tags[1]"].isna().to_dict() == {key: key % 3 < 2 for key in frame.index}
    assert frame["place"][202] == records[202]["place"]
    assert sum(len(chunk) for chunk in features.scan("rare = null", ["city"])) == 3_000 - len(range(0, 3_000, 7))


def test_records_of_several_formats_are_one_table(local_grid: gi.Grid, names: Names) -> None:
    features = local_grid.features(names.features)
    features.put_batch({"n": np.arange(100), "city": np.full(100, "Ghent", object), "key": np.arange(100)}, key="key")
    features.put(100, {"n": 100.5, "at": dt.datetime(2026, 5, 1, tzinfo=dt.UTC)})
    put_json(local_grid, names.features, {key: {"n": key, "city": None, "a": {"b": "x"}} for key in range(101, 200)})
    table = features.to_arrow()
    assert {name: str(table.schema.field(name).type) for name in table.column_names} == {
        "key": "int64",
        "n": "double",
        "city": "large_string",
        "at": "timestamp[us, tz=UTC]",
        "a.b": "large_string",
    }
    rows = {row["key"]: row for row in table.to_pylist()}
    assert [rows[key]["n"] for key in (5, 100, 150)] == [5, 100.5, 150]
    assert [rows[key]["city"] for key in (5, 100, 150)] == ["Ghent", None, None]
    assert [rows[key]["a.b"] for key in (5, 100, 150)] == [None, None, "x"]
    found = features.get_batch([150, 100, 5])
    assert found["n"].tolist() == [150, 100.5, 5]
    assert found["a.b"].tolist() == ["x", None, None]
    assert np.isnat(found["at"]).tolist() == [True, False, True]
    assert sorted(features.to_arrow("n >= 99 AND NOT a.b = 'x'", [])["key"].to_pylist()) == [99, 100]
    assert features.to_arrow("at > '2026-01-01T00:00:00Z'", ["a.b"]).to_pylist() == [{"key": 100, "a.b": None}]


MOMENTS = {
    "day": dt.date(2026, 5, 1),
    "clock": dt.time(12, 30, 0, 500_000),
    "at": dt.datetime(2026, 5, 1, 12, 30),  # noqa: DTZ001  # a TIMESTAMP has no zone
    "zoned": dt.datetime(2026, 5, 1, 12, 30, tzinfo=dt.timezone(dt.timedelta(hours=2))),
    "price": Decimal("1.50"),
    "count": 5,
    "tags": ["a", "b"],
}
LATER = {
    "day": dt.date(2026, 5, 2),
    "clock": dt.time(23, 0),
    "at": dt.datetime(2026, 5, 1, 12, 30, 1),  # noqa: DTZ001
    "zoned": dt.datetime(2026, 5, 1, 23, 0, tzinfo=dt.UTC),
    "price": Decimal("2.25"),
    "count": 6,
    "tags": ["b"],
}


@pytest.fixture(scope="module")
def moments(local_grid: gi.Grid) -> gi.Features:
    features = local_grid.features("moments-tables")
    features.put(1, MOMENTS)
    features.put(2, LATER)
    features.put(3, {"other": 1.0})
    return features


@pytest.fixture(scope="module")
def places(local_grid: gi.Grid) -> gi.Features:
    records = {
        1: {"a": {"b": 1, "c": {"d": "x"}}, "tags": ["u"], "n": 1},
        2: {"a": {"b": 2}, "n": 2.5, "o": [{"k": 7}]},
    }
    put_json(local_grid, "places-tables", records | {3: {"a": None, "n": None}})
    return local_grid.features("places-tables")


SAME = [
    *[f"day {test}" for test in ("= '2026-05-01'", "> '2026-05-01'", "!= '2026-05-01'", "= null", "!= null")],
    "day BETWEEN '2026-04-30' AND '2026-05-01'",
    "day IN ('2026-05-02', '2026-05-03')",
    "NOT day = 2026-05-01",
    *[f"clock {test}" for test in ("< '12:31'", "= '12:30:00.5'", ">= '23:00:00'")],
    *[f"at {test}" for test in ("= '2026-05-01T12:30'", "> '2026-05-01T12:30:00.999'", "<= 2026-05-01t12:30:01")],
    *[
        f"zoned {test}"
        for test in ("= '2026-05-01T12:30+02:00'", "> '2026-05-01T12:30:00Z'", "< '2026-05-01T11:00+00'")
    ],
    *[f"price {test}" for test in ("> 1.5", "= 1.50", "BETWEEN 1 AND 2", "!= null")],
    *[f"count {test}" for test in ("= 5.0", "> 5.5", "IN (6, 7.5)")],
    *["tags[0] = 'b'", "tags[1] = 'b'", "tags[7] = null"],
]
SAME_JSON = [
    *["a.b = 1", "a.b > 1", "a.c.d = 'x'", "a.c.d = null", "a.c != null", "NOT a.b = 2", "a = null", "this.a.b = 2"],
    *["tags[0] = 'u'", "o[0].k = 7", "o[0].k = null", "n = 1", "n = 1.0", "n > 1.5", "n IN (1, 2.5)"],
]
REFUSED = [
    *["day > '20260501'", "day > '2026-05-01T00:00'", "clock > '12'", "at > '2026-05-01'", "at > '2026-05-01T12:30Z'"],
    *[
        "zoned > '2026-05-01T12:30'",
        "zoned > '2026-05-01T12:30+0200'",
        "price > cheap",
        "day LIKE '2026%'",
        "count > x",
    ],
]


@pytest.mark.parametrize("where", SAME)
def test_a_filter_of_moments_means_what_a_member_means(local_grid: gi.Grid, moments: gi.Features, where: str) -> None:
    with stock_map(local_grid, moments.name) as theirs:
        assert sorted(moments.to_arrow(where, [])["key"].to_pylist()) == sorted(theirs.key_set(sql(where)))


@pytest.mark.parametrize("where", SAME_JSON)
def test_a_filter_of_json_means_what_a_member_means(local_grid: gi.Grid, places: gi.Features, where: str) -> None:
    with stock_map(local_grid, places.name) as theirs:
        assert sorted(places.to_arrow(where, [])["key"].to_pylist()) == sorted(theirs.key_set(sql(where)))


@pytest.mark.parametrize("where", REFUSED)
def test_what_a_member_refuses_is_refused(local_grid: gi.Grid, moments: gi.Features, where: str) -> None:
    with stock_map(local_grid, moments.name) as theirs, pytest.raises(Exception, match="Exception from server"):
        theirs.key_set(sql(where))
    with pytest.raises(gi.ConfigError, match="where = "):
        moments.to_arrow(where)


def test_names_lead_only_so_deep(local_grid: gi.Grid, names: Names) -> None:
    record: dict[str, Any] = {"n": 1}
    for _ in range(NESTING_MAX + 1):
        record = {"a": record}
    put_json(local_grid, names.features, {1: record})
    features = local_grid.features(names.features)
    deepest = ".".join(["a"] * (NESTING_MAX + 1))
    assert features.to_arrow().to_pylist() == [{"key": 1, deepest: {"n": 1}}]
    assert features.to_arrow(f"{deepest} != null", [deepest])["key"].to_pylist() == [1]
    for arguments in ({"columns": [f"{deepest}.n"]}, {"where": f"{deepest}.n = 1"}):
        with pytest.raises(gi.ConfigError, match=rf"'{deepest}.n' leads deeper .*NESTING_MAX"):
            features.to_arrow(**arguments)
    for unknown in ("a.b", "a[0]", "b", f"{deepest}[any]"):
        with pytest.raises(gi.ConfigError, match="there is no field"):
            features.to_arrow(columns=[unknown])


READS: dict[str, Callable[[gi.Features], Any]] = {
    "get": lambda features: features.get(7),
    "get_batch": lambda features: features.get_batch([1, 7]),
    "scan": lambda features: list(features.scan(columns=["a"])),
    "to_arrow": lambda features: features.to_arrow(),
    "to_pandas": lambda features: features.to_pandas("a > 0"),
}


def put_data(grid: gi.Grid, name: str, key: int, change: Callable[[bytes], bytes]) -> None:
    """Put a key's value, changed, under the key 7."""

    async def put() -> None:
        async with await aio.connect(grid._grid.config) as connected:
            records = GridMap(connected.link, name)
            value = await records.get(encode_keys([key])[0])
            assert value is not None
            await records.set(encode_keys([7])[0], change(value))

    asyncio.run(put())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda value: value[:4] + b"\xff\xff\xff\xff" + value[8:], "is a Portable value, which is not read"),
        (
            lambda value: value[:4] + b"\xff\xff\xff\x9c" + value[8:],
            "is a java.io.Serializable value, which",
        ),
        (lambda value: value[:8] + bytes(7) + b"\x01" + value[16:], "can't be read: "),
        (lambda value: value[:-1], "can't be read: "),
    ],
    ids=["Portable", "Serializable", "unknown schema", "cut off"],
)
def test_bytes_that_are_no_record_are_refused_by_their_key(
    local_grid: gi.Grid, names: Names, change: Callable[[bytes], bytes], said: str
) -> None:
    features = local_grid.features(names.features)
    features.put_batch(batch(50), key="key")
    features.put(1, {"a": 1.0})
    put_data(local_grid, names.features, 1, change)
    for read in READS.values():
        with pytest.raises(gi.DecodeError) as refused:
            read(features)
        assert str(refused.value).startswith(f"the value of key 7 in {names.features!r} {said}")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("text", "is a string, which is not read"),
        (5, "is a long, which is not read"),
        (HazelcastJsonValue('{"a": NaN}'), "can't be read: a JSON value can't be parsed: NaN is not JSON"),
        (HazelcastJsonValue('{"a": 1'), "can't be read: a JSON value can't be parsed: "),
        (HazelcastJsonValue("[1]"), "can't be read: a JSON object is expected, but the value is an array"),
    ],
)
def test_a_value_that_is_no_record_is_refused_by_its_key(
    local_grid: gi.Grid, names: Names, value: Any, said: str
) -> None:
    features = local_grid.features(names.features)
    features.put(1, {"a": 1.0})
    put_json(local_grid, names.features, {2: {"a": 2}})
    with stock_map(local_grid, names.features) as values:
        values.put(7, value)
    for read in READS.values():
        with pytest.raises(gi.DecodeError) as refused:
            read(features)
        assert str(refused.value).startswith(f"the value of key 7 in {names.features!r} {said}")
        assert "remove it" in refused.value.remedy
    assert features.get_batch([2, 1])["a"].tolist() == [2, 1]
    features.remove(7)
    assert sorted(features.to_arrow()["a"].to_pylist()) == [1, 2]


def test_fields_that_fit_no_one_column_are_refused_by_name(local_grid: gi.Grid, names: Names) -> None:
    features = local_grid.features(names.features)
    put_json(local_grid, names.features, {1: {"a": "x", "b": 1}, 2: {"a": 1, "b": 2}})
    assert features.get_batch([1, 2])["a"].tolist() == ["x", 1]
    assert sorted(value for chunk in features.scan() for value in map(str, chunk["a"])) == ["1", "x"]
    with pytest.raises(gi.DecodeError, match=r"field 'a' .* fits no one column"):
        features.to_arrow()
    assert sorted(features.to_arrow(columns=["b"])["b"].to_pylist()) == [1, 2]


def test_a_scan_may_be_left_early_and_is_the_same_in_asyncio(local_grid: gi.Grid, orders: gi.Features) -> None:
    for chunk in orders.scan():
        assert len(chunk)
        break

    async def count() -> int:
        async with await aio.connect(local_grid._grid.config) as grid:
            async for chunk in grid.features(orders.name).scan():
                assert len(chunk)
                break
            return sum([len(chunk) async for chunk in grid.features(orders.name).scan(columns=["city"])])

    assert asyncio.run(count()) == len(RECORDS)


def test_predictions_stand_beside_their_records(local_grid: gi.Grid, deployed: gi.Predictions, names: Names) -> None:
    features = local_grid.features(names.features)
    empty = deployed.to_arrow(join=True)
    assert len(empty) == 0
    assert empty.schema.field("score").type == pa.float64()
    records = batch(ROWS)
    features.put_batch(records | {"label": np.full(ROWS, "mine", object)}, key="key")
    until(lambda: deployed.size() == ROWS, "scoring")
    # `pause` waits for workers that say they score this; before their first beat says so it waits for nobody.
    until(lambda: any(one["owned"] for one in local_grid.worker_counts(names.deployment).values()), "a beat")
    local_grid.pause(names.deployment)
    features.put(11, dict.fromkeys(FEATURES, 0.25))
    features.remove(12)
    table = deployed.to_arrow(join=True)
    columns = ["key", "score", "label", "scores", "model", "version", "input_digest", "scored_at", "current"]
    assert table.column_names[:9] == columns
    assert sorted(table.column_names[9:]) == ["a", "b", "c", "record_label"]
    assert table.schema.field("scored_at").type == pa.timestamp("us", tz="UTC")
    rows = {row["key"]: row for row in table.to_pylist()}
    assert rows.keys() == set(range(ROWS))
    assert {key for key, row in rows.items() if not row["current"]} == {11, 12}
    assert (rows[11]["a"], rows[11]["record_label"], rows[12]["a"]) == (0.25, None, None)
    assert rows[10]["record_label"] == "mine"
    for key in range(0, ROWS, 97):
        said = deployed.get(key)
        assert said is not None
        assert (rows[key]["score"], rows[key]["label"]) == (said.score, said.label)
        assert (tuple(rows[key]["scores"]), rows[key]["input_digest"]) == (said.scores, said.input_digest)
        assert rows[key]["scored_at"] == dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(
            microseconds=said.scored_at_us
        )
        assert rows[key]["a"] == records["a"][key] or key == 11
    alone = deployed.to_pandas()
    assert list(alone.columns) == columns[1:8]
    assert sorted(alone.index) == list(range(ROWS))


def test_predictions_stand_beside_json_records_too(local_grid: gi.Grid, deployed: gi.Predictions, names: Names) -> None:
    records = {key: {"a": key / 9, "b": 0.5, "c": 0.5, "more": {"label": f"l{key}"}} for key in range(9)}
    put_json(local_grid, names.features, records)
    local_grid.features(names.features).put(9, dict.fromkeys(FEATURES, 0.5))
    until(lambda: deployed.size() == 10, "scoring")
    rows = {row["key"]: row for row in deployed.to_arrow(join=True).to_pylist()}
    assert all(row["current"] for row in rows.values())
    assert {key: row["a"] for key, row in rows.items()} == {key: key / 9 for key in range(9)} | {9: 0.5}
    assert {key: row["more.label"] for key, row in rows.items()} == {key: f"l{key}" for key in range(9)} | {9: None}
    until(lambda: any(one["owned"] for one in local_grid.worker_counts(names.deployment).values()), "a beat")
    local_grid.pause(names.deployment)  # else the prediction gives way to a dead letter
    with stock_map(local_grid, names.features) as values:
        values.put(4, "no record")
    with pytest.raises(gi.DecodeError, match=r"key 4 .* is a string"):
        deployed.to_arrow(join=True)


def test_notebooks_see_the_grid_and_its_deployments(local_grid: gi.Grid, deployed: gi.Predictions) -> None:
    assert local_grid.address in local_grid._repr_html_()
    assert "running" in local_grid.deployment(deployed.deployment)._repr_html_()

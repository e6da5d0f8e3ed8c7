"""Whole maps as tables, through a real member: just what was put, filtered, joined, and true to what stands there."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import grid_inference as gi
from grid_inference import aio
from grid_inference.wire.json_values import encode_json
from grid_inference.wire.keys import encode_keys
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


def test_a_value_that_is_no_record_is_refused_by_its_key(local_grid: gi.Grid, names: Names) -> None:
    async def put_odd() -> None:
        async with await aio.connect(local_grid._grid.config) as grid:
            await grid.link.create_map(names.features)
            await grid.features(names.features)._map.set(encode_keys([7])[0], encode_json({"a": 1}))

    local_grid.features(names.features).put(1, {"a": 1.0})
    asyncio.run(put_odd())
    with pytest.raises(gi.DecodeError, match=r"key 7 .*no Compact record"):
        local_grid.features(names.features).to_arrow()


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


def test_notebooks_see_the_grid_and_its_deployments(local_grid: gi.Grid, deployed: gi.Predictions) -> None:
    assert local_grid.address in local_grid._repr_html_()
    assert "running" in local_grid.deployment(deployed.deployment)._repr_html_()

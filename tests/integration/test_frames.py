"""Frames of every library through a real member: what is put is what stands there, or is refused by row and column."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression

import grid_inference as gi
from grid_inference.api import field_kinds
from tests.integration.conftest import Names

LARGE = 2**53 + 1
BERLIN = dt.timezone(dt.timedelta(hours=2))
FIRST = dt.date(1, 1, 1)
SUMMER = dt.datetime(2024, 7, 1, 12, tzinfo=BERLIN)

FRAMES: dict[str, Callable[[Any], Any]] = {
    "arrow": lambda values: pa.table({"a": values}),
    "polars": lambda values: pl.from_arrow(pa.table({"a": values})),
    "lazy polars": lambda values: pl.from_arrow(pa.table({"a": values})).lazy(),
    "pandas of Arrow": lambda values: pa.table({"a": values}).to_pandas(types_mapper=pd.ArrowDtype),
}
"""A frame of one column from an Arrow array."""


def columns() -> dict[str, tuple[Any, list[Any]]]:
    """Arrow arrays with a null each, and what `get` says of their rows."""
    moments = [SUMMER, None, SUMMER + dt.timedelta(microseconds=1)]
    wall = [None if each is None else each.replace(tzinfo=None) for each in moments]
    return {
        "int64": (pa.array([LARGE, None, -1]), [LARGE, None, -1]),
        "bool": (pa.array([True, None, False]), [True, None, False]),
        "double": (pa.array([0.5, None, -0.0]), [0.5, None, -0.0]),
        "text": (pa.array(["blue", None, ""]), ["blue", None, ""]),
        "categories": (pa.array(["blue", None, "red"]).dictionary_encode(), ["blue", None, "red"]),
        "decimal": (pa.array([Decimal("1.50"), None, Decimal(-3)]), [Decimal("1.50"), None, Decimal("-3.00")]),
        "date": (pa.array([dt.date(2024, 2, 29), None, FIRST]), [dt.date(2024, 2, 29), None, FIRST]),
        "time": (pa.array([dt.time(12, 30), None, dt.time(0)]), [dt.time(12, 30), None, dt.time(0)]),
        "zoned": (pa.array(moments, pa.timestamp("us", "Europe/Berlin")), moments),
        "moment": (pa.array(wall, pa.timestamp("us")), wall),
        "list": (pa.array([[1, 2], None, [3, 4]]), [[1, 2], None, [3, 4]]),
        "list of texts": (pa.array([["x", None], None, []]), [["x", None], None, []]),
    }  # fmt: skip


@pytest.mark.parametrize("library", FRAMES)
@pytest.mark.parametrize("sort", columns())
def test_a_column_comes_back_as_it_was_put(local_grid: gi.Grid, names: Names, library: str, sort: str) -> None:
    values, expected = columns()[sort]
    features = local_grid.features(names.features)
    features.put_batch(FRAMES[library](values), key=[1, 2, 3])
    assert [features.get(key) for key in (1, 2, 3)] == [{"a": value} for value in expected]
    table = features.to_arrow()
    assert dict(zip(table["key"].to_pylist(), table["a"].to_pylist(), strict=True)) == dict(enumerate(expected, 1))


def test_large_whole_numbers_beside_nulls_are_exact_in_every_reader(local_grid: gi.Grid, names: Names) -> None:
    features = local_grid.features(names.features)
    features.put_batch(pd.DataFrame({"a": pd.array([LARGE, None], "Int64")}), key=[1, 2])
    assert features.get_batch([1, 2])["a"].tolist() == [LARGE, None]
    found = features.to_pandas()["a"]
    assert (int(found[1]), found.isna()[2]) == (LARGE, True)
    assert features.to_arrow()["a"].type == pa.int64()


# ---- keys


@pytest.mark.parametrize(
    "keys",
    [
        pd.Series([1.0, 2.0, None]),
        pd.array([1, 2, None], "Int64"),
        pa.array([2**53, 2**53 + 1, None]),
        pl.Series(["a", "b", None]),
        ["a", "b", None],
        np.array([1.0, 2.0, np.nan]),
        pd.Series(["a", "b", pd.NA], dtype=object),
    ],
)
def test_a_row_without_a_key_is_named_and_nothing_is_put(local_grid: gi.Grid, names: Names, keys: Any) -> None:
    features = local_grid.features(names.features)
    with pytest.raises(gi.EncodeError, match=r"row 2 .*has no key") as refused:
        features.put_batch({"a": np.arange(3.0), "id": keys}, key="id")
    assert "id" in str(refused.value)
    assert refused.value.remedy
    assert features.size() == 0


def test_whole_floats_are_long_keys_and_digits_stay(local_grid: gi.Grid, names: Names) -> None:
    features = local_grid.features(names.features)
    features.put_batch({"a": [1, 2]}, key=np.array([7.0, 8.5]))
    assert features.get(7) == {"a": 1}
    assert features.get(8.5) == {"a": 2}
    features.put_batch(pa.table({"id": [2**53, 2**53 + 1], "a": [3, 4]}), key="id")
    assert features.get(2**53 + 1) == {"a": 4}
    assert features.get_batch(pd.Series([7.0, 8.5]))["a"].tolist() == [1, 2]
    with pytest.raises(gi.EncodeError, match="row 1"):
        features.put_batch({"a": [1, 2]}, key=np.array([1.0, 2.0**53 + 2]))


def test_the_count_says_rows_and_keys(local_grid: gi.Grid, names: Names) -> None:
    done = local_grid.features(names.features).put_batch({"a": np.arange(3.0)}, key=[1, 1, 2])
    assert done == 3
    assert done.keys == 2
    assert str(done) == "3 rows, 2 keys"


def test_large_whole_numbers_in_lists_are_exact_beside_nulls(local_grid: gi.Grid, names: Names) -> None:
    features = local_grid.features(names.features)
    features.put_batch({"a": pa.array([[LARGE, None], None, [1]])}, key=[1, 2, 3])
    frame = features.to_pandas().sort_index()
    assert [each if each is None else list(each) for each in frame["a"]] == [[LARGE, None], None, [1]]


# ---- single records


@pytest.mark.parametrize(
    "missing", [None, float("nan"), np.float32("nan"), pd.NA, pd.NaT, np.datetime64("NaT"), pa.NULL]
)
def test_a_missing_value_is_a_null_of_the_kind_that_the_map_has(
    local_grid: gi.Grid, names: Names, missing: Any
) -> None:  # fmt: skip
    features = local_grid.features(names.features)
    whole = {"n": 1, "t": "x", "d": dt.date(2024, 1, 1), "z": SUMMER, "x": [1.0, 2.0], "b": True}
    features.put(1, whole)
    features.put(2, dict.fromkeys(whole, missing))
    assert features.get(2) == dict.fromkeys(whole)
    table = features.to_arrow()
    assert {row.pop("key"): row for row in table.to_pylist()} == {1: whole, 2: dict.fromkeys(whole)}


def test_nan_is_a_null_of_the_kind_that_was_put_just_before(
    local_grid: gi.Grid, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The map is looked at no more than once a while; what was put by these hands is known without."""
    monkeypatch.setattr(field_kinds, "LOOK_S_MIN", 1e9)
    features = local_grid.features(names.features)
    features.put(1, {"a": "x", "b": None, "c": {"d": "y", "e": 1}})
    features.put(2, {"a": np.nan, "b": None, "c": {"d": np.nan, "e": np.nan}})
    features.put_batch({"f": ["x"], "b": [None]}, key=[3])
    features.put(4, {"a": "z", "b": None, "f": np.nan})
    assert [features.get(key) for key in (2, 4)] == [
        {"a": None, "b": None, "c": {"d": None, "e": None}},
        {"a": "z", "b": None, "f": None},
    ]


@pytest.mark.parametrize("missing", [None, pd.NA])
def test_a_null_is_what_the_model_takes_there(local_grid: gi.Grid, names: Names, missing: Any) -> None:
    """Before anybody has put a record: of its moments, days and hours, and of a record within the record."""
    days = pd.DataFrame(
        {
            "z": pd.to_datetime(["2024-07-01", None]).tz_localize("Europe/Berlin"),
            "m": pd.to_datetime(["2024-07-01", None]),
            "d": [dt.date(2024, 7, 1), None],
            "c": [dt.time(12), None],
            "n": pd.array([1, None], "Int64"),
            "x": [0.5, None],
        }
    )
    inputs = {"n": {"field": "r.n"}, "x": {"field": "x[1]"}}
    local_grid.deploy(
        names.deployment, "tests.frames.seen:hashed", features=names.features, sample=days, inputs=inputs, nan="score"
    )
    features = local_grid.features(names.features)
    features.put(1, dict.fromkeys(("z", "m", "d", "c", "r", "x"), missing))
    features.put_batch({name: [missing] for name in ("z", "m", "d", "c", "x")} | {"r.n": [None]}, key=[2])
    verdict = local_grid.verify(names.deployment, 30.0)
    letters = [letter.message for letter in local_grid.dead_letters(names.deployment)]
    assert (verdict.complete, verdict.predictions, letters) == (True, 2, [])
    local_grid.undeploy(names.deployment)


def test_a_null_where_the_model_needs_a_number_is_scored(local_grid: gi.Grid, names: Names) -> None:
    frame = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1, 0, 1, 0]})
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415

    model = HistGradientBoostingClassifier().fit(frame, [0, 0, 1, 1])
    local_grid.deploy(names.deployment, model, features=names.features, nan="score")
    features = local_grid.features(names.features)
    features.put(1, {"a": None, "b": pd.NA})
    features.put(2, {"a": np.float64(2.0), "b": np.int64(1)})
    features.put_batch({"a": [None, None], "b": [pd.NA, 1]}, key=[3, 4])
    verdict = local_grid.verify(names.deployment, 30.0)
    assert (verdict.complete, verdict.predictions, verdict.dead_letters) == (True, 4, 0)
    local_grid.undeploy(names.deployment)


@pytest.mark.parametrize(
    "rows",
    [
        pd.Series([[1.0, 2.0], [0.5, 0.1]]),
        pa.array([[1.0, 2.0], [0.5, 0.1]]),
        pa.array([[1.0, 2.0], [0.5, 0.1]], pa.list_(pa.float64(), 2)),
        pl.Series([[1.0, 2.0], [0.5, 0.1]]),
        [[1.0, 2.0], [0.5, 0.1]],
        pd.Series([np.array([1.0, 2.0]), np.array([0.5, 0.1])]),
    ],
)
def test_equally_long_lists_feed_an_array_model(local_grid: gi.Grid, names: Names, rows: Any) -> None:
    model = LogisticRegression().fit([[0.0, 1.0], [1.0, 0.0]], [0, 1])
    local_grid.deploy(names.deployment, model, features=names.features, columns=["x"])
    local_grid.features(names.features).put_batch({"x": rows}, key=[1, 2])
    verdict = local_grid.verify(names.deployment, 30.0)
    assert (verdict.complete, verdict.predictions, verdict.dead_letters) == (True, 2, 0)
    found = local_grid.predictions(names.deployment).get_batch([1, 2])["scores"]
    np.testing.assert_allclose(found, model.predict_proba([[1.0, 2.0], [0.5, 0.1]]), rtol=0, atol=1e-12)
    local_grid.undeploy(names.deployment)

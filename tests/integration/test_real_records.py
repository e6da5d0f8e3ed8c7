"""Real tables through a real member and a real worker, in every format: predictions equal those of the bare model."""

from __future__ import annotations

import csv
import datetime as dt
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter, methodcaller
from pathlib import Path
from typing import Any, ClassVar

import hazelcast
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hazelcast.config import IntType
from hazelcast.core import HazelcastJsonValue
from hazelcast.serialization.api import CompactReader, CompactSerializer, CompactWriter
from pyarrow import parquet
from sklearn.base import is_classifier
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_digits, load_wine
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

import grid_inference as gi
from grid_inference.cli.app import run
from tests.integration.conftest import Names

ORDERS = 500


@dataclass(frozen=True)
class Table:
    """Records, a model fitted on some of them, and what the bare model is given for all of them."""

    model: Any
    inputs: Any
    columns: Any
    """The records as `put_batch` takes them, without keys: row i has the key i."""
    records: pa.Table
    """The same with the types of their fields."""
    settings: dict[str, Any]
    """How it is deployed."""


def of_frame(model: Any, frame: pd.DataFrame, target: Any, fields: Any = None, **settings: Any) -> Table:
    model.fit(frame[::2], target[::2])
    return Table(model, frame, frame, pa.Table.from_pandas(frame, fields, preserve_index=False), settings)


def wine() -> Table:
    data = load_wine(as_frame=True)
    names = np.array(data.target_names)[data.target]
    return of_frame(make_pipeline(StandardScaler(), LogisticRegression()), data.data, names)


def digits() -> Table:
    data = load_digits(as_frame=True)
    return of_frame(RandomForestClassifier(40, random_state=0), data.data, data.target)


def diabetes() -> Table:
    data = load_diabetes(as_frame=True, scaled=False)
    return of_frame(HistGradientBoostingRegressor(random_state=0), data.data, data.target)


def orders() -> Table:
    """Strings, a date, a timestamp and whole numbers with gaps; every 97th row has nothing but its amount."""
    random = np.random.default_rng(11)
    days = np.datetime64("2023-01-01") + random.integers(0, 900, ORDERS)
    frame = pd.DataFrame(
        {
            "city": np.array(["Ghent", "Łódź", "Porto, PT", 'the "Hague"'], object)[random.integers(0, 4, ORDERS)],
            "items": random.integers(1, 9, ORDERS).astype(float),
            "amount": random.exponential(40, ORDERS),
            "express": random.random(ORDERS) < 0.3,
            "due": days.astype("M8[s]"),
            "placed": days - random.integers(1, 10**6, ORDERS).astype("m8[s]"),
        }
    )
    for name, step in {"city": 9, "items": 7, "due": 11, "placed": 13}.items():
        frame.loc[(frame.index % step == 0) | (frame.index % 97 == 0), name] = np.nan
    late = frame["amount"] + 30 * (frame["city"] == "Porto, PT") + frame["placed"].dt.hour.fillna(12) > 60
    fields = {"city": pa.string(), "items": pa.int64(), "amount": pa.float64(), "express": pa.bool_()}
    fields |= {"due": pa.date32(), "placed": pa.timestamp("us")}
    casts = {name: {"cast": "datetime"} for name in ("due", "placed")}  # JSON has texts in their place
    target = np.where(late, "late", "in time")
    return of_frame(orders_model(), frame, target, pa.schema(fields), nan="score", inputs=casts)


def orders_model() -> Pipeline:
    """It takes strings and dates as they are, and needs no module of ours where it is loaded."""
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    parts = [
        ("city", OneHotEncoder(handle_unknown="ignore"), ["city"]),
        ("numbers", numbers, ["items", "amount"]),
        ("express", "passthrough", ["express"]),
        ("due", moment("dt.month"), "due"),
        ("placed", moment("dt.hour"), "placed"),
    ]
    return make_pipeline(ColumnTransformer(parts), LogisticRegression(max_iter=1000))


def moment(part: str) -> Pipeline:
    """Some part of a date as a number."""
    steps = map(FunctionTransformer, (attrgetter(part), methodcaller("to_frame")))
    return make_pipeline(*steps, SimpleImputer(), StandardScaler())


def digits_in_one_field() -> Table:
    data = load_digits()
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(data.data[::2], data.target[::2])
    records = pa.table({"x": pa.array(data.data.tolist(), pa.list_(pa.float64()))})
    return Table(model, data.data, {"x": data.data}, records, {"columns": ["x"]})


TABLES = (wine, digits, diabetes, orders)
table_of = lru_cache(lambda make: make())


# ---- ways into the map


@dataclass(frozen=True)
class Way:
    """What the formats need to put a table."""

    table: Table
    name: str
    grid: gi.Grid
    client: hazelcast.HazelcastClient
    folder: Path
    features: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        return self.table.records.to_pylist()


def put_file(way: Way, path: Path) -> None:
    """By the command, which must take every row."""
    place = ["--address", way.grid.address, "--cluster-name", way.grid.cluster_name]
    assert run(["put", way.features, str(path), "--key", "key", *place]) == 0


def by_csv(way: Way) -> None:
    path = way.folder / "records.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["key", *way.table.records.column_names])
        writer.writeheader()
        writer.writerows({"key": key, **row} for key, row in enumerate(way.rows))
    put_file(way, path)


def by_parquet(way: Way) -> None:
    path = way.folder / "records.parquet"
    records = way.table.records
    parquet.write_table(records.append_column("key", pa.array(range(len(records)))), path)
    put_file(way, path)


def as_json(row: dict[str, Any]) -> str:
    return json.dumps(row, default=methodcaller("isoformat"))


def by_json_lines(way: Way) -> None:
    path = way.folder / "records.jsonl"
    path.write_text("".join(f"{as_json({'key': key, **row})}\n" for key, row in enumerate(way.rows)), encoding="utf-8")
    put_file(way, path)


def by_json_values(way: Way) -> None:
    values = {key: HazelcastJsonValue(as_json(row)) for key, row in enumerate(way.rows)}
    way.client.get_map(way.features).blocking().put_all(values)


def by_put_batch(way: Way) -> None:
    way.grid.features(way.features).put_batch(way.table.columns, key=np.arange(len(way.table.records)))


def by_compact(way: Way) -> None:
    """By the stock client's own serializer."""
    kind = RECORDS[way.name]
    way.client.get_map(way.features).blocking().put_all({key: kind(row) for key, row in enumerate(way.rows)})


FORMATS = {
    "csv": by_csv,
    "parquet": by_parquet,
    "json-lines": by_json_lines,
    "json-values": by_json_values,
    "put-batch": by_put_batch,
    "compact": by_compact,
}


class Record:
    """An application's object, as far as its serializer is concerned."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.fields = fields


def record_class(name: str) -> type[Record]:
    return type(name, (Record,), {})


RECORDS = {make.__name__: record_class(make.__name__) for make in (*TABLES, digits_in_one_field)}


class RecordSerializer(CompactSerializer[Record]):
    """Writes each field of a table as what it is."""

    KINDS: ClassVar = {pa.float64(): "float64", pa.int64(): "int64", pa.bool_(): "boolean", pa.string(): "string"}
    KINDS |= {pa.date32(): "date", pa.timestamp("us"): "timestamp", pa.list_(pa.float64()): "array_of_float64"}

    def __init__(self, name: str, records: pa.Table) -> None:
        self._name = name
        self._kinds = {column: self._kind(records[column]) for column in records.column_names}

    @classmethod
    def _kind(cls, column: Any) -> str:
        kind = cls.KINDS[column.type]
        return f"nullable_{kind}" if column.null_count and kind in {"float64", "int64"} else kind

    def read(self, reader: CompactReader) -> Record:
        raise NotImplementedError

    def write(self, writer: CompactWriter, obj: Record) -> None:
        for name, kind in self._kinds.items():
            getattr(writer, f"write_{kind}")(name, obj.fields[name])

    def get_type_name(self) -> str:
        return self._name

    def get_class(self) -> type[Record]:
        return RECORDS[self._name]


@pytest.fixture(scope="module")
def client(local_grid: gi.Grid) -> Iterator[hazelcast.HazelcastClient]:
    """The ordinary client, which knows how to write all tables."""
    serializers = [RecordSerializer(make.__name__, table_of(make).records) for make in (*TABLES, digits_in_one_field)]
    started = hazelcast.HazelcastClient(
        cluster_name=local_grid.cluster_name,
        cluster_members=[local_grid.address],
        default_int_type=IntType.LONG,
        statistics_enabled=False,
        compact_serializers=serializers,
    )
    yield started
    started.shutdown()


# ---- equal to the bare model


def check(grid: gi.Grid, names: Names, table: Table) -> None:
    rows = len(table.records)
    verdict = grid.verify(names.deployment, 30.0)
    assert verdict.complete, verdict
    counts = (verdict.records, verdict.predictions, verdict.dead_letters)
    assert counts == (rows, rows, 0), grid.dead_letters(names.deployment, 3)
    found = grid.predictions(names.deployment).get_batch(np.arange(rows))
    assert found.keys == list(range(rows))
    expected = table.model.predict(table.inputs)
    if not is_classifier(table.model):
        np.testing.assert_allclose(found["score"], expected, rtol=0, atol=1e-12)
        assert set(found["label"]) == {None}
        return
    assert found["label"].tolist() == expected.astype(str).tolist()
    probabilities = table.model.predict_proba(table.inputs)
    np.testing.assert_allclose(found["scores"], probabilities, rtol=0, atol=1e-12)
    binary = probabilities.shape[1] == 2
    of_label = probabilities[:, 1] if binary else probabilities[np.arange(rows), probabilities.argmax(axis=1)]
    np.testing.assert_allclose(found["score"], of_label, rtol=0, atol=1e-12)


@pytest.fixture
def way_of(
    local_grid: gi.Grid, client: hazelcast.HazelcastClient, names: Names, tmp_path: Path
) -> Iterator[Callable[[Callable[[], Table]], Way]]:
    """Deploys a table's model, and gives what is needed to put the table."""

    def deployed(make: Callable[[], Table]) -> Way:
        table = table_of(make)
        local_grid.deploy(names.deployment, table.model, features=names.features, **table.settings)
        return Way(table, make.__name__, local_grid, client, tmp_path, names.features)

    yield deployed
    local_grid.undeploy(names.deployment)


@pytest.mark.parametrize("put", FORMATS.values(), ids=FORMATS)
@pytest.mark.parametrize("make", TABLES, ids=lambda make: make.__name__)
def test_a_table_in_any_format_scores_as_by_the_bare_model(
    way_of: Callable[[Callable[[], Table]], Way], local_grid: gi.Grid, names: Names, make: Any, put: Any
) -> None:
    way = way_of(make)
    put(way)
    check(local_grid, names, way.table)


@pytest.mark.parametrize("put", [put for name, put in FORMATS.items() if name != "csv"], ids=lambda put: put.__name__)
def test_a_table_in_one_array_field_does_so_too(
    way_of: Callable[[Callable[[], Table]], Way], local_grid: gi.Grid, names: Names, put: Any
) -> None:
    way = way_of(digits_in_one_field)
    put(way)
    check(local_grid, names, way.table)


@pytest.mark.parametrize(
    ("put", "due"),
    [
        (by_csv, dt.date),
        (by_parquet, dt.date),
        (by_compact, dt.date),
        (by_put_batch, dt.datetime),
        (by_json_lines, str),
    ],
)
def test_what_a_date_is_in_the_map(
    local_grid: gi.Grid, client: hazelcast.HazelcastClient, names: Names, tmp_path: Path, put: Any, due: type
) -> None:
    way = Way(table_of(orders), "orders", local_grid, client, tmp_path, names.features)
    put(way)
    record, row = local_grid.features(names.features).get(1), way.rows[1]
    assert type(record["due"]) is due
    assert str(record["due"]).startswith(str(row["due"]))
    assert str(record["placed"]).replace("T", " ") == str(row["placed"])
    assert local_grid.features(names.features).get(97)["due"] is None

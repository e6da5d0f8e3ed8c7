"""One logical record, put by Python (this package and the stock client), Java and Node.js: one digest, one prediction.

The programs put it under keys of all their types, as a Compact record and as JSON; see PutParcels.java, put_parcels.js.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import hazelcast
import numpy as np
import pandas as pd
import pytest
from hazelcast.config import IntType
from hazelcast.core import HazelcastJsonValue
from hazelcast.serialization.api import CompactReader, CompactSerializer, CompactWriter
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

import grid_inference as gi
from grid_inference.records import PREDICTION
from grid_inference.wire import layout
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import FieldKind, Schema, encode_record
from grid_inference.wire.digest import input_digest
from grid_inference.wire.keys import DataKey, encode_keys
from tests.interop.conftest import KEY, Program, as_node_read, as_python_reads

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

Fields = dict[str, Any]

# ---- the record, and who writes it under which keys

COMPACT, JSON = "parcels", "json-parcels"
"""The maps. `late` names the deployment on each."""
PARCEL: Fields = {
    "account": 4_000_000_000,
    "amount": 12.5,
    "city": "Łódź",
    "day": dt.date(2026, 2, 3),
    "express": True,
    "quantity": 3,
    "rating": 4,
    "returns": None,
    "weights": [0.5, 1.25],
}
"""What every client puts."""
KINDS = {
    "account": FieldKind.INT64,
    "amount": FieldKind.FLOAT64,
    "city": FieldKind.STRING,
    "day": FieldKind.DATE,
    "express": FieldKind.BOOLEAN,
    "quantity": FieldKind.INT32,
    "rating": FieldKind.NULLABLE_INT32,
    "returns": FieldKind.NULLABLE_INT32,
    "weights": FieldKind.ARRAY_OF_FLOAT64,
}
DIGEST = int(input_digest(Blobs.of([encode_record(Schema.of(COMPACT, KINDS), PARCEL)]))[0])
TEXT = json.dumps({**PARCEL, "day": "2026-02-03"})
COLUMNS = {
    "account": np.array([PARCEL["account"]]),
    "amount": np.array([PARCEL["amount"]]),
    "city": np.array([PARCEL["city"]]),
    "day": np.array([PARCEL["day"]], "M8[D]"),
    "express": np.array([PARCEL["express"]]),
    "quantity": np.array([PARCEL["quantity"]], np.int32),
    "rating": np.ma.masked_array(np.array([PARCEL["rating"]], np.int32), [False]),
    "returns": np.ma.masked_array(np.zeros(1, np.int32), [True]),
    "weights": np.array([PARCEL["weights"]]),
}
"""The same for `put_batch`, which infers the kinds."""


def key_of(value: Any, kind: str | None = None) -> DataKey:
    return DataKey(encode_keys([value], kind)[0])


def key_of_type(type_id: int, payload: bytes) -> DataKey:
    return DataKey(layout.DATA_HEADER.pack(0, type_id) + payload)


OUR_KEYS = {"int": 1, "str": "ours", "float": 1.25, "UUID": UUID(int=1), "bytes": b"ours"}
STOCK_KEYS = {"int": 2, "str": "stock", "float": 2.25, "UUID": UUID(int=2)}
KEYS: dict[str, dict[str, DataKey]] = {
    "ours": {name: key_of(value) for name, value in OUR_KEYS.items()},
    "stock": {name: key_of(value) for name, value in STOCK_KEYS.items()},
    "stock, as it comes": {"int": key_of(20, "int")},
    "java": {
        "Long": key_of(3),
        "Integer": key_of(30, "int"),
        "Short": key_of(300, "short"),
        "Byte": key_of(3, "byte"),
        "Float": key_of(3.5, "float"),
        "Double": key_of(3.25),
        "String": key_of("java"),
        "Boolean": key_of_type(layout.TYPE_BOOLEAN, b"\1"),
        "Character": key_of_type(-5, "J".encode("utf-16-be")),
        "UUID": key_of(UUID(int=3 << 64 | 3)),
    },
    "node": {
        "Long": key_of(4),
        "number": key_of(4.0),
        "string": key_of("node"),
        "boolean": key_of_type(layout.TYPE_BOOLEAN, b"\0"),
        "UUID": key_of(UUID(int=4 << 64 | 4)),
    },
}
"""The bytes of each client's keys, by their type in its language."""


def late(features: str) -> str:
    return f"{features}-late"


# ---- the model


def parcels(rows: int = 300) -> tuple[pd.DataFrame, np.ndarray]:
    random = np.random.default_rng(3)
    table = pd.DataFrame(
        {
            "account": random.integers(0, 2**33, rows),
            "amount": random.exponential(20, rows),
            "city": random.choice(["Ghent", "Łódź", "Porto"], rows),
            "day": np.datetime64("2026-01-01") + random.integers(0, 60, rows),
            "express": random.random(rows) < 0.5,
            "quantity": random.integers(1, 6, rows),
            "rating": np.where(random.random(rows) < 0.2, np.nan, random.integers(1, 6, rows)),
            "returns": np.where(random.random(rows) < 0.5, np.nan, random.integers(0, 3, rows)),
        }
    )
    slow = table["amount"] / 10 + table["quantity"] + (table["city"] == "Porto") - table["express"] > 4
    return table, np.where(slow, "late", "in time")


@pytest.fixture(scope="module")
def model() -> Pipeline:
    """Trees: their scores are the same to the last bit, whatever else is in the batch. A day may come as text."""
    table, labels = parcels()
    as_day = FunctionTransformer(pd.DataFrame.astype, kw_args={"dtype": "datetime64[s]"})
    as_number = FunctionTransformer(pd.DataFrame.astype, kw_args={"dtype": "int64"})
    columns = ColumnTransformer(
        [("city", OneHotEncoder(sparse_output=False), ["city"]), ("day", make_pipeline(as_day, as_number), ["day"])],
        remainder="passthrough",
    )
    return make_pipeline(columns, HistGradientBoostingClassifier(max_iter=20)).fit(table, labels)


# ---- the stock Python client


class Parcel:
    """What a class of the application looks like to the stock client."""


class ParcelSerializer(CompactSerializer[Parcel]):
    """Writes PARCEL's fields in a given order."""

    def __init__(self, order: Sequence[str]) -> None:
        self._order = order

    def read(self, reader: CompactReader) -> Parcel:
        raise NotImplementedError

    def write(self, writer: CompactWriter, obj: Parcel) -> None:
        for name in self._order:
            getattr(writer, f"write_{KINDS[name].name.lower()}")(name, PARCEL[name])

    def get_type_name(self) -> str:
        return COMPACT

    def get_class(self) -> type[Parcel]:
        return Parcel


class PredictionSerializer(CompactSerializer[Fields]):
    """Reads a prediction as a dict."""

    def read(self, reader: CompactReader) -> Fields:
        return {each.name: getattr(reader, f"read_{each.kind.name.lower()}")(each.name) for each in PREDICTION.fields}

    def write(self, writer: CompactWriter, obj: Fields) -> None:
        raise NotImplementedError

    def get_type_name(self) -> str:
        return PREDICTION.type_name

    def get_class(self) -> type[Fields]:
        return dict


@contextmanager
def stock_client(grid: gi.Grid, order: Sequence[str], **settings: Any) -> Iterator[hazelcast.HazelcastClient]:
    client = hazelcast.HazelcastClient(
        cluster_name=grid.cluster_name,
        cluster_members=[grid.address],
        statistics_enabled=False,
        compact_serializers=[ParcelSerializer(order), PredictionSerializer()],
        **settings,
    )
    try:
        yield client
    finally:
        client.shutdown()


# ---- four clients put the record


@dataclass
class Run:
    """What each client read, each by its own keys: client → type of the key → prediction."""

    compact: dict[str, dict[str, Fields]]
    shared: dict[str, Fields]
    """Client → its prediction of the key that all of them write, one after the other."""
    others: dict[str, list[Fields]]
    """Client → what it read of those that put before it."""
    same_text: dict[str, Fields]
    """Client → prediction of one JSON text, the same from all of them."""
    own_text: dict[str, Fields]
    """Client → prediction of the JSON text that is natural in its language."""


def put_by_us(grid: gi.Grid) -> Fields:
    keys = {"shared": KEY, **OUR_KEYS}
    for key in keys.values():
        grid.features(COMPACT).put_batch(COLUMNS, key=[key])
    assert grid.verify(late(COMPACT), 30.0).complete
    found = {name: grid.predictions(late(COMPACT)).get(key) for name, key in keys.items()}
    return {"compact": {name: as_python_reads(each) for name, each in found.items() if each}}


def put_by_stock(grid: gi.Grid) -> Fields:
    with stock_client(grid, sorted(PARCEL), default_int_type=IntType.LONG) as client:
        return {
            "compact": put_and_read(grid, client, COMPACT, {"shared": KEY, **STOCK_KEYS}, Parcel()),
            "same_text": put_and_read(grid, client, JSON, {"int": 2}, HazelcastJsonValue(TEXT)),
            "own_text": put_and_read(grid, client, JSON, {"str": "stock"}, HazelcastJsonValue(json.loads(TEXT))),
        }


def put_by_stock_as_it_comes(grid: gi.Grid) -> Fields:
    """Its whole numbers are INT then, and the serializer has an order of its own."""
    with stock_client(grid, list(reversed(PARCEL))) as client:
        return {"compact": put_and_read(grid, client, COMPACT, {"int": 20}, Parcel())}


def put_and_read(
    grid: gi.Grid, client: hazelcast.HazelcastClient, features: str, keys: Mapping[str, Any], value: Any
) -> dict[str, Fields]:
    records, predictions = (client.get_map(name).blocking() for name in (features, f"{late(features)}.predictions"))
    for key in keys.values():
        records.put(key, value)
    assert grid.verify(late(features), 30.0).complete
    return {name: predictions.get(key) for name, key in keys.items()}


@pytest.fixture(scope="module")
def run(java: Program, node: Program, interop_grid: gi.Grid, model: Pipeline) -> Iterator[Run]:
    """Each client once, on maps that nobody else writes."""
    for features in (COMPACT, JSON):
        interop_grid.deploy(late(features), model, features=features, nan="score")
    reports: dict[str, Fields] = {}
    shared: dict[str, Fields] = {}
    reports["stock, as it comes"] = put_by_stock_as_it_comes(interop_grid)
    for client, put in (
        ("ours", lambda: put_by_us(interop_grid)),
        ("stock", lambda: put_by_stock(interop_grid)),
        ("java", lambda: java("PutParcels", TEXT)),
        ("node", lambda: with_numbers(node("put_parcels.js", TEXT))),
    ):
        reports[client] = put()
        shared[client] = reports[client]["compact"].pop("shared")
        interop_grid.features(COMPACT).remove(KEY)
        assert interop_grid.verify(late(COMPACT)).complete, "the prediction is gone with its record"
    yield Run(
        compact={client: report["compact"] for client, report in reports.items()},
        shared=shared,
        others={client: report["others"] for client, report in reports.items() if "others" in report},
        same_text={client: one for client, report in reports.items() for one in report.get("same_text", {}).values()},
        own_text={client: one for client, report in reports.items() for one in report.get("own_text", {}).values()},
    )
    for features in (COMPACT, JSON):
        interop_grid.undeploy(late(features))


def with_numbers(report: Fields) -> Fields:
    """Node's report with numbers for int64."""
    others = [as_node_read(each) for each in report.pop("others")]
    read = {part: {name: as_node_read(each) for name, each in found.items()} for part, found in report.items()}
    return {**read, "others": others}


def result(prediction: Fields) -> tuple[str, float, list[float]]:
    return prediction["label"], prediction["score"], prediction["scores"]


@pytest.fixture(scope="module")
def expected(model: Pipeline) -> tuple[str, float, list[float]]:
    """What the bare model says about the record."""
    row = pd.DataFrame([PARCEL]).drop(columns="weights").astype({"returns": float, "day": "datetime64[s]"})
    probabilities = model.predict_proba(row)[0].tolist()
    return model.predict(row)[0], probabilities[1], probabilities


# ---- tests


def test_four_clients_put_one_record_and_get_one_prediction(run: Run, expected: tuple[str, float, list[float]]):
    assert list(run.shared) == ["ours", "stock", "java", "node"]
    assert {each["input_digest"] for each in run.shared.values()} == {DIGEST}
    assert [result(each) for each in run.shared.values()] == [expected] * 4


@pytest.mark.parametrize(
    ("client", "kind"), [(client, kind) for client, keys in KEYS.items() for kind in keys], ids=str
)
def test_a_prediction_lies_under_its_records_own_key(
    run: Run, interop_grid: gi.Grid, client: str, kind: str, expected: tuple[str, float, list[float]]
):
    key = KEYS[client][kind]
    assert interop_grid.features(COMPACT).get(key) == PARCEL
    found = interop_grid.predictions(late(COMPACT)).get(key)
    assert found is not None, "there is no prediction under these bytes"
    assert as_python_reads(found) == run.compact[client][kind]
    assert result(run.compact[client][kind]) == expected
    assert (found.input_digest == DIGEST) == (client != "stock, as it comes")


def test_no_key_but_these_is_there(run: Run, interop_grid: gi.Grid):
    count = sum(len(keys) for keys in KEYS.values())
    assert {client: set(found) for client, found in run.compact.items()} == {c: set(keys) for c, keys in KEYS.items()}
    assert interop_grid.features(COMPACT).size() == interop_grid.predictions(late(COMPACT)).size() == count


def test_the_order_in_which_a_serializer_writes_changes_the_digest_alone(
    run: Run, expected: tuple[str, float, list[float]]
):
    reversed_order = run.compact["stock, as it comes"]["int"]
    assert reversed_order["input_digest"] != DIGEST
    assert result(reversed_order) == expected


def test_java_and_node_read_the_predictions_of_others(run: Run, interop_grid: gi.Grid):
    predictions = interop_grid.predictions(late(COMPACT))
    in_turn = [as_python_reads(found) for key in (1, 2, 3) if (found := predictions.get(key))]
    assert run.others == {"java": in_turn[:2], "node": in_turn}


def test_equal_json_texts_have_one_digest(run: Run, expected: tuple[str, float, list[float]]):
    assert list(run.same_text) == ["stock", "java", "node"]
    assert len({each["input_digest"] for each in run.same_text.values()}) == 1
    assert [result(each) for each in run.same_text.values()] == [expected] * 3


def test_json_texts_that_differ_in_spacing_have_one_result(
    run: Run, interop_grid: gi.Grid, expected: tuple[str, float, list[float]]
):
    assert list(run.own_text) == ["stock", "java", "node"]
    assert len({each["input_digest"] for each in run.own_text.values()}) == 3
    assert [result(each) for each in run.own_text.values()] == [expected] * 3
    for client in run.own_text:
        assert interop_grid.features(JSON).get(client) == json.loads(TEXT)

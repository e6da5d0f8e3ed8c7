"""Records of every kind, through a real member and a real worker: equal to the bare model."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import hazelcast
import numpy as np
import pandas as pd
from hazelcast.config import IntType
from hazelcast.core import HazelcastJsonValue
from hazelcast.serialization.api import CompactReader, CompactSerializer, CompactWriter
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import grid_inference as gi
from grid_inference import aio
from grid_inference.grid.maps import GridMap
from grid_inference.wire import layout
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import FieldKind, Schema, encode_record
from grid_inference.wire.keys import encode_keys
from tests.integration.changes import stock_client
from tests.integration.conftest import Names

ROWS = 2_000
GOLDEN = Path(__file__).parent.parent / "golden"


def orders(seed: int = 5) -> pd.DataFrame:
    """A table with strings, numbers and gaps."""
    random = np.random.default_rng(seed)
    table = pd.DataFrame(
        {
            "city": np.array(["Ghent", "Łódź", "Porto", "Αθήνα"], object)[random.integers(0, 4, ROWS)],
            "amount": random.exponential(40, ROWS),
            "items": random.integers(1, 9, ROWS),
        }
    )
    table.loc[::9, "city"] = None
    table.loc[::7, "amount"] = np.nan
    return table


def test_a_column_transformer_scores_strings_and_gaps_as_by_itself(local_grid: gi.Grid, names: Names) -> None:
    table = orders()
    target = np.where(table["amount"].fillna(0) + 20 * (table["city"] == "Porto") > 40, "late", "early")
    texts = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore"))
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    model = make_pipeline(
        ColumnTransformer([("texts", texts, ["city"]), ("numbers", numbers, ["amount", "items"])]), LogisticRegression()
    ).fit(table.fillna({"city": np.nan}), target)
    local_grid.deploy(names.deployment, model, features=names.features, nan="score")
    local_grid.features(names.features).put_batch(table.assign(key=np.arange(ROWS)), key="key")
    verdict = local_grid.verify(names.deployment, 30.0)
    assert verdict.complete, verdict
    assert (verdict.predictions, verdict.dead_letters) == (ROWS, 0)
    found = local_grid.predictions(names.deployment).get_batch(np.arange(ROWS))
    expected = table.fillna({"city": np.nan})
    np.testing.assert_allclose(found["scores"], model.predict_proba(expected), rtol=0, atol=1e-12)
    assert found["label"].tolist() == model.predict(expected).tolist()


def test_json_values_score_as_the_same_compact_records(local_grid: gi.Grid, names: Names) -> None:
    table = orders()
    table["items"] = table["items"].astype(float)
    numbers = table[["amount", "items"]]
    target = numbers["items"] > 4
    model = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()).fit(numbers, target)
    local_grid.deploy(names.deployment, model, features=names.features, nan="score")
    rows = table.astype(object).where(table.notna(), None).to_dict("records")
    with stock_client(local_grid) as client:
        values = client.get_map(names.features).blocking()
        values.put_all({key: HazelcastJsonValue(json.dumps(row)) for key, row in enumerate(rows)})
        values.put(ROWS, HazelcastJsonValue('{"amount": "much", "items": 1}'))
        values.put(ROWS + 1, HazelcastJsonValue('{"amount": 1'))
        values.put(ROWS + 2, "no record")
    verdict = local_grid.verify(names.deployment, 30.0)
    assert verdict.complete, verdict
    assert (verdict.predictions, verdict.dead_letters) == (ROWS, 3)
    found = local_grid.predictions(names.deployment).get_batch(np.arange(ROWS))
    np.testing.assert_allclose(found["scores"], model.predict_proba(numbers), rtol=0, atol=1e-12)
    letters = {letter.key: letter for letter in local_grid.dead_letters(names.deployment)}
    assert {key: letter.cause for key, letter in letters.items()} == {
        ROWS: "WRONG_TYPE",
        ROWS + 1: "UNDECODABLE",
        ROWS + 2: "UNSUPPORTED_FORMAT",
    }
    assert letters[ROWS].message == "amount is a string, the model needs a number"
    assert letters[ROWS + 2].message == "a string can't be read: put the records as Compact or JSON values"
    assert local_grid.features(names.features).get(3) == rows[3]


def test_values_of_other_formats_become_dead_letters_that_name_them(
    local_grid: gi.Grid, deployed: gi.Predictions, names: Names
) -> None:
    golden = [each for each in json.loads((GOLDEN / "values.json").read_text()) if each["format"] != "JSON"]
    written = [bytes.fromhex(each["data"]) for each in golden]

    async def put() -> None:
        async with await aio.connect(local_grid._grid.config) as grid:
            keys = encode_keys(np.arange(len(written)))
            await GridMap(grid.link, names.features).put_batch(keys, Blobs.of(written))

    asyncio.run(put())
    with stock_client(local_grid) as client:
        client.get_map(names.features).blocking().put(len(written), {"a": 1.0, "b": 2.0, "c": 3.0})
    verdict = local_grid.verify(names.deployment, 30.0)
    assert (verdict.complete, verdict.predictions, verdict.dead_letters) == (True, 0, len(written) + 1)
    letters = sorted(local_grid.dead_letters(names.deployment), key=lambda letter: letter.key)
    assert {letter.cause for letter in letters} == {"UNSUPPORTED_FORMAT"}
    assert [letter.record for letter in letters[:-1]] == written
    described = [layout.described(each["type_id"]) for each in golden]
    assert described[:2] == ["a Portable value", "a java.io.Serializable value"]
    assert [letter.message for letter in letters] == [
        f"{each} can't be read: put the records as Compact or JSON values"
        for each in (*described, "a pickled Python object")
    ]


class Address:
    """What a class of the application looks like to the stock client."""

    def __init__(self, city: str) -> None:
        self.city = city


class Customer:
    def __init__(self, name: str, address: Address | None) -> None:
        self.name = name
        self.address = address


class AddressSerializer(CompactSerializer[Address]):
    def read(self, reader: CompactReader) -> Address:
        return Address(reader.read_string("city") or "")

    def write(self, writer: CompactWriter, obj: Address) -> None:
        writer.write_string("city", obj.city)

    def get_type_name(self) -> str:
        return "Address"

    def get_class(self) -> type[Address]:
        return Address


class CustomerSerializer(CompactSerializer[Customer]):
    def read(self, reader: CompactReader) -> Customer:
        return Customer(reader.read_string("name") or "", reader.read_compact("address"))

    def write(self, writer: CompactWriter, obj: Customer) -> None:
        writer.write_string("name", obj.name)
        writer.write_compact("address", obj.address)

    def get_type_name(self) -> str:
        return "Customer"

    def get_class(self) -> type[Customer]:
        return Customer


def test_a_record_within_a_record_is_read_as_a_dict(local_grid: gi.Grid, names: Names) -> None:
    with stock_client(local_grid, [AddressSerializer(), CustomerSerializer()]) as client:
        values = client.get_map(names.features).blocking()
        values.put(1, Customer("Ann", Address("Ghent")))
        values.put(2, Customer("Bo", None))
    features = local_grid.features(names.features)
    assert features.get(1) == {"name": "Ann", "address": {"city": "Ghent"}}
    assert features.get(2) == {"name": "Bo", "address": None}
    assert features.get_batch([1, 2])["address.city"].tolist() == ["Ghent", None]
    assert features.to_arrow("address.city = 'Ghent'", ["address"]).to_pylist() == [
        {"key": 1, "address": {"city": "Ghent"}}
    ]


def test_declared_inputs_feed_a_model_from_any_records(local_grid: gi.Grid, names: Names) -> None:
    """Nested Compact records, JSON and a flat Compact schema side by side in one map."""
    table = pd.DataFrame({"city": ["Ghent", "Porto", "Oslo", "Ghent"], "name_length": [3.0, 2.0, 4.0, 0.0]})
    encoder = ColumnTransformer([("city", OneHotEncoder(), ["city"])], remainder="passthrough")
    model = make_pipeline(encoder, LogisticRegression()).fit(table, ["a", "b", "b", "a"])
    inputs = {
        "city": {"field": ["address.city", "city"], "one_of": ["Ghent", "Porto"], "default": "Oslo"},
        "name_length": {"field": "lengths[1]", "default": 0},
    }
    local_grid.deploy(names.deployment, model, features=names.features, sample=table, inputs=inputs)
    client = hazelcast.HazelcastClient(
        cluster_name=local_grid.cluster_name,
        cluster_members=[local_grid.address],
        default_int_type=IntType.LONG,
        statistics_enabled=False,
        compact_serializers=[AddressSerializer(), CustomerSerializer()],
    )
    try:
        values = client.get_map(names.features).blocking()
        values.put(1, Customer("Ann", Address("Ghent")))
        values.put(2, Customer("Bo", None))
        values.put(3, HazelcastJsonValue('{"address": {"city": "Porto"}, "lengths": [9, 2]}'))
        values.put(4, HazelcastJsonValue('{"city": "Lima", "lengths": [9]}'))
    finally:
        client.shutdown()
    local_grid.features(names.features).put(5, {"city": "Porto", "lengths": [1.0, 4.0]})
    verdict = local_grid.verify(names.deployment, 30.0)
    assert (verdict.complete, verdict.predictions, verdict.dead_letters) == (True, 5, 0), verdict
    expected = pd.DataFrame(
        {"city": ["Ghent", "Oslo", "Porto", "Oslo", "Porto"], "name_length": [0.0, 0.0, 2.0, 0.0, 4.0]}
    )
    found = local_grid.predictions(names.deployment).get_batch([1, 2, 3, 4, 5])
    np.testing.assert_allclose(found["scores"], model.predict_proba(expected), rtol=0, atol=1e-12)
    assert local_grid.deployment(names.deployment).config.inputs["city"].default == "Oslo"


def test_a_damaged_record_hides_no_nested_schema_of_its_mates(local_grid: gi.Grid, names: Names) -> None:
    model = LogisticRegression().fit(pd.DataFrame({"size": [0.0, 1.0]}), [0, 1])
    inner, outer = Schema.of(f"in{names.features}", {"n": FieldKind.INT32}), f"out{names.features}"
    schema = Schema.of(outer, {"a": FieldKind.COMPACT})
    records = [encode_record(schema, {"a": {"n": n}}, {"a": inner}) for n in range(3)]

    async def write() -> None:
        async with await aio.connect(local_grid._grid.config) as grid:
            await grid.deploy(names.deployment, model, features=names.features, inputs={"size": "a.n"})
            await grid.link.send_schema(schema)
            await grid.link.send_schema(inner)
            damaged = [records[0][:-1] + b"\x77", records[0][:20] + bytes(8) + records[0][28:]]
            await GridMap(grid.link, names.features).put_batch(encode_keys(np.arange(5)), Blobs.of(records + damaged))

    asyncio.run(write())
    verdict = local_grid.verify(names.deployment, 30.0)
    assert (verdict.complete, verdict.predictions, verdict.dead_letters) == (True, 3, 2), verdict
    assert {letter.key: letter.cause for letter in local_grid.dead_letters(names.deployment)} == {
        3: "UNDECODABLE",
        4: "UNDECODABLE",
    }


def test_bytes_that_are_no_record_become_dead_letters(
    local_grid: gi.Grid, deployed: gi.Predictions, names: Names
) -> None:
    features = local_grid.features(names.features)
    features.put(1, {"a": 1.0, "b": 2.0, "c": 3.0})

    async def spoil() -> None:
        async with await aio.connect(local_grid._grid.config) as grid:
            records = GridMap(grid.link, names.features)
            one, two, three = encode_keys([1, 2, 3]).tolist()
            right = await records.get(one)
            assert right is not None
            await records.set(two, right[:8] + bytes(7) + b"\x01" + right[16:])
            await records.set(three, right[:-1])

    asyncio.run(spoil())
    verdict = local_grid.verify(names.deployment, 30.0)
    assert (verdict.complete, verdict.predictions, verdict.dead_letters) == (True, 1, 2)
    letters = {letter.key: letter.cause for letter in local_grid.dead_letters(names.deployment)}
    assert letters == {2: "UNKNOWN_SCHEMA", 3: "UNDECODABLE"}

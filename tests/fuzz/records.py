"""Targets: `get` and `get_batch`, predictions and dead letters. Oracle: the decoder of one record."""

from __future__ import annotations

from collections.abc import Coroutine
from functools import lru_cache, partial
from typing import Any

import numpy as np
from strategies import same
from test_json_properties import stored

from grid_inference.api.features import Features
from grid_inference.errors import DecodeError
from grid_inference.grid.link import Link
from grid_inference.records import DEAD_LETTER, PREDICTION, PREDICTION_MESSAGE, DeadLetter, Prediction
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import FieldKind, Schema, encode_record, nested_schema_ids
from grid_inference.wire.keys import encode_keys
from grid_inference.wire.protocol import frames as f

from .case import Case, Target
from .compact import answer_of, damaged_record, damaged_rows, decode_one, one_record
from .inputs import Inputs, Records, answer, frames_of, pick
from .mutation import mutated

__all__ = ["RECORDS", "Answers", "finished"]

PREDICTIONS = (PREDICTION, PREDICTION_MESSAGE)


class Answers(Link):
    """Stands in for a link: a cluster of one partition that knows these schemas, and a map of these values."""

    partition_count = 1

    def __init__(self, schemas: tuple[Schema, ...], values: tuple[bytes, ...] = ()) -> None:
        self._known_schemas = {each.schema_id: each for each in schemas}
        self._values = values

    def check_loop(self) -> None:
        """There is no loop: every answer is ready."""

    async def schema(self, schema_id: int) -> Schema:
        """The schema, or DecodeError as from a cluster that does not know it."""
        if schema_id not in self._known_schemas:
            raise DecodeError(f"the cluster knows no Compact schema with the id {schema_id}")
        return self._known_schemas[schema_id]

    async def nested_schemas(self, values: Blobs, schema: Schema) -> dict[int, Schema]:
        """Those of the records nested in these ones."""
        known: dict[int, Schema] = {}
        while missing := nested_schema_ids(values, schema, None, known) - known.keys():
            for schema_id in missing:
                known[schema_id] = await self.schema(schema_id)
        return known

    async def call(self, _payload: bytearray, _partition: int = -1) -> f.Message:
        """The first value, as Map.Get answers."""
        return f.message_ends(answer(b"", (self._values[0], 0)))[0]

    async def call_all(self, _requests: Any) -> list[f.Message]:
        """All values under the keys 0, 1 and so on, as Map.GetAll answers."""
        keys = encode_keys(range(len(self._values))).tolist()
        entries = [each for entry in zip(keys, self._values, strict=True) for each in entry]
        return f.message_ends(answer(b"", *frames_of(entries)))


def finished(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    raise AssertionError("it waits for something")


# ---- through `get` and `get_batch`


def _get(case: Case) -> Any:
    return finished(Features(Answers(case.schemas, case.items), "map").get(0))


def _check_get(case: Case, found: Any) -> None:
    record = answer_of(decode_one, case) if case.schemas else found
    assert isinstance(record, DecodeError) or same(found, record)


def _get_batch(case: Case) -> Any:
    return finished(Features(Answers(case.schemas, case.items), "map").get_batch(range(len(case.items))))


def _make_get(rng: np.random.Generator, inputs: Inputs) -> Case:
    """A record, flat or with others in it, or a JSON value."""
    kind = pick(rng, ("records", "nested", "json"))
    if kind != "json":
        return one_record(kind, rng, inputs)
    texts = pick(rng, inputs.json)[0]
    value = stored(pick(rng, texts))
    return Case((mutated(rng, value, stored(pick(rng, texts))) if rng.random() < 0.5 else value,))


def _make_mixed(rng: np.random.Generator, inputs: Inputs) -> Case:
    """Rows of two schemas."""
    first, second = pick(rng, inputs.records), pick(rng, inputs.records)
    rows = [row for some in (first, second) for row in damaged_rows(rng, some, int(rng.integers(1, 4)))]
    return Case(tuple(rows), (first.schemas[0], second.schemas[0]))


# ---- our own records


@lru_cache(maxsize=4)
def _own_records(schema: Schema) -> Records:
    values = {
        FieldKind.STRING: ["", "a text", None],
        FieldKind.FLOAT64: [0.5, float("nan"), -1e300],
        FieldKind.INT32: [0, 1, -(2**31)],
        FieldKind.INT64: [0, 1, -(2**63)],
        FieldKind.ARRAY_OF_FLOAT64: [[], [0.25, 0.75], None],
        FieldKind.ARRAY_OF_INT8: [b"", b"\x80\xff\0", None],
    }
    rows = [{each.name: values[each.kind][i] for each in schema.fields} for i in range(3)]
    return Records((schema,), tuple(encode_record(schema, row) for row in rows))


def _make_own(schemas: tuple[Schema, ...], rng: np.random.Generator, inputs: Inputs) -> Case:
    """A key and a value."""
    some, key = _own_records(pick(rng, schemas)), pick(rng, inputs.keys)
    item = pick(rng, some.items)
    value = damaged_record(rng, item, pick(rng, some.items)) if rng.random() < 0.8 else item
    return Case((mutated(rng, key, item) if rng.random() < 0.3 else key, value))


def _check_own(schemas: tuple[Schema, ...], case: Case, found: Any) -> None:
    """It is read if the record is."""
    records = [answer_of(decode_one, Case(case.items[1:], (schema,))) for schema in schemas]
    assert isinstance(found, DecodeError) == all(isinstance(each, DecodeError) for each in records)


RECORDS = (
    Target("get", _make_get, _get, _check_get),
    Target("get_batch", _make_mixed, _get_batch),
    Target(
        "prediction",
        partial(_make_own, PREDICTIONS),
        lambda case: Prediction.decode(*case.items),
        partial(_check_own, PREDICTIONS),
    ),
    Target(
        "dead letter",
        partial(_make_own, (DEAD_LETTER,)),
        lambda case: DeadLetter.decode(*case.items),
        partial(_check_own, (DEAD_LETTER,)),
    ),
)

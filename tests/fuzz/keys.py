"""Targets: keys, digests, texts, and schemas as a member sends them. Oracles: one at a time, the stock client."""

from __future__ import annotations

import struct
from functools import cache
from typing import Any

import numpy as np
from hazelcast.config import Config
from hazelcast.hash import hash_to_index
from hazelcast.serialization.data import Data
from hazelcast.serialization.service import SerializationServiceV1
from stock_client import stock_schema
from strategies import same

from grid_inference.errors import DecodeError
from grid_inference.wire.arrow.arrays import arrow_keys
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import FieldKind, Schema
from grid_inference.wire.digest import input_digest
from grid_inference.wire.keys import DataKey, decode_keys, key_text, key_texts, partition_ids
from grid_inference.wire.texts import decode_texts

from .case import Case, OnlyStockError, Target, scattered
from .inputs import Inputs, pick
from .limits import NOTHING, read_by_stock
from .mutation import mutated

__all__ = ["KEYS"]

ROWS = (1, 2, 5, 33, 140)
DAMAGED_SHARES = (0.0, 0.05, 1.0)
PARTITIONS = 271
HASHED_AGAIN_BYTES_MAX = 1 << 10
"""One by one, keys are hashed in plain Python, by the stock client too."""
TEXTS = tuple(each.encode(errors="surrogatepass") for each in ("", "a", "ß€😀", "\ud800", "x" * 40))


def _make_keys(rng: np.random.Generator, inputs: Inputs) -> Case:
    """Keys of one type or of several, some of them damaged."""
    some = [pick(rng, inputs.keys) for _ in range(int(rng.integers(1, 4)))]
    keys = [pick(rng, some) for _ in range(pick(rng, ROWS))]
    share = pick(rng, DAMAGED_SHARES)
    return Case(tuple(mutated(rng, key, pick(rng, inputs.keys)) if rng.random() < share else key for key in keys))


# ---- keys


def _decode_keys(case: Case) -> tuple[list[Any], list[str], list[bytes], list[Any]]:
    blobs = scattered(case.items)
    return decode_keys(blobs), key_text(blobs), key_texts(blobs).tolist(), arrow_keys([blobs]).to_pylist()


def _check_keys(case: Case, found: Any) -> None:
    values, text, texts, arrow = found
    assert [each.encode() for each in text] == texts
    assert len(arrow) == len(values)
    for key, value in dict(zip(case.items, values, strict=True)).items():
        assert same(decode_keys(Blobs.of([key])), [value])
        theirs = read_by_stock(lambda key=key: _service().to_object(Data(key)))
        if theirs is NOTHING or not isinstance(theirs, int | float | str | bytearray):
            continue
        if isinstance(value, DataKey) and not isinstance(theirs, bool):
            raise OnlyStockError(f"a key of type {key[4:8].hex()} stays bytes")
        assert isinstance(value, DataKey) or same(bytes(theirs) if isinstance(theirs, bytearray) else theirs, value)


@cache
def _service() -> SerializationServiceV1:
    return SerializationServiceV1(Config())


def _partitions(case: Case) -> list[int]:
    return partition_ids(scattered(case.items), PARTITIONS).tolist()


def _check_partitions(case: Case, found: list[int]) -> None:
    for key, partition in dict(zip(case.items, found, strict=True)).items():
        if len(key) > HASHED_AGAIN_BYTES_MAX:
            continue
        assert partition_ids(Blobs.of([key]), PARTITIONS).tolist() == [partition]
        if len(key) > 8 and key[:4] != b"\x80\0\0\0":  # the stock client errs at Integer.MIN_VALUE
            assert hash_to_index(Data(key).get_partition_hash(), PARTITIONS) == partition


# ---- digests


def _make_blobs(rng: np.random.Generator, inputs: Inputs) -> Case:
    if rng.random() < 0.5:
        return _make_keys(rng, inputs)
    some = pick(rng, inputs.records).items
    rows = [pick(rng, some) for _ in range(pick(rng, ROWS))]
    share = pick(rng, DAMAGED_SHARES)
    return Case(tuple(mutated(rng, row, some[0]) if rng.random() < share else row for row in rows))


def _digests(case: Case) -> list[int]:
    return input_digest(scattered(case.items)).tolist()


def _check_digests(case: Case, found: list[int]) -> None:
    alone = {item: int(input_digest(Blobs.of([item]))[0]) for item in set(case.items)}
    assert found == [alone[item] for item in case.items]


# ---- texts


def _make_texts(rng: np.random.Generator, _: Inputs) -> Case:
    rows = [pick(rng, TEXTS[:3]) for _ in range(pick(rng, ROWS))]
    share = pick(rng, DAMAGED_SHARES)
    return Case(tuple(mutated(rng, row, TEXTS[2], TEXTS) if rng.random() < share else row for row in rows))


def _texts(case: Case) -> list[str]:
    return decode_texts(scattered(case.items)).tolist()


def _check_texts(case: Case, found: Any) -> None:
    try:
        expected = [str(item, "utf-8") for item in case.items]
    except UnicodeDecodeError:
        assert isinstance(found, DecodeError)
    else:
        assert found == expected


# ---- schemas

_KIND = struct.Struct(">i")


def _make_schema(rng: np.random.Generator, inputs: Inputs) -> Case:
    """The type's name, then kind and name of each field."""
    schema = pick(rng, inputs.records).schemas[0]
    items = [schema.type_name.encode(), *(_KIND.pack(each.kind) + each.name.encode() for each in schema.fields)]
    for _ in range(int(rng.integers(3))):
        at = int(rng.integers(len(items)))
        items[at] = mutated(rng, items[at], pick(rng, items), TEXTS)
    if rng.random() < 0.2:
        items.append(pick(rng, items))
    return Case(tuple(items))


def _sent(case: Case) -> tuple[str, list[tuple[str, int]]]:
    """What the items say, as the stock client hands it on."""
    name, *fields = case.items
    padded = [field.ljust(_KIND.size, b"\0") for field in fields]
    kinds = [(_text(field[_KIND.size :]), _KIND.unpack_from(field)[0]) for field in padded]
    return _text(name), kinds


def _text(name: bytes) -> str:
    return name.decode(errors="surrogateescape")


def _decode_schema(case: Case) -> Schema:
    return Schema.from_wire(*_sent(case))


def _check_schema(case: Case, found: Any) -> None:
    name, fields = _sent(case)
    names = [field for field, _ in fields]
    known = all(kind in FieldKind.__members__.values() for _, kind in fields)
    right = known and len(set(names)) == len(names) and all(map(_is_encodable, (name, *names)))
    assert right == isinstance(found, Schema)
    if isinstance(found, Schema) and max(map(ord, "".join((" ", *names)))) < 0x10000:  # sorted as Java does
        stock = stock_schema(found)
        assert (found.schema_id, found.fixed_bytes) == (stock.schema_id, stock.fix_sized_fields_length)


def _is_encodable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


KEYS = (
    Target("keys", _make_keys, _decode_keys, _check_keys, refuses=False, weight=2),
    Target("partitions", _make_keys, _partitions, _check_partitions, refuses=False),
    Target("digest", _make_blobs, _digests, _check_digests, refuses=False, weight=2),
    Target("texts", _make_texts, _texts, _check_texts),
    Target("schema", _make_schema, _decode_schema, _check_schema),
)

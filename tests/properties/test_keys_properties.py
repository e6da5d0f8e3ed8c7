"""Keys and partitions against the stock client."""

from typing import Any

import numpy as np
from hazelcast.config import IntType
from hazelcast.hash import hash_to_index, murmur_hash3_x86_32
from hazelcast.serialization.data import Data
from hypothesis import given
from hypothesis import strategies as st
from stock_client import stock_key
from strategies import damaged, same, scattered, text

from grid_inference.wire.blobs import Blobs
from grid_inference.wire.keys import (
    DataKey,
    decode_keys,
    encode_key,
    encode_keys,
    guard_key,
    key_text,
    murmur3,
    partition_id,
    partition_ids,
)

longs = st.integers(-(2**63), 2**63 - 1)
keys = longs | text | st.floats() | st.uuids() | st.binary(max_size=20)


def stock_partition(data: bytes, count: int) -> int:
    return hash_to_index(Data(data).get_partition_hash(), count)


@given(st.lists(keys, max_size=30))
def test_keys_are_the_stock_clients(values: list[Any]) -> None:
    encoded = encode_keys(values)
    stock = [stock_key(bytearray(value) if isinstance(value, bytes) else value) for value in values]
    assert encoded.tolist() == stock
    assert [encode_key(value) for value in values] == stock
    assert same(decode_keys(encoded), values)
    assert len(key_text(encoded)) == len(values)


@given(st.lists(st.integers(-(2**31), 2**31 - 1), max_size=30))
def test_int_keys_only_on_demand(values: list[int]) -> None:
    stock = [stock_key(value, IntType.INT) for value in values]
    assert encode_keys(values, "int").tolist() == stock
    assert encode_keys(np.array(values, np.int32), "int").tolist() == stock
    assert encode_keys(np.array(values, np.int32)).tolist() == [stock_key(value) for value in values]


@given(st.data())
def test_hash_and_partition_are_the_stock_clients(data: st.DataObject) -> None:
    payloads = data.draw(st.lists(st.binary(max_size=40), max_size=40)) * data.draw(st.integers(1, 12))
    stored = [data.draw(st.sampled_from([b"\0" * 4, b"\x80\0\0\0", b"\xff" * 4, b"\0\0\x01\x0f"])) for _ in payloads]
    items = [head + b"\0\0\0\1" + payload for head, payload in zip(stored, payloads, strict=True)]
    blobs, count = data.draw(scattered(items)), data.draw(st.integers(1, 1000))
    assert murmur3(blobs).tolist() == [murmur_hash3_x86_32(item) for item in items]
    # The stock client's test for Integer.MIN_VALUE never hits (it compares with +2^31); Java puts it into partition 0.
    expected = [0 if item[:4] == b"\x80\0\0\0" else stock_partition(item, count) for item in items]
    assert partition_ids(blobs, count).tolist() == expected
    assert [partition_id(item, count) for item in items] == expected


@given(text, st.integers(1, 2000), st.data())
def test_guard_keys_lie_where_they_should(name: str, count: int, data: st.DataObject) -> None:
    partition = data.draw(st.integers(0, count - 1))
    key = guard_key(name, partition, count)
    assert stock_partition(key, count) == partition
    assert partition_ids(Blobs.of([key]), count).tolist() == [partition]
    assert partition_id(key, count) == partition
    assert decode_keys(Blobs.of([key])) == [name]


@given(st.data())
def test_damaged_keys_stay_bytes(data: st.DataObject) -> None:
    whole = [stock_key(bytearray(v) if isinstance(v, bytes) else v) for v in data.draw(st.lists(keys, max_size=6))]
    items = [data.draw(damaged(item)) for item in whole]
    blobs = data.draw(scattered(items))
    decoded = decode_keys(blobs)
    assert len(key_text(blobs)) == len(items)
    assert len(partition_ids(blobs, 271)) == len(items)
    for value, item in zip(decoded, items, strict=True):
        assert not isinstance(value, DataKey) or value == item

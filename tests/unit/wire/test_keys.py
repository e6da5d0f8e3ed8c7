from typing import Any
from uuid import UUID

import numpy as np
import pytest

from grid_inference.errors import EncodeError
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.keys import (
    DataKey,
    decode_keys,
    encode_keys,
    guard_key,
    key_text,
    key_texts,
    murmur3,
    partition_ids,
)

UUID_TEXT = "00112233-4455-6677-8899-aabbccddeeff"

BYTES: list[tuple[Any, str | None, str]] = [
    (4711, None, "00000000 fffffff8 0000000000001267"),
    (-1, "long", "00000000 fffffff8 ffffffffffffffff"),
    (2**63 - 1, None, "00000000 fffffff8 7fffffffffffffff"),
    (-(2**63), None, "00000000 fffffff8 8000000000000000"),
    (4711, "int", "00000000 fffffff9 00001267"),
    (-(2**31), "int", "00000000 fffffff9 80000000"),
    (258, "short", "00000000 fffffffa 0102"),
    (-128, "byte", "00000000 fffffffd 80"),
    (1.5, None, "00000000 fffffff6 3ff8000000000000"),
    (1.5, "float", "00000000 fffffff7 3fc00000"),
    ("", None, "00000000 fffffff5 00000000"),
    ("grün", None, "00000000 fffffff5 00000005 6772c3bc6e"),
    (b"\1\2", None, "00000000 fffffff4 00000002 0102"),
    (UUID(UUID_TEXT), None, "00000000 ffffffeb 00112233445566778899aabbccddeeff"),
]


@pytest.mark.parametrize(("value", "kind", "data"), BYTES)
def test_bytes_of_a_key(value: Any, kind: str | None, data: str) -> None:
    keys = encode_keys([value], kind)
    assert keys[0] == bytes.fromhex(data)
    assert decode_keys(keys) == [value]
    assert encode_keys(decode_keys(keys), kind)[0] == keys[0]


def test_kinds_may_differ_from_key_to_key() -> None:
    values = [1, "a", 2.5, UUID(UUID_TEXT), 3]
    keys = encode_keys(values)
    assert decode_keys(keys) == values
    assert key_text(keys) == ["1", "a", "2.5", UUID_TEXT, "3"]


@pytest.mark.parametrize("dtype", ["i1", "u2", "<i4", ">i4", "u4", "<i8", ">i8"])
def test_integer_arrays_become_long(dtype: str) -> None:
    assert encode_keys(np.array([1, 2], dtype)).tolist() == encode_keys([1, 2]).tolist()


def test_other_arrays() -> None:
    assert decode_keys(encode_keys(np.array(["a", "bc"]))) == ["a", "bc"]
    assert decode_keys(encode_keys(np.array(["a", 1], object))) == ["a", 1]
    assert decode_keys(encode_keys(np.array([0.1], np.float32), "double")) == [float(np.float32(0.1))]
    assert decode_keys(encode_keys([np.int32(5), np.float32(0.5), np.str_("x")])) == [5, 0.5, "x"]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([True], None),
        ([None], None),
        ([(1, 2)], None),
        ([2**63], None),
        ([-(2**63) - 1], "long"),
        ([2**31], "int"),
        ([200], "byte"),
        ([1.5], "int"),
        ([True], "int"),
        (np.array([1.5]), "long"),
        (np.array([2**63], np.uint64), None),
        (np.array([[1]]), None),
        (["1"], "long"),
        ([1], "string"),
        (["\ud800"], None),
        ([1], "uuid"),
        (["a"], "bytes"),
        ([b"short"], "data"),
        ([1], "number"),
    ],
)
def test_refuses_what_does_not_fit(values: Any, kind: str | None) -> None:
    with pytest.raises(EncodeError):
        encode_keys(values, kind)


@pytest.mark.parametrize(
    "data",
    [
        "00000000 ffffffc9 0102030405060708",  # Compact
        "00000000 fffffff8 01020304050607",  # a long of seven bytes
        "00000000 fffffff5 00000003 6162",  # a string that ends too early
        "00000000 fffffff5 ffffffff",  # a null string
        "00000000 fffffff5 00000001 ff",  # no UTF-8
        "00000000 ffffffeb 0011",
        "00000000",
    ],
)
def test_other_keys_stay_as_they_came(data: str) -> None:
    raw = bytes.fromhex(data)
    (key,) = decode_keys(Blobs.of([raw]))
    assert isinstance(key, DataKey)
    assert key == raw
    assert key_text(Blobs.of([raw])) == [raw.hex()]
    if len(raw) >= 8:
        assert encode_keys([key]).tolist() == encode_keys([raw], "data").tolist() == [raw]


def test_no_keys() -> None:
    assert len(encode_keys([])) == len(decode_keys(Blobs.empty())) == len(partition_ids(Blobs.empty(), 271)) == 0
    assert decode_keys(Blobs(np.zeros(0, np.uint8), np.array([0]), np.array([-1]))) == [None]


@pytest.mark.parametrize("payload", [b"", b"a", b"abcd", b"abcdefghijk"])
def test_murmur3_one_by_one_and_many_at_once(payload: bytes) -> None:
    item = bytes(8) + payload
    one = murmur3(Blobs.of([item])).tolist()
    assert murmur3(Blobs.of([item] * 20)).tolist() == one * 20
    assert murmur3(Blobs.of([item[8:]] * 20), offset=0).tolist() == one * 20


@pytest.mark.parametrize(
    ("stored", "partition"),
    [("00000001", 1), ("0000010f", 0), ("fffffffe", 2), ("80000000", 0), ("7fffffff", (2**31 - 1) % 271)],
)
def test_a_stored_hash_goes_before_the_payload(stored: str, partition: int) -> None:
    key = bytes.fromhex(stored) + encode_keys(["a"])[0][4:]
    mixed = Blobs.of([encode_keys(["a"])[0], key])
    assert partition_ids(Blobs.of([key]), 271).tolist() == [partition]
    assert partition_ids(mixed, 271).tolist() == [int(partition_ids(encode_keys(["a"]), 271)[0]), partition]


def test_guard_keys() -> None:
    assert guard_key("p", 7, 271) == bytes.fromhex("00000007 fffffff5 00000001 70")
    assert guard_key("p", 0, 271) == bytes.fromhex("0000010f fffffff5 00000001 70")
    for partition in range(31):
        assert partition_ids(Blobs.of([guard_key("positions", partition, 31)]), 31).tolist() == [partition]
    for partition in (-1, 31):
        with pytest.raises(EncodeError):
            guard_key("positions", partition, 31)


def test_texts_of_many_longs_are_those_of_each() -> None:
    borders = [sign * (10**power + step) for power in range(19) for step in (-1, 0, 1) for sign in (1, -1)]
    keys = encode_keys([*borders, 2**63 - 1, -(2**63)])
    assert key_texts(keys).tolist() == [text.encode() for text in key_text(keys)]

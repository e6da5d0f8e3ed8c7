"""Targets: JSON values as columns, by Arrow and one by one, and as `get` reads them. Oracles: json.loads and a walk."""

from __future__ import annotations

from typing import Any

import numpy as np
from hazelcast.config import Config
from hazelcast.serialization.data import Data
from hazelcast.serialization.service import SerializationServiceV1
from strategies import same
from test_json_properties import NAMES, check, expected_record, stored

from grid_inference.errors import DecodeError
from grid_inference.wire.json.arrow import ArrowReader, RefusedError, suited
from grid_inference.wire.json.columns import decode_json_columns, json_rows
from grid_inference.wire.json.lookup import find, parse_object, parse_path
from grid_inference.wire.json.values import decode_bytes, decode_json, encode_bytes

from .case import Case, OnlyStockError, Target, scattered
from .inputs import Inputs, pick
from .limits import NOTHING, read_by_stock
from .mutation import mutated

__all__ = ["JSON", "JSON_TOKENS"]

JSON_TOKENS = (
    *(b"null", b"true", b"-0", b"-0.0", b"1e999", b"1E-400", b"NaN", b"-Infinity", b"0.1", b'"', b"\\", b"\\u0000"),
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b"[]",
        b"{}",
        b",",
        b":",
        b'"a":',
        b'"a.b":',
        b"\\ud800",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
    ),
    *(b"\n", b"\r", b"\t", b" ", b"\0", b"9" * 308, b"9" * 309, b"9" * 400, b"9223372036854775808", b"2020-01-01"),
    *(b"[" * 600, b'{"a":' * 600, b"[" * 3000),
)
STRANGE_NAMES = ("", ".", "a.", "a[", "a[-1]", "a[99999999999]", "[0]", "a[0][1].b", "\ud800", "a\0b", '"', "a.b.c.d")
COPIES = (1, 1, 30, 100)
ROWS_MAX = 400


def _make_batch(rng: np.random.Generator, inputs: Inputs) -> Case:
    """Texts of one shape, some of them damaged, and names to look for."""
    texts, names = pick(rng, inputs.json)
    texts = (texts[:40] * pick(rng, COPIES))[:ROWS_MAX]
    items, share = [stored(text) for text in texts], pick(rng, (0.0, 0.02, 0.3))
    for row in np.flatnonzero(rng.random(len(items)) < share).tolist():
        foreign = rng.random() < 0.2  # of other types, it may be
        items[row] = stored(pick(rng, pick(rng, inputs.json)[0])) if foreign else _damaged(rng, texts[row], texts[0])
    if rng.random() < 0.3:
        names = [*names, *(pick(rng, NAMES) for _ in range(3))]
    return Case(tuple(items), names=tuple(dict.fromkeys(names)))


def _damaged(rng: np.random.Generator, text: bytes, other: bytes) -> bytes:
    """Mostly the text itself: its length says so."""
    if rng.random() < 0.2:
        return mutated(rng, stored(text), stored(other), JSON_TOKENS)
    return stored(mutated(rng, text, other, JSON_TOKENS))


def _columns(case: Case) -> Any:
    blobs = scattered(case.items)
    json_rows(blobs)
    return decode_json_columns(blobs, list(case.names))


def _check_columns(case: Case, found: Any) -> None:
    try:
        check(list(case.items), list(case.names), found)
    except RecursionError:  # json.loads itself can't tell what it is
        return


# ---- one text


def _make_text(rng: np.random.Generator, inputs: Inputs) -> Case:
    texts, names = pick(rng, inputs.json)
    text = pick(rng, texts)
    text = mutated(rng, text, pick(rng, texts), JSON_TOKENS) if rng.random() < 0.8 else text
    name = pick(rng, [*names, *NAMES, *STRANGE_NAMES])
    return Case((text,), names=(mutated(rng, name.encode(errors="replace"), b"[0].a").decode(errors="replace"), name))


def _lookup(case: Case) -> tuple[Any, list[Any]]:
    record = parse_object(case.items[0])
    return record, [find(record, name) for name in case.names]


def _check_lookup(case: Case, found: Any) -> None:
    try:
        expected = expected_record(stored(case.items[0]))
    except RecursionError:
        return
    assert isinstance(found, DecodeError) == (expected is None)
    if not isinstance(found, DecodeError):
        record, values = found
        assert same(record, expected)
        for name, value in zip(case.names, values, strict=True):
            if len(parse_path(name)) == 1:
                assert same(value, record.get(name))


def _value(case: Case) -> Any:
    return decode_json(case.items[0])


def _make_value(rng: np.random.Generator, inputs: Inputs) -> Case:
    (text,) = _make_text(rng, inputs).items
    return Case((_damaged(rng, text, text) if rng.random() < 0.3 else stored(text),))


_service = SerializationServiceV1(Config())


def _check_value(case: Case, found: Any) -> None:
    theirs = read_by_stock(lambda: _service.to_object(Data(case.items[0])).loads())
    if theirs is NOTHING:
        return
    if isinstance(found, DecodeError):
        raise OnlyStockError(str(found))
    assert same(found, theirs)


def _bytes(case: Case) -> bytes:
    return decode_bytes(case.items[0])


def _make_bytes(rng: np.random.Generator, inputs: Inputs) -> Case:
    content = pick(rng, inputs.keys)
    item = encode_bytes(content)
    return Case((mutated(rng, item, content) if rng.random() < 0.7 else item,))


# ---- many texts by Arrow


def _make_suited(rng: np.random.Generator, inputs: Inputs) -> Case:
    """Texts behind no header, and names."""
    case = _make_batch(rng, inputs)
    return Case(tuple(item[12:] for item in case.items), names=case.names)


def _arrow(case: Case) -> Any:
    fits = suited(case.items, case.names)
    texts = [text for text, fit in zip(case.items, fits.tolist(), strict=True) if fit]
    if not texts:
        return texts, {}
    try:
        return texts, ArrowReader(texts, case.names).read(texts, learn=len(texts) % 2 == 0)
    except RefusedError:
        raise DecodeError("Arrow refuses it") from None


def _check_arrow(case: Case, found: Any) -> None:
    """What Arrow reads, Python reads too, and to the same values."""
    if isinstance(found, DecodeError):
        return
    texts, columns = found
    records = [parse_object(text) for text in texts]
    for name, column in columns.items():
        for row, record in enumerate(records):
            there = column.valid is None or bool(column.valid[row])
            value = find(record, name)
            assert there == (value is not None)
            found = column.values[row : row + 1].tolist()[0]
            assert not there or same(float(value) if isinstance(found, float) else value, found)


JSON = (
    Target("json columns", _make_batch, _columns, _check_columns, refuses=False, weight=2),
    Target("json arrow", _make_suited, _arrow, _check_arrow),
    Target("json lookup", _make_text, _lookup, _check_lookup, weight=2),
    Target("json value", _make_value, _value, _check_value, weight=2),
    Target("byte array", _make_bytes, _bytes),
)

"""Valid inputs: from the property tests' own strategies, drawn by a seed, and from the golden bytes that Java wrote."""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from stock_client import stock_key
from strategies import records, schemas
from test_compact_nested_properties import by_path, nested_records, nested_schemas
from test_json_properties import batches
from test_keys_properties import keys
from test_messages_properties import entries, frame, journal_answer, journal_item

from grid_inference.wire.compact import FieldKind, Schema, encode_record
from grid_inference.wire.compact.record import NESTING_MAX
from grid_inference.wire.protocol import frames as f

__all__ = ["Inputs", "Records", "answer", "drawn", "frames_of", "pick"]

GOLDEN = Path(__file__).parents[1] / "golden"
RECORD_SETS, ANSWERS, JSON_BATCHES, KEYS = 60, 60, 25, 120
RECORD_BYTES_MAX = 1 << 12
"""Longer ones are kept only here and there: most of their bytes are one text."""


@dataclass(frozen=True, slots=True)
class Records:
    """Valid records of one schema, the first of `schemas`; the others are of records nested in them."""

    schemas: tuple[Schema, ...]
    items: tuple[bytes, ...]


def drawn(strategy: st.SearchStrategy[Any], count: int, number: int) -> list[Any]:
    """Some `count` examples of a strategy, by a seed; a few fewer if there are no more."""
    found: list[Any] = []

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(value: Any) -> None:
        found.append(value)

    collect()
    return found


def pick(rng: np.random.Generator, some: Any) -> Any:
    """One of them."""
    return some[int(rng.integers(len(some)))]


class Inputs:
    """What the cases of one generation are made from."""

    def __init__(self, number: int) -> None:
        self.records: list[Records] = [*drawn(_plain(), RECORD_SETS, number), *_golden_records()]
        self.nested: list[Records] = [*drawn(_nested(), RECORD_SETS // 2, number), _chain()]
        self.json: list[tuple[list[bytes], list[str]]] = drawn(batches(), JSON_BATCHES, number)
        self.keys: list[bytes] = [*drawn(keys.map(_key), KEYS, number), *_golden_keys()]
        self.answers: dict[str, list[bytes]] = {
            kind: drawn(strategy, ANSWERS // 4, number) for kind, strategy in ANSWER_KINDS.items()
        }


# ---- records


@st.composite
def _plain(draw: st.DrawFn) -> Records:
    schema = draw(schemas().filter(lambda each: len(each.fields) > 1))
    items = tuple(encode_record(schema, each) for each in draw(st.lists(records(schema), min_size=1, max_size=4)))
    short = tuple(item for item in items if len(item) <= RECORD_BYTES_MAX)
    return Records((schema,), short or items[:1])


@st.composite
def _nested(draw: st.DrawFn) -> Records:
    chain = draw(nested_schemas())
    rows = draw(st.lists(nested_records(chain), min_size=1, max_size=4))
    outer, middle, inner = chain
    return Records(chain, tuple(encode_record(outer, row, by_path(middle, inner)) for row in rows))


def _chain() -> Records:
    """A record of one schema that lies in itself, as deep as may be."""
    schema = Schema.of("chain", {"n": FieldKind.INT8, "next": FieldKind.COMPACT, "all": FieldKind.ARRAY_OF_COMPACT})
    record: dict[str, Any] = {"n": 0, "next": None, "all": None}
    nested = {".".join(["next"] * depth): schema for depth in range(1, NESTING_MAX + 1)}
    for n in range(1, NESTING_MAX + 1):
        record = {"n": n, "next": record, "all": None}
    return Records((schema,), (encode_record(schema, record, nested),))


@cache
def _golden_records() -> list[Records]:
    return [
        Records((Schema.of(each["type_name"], each["kinds"]),), (bytes.fromhex(each["data"]),))
        for each in _entries("records.json")
        if each["data"] is not None
    ]


@cache
def _golden_keys() -> list[bytes]:
    return [bytes.fromhex(each["data"]) for each in _entries("keys.json")]


def _entries(name: str) -> list[dict[str, Any]]:
    found = json.loads((GOLDEN / name).read_text(encoding="utf-8"))
    for each in found:
        if "kinds" in each:
            each["kinds"] = {name: FieldKind(kind) for name, kind in each["kinds"].items()}
    return found


def _key(value: Any) -> bytes:
    return stock_key(bytearray(value) if isinstance(value, bytes) else value)


# ---- answers, as a member sends them

payloads = st.binary(max_size=8).map(lambda tail: struct.pack(">ii", 0, -11) + tail)


def answer(fixed: bytes, *frames: tuple[bytes, int]) -> bytes:
    """A response whose own fields are `fixed`; the last frame becomes the final one."""
    every = [(struct.pack("<iqB", 0x010201, 1, 0) + fixed, f.UNFRAGMENTED), *frames]
    every[-1] = (every[-1][0], every[-1][1] | f.IS_FINAL)
    return b"".join(frame(*each) for each in every)


def frames_of(items: list[bytes]) -> list[tuple[bytes, int]]:
    """A list of Data as frames and their flags."""
    return [(b"", f.BEGIN), *((item, 0) for item in items), (b"", f.END)]


def _nullable(item: bytes | None) -> tuple[bytes, int]:
    return (b"", f.IS_NULL) if item is None else (item, 0)


def _page(pointers: list[tuple[int, int]], items: list[bytes]) -> bytes:
    packed = b"".join(struct.pack("<ii", *pointer) for pointer in pointers)
    return answer(b"", (packed, 0), *frames_of(items[: len(items) // 2 * 2]))


def _event(kind: int, parts: list[bytes | None], uuid: UUID) -> bytes:
    head = struct.pack("<iqii?QQi", 0x011902, 1, -1, kind, False, 0, uuid.int >> 64, 1)
    frames = [(head, f.UNFRAGMENTED), *map(_nullable, parts)]
    return b"".join(frame(*each) for each in frames[:-1]) + frame(frames[-1][0], frames[-1][1] | f.IS_FINAL)


def _view(times: list[int], item: bytes) -> bytes:
    return answer(struct.pack("<q", 2**63 - 1), *frames_of([struct.pack("<10q", *times), item, item]))


_pointer = st.tuples(st.integers(-1, 2**31 - 1), st.integers(-1, 2**31 - 1))
_some = st.lists(payloads, max_size=12) | st.lists(payloads, min_size=36, max_size=50)
ANSWER_KINDS: dict[str, st.SearchStrategy[bytes]] = {
    "data": (st.none() | payloads).map(lambda item: answer(b"", _nullable(item))),
    "flag": st.booleans().map(lambda flag: answer(bytes([flag]))),
    "size": st.integers(0, 2**31 - 1).map(lambda size: answer(struct.pack("<i", size))),
    "values": _some.map(lambda items: answer(b"", *frames_of(items))),
    "entries": _some.map(lambda items: answer(b"", *frames_of(items[: len(items) // 2 * 2]))),
    "scan page": st.builds(_page, st.lists(_pointer, min_size=1, max_size=3), _some),
    "entry event": st.builds(
        _event, st.sampled_from([1, 2, 4, 8]), st.lists(st.none() | payloads, min_size=4, max_size=4), st.uuids()
    ),
    "journal range": st.builds(
        lambda oldest, count: answer(struct.pack("<qq", oldest, oldest + count)), st.integers(0, 2**40), st.just(3)
    ),
    "map limits": st.builds(
        lambda numbers, policy: answer(struct.pack("<7iBi", *numbers, 0, policy), *frames_of([b"policy"])),
        st.lists(st.integers(0, 2**31 - 1), min_size=7, max_size=7),
        st.integers(0, 5),
    ),
    "entry times": st.builds(_view, st.lists(st.integers(-1, 2**63 - 1), min_size=10, max_size=10), payloads),
    "journal": st.lists(entries.map(lambda each: journal_item(*each)), max_size=40).map(journal_answer),
}

"""Filters here and in a real member: both find the same rows, or the filter is refused here.

Two members answer. One runs queries as they stand, which is how listeners filter too; the other one optimizes them,
which may leave nulls out of what is negated and nothing else. WHERE_TEXTS says how many filters are made up at random.
"""

from __future__ import annotations

import asyncio
import os
import random
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hazelcast
import numpy as np
import pytest
from hazelcast.config import IntType
from hazelcast.predicate import sql

import grid_inference as gi
from grid_inference.flow.conditions import COMPARISONS
from grid_inference.flow.where import Where
from grid_inference.grid.entries import CompactEntries
from grid_inference.grid.link import Link
from grid_inference.grid.link.listeners import Listener
from grid_inference.grid.maps import GridMap
from grid_inference.records import PREDICTION, PREDICTION_MESSAGE
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import Schema, encode_record
from grid_inference.wire.keys import decode_keys, encode_keys
from grid_inference.wire.protocol.journal import ADDED, UPDATED
from grid_inference.wire.protocol.messages import decode_entry_event
from grid_inference.wire.schema import FieldKind as K
from tests.integration.conftest import until

TEXTS = int(os.environ.get("WHERE_TEXTS", "400"))
SEED = int(os.environ.get("WHERE_SEED", "7"))
ROWS = 56

NAN, INFINITY = float("nan"), float("inf")
SCORES = [NAN, INFINITY, -INFINITY, 0.0, -0.0, 0.1, 0.5, 1.0, 2.0, 1e300, 5e-324, 2.0**53, 2.0**63, -1.0, 0.1 + 0.2]
FLOATS = [0.9, -0.0, 0.0, NAN, 0.5, INFINITY, 3.4e38, 1.0]
INTS = [0, 1, 2, 3, 2**31 - 1, -(2**31), -1, 10]
LONGS = [0, 1, 2**63 - 1, -(2**63), 2**53, 2**53 + 1, -1, 10**18]
LABELS = [None, "", "ok", "OK", "Ok", "true", "false", "null", "1", "1.0", "a'b", "x_y", "x%y", "é", "É", "\U0001f600"]
LABELS += ["\uffee", "a\nb", "a\\b", "it''s", "''", "NaN", " ok", "a b", "a\0", "i", "İ", "ß", "\u017f"]
LISTS = [None, [], [NAN], [0.0, -0.0], [0.25, 0.75], [1.0]]

RECORD = Schema.of(
    "where.Record",
    {
        "f4": K.FLOAT32,
        "nf4": K.NULLABLE_FLOAT32,
        "nd": K.NULLABLE_FLOAT64,
        "i1": K.INT8,
        "i2": K.INT16,
        "ni": K.NULLABLE_INT32,
        "nl": K.NULLABLE_INT64,
        "b": K.BOOLEAN,
        "nb": K.NULLABLE_BOOLEAN,
        "s": K.STRING,
        "a4": K.ARRAY_OF_FLOAT32,
        "ai": K.ARRAY_OF_NULLABLE_INT32,
        "as": K.ARRAY_OF_STRING,
        "ab": K.ARRAY_OF_BOOLEAN,
    },
)


def message(row: int) -> dict[str, Any]:
    return {
        "deployment": "d",
        "score": SCORES[row % len(SCORES)],
        "label": LABELS[row % len(LABELS)],
        "scores": LISTS[row % 6],
        "model": ["m", "lr", None][row % 3],
        "version": INTS[row % 8],
        "input_digest": LONGS[row // 2 % 8],
        "owner_epoch": row,
        "scored_at_us": 10**15 + row,
        "key": ["a", "17", "3.5", None][row % 4],
        "key_data": [1],
    }


def prediction(row: int) -> dict[str, Any]:
    return {name: value for name, value in message(row).items() if name in PREDICTION.slots}


def record(row: int) -> dict[str, Any]:
    return {
        "f4": FLOATS[row % 8],
        "nf4": [*FLOATS, None][row % 9],
        "nd": [*SCORES, None][row % 16],
        "i1": [0, 1, 127, -128, -1][row % 5],
        "i2": [0, 1, 300, -(2**15)][row % 4],
        "ni": [*INTS, None][row % 9],
        "nl": [*LONGS, None][row % 9],
        "b": bool(row % 2),
        "nb": [True, False, None][row % 3],
        "s": LABELS[row % len(LABELS)],
        "a4": [None, [], [0.9], [NAN, 0.5], [-0.0]][row % 5],
        "ai": [None, [], [None, 1], [0]][row % 4],
        "as": [None, [], ["x", None], [""], ["ok"]][row % 5],
        "ab": [None, [], [True, False]][row % 3],
    }


@dataclass(frozen=True)
class Kind:
    """A map of one kind of records."""

    name: str
    schema: Schema
    rows: Mapping[int, dict[str, Any]]
    fields: list[str]
    """Some of them more often than others."""


MESSAGE_FIELDS = ["score", "score", "label", "label", "version", "input_digest", "scores[0]", "scores[1]", "scores[7]"]
MESSAGE_FIELDS += ["scores", "model", "key", "owner_epoch", "scored_at_us", "deployment"]
RECORD_FIELDS = [name for name, slot in RECORD.slots.items() if not slot.kind.name.startswith("ARRAY")]
RECORD_FIELDS += ["a4[0]", "ai[0]", "ai[1]", "as[0]", "ab[0]"]
MAPS = {
    kind.name: kind
    for kind in (
        Kind("messages", PREDICTION_MESSAGE, {row: message(row) for row in range(ROWS)}, MESSAGE_FIELDS),
        Kind("predictions", PREDICTION, {row: prediction(row) for row in range(ROWS)}, ["score", "label"]),
        Kind("records", RECORD, {row: record(row) for row in range(ROWS)}, RECORD_FIELDS),
    )
}


@dataclass(frozen=True)
class Asked:
    """A member, with these maps in it."""

    grid: gi.GridConfig
    maps: Mapping[str, Any]
    entries: Mapping[str, CompactEntries]

    def theirs(self, name: str, text: str) -> list[Any] | None:
        """The keys that the member finds; None if it refuses the filter, or fails at it."""
        try:
            return sorted(self.maps[name].key_set(sql(text)))
        except Exception as error:  # the stock client names no class for what a member raises
            if "Exception from server" not in str(error):
                raise
            return None

    def ours(self, name: str, text: str) -> list[Any] | None:
        """The keys that we find; None if the filter is refused."""
        entries = self.entries[name]
        try:
            where = Where.parse(text)
            where.check({field: slot.kind for field, slot in MAPS[name].schema.slots.items()})
        except gi.ConfigError:
            return None
        mask = where.mask(entries.comparable(sorted(where.fields)))
        return sorted(np.array(decode_keys(entries.keys))[mask].tolist())


async def filled(grid: gi.GridConfig) -> dict[str, CompactEntries]:
    """Put all records, and read them as a table does."""
    found: dict[str, CompactEntries] = {}
    async with await Link.open(grid) as link:
        for name, kind in MAPS.items():
            await link.send_schema(kind.schema)
            source, keys = GridMap(link, name), encode_keys(list(kind.rows))
            await source.put_batch(keys, Blobs.of([encode_record(kind.schema, row) for row in kind.rows.values()]))
            found[name] = CompactEntries(name, *await source.get_batch(keys), kind.schema, {})
    return found


@pytest.fixture(scope="module", params=["as it stands", "optimized"])
def asked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    cluster, file = f"where-{uuid.uuid4().hex[:8]}", None
    if request.param == "as it stands":
        file = tmp_path_factory.mktemp("member") / "hazelcast.yaml"
        shipped = (Path(__file__).parents[2] / "hazelcast" / "hazelcast.yaml").read_text()
        file.write_text(
            shipped.replace("  properties:\n", "  properties:\n    hazelcast.query.optimizer.type: NONE\n", 1)
        )
    with gi.Member.start(gi.MemberConfig(cluster_name=cluster, heap_mb=256, config_file=file)) as member:
        grid = gi.GridConfig(address=member.address, cluster_name=cluster)
        entries = asyncio.run(asyncio.wait_for(filled(grid), 60))
        client = hazelcast.HazelcastClient(
            cluster_name=cluster,
            cluster_members=[member.address],
            default_int_type=IntType.LONG,
            statistics_enabled=False,
        )
        try:
            yield Asked(grid, {name: client.get_map(name).blocking() for name in MAPS}, entries)
        finally:
            client.shutdown()


SAME = [
    *[f"score {test}" for test in ("= 0", "= -0.0", "!= 0", "> 0", ">= -0.0", "< 0", "<= 0", "= NaN", "!= NaN")],
    *[
        f"score {test}"
        for test in ("< NaN", "<= NaN", "> Infinity", "IN (0)", "IN (-0.0, NaN)", "= 0.30000000000000004")
    ],
    *[
        f"score {test}"
        for test in ("BETWEEN 0 AND NaN", "BETWEEN -0.0 AND 0", "NOT BETWEEN 0 AND 1", "= '0.5'", "=.5d")
    ],
    *[f"version {test}" for test in ("= 1.0", "= 1e0", "> 0.5", "< 99999999999999999999", "= -0", "= -0.0", "> -0.0")],
    *[f"version {test}" for test in ("< NaN", "= +1", "IN (1, 2.0, 1e1)", "NOT IN (1,3)", "= null", "!= null", "=1")],
    *[f"input_digest = {x}" for x in ("9223372036854775807", "9223372036854775808", "9007199254740993.0", "1e18")],
    *[f"input_digest > {x}" for x in ("9223372036854775807.0", "9007199254740992.5", "-9223372036854775809", "1e19")],
    *[f"label {test}" for test in ("= null", "!= null", "!= 'ok'", "> 'ok'", "> '\U0001f600'", "<= '\uffee'", "< 'é'")],
    *[
        f"label {test}"
        for test in ("= ok", "= 'it''''s'", "= ''''", "= ''", "= 'a''b'", "= true", "IN (ok, 'null')", "> 5")
    ],
    *[
        f"label {test}"
        for test in ("LIKE 'x_y'", r"LIKE 'x\_y'", r"LIKE 'x\%y'", "LIKE '%'", "NOT LIKE 'o%'", "LIKE 'a_b'")
    ],
    *[f"label {test}" for test in ("ILIKE 'É'", "ILIKE 'oK'", "ILIKE 'S'", "ILIKE 'I'", "ILIKE 'SS'", "LIKE 'É'")],
    *[
        f"label {test}"
        for test in ("REGEX 'a.b'", r"REGEX '\w+'", "REGEX '(?i)ok'", "REGEX '^[^o]*$'", "REGEX 'o(k|x)'")
    ],
    *["label", "NOT label", "scores[0] = -0.0", "scores[1] > 0.5", "scores[7] = null", "scores[0] != NaN", "key = 17"],
    *["label = ok OR score > 1 AND version = 1", "NOT (label = ok OR version = 1)", "NOT label = ok AND version = 1"],
    *["version = 1 or version = 2 or version = 3 or version = 10 or version = 0", "(version=1)or(version=2)"],
    *[
        "NOT(version = 1) AND model NOT IN (m,'lr')",
        "version in(1,2) and label not between a and z",
        "NOT score NOT = 1",
    ],
]
ON_RECORDS = [
    *[
        "f4 = 0.9",
        "f4 = 0.8999999761581421",
        "f4 > 0.9",
        "f4 IN (0.5, -0.0)",
        "nf4 != 0.9",
        "nf4 = null",
        "a4[0] < 0.9",
    ],
    *["b", "NOT b", "nb", "NOT nb", "nb != true", "nb < TRUE", "nb IN (true, false)", "b BETWEEN false AND true"],
    *[
        "i1 > 1000",
        "i1 = 257",
        "i2 = 300.0",
        "ai[0] = null",
        "ai[0] != 1",
        "as[0] LIKE '%'",
        "as[1] = null",
        "ab[1] = false",
    ],
]
UNLIKE = [
    *["score > 'high'", "score", "score LIKE '0%'", "version LIKE '1%'", "version = two", "version IN (1, two)"],
    *["scores = 1", "scores = null", "scores[0] = x", "input_digest REGEX '1.*'", "score > inf", "score = 1_0"],
    *["score > null", "version BETWEEN null AND 1", "version NOT NOT IN (1)", "NOT NOT version = 1", "label IS NULL"],
    *["scores[-1] = 1", "version In (1, 2)"],
]
"""What members refuse, or fail at for each record."""


@pytest.mark.parametrize(
    ("name", "text"), [*(("messages", text) for text in SAME), *(("records", t) for t in ON_RECORDS)]
)
def test_a_filter_finds_what_a_member_finds(asked: Asked, name: str, text: str) -> None:
    theirs, ours = asked.theirs(name, text), asked.ours(name, text)
    if text == "NOT score NOT = 1":
        assert theirs is ours is None
    else:
        assert theirs is not None
        assert ours == theirs


@pytest.mark.parametrize("text", UNLIKE)
def test_what_a_member_fails_at_is_refused(asked: Asked, text: str) -> None:
    assert asked.theirs("messages", text) is None
    assert asked.ours("messages", text) is None


# ---- filters that nobody would write


NUMBERS = ["0", "-0", "0.0", "-0.0", "+1", "1", "1.0", "1e0", "10", "2", "3", "0.5", ".5", "5.", "0.1", "0.9"]
NUMBERS += ["0.8999999761581421", "NaN", "-NaN", "Infinity", "-Infinity", "inf", "nan", "1e300", "1e999", "-1e999"]
NUMBERS += ["5e-324", "1e-400", "9007199254740992", "9007199254740993", "9007199254740993.0", "9007199254740992.5"]
NUMBERS += ["127.5", "300", "2.5", "9223372036854775807", "9223372036854775808", "-9223372036854775808"]
NUMBERS += ["-9223372036854775809", "99999999999999999999", "1e18", "2147483648", "2147483647.0", "0x1", "0x1p3"]
NUMBERS += ["1d", "1f", "1_0", "1L", "128", "-32768", "65536", "\u0661", "1e", ".", "+", "0.30000000000000004"]
NUMBERS += ["1000000000000010.5"]
QUOTED = ["'ok'", "''", "''''", "''''''", "'a''b'", "'it''''s'", "'x_y'", "'é'", "'É'", "'\U0001f600'", "'\uffee'"]
QUOTED += ["'null'", "' ok'", "'a b'", "'$1'", "'1'", "'AND'", "'a,b'", "'('", "'İ'", "'a\nb'", "'17'", "'\\'", "'a\0'"]
WORDS = ["ok", "OK", "true", "TRUE", "false", "null", "$1", "high", "maybe", "and", "lr", "m", "a", "é"]
PATTERNS = [
    "ok",
    "o%",
    "%",
    "_",
    "__",
    "%k",
    "a_b",
    r"x\_y",
    r"x\%y",
    "x%y",
    r"a\b",
    r"a\\b",
    r"a\%",
    "é",
    "É",
    "i",
    "İ",
]
PATTERNS += ["SS", "s", "", "ß", r"\Eok", "$", ".*", "o.", "[oO]k", "^ok$", "(?i)OK", "a.b", r"\w+", r"\d.*", "[^o]*"]
PATTERNS += [
    "o(k|K)",
    r"\W",
    "o?k*",
    ".{2}",
    "[é-ü]",
    r"a[\s]b",
    r"\S*",
    "x[_%]y",
    "[-a]",
    "ok|OK",
    "^ok|OK$",
    r"(o)\1",
]
PATTERNS += ["[a&&b]", r"\bok", r"ok\Z", "[[a]]", "{", "(?=o)ok", "(?<=o)k", "o{1,2}k++"]


class Writer:
    """Makes up filters."""

    def __init__(self, seed: int, fields: list[str]) -> None:
        self._random = random.Random(seed)
        self._fields = fields

    def text(self, depth: int) -> str:
        """A filter with so many levels of AND, OR, NOT and brackets at the most."""
        chance = self._random.random()
        if not depth or chance < 0.4:
            return self._test()
        if chance < 0.55:
            return f"{self._word('NOT')}{self._one('', ' ')}({self.text(depth - 1)})"
        if chance < 0.6:
            return f"{self._word('NOT')} {self.text(depth - 1)}"
        if chance < 0.7:
            return f"({self.text(depth - 1)})"
        return (
            f"{self.text(depth - 1)} {self._word(self._one('AND', 'OR'))}{self._one(' ', '   ')}{self.text(depth - 1)}"
        )

    def _test(self) -> str:
        field, kind = self._field(), self._random.random()
        negation = self._one("", "", "", self._word("NOT") + " ")
        if kind < 0.45:
            return f"{field}{self._one('', ' ')}{self._one(*COMPARISONS)}{self._one('', ' ')}{self._literal()}"
        if kind < 0.55:
            between = f"{self._word('BETWEEN')} {self._literal()} {self._word('AND')} {self._literal()}"
            return f"{field} {negation}{between}"
        if kind < 0.7:
            listed = self._one(",", ", ", " , ").join(self._literal() for _ in range(self._random.randint(1, 3)))
            return f"{field} {negation}{self._word('IN')}{self._one('', ' ')}({listed})"
        if kind < 0.95:
            return f"{field} {negation}{self._word(self._one('LIKE', 'ILIKE', 'REGEX'))} '{self._one(*PATTERNS)}'"
        return field

    def _field(self) -> str:
        field = self._one(*self._fields)
        if self._random.random() > 0.03:
            return field
        return self._one(f"'{field}'", f"this.{field}", f"%{field}", "nofield", f"{field}[0]", f"{field}[any]", "'a b'")

    def _literal(self) -> str:
        if self._random.random() < 0.55:
            number = self._one(*NUMBERS)
            return f"'{number}'" if self._random.random() < 0.15 else number
        return self._one(*QUOTED, *WORDS)

    def _word(self, keyword: str) -> str:
        return self._one(keyword, keyword, keyword.lower(), keyword.title())

    def _one(self, *choices: str) -> str:
        return self._random.choice(choices)


@pytest.mark.parametrize("name", ["messages", "records"])
def test_any_filter_finds_what_a_member_finds_or_is_refused(
    asked: Asked, name: str, request: pytest.FixtureRequest
) -> None:
    optimized = "optimized" in request.node.name
    writer, taken = Writer(SEED, MAPS[name].fields), 0
    for number in range(TEXTS):
        text = writer.text(number % 4)
        ours = asked.ours(name, text)
        if ours is None or (optimized and "not" in text.lower()):
            continue
        taken += 1
        assert ours == asked.theirs(name, text), f"{text!r}, text {number} of seed {SEED}"
    assert taken > TEXTS / 10


# ---- listeners


def test_listeners_filter_as_we_do(asked: Asked) -> None:
    """Nulls in what is negated too: no listener's filter is optimized."""
    kind = MAPS["predictions"]
    texts = [text for text in SAME if "key" not in text and text != "NOT score NOT = 1"] + ["NOT label > 'ok'"]
    expected = {text: asked.ours("predictions", text) for text in texts}
    heard: dict[str, list[Any]] = {text: [] for text in texts}

    def on(text: str) -> Any:
        return lambda event: heard[text].append(decode_keys(Blobs.of([decode_entry_event(event)[1]]))[0])

    async def go() -> None:
        async with await Link.open(asked.grid) as link:
            for text in texts:
                await Listener.on_entries(link, kind.name, on(text), where=text, flags=ADDED | UPDATED)
            keys = encode_keys(list(kind.rows))
            values = Blobs.of([encode_record(kind.schema, row) for row in kind.rows.values()])
            for times in (1, 2):  # whatever is heard too much of the first time has come by the second one
                await GridMap(link, kind.name).put_batch(keys, values)
                await asyncio.to_thread(
                    until,
                    lambda: all(len(heard[text]) >= times * len(expected[text] or ()) for text in texts),  # noqa: B023
                    f"events for the {times}. time",
                )

    asyncio.run(asyncio.wait_for(go(), 120))
    assert {text: sorted(keys) for text, keys in heard.items()} == {
        text: sorted([*(keys or ()), *(keys or ())]) for text, keys in expected.items()
    }

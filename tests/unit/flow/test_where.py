"""Filters in Hazelcast's SQL-predicate language: a table of texts and the rows they match."""

import re
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grid_inference.errors import ConfigError
from grid_inference.flow.where import Where
from grid_inference.wire.columns import Column
from grid_inference.wire.schema import FieldKind

COLUMNS = {
    "score": np.array([0.1, 0.9, 0.95, 0.5]),
    "version": np.array([1, 2, 3, 3], np.int32),
    "ratio": np.array([0.1, 0.2, 0.3, 0.9], np.float32),
    "label": np.array(["ok", "fraud", "Fraud", None], object),
    "key": np.array(["a'b", "17", "x_y", "x%y"]),
    "active": np.array([True, False, True, False]),
    "scores": np.array([[0.9, 0.1], [0.1, 0.9], [0.05, 0.95], [0.5, 0.5]]),
    "__key": np.array([7, 8, 9, 10], np.int64),
}

TABLE = [
    ("score >= 0.9", "0110"),
    ("score > 0.9", "0010"),
    ("score=0.9", "0100"),
    ("score == 0.9", "0100"),
    ("score <> 0.9", "1011"),
    ("score != 0.9", "1011"),
    ("score < 0.5", "1000"),
    ("score <= 0.5", "1001"),
    ("score>=9e-1", "0110"),
    ("version > -1", "1111"),
    ("version=3", "0011"),
    ("version = 3.0", "0011"),
    ("version > 1.5", "0111"),
    ("version < 99999999999999999999", "1111"),
    ("ratio = 0.9", "0000"),  # no float32 is 0.9, and a member compares doubles
    ("ratio = 0.8999999761581421", "0001"),
    ("ratio > 0.3", "0011"),  # the third is 0.30000001192092896
    ("__key >= 9", "0011"),
    ("this.score > 0.9", "0010"),
    ("scores[1] >= 0.9", "0110"),
    ("scores[7] >= 0", "0000"),
    ("label = 'fraud'", "0100"),
    ("label = fraud", "0100"),
    ("label != 'fraud'", "1011"),
    ("label = null", "0001"),
    ("label != NULL", "1110"),
    ("label = 'null'", "0000"),
    ("NOT label = 'fraud'", "1011"),
    ("label > 'f'", "1100"),
    ("label NOT = 'fraud'", "1011"),
    ("active", "1010"),
    ("NOT active", "0101"),
    ("active = TRUE", "1010"),
    ("active = false", "0101"),
    ("score BETWEEN 0.5 AND 0.9", "0101"),
    ("score not between 0.5 and 0.9", "1010"),
    ("score BETWEEN 0.5 AND 0.9 AND version = 2", "0100"),
    ("version IN (1, 3)", "1011"),
    ("version NOT IN (1,3)", "0100"),
    ("version in(2)", "0100"),
    ("label IN ('fraud', 'ok')", "1100"),
    ("label NOT IN ('fraud', 'ok')", "0011"),
    ("key IN ('a''b', '1,7')", "1000"),
    ("label LIKE 'fr%'", "0100"),
    ("label ILIKE 'FR_UD'", "0110"),
    ("label NOT LIKE '%'", "0001"),
    ("key LIKE 'x_y'", "0011"),
    (r"key LIKE 'x\_y'", "0010"),
    (r"key LIKE 'x\%y'", "0001"),
    ("key LIKE 'a.b'", "0000"),
    ("label REGEX '[fF]raud'", "0110"),
    ("label REGEX 'rau'", "0000"),
    ("key = 'a''b'", "1000"),
    ("score > 0.9 OR version = 1 AND active", "1010"),
    ("(score > 0.9 OR version = 1) AND label = 'ok'", "1000"),
    ("NOT (score > 0.9 OR version = 1)", "0101"),
    ("NOT active AND version = 2", "0100"),
    ("((score > 0.9))", "0010"),
]


@pytest.mark.parametrize(("text", "expected"), TABLE, ids=[text for text, _ in TABLE])
def test_matches_the_rows_hazelcast_would_match(text, expected):
    where = Where.parse(text)
    assert "".join(str(int(hit)) for hit in where.mask(COLUMNS)) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("score >", "a value is missing at the end"),
        ("score > > 1", "a value should stand"),
        ("0.9 <= score", "field stands first"),
        ("'score", "quote is not closed"),
        ('label = "fraud"', "single quotes"),
        ("label IS NULL", "= null"),
        ("(score > 1", ") is missing"),
        ("score > 1)", "AND, OR or the end"),
        ("score > 1 version = 2", "AND, OR or the end"),
        ("AND score > 1", "a field"),
        ("score BETWEEN 1", "AND is missing"),
        ("version IN ()", "a value should stand"),
        ("version IN 3", "( should stand"),
        ("label REGEX '['", "no part of a regular expression"),
        ("label REGEX '*'", "no regular expression"),
        ("score ! 3", "has no meaning"),
        ("(" * 200 + "active" + ")" * 200, "nested"),
        ("NOT (" * 200 + "active" + ")" * 200, "nested"),
        # What a member takes for something else, or not at all.
        ("NOT NOT active", "write NOT ("),
        ("NOT version NOT IN (1)", "write NOT ("),
        ("NOT score NOT = 1", "write NOT ("),
        ("version In (1, 2)", "write IN"),
        ("version Between 1 AND 2", "write BETWEEN"),
        ("score > 1\tOR active", "'\\t' is no space"),
        ("score > 1\nOR active", "'\\n' is no space"),
        ("label = ok\u00a0", "is no space"),
        ("'active'", "write active without quotes"),
        ("NOT 'active'", "write active without quotes"),
        ("'score' BETWEEN 1 AND 2", "before BETWEEN"),
        ("%score = 1", "write score"),
        ("label = $1 AND key = 'b'", "$1 stands in single quotes"),
        ("score > null", "null is compared by = and !="),
        ("score BETWEEN null AND 1", "null is compared by = and !="),
        ("label IN (null)", "null is compared by = and !="),
        ("label LIKE null", "null is compared by = and !="),
        ("scores[any] > 0.5", "[any] is no place in an array"),
        ("scores[-1] > 0.5", "[-1] is no place in an array"),
    ],
)
def test_refuses_what_it_cannot_read(text, said):
    with pytest.raises(ConfigError) as caught:
        Where.parse(text)
    assert said in str(caught.value)
    assert repr(text) in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("amount > 3", "no field 'amount'"),
        ("score > high", "not a number"),
        ("version = two", "not a number"),
        ("active = maybe", "not true or false"),
        ("score LIKE '0%'", "is no text"),
        ("scores > 1", "write scores[0]"),
        ("score[0] > 1", "no array"),
        ("score > inf", "not a number"),
        ("score > 1_000", "not a number"),
        ("version = 0x10", "not a number"),
        ("version = \u0661", "not a number"),
        ("active = 1", "not true or false"),
        ("score", "not a number"),
    ],
)
def test_refuses_what_the_columns_cannot_answer(text, said):
    with pytest.raises(ConfigError, match="where = ") as caught:
        Where.parse(text).mask(COLUMNS)
    assert said in str(caught.value)


def test_unknown_field_lists_the_fields_there_are():
    with pytest.raises(ConfigError) as caught:
        Where.parse("amount > 3").check({"score": FieldKind.FLOAT64, "label": FieldKind.STRING})
    assert caught.value.remedy == "the fields are label, score"
    where = Where.parse("this.a > 1 AND (NOT b OR scores[2] = 1)")
    assert where.fields == {"a", "b", "scores[2]"}
    where.check({"a": FieldKind.INT64, "b": FieldKind.BOOLEAN, "scores": FieldKind.ARRAY_OF_FLOAT64})


def test_no_rows_give_no_rows():
    empty = {name: column[:0] for name, column in COLUMNS.items()}
    for text, _ in TABLE:
        mask = Where.parse(text).mask(empty)
        assert mask.shape == (0,)
        assert mask.dtype == np.bool_


VALUES = st.sampled_from(["score > 0.5", "version = 3", "active", "label = 'fraud'", "label = null"])
CLAUSES = st.recursive(
    VALUES,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from([" AND ", " OR "]), inner).map(lambda parts: f"({''.join(parts)})"),
        inner.map(lambda text: f"NOT ({text})"),
    ),
    max_leaves=8,
)


@given(CLAUSES)
def test_nested_logic_is_that_of_python(text):
    atoms = {value: Where.parse(value).mask(COLUMNS) for value in VALUES.elements}
    python = text.replace(" AND ", " & ").replace(" OR ", " | ").replace("NOT ", "~")
    for number, value in enumerate(atoms):
        python = python.replace(value, f"atom[{number}]")
    expected = eval(python, {"atom": list(atoms.values())})
    assert (Where.parse(text).mask(COLUMNS) == expected).all()
    assert (Where.parse(f"NOT ({text})").mask(COLUMNS) == ~expected).all()


@given(st.text(st.sampled_from("ab 1.'()<>=!%_,\"\\ANDORNTI"), max_size=30))
def test_any_text_is_read_or_refused(text):
    try:
        where = Where.parse(text)
    except ConfigError:
        return
    assert where.text == text


NOON = datetime(2024, 2, 29, 12)  # noqa: DTZ001  # a TIMESTAMP has no zone
PAIRS = {
    "price": [Decimal("9.50"), Decimal(10)],
    "day": [date(2024, 2, 28), date(2024, 2, 29)],
    "clock": [time(9, 30), time(13, 0, 0, 500_000)],
    "at": [NOON, NOON + timedelta(microseconds=1)],
    "zoned": [NOON.replace(tzinfo=UTC), NOON.replace(tzinfo=timezone(timedelta(hours=-2)))],
    "any": [1, "1"],
}
OBJECTS = {name: np.array([*values, None], object) for name, values in PAIRS.items()}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("price >= 9.75", "010"),
        ("price = 10.0", "010"),
        ("price IN (9.5, 11)", "100"),
        ("price BETWEEN 9 AND 10", "110"),
        ("price != 9.5", "011"),
        ("price = null", "001"),
        ("day = '2024-02-29'", "010"),
        ("day = 2024-02-29", "010"),
        ("day < '2024-02-29'", "100"),
        ("day BETWEEN '2024-01-01' AND '2024-02-28'", "100"),
        ("day != '2024-02-28'", "011"),
        ("NOT day > '2024-02-28'", "101"),
        ("day IN ('2024-02-28', '2024-03-01')", "100"),
        ("day != null", "110"),
        ("clock < '13:00'", "100"),
        ("clock = '13:00:00.5'", "010"),
        ("clock >= '09:30:00'", "110"),
        ("at = '2024-02-29T12:00'", "100"),
        ("at > '2024-02-29T12:00:00.000000'", "010"),
        ("at <= '2024-02-29t12:00:00.0000019'", "110"),
        ("zoned = '2024-02-29T12:00:00Z'", "100"),
        ("zoned = '2024-02-29T15:00+01:00'", "010"),
        ("zoned > '2024-02-29T14:00:00+02'", "010"),
        ("any = 1", "110"),
        ("any != '1'", "001"),
    ],
)
def test_each_object_is_compared_as_what_it_is(text, expected):
    assert "".join(str(int(hit)) for hit in Where.parse(text).mask(OBJECTS)) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("price > cheap", "not a number"),
        ("price > NaN", "not a number"),
        ("price LIKE '9%'", "no text"),
        ("day = today", "not a date such as 2024-02-29"),
        ("day = '2024-2-29'", "not a date"),
        ("day = '20240229'", "not a date"),
        ("day = '2024-02-30'", "not a date"),
        ("day = '2024-02-29T12:00'", "not a date"),
        ("day LIKE '2024%'", "no text"),
        ("clock > '13'", "not a time such as 13:45:30"),
        ("clock > '25:00'", "not a time"),
        ("at > '2024-02-29'", "not a timestamp such as 2024-02-29T13:45:30"),
        ("at > '2024-02-29 12:00'", "not a timestamp"),
        ("at > '2024-02-29T12:00Z'", "not a timestamp"),
        ("zoned > '2024-02-29T12:00'", "not a timestamp with its offset"),
        ("zoned > '2024-02-29T12:00+0100'", "not a timestamp with its offset"),
        ("any = one", "not a number"),
    ],
)
def test_literals_are_iso_8601_as_java_reads_it(text, said):
    with pytest.raises(ConfigError, match="where = ") as caught:
        Where.parse(text).mask(OBJECTS)
    assert said in str(caught.value)


def test_arrays_and_records_are_refused_but_for_their_nulls():
    column = np.empty(3, object)
    for found, said in (([1], "is an array: write a[0]"), ({"b": 1}, "is a record"), (b"x", "of the type bytes")):
        column[0] = found
        assert Where.parse("a = null").mask({"a": column}).tolist() == [False, True, True]
        with pytest.raises(ConfigError, match="where = ") as caught:
            Where.parse("a = 1").mask({"a": column})
        assert said in str(caught.value)


def test_a_column_says_itself_which_values_are_null():
    column = Column(np.array([0.9, 0.9, 0.1], np.float32), np.array([True, False, True]))
    assert Where.parse("a > 0.5").mask({"a": column}).tolist() == [True, False, False]
    assert Where.parse("a != 0.1").mask({"a": column}).tolist() == [True, True, True]
    assert Where.parse("a = null").mask({"a": column}).tolist() == [False, True, False]


def test_an_element_may_be_a_column_of_its_own():
    assert Where.parse("this.a[7] > 1 AND b.c = x").mask({"a[7]": np.arange(3), "b.c": np.array(["x"] * 3)}).sum() == 1


NAN, INFINITY = float("nan"), float("inf")
NUMBERS = {
    "d": np.array([NAN, -0.0, 0.0, 1.5, -INFINITY, INFINITY]),
    "f": np.array([NAN, -0.0, 0.0, 1.5, -INFINITY, INFINITY], np.float32),
    "o": np.array([NAN, -0.0, 0.0, 1.5, None, INFINITY], object),
    "n": np.array([-1, 0, 1, 2**53 + 1, -(2**63), 2**63 - 1]),
    "t": np.array(["", "a\0", "a", "\uffee", "\U0001f600", None], object),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("d = 0", "001000"),
        ("d = -0.0", "010000"),
        ("d != 0", "110111"),
        ("d IN (0, NaN)", "101000"),
        ("d = NaN", "100000"),
        ("d > 0", "100101"),  # NaN is above all
        ("d > Infinity", "100000"),
        ("d >= -0.0", "111101"),
        ("d < 0", "010010"),
        ("d <= -0.0", "010010"),
        ("d < NaN", "011111"),
        ("d <= NaN", "111111"),
        ("d BETWEEN 0 AND NaN", "101101"),
        ("d > 1.5d", "100001"),
        ("f > 0", "100101"),
        ("f = -0.0", "010000"),
        ("o > 0", "100101"),
        ("o <= -0.0", "010000"),
        ("n = 0.0", "010000"),
        ("n = -0.0", "000000"),
        ("n > -0.0", "011101"),
        ("n < NaN", "111111"),
        ("n >= NaN", "000000"),
        ("n < Infinity", "111111"),
        ("n > 0.5", "001101"),
        ("n = 9007199254740993", "000100"),
        ("n = 9007199254740993.0", "000000"),  # as a double it is even
        ("n = 9223372036854775808", "000001"),  # the nearest that there is
        ("n > 9223372036854775808", "000000"),
        ("n < 1e19", "111111"),
        ("n <= -9223372036854775809", "000010"),
        ("t = 'a'", "001000"),
        ("t > 'a'", "010110"),
        ("t > '\U0001f600'", "000100"),  # by UTF-16: D83D DE00 comes before FFEE
        ("t <= '\U0001f600'", "111010"),
    ],
)
def test_numbers_and_texts_are_ordered_as_java_orders_them(text, expected):
    assert "".join(str(int(hit)) for hit in Where.parse(text).mask(NUMBERS)) == expected


KINDS = {
    "score": FieldKind.FLOAT64,
    "small": FieldKind.NULLABLE_INT8,
    "label": FieldKind.STRING,
    "scores": FieldKind.ARRAY_OF_FLOAT64,
    "flags": FieldKind.ARRAY_OF_NULLABLE_BOOLEAN,
    "active": FieldKind.NULLABLE_BOOLEAN,
    "price": FieldKind.DECIMAL,
    "day": FieldKind.DATE,
    "place": FieldKind.COMPACT,
    "id": UUID,
    "any": None,
}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("score > 'high'", "score is compared with 'high', which is not a number"),
        ("score", "score is compared with 'true', which is not a number"),
        ("score ILIKE '0%'", "score is no text"),
        ("small LIKE '1%'", "small is no text"),
        ("small IN (1, two)", "'two', which is not a number"),
        ("small BETWEEN 1 AND x", "'x', which is not a number"),
        ("label = 'a' AND (active OR NOT active = 1)", "active is compared with '1', which is not true or false"),
        ("scores > 1", "write scores[0]"),
        ("scores = null", "write scores[0]"),
        ("scores[1] > x", "scores[1] is compared with 'x'"),
        ("score[1] > 1", "score is no array"),
        ("flags[0] = 1", "not true or false"),
        ("price > cheap", "not a number"),
        ("day = '2024-02-30'", "not a date"),
        ("place = 1", "place is a record"),
        ("id = 5", "not a UUID"),
        ("id > '123e4567-e89b-12d3-a456-426614174000'", "by =, != and IN only"),
        ("id LIKE '1%'", "is no text"),
    ],
)
def test_a_comparison_of_unlike_kinds_is_refused_before_there_are_values(text, said):
    with pytest.raises(ConfigError, match=re.escape(said)) as refused:
        Where.parse(text).check(KINDS)
    assert repr(text) in str(refused.value)
    assert refused.value.remedy


@pytest.mark.parametrize(
    "text",
    [
        "score > '0.5' AND score != NaN AND score = null",
        "small = 1.0 OR small > 1e9",
        "label OR label > 5 OR label LIKE '1%' OR label = null",
        "scores[7] > 1 AND flags[0]",
        "active = TRUE AND price >= 1e3 AND day != null",
        "id = '123E4567-e89b-12d3-a456-426614174000' AND any > 1 AND any LIKE 'x' AND any[0] = 'y'",
    ],
)
def test_what_a_field_can_be_asked_for_is_taken(text):
    Where.parse(text).check(KINDS)


def test_arrays_of_several_lengths_have_elements():
    columns = {"a": np.empty(4, object), "none": np.full(4, None, object)}
    columns["a"][:] = [[1.0], [], None, np.array([NAN, 2.0])]
    assert Where.parse("a[0] >= 1").mask(columns).tolist() == [True, False, False, True]
    assert Where.parse("a[1] = null").mask(columns).tolist() == [True, True, True, False]
    assert Where.parse("none[1] = null").mask(columns).tolist() == [True] * 4


def test_a_long_filter_is_no_deep_one():
    text = " OR ".join(f"version = {number}" for number in range(5_000))
    assert Where.parse(text).mask(COLUMNS).all()
    assert Where.parse(text.replace("OR", "AND").replace("=", "!=")).fields == {"version"}


@pytest.mark.parametrize(
    ("pattern", "matching"),
    [
        ("a.b", ["axb", "a\tb"]),
        ("a[^x]b", ["a\nb", "a\u2028b", "a\tb"]),
        (r"\w+", ["axb"]),
        (r"[\w\s]+", ["axb", "a\nb", "a\tb"]),
        ("(?i)AXB", ["axb"]),
        ("^axb|ab$", ["axb"]),
        ("(?:a|é)(?=x).{2}", ["axb"]),
        ("é", ["é"]),
        ("(?i)É", []),
        (r"a[-\t]b", ["a\tb"]),
    ],
)
def test_regular_expressions_are_those_of_java(pattern, matching):
    texts = np.array(["axb", "a\nb", "a\u2028b", "a\tb", "é"], object)
    assert texts[Where.parse(f"t REGEX '{pattern}'").mask({"t": texts})].tolist() == matching


@pytest.mark.parametrize(
    "pattern",
    [r"\bok", r"(a)\1", r"ok\Z", r"\p{L}", "[a&&b]", "[[a]]", "(?s).", "(?<n>a)", "a$b", "(^a)", "a{,2}", "["],
)
def test_what_java_reads_in_another_way_is_refused(pattern):
    with pytest.raises(ConfigError, match="no part of a regular expression that members and we read alike"):
        Where.parse(f"t REGEX '{pattern}'")

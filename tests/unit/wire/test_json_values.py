"""The columnar JSON reader at its boundaries. Each table is read twice: in few rows, and in many (through Arrow)."""

import json
import struct
from typing import Any

import numpy as np
import pytest

from grid_inference.errors import DecodeError
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.json import arrow as json_arrow
from grid_inference.wire.json.columns import (
    FIELDS_MAX,
    decode_json_columns,
    decode_json_table,
    json_names,
    json_rows,
)
from grid_inference.wire.json.values import decode_json, decode_json_object, encode_bytes, encode_json
from grid_inference.wire.layout import NESTING_MAX

MANY = 100


def stored(text: bytes | str) -> bytes:
    payload = text.encode() if isinstance(text, str) else text
    return struct.pack(">iii", 7, -130, len(payload)) + payload


def read(texts: list[Any], *names: str) -> tuple[dict[str, list[Any]], dict[int, str], dict[str, str]]:
    """Values by name (None where not valid), damaged rows, and dtypes."""
    columns, damaged = decode_json_columns(Blobs.of([stored(text) for text in texts]), names)
    values = {
        name: [
            value if column.valid is None or column.valid[row] else None
            for row, value in enumerate(column.values.tolist())
        ]
        for name, column in columns.items()
    }
    return values, damaged, {name: column.values.dtype.name for name, column in columns.items()}


@pytest.fixture(params=["few", "many"])
def times(request: pytest.FixtureRequest) -> int:
    return 1 if request.param == "few" else MANY


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (["1", "2"], "int64"),
        (["9223372036854775807", "-9223372036854775808"], "int64"),
        (["9007199254740993", "null"], "int64"),
        (["9007199254740993", "0.5"], "object"),
        (["-9007199254740993", "1e2", "null", "7"], "object"),
        (["9007199254740993", "9223372036854775808"], "object"),
        (["9007199254740992", "-9007199254740992", "0.5"], "float64"),
        (["9007199254740993.0", "9223372036854775807.5", "1"], "float64"),
        (["9223372036854775808", "1"], "float64"),
        (["-9223372036854775809"], "float64"),
        (["18446744073709551615"], "float64"),
        (["-0", "1"], "int64"),
        (["-0", "0.5", "-0.0", "0"], "float64"),
        (["1.0", "2"], "float64"),
        (["1e2"], "float64"),
        (["1E+2", "1e-2"], "float64"),
        (["1e400", "-1e400"], "float64"),
        (["1e-400", "5e-324", "2.2250738585072011e-308"], "float64"),
        (["0.1", "0." + "1" * 2000], "float64"),
        (["true", "false", "null"], "bool"),
        (['"x"', "null", '""'], "object"),
        (['"2020-01-01"', '"2020-01-01T00:00:00Z"'], "object"),
        (['"1"', '"true"', '"null"'], "object"),
        (['"\\u00e9\\ud83d\\ude00\\u0000\\/"', '"é😀\x7f"'], "object"),
        (['"\\ud800"', '"\\udc00x"', '"\\ud800\\u0041"'], "object"),
        (["null"], "float64"),
        (["1", '"x"'], "object"),
        (["1", "true"], "object"),
        (["1", "2.5", '"x"', "9007199254740993"], "object"),
        (["18446744073709551617", '"x"'], "object"),
        (["[1, 2]", '{"b": 1}', "[]", "{}"], "object"),
        (["1", "[1]"], "object"),
    ],
)
def test_values_are_those_of_json_loads(values: list[str], dtype: str, times: int) -> None:
    texts = [f'{{"z": {{"a": [1, "x"]}}, "a": {value}}}' for value in values]
    expected = [json.loads(value) for value in values]
    if dtype == "float64":
        expected = [None if value is None else float(value) for value in expected]
    expected = [
        float(value) if isinstance(value, int) and not -(2**63) <= value < 2**63 else value for value in expected
    ]
    found, damaged, dtypes = read(texts * times, "a")
    assert repr(found["a"]) == repr(expected * times)  # of floats, -0.0 and all digits
    assert (damaged, dtypes) == ({}, {"a": dtype})


def test_integers_of_any_length(times: int) -> None:
    values = ["1" + "0" * 308, "-1" + "0" * 400, "1" * 5000, "1" * 308]
    found, damaged, _ = read([f'{{"a": {value}, "z": {value}}}' for value in values] * times, "a")
    assert found["a"] == [1e308, -np.inf, np.inf, float(values[3])] * times
    assert not damaged


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"null",
        b"1",
        b'"{}"',
        b"[]",
        b'[{"a": 1}]',
        b"{",
        b"}",
        b'{"a": 1',
        b'{"a": 1}}',
        b'{"a": 1}{}',
        b'{"a": 1} {"a": 2}',
        b'{"a": 1}\n{"a": 2}',
        b"{}null{}",
        b"{} null",
        b'{"a": {}',
        b'{"b": 1}}{}',
        b'{"a": 1,}',
        b"{'a': 1}",
        b'{"a": NaN}',
        b'{"a": 1, "z": NaN}',
        b'{"a": Infinity}',
        b'{"a": -Inf}',
        b'{"z": [-Infinity]}',
        b'{"a": 01}',
        b'{"a": +1}',
        b'{"a": .5}',
        b'{"a": 5.}',
        b'{"a": 0x1}',
        b'{"a": tru}',
        b'{"a": "\xff"}',
        b'{"\xff": 1}',
        b'{"a": "\xed\xa0\x80"}',
        b'{"a": "\xc3"}',
        b'{"a": "x\ny"}',
        b'{"a": "x\ry"}',
        b'{"a": "x\ty"}',
        b'{"a": "x\x00y"}',
        b'{"a": 1}\x00{}',
        b'{"a": "}',
        b'{"a": "\\x"}',
        b'{"a": "\\u12"}',
        b'\xef\xbb\xbf{"a": 1}',
        b'{\x0b"a": 1}',
        b'// \n{"a": 1}',
        b'{"a": 1} // {}',
        '{"a": 1}'.encode("utf-16-le"),
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"z": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
    ],
    ids=lambda text: repr(text[:30]),
)
def test_damaged_rows_cost_their_batch_mates_nothing(text: bytes, times: int) -> None:
    texts = [b'{"a": 1}', text, b'{"a": 3}', text, text, *[b'{"a": 4}'] * times]
    found, damaged, dtypes = read(texts, "a")
    assert found["a"] == [1, None, 3, None, None, *[4] * times]
    assert list(damaged) == [1, 3, 4]
    assert all(damaged.values())
    assert dtypes == {"a": "int64"}
    found, damaged, _ = read([text] * times, "a")
    assert (found["a"], list(damaged)) == ([None] * times, list(range(times)))


@pytest.mark.parametrize(
    "neighbours",
    [
        ["{}{}", " "],
        ["{}\n{}", ""],
        ["{}null", " "],
        ["{} {} {}", "", " "],
        ['{"z":', '{"b": 1}}', "{}{}"],
        ['{"z": [', '{}, {"b": 1}]}', "{}{}"],
        ['{}{"z": {}', " }"],
        ['{"z": "}', '{"}', "{}{}"],
        ["null", "{}{}"],
        ["{}\0}", "{}{}"],
    ],
)
def test_damaged_rows_do_not_run_into_each_other(neighbours: list[str], times: int) -> None:
    """Joined by newlines, these are as many JSON objects as there are rows, or nearly."""
    for order in (neighbours, neighbours[::-1]):
        found, damaged, _ = read([*['{"a": 1}'] * times, *order, *['{"a": 2}'] * times], "a")
        assert found["a"] == [1] * times + [None] * len(order) + [2] * times
        assert list(damaged) == list(range(times, times + len(order)))


def test_what_follows_a_nul_is_not_left_out(times: int) -> None:
    """Were the text to end there, the rows before would have as many objects as there are rows."""
    found, damaged, _ = read(['{"a": 1}'] * times + ['{"a": 2}' * (times + 1) + "\0}"] + ['{"a": 3}'] * times, "a")
    assert found["a"] == [1] * times + [None] + [3] * times
    assert list(damaged) == [times]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1, "a": 2}', 2),
        ('{"a": 1, "a": null}', None),
        ('{"a": null, "a": 2}', 2),
        ('{"z": 1, "z": "x", "a": 2}', 2),
        ('{"\\u0061": 2}', 2),
        ('\n{\n\t"a"\r\n: 2\n}\n', 2),
        ('{\n"a": 2}', 2),
        ("{}", None),
        ('{"a": null}', None),
        ('{"b": 2}', None),
        ('{"a": 2, "z": 1e400}', 2),
        ('{"a": 2, "z": "NaN Infinity -0"}', 2),
        ('{"a": 2, "z": "\\ud800"}', 2),
        ('{"a": 2, "z": ' + "[" * 400 + "]" * 400 + "}", 2),
    ],
)
def test_whole_rows(text: str, value: int | None, times: int) -> None:
    found, damaged, _ = read(['{"a": 7}', text, '{"a": 8}'] * times, "a")
    assert (found["a"], damaged) == ([7, value, 8] * times, {})


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"", "0 bytes, too few"),
        (b"\0" * 11, "11 bytes, too few"),
        (struct.pack(">iii", 0, -130, -1), "claims -1 bytes and has 2"),
        (struct.pack(">iii", 0, -130, 1), "claims 1 bytes and has 2"),
        (struct.pack(">iii", 0, -130, 3), "claims 3 bytes and has 2"),
        (struct.pack(">iii", 0, -12, 2), "the type is -12"),
    ],
)
def test_the_header_must_be_right(head: bytes, reason: str, times: int) -> None:
    damaged_one = head + b"{}" if len(head) == 12 else head
    columns, damaged = decode_json_columns(Blobs.of([stored('{"a": 1}'), damaged_one] * times), ["a"])
    assert columns["a"].valid is not None
    assert columns["a"].valid.tolist() == [True, False] * times
    assert list(damaged) == list(range(1, 2 * times, 2))
    assert reason in damaged[1]


def test_paths(times: int) -> None:
    texts = [
        '{"a": {"b": 1}, "c": [10, 20, 30, 40], "d": [{"e": "x"}, {"e": "y"}], "f": [[1, 2], [3, 4]]}',
        '{"a": {"b": null}, "c": [], "d": [], "f": [[], null]}',
        '{"a": null, "c": null, "d": [null, {"e": "z"}], "f": null}',
        '{"a": {}, "c": [10, 20, 30, null], "d": [{}, {"e": null}]}',
        '{"a": {"b": 2, "z": []}, "a.b": 3}',
        '{"a": {"b": 4}, "a.b": null, "c[3]": 5}',
        "{}",
    ]
    found, damaged, dtypes = read(texts * times, "a.b", "c[3]", "d[1].e", "f[1][0]", "a.b.c", "c[0].x")
    assert found == {
        "a.b": [1, None, None, None, 3, 4, None] * times,
        "c[3]": [40, None, None, None, None, 5, None] * times,
        "d[1].e": ["y", None, "z", None, None, None, None] * times,
        "f[1][0]": [3, None, None, None, None, None, None] * times,
        "a.b.c": [None] * 7 * times,
        "c[0].x": [None] * 7 * times,
    }
    assert not damaged
    assert list(dtypes.values()) == ["int64", "int64", "object", "int64", "float64", "float64"]


@pytest.mark.parametrize(
    "name", ["", ".", "a.", ".a", "a..b", "a[", "a[]", "a[-1]", "a[x]", "a]", "[0]", "a[0]b", "\ud800"]
)
def test_what_is_no_path_is_a_top_level_field(name: str, times: int) -> None:
    text = json.dumps({name: 1, "a": {"": 2, "b": 3}})
    assert read([text] * times, name)[0] == {name: [1] * times}


def test_a_path_and_its_beginning(times: int) -> None:
    found, _, dtypes = read(['{"a": 5}', '{"a": {"b": 1}}'] * times, "a", "a.b")
    assert found == {"a": [5, {"b": 1}] * times, "a.b": [None, 1] * times}
    assert dtypes == {"a": "object", "a.b": "int64"}


def test_elements_of_one_array_have_types_of_their_own(times: int) -> None:
    found, _, dtypes = read(
        ['{"a": [0, 0.5, "x", 0.0]}', '{"a": [7, 1, "y", 0]}'] * times, *(f"a[{i}]" for i in range(4))
    )
    assert found == {
        "a[0]": [0, 7] * times,
        "a[1]": [0.5, 1] * times,
        "a[2]": ["x", "y"] * times,
        "a[3]": [0, 0] * times,
    }
    assert list(dtypes.values()) == ["int64", "float64", "object", "float64"]
    assert read(['{"a": [0, 0.5]}'] * times, "a[0]", "a[1]")[2] == {"a[0]": "int64", "a[1]": "float64"}


def test_whole_numbers_keep_their_digits_at_every_place(times: int) -> None:
    large = 2**53 + 1
    texts = ['{"a": [0.5, 1], "b": {"c": 0.5}}', f'{{"a": [{large}, 0.5], "b": {{"c": {large}}}}}']
    found, _, dtypes = read([*texts * times, '{"a": [1, 2]}'], "a[0]", "b.c", "a[1]")
    assert found["a[0]"] == [0.5, large] * times + [1]
    assert found["b.c"] == [0.5, large] * times + [None]
    assert dtypes == {"a[0]": "object", "b.c": "object", "a[1]": "float64"}


def test_one_large_number_among_many_fractions_keeps_its_digits() -> None:
    texts = [f'{{"a": {i}.5}}' for i in range(1000)]
    texts[700] = f'{{"a": {2**53 + 1}}}'
    found, _, dtypes = read(texts, "a")
    assert (found["a"][700], found["a"][701], dtypes["a"]) == (2**53 + 1, 701.5, "object")


def test_arrays_of_nulls(times: int) -> None:
    texts = ['{"a": [null, null]}', "{}", '{"a": []}', '{"a": null}']
    assert read(texts * times, "a[0]", "a[1].b")[0] == {"a[0]": [None] * 4 * times, "a[1].b": [None] * 4 * times}


def test_nothing_at_all(times: int) -> None:
    assert read([], "a") == ({"a": []}, {}, {"a": "float64"})
    assert read([b"{}", b"x"] * times) == ({}, dict.fromkeys(range(1, 2 * times, 2), ANY), {})


class _Any(str):
    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str)

    __hash__ = str.__hash__


ANY = _Any()


def test_values_are_ones_own() -> None:
    for rows in (1, MANY):
        columns, _ = decode_json_columns(Blobs.of([stored('{"a": 1, "b": 0.5, "c": true}')] * rows), ["a", "b", "c"])
        assert all(column.valid is None and column.values.flags.writeable for column in columns.values())


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_a_single_value_may_be_nested_too_deeply(opening: bytes) -> None:
    text = opening * 100_000
    with pytest.raises(DecodeError, match="nested too deeply"):
        decode_json(struct.pack(">iii", 0, -130, len(text)) + text)


def test_which_values_are_json() -> None:
    blobs = Blobs.of([encode_json({}), encode_bytes(b"{}"), b"", b"\0" * 7, struct.pack(">ii", 0, -130)])
    null = Blobs(blobs.buffer, blobs.starts[:1], np.array([-1]))
    assert json_rows(blobs).tolist() == [True, False, False, False, True]
    assert json_rows(null).tolist() == [False]
    assert json_rows(Blobs.empty()).tolist() == []
    assert decode_json_columns(null, ["a"])[1] == {0: "a JSON value has 0 bytes, too few for its header"}


# ---- whole tables


def table(texts: list[Any]) -> dict[str, list[Any]]:
    """All fields by name, None where not valid."""
    blobs = Blobs.of([stored(text) for text in texts])
    columns, damaged = decode_json_table(blobs)
    assert not damaged
    assert columns.keys() <= json_names(blobs)
    return {
        name: [v if column.valid is None or column.valid[row] else None for row, v in enumerate(column.values.tolist())]
        for name, column in columns.items()
    }


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (['{"b": 1, "a": "x"}', '{"c": true}'], {"a": ["x", None], "b": [1, None], "c": [None, True]}),
        (['{"a": {"b": 1, "c": {"d": "x"}}}', "{}"], {"a.b": [1, None], "a.c.d": ["x", None]}),
        (['{"a": null}', '{"a": {"b": 1}}'], {"a.b": [None, 1]}),
        (['{"a": {}}', '{"a": {"b": 1}}'], {"a.b": [None, 1]}),
        (['{"a": {}}', '{"a": null}'], {"a": [None, None]}),
        (['{"a": 5}', '{"a": {"b": 1}}'], {"a": [5, None], "a.b": [None, 1]}),
        (['{"a": [1, "x"]}', '{"a": [{"b": 1}]}'], {"a": [[1, "x"], [{"b": 1}]]}),
        (['{"a": 1}', '{"a": "x"}'], {"a": [1, "x"]}),
        (['{"a": 1}', '{"a": 0.5}'], {"a": [1.0, 0.5]}),
        (['{"a": {"b": 9007199254740993}}', '{"a": {"b": 0.5}}'], {"a.b": [2**53 + 1, 0.5]}),
        (['{"a": {"x.y": 1}}', '{"a": {"b": 2}}'], {"a": [{"x.y": 1}, None], "a.b": [None, 2]}),
        (['{"a": {"b": {"[": 1}}}', '{"a": {"": 1}}'], {"a": [None, {"": 1}], "a.b": [{"[": 1}, None]}),
        (['{"x.y": {"b": 1}}', '{"x": {"y": {"b": 2}}}'], {"x.y": [{"b": 1}, None], "x.y.b": [None, 2]}),
        (['{"a.b": 1, "a": {"b": 2}}', '{"a": {"b": 3}}'], {"a.b": [1, 3]}),
        (['{"a.b": null, "a": {"b": 2}}', '{"a": 3}'], {"a": [None, 3], "a.b": [2, None]}),
        (['{"a": 1, "a": {"b": 2}}', '{"\\u0061": {"b": 3}}'], {"a.b": [2, 3]}),
        (["{}", "{}"], {}),
    ],
)
def test_all_fields_are_columns_and_objects_are_taken_apart(texts: list[str], expected: Any, times: int) -> None:
    assert table(texts * times) == {name: values * times for name, values in expected.items()}


def test_objects_stay_whole_below_the_deepest_name(times: int) -> None:
    text, inner = '{"n": 7}', {"n": 7}
    for _ in range(NESTING_MAX):
        text = f'{{"a": {text}}}'
    path = ".".join(["a"] * NESTING_MAX)
    assert table([text] * times) == {f"{path}.n": [7] * times}
    assert table([f'{{"a": {text}}}'] * times) == {f"{path}.a": [inner] * times}


def test_damaged_rows_of_a_table_have_their_reasons(times: int) -> None:
    blobs = Blobs.of([stored('{"a": {"b": 1}}'), stored("[]"), b"", stored('{"a": NaN}')] * times)
    columns, damaged = decode_json_table(blobs)
    assert columns["a.b"].values[columns["a.b"].valid].tolist() == [1] * times
    assert [damaged[row][:14] for row in range(4) if row] == ["a JSON object ", "a JSON value h", "a JSON value c"]
    assert list(damaged) == [row for row in range(4 * times) if row % 4]
    assert json_names(blobs) == {"a.b"}


def test_fields_that_nobody_named_have_a_limit(times: int) -> None:
    names = [f"f{i}" for i in range(FIELDS_MAX)]
    most = [json.dumps(dict.fromkeys(names, 1))] + ["{}"] * (times - 1)
    assert list(table(most)) == sorted(names)
    with pytest.raises(DecodeError, match=f"more than {FIELDS_MAX} fields"):
        table([*most, '{"one": "more"}'])
    found, _, _ = read([*most, '{"one": "more"}'], "one", "f7")
    assert found["one"] == [None] * times + ["more"]


def test_one_value_is_read_as_strictly_as_many() -> None:
    assert decode_json_object(stored('{"a": {"b": [1]}}')) == {"a": {"b": [1]}}
    for text in ('{"a": NaN}', '{"a": -Infinity}', "[1]", "null", '{"a": 1', b"\xff"):
        with pytest.raises(DecodeError):
            decode_json_object(stored(text))


# ---- that the way through Arrow is taken


@pytest.fixture
def arrow_rows(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many rows Arrow gave, call by call."""
    rows: list[int] = []
    original = json_arrow._read

    def counted(whole: bytes, schema: Any, count: int) -> Any:
        table = original(whole, schema, count)
        rows.append(count)
        return table

    monkeypatch.setattr(json_arrow, "_read", counted)
    return rows


def test_arrow_reads_regular_rows(arrow_rows: list[int]) -> None:
    read([f'{{"a": {i}, "b": {{"c": "2020-01-01"}}, "d": [0.5, {i}.5]}}' for i in range(1000)], "a", "b.c", "d[1]", "e")
    assert arrow_rows == [1000]


def test_arrow_reads_pretty_rows(arrow_rows: list[int]) -> None:
    texts = [json.dumps({"a": i, "b": [{"c": "x"}]}, indent=2).replace("\n", "\r\n") for i in range(1000)]
    assert read(texts, "a", "b[0].c")[0] == {"a": list(range(1000)), "b[0].c": ["x"] * 1000}
    assert arrow_rows == [1000]


@pytest.mark.parametrize(
    "rare", ['"b": 7', '"b": "x"', '"a": 0.5', '"c": {"d": 1.5}', '"c": {"e": true}', '"b": [1, 2]']
)
def test_types_that_no_sample_shows_are_learnt(rare: str, arrow_rows: list[int]) -> None:
    texts = [json.dumps({"a": i, "b": None, "c": {"d": 1, "e": None}}) for i in range(1000)]
    texts[501] = texts[777] = f"{{{rare}}}"
    found, _, _ = read(texts, "a", "c.d", "c.e", "b[1]" if "[" in rare else "b")
    assert [found[name][501] for name in found] == [found[name][777] for name in found] != [None] * 4
    assert arrow_rows == [1000]


def test_one_damaged_row_costs_a_cut(arrow_rows: list[int]) -> None:
    texts = ['{"a": 1}'] * 1000
    texts[400] = '{"a": }'
    found, damaged, _ = read(texts, "a")
    assert found["a"] == [1] * 400 + [None] + [1] * 599
    assert list(damaged) == [400]
    assert sum(arrow_rows) >= 900


def test_arrow_reads_the_regular_rows_of_a_table(arrow_rows: list[int]) -> None:
    texts = [f'{{"a": {i}, "b": {{"c": "2020-01-01", "e": [0.5]}}, "d": null}}' for i in range(1000)]
    names = json_arrow.field_names([text.encode() for text in texts])
    assert names == ["a", "b.c", "b.e", "d"]
    assert arrow_rows == [1000]
    for odd in ('{"a": "x"}', '{"b": 5}', '{"x.y": 1}', '{"a": {}}', '{"a": "Inf"}', '{"a": 1, "a": 2}'):
        assert json_arrow.field_names([text.encode() for text in [*texts, odd]]) is None

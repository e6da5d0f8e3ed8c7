"""The columnar JSON reader against json.loads and a walk, row by row."""

import json
import math
import re
import struct
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from strategies import damaged, same, scattered

from grid_inference.errors import DecodeError
from grid_inference.grid.entries import JsonEntries
from grid_inference.records import RecordTable
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.json.columns import decode_json_columns, decode_json_table, json_names, json_rows
from grid_inference.wire.keys import encode_keys

NAMES = ["a", "b", "a.b", "b.a", "a[0]", "a[2]", "b[1].a", "a.b[0]", "c", "é"]

numbers = st.one_of(
    st.integers(-5, 5),
    st.integers(-(2**63) - 2, 2**63 + 2),
    st.integers(-(2**80), 2**80),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, 1.0, 1e308, 5e-324, 2**53 + 1, 2**63 - 1, -(2**63)]),
)
strings = st.text(max_size=6) | st.sampled_from(
    ["2020-01-01", "2020-01-01T00:00:00Z", "NaN", "Inf", "}\n{", "1", "\ud800"]
)
keys = st.sampled_from(["a", "b", "c", "é", "z", "a.b", "a[0]"])
anything = st.recursive(
    st.none() | st.booleans() | numbers | strings,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=6,
)
KINDS = [st.integers(-9, 9), numbers, st.floats(allow_nan=False, allow_infinity=False), strings, st.booleans()]


Shape = tuple[st.SearchStrategy[Any], list[str]]
"""Values of one shape, and the paths of its scalars: what Arrow reads."""


def alike(draw: st.DrawFn, place: str = "", depth: int = 2) -> Shape:
    form = draw(st.sampled_from(["scalar", "object", "array"] if depth else ["scalar"])) if place else "object"
    if form == "scalar":
        values, paths = draw(st.sampled_from(KINDS)), [place]
    elif form == "array":
        items, paths = alike(draw, place + draw(st.sampled_from(["[0]", "[1]", "[3]"])), depth - 1)
        values = st.lists(items, max_size=5)
    else:
        fields = {
            key: alike(draw, f"{place}.{key}".strip("."), depth - 1)
            for key in sorted(draw(st.sets(keys, min_size=1, max_size=4)))
        }
        values = st.fixed_dictionaries({}, optional={key: field for key, (field, _) in fields.items()})
        paths = [path for _, more in fields.values() for path in more]
    return (values if not place or draw(st.booleans()) else st.none() | values), paths


@st.composite
def texts_of(draw: st.DrawFn, record: Any) -> bytes:
    """A record as different writers write it."""
    ascii_only = draw(st.booleans())
    text = json.dumps(record, ensure_ascii=ascii_only, indent=draw(st.sampled_from([None, None, None, 1])))
    if draw(st.integers(0, 3)) == 0:
        text = text.replace("-0.0", "-0").replace(".0", "").replace("\n", "\r\n")
    return text.encode(errors="surrogatepass")


@st.composite
def batches(draw: st.DrawFn) -> tuple[list[bytes], list[str]]:
    """JSON texts of one shape or of any, each some times over, with damaged ones among them; and names to look for."""
    shape, names = alike(draw)
    records = draw(st.lists(shape, min_size=1, max_size=12))
    if draw(st.integers(0, 3)) == 0:
        names = names + draw(st.lists(st.sampled_from(NAMES), max_size=4))
    texts = [draw(texts_of(record)) for record in records] * draw(st.sampled_from([1, 40, 100]))
    others = st.dictionaries(keys, anything, max_size=4).flatmap(texts_of) | anything.flatmap(texts_of)
    for row in draw(st.just([]) | st.lists(st.integers(0, len(texts) - 1), max_size=4)):
        texts[row] = draw(st.one_of(damaged(texts[row]), st.binary(max_size=20), others))
    return texts, list(dict.fromkeys(names))


def stored(text: bytes) -> bytes:
    return struct.pack(">iii", 0, -130, len(text)) + text


def expected_record(data: bytes) -> dict[str, Any] | None:
    """The object that a Data holds, or None where it is damaged."""

    def refuse(text: str) -> Any:
        raise ValueError(text)

    def whole(text: str) -> int | float:
        return int(text) if len(text) <= 308 else float(text)

    if len(data) < 12 or struct.unpack(">ii", data[4:12]) != (-130, len(data) - 12):
        return None
    try:
        found = json.loads(data[12:].decode(), parse_constant=refuse, parse_int=whole)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def expected_value(record: dict[str, Any] | None, name: str) -> Any:
    if record is None or record.get(name) is not None:
        return record and record[name]
    found: Any = record
    for step in re.findall(r"[^.\[\]]+|\[\d+\]", name):
        try:
            found = found[int(step[1:-1])] if step[0] == "[" and isinstance(found, list) else found[step]
        except (TypeError, KeyError, IndexError):
            return None
    return found


def expected_column(values: list[Any]) -> tuple[str, list[Any]]:
    values = [float(v) if type(v) is int and not -(2**63) <= v < 2**63 else v for v in values]
    types = {type(value) for value in values} - {type(None)}
    if types == {bool}:
        return "bool", values
    if types == {int}:
        return "int64", values
    if types <= {int, float} and all(type(value) is not int or abs(value) <= 2**53 for value in values):
        return "float64", [None if value is None else float(value) for value in values]
    return "object", values


def check(items: list[bytes], names: list[str], found: Any) -> None:
    columns, reasons = found
    records = [expected_record(item) for item in items]
    assert list(reasons) == [row for row, record in enumerate(records) if record is None]
    assert list(columns) == names
    for name, column in columns.items():
        dtype, values = expected_column([expected_value(record, name) for record in records])
        got = column.values.tolist()
        if column.valid is not None:
            assert not column.valid.all()
            got = [value if valid else None for value, valid in zip(got, column.valid.tolist(), strict=True)]
        assert (name, column.values.dtype.name) == (name, dtype)
        assert same(got, values)
        assert not any(isinstance(value, float) and math.isnan(value) for value in got)


@given(batches(), st.data())
def test_columns_are_what_json_loads_finds(batch: tuple[list[bytes], list[str]], data: st.DataObject) -> None:
    texts, names = batch
    items = [stored(text) for text in texts]
    blobs = data.draw(scattered(items)) if len(items) < 40 else Blobs.of(items)
    assert json_rows(blobs).all()
    check(items, names, decode_json_columns(blobs, names))


@given(batches(), st.data())
def test_any_bytes_are_values_or_damaged_rows(batch: tuple[list[bytes], list[str]], data: st.DataObject) -> None:
    texts, names = batch
    items = [stored(text) for text in texts]
    for row in data.draw(st.lists(st.integers(0, len(items) - 1), max_size=6)):
        items[row] = data.draw(damaged(items[row]) | st.binary(max_size=20))
    blobs = Blobs.of(items)
    assert json_rows(blobs).tolist() == [item[4:8] == struct.pack(">i", -130) for item in items]
    check(items, names, decode_json_columns(blobs, names))


# ---- whole tables


def expected_names(record: dict[str, Any], depth: int = 0) -> list[str]:
    names: list[str] = []
    for key, value in record.items():
        inner = value if isinstance(value, dict) and depth < 8 else {}
        opened = bool(inner) and all(each and not set(each) & set(".[]") for each in [key, *inner])
        names += [f"{key}.{name}" for name in expected_names(inner, depth + 1)] if opened else [key]
    return names


def expected_table(records: list[dict[str, Any] | None]) -> dict[str, list[Any]]:
    """All fields of the records that are whole, None where there is none; objects without fields are none."""
    rows = [set(expected_names(record)) if record else set[str]() for record in records]
    table: dict[str, list[Any]] = {}
    for name in sorted(set().union(*rows)):
        found = [expected_value(r, name) if name in row else None for r, row in zip(records, rows, strict=True)]
        table[name] = [None if value == {} else value for value in found]
    parents = {name[:at] for name in table for at, letter in enumerate(name) if letter == "."}
    return {name: each for name, each in table.items() if name not in parents or any(v is not None for v in each)}


@given(batches(), st.data())
def test_a_table_has_all_fields_that_json_loads_finds(batch: tuple[list[bytes], Any], data: st.DataObject) -> None:
    items = [stored(text) for text in batch[0]]
    for row in data.draw(st.just([]) | st.lists(st.integers(0, len(items) - 1), max_size=3)):
        items[row] = data.draw(damaged(items[row]))
    records = [expected_record(item) for item in items]
    columns, reasons = decode_json_table(Blobs.of(items))
    assert list(reasons) == [row for row, record in enumerate(records) if record is None]
    expected = expected_table(records)
    assert list(columns) == list(expected)
    assert columns.keys() <= json_names(Blobs.of(items))
    for name, column in columns.items():
        dtype, values = expected_column(expected[name])
        got = column.values.tolist()
        if column.valid is not None:
            assert not column.valid.all()
            got = [value if valid else None for value, valid in zip(got, column.valid.tolist(), strict=True)]
        assert (name, column.values.dtype.name) == (name, dtype)
        assert same(got, values)


@given(batches())
def test_scans_and_arrow_tables_hold_what_json_loads_finds(batch: tuple[list[bytes], Any]) -> None:
    items = [item for item in map(stored, batch[0]) if expected_record(item) is not None]
    entries = JsonEntries("m", encode_keys(np.arange(len(items))), Blobs.of(items))
    expected = expected_table([expected_record(item) for item in items])
    table = RecordTable.of(list(range(len(items))), [(np.arange(len(items)), entries.columns())])
    assert list(table.columns) == list(expected)
    for name, values in expected.items():
        assert list(map(as_number, table[name].tolist())) == list(map(as_number, values))
    try:
        arrays = entries.arrays()
    except DecodeError:
        assert not all(map(is_plain, expected.values()))
        return
    assert list(arrays) == list(expected)
    for name, values in expected.items():
        assert not is_plain(values) or same(arrays[name].to_pylist(), expected_column(values)[1])


def as_number(value: Any) -> Any:
    """Numbers and booleans as floats, which they may become in a column with nulls; NaN, which JSON lacks, as None."""
    if isinstance(value, float) and math.isnan(value):
        return None
    return float(value) if isinstance(value, int) else value


def is_plain(values: list[Any]) -> bool:
    """Whether Arrow has a type for the values, and gives them back as they are."""
    types = {type(value) for value in values} - {type(None)}
    if types == {str}:
        return not any(value and re.search("[\ud800-\udfff]", value) for value in values)
    return types == {bool} or (types <= {int, float} and expected_column(values)[0] != "object")

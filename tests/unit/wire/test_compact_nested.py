"""Records in records: bytes, limits, names with dots, and rows whose nested records are of several schemas."""

from typing import Any

import numpy as np
import pytest

from grid_inference.errors import DecodeError, EncodeError
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import (
    NESTING_MAX,
    FieldKind,
    Schema,
    decode_columns,
    decode_record,
    encode_columns,
    encode_record,
    flat_names,
    has_field,
    nested_schema_ids,
)

K = FieldKind
INNER = Schema.of("inner", {"n": K.INT16})
NEWER = Schema.of("inner", {"m": K.STRING, "n": K.FLOAT32, "when": K.DATE})
OUTER = Schema.of("outer", {"a": K.COMPACT, "id": K.INT8, "list": K.ARRAY_OF_COMPACT})
KNOWN = {INNER.schema_id: INNER, NEWER.schema_id: NEWER}
CHAIN = Schema.of("chain", {"n": K.INT8, "next": K.COMPACT})


def id_of(schema: Schema) -> str:
    return schema.schema_id.to_bytes(8, "big", signed=True).hex()


def outer(rest: str) -> bytes:
    return bytes.fromhex(f"00000000 ffffffc9 {id_of(OUTER)} {rest}")


def chain(records: int) -> dict[str, Any]:
    record: dict[str, Any] = {"n": records, "next": None}
    for n in range(records - 1, 0, -1):
        record = {"n": n, "next": record}
    return record


def chained(depth: int) -> bytes:
    """A record with others in it, `depth` deep, from the innermost outward."""
    content = bytes.fromhex(f"{id_of(CHAIN)} 00000001 07 ff")
    for _ in range(depth):
        head = bytes.fromhex(id_of(CHAIN)) + (1 + len(content)).to_bytes(4, "big")
        content = head + b"\7" + content + (b"\1" if len(content) < 254 else b"\0\1")
    return bytes.fromhex("00000000 ffffffc9") + content


def test_bytes_of_nested_records() -> None:
    inner = f"{id_of(INNER)} 0102"
    record = {"id": 5, "a": {"n": 258}, "list": [None, {"n": 258}, None]}
    whole = outer(f"00000020 05 {inner} 0000000a 00000003 {inner} ff00ff 01 0b")
    assert encode_record(OUTER, record, {"a": INNER, "list": INNER}) == whole
    assert decode_record(OUTER, whole, KNOWN) == record


def test_a_nested_schema_has_to_be_known() -> None:
    whole = encode_record(OUTER, {"id": 1, "a": {"n": 2}}, {"a": INNER})
    for schemas in ({}, {NEWER.schema_id: NEWER}):
        match = rf"field 'a' \(COMPACT\) of outer: the schema {INNER.schema_id} of a nested record is not known"
        with pytest.raises(DecodeError, match=match):
            decode_record(OUTER, whole, schemas)
        for wanted in (None, ["a"], ["a.n"]):
            with pytest.raises(DecodeError, match=match):
                decode_columns(Blobs.of([whole]), OUTER, wanted, schemas=schemas)
    assert decode_columns(Blobs.of([whole]), OUTER, ["id"])["id"].values.tolist() == [1]
    assert decode_record(OUTER, encode_record(OUTER, {"id": 1})) == {"id": 1, "a": None, "list": None}


@pytest.mark.parametrize(
    ("record", "nested", "match"),
    [
        ({"id": 1, "a": {"n": 2}}, {}, r"field 'a' \(COMPACT\) of outer: the schema of the nested record is not given"),
        ({"id": 1, "list": [{"n": 2}]}, {"a": INNER}, "field 'list' .* is not given"),
        ({"id": 1, "a": {"n": "x"}}, {"a": INNER}, "field 'a' .* field 'n' .* is no integer"),
        ({"id": 1, "a": {"n": 1, "z": 1}}, {"a": INNER}, "inner has no field 'z'"),
        ({"id": 1, "a": 5}, {"a": INNER}, "field 'a' .* is no dict"),
        ({"id": 1, "list": {"n": 1}}, {"list": INNER}, "field 'list' .* is no list"),
    ],
)
def test_nested_dicts_that_do_not_fit(record: dict[str, Any], nested: dict[str, Schema], match: str) -> None:
    with pytest.raises(EncodeError, match=match):
        encode_record(OUTER, record, nested)


def test_columns_of_dicts_are_not_written() -> None:
    with pytest.raises(EncodeError, match="'a'"):
        encode_columns(OUTER, {"id": np.ones(1, np.int8), "a": np.array([{"n": 1}], object)})


# ---- names with dots


def test_rows_whose_nested_records_are_of_several_schemas() -> None:
    rows = [
        encode_record(OUTER, {"id": 1, "a": {"n": 2}}, {"a": INNER}),
        encode_record(OUTER, {"id": 2}),
        encode_record(OUTER, {"id": 3, "a": {"n": 0.5, "m": "x", "when": np.datetime64("2024-02-29")}}, {"a": NEWER}),
        encode_record(OUTER, {"id": 4, "a": {"n": 1.5}}, {"a": NEWER}),
    ]
    names = ["a.m", "id", "a.n", "a.when", "a.nowhere"]
    columns = decode_columns(Blobs.of(rows), OUTER, names, schemas=KNOWN)
    assert list(columns) == names
    assert columns["a.n"].values.dtype == np.float32
    assert columns["a.n"].values.tolist() == [2, 0, 0.5, 1.5]
    assert {name: None if each.valid is None else each.valid.tolist() for name, each in columns.items()} == {
        "a.m": [False, False, True, False],
        "id": None,
        "a.n": [True, False, True, True],
        "a.when": [False, False, True, False],
        "a.nowhere": [False] * 4,
    }
    assert columns["a.when"].values.astype(str).tolist() == ["NaT", "NaT", "2024-02-29", "NaT"]
    assert nested_schema_ids(Blobs.of(rows), OUTER) == {INNER.schema_id, NEWER.schema_id}
    assert nested_schema_ids(Blobs.of(rows[:2]), OUTER, ["a.n"]) == {INNER.schema_id}
    assert nested_schema_ids(Blobs.of(rows), OUTER, ["id", "list"]) == set()


def test_names_that_have_dots_themselves() -> None:
    schema = Schema.of("t", {"a.n": K.INT8, "b.c": K.COMPACT, "s": K.STRING})
    blobs = Blobs.of([encode_record(schema, {"a.n": 1, "b.c": {"n": 2}}, {"b.c": INNER})])
    columns = decode_columns(blobs, schema, ["a.n", "b.c.n"], schemas=KNOWN)
    assert [column.values.tolist() for column in columns.values()] == [[1], [2]]
    for name, match in (("b.n", "no field 'b.n'"), ("s.n", "'s' of t is STRING"), ("a.n.x", "'a.n' of t is INT8")):
        with pytest.raises(DecodeError, match=match):
            decode_columns(blobs, schema, [name], schemas=KNOWN)


def test_the_fields_that_there_are() -> None:
    rows = [
        encode_record(OUTER, {"id": 1, "a": {"n": 2}}, {"a": INNER}),
        encode_record(OUTER, {"id": 2}),
        encode_record(OUTER, {"id": 3, "a": {"n": 0.5}}, {"a": NEWER}),
    ]
    assert flat_names(Blobs.of(rows), OUTER, KNOWN) == ["a.m", "a.n", "a.when", "id", "list"]
    assert flat_names(Blobs.of(rows[1:2]), OUTER) == ["a", "id", "list"]
    with pytest.raises(DecodeError, match="is not known"):
        flat_names(Blobs.of(rows), OUTER, {INNER.schema_id: INNER})
    dotted = Schema.of("t", {"b.c": K.COMPACT})
    assert flat_names(Blobs.of([encode_record(dotted, {"b.c": {"n": 2}}, {"b.c": INNER})]), dotted, KNOWN) == ["b.c"]


def test_a_nested_record_that_a_newer_schema_holds_hides_the_older_ones_nulls() -> None:
    older = Schema.of("chain", {"next": K.COMPACT})
    known = {each.schema_id: each for each in (older, CHAIN, INNER)}
    rows = [
        encode_record(CHAIN, {"n": 1, "next": {"next": None}}, {"next": older}),
        encode_record(CHAIN, {"n": 1, "next": {"n": 1, "next": {"n": 5}}}, {"next": CHAIN, "next.next": INNER}),
    ]
    assert flat_names(Blobs.of(rows[:1]), CHAIN, known) == ["n", "next.next"]
    assert flat_names(Blobs.of(rows), CHAIN, known) == ["n", "next.n", "next.next.n"]


def test_the_deepest_names_have_a_limit_too() -> None:
    known, path = {CHAIN.schema_id: CHAIN}, ".".join(["next"] * NESTING_MAX)
    assert flat_names(Blobs.of([chained(NESTING_MAX)]), CHAIN, known)[-1] == f"{path}.next"
    for depth in (NESTING_MAX + 1, 3000):
        names = flat_names(Blobs.of([chained(depth)]), CHAIN, known)
        assert names[-1] == f"{path}.next"
        with pytest.raises(DecodeError, match=r"field 'next' .*NESTING_MAX"):
            decode_columns(Blobs.of([chained(depth)]), CHAIN, names, schemas=known)


def test_which_names_are_of_a_schema() -> None:
    schema = Schema.of("t", {"a": K.INT8, "b": K.COMPACT, "b.c": K.INT8, "list": K.ARRAY_OF_COMPACT})
    names = ["a", "b", "b.c", "b.c.d", "b.x", "a.b", "list.n", "c", ""]
    assert [name for name in names if has_field(schema, name)] == ["a", "b", "b.c", "b.c.d", "b.x"]


def test_arrays_of_nested_records_have_lengths_too() -> None:
    inner = Schema.of("inner", {"x": K.ARRAY_OF_FLOAT32})
    rows = [encode_record(OUTER, {"id": 1, "a": {"x": [1, 2]}}, {"a": inner}), encode_record(OUTER, {"id": 2})]
    column = decode_columns(Blobs.of(rows), OUTER, ["a.x"], {"a.x": 2}, {inner.schema_id: inner})["a.x"]
    assert column.values.tolist() == [[1, 2], [0, 0]]
    other = encode_record(OUTER, {"id": 3, "a": {"x": 1.0}}, {"a": Schema.of("inner", {"x": K.FLOAT32})})
    known = {each.schema_id: each for each in (inner, Schema.of("inner", {"x": K.FLOAT32}))}
    with pytest.raises(DecodeError, match=r"field 'a' .* as a number and as an array"):
        decode_columns(Blobs.of([rows[0], other]), OUTER, ["a.x"], {"a.x": 2}, known)


# ---- limits


def test_nesting_has_a_limit() -> None:
    known, nested = {CHAIN.schema_id: CHAIN}, {".".join(["next"] * n): CHAIN for n in range(1, NESTING_MAX + 2)}
    deepest = chained(NESTING_MAX)
    assert decode_record(CHAIN, deepest, known)["n"] == 7
    record = chain(NESTING_MAX + 1)
    assert decode_record(CHAIN, encode_record(CHAIN, record, nested), known) == record
    path = ".".join(["next"] * NESTING_MAX)
    assert decode_columns(Blobs.of([deepest]), CHAIN, [f"{path}.n"], schemas=known)[f"{path}.n"].values.tolist() == [7]
    with pytest.raises(EncodeError, match=r"field 'next' .*NESTING_MAX"):
        encode_record(CHAIN, chain(NESTING_MAX + 2), nested)
    for depth in (NESTING_MAX + 1, 3000):
        with pytest.raises(DecodeError, match=r"field 'next' .*NESTING_MAX"):
            decode_record(CHAIN, chained(depth), known)
        for wanted in (None, ["next"], [f"{path}.next.n"]):
            with pytest.raises(DecodeError, match=r"field 'next' .*NESTING_MAX"):
                decode_columns(Blobs.of([chained(depth)]), CHAIN, wanted, schemas=known)
        assert nested_schema_ids(Blobs.of([chained(depth)]), CHAIN, None, known) == {CHAIN.schema_id}


def test_offsets_that_share_a_nested_record_do_not_multiply_it() -> None:
    many = Schema.of("many", {"list": K.ARRAY_OF_COMPACT})
    known, count, content = {many.schema_id: many}, 60, b""
    for _ in range(NESTING_MAX):
        item = bytes.fromhex(id_of(many)) + (content or bytes.fromhex("00000000 ff"))
        width = 1 if len(item) < 255 else 2
        array = len(item).to_bytes(4, "big") + count.to_bytes(4, "big") + item + bytes(width * count)
        content = len(array).to_bytes(4, "big") + array + bytes(1 if len(array) < 255 else 2)
    whole = bytes.fromhex(f"00000000 ffffffc9 {id_of(many)}") + content
    with pytest.raises(DecodeError, match="begin at the same place"):
        decode_record(many, whole, known)
    with pytest.raises(DecodeError, match="begin at the same place"):
        nested_schema_ids(Blobs.of([whole]), many, None, known)


def test_fields_that_share_a_nested_record_do_not_multiply_it() -> None:
    wide = Schema.of("wide", {f"f{i}": K.COMPACT for i in range(30)})
    known, content = {wide.schema_id: wide}, bytes.fromhex(id_of(wide)) + b"\0\0\0\0" + b"\xff" * 30
    for _ in range(NESTING_MAX):
        width = 1 if len(content) < 255 else 2
        content = bytes.fromhex(id_of(wide)) + len(content).to_bytes(4, "big") + content + bytes(30 * width)
    whole = bytes.fromhex("00000000 ffffffc9") + content
    with pytest.raises(DecodeError, match="begin at the same place"):
        decode_record(wide, whole, known)
    with pytest.raises(DecodeError, match="more nested records than"):
        nested_schema_ids(Blobs.of([whole]), wide, None, known)


@pytest.mark.parametrize(
    "rest",
    [
        "00000001 05 01 ff",  # nothing where the record should be
        "00000008 05 0102030405 060708 01 ff",  # a part of a schema id
        f"00000009 05 {id_of(INNER)} 01 ff",  # no fixed part
        f"0000000a 05 {id_of(INNER)} 01 01 ff",  # a part of it
        f"0000000d 05 {id_of(NEWER)} 7fffffff 01 ff",
        f"0000000d 05 {id_of(NEWER)} ffffffff 01 ff",
        f"00000011 05 {id_of(NEWER)} 00000004 00000000 01 ff",  # no table
        f"00000013 05 {id_of(NEWER)} 00000004 00000000 0505 01 ff",  # a table that points outside
    ],
)
def test_nested_records_that_lie(rest: str) -> None:
    with pytest.raises(DecodeError):
        decode_record(OUTER, outer(rest), KNOWN)
    with pytest.raises(DecodeError, match="field 'a'"):
        decode_columns(Blobs.of([outer(rest)]), OUTER, ["a"], schemas=KNOWN)
    with pytest.raises(DecodeError, match="field 'a'"):
        decode_columns(Blobs.of([outer(rest)]), OUTER, ["a.n", "a.m"], schemas=KNOWN)


@pytest.mark.parametrize(
    ("kind", "value"), [(K.ARRAY_OF_INT64, [7, 8]), (K.INT64, 7), (K.COMPACT, {"b": [9, 9]})], ids=str
)
def test_an_element_of_a_field_with_a_dot_in_its_name_is_found_before_what_leads_elsewhere(
    kind: FieldKind, value: Any
) -> None:
    schema, inner = Schema.of("m", {"a": kind, "a.b": K.ARRAY_OF_INT64}), Schema.of("m.a", {"b": K.ARRAY_OF_INT64})
    record = encode_record(schema, {"a": value, "a.b": [1, 2]}, {"a": inner})
    found = decode_columns(Blobs.of([record]), schema, ["a.b[1]"], schemas={inner.schema_id: inner})
    assert found["a.b[1]"].values.tolist() == [2]

"""Records in records: against the stock client, against themselves as columns, and under damage."""

from contextlib import suppress
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from stock_client import StockRecords
from strategies import SCALARS, VALUES, damaged, records, same, scattered, schemas

from grid_inference.errors import DecodeError
from grid_inference.wire.arrow.arrays import arrow_columns
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import (
    FieldKind,
    Schema,
    decode_columns,
    decode_record,
    encode_record,
    flat_names,
    infer_record_schemas,
    nested_schema_ids,
)

PLAIN = sorted({*SCALARS, FieldKind.STRING, FieldKind.DECIMAL, FieldKind.DATE, FieldKind.ARRAY_OF_INT16})


def kinds_of(schema: Schema) -> dict[str, FieldKind]:
    return {each.name: each.kind for each in schema.fields}


@st.composite
def nested_schemas(draw: st.DrawFn) -> tuple[Schema, Schema, Schema]:
    """Outer, middle and inner; each has one of the next in `to N` and several of it in `all N`."""
    inner = Schema.of("inner", kinds_of(draw(schemas(PLAIN, 4))))
    middle = {"to 2": FieldKind.COMPACT, "all 2": FieldKind.ARRAY_OF_COMPACT}
    middle_schema = Schema.of("middle", kinds_of(draw(schemas(PLAIN, 3))) | middle)
    outer = {"to 1": FieldKind.COMPACT, "all 1": FieldKind.ARRAY_OF_COMPACT}
    return Schema.of("outer", kinds_of(draw(schemas(PLAIN, 3))) | outer), middle_schema, inner


def nested_records(chain: tuple[Schema, ...], depth: int = 1) -> st.SearchStrategy[dict[str, Any]]:
    plain = {each.name: VALUES[each.kind] for each in chain[0].fields if each.kind in VALUES}
    if len(chain) > 1:
        inner = st.none() | nested_records(chain[1:], depth + 1)
        plain |= {f"to {depth}": inner, f"all {depth}": st.none() | st.lists(inner, max_size=3)}
    return st.fixed_dictionaries(plain)


def by_path(middle: Schema, inner: Schema) -> dict[str, Schema]:
    outside = ("to 1", "all 1")
    return dict.fromkeys(outside, middle) | {f"{a}.{b}": inner for a in outside for b in ("to 2", "all 2")}


@given(st.data())
def test_nested_records_are_the_stock_clients(data: st.DataObject) -> None:
    outer, middle, inner = chain = data.draw(nested_schemas())
    record = data.draw(nested_records(chain))
    stock = StockRecords(outer, {"to 1": middle, "all 1": middle, "to 2": inner, "all 2": inner})
    theirs = stock.encode(record)
    assert encode_record(outer, record, by_path(middle, inner)) == theirs
    assert same(stock.decode(theirs), record)
    assert same(decode_record(outer, theirs, {each.schema_id: each for each in chain}), record)


def flattened(record: dict[str, Any]) -> dict[str, Any]:
    """A record's fields; instead of a record in it the fields of that one, as `a.b`."""
    found: dict[str, Any] = {}
    for name, value in record.items():
        found |= (
            {f"{name}.{path}": v for path, v in flattened(value).items()} if isinstance(value, dict) else {name: value}
        )
    return found


@given(st.data())
def test_all_fields_of_nested_records_are_columns_and_arrays(data: st.DataObject) -> None:
    outer, middle, inner = chain = data.draw(nested_schemas())
    rows = data.draw(st.lists(nested_records(chain), min_size=1, max_size=5))
    known = {each.schema_id: each for each in chain}
    blobs = data.draw(scattered([encode_record(outer, row, by_path(middle, inner)) for row in rows]))
    flat = [flattened(row) for row in rows]
    parents = {"to 1"} if any(row["to 1"] is not None for row in rows) else set[str]()
    parents |= {"to 1.to 2"} if any((row["to 1"] or {}).get("to 2") is not None for row in rows) else set()
    found = flat_names(blobs, outer, known)
    assert found == sorted({name for row in flat for name in row} - parents)
    for name, column in decode_columns(blobs, outer, found, schemas=known).items():
        values = [row.get(name) for row in flat]
        valid = [True] * len(rows) if column.valid is None else column.valid.tolist()
        assert same([v if there else None for v, there in zip(column.values.tolist(), valid, strict=True)], values)
        if not any(
            isinstance(value, Decimal | list) for value in values
        ):  # the one takes Arrow's scale, the other is nested
            assert same(arrow_columns(blobs, outer, [name], known)[name].to_pylist(), values)


@given(st.data())
def test_nested_columns_are_the_fields_of_the_records(data: st.DataObject) -> None:
    outer, middle, inner = chain = data.draw(nested_schemas())
    rows = data.draw(st.lists(nested_records(chain), min_size=1, max_size=5))
    known = {each.schema_id: each for each in chain}
    blobs = data.draw(scattered([encode_record(outer, row, by_path(middle, inner)) for row in rows]))
    whole = decode_columns(blobs, outer, ["to 1", "all 1"], schemas=known)
    for name, column in whole.items():
        assert same(column.values.tolist(), [row[name] for row in rows])
    paths = [f"to 1.{name}" for name in middle.slots] + [f"to 1.to 2.{name}" for name in inner.slots]
    columns = decode_columns(blobs, outer, paths, schemas=known)
    assert list(columns) == paths
    for path, column in columns.items():
        assert column.valid is not None
        found = [value if there else None for value, there in zip(column.values.tolist(), column.valid, strict=True)]
        assert same(found, [field(row, path) for row in rows])


def field(record: Any, path: str) -> Any:
    """The value at `to 1.name` or `to 1.to 2.name`; a name may have dots itself."""
    for head in ("to 1", "to 2"):
        if record is not None and path.startswith(f"{head}."):
            record, path = record[head], path[len(head) + 1 :]
    return None if record is None else record[path]


@given(st.data())
def test_ids_of_nested_schemas_lead_to_all_that_is_needed(data: st.DataObject) -> None:
    outer, middle, inner = chain = data.draw(nested_schemas())
    rows = data.draw(st.lists(nested_records(chain), max_size=4))
    encoded = [encode_record(outer, row, by_path(middle, inner)) for row in rows]
    blobs = data.draw(scattered(encoded))
    all_schemas, known = {each.schema_id: each for each in chain}, dict[int, Schema]()
    while missing := nested_schema_ids(blobs, outer, None, known) - known.keys():
        known |= {schema_id: all_schemas[schema_id] for schema_id in missing}
    for row, item in zip(rows, encoded, strict=True):
        assert same(decode_record(outer, item, known), row)
    assert known.keys() == {each.schema_id for each in (middle, inner) if appears(rows, deep=each is inner)}


def appears(rows: list[dict[str, Any]], *, deep: bool) -> bool:
    for depth in (1, 2) if deep else (1,):
        found = [[row[f"to {depth}"], *(row[f"all {depth}"] or [])] for row in rows]
        rows = [each for several in found for each in several if each is not None]
    return bool(rows)


@given(st.data())
def test_damaged_nested_records_give_values_or_a_decode_error(data: st.DataObject) -> None:
    outer, middle, inner = chain = data.draw(nested_schemas())
    # Every schema is known under every id: the worst that a record can be led to.
    known = {each.schema_id: each for each in chain}
    record = data.draw(nested_records(chain))
    whole = encode_record(outer, record, by_path(middle, inner))
    items = [whole[:16] + data.draw(damaged(whole[16:])) for _ in range(data.draw(st.integers(1, 3)))]
    blobs = data.draw(scattered(items))
    with suppress(DecodeError):
        nested_schema_ids(blobs, outer, None, known)
    for path in [*outer.slots, *(f"to 1.{name}" for name in middle.slots)]:
        with suppress(DecodeError):
            decode_columns(blobs, outer, [path], {path: 2}, known)
    for item in items:
        try:
            expected = decode_record(outer, item, known)
        except DecodeError:
            continue
        found = decode_columns(Blobs.of([item]), outer, schemas=known)
        assert same(found["to 1"].values.tolist(), [expected["to 1"]])


@given(st.data())
def test_records_of_any_kind_lie_in_others_of_any_kind(data: st.DataObject) -> None:
    inner = Schema.of("inner", kinds_of(data.draw(schemas())))
    record = data.draw(records(inner))
    outer = Schema.of("outer", {"it": FieldKind.COMPACT})
    theirs = StockRecords(outer, {"it": inner}).encode({"it": record})
    assert encode_record(outer, {"it": record}, {"it": inner}) == theirs
    assert same(decode_record(outer, theirs, {inner.schema_id: inner}), {"it": record})


# ---- what `put` makes of dicts in dicts

PUT_VALUES = (
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.booleans(),
    st.text(max_size=5),
    st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-1000, max_value=1000),
    st.dates(),
    st.lists(st.floats(allow_nan=False), max_size=3),
)


@st.composite
def put_records(draw: st.DrawFn, prefix: str = "", levels: int = 2) -> Any:
    """A strategy of records of one shape; a name stands once only: the stand-in finds schemas by it."""
    fields: dict[str, st.SearchStrategy[Any]] = {
        f"{prefix}{number}": draw(st.sampled_from(PUT_VALUES)) for number in range(draw(st.integers(0, 3)))
    }
    if levels:
        fields[f"{prefix}n"] = draw(put_records(f"{prefix}n", levels - 1))
        fields[f"{prefix}l"] = st.lists(st.none() | draw(put_records(f"{prefix}l", levels - 1)), max_size=3)
    required = {name: values for name, values in fields.items() if draw(st.booleans())}
    optional = {name: st.none() | values for name, values in fields.items() if name not in required}
    return st.fixed_dictionaries(required, optional=optional)


def filled(record: Any, schema: Schema, nested: dict[str, Schema], path: str = "") -> Any:
    """The same with None for what is left out."""
    if not isinstance(record, dict):
        return record
    found: dict[str, Any] = {}
    for field in schema.fields:
        value, name = record.get(field.name), f"{path}{field.name}"
        inner = nested.get(name)
        if inner is not None:
            one = isinstance(value, dict) or value is None
            items = [filled(each, inner, nested, f"{name}.") for each in ([value] if one else value)]
            value = items[0] if one else items
        found[field.name] = value
    return found


@given(st.data())
def test_dicts_in_a_record_are_the_stock_clients_nested_records(data: st.DataObject) -> None:
    record = data.draw(data.draw(put_records()))
    schema, nested = infer_record_schemas("t", record)
    assert {path: each.type_name for path, each in nested.items()} == {path: f"t.{path}" for path in nested}
    whole = filled(record, schema, nested)
    stock = StockRecords(schema, {path.rpartition(".")[2]: each for path, each in nested.items()})
    theirs = stock.encode(whole)
    assert encode_record(schema, record, nested) == theirs
    assert same(stock.decode(theirs), whole)
    assert same(decode_record(schema, theirs, {each.schema_id: each for each in nested.values()}), whole)

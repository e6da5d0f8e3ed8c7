"""The Compact codec against the stock client, and against itself: columns, records and matrices agree."""

from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stock_client import StockRecords, stock_schema
from strategies import NESTED, SCALARS, TEMPORAL, VALUES, damaged, records, same, scattered, schemas

from grid_inference.errors import DecodeError
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import (
    Column,
    FieldKind,
    Schema,
    decode_columns,
    decode_matrix,
    decode_record,
    encode_columns,
    encode_record,
    schema_ids,
)

NULLABLE_SCALARS = [FieldKind[f"NULLABLE_{kind.name}"] for kind in SCALARS]


def objects(values: list[Any]) -> np.ndarray:
    array = np.empty(len(values), object)
    array[:] = values
    return array


def typed(kind: FieldKind, values: list[Any]) -> Column:
    """A column as applications pass it: numpy's own type, nulls by a mask."""
    plain = kind.name.removeprefix("NULLABLE_").lower().replace("boolean", "bool")
    valid = np.array([value is not None for value in values], bool)
    return Column(np.array([0 if value is None else value for value in values], plain), valid)


COLUMN_DTYPES = {
    FieldKind.DATE: "M8[D]",
    FieldKind.TIME: "m8[us]",
    FieldKind.TIMESTAMP: "M8[us]",
    FieldKind.TIMESTAMP_WITH_TIMEZONE: "M8[us]",
}


def in_column(kind: FieldKind, value: Any) -> Any:
    """A value as `tolist()` of a decoded column gives it: moments as microseconds, those with a zone in UTC."""
    if value is None or kind not in TEMPORAL:
        return value
    if kind is FieldKind.TIME:
        value = np.timedelta64(((value.hour * 60 + value.minute) * 60 + value.second) * 10**6 + value.microsecond, "us")
    elif kind is FieldKind.TIMESTAMP_WITH_TIMEZONE:
        ahead = np.timedelta64(int(value.utcoffset().total_seconds()), "s")
        value = np.datetime64(value.replace(tzinfo=None), "us") - ahead
    return np.array([value], COLUMN_DTYPES[kind]).tolist()[0]


@given(st.data())
def test_schema_is_the_stock_clients(data: st.DataObject) -> None:
    schema = data.draw(schemas(tuple(FieldKind), 20))
    stock = stock_schema(schema)
    assert schema.schema_id == stock.schema_id
    assert schema.fixed_bytes == stock.fix_sized_fields_length
    assert schema.var_count == stock.var_sized_field_count
    for name, slot in schema.slots.items():
        field = stock.fields_dict[name]
        where = (field.index, -1, 0) if slot.index >= 0 else (-1, field.position, max(field.bit_position, 0))
        assert (slot.index, slot.offset, slot.bit) == where


@given(st.data())
def test_record_bytes_are_the_stock_clients(data: st.DataObject) -> None:
    schema = data.draw(schemas())
    record = data.draw(records(schema))
    stock = StockRecords(schema)
    theirs = stock.encode(record)
    assert encode_record(schema, record) == theirs
    ours = decode_record(schema, theirs)
    assert same(ours, record)
    assert same(stock.decode(encode_record(schema, record)), record)


@given(st.data())
def test_columns_are_records_side_by_side(data: st.DataObject) -> None:
    schema = data.draw(schemas())
    rows = data.draw(st.lists(records(schema), min_size=1, max_size=6))
    columns: dict[str, Any] = {}
    for each in schema.fields:
        values = [row[each.name] for row in rows]
        native = each.kind in SCALARS or (each.kind in NULLABLE_SCALARS and data.draw(st.booleans()))
        columns[each.name] = typed(each.kind, values) if native else objects(values)
    if not columns:
        return
    encoded = encode_columns(schema, columns)
    assert encoded.tolist() == [encode_record(schema, row) for row in rows]
    blobs = data.draw(scattered(encoded.tolist()))
    is_compact, ids = schema_ids(blobs)
    assert is_compact.all()
    assert set(ids.tolist()) == {schema.schema_id}
    decoded = decode_columns(blobs, schema)
    for i, row in enumerate(rows):
        found = {
            name: None if column.valid is not None and not column.valid[i] else column.values[i : i + 1].tolist()[0]
            for name, column in decoded.items()
        }
        assert same(found, {name: in_column(schema.slots[name].kind, value) for name, value in row.items()})


@given(st.data())
def test_datetime_columns_are_the_stock_clients_records(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(TEMPORAL)))
    schema = Schema.of("t", {"it": kind})
    values = data.draw(st.lists(VALUES[kind], min_size=1, max_size=6))
    stock = StockRecords(schema)
    theirs = Blobs.of([stock.encode({"it": value}) for value in values])
    column = decode_columns(theirs, schema)["it"]
    assert column.values.dtype == np.dtype(COLUMN_DTYPES[kind])
    assert same([each.item() for each in column.values], [in_column(kind, value) for value in values])
    if kind is not FieldKind.TIMESTAMP_WITH_TIMEZONE:  # in which a column forgets the zone
        assert encode_columns(schema, {"it": column.values}).tolist() == theirs.tolist()


@given(st.data())
def test_arrays_of_one_length_are_a_matrix(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(SCALARS)))
    length = data.draw(st.integers(0, 18))
    schema = Schema.of("t", {"array": FieldKind[f"ARRAY_OF_{kind.name}"], "after": FieldKind.NULLABLE_INT8})
    fitting = st.lists(SCALARS[kind], min_size=length, max_size=length)
    arrays = data.draw(st.lists(fitting, min_size=1, max_size=6))
    others = data.draw(st.lists(st.none() | st.lists(SCALARS[kind], max_size=4), max_size=3))
    matrix = np.array(arrays, typed(kind, []).values.dtype).reshape(len(arrays), length)
    encoded = encode_columns(schema, {"array": matrix}).tolist()
    assert encoded == [encode_record(schema, {"array": array}) for array in arrays]
    encoded += [encode_record(schema, {"array": array, "after": 1}) for array in others]
    column = decode_columns(data.draw(scattered(encoded)), schema, ["array"], {"array": length})["array"]
    assert column.valid is not None
    assert column.valid.tolist() == [True] * len(arrays) + [each is not None and len(each) == length for each in others]
    assert same(column.values[: len(arrays)].tolist(), arrays)


@given(st.data())
def test_an_element_of_an_array_field_is_that_of_the_record(data: st.DataObject) -> None:
    arrays = tuple(kind for kind in VALUES if kind.name.startswith("ARRAY_OF_"))
    schema = data.draw(schemas(arrays, 4))
    rows = data.draw(st.lists(records(schema), min_size=1, max_size=5))
    blobs = data.draw(scattered([encode_record(schema, row) for row in rows]))
    for name in schema.slots:
        for index in (0, 1, 2):
            wanted = f"{name}[{index}]"
            if wanted in schema.slots:
                continue
            column = decode_columns(blobs, schema, [wanted])[wanted]
            assert column.valid is not None
            lists = [row[name] or [] for row in rows]
            expected = [items[index] if index < len(items) else None for items in lists]
            found = column.values.tolist()
            assert same([one if there else None for one, there in zip(found, column.valid, strict=True)], expected)


@given(st.data())
def test_matrix_is_the_columns_in_any_order(data: st.DataObject) -> None:
    schema = data.draw(schemas((*SCALARS, *NULLABLE_SCALARS)))
    rows = data.draw(st.lists(records(schema), min_size=1, max_size=6))
    names = data.draw(st.lists(st.sampled_from(sorted(schema.slots)))) if schema.slots else []
    dtype = data.draw(st.sampled_from([np.float64, np.float32]))
    blobs = data.draw(scattered([encode_record(schema, row) for row in rows]))
    matrix = decode_matrix(blobs, schema, names, dtype)
    assert matrix.shape == (len(rows), len(names))
    with np.errstate(over="ignore"):
        expected = [
            [np.float64(np.nan if row[name] is None else row[name]).astype(dtype) for name in names] for row in rows
        ]
    np.testing.assert_array_equal(matrix, np.array(expected, dtype).reshape(matrix.shape))


@given(st.data())
def test_damaged_records_give_values_or_a_decode_error(data: st.DataObject) -> None:
    schema = data.draw(schemas((*VALUES, *NESTED)))
    record = data.draw(records(Schema.of("t", {f.name: f.kind for f in schema.fields if f.kind in VALUES})))
    whole = encode_record(schema, record)
    items = [data.draw(damaged(whole) | st.binary(max_size=40)) for _ in range(data.draw(st.integers(1, 4)))]
    check_anything_goes(schema, items, data.draw(scattered(items)))


def check_anything_goes(schema: Schema, items: list[bytes], blobs: Blobs) -> None:
    lengths = {each.name: 3 for each in schema.fields}
    schema_ids(blobs)
    for item in items:
        attempt(decode_record, schema, item)
    for each in schema.fields:
        attempt(decode_columns, blobs, schema, [each.name])
        attempt(decode_columns, blobs, schema, [each.name], lengths)
        attempt(decode_matrix, blobs, schema, [each.name])
    attempt(decode_columns, blobs, schema)
    attempt(decode_matrix, blobs, schema, list(schema.slots), np.float32)


def attempt(function: Any, *arguments: Any) -> None:
    with suppress(DecodeError):
        function(*arguments)


@given(st.data())
def test_columns_and_records_agree_on_what_is_damaged(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(VALUES)))
    schema = Schema.of("t", {"a": FieldKind.INT16, "it": kind, "z": FieldKind.NULLABLE_INT8})
    record = data.draw(records(schema))
    item = encode_record(schema, record)
    item = item[:16] + data.draw(damaged(item[16:60])) + item[60:]
    blobs = data.draw(scattered([item]))
    lengths = data.draw(st.sampled_from([{}, {"it": 0}, {"it": 2}]))
    try:
        expected = decode_record(schema, item)
    except DecodeError:
        with pytest.raises(DecodeError):
            decode_columns(blobs, schema, None, lengths)
        return
    decoded = decode_columns(blobs, schema, None, lengths)
    for name, column in decoded.items():
        there = column.valid is None or bool(column.valid[0])
        value = expected[name]
        if name in lengths and value is not None and column.values.ndim == 2:
            assert there == (len(value) == lengths[name])
        else:
            assert there == (value is not None)
        assert not there or same(column.values[0:1].tolist()[0], in_column(schema.slots[name].kind, value))

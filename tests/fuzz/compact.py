"""Targets: Compact records, one and many, nested and flat, as columns, matrices and Arrow arrays.

Oracles: the stock client for one record; for many, the record by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any

import numpy as np
from stock_client import StockRecords, stock_schema
from strategies import same
from test_compact_properties import in_column

from grid_inference.errors import DecodeError
from grid_inference.wire.arrow.arrays import arrow_columns
from grid_inference.wire.compact import (
    Column,
    FieldKind,
    Schema,
    decode_columns,
    decode_matrix,
    decode_record,
    decode_text_blobs,
    nested_schema_ids,
    schema_ids,
)
from grid_inference.wire.schema import ARRAY_OF, NULLABLE_OF
from grid_inference.wire.texts import decode_texts

from .case import Case, OnlyStockError, Target, scattered
from .inputs import Inputs, Records, pick
from .limits import NOTHING, read_by_stock
from .mutation import mutated

__all__ = ["COMPACT", "answer_of", "damaged_record", "damaged_rows", "decode_one", "one_record", "stock_fields"]

HEAD_BYTES = 16
"""Type and schema id, by which a record has been recognised before its fields are read."""
ROWS = (1, 1, 2, 6, 40)
DAMAGED_SHARES = (0.0, 0.1, 0.5, 1.0)
ARRAY_LENGTH = 2
NUMBERS = {kind for kind in FieldKind if kind in NULLABLE_OF or kind in NULLABLE_OF.values()}


# ---- cases


def damaged_record(rng: np.random.Generator, record: bytes, other: bytes) -> bytes:
    """Mostly behind the header, which else would be all that is looked at."""
    if rng.random() < 0.1:
        return mutated(rng, record, other)
    return record[:HEAD_BYTES] + mutated(rng, record[HEAD_BYTES:], other[HEAD_BYTES:])


def damaged_rows(rng: np.random.Generator, some: Records, count: int) -> tuple[bytes, ...]:
    """Rows of one schema: all good, all damaged, or some."""
    rows, share = [pick(rng, some.items) for _ in range(count)], pick(rng, DAMAGED_SHARES)
    return tuple(damaged_record(rng, row, pick(rng, some.items)) if rng.random() < share else row for row in rows)


def one_record(kind: str, rng: np.random.Generator, inputs: Inputs) -> Case:
    """A record of the inputs' `records` or `nested`."""
    some = pick(rng, getattr(inputs, kind))
    item, other = pick(rng, some.items), pick(rng, pick(rng, getattr(inputs, kind)).items)
    return Case((damaged_record(rng, item, other) if rng.random() < 0.85 else item,), some.schemas)


def _make_many(kind: str, rng: np.random.Generator, inputs: Inputs) -> Case:
    """Rows of one schema, good and damaged; and the names of some of its fields, all if there are none."""
    some = pick(rng, getattr(inputs, kind))
    names = [name for name in _paths(some.schemas) if rng.random() < 0.3]
    return Case(damaged_rows(rng, some, pick(rng, ROWS)), some.schemas, tuple(names))


def _paths(schemas: tuple[Schema, ...]) -> list[str]:
    """Fields, and fields of the records nested in them, to the depth of the schemas."""
    paths, before = list(schemas[0].slots), ""
    for schema in schemas[1:]:
        head = next(name for name in paths if name.startswith(before) and name.removeprefix(before).startswith("to "))
        before = f"{head}."
        paths += [f"{before}{name}" for name in schema.slots]
    return paths


def _make_matrix(rng: np.random.Generator, inputs: Inputs) -> Case:
    case = _make_many("records", rng, inputs)
    kinds = {each.name: each.kind for each in case.schemas[0].fields}
    some = [name for name, kind in kinds.items() if kind in NUMBERS]
    names = list(rng.permutation(np.array(some, object))) if some else list(kinds)[:1]
    return Case(case.items, case.schemas, tuple(names))


# ---- one record


def _known(case: Case) -> dict[int, Schema]:
    """Every nested schema is known under its id."""
    return {each.schema_id: each for each in case.schemas}


def decode_one(case: Case) -> dict[str, Any]:
    """The first item, which is of the first schema."""
    return decode_record(case.schemas[0], case.items[0], _known(case))


@lru_cache(maxsize=256)
def _stock(schemas: tuple[Schema, ...]) -> StockRecords:
    outer, *inner = schemas
    names = {f"{start} {depth}": schema for depth, schema in enumerate(inner, 1) for start in ("to", "all")}
    if not inner:
        compact = (FieldKind.COMPACT, FieldKind.ARRAY_OF_COMPACT)
        names = {each.name: outer for each in outer.fields if each.kind in compact}
    return StockRecords(outer, names)


def _check_one(case: Case, found: Any) -> None:
    if len(case.items[0]) < HEAD_BYTES or case.items[0][4:HEAD_BYTES] != _head(case.schemas[0]):
        assert isinstance(found, DecodeError)
        return
    theirs = read_by_stock(lambda: _stock(case.schemas).decode(case.items[0]))
    if theirs is NOTHING:
        return
    if isinstance(found, DecodeError):
        raise OnlyStockError(_reason(found))
    assert same(found, theirs)


def _reason(error: DecodeError) -> str:
    """Without the names of fields and types."""
    return re.sub(r"(record|field) of .*(?= claims| lies)", r"\1", str(error).rpartition(": ")[2], flags=re.DOTALL)


def _head(schema: Schema) -> bytes:
    return (-55).to_bytes(4, "big", signed=True) + schema.schema_id.to_bytes(8, "big", signed=True)


def stock_fields(schema: Schema, names: tuple[str, ...], data: bytes) -> Any:
    """Some fields of a record as the stock client reads them that knows only these, or NOTHING."""
    reader = _stock_part(schema, names)
    return read_by_stock(lambda: reader.decode(data))


@lru_cache(maxsize=256)
def _stock_part(schema: Schema, names: tuple[str, ...]) -> StockRecords:
    kinds = {each.name: each.kind for each in schema.fields if each.name in names}
    reader = StockRecords(Schema.of(schema.type_name, kinds))
    reader._service._compact_stream_serializer.register_schema_to_id(stock_schema(schema))
    return reader


# ---- columns


def _columns(lengths: Mapping[str, int], case: Case) -> dict[str, Column]:
    wanted = case.names or None
    return decode_columns(scattered(case.items), case.schemas[0], wanted, lengths, _known(case))


def _with_lengths(case: Case) -> dict[str, Column]:
    return _columns(_array_lengths(case), case)


def _array_lengths(case: Case) -> dict[str, int]:
    return {each.name: ARRAY_LENGTH for each in case.schemas[0].fields if each.kind in ARRAY_OF}


def _check_columns(decode: Callable[[Case], dict[str, Column]], case: Case, found: Any) -> None:
    """Many rows are read if each of them is, and to the same values; alone they are what the whole record is."""
    alone = [answer_of(decode, Case((item,), case.schemas, case.names)) for item in case.items]
    assert isinstance(found, DecodeError) == any(isinstance(each, DecodeError) for each in alone)
    for row, (item, single) in enumerate(zip(case.items, alone, strict=True)):
        if not isinstance(found, DecodeError):
            assert same(_values(found, row), _values(single, 0))
        if not case.names and len(item) >= HEAD_BYTES:
            _check_record(case, item, single)


def answer_of(decode: Callable[[Case], Any], case: Case) -> Any:
    """What it gives, or the DecodeError."""
    try:
        return decode(case)
    except DecodeError as error:
        return error


def _values(columns: Mapping[str, Column], row: int) -> dict[str, Any]:
    """A row; what has no value is None. A moment counts in microseconds, as `tolist` may give it."""
    return {
        name: None if column.valid is not None and not column.valid[row] else column.values[row : row + 1].tolist()[0]
        for name, column in columns.items()
    }


def _check_record(case: Case, item: bytes, columns: Any) -> None:
    schema = case.schemas[0]
    record = answer_of(decode_one, Case((item[:4] + _head(schema) + item[HEAD_BYTES:],), case.schemas))
    assert isinstance(record, DecodeError) == isinstance(columns, DecodeError), (record, columns)
    if isinstance(record, DecodeError):
        return
    for name, value in _values(columns, 0).items():
        kind = schema.slots[name].kind
        if columns[name].values.ndim == 2 and (record[name] is None or len(record[name]) != ARRAY_LENGTH):
            assert value is None
        else:
            assert same(value, in_column(kind, record[name]))


def _matrix(case: Case) -> np.ndarray:
    return decode_matrix(scattered(case.items), case.schemas[0], case.names)


def _check_matrix(case: Case, found: Any) -> None:
    columns = answer_of(partial(_columns, {}), case)
    kinds = {case.schemas[0].slots[name].kind for name in case.names}
    if isinstance(columns, DecodeError) or not kinds <= NUMBERS:
        assert isinstance(found, DecodeError)
        return
    for i, name in enumerate(case.names):
        column = columns[name]
        with np.errstate(invalid="ignore"):  # a signalling NaN
            expected = column.values.astype(np.float64)
        if column.valid is not None:
            expected[~column.valid] = np.nan
        np.testing.assert_array_equal(found[:, i], expected)


# ---- nested schemas, texts, Arrow


def _nested_ids(case: Case) -> set[int]:
    """As a link asks: again and again, until no new ones come."""
    known: dict[int, Schema] = {}
    every = _known(case)
    while True:
        found = nested_schema_ids(scattered(case.items), case.schemas[0], case.names or None, known)
        new = {each: every[each] for each in found - known.keys() if each in every}
        if not new:
            return found
        known |= new


def _check_nested_ids(case: Case, found: Any) -> None:
    """Whatever can be read as a whole has been searched, and all that it takes was found."""
    for item in case.items:
        record = answer_of(decode_one, Case((item,), case.schemas))
        if isinstance(found, set) and not case.names and not isinstance(record, DecodeError):
            known = {each: _known(case)[each] for each in found if each in _known(case)}
            assert same(decode_record(case.schemas[0], item, known), record)


def _texts(case: Case) -> dict[str, list[Any]]:
    names = [each.name for each in case.schemas[0].fields if each.kind is FieldKind.STRING]
    found = decode_text_blobs(scattered(case.items), case.schemas[0], names)
    return {name: decode_texts(blobs).tolist() for name, blobs in found.items()}


def _check_texts(case: Case, found: Any) -> None:
    names = tuple(each.name for each in case.schemas[0].fields if each.kind is FieldKind.STRING)
    if names:
        columns = answer_of(partial(_columns, {}), Case(case.items, case.schemas, names))
        assert isinstance(columns, DecodeError) == isinstance(found, DecodeError)
        if isinstance(columns, dict):
            assert {name: column.values.tolist() for name, column in columns.items()} == found


def _arrow(case: Case) -> dict[str, Any]:
    schema, wanted = case.schemas[0], [name for name in case.names if name in case.schemas[0].slots]
    return arrow_columns(scattered(case.items), schema, wanted or None, _known(case))


def _check_arrow(case: Case, found: Any) -> None:
    if isinstance(found, DecodeError):
        return
    columns = _columns({}, Case(case.items, case.schemas, tuple(found)))
    for name, array in found.items():
        array.validate(full=True)
        valid = columns[name].valid
        expected = [True] * len(case.items) if valid is None else valid.tolist()
        assert array.is_valid().to_pylist() == expected


def _ids(case: Case) -> tuple[list[bool], list[int]]:
    compact, ids = schema_ids(scattered(case.items))
    return compact.tolist(), ids.tolist()


def _check_ids(case: Case, found: tuple[list[bool], list[int]]) -> None:
    for item, compact, schema_id in zip(case.items, *found, strict=True):
        head = item[4:HEAD_BYTES]
        assert compact == (len(head) == 12 and head[:4] == b"\xff\xff\xff\xc9")
        assert schema_id == (int.from_bytes(head[4:], "big", signed=True) if compact else 0)


COMPACT = (
    Target("compact record", partial(one_record, "records"), decode_one, _check_one, weight=4),
    Target("compact nested record", partial(one_record, "nested"), decode_one, _check_one, weight=3),
    Target(
        "compact columns",
        partial(_make_many, "records"),
        partial(_columns, {}),
        partial(_check_columns, partial(_columns, {})),
        weight=3,
    ),
    Target(
        "compact arrays",
        partial(_make_many, "records"),
        _with_lengths,
        partial(_check_columns, _with_lengths),
        weight=2,
    ),
    Target(
        "compact nested columns",
        partial(_make_many, "nested"),
        partial(_columns, {}),
        partial(_check_columns, partial(_columns, {})),
        weight=2,
    ),
    Target("compact matrix", _make_matrix, _matrix, _check_matrix, weight=2),
    Target("compact nested ids", partial(_make_many, "nested"), _nested_ids, _check_nested_ids),
    Target("compact texts", partial(_make_many, "records"), _texts, _check_texts),
    Target("compact arrow", partial(_make_many, "records"), _arrow, _check_arrow, weight=2),
    Target("compact nested arrow", partial(_make_many, "nested"), _arrow, _check_arrow),
    Target("compact ids", partial(_make_many, "records"), _ids, _check_ids, refuses=False),
)

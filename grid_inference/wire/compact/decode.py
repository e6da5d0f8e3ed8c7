"""Compact records → columns or one feature matrix. Every byte is taken for hostile: a value or `DecodeError`.

The fixed part of a record lies at a constant offset whatever the record's length, so all fixed-size fields of all
records come out in one gather, and a matrix by a kernel (`kernels/numbers.py`). Variable-size fields are found by each
record's table of offsets, as vectors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from grid_inference.errors import DecodeError
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.columns import Column, join_columns
from grid_inference.wire.compact.fixed import Run, native, runs_of
from grid_inference.wire.compact.nested import element_of, has_field, nested_ids, split_wanted
from grid_inference.wire.compact.record import NO_SCHEMAS, Nesting
from grid_inference.wire.compact.var import VarReader
from grid_inference.wire.kernels import numbers as kernel
from grid_inference.wire.layout import DATA_HEADER_BYTES, TYPE_COMPACT, TYPE_OFFSET
from grid_inference.wire.rows import blocks
from grid_inference.wire.schema import (
    ARRAY_OF,
    NULLABLE_KINDS,
    NULLABLE_OF,
    SCHEMA_ID_BYTES,
    Schema,
    Slot,
)

__all__ = ["decode_columns", "decode_even_columns", "decode_matrix", "decode_text_blobs", "schema_ids"]

_NO_LENGTHS: Mapping[str, int] = MappingProxyType({})
_TYPE_AND_ID = np.dtype([("type", ">i4"), ("id", ">i8")])


def schema_ids(values: Blobs) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which values are Compact records, and the schema id of each of them (0 elsewhere)."""
    compact = values.lengths >= DATA_HEADER_BYTES + SCHEMA_ID_BYTES
    whole = bool(compact.all())
    head = (values if whole else values.take(compact)).read(TYPE_OFFSET, _TYPE_AND_ID)
    found = np.where(head["type"] == TYPE_COMPACT, head["id"], 0).astype(np.int64)
    if whole:
        return np.asarray(head["type"] == TYPE_COMPACT), found
    ids = np.zeros(len(values), np.int64)
    ids[compact] = found
    compact[compact] = head["type"] == TYPE_COMPACT
    return compact, ids


# ---- a feature matrix


def decode_matrix(values: Blobs, schema: Schema, names: Sequence[str], dtype: DTypeLike = np.float64) -> NDArray[Any]:
    """Numeric and boolean fields as the columns of one float matrix, in the order of `names`; a null becomes NaN.

    `values` are whole Data, all of this schema. A double that is too large for a float32 becomes infinite.
    """
    plan, variable = _matrix_plan(schema, tuple(names))
    matrix = np.empty((len(values), plan.shape[0]))
    begin, fixed, (data, starts, lengths) = schema.data_start, schema.fixed_bytes, values.columns
    if wrong := kernel.matrix(data, starts, lengths, plan, begin, fixed, variable, matrix):
        raise DecodeError(f"a record of {schema.type_name} {_WRONG[wrong]}")
    with np.errstate(over="ignore", invalid="ignore"):
        return matrix.astype(dtype, copy=False)


_WRONG = {
    kernel.TOO_SHORT: "is too short for its fields",
    kernel.BAD_SIZE: "claims another size than it has",
    kernel.BAD_FIELD: "has a field that lies outside it",
}


@lru_cache(maxsize=256)
def _matrix_plan(schema: Schema, names: tuple[str, ...]) -> tuple[NDArray[np.int64], int]:
    """What the kernel takes as its plan; how many fields are in a table of offsets that has to be looked at."""
    slots = [_slot(schema, name) for name in names]
    for slot in slots:
        if NULLABLE_OF.get(slot.kind, slot.kind) not in NULLABLE_KINDS:
            raise DecodeError(f"field {slot.name!r} of {schema.type_name} is {slot.kind.name}, not one number")
    rows = [(NULLABLE_OF.get(slot.kind, slot.kind), slot.offset, slot.bit, slot.index) for slot in slots]
    variable = schema.var_count if any(slot.index >= 0 for slot in slots) else 0
    return np.array(rows, np.int64).reshape(-1, 4), variable


# ---- columns


def _slot(schema: Schema, name: str) -> Slot:
    slot = schema.slots.get(name)
    if slot is None:
        raise DecodeError(f"{schema.type_name} has no field {name!r}")
    return slot


def decode_columns(
    values: Blobs,
    schema: Schema,
    wanted: Iterable[str] | None = None,
    array_lengths: Mapping[str, int] = _NO_LENGTHS,
    schemas: Mapping[int, Schema] = NO_SCHEMAS,
) -> dict[str, Column]:
    """The wanted fields (or all) as columns; `values` are whole Data, all of this schema.

    An array field with a stated length becomes an (n, length) matrix, not valid where a record's array has another;
    other arrays, strings and decimals become Python objects. DATE is datetime64[D], TIME timedelta64[us] since
    midnight, TIMESTAMP datetime64[us], TIMESTAMP_WITH_TIMEZONE the same in UTC. `valid` is None for fields that can't
    be null.

    A nested record is a dict; its schema has to be in `schemas` (`nested_schema_ids` tells which). `a.b` is the field
    b of the record nested in a, and null where a is null or its schema has no b. `a[3]` is element 3 of the array in a,
    and null where a is null or shorter.
    """
    return _decode_columns(values, schema, wanted, array_lengths, Nesting(schemas))


def decode_even_columns(
    values: Blobs, schema: Schema, wanted: Iterable[str] | None = None, schemas: Mapping[int, Schema] = NO_SCHEMAS
) -> dict[str, Column]:
    """The same; an array field of numbers is an (n, length) matrix if all n arrays are there and of one length."""
    names = list(schema.slots if wanted is None else wanted)
    lengths = _first_lengths(values, schema, names)
    columns = decode_columns(values, schema, names, lengths, schemas)
    uneven = [name for name in lengths if not _full(columns[name])]
    return columns | decode_columns(values, schema, uneven) if uneven else columns


def _first_lengths(values: Blobs, schema: Schema, names: Iterable[str]) -> dict[str, int]:
    """The lengths of the first record's arrays of numbers: mostly all records' arrays are as long."""
    arrays = [name for name in names if name in schema.slots and schema.slots[name].kind in ARRAY_OF]
    if not arrays or not len(values):
        return {}
    first = decode_columns(values.take(np.arange(1)), schema, arrays)
    return {name: len(column.values[0]) for name, column in first.items() if _full(column)}


def _full(column: Column) -> bool:
    return column.valid is None or bool(column.valid.all())


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the wanted names of a schema are, each kind of them."""

    fixed: list[Run]
    var: list[Slot]
    elements: dict[str, tuple[str, int]]
    paths: dict[str, dict[str, str]]


@lru_cache(maxsize=256)
def _plan(schema: Schema, names: tuple[str, ...]) -> _Plan:
    plain, paths = split_wanted(schema, names)
    elements = {name: element for name in plain if (element := element_of(schema, name))}
    slots = [_slot(schema, name) for name in plain if name not in elements]
    fixed = runs_of({slot.name: slot for slot in slots if slot.index < 0}.values())
    return _Plan(fixed, [slot for slot in slots if slot.index >= 0], elements, paths)


def _decode_columns(
    values: Blobs, schema: Schema, wanted: Iterable[str] | None, array_lengths: Mapping[str, int], nesting: Nesting
) -> dict[str, Column]:
    names = tuple(schema.slots if wanted is None else wanted)
    plan = _plan(schema, names)
    columns = _fixed_columns(values, schema, plan.fixed)
    if plan.var or plan.paths or plan.elements:
        reader = VarReader(values, schema, nesting)
        columns.update((name, reader.element(schema.slots[field], at)) for name, (field, at) in plan.elements.items())
        columns.update((slot.name, reader.column(slot, array_lengths.get(slot.name))) for slot in plan.var)
        for head, rest in plan.paths.items():
            columns.update(_nested_columns(reader, schema, schema.slots[head], rest, array_lengths, nesting))
    return {name: columns[name] for name in names}


def _nested_columns(
    reader: VarReader,
    schema: Schema,
    slot: Slot,
    paths: Mapping[str, str],
    array_lengths: Mapping[str, int],
    nesting: Nesting,
) -> dict[str, Column]:
    """Fields of the records nested in one field, by wanted name; `paths` says how the nested record calls each."""
    lengths = {path: array_lengths[name] for name, path in paths.items() if name in array_lengths}
    parts: list[tuple[NDArray[np.intp], dict[str, Column]]] = []
    try:
        deeper = nesting.deeper()
        rows, records = reader.nested(slot)
        ids = nested_ids(records)
        for schema_id in np.unique(ids).tolist():
            inner, mine = nesting.schema(schema_id), np.flatnonzero(ids == schema_id)
            there = [path for path in paths.values() if has_field(inner, path)]
            parts.append((rows[mine], _decode_columns(records.take(mine), inner, there, lengths, deeper)))
        found = {
            name: [(at, columns[path]) for at, columns in parts if path in columns] for name, path in paths.items()
        }
        return {name: join_columns(reader.rows, each) for name, each in found.items()}
    except DecodeError as error:
        raise DecodeError(f"field {slot.name!r} ({slot.kind.name}) of {schema.type_name}: {error}") from None


def decode_text_blobs(values: Blobs, schema: Schema, wanted: Iterable[str]) -> dict[str, Blobs]:
    """The UTF-8 bytes of STRING fields where they lie, a null's length -1; not checked to be UTF-8."""
    slots = [_slot(schema, name) for name in wanted]
    if not slots:  # the schema may have no variable part at all
        return {}
    reader = VarReader(values, schema)
    return {slot.name: reader.texts(slot) for slot in slots}


def _fixed_columns(values: Blobs, schema: Schema, runs: list[Run]) -> dict[str, Column]:
    """Each run of neighbours of one kind becomes one matrix, whose columns the fields' columns are."""
    if not runs:
        return {}
    matrices = [np.empty((len(values), len(run.slots)), native(run.first.kind)) for run in runs]
    start = runs[0].first.offset
    width = runs[-1].end - start
    for rows in blocks(len(values), width):
        some = Blobs(values.buffer, values.starts[rows], values.lengths[rows])
        block = some.matrix(schema.data_start + start, width)
        for run, matrix in zip(runs, matrices, strict=True):
            matrix[rows] = run.read(block, start)
    return {
        slot.name: Column(matrix[:, i])
        for run, matrix in zip(runs, matrices, strict=True)
        for i, slot in enumerate(run.slots)
    }

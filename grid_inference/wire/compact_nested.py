"""Records nested in Compact records: which schemas occur, what `a.b` and `a[3]` mean, columns joined from several.

A nested record lies in the variable part like any other value: its schema id, then as in `compact.py` from there on. So
it is read as if it were a Data that begins eight bytes earlier; no header of it is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid_inference.errors import DecodeError
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.columns import Column
from grid_inference.wire.compact_record import NESTING_MAX, NO_SCHEMAS
from grid_inference.wire.compact_var import VarReader
from grid_inference.wire.layout import DATA_HEADER_BYTES
from grid_inference.wire.schema import ARRAY_OF, ITEMS_OF, SCHEMA_ID_BYTES, FieldKind, Schema

__all__ = ["element_of", "has_field", "is_nested", "join_columns", "nested_ids", "nested_schema_ids", "split_wanted"]

_ELEMENT = re.compile(r"(?P<field>.*)\[(?P<index>[0-9]{1,9})\]", re.DOTALL)


def nested_schema_ids(
    values: Blobs, schema: Schema, wanted: Iterable[str] | None = None, schemas: Mapping[int, Schema] = NO_SCHEMAS
) -> set[int]:
    """Ids of the schemas of the records nested in the wanted fields (or all) of `values`, which are of one schema.

    It looks only into nested records whose schema is in `schemas`: fetch what is not there yet, and ask again.
    """
    found = set[int]()
    _collect(_Search(schemas, found, values.nbytes // SCHEMA_ID_BYTES), values, schema, wanted, 0)
    return found


class _Search:
    """What is known and found, and how many more nested records the bytes have room for."""

    def __init__(self, schemas: Mapping[int, Schema], found: set[int], room: int) -> None:
        self.schemas = schemas
        self.found = found
        self._room = room

    def visit(self, records: Blobs) -> NDArray[np.int64]:
        """The schema ids of some nested records; DecodeError if offsets lead to the same ones again and again."""
        self._room -= len(records)
        if self._room < 0:
            raise DecodeError("there are more nested records than the bytes have room for")
        return nested_ids(records)


def _collect(search: _Search, values: Blobs, schema: Schema, wanted: Iterable[str] | None, depth: int) -> None:
    plain, paths = split_wanted(schema, list(schema.slots if wanted is None else wanted))
    heads: dict[str, Iterable[str] | None] = {head: rest.values() for head, rest in paths.items()}
    heads.update((name, None) for name in plain)
    nested = [schema.slots[name] for name in heads if name in schema.slots]
    nested = [slot for slot in nested if slot.kind in (FieldKind.COMPACT, FieldKind.ARRAY_OF_COMPACT)]
    if not nested or depth == NESTING_MAX:
        return
    reader = VarReader(values, schema)
    for slot in nested:
        records = reader.nested(slot)[1] if slot.kind is FieldKind.COMPACT else reader.nested_items(slot)
        ids = search.visit(records)
        for schema_id in np.unique(ids).tolist():
            search.found.add(schema_id)
            inner = search.schemas.get(schema_id)
            if inner is not None:
                _collect(search, records.take(ids == schema_id), inner, heads[slot.name], depth + 1)


def nested_ids(records: Blobs) -> NDArray[np.int64]:
    """The schema id of each nested record, shape (n,)."""
    return records.read(DATA_HEADER_BYTES, ">i8").astype(np.int64)


# ---- names with dots and indexes


def element_of(schema: Schema, name: str) -> tuple[str, int] | None:
    """The array field and the index that `a[3]` means; None where a field has just this name, or `a` is no array."""
    found = None if name in schema.slots else _ELEMENT.fullmatch(name)
    slot = schema.slots.get(found["field"]) if found else None
    if found is None or slot is None or ITEMS_OF.get(slot.kind, ARRAY_OF.get(slot.kind)) in (None, FieldKind.COMPACT):
        return None
    return slot.name, int(found["index"])


def split_wanted(schema: Schema, names: Sequence[str]) -> tuple[list[str], dict[str, dict[str, str]]]:
    """Names of fields; and those that lead into nested records: the field → wanted name → name in the nested record.

    A field whose own name has a dot is found first. What is no field, nor leads into one, stays among the names.
    """
    plain, paths = list[str](), dict[str, dict[str, str]]()
    for name in names:
        head = None if name in schema.slots else _head(schema, name)
        if head is None:
            plain.append(name)
        else:
            paths.setdefault(head, {})[name] = name[len(head) + 1 :]
    return plain, paths


def has_field(schema: Schema, name: str) -> bool:
    """Whether a name, which may lead into a nested record or an array, begins with a field of the schema."""
    return name in schema.slots or element_of(schema, name) is not None or _head(schema, name) is not None


def is_nested(schema: Schema, name: str) -> bool:
    """Whether a name leads into a nested record; what is there, that record's own schema tells."""
    if name in schema.slots or element_of(schema, name) is not None:
        return False
    return any(schema.slots[head].kind is FieldKind.COMPACT for head in _heads(schema, name))


def _heads(schema: Schema, name: str) -> list[str]:
    """The fields that a name with dots begins with, the shortest first."""
    return [name[:i] for i, letter in enumerate(name) if letter == "." and name[:i] in schema.slots]


def _head(schema: Schema, name: str) -> str | None:
    """The field into whose nested records a name leads; None if there is no such field."""
    heads = _heads(schema, name)
    head = next((each for each in heads if schema.slots[each].kind is FieldKind.COMPACT), None)
    if heads and head is None:
        kind = schema.slots[heads[0]].kind.name
        raise DecodeError(f"field {heads[0]!r} of {schema.type_name} is {kind}: there is no {name!r} in it")
    return head


# ---- columns of several schemas


def join_columns(count: int, parts: Sequence[tuple[NDArray[np.intp], Column]]) -> Column:
    """One column of `count` rows from columns that hold some of them; the other rows are null.

    Numbers of several dtypes become the one that holds them all, and so do moments; else there are Python objects.
    """
    if not parts:
        return Column(np.full(count, None, np.object_), np.zeros(count, np.bool_))
    dtype, shapes = _common_dtype([column.values for _, column in parts]), {c.values.shape[1:] for _, c in parts}
    if len(shapes) > 1:
        raise DecodeError("nested records hold a field as a number and as an array")
    values = np.zeros((count, *shapes.pop()), dtype)
    if dtype.kind in "mMO":
        values[...] = None if dtype.kind == "O" else np.array("NaT", dtype)
    valid = np.zeros(count, np.bool_)
    for rows, column in parts:
        values[rows] = column.values
        valid[rows] = True if column.valid is None else column.valid
    return Column(values, valid)


def _common_dtype(arrays: Sequence[NDArray[Any]]) -> np.dtype[Any]:
    dtypes = {array.dtype for array in arrays}
    if len(dtypes) == 1:
        return dtypes.pop()
    kinds = {dtype.kind for dtype in dtypes}
    return np.result_type(*dtypes) if kinds <= set("if") or kinds == {"M"} else np.dtype(np.object_)

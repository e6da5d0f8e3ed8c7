"""Records nested in Compact records: which schemas occur, which fields that makes, what `a.b` and `a[3]` mean.

A nested record lies in the variable part like any other value: its schema id, then all as in a Data from there on. So
it is read as if it were a Data that begins eight bytes earlier; no header of it is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from grid_inference.errors import DecodeError
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.columns import childless
from grid_inference.wire.compact.record import NESTING_MAX, NO_SCHEMAS, Nesting
from grid_inference.wire.compact.var import VarReader
from grid_inference.wire.layout import DATA_HEADER_BYTES
from grid_inference.wire.schema import ARRAY_OF, ITEMS_OF, SCHEMA_ID_BYTES, FieldKind, Schema

__all__ = ["element_of", "flat_names", "has_field", "is_nested", "nested_ids", "nested_schema_ids", "split_wanted"]

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
    plain, paths = (schema.slots, {}) if wanted is None else split_wanted(schema, list(wanted))
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
        head = None if _is_own(schema, name) else _head(schema, name)
        if head is None:
            plain.append(name)
        elif schema.slots[head].kind is FieldKind.COMPACT:
            paths.setdefault(head, {})[name] = name[len(head) + 1 :]
        else:
            kind = schema.slots[head].kind.name
            raise DecodeError(f"field {head!r} of {schema.type_name} is {kind}: there is no {name!r} in it")
    return plain, paths


def has_field(schema: Schema, name: str) -> bool:
    """Whether a name is a field of the schema, an element of one, or leads into one that holds nested records."""
    return _is_own(schema, name) or is_nested(schema, name)


def is_nested(schema: Schema, name: str) -> bool:
    """Whether a name leads into a nested record; what is there, that record's own schema tells."""
    head = None if _is_own(schema, name) else _head(schema, name)
    return head is not None and schema.slots[head].kind is FieldKind.COMPACT


def _is_own(schema: Schema, name: str) -> bool:
    """Whether a name is a field of the schema or an element of one, dots in it or not."""
    return name in schema.slots or element_of(schema, name) is not None


def _head(schema: Schema, name: str) -> str | None:
    """The field that a name with dots begins with, one that holds nested records if there is any such."""
    heads = [name[:i] for i, letter in enumerate(name) if letter == "." and name[:i] in schema.slots]
    return next((each for each in heads if schema.slots[each].kind is FieldKind.COMPACT), heads[0] if heads else None)


def flat_names(values: Blobs, schema: Schema, schemas: Mapping[int, Schema] = NO_SCHEMAS) -> list[str]:
    """The fields of `values`, which are of one schema; instead of a field that holds nested records theirs, as `a.b`.

    In order of name. A field that is null in every record stands as itself, and so does one whose own name has a dot.
    `schemas` are those of the nested records.
    """
    search = _Search(schemas, set(), values.nbytes // SCHEMA_ID_BYTES)
    empty: dict[str, bool] = {}
    for name, is_empty in _flat_names(search, values, schema, 0):
        empty[name] = is_empty and empty.get(name, True)
    return sorted(childless(empty))


def _flat_names(search: _Search, values: Blobs, schema: Schema, depth: int) -> Iterator[tuple[str, bool]]:
    """The names, and of each whether it is of nested records that are all null."""
    for slot in schema.slots.values():
        if slot.kind is not FieldKind.COMPACT or "." in slot.name or depth == NESTING_MAX:
            yield slot.name, False
            continue
        records = VarReader(values, schema).nested(slot)[1]
        ids = search.visit(records)
        if not len(records):
            yield slot.name, True
        for each in np.unique(ids).tolist():
            inner = Nesting(search.schemas).schema(each)
            for name, is_empty in _flat_names(search, records.take(ids == each), inner, depth + 1):
                yield f"{slot.name}.{name}", is_empty

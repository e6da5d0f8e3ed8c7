"""Entries of a map apart by the format of their values: Compact records of one schema, or JSON values.

Whoever reads records reads them here: one, some by their keys, a whole map. Each format gives them as dicts, columns
and Arrow arrays under the same names, `a.b` for the field b of a record or object in the field a. A value of another
format, or one that can't be read, is a DecodeError that names its key: a table that lacked it would give wrong sums.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from grid_inference.errors import DecodeError
from grid_inference.grid.link import Link
from grid_inference.wire import layout
from grid_inference.wire.arrow.arrays import arrow_array, arrow_columns
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.columns import Column, column_of, join_columns
from grid_inference.wire.compact import (
    Schema,
    decode_columns,
    decode_record,
    flat_names,
    has_field,
    is_nested,
    schema_ids,
)
from grid_inference.wire.json.columns import decode_json_columns, decode_json_table, json_names, json_rows
from grid_inference.wire.json.lookup import find
from grid_inference.wire.json.values import decode_json_object
from grid_inference.wire.keys import key_text

__all__ = ["CompactEntries", "Entries", "JsonEntries", "by_format"]


_Some = TypeVar("_Some", bound="Entries")
_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def _naming_the_key(
    read: Callable[Concatenate[_Some, _Arguments], _Result],
) -> Callable[Concatenate[_Some, _Arguments], _Result]:
    """Make a reading of entries that fails for one of them say which."""

    @wraps(read)
    def reading(entries: _Some, *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        try:
            return read(entries, *args, **kwargs)
        except DecodeError:
            found = _first_odd(entries, lambda some: read(some, *args, **kwargs))
            if found is None:
                raise
        odd, error = found
        raise _refusal(odd.map_name, odd.keys, f"can't be read: {error}", error.remedy) from None

    return reading


def _first_odd(entries: _Some, read: Callable[[_Some], Any]) -> tuple[_Some, DecodeError] | None:
    """One entry that can't be read, found by halves; None if each can be, and they only fit no one column."""
    try:
        read(entries)
    except DecodeError as error:
        if len(entries) == 1:
            return entries, error
        first, second = np.array_split(np.arange(len(entries)), 2)
        return _first_odd(entries.take(first), read) or _first_odd(entries.take(second), read)
    return None


@dataclass(frozen=True, slots=True, eq=False)
class Entries(ABC):
    """Entries of one map, n of them, whose values are all of one format; keys and values are whole Data.

    `wanted` names fields, in any order; None is all of them. A field that no entry has may be left out.
    """

    map_name: str
    keys: Blobs
    values: Blobs

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, rows: NDArray[Any]) -> Self:
        """The entries at an index array or a boolean mask."""
        return replace(self, keys=self.keys.take(rows), values=self.values.take(rows))

    @_naming_the_key
    def names(self) -> set[str]:
        """The names of all fields."""
        return self._names()

    @_naming_the_key
    def records(self) -> list[dict[str, Any]]:
        """The fields of each entry; a record or an object in a field is a dict."""
        return self._records()

    @_naming_the_key
    def columns(self, wanted: Sequence[str] | None = None) -> dict[str, Column]:
        """Fields as columns of shape (n,); a record or an object that is wanted as a whole is a dict."""
        return self._columns(wanted)

    @_naming_the_key
    def arrays(self, wanted: Sequence[str] | None = None) -> dict[str, Any]:
        """Fields as Arrow arrays of n values; a record or an object that is wanted as a whole is a struct."""
        return self._arrays(wanted)

    @_naming_the_key
    def comparable(self, wanted: Sequence[str]) -> dict[str, Column]:
        """Fields as a filter compares them: numbers, booleans, or Python objects."""
        return self._comparable(wanted)

    @abstractmethod
    def _names(self) -> set[str]: ...

    @abstractmethod
    def _records(self) -> list[dict[str, Any]]: ...

    @abstractmethod
    def _columns(self, wanted: Sequence[str] | None) -> dict[str, Column]: ...

    def _arrays(self, wanted: Sequence[str] | None) -> dict[str, Any]:
        return {name: arrow_array(name, column) for name, column in self._columns(wanted).items()}

    def _comparable(self, wanted: Sequence[str]) -> dict[str, Column]:
        return self._columns(wanted)


def _refusal(map_name: str, keys: Blobs, problem: str, remedy: str = "") -> DecodeError:
    return DecodeError(
        f"the value of key {key_text(keys)[0]} in {map_name!r} {problem}",
        remedy=remedy or "put it as a Compact record or a JSON value, or remove it",
    )


@dataclass(frozen=True, slots=True, eq=False)
class CompactEntries(Entries):
    """Entries whose values are Compact records of one schema."""

    schema: Schema
    nested: Mapping[int, Schema]
    """The schemas of records within these ones."""

    def _names(self) -> set[str]:
        return set(flat_names(self.values, self.schema, self.nested))

    def _records(self) -> list[dict[str, Any]]:
        return [decode_record(self.schema, value, self.nested) for value in self.values.tolist()]

    def _columns(self, wanted: Sequence[str] | None) -> dict[str, Column]:
        fields, elements = self._found(wanted)
        return decode_columns(self.values, self.schema, fields, schemas=self.nested) | self._elements(elements)

    def _arrays(self, wanted: Sequence[str] | None) -> dict[str, Any]:
        fields, elements = self._found(wanted)
        found = {name: arrow_array(name, column) for name, column in self._elements(elements).items()}
        return arrow_columns(self.values, self.schema, fields, self.nested) | found

    def _comparable(self, wanted: Sequence[str]) -> dict[str, Column]:
        fields, elements = self._found(wanted)
        # Arrow knows which moments are of a time zone.
        arrays = arrow_columns(self.values, self.schema, fields, self.nested)
        return {name: _comparable(array) for name, array in arrays.items()} | self._elements(elements)

    def _found(self, wanted: Sequence[str] | None) -> tuple[list[str], list[str]]:
        """Which of the wanted names the codec reads, and which lead through arrays, as `a[0].b` and `a.b[0]` do."""
        if wanted is None:
            return flat_names(self.values, self.schema, self.nested), []
        # Whether an array in a nested record holds records only that one's schema tells: it is read whole.
        alone = [n for n in wanted if has_field(self.schema, n) and not ("[" in n and is_nested(self.schema, n))]
        others = [n for n in wanted if "[" in n and n not in alone]
        return alone, [name for name in others if has_field(self.schema, _array_name(name))]

    def _elements(self, names: Sequence[str]) -> dict[str, Column]:
        if not names:
            return {}
        arrays = decode_columns(self.values, self.schema, {_array_name(name) for name in names}, schemas=self.nested)
        found: dict[str, Column] = {}
        for name in names:
            array = _array_name(name)
            path = "it" + name.removeprefix(array)
            found[name] = column_of([find({"it": value}, path) for value in arrays[array].values.tolist()])
        return found


class JsonEntries(Entries):
    """Entries whose values are JSON objects."""

    def _names(self) -> set[str]:
        return json_names(self.values)

    def _records(self) -> list[dict[str, Any]]:
        return [decode_json_object(value) for value in self.values.tolist()]

    def _columns(self, wanted: Sequence[str] | None) -> dict[str, Column]:
        found, damaged = decode_json_table(self.values) if wanted is None else decode_json_columns(self.values, wanted)
        if damaged:
            raise DecodeError(next(iter(damaged.values())))
        nothing = join_columns(len(self), [])  # which fits beside any type
        return {name: nothing if column.empty else column for name, column in found.items()}


def _array_name(name: str) -> str:
    return name.partition("[")[0]


def _comparable(array: Any) -> Column:
    """Numbers and booleans in their own type, all else as Python objects."""
    if not (pa.types.is_integer(array.type) or pa.types.is_floating(array.type) or pa.types.is_boolean(array.type)):
        return column_of(array.to_pylist())
    valid = array.is_valid().to_numpy(zero_copy_only=False)
    filled = array.fill_null(pa.scalar(0, pa.int8()).cast(array.type)) if array.null_count else array
    return Column(filled.to_numpy(zero_copy_only=False), valid)


async def by_format(link: Link, map_name: str, keys: Blobs, values: Blobs) -> list[tuple[NDArray[np.intp], Entries]]:
    """Entries apart by format, with the rows that each had; DecodeError for a value of a format that is not read."""
    compact, ids = schema_ids(values)
    parts: list[tuple[NDArray[np.intp], Entries]] = []
    if not bool(compact.all()):
        json = json_rows(values)
        others = np.flatnonzero(~(json | compact))
        if others.size:
            found = _format_of(values.take(others[:1]))
            raise _refusal(map_name, keys.take(others[:1]), f"is {found}, which is not read")
        rows = np.flatnonzero(json)
        parts.append((rows, JsonEntries(map_name, keys.take(rows), values.take(rows))))
    for schema_id in np.unique(ids[compact]).tolist():
        rows = np.flatnonzero(compact & (ids == schema_id))
        parts.append((rows, await _of_schema(link, map_name, keys.take(rows), values.take(rows), schema_id)))
    return parts


async def _of_schema(link: Link, map_name: str, keys: Blobs, values: Blobs, schema_id: int) -> CompactEntries:
    try:
        schema = await link.schema(schema_id)
        return CompactEntries(map_name, keys, values, schema, await link.nested_schemas(values, schema))
    except DecodeError as error:
        if len(keys) == 1:
            raise _refusal(map_name, keys, f"can't be read: {error}") from None
        for half in np.array_split(np.arange(len(keys)), 2):
            await _of_schema(link, map_name, keys.take(half), values.take(half), schema_id)
        raise


def _format_of(values: Blobs) -> str:
    if int(values.lengths[0]) < layout.DATA_HEADER_BYTES:
        return "no serialized value"
    return layout.described(int(values.read(layout.TYPE_OFFSET, ">i4")[0]))

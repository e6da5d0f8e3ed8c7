"""Whole maps as tables: a scan in chunks, an Arrow table, predictions beside the records that they are of.

Rows come in no order that means anything. A filter is evaluated here, on decoded columns, and only the fields that it
reads and those that are wanted are decoded. A record that is no Compact record is refused: a table that lacked it
without a word would give wrong sums.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from grid_inference.errors import ConfigError, DecodeError
from grid_inference.flow.where import Where
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap, rows_of
from grid_inference.records import PREDICTION, RecordTable, pandas_module
from grid_inference.wire.arrow import ArrowParts, arrow_columns, arrow_keys
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import Column, FieldKind, Schema, decode_columns, schema_ids
from grid_inference.wire.digest import input_digest
from grid_inference.wire.keys import decode_keys, key_text
from grid_inference.wire.schema import ARRAY_OF, ITEMS_OF, NULLABLE_OF, NUMBER_DTYPES

__all__ = ["Scan", "predictions_to_arrow", "to_pandas"]

CHUNK_ROWS = 4096
"""Pages are put together up to about so many rows before they are decoded."""
PAGE_ROWS = 1024
"""Entries a page; with the pages that are read ahead this is what a scan holds, whatever the map's size."""
KEY = "__key"
"""The key's name in a filter, as in Hazelcast."""
PREDICTION_COLUMNS = ("score", "label", "scores", "model", "version", "input_digest", "scored_at_us")
RECORD_PREFIX = "record_"

_TEST_KINDS = frozenset({FieldKind.BOOLEAN, FieldKind.STRING, FieldKind.DECIMAL, *NUMBER_DTYPES, *NULLABLE_OF})
_TEST_ARRAYS = frozenset(
    kind for kind in (*ARRAY_OF, *ITEMS_OF) if ARRAY_OF.get(kind, ITEMS_OF.get(kind)) in _TEST_KINDS
)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Entries of a map whose records are all of one schema; keys and values are whole Data."""

    schema: Schema
    keys: Blobs
    values: Blobs
    nested: Mapping[int, Schema]
    """The schemas of records within these ones."""

    def take(self, rows: NDArray[Any]) -> Part:
        """The entries at an index array or a boolean mask."""
        return Part(self.schema, self.keys.take(rows), self.values.take(rows), self.nested)


class Scan:
    """One pass over a feature map: which rows, which fields."""

    def __init__(self, link: Link, name: str, where: str | None = None, columns: Sequence[str] | None = None) -> None:
        self._link = link
        self._map = GridMap(link, name)
        self._where = None if where is None else Where.parse(where)
        wanted = [columns] if isinstance(columns, str) else columns
        self._columns = None if wanted is None else list(dict.fromkeys(wanted))
        self._kinds: dict[str, FieldKind] = {}

    async def tables(self) -> AsyncGenerator[RecordTable]:
        """The records in chunks of some thousand rows, empty ones left out; with no `columns`, all fields of a chunk.

        Raises ConfigError for a field that no record has, DecodeError for a record that can't be read.
        """
        async with aclosing(self.chunks()) as chunks:
            async for parts in chunks:
                yield self._table(parts)

    async def to_arrow(self) -> Any:
        """All of it as one pyarrow.Table, the keys first. Raises as `tables` does."""
        keys: list[Blobs] = []
        fields = ArrowParts()
        async with aclosing(self.chunks()) as chunks:
            async for parts in chunks:
                for part in parts:
                    keys.append(part.keys.compact())
                    columns = arrow_columns(part.values, part.schema, self._wanted(part.schema), part.nested)
                    fields.add(len(part.keys), columns)
        names = fields.names if self._columns is None else self._columns
        return pa.table({_free("key", names): arrow_keys(keys), **{name: fields.column(name) for name in names}})

    async def chunks(self) -> AsyncGenerator[list[Part]]:
        """What matches, some thousand entries at a time, by schema."""
        checked = False
        async with aclosing(_pages(self._map)) as pages:
            async for keys, values in pages:
                parts = await self._parts(keys, values)
                if not checked:
                    await self._check()
                    checked = True
                matching = [part for part in map(self._matching, parts) if len(part.keys)]
                if matching:
                    yield matching

    async def _parts(self, keys: Blobs, values: Blobs) -> list[Part]:
        parts = await by_schema(self._link, self._map.name, keys, values)
        for part in parts:
            self._kinds.update({each.name: each.kind for each in part.schema.fields})
        return parts

    async def _check(self) -> None:
        """Refuse names that no record has. Seldom needs more than the first chunk's schemas, else the whole map's."""
        asked = set(self._columns or ()) | (self._where.fields - {KEY} if self._where else set())
        if asked <= self._kinds.keys():
            return
        async with aclosing(_pages(self._map)) as pages:
            async for keys, values in pages:
                await self._parts(keys, values)
                if asked <= self._kinds.keys():
                    return
        if self._where:
            self._where.check((*self._kinds, KEY))
        unknown = min(asked - self._kinds.keys())
        raise ConfigError(
            f"columns = {self._columns!r}: there is no field {unknown!r} in the records of {self._map.name!r}",
            remedy=f"the fields are {', '.join(sorted(self._kinds))}",
        )

    def _wanted(self, schema: Schema) -> list[str] | None:
        return None if self._columns is None else [name for name in self._columns if name in schema.slots]

    def _matching(self, part: Part) -> Part:
        return part if self._where is None else part.take(self._mask(self._where, part))

    def _mask(self, where: Where, part: Part) -> NDArray[np.bool_]:
        fields = where.fields - {KEY}
        for name in fields:
            self._check_kind(where, name, part.schema)
        decoded = decode_columns(part.values, part.schema, [name for name in fields if name in part.schema.slots])
        columns = {name: self._test_column(name, decoded.get(name), part) for name in fields}
        if KEY not in where.fields:
            return where.mask(columns)
        found = np.empty(len(part.keys), np.bool_)
        for rows, keys in _keys_by_type(part.keys):
            found[rows] = where.mask({KEY: keys, **{name: values[rows] for name, values in columns.items()}})
        return found

    def _check_kind(self, where: Where, name: str, schema: Schema) -> None:
        slot = schema.slots.get(name)
        if slot is not None and slot.kind not in _TEST_KINDS and slot.kind not in _TEST_ARRAYS:
            raise ConfigError(
                f"where = {where.text!r}: {name} is a {slot.kind.name}; a filter compares numbers, booleans and texts",
                remedy="filter by this field in the table that comes back",
            )

    def _test_column(self, name: str, column: Column | None, part: Part) -> NDArray[Any]:
        """A column as `Where` reads it: a null is None, arrays are the rows of a matrix."""
        kind = part.schema.slots[name].kind if column else self._kinds[name]
        if kind in _TEST_ARRAYS:
            return _matrix(column.values.tolist() if column else [None] * len(part.keys))
        if column is None:
            return np.full(len(part.keys), None, object)
        if column.valid is None or bool(column.valid.all()):
            return column.values
        values = column.values.astype(object)
        values[~column.valid] = None
        return values

    def _table(self, parts: list[Part]) -> RecordTable:
        keys = [key for part in parts for key in decode_keys(part.keys)]
        ends = np.cumsum([len(part.keys) for part in parts]).tolist()
        decoded = [
            (
                np.arange(end - len(part.keys), end),
                decode_columns(part.values, part.schema, self._wanted(part.schema), schemas=part.nested),
            )
            for end, part in zip(ends, parts, strict=True)
        ]
        table = RecordTable.of(keys, decoded)
        if self._columns is None:
            return table
        absent = np.full(len(keys), None, object)
        return RecordTable(keys, {name: table.columns.get(name, absent) for name in self._columns})


async def by_schema(link: Link, name: str, keys: Blobs, values: Blobs) -> list[Part]:
    """Entries of the map `name` apart by the schema of their records; DecodeError if one is no Compact record."""
    compact, ids = schema_ids(values)
    if not bool(compact.all()):
        odd = np.flatnonzero(~compact)
        raise DecodeError(
            f"the value of key {key_text(keys.take(odd[:1]))[0]} in {name!r} is no Compact record",
            remedy="remove it, or read single records with get",
        )
    found = np.unique(ids).tolist()
    parts: list[Part] = []
    for one in found:
        schema, mine = await link.schema(one), np.flatnonzero(ids == one)
        some = values if len(found) == 1 else values.take(mine)
        parts.append(Part(schema, keys.take(mine), some, await link.nested_schemas(some, schema)))
    return parts


async def _pages(source: GridMap) -> AsyncGenerator[tuple[Blobs, Blobs]]:
    """Keys and values of a whole map: small pages put together, none that is empty."""
    keys: list[Blobs] = []
    values: list[Blobs] = []
    count = 0
    async with aclosing(source.scan_all(PAGE_ROWS)) as pages:
        async for page in pages:
            if count and count + len(page.keys) > CHUNK_ROWS:
                yield Blobs.concat(keys), Blobs.concat(values)
                keys, values, count = [], [], 0
            keys.append(page.keys.compact())
            values.append(page.values.compact())
            count += len(page.keys)
    if count:
        yield Blobs.concat(keys), Blobs.concat(values)


def _keys_by_type(keys: Blobs) -> Iterator[tuple[NDArray[np.intp], NDArray[Any]]]:
    """Keys of one Python type at a time, with their rows: numbers as such, all else as text."""
    values = decode_keys(keys)
    texts: list[str] | None = None
    kinds = np.array([kind if (kind := type(value)) in (int, float) else str for value in values], object)
    for kind in set(kinds.tolist()):
        rows = np.flatnonzero(kinds == kind)
        if kind is str:
            texts = texts or key_text(keys)
            yield rows, np.array([texts[row] for row in rows.tolist()], object)
        else:
            yield rows, np.array([values[row] for row in rows.tolist()], kind)


def _matrix(lists: list[Any]) -> NDArray[Any]:
    """Lists of different lengths as the rows of one matrix, None where there is no item."""
    width = max((len(items) for items in lists if items is not None), default=0)
    matrix = np.full((len(lists), width), None, object)
    for row, items in enumerate(lists):
        if items is not None:
            matrix[row, : len(items)] = items
    return matrix


# ---- predictions


async def predictions_to_arrow(link: Link, predictions: str, features: str | None = None) -> Any:
    """All of a predictions map as one pyarrow.Table; with a feature map, the records' fields beside them.

    A record's field whose name is taken already stands as `record_<name>`. Fields are null and `current` is false where
    the record is gone. Raises DecodeError for a record that can't be read.
    """
    keys: list[Blobs] = []
    found, records, current = ArrowParts(), ArrowParts(), ArrowParts()
    found.add(0, arrow_columns(Blobs.empty(), PREDICTION, PREDICTION_COLUMNS))
    async with aclosing(Scan(link, predictions).chunks()) as chunks:
        async for parts in chunks:
            for part in parts:
                for some, beside in await _beside(link, features, part):
                    keys.append(some.keys.compact())
                    columns = arrow_columns(some.values, some.schema, PREDICTION_COLUMNS)
                    found.add(len(some.keys), columns)
                    records.add(len(some.keys), _all_columns(beside) if beside else {})
                    digests = input_digest(beside.values) if beside else None
                    current.add(len(some.keys), {"current": _equal(columns["input_digest"], digests)})
    own = _prediction_columns(arrow_keys(keys), found)
    if features is None:
        return pa.table(own)
    own["current"] = current.column("current").cast(pa.bool_())
    return pa.table(_with_records(own, records))


async def _beside(link: Link, features: str | None, part: Part) -> list[tuple[Part, Part | None]]:
    """Predictions, and row by row the records of the same keys, by the records' schema; None where there is none."""
    if features is None:
        return [(part, None)]
    keys, values = await GridMap(link, features).get_batch(part.keys)
    found = await by_schema(link, features, keys, values) if len(keys) else []
    pairs: list[tuple[Part, Part | None]] = [(part.take(rows_of(one.keys, part.keys)), one) for one in found]
    gone = rows_of(part.keys, keys) < 0
    return [*pairs, (part.take(gone), None)] if bool(gone.any()) else pairs


def _all_columns(part: Part) -> dict[str, Any]:
    return arrow_columns(part.values, part.schema, schemas=part.nested)


def _equal(digests: Any, others: NDArray[np.int64] | None) -> Any:
    return pa.array(np.zeros(len(digests), np.bool_) if others is None else digests.to_numpy() == others)


def _prediction_columns(keys: Any, found: ArrowParts) -> dict[str, Any]:
    columns = {"key": keys, **{name: found.column(name) for name in PREDICTION_COLUMNS}}
    columns["scored_at"] = columns.pop("scored_at_us").cast(pa.timestamp("us", tz="UTC"))
    return columns


def _with_records(own: Mapping[str, Any], records: ArrowParts) -> dict[str, Any]:
    columns = dict(own)
    for name in records.names:
        shown = name if name not in own else RECORD_PREFIX + name
        while shown in columns or (shown != name and shown in records.names):
            shown = RECORD_PREFIX + shown
        columns[shown] = records.column(name)
    return columns


def _free(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name = f"__{name}"
    return name


def to_pandas(table: Any) -> Any:
    """A DataFrame with the first column, which holds the keys, as its index `key`; ImportError without pandas."""
    pandas_module()
    frame = table.to_pandas()
    return frame.set_index(frame.columns[0]).rename_axis("key")

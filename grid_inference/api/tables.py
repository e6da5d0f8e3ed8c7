"""Whole maps as tables: a scan in chunks, an Arrow table, predictions beside the records that they are of.

Rows come in no order that means anything. A filter is evaluated here, on decoded columns, and only the fields that it
reads and those that are wanted are decoded. What can be read of a record: `grid/entries.py`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from grid_inference.errors import ConfigError
from grid_inference.flow.where import Where
from grid_inference.grid.entries import Entries, by_format
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap, rows_of
from grid_inference.records import PREDICTION, RecordTable, pandas_module
from grid_inference.wire.arrow.arrays import ArrowParts, arrow_columns, arrow_keys
from grid_inference.wire.arrow.frames import frame_of
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.columns import Column, childless, column_of, join_columns, objects_of
from grid_inference.wire.digest import input_digest
from grid_inference.wire.json.lookup import parse_path
from grid_inference.wire.keys import decode_keys
from grid_inference.wire.layout import NESTING_MAX

__all__ = ["Scan", "predictions_to_arrow", "to_pandas"]

CHUNK_ROWS = 4096
"""Pages are put together up to about so many rows before they are decoded."""
PAGE_ROWS = 1024
"""Entries a page; with the pages that are read ahead this is what a scan holds, whatever the map's size."""
KEY = "__key"
"""The key's name in a filter, as in Hazelcast."""
PREDICTION_COLUMNS = ("score", "label", "scores", "model", "version", "input_digest", "scored_at_us")
RECORD_PREFIX = "record_"
NAMES_SHOWN_MAX = 30
"""So many of the fields that there are stand in an error about one that there is not."""


class Scan:
    """One pass over a feature map: which rows, which fields."""

    def __init__(self, link: Link, name: str, where: str | None = None, columns: Sequence[str] | None = None) -> None:
        self._link = link
        self._map = GridMap(link, name)
        self._where = None if where is None else Where.parse(where)
        wanted = [columns] if isinstance(columns, str) else columns
        self._columns = None if wanted is None else list(dict.fromkeys(wanted))

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
                    fields.add(len(part), part.arrays(self._columns))
        found = {name: fields.column(name) for name in (fields.names if self._columns is None else self._columns)}
        if self._columns is None:
            found = _kept(found)
        return pa.table({_free("key", list(found)): arrow_keys(keys), **found})

    async def chunks(self) -> AsyncGenerator[list[Entries]]:
        """What matches, some thousand entries at a time, by format."""
        checked = False
        async with aclosing(_pages(self._map)) as pages:
            async for keys, values in pages:
                parts = await self._parts(keys, values)
                if not checked:
                    await self._check(parts)
                    checked = True
                matching = [part for part in map(self._matching, parts) if len(part)]
                if matching:
                    yield matching

    async def _parts(self, keys: Blobs, values: Blobs) -> list[Entries]:
        return [part for _, part in await by_format(self._link, self._map.name, keys, values)]

    async def _check(self, first: list[Entries]) -> None:
        """Refuse names that no record has. Seldom needs more than the first chunk's records, else the whole map's."""
        asked = set(self._columns or ()) | (self._where.fields - {KEY} if self._where else set())
        known: set[str] = set()
        if not (asked := _unknown(asked, known, first)):
            return
        async with aclosing(_pages(self._map)) as pages:
            async for keys, values in pages:
                if not (asked := _unknown(asked, known, await self._parts(keys, values))):
                    return
        name = min(asked)
        raise ConfigError(self._problem(name), remedy=f"the fields are {_listed(known)}")

    def _problem(self, unknown: str) -> str:
        if unknown in (self._columns or ()):
            problem = f"columns = {self._columns!r}"
        else:
            problem = f"where = {self._where.text if self._where else ''!r}"
        if unknown.count(".") > NESTING_MAX:
            return f"{problem}: {unknown!r} leads deeper than {NESTING_MAX} records (NESTING_MAX)"
        return f"{problem}: there is no field {unknown!r} in the records of {self._map.name!r}"

    def _matching(self, part: Entries) -> Entries:
        if self._where is None:
            return part
        columns = part.comparable(sorted(self._where.fields - {KEY}))
        if KEY in self._where.fields:
            columns[KEY] = _comparable_keys(part.keys)
        nothing = join_columns(len(part), [])
        return part.take(self._where.mask(dict.fromkeys(self._where.fields, nothing) | columns))

    def _table(self, parts: list[Entries]) -> RecordTable:
        keys = [key for part in parts for key in decode_keys(part.keys)]
        ends = np.cumsum([len(part) for part in parts]).tolist()
        rows = [np.arange(end - len(part), end) for end, part in zip(ends, parts, strict=True)]
        table = RecordTable.of(keys, [(at, part.columns(self._columns)) for at, part in zip(rows, parts, strict=True)])
        if self._columns is None:
            return table
        absent = np.full(len(keys), None, object)
        return RecordTable(keys, {name: table.columns.get(name, absent) for name in self._columns})


def _unknown(asked: set[str], known: set[str], parts: Iterable[Entries]) -> set[str]:
    """Those of the asked names that are no field of these entries and lead into none; `known` gets all their fields."""
    for part in parts:
        if asked:
            known |= part.names()
    heads = known | {name[:at] for name in known for at, letter in enumerate(name) if letter == "."}
    return {name for name in asked if name not in heads and not _leads_into(known, name)}


def _leads_into(fields: set[str], name: str) -> bool:
    """Whether a name such as `a[0].b` is a path into one of the fields."""
    field, bracket, rest = name.partition("[")
    return field in fields and len(parse_path(f"it{bracket}{rest}")) > 1


def _listed(names: set[str]) -> str:
    shown = sorted(names)[:NAMES_SHOWN_MAX]
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(names) > len(shown) else "")


def _kept(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Without fields that are null everywhere beside fields of their own."""
    return {name: columns[name] for name in childless({n: each.null_count == len(each) for n, each in columns.items()})}


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


def _comparable_keys(keys: Blobs) -> Column:
    """Keys as a filter compares them: each as what it is."""
    values = decode_keys(keys)
    types: set[type] = set(map(type, values))
    return column_of(values) if types <= {int} or types <= {float} else objects_of(values)


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
                    columns = some.arrays(PREDICTION_COLUMNS)
                    found.add(len(some), columns)
                    records.add(len(some), beside.arrays() if beside else {})
                    digests = input_digest(beside.values) if beside else None
                    current.add(len(some), {"current": _equal(columns["input_digest"], digests)})
    own = _prediction_columns(arrow_keys(keys), found)
    if features is None:
        return pa.table(own)
    own["current"] = current.column("current").cast(pa.bool_())
    return pa.table(_with_records(own, records))


async def _beside(link: Link, features: str | None, part: Entries) -> list[tuple[Entries, Entries | None]]:
    """Predictions, and row by row the records of the same keys, by the records' format; None where there is none."""
    if features is None:
        return [(part, None)]
    keys, values = await GridMap(link, features).get_batch(part.keys)
    found = [one for _, one in await by_format(link, features, keys, values)]
    pairs: list[tuple[Entries, Entries | None]] = [(part.take(rows_of(one.keys, part.keys)), one) for one in found]
    gone = rows_of(part.keys, keys) < 0
    return [*pairs, (part.take(gone), None)] if bool(gone.any()) else pairs


def _equal(digests: Any, others: NDArray[np.int64] | None) -> Any:
    return pa.array(np.zeros(len(digests), np.bool_) if others is None else digests.to_numpy() == others)


def _prediction_columns(keys: Any, found: ArrowParts) -> dict[str, Any]:
    columns = {"key": keys, **{name: found.column(name) for name in PREDICTION_COLUMNS}}
    columns["scored_at"] = columns.pop("scored_at_us").cast(pa.timestamp("us", tz="UTC"))
    return columns


def _with_records(own: Mapping[str, Any], records: ArrowParts) -> dict[str, Any]:
    columns, found = dict(own), _kept({name: records.column(name) for name in records.names})
    for name, column in found.items():
        shown = name if name not in own else RECORD_PREFIX + name
        while shown in columns or (shown != name and shown in found):
            shown = RECORD_PREFIX + shown
        columns[shown] = column
    return columns


def _free(name: str, taken: Sequence[str]) -> str:
    while name in taken:
        name = f"__{name}"
    return name


def to_pandas(table: Any) -> Any:
    """A DataFrame with the first column, which holds the keys, as its index `key`; ImportError without pandas.

    Whole numbers beside nulls are floats as in pandas, but Int64 where a float would round one of them, Python's in
    lists and records.
    """
    pandas_module()
    frame = frame_of(table)
    return frame.set_index(frame.columns[0]).rename_axis("key")

"""A feature map: records in, one by one or by columns, and out again. Keys and records: `aio.py`."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from grid_inference.entries import by_format
from grid_inference.errors import DecodeError, EncodeError
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap, key_identities, last_rows, rows_of
from grid_inference.records import RecordTable, pandas_module
from grid_inference.tables import Scan, to_pandas
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import (
    Schema,
    encode_columns,
    encode_record,
    infer_record_schemas,
    infer_schema,
    schema_ids,
)
from grid_inference.wire.digest import input_digest
from grid_inference.wire.keys import decode_keys, encode_keys

__all__ = ["Features", "python_keys"]


SCHEMAS_ROWS = 20
"""So many records of a partition are looked at for their schemas."""


class Features:
    """One feature map. It belongs to the event loop that opened its grid: elsewhere it raises GridError."""

    def __init__(self, link: Link, name: str) -> None:
        self.name = name
        self._link = link
        self._map = GridMap(link, name)

    async def put(self, key: Any, record: Mapping[str, Any]) -> int:
        """Write one record: values become float64, int64, boolean or nullable string. Returns its digest.

        A dict in a field, or a list of dicts, becomes a nested record of the type `<map>.<field>`. Raises EncodeError
        that names the field for a value that no field holds, and beyond NESTING_MAX records in one another.
        """
        value = await self._encoded(record)
        await self._link.create_map(self.name)
        await self._map.set(encode_keys([key])[0], value)
        return int(input_digest(Blobs.of([value]))[0])

    async def put_batch(self, columns: Any, *, key: Any, key_type: str | None = None) -> int:
        """Write n records from columns: a dict of arrays, a DataFrame or an Arrow table. Returns how many.

        `key` names the column that holds the keys, or is a sequence of keys itself. Of equal keys the last one counts.
        Raises EncodeError that names the column for one that no field holds; dicts in columns are such, see `put`.
        """
        named = _columns_of(columns)
        keys: Any = named.pop(key) if isinstance(key, str) and key in named else key
        if isinstance(keys, str):
            raise EncodeError(f"there is no column {key!r} for the keys; there are: {', '.join(named)}")
        if not len(keys):
            return 0
        schema = infer_schema(self.name, named)
        await self._link.send_schema(schema)
        values, data = encode_columns(schema, named), encode_keys(keys, key_type)
        if len(values) != len(data):
            raise EncodeError(f"{len(data)} keys for {len(values)} records")
        last = last_rows(key_identities(data))
        await self._link.create_map(self.name)
        await self._map.put_batch(data.take(last), values.take(last))
        return len(data)

    async def get(self, key: Any) -> dict[str, Any] | None:
        """One record as a dict, or None; a record or an object in a field is a dict too.

        Raises DecodeError for a value that is neither a Compact record nor a JSON object.
        """
        data = encode_keys([key])
        value = await self._map.get(data[0])
        if value is None:
            return None
        [(_, found)] = await by_format(self._link, self.name, data, Blobs.of([value]))
        return found.records()[0]

    async def get_batch(self, keys: Any, key_type: str | None = None) -> RecordTable:
        """Those records of the keys that are there, as columns, in the keys' order; `a.b` is the field b of that in a.

        A field that only some records have is null elsewhere. Raises DecodeError for a record that can't be read.
        """
        data = encode_keys(keys, key_type)
        found, values = await self._map.get_batch(data)
        rows = rows_of(data, found)
        there = rows >= 0
        parts = await by_format(self._link, self.name, data.take(there), values.take(rows[there]))
        return RecordTable.of(python_keys(keys, data, there), [(at, part.columns()) for at, part in parts])

    def scan(self, where: str | None = None, columns: Sequence[str] | None = None) -> AsyncGenerator[RecordTable]:
        """The records as they are now, in chunks of some thousand rows; in no order, and memory stays flat.

        `where` is Hazelcast's SQL-predicate syntax over the fields and `__key`; `columns` names the fields wanted. Both
        take `a.b` for the field b of the record or object in a, and `a[0]` for an array's first element. A field that
        only some records have is null elsewhere. Raises ConfigError for a field that no record has, DecodeError for a
        value that is no Compact record and no JSON object.
        """
        return Scan(self._link, self.name, where, columns).tables()

    async def to_arrow(self, where: str | None = None, columns: Sequence[str] | None = None) -> Any:
        """The records as one pyarrow.Table: the keys as `key` (`__key` beside a field `key`), then the fields.

        A null is an Arrow null. Parameters and errors are those of `scan`; DecodeError also if no Arrow type holds all
        values of a field.
        """
        return await Scan(self._link, self.name, where, columns).to_arrow()

    async def to_pandas(self, where: str | None = None, columns: Sequence[str] | None = None) -> Any:
        """The same as `to_arrow` as a DataFrame, indexed by key; ImportError without pandas."""
        pandas_module()
        return to_pandas(await self.to_arrow(where, columns))

    async def remove(self, key: Any) -> None:
        """Remove one record; its prediction goes too, unless the deployment keeps it."""
        await self._map.delete(encode_keys([key])[0])

    async def size(self) -> int:
        """How many records there are."""
        return await self._map.size()

    async def clear(self) -> None:
        """Remove all records."""
        await self._map.clear()

    async def destroy(self) -> None:
        """Take the whole map away, its journal included; deployments on it go on with what is put next."""
        await self._map.destroy()

    async def any_schema(self) -> Schema | None:
        """The Compact schema of some record, or None if there is no Compact record."""
        for partition in range(self._link.partition_count):
            page = await anext(self._map.scan(partition, 1))
            if len(page.keys):
                compact, ids = schema_ids(page.values)
                return await self._link.schema(int(ids[0])) if bool(compact[0]) else None
        return None

    async def schemas(self) -> list[Schema]:
        """The Compact schemas of some records of each partition, by type name; a rare one may be missed."""
        pages = await asyncio.gather(*(self._first(partition) for partition in range(self._link.partition_count)))
        found: list[Schema] = []
        for one in set[int]().union(*pages):
            with contextlib.suppress(DecodeError):  # nobody knows it: its records become dead letters
                found.append(await self._link.schema(one))
        return sorted(found, key=lambda one: (one.type_name, one.schema_id))

    async def _first(self, partition: int) -> set[int]:
        page = await anext(self._map.scan(partition, SCHEMAS_ROWS))
        compact, ids = schema_ids(page.values)
        return set(ids[compact].tolist())

    async def _encoded(self, record: Mapping[str, Any]) -> bytes:
        schema, nested = infer_record_schemas(self.name, record)
        for inner in nested.values():
            await self._link.send_schema(inner)
        await self._link.send_schema(schema)
        return encode_record(schema, record, nested)


def python_keys(asked: Any, data: Blobs, there: NDArray[np.bool_]) -> list[Any]:
    """Python keys of the rows that are there; whole numbers need not be decoded again."""
    if isinstance(asked, np.ndarray) and asked.dtype.kind in "iu":
        found: list[Any] = asked[there].tolist()
        return found
    return decode_keys(data.take(there))


def _columns_of(columns: Any) -> dict[str, Any]:
    """A dict of arrays from a dict, a DataFrame or an Arrow table."""
    if isinstance(columns, Mapping):
        return {str(name): _array(values) for name, values in cast("Mapping[Any, Any]", columns).items()}
    if hasattr(columns, "column_names"):
        return {name: _array(columns[name].to_numpy(zero_copy_only=False)) for name in columns.column_names}
    if hasattr(columns, "columns"):
        return {str(name): _array_of_series(columns[name]) for name in columns.columns}
    raise EncodeError(
        f"records can't be put from {type(columns).__name__}",
        remedy="pass a dict of arrays, a DataFrame or an Arrow table",
    )


def _array_of_series(series: Any) -> Any:
    """Numbers as they are; in a column of objects what pandas takes for missing is a null."""
    values = series.to_numpy()
    return np.where(series.isna(), None, values) if values.dtype == np.object_ else values


def _array(values: Any) -> Any:
    return values if isinstance(values, np.ndarray) or hasattr(values, "valid") else np.asarray(values)

"""Of which Compact schemas the records of a map are, told from some of them: looking at all would take a scan."""

from __future__ import annotations

import asyncio
import contextlib

from grid_inference.errors import DecodeError
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap
from grid_inference.wire.compact import Schema, schema_ids

__all__ = ["any_schema", "some_schemas"]

RECORDS_LOOKED_AT = 20
"""So many records of a partition are looked at."""


async def any_schema(link: Link, name: str) -> Schema | None:
    """The schema of some record of a map, or None if that is no Compact record, or there is none."""
    records = GridMap(link, name)
    for partition in range(link.partition_count):
        page = await anext(records.scan(partition, 1))
        if len(page.keys):
            compact, ids = schema_ids(page.values)
            return await link.schema(int(ids[0])) if bool(compact[0]) else None
    return None


async def some_schemas(link: Link, name: str) -> list[Schema]:
    """The schemas of some records of each partition of a map, by type name; a rare one may be missed."""
    records = GridMap(link, name)
    of_each = await asyncio.gather(*(_first(records, partition) for partition in range(link.partition_count)))
    found: list[Schema] = []
    for schema_id in set[int]().union(*of_each):
        with contextlib.suppress(DecodeError):  # nobody knows it: its records become dead letters
            found.append(await link.schema(schema_id))
    return sorted(found, key=lambda one: (one.type_name, one.schema_id))


async def _first(records: GridMap, partition: int) -> set[int]:
    page = await anext(records.scan(partition, RECORDS_LOOKED_AT))
    compact, ids = schema_ids(page.values)
    return set(ids[compact].tolist())

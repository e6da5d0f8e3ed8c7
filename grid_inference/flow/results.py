"""Results as they stand in the grid: a deployment's predictions and dead letters, of a partition or of some keys."""

from __future__ import annotations

import numpy as np

from grid_inference.config import DeploymentConfig
from grid_inference.errors import DecodeError
from grid_inference.flow.standing import Known, Results, Stored, Whose
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap
from grid_inference.logs import logger
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import schema_ids

__all__ = ["ResultMaps"]

_log = logger(__name__)

RESULT_PAGE_BYTES = 4 << 20
"""About so many bytes of results are read at a time."""


class ResultMaps:
    """The maps of one deployment's results."""

    def __init__(self, link: Link, config: DeploymentConfig, whose: Whose) -> None:
        self._link = link
        self._whose = whose
        self._predictions = GridMap(link, config.predictions)
        self._dead_letters = GridMap(link, config.dead_letters)

    async def of_partition(self, partition: int) -> Results:
        """All results of a partition, the dead letters first."""
        dead = await self._scanned(self._dead_letters, partition)
        return Results(await self._scanned(self._predictions, partition), dead)

    async def of_keys(self, keys: Blobs) -> Results:
        """The results of some keys."""
        return Results(await self._found(self._predictions, keys), await self._found(self._dead_letters, keys))

    async def dead_keys(self, partition: int) -> Blobs:
        """Keys of a partition that have a dead letter, or whatever else stands in that map."""
        pages = self._dead_letters.scan(partition, page_bytes=RESULT_PAGE_BYTES)
        return Blobs.concat([page.keys.compact() async for page in pages if len(page.keys)])

    async def _scanned(self, results: GridMap, partition: int) -> Known:
        pages = results.scan(partition, page_bytes=RESULT_PAGE_BYTES)
        return Known.of(
            [(page.keys.compact(), await self._stored(page.values)) async for page in pages if len(page.keys)]
        )

    async def _found(self, results: GridMap, keys: Blobs) -> Known:
        found, values = await results.get_batch(keys)
        return Known.of([(found, await self._stored(values))] if len(found) else [])

    async def _stored(self, values: Blobs) -> Stored:
        """What some values stand for, whatever schemas they have."""
        stored = Stored.foreign(len(values))
        _, ids = schema_ids(values)
        for schema_id in np.unique(ids[ids != 0]).tolist():
            rows = np.flatnonzero(ids == schema_id)
            try:
                part = Stored.of(values.take(rows), await self._link.schema(schema_id), self._whose)
            except DecodeError as error:
                _log.warning("results unreadable, taken for none", records=rows.size, error=error)
                continue
            stored.set(rows, part)
        return stored

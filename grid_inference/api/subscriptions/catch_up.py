"""Catching up: the predictions that stand in the map and were scored since a moment.

Of each key the newest one is found, whatever has become of it in between; one whose record was removed is not.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final

from grid_inference.api.subscriptions.arrivals import Arrival
from grid_inference.api.subscriptions.messages import matching
from grid_inference.api.tables import Scan
from grid_inference.errors import GridError, GridInferenceError
from grid_inference.flow.where import Where
from grid_inference.grid.entries import CompactEntries
from grid_inference.grid.link import Link
from grid_inference.logs import logger
from grid_inference.records import PREDICTION, Prediction

__all__ = ["CatchUp", "Since", "predictions_since"]

_log = logger(__name__)

READ_AHEAD: Final = 256
"""So many predictions are read before they are taken."""
RETRY_PAUSE_S: Final = 1.0
"""Pause before the map is scanned again after an error of the grid."""

Since = Callable[[int], AsyncGenerator[Arrival]]
"""Predictions scored since a moment, in microseconds since 1970."""


async def predictions_since(
    link: Link, name: str, since_us: int, *, where: str | None = None, published: Where | None = None
) -> AsyncGenerator[Arrival]:
    """Scan a predictions map: `where` filters as on a map, `published` by a message's fields. Memory stays flat."""
    asked = f"scored_at_us >= {since_us}" + (f" AND ({where})" if where else "")
    async with aclosing(Scan(link, name, asked).chunks()) as chunks:
        async for parts in chunks:
            for part in parts:
                if not isinstance(part, CompactEntries) or part.schema.schema_id != PREDICTION.schema_id:
                    continue
                keys, values = part.keys, part.values
                if published:
                    mask = matching(published, part.schema, keys, values)
                    keys, values = keys.take(mask), values.take(mask)
                for key, value in zip(keys.tolist(), values.tolist(), strict=True):
                    yield Arrival(key, Prediction.decode(key, value))


class CatchUp:
    """One scan, by a task of its own, so that a taker who is cancelled breaks nothing off."""

    def __init__(self, link: Link, since: Since, since_us: int) -> None:
        self._link = link
        self._since = since
        self._since_us = since_us
        self._found: asyncio.Queue[Arrival | GridInferenceError | None] = asyncio.Queue(READ_AHEAD)
        self._task = link.spawn(self._run())

    async def take(self) -> Arrival | None:
        """The next prediction; None at the end, which then stays the end. Raises what can't be helped by trying again.

        Nothing is lost if it is cancelled.
        """
        found = await self._found.get()
        if isinstance(found, GridInferenceError):
            raise found
        if found is None:
            self._found.put_nowait(None)
        return found

    def close(self) -> None:
        """Stop reading; what was not taken is dropped."""
        self._task.cancel()
        self._end()

    async def _run(self) -> None:
        try:
            try:
                await self._scan_surely()
            except GridInferenceError as error:
                await self._found.put(error)
            await self._found.put(None)
        except asyncio.CancelledError:
            self._end()
            raise

    async def _scan_surely(self) -> None:
        """Scan the map to its end; after an error that may pass, from the beginning again."""
        while True:
            try:
                async with aclosing(self._since(self._since_us)) as found:
                    async for arrival in found:
                        await self._found.put(arrival)
            except GridError as error:
                if self._link.closed or self._link.given_up:
                    return  # the end of the subscription tells of it
                _log.warning("catching up is tried again", error=error)
                await asyncio.sleep(RETRY_PAUSE_S)
            else:
                return

    def _end(self) -> None:
        while not self._found.empty():
            self._found.get_nowait()
        self._found.put_nowait(None)

"""Predictions and gaps that wait to be taken, in order, and never more than a limit of them.

Where there is no room the oldest predictions go, and a gap stands in their place.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple

from grid_inference.api.subscriptions.gap import Gap
from grid_inference.records import Prediction

__all__ = ["Arrival", "Arrivals"]


class Arrival(NamedTuple):
    """A prediction, and its key's Data, which tells keys apart that are equal in Python."""

    key: bytes
    prediction: Prediction


class Arrivals:
    """A queue for one taker."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: deque[Arrival | Gap] = deque()
        self._predictions = 0
        self._ended = False
        self._error: Exception | None = None
        self._changed = asyncio.Event()

    @property
    def ended(self) -> bool:
        """Whether nothing more comes."""
        return self._ended

    def put(self, arrival: Arrival) -> None:
        """Queue a prediction."""
        if self._ended:
            return
        self._items.append(arrival)
        self._predictions += 1
        while self._predictions > self._limit:
            self._drop_oldest()
        self._changed.set()

    def declare(self, gap: Gap) -> None:
        """Queue a gap."""
        last = self._items[-1] if self._items else None
        if isinstance(last, Gap):
            self._items[-1] = last.joined(gap)
        else:
            self._items.append(gap)
        self._changed.set()

    def end(self, error: Exception | None = None) -> None:
        """Nothing more comes; what waits can still be taken, then the error is raised if there is one."""
        if not self._ended:
            self._ended, self._error = True, error
        self._changed.set()

    async def take(self) -> Arrival | Gap:
        """The next one; raises StopAsyncIteration at the end. Nothing is lost if it is cancelled."""
        while not self._items:
            if self._ended:
                raise self._error or StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        item = self._items.popleft()
        if isinstance(item, Arrival):
            self._predictions -= 1
        return item

    def _drop_oldest(self) -> None:
        gaps = list[Gap]()
        while isinstance(oldest := self._items.popleft(), Gap):
            gaps.append(oldest)
        dropped = Gap(oldest.prediction.scored_at_us, "queue overflowed")
        for gap in gaps:
            dropped = dropped.joined(gap)
        if isinstance(behind := self._items[0], Gap):
            self._items.popleft()
            dropped = dropped.joined(behind)
        self._items.appendleft(dropped)
        self._predictions -= 1

"""Watching a model at work: what it gets and says is counted, told to the grid, and held against its training.

In: a tap at the place where the model is asked. Out: this worker's counts in the grid, which fade with the window; and
an event where a column comes over its threshold or back. Of all workers the one evaluates that owns the partition of
the version's place; the state changes by compare-and-set, and whoever changes it tells: no event is told twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from grid_inference.drift.counting import Counting
from grid_inference.drift.counts import DRIFT_MAP, Counts, place_of
from grid_inference.drift.crossing import EVENTS_TOPIC, Crossing, Over, crossings, over_in, state_of
from grid_inference.drift.reading import read
from grid_inference.drift.report import Drift
from grid_inference.errors import DecodeError, GridError
from grid_inference.flow.calls import Asks, Score, Scored
from grid_inference.flow.ticks import to_tick
from grid_inference.grid.link import Link
from grid_inference.grid.link.topics import publish_all
from grid_inference.grid.maps import GridMap
from grid_inference.logs import logger
from grid_inference.model.engines.isolate import NanPolicy
from grid_inference.model.inputs.frame import Inputs
from grid_inference.model.store.registry import Deployed
from grid_inference.wire.json.values import decode_json, encode_json
from grid_inference.wire.keys import encode_key, partition_id
from grid_inference.wire.protocol import messages

__all__ = ["Tap", "Watch"]

_log = logger(__name__)

T = TypeVar("T")
TELL_S: Final = 5.0
"""How often a worker tells what it has counted."""
EVALUATE_ANYWAY_S: Final = 60.0
"""How often counts are held against the training although none were made here: others may have counted."""
LAST_S_MAX: Final = 2.0
"""How long a worker that stops may take to tell it once more."""


class Tap:
    """Asks the model, and has what it got and said counted where the budget allows."""

    def __init__(self, asks: Asks, counting: Counting) -> None:
        self._asks = asks
        self._counting = counting

    def run(
        self, work: Callable[[Score], T], rows: int, partitions: NDArray[np.int32], *, suspect: bool = False
    ) -> Coroutine[Any, Any, T]:
        """Do what needs the model; rows on trial are not counted. A coroutine less: each batch would pay for it."""
        if not suspect and self._counting.due():
            return self._asks.run(lambda score: work(self._counted(score)), rows, partitions)
        return self._asks.run(work, rows, partitions, suspect=suspect)

    def _counted(self, score: Score) -> Score:
        def counted(inputs: Inputs, nan: NanPolicy) -> Scored:
            found = score(inputs, nan)
            self._counting.take(inputs, found[0])
            return found

        return counted


@dataclass(slots=True)
class _Watched:
    """A version at work."""

    deployed: Deployed
    counting: Counting
    told: bytes = b""
    """What stands in the grid of it, from here."""
    told_at: tuple[int, int] | None = None
    """The mark of what was counted when it was told."""
    evaluated_at: tuple[int, int] | None = None
    evaluated_s: float = -math.inf
    psi: float = 0.0
    """The largest of its columns at the last evaluation."""

    def due(self) -> bool:
        """Whether an evaluation may bring something new."""
        return self.told_at != self.evaluated_at or time.monotonic() > self.evaluated_s + EVALUATE_ANYWAY_S

    @property
    def place(self) -> str:
        return place_of(self.deployed.config.name, self.deployed.model, self.deployed.version)


class Watch:
    """Of one deployment in one worker."""

    def __init__(
        self,
        link: Link,
        worker: str,
        deployment: str,
        owns: Callable[[int], bool],
        at_work: Callable[[], set[int]],
    ) -> None:
        self._link = link
        self._deployment = deployment
        self._map = GridMap(link, DRIFT_MAP)
        self._worker = worker
        self._owns = owns
        self._at_work = at_work
        self._watched: dict[int, _Watched] = {}
        self.crossings = 0
        """Columns that came over the threshold, as told from here."""
        self.psi = 0.0
        """The largest of all columns that were evaluated here last."""

    def asks(self, asks: Asks, deployed: Deployed) -> Asks:
        """The same, counted for this version if there is anything to hold it against."""
        settings, statistics = deployed.config.drift, deployed.statistics
        if statistics is None or not settings.psi:
            return asks
        watched = self._watched.get(deployed.version)
        if watched is None:
            about = {"deployment": deployed.config.name, "model": deployed.model, "version": deployed.version}
            counting = Counting(statistics, deployed.signature, settings.window_s, **about)
            watched = self._watched[deployed.version] = _Watched(deployed, counting)
        return Tap(asks, watched.counting)

    async def run(self) -> None:
        """Tell and evaluate, again and again."""
        while True:
            await asyncio.sleep(to_tick(TELL_S, self._deployment))
            try:
                await self._look()
            except (GridError, DecodeError) as error:
                _log.warning("drift not told yet", worker=self._worker, error=error)
            except Exception:  # a bug of ours must not end this for good, nor pass unseen  # noqa: BLE001
                _log.exception("drift not told", worker=self._worker)

    async def close(self) -> None:
        """Tell a last time, if the grid takes it."""
        with contextlib.suppress(GridError, TimeoutError):
            async with asyncio.timeout(LAST_S_MAX):
                for watched in self._watched.values():
                    await self._tell(watched)

    async def _look(self) -> None:
        worst = 0.0
        for version, watched in list(self._watched.items()):
            await self._tell(watched)
            if version not in self._at_work():
                del self._watched[version]
            elif self._owns(self._partition(watched.place)):
                if watched.due():
                    at, watched.psi = watched.told_at, await self._evaluate(watched)
                    watched.evaluated_at, watched.evaluated_s = at, time.monotonic()
                worst = max(worst, watched.psi)
        self.psi = worst

    async def _tell(self, watched: _Watched) -> None:
        """Write what was counted, if that is something else than what stands."""
        mark = watched.counting.mark()
        if mark == watched.told_at:
            return
        counts = Counts(watched.place, self._worker, watched.counting.total())
        value = await asyncio.to_thread(lambda: encode_json(counts.to_mapping()))
        if value != watched.told and (watched.told or counts.rows):
            key = encode_key(f"{watched.place}/{self._worker}")
            await self._map.set(key, value, ttl_s=watched.deployed.config.drift.window_s)
            watched.told = value
        watched.told_at = mark

    async def _evaluate(self, watched: _Watched) -> float:
        """Hold the counts of all workers against the training, and tell of what has crossed; the largest figure."""
        drift = await read(self._link, watched.deployed, watched.counting.statistics)
        place, key = watched.place, encode_key(watched.place)
        before = await self._map.get(key)
        over = _over(before, place)
        changes = crossings(over, drift.columns, drift.threshold)
        if changes and await self._set(key, before, encode_json(state_of(place, over, changes))):
            self._say(drift, changes)
            events = [encode_json(one.to_mapping(drift)) for one in changes]
            await publish_all(self._link, EVENTS_TOPIC, [messages.publish_all_request(EVENTS_TOPIC, events)])
        return max((column.psi for column in drift.columns if column.psi is not None), default=0.0)

    async def _set(self, key: bytes, before: bytes | None, state: bytes) -> bool:
        if before is None:
            return await self._map.put_if_absent(key, state) is None
        return await self._map.replace_if_same(key, before, state)

    def _say(self, drift: Drift, changes: list[Crossing]) -> None:
        for change in changes:
            self.crossings += change.over
            say = _log.warning if change.over else _log.info
            say(
                "drift is over its threshold" if change.over else "drift is back below its threshold",
                deployment=drift.deployment,
                model=drift.model,
                version=drift.version,
                column=change.column.name,
                psi=round(change.column.psi or 0.0, 4),
                threshold=drift.threshold,
            )

    def _partition(self, place: str) -> int:
        return partition_id(encode_key(place), self._link.partition_count)


def _over(state: bytes | None, place: str) -> Over:
    """The columns that are over, as the grid says; none where it says anything else."""
    try:
        return over_in(None if state is None else decode_json(state), place)
    except DecodeError:
        return frozenset()

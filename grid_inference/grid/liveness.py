"""Which workers live, as seen from outside: by their beats, on the observer's own clock, never by comparing clocks.

A worker whose beat was seen to change lives; one whose beat stood still for as long as it was watched is silent; of
all others nothing is known yet, and whoever decides something waits for them. A worker's own view is `topology.py`.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from grid_inference.grid.link import Link
from grid_inference.grid.topology import LEFT, is_gone, read_workers

__all__ = ["SILENT_S", "Lookout", "Seen", "live_workers", "lookout", "looks", "some_workers", "worker_counts"]

SILENT_S = 6.0
"""A beat that stood still for so long, or for `LEASES` of the worker's leases if that is longer, goes on no more."""
LEASES = 2
GAP_S_MAX = 1.0
"""Time between two looks counts for so much at most: a member that was paused held up the beats and the look."""
POLL_S = 0.05
COMING_S = 5.0
"""So long it takes for sure to tell that no worker is coming up: a process signs on seconds after its start."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known at one look of the workers that have an entry: what each says, by its id."""

    living: dict[str, dict[str, Any]]
    """Their beat was seen to change, or they have come since the first look."""
    unsure: dict[str, dict[str, Any]]
    """Not watched for long enough."""
    silent: dict[str, dict[str, Any]]
    """Their beat stood still all the while."""

    @property
    def present(self) -> dict[str, dict[str, Any]]:
        """All that may live: whoever decides something has to hear of each of them."""
        return self.living | self.unsure


@dataclass(slots=True)
class _Watched:
    beat: int
    moved: bool
    """Whether it was seen to change, by looks that were near enough to each other."""
    still_s: float = 0.0


class Lookout:
    """Watches the workers' beats from look to look."""

    def __init__(self) -> None:
        self._watched: dict[str, _Watched] = {}
        self._looked_s = -math.inf

    def observe(self, workers: Mapping[str, dict[str, Any]], asked_s: float, answered_s: float) -> Seen:
        """Note what stands in the grid; it was asked for and answered at these moments of the observer's clock.

        A beat has stood still from an answer to the next question: how long the answer took says nothing of it.
        """
        passed_s = max(0.0, asked_s - self._looked_s)
        self._looked_s, before, self._watched = answered_s, self._watched, {}
        seen = Seen({}, {}, {})
        for worker, said in workers.items():
            known = before.get(worker)
            if known is None or said["beat"] > known.beat:
                known = _Watched(said["beat"], moved=passed_s < SILENT_S)
            else:
                known.moved &= passed_s < SILENT_S
                known.still_s += min(passed_s, GAP_S_MAX)
            self._watched[worker] = known
            place = seen.silent if known.still_s >= _patience_s(said) else seen.living if known.moved else seen.unsure
            place[worker] = said
        return seen

    async def look(self, link: Link) -> Seen:
        """Ask the grid, and note what it says."""
        asked_s = time.monotonic()
        workers = await read_workers(link)
        there = {worker: said for worker, said in workers.items() if said["phase"] != LEFT and not is_gone(said)}
        return self.observe(there, asked_s, time.monotonic())


def _patience_s(said: Mapping[str, Any]) -> float:
    """How long this worker's beat may stand still."""
    lease_s: Any = said.get("lease_ttl_s")
    if isinstance(lease_s, int | float) and math.isfinite(lease_s):
        return max(SILENT_S, LEASES * lease_s)
    return SILENT_S


_lookouts: WeakKeyDictionary[Link, Lookout] = WeakKeyDictionary()


def lookout(link: Link) -> Lookout:
    """The one of a link: what was seen by it before counts on."""
    return _lookouts.setdefault(link, Lookout())


async def looks(link: Link, timeout_s: float, poll_s: float = POLL_S) -> AsyncGenerator[Seen]:
    """What is seen of the workers, again and again for so long: for whoever waits until they say something."""
    until_s = time.monotonic() + timeout_s
    while True:
        yield await lookout(link).look(link)
        if time.monotonic() > until_s:
            return
        await asyncio.sleep(poll_s)


async def some_workers(link: Link) -> Seen:
    """Look until a worker may live, or for `COMING_S`: one that was started just now is not to be taken for none."""
    until_s = time.monotonic() + COMING_S
    while True:
        seen = await lookout(link).look(link)
        if seen.present or time.monotonic() >= until_s:
            return seen
        await asyncio.sleep(POLL_S)


async def live_workers(link: Link) -> dict[str, dict[str, Any]]:
    """What the workers that live say, by their ids; for people's eyes.

    One that has just spoken by the clocks of both machines is taken at its word. Where clocks differ, or it has not
    spoken for a while, its beat is watched: that takes up to `SILENT_S`, the first time.
    """
    while True:
        seen = await lookout(link).look(link)
        now_us = time.time_ns() // 1000
        fresh = {w: said for w, said in seen.unsure.items() if abs(now_us - said["said_at_us"]) < SILENT_S * 1e6}
        if fresh.keys() == seen.unsure.keys():
            return seen.living | fresh
        await asyncio.sleep(POLL_S)


async def worker_counts(link: Link, name: str) -> dict[str, dict[str, Any]]:
    """What each live worker says of a deployment, by worker id; those that do not know it are left out."""
    said = await live_workers(link)
    return {worker: one["deployments"][name] for worker, one in said.items() if name in one["deployments"]}

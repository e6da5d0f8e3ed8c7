"""Proof by scan that every record has its result: independent of what workers say, of their positions and counters.

Each partition's results and records are scanned and compared by key, digest, model and version, as `flow/standing.py`
says what a right result is. What differs is looked at again until it is right or the partition's time is up, because a
record may be on its way: only what differs still, for the same value of its record, counts. Positions are read for one
thing only: a partition that has not been scored through since the deploy has no result of it yet, though the deploy
before may have left equal ones.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid_inference.flow.events import Events
from grid_inference.flow.positions import Positions
from grid_inference.flow.results import ResultMaps
from grid_inference.flow.standing import Results, Standing, is_readable, whose
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap, rows_of
from grid_inference.model.store.registry import Deployed
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.keys import key_text

__all__ = ["Verdict", "verify"]

EXAMPLES_MAX = 5
SCANS_AT_ONCE = 4
PAGE_BYTES = 4 << 20
KEYS_AT_ONCE = 20_000
"""So many keys are looked at again at a time."""
PAUSE_S_MAX = 2.0
"""The pause between two looks grows up to this."""
ORPHAN = max(Standing) + 1
"""A result without a record."""
KINDS = {
    Standing.MISSING: "missing",
    Standing.STALE: "stale",
    Standing.OUTDATED: "outdated",
    Standing.DOUBLE: "doubles",
    ORPHAN: "orphans",
}
"""What differs, and how it is counted."""


@dataclass(slots=True)
class Verdict:
    """What a scan of the whole deployment found."""

    deployment: str
    records: int = 0
    predictions: int = 0
    dead_letters: int = 0
    missing: int = 0
    """Records with neither a prediction nor a dead letter of their digest, and no prediction of another."""
    stale: int = 0
    """Records whose prediction is of another digest."""
    orphans: int = 0
    """Predictions, where removals remove, and dead letters without a record."""
    outdated: int = 0
    """Records whose result is by another model, a version that does not count, or an earlier deploy, or that wait to be
    scored anew."""
    doubles: int = 0
    """Records with a prediction and a dead letter."""
    older: int = 0
    """Records from before a deploy with `start = "new"`, which need no result; they don't count as missing."""
    unreadable: int = 0
    """Records that are neither Compact nor JSON; their dead letters are their results."""
    in_flight: int = 0
    """Records that differed at first and were right, or of another value, when looked at again."""
    seconds: float = 0.0
    examples: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """A few keys of each kind of difference."""

    @property
    def complete(self) -> bool:
        """Whether every record has just the one result of its value by what is deployed."""
        return not any(getattr(self, kind) for kind in KINDS.values())

    def to_mapping(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {**asdict(self), "complete": self.complete}


@dataclass(frozen=True, slots=True, eq=False)
class _Differing:
    """Keys of records and results that are not as they should be."""

    keys: Blobs
    digests: NDArray[np.int64]
    """Of the records; 0 where there is none."""
    kinds: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.keys)

    @classmethod
    def concat(cls, parts: list[_Differing]) -> _Differing:
        return cls(
            Blobs.concat([part.keys for part in parts]),
            np.concatenate([part.digests for part in parts]),
            np.concatenate([part.kinds for part in parts]),
        )

    @classmethod
    def of(cls, keys: Blobs, digests: NDArray[np.int64], kinds: NDArray[np.uint8]) -> _Differing:
        """Those that differ of some."""
        rows = np.isin(kinds, list(KINDS))
        return cls(keys.take(rows).compact(), digests[rows], kinds[rows])

    def results_in(self, results: Results) -> tuple[int, int]:
        """How many of these keys have a prediction and a dead letter."""
        sides = (results.predictions.keys, results.dead.keys)
        predicted, refused = (int((rows_of(self.keys, keys) >= 0).sum()) for keys in sides)
        return predicted, refused

    def parts(self) -> Iterator[_Differing]:
        """A part after the other, of so many keys as are looked at at a time."""
        for start in range(0, len(self), KEYS_AT_ONCE):
            rows = np.arange(start, min(start + KEYS_AT_ONCE, len(self)))
            yield _Differing(self.keys.take(rows), self.digests[rows], self.kinds[rows])


async def verify(link: Link, deployed: Deployed, *, wait_s: float = 10.0, pause_s: float = 0.2) -> Verdict:
    """Compare all records with all results; the differences of each partition get `wait_s` to vanish before they count.

    Raises GridError if the grid can't be read.
    """
    started = time.perf_counter()
    verdict = Verdict(deployed.config.name)
    limit = asyncio.Semaphore(SCANS_AT_ONCE)

    async def one(partition: int) -> None:
        async with limit:
            await _Partition(link, deployed, partition).compare(verdict, wait_s, pause_s)

    tasks = [asyncio.create_task(one(partition)) for partition in range(link.partition_count)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    verdict.seconds = round(time.perf_counter() - started, 3)
    return verdict


class _Partition:
    """One partition's comparison."""

    def __init__(self, link: Link, deployed: Deployed, partition: int) -> None:
        self._partition = partition
        self._deployed = deployed
        self._features = GridMap(link, deployed.config.features)
        self._results = ResultMaps(link, deployed.config, whose(deployed))
        self._positions = Positions(link, deployed.config.name)
        self._only_new = deployed.config.start == "new"
        self._counted = (0, 0)
        """Predictions and dead letters that are counted already of the keys that are to be looked at again."""

    async def compare(self, verdict: Verdict, wait_s: float, pause_s: float) -> None:
        """Look at everything, and again and again at what differs; add what is found to the verdict."""
        differing = await self._look(verdict)
        first, deadline = len(differing), time.monotonic() + wait_s
        while len(differing) and time.monotonic() < deadline:
            await asyncio.sleep(min(pause_s, max(0.0, deadline - time.monotonic())))
            pause_s = min(PAUSE_S_MAX, 1.5 * pause_s)
            differing = await self._look_again(differing, verdict)
        verdict.in_flight += first - len(differing)
        for kind, name in KINDS.items():
            keys = differing.keys.take(differing.kinds == kind)
            setattr(verdict, name, getattr(verdict, name) + len(keys))
            shown = verdict.examples.setdefault(name, [])
            shown.extend(key_text(keys.take(np.arange(min(len(keys), EXAMPLES_MAX - len(shown))))))
            if not shown:
                del verdict.examples[name]

    async def _look(self, verdict: Verdict) -> _Differing:
        """Results before records: what is put and scored meanwhile seems to be missing, and is looked at again."""
        scored = await self._scored_through()
        results = await self._results.of_partition(self._partition)
        found = list[_Differing]()
        async for page in self._features.scan(self._partition, page_bytes=PAGE_BYTES):
            records = Events.of(page.keys, page.values)
            kinds = self._kinds(results, records, scored=scored)
            verdict.records += len(records)
            verdict.older += int((kinds == Standing.OLDER).sum())
            verdict.unreadable += int((~is_readable(records.values)).sum())
            found.append(_Differing.of(records.keys, records.digests, kinds))
        differing = _Differing.concat([*found, self._orphans(results)])
        self._count(verdict, (len(results.predictions.keys), len(results.dead.keys)))
        self._counted = differing.results_in(results)
        return differing

    async def _look_again(self, differing: _Differing, verdict: Verdict) -> _Differing:
        """Those that differ still, for the same value of their record."""
        self._count(verdict, (-self._counted[0], -self._counted[1]))
        self._counted = (0, 0)
        scored, found = await self._scored_through(), list[_Differing]()
        for part in differing.parts():
            results = await self._results.of_keys(part.keys)
            self._count(verdict, part.results_in(results))
            records = Events.of(*await self._features.get_batch(part.keys))
            kinds = self._kinds(results, records, scored=scored)
            now = _Differing.concat([_Differing.of(records.keys, records.digests, kinds), self._orphans(results)])
            same = now.digests == part.digests[rows_of(now.keys, part.keys)]
            still = _Differing(now.keys.take(same).compact(), now.digests[same], now.kinds[same])
            counted = still.results_in(results)
            self._counted = (self._counted[0] + counted[0], self._counted[1] + counted[1])
            found.append(still)
        return _Differing.concat(found)

    @staticmethod
    def _count(verdict: Verdict, results: tuple[int, int]) -> None:
        verdict.predictions += results[0]
        verdict.dead_letters += results[1]

    def _kinds(self, results: Results, records: Events, *, scored: bool) -> NDArray[np.uint8]:
        kinds = results.standing(records, self._deployed.standing, only_new=self._only_new)
        if not scored:
            kinds[kinds == Standing.RIGHT] = Standing.OUTDATED
        return kinds

    def _orphans(self, results: Results) -> _Differing:
        """Of results whose records were to be met by now."""
        keys = results.orphans(predictions=self._deployed.config.on_remove == "remove").compact()
        nothing = np.zeros(len(keys), np.int64)
        return _Differing(keys, nothing, np.full(len(keys), ORPHAN, np.uint8))

    async def _scored_through(self) -> bool:
        """Whether the partition was scored through since the deploy; where only what is new counts, it may not be."""
        if self._only_new:
            return True
        stored = (await self._positions.load([self._partition])).get(self._partition)
        return stored is not None and stored.generation == self._deployed.generation

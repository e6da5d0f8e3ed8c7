"""Proof by scan that every record has its result: independent of the flow, of its positions and of its counters.

Each partition of the feature map, the predictions and the dead letters is scanned and compared by key and digest. What
differs is looked at again after a pause, because a record may be on its way: only what still differs counts.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid_inference.flow.reconcile import stored_states
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap, key_identities, rows_of
from grid_inference.model.registry import Deployed
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.digest import input_digest
from grid_inference.wire.keys import key_text

__all__ = ["Verdict", "verify"]

EXAMPLES_MAX = 5
SCANS_AT_ONCE = 4


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
    """Predictions without a record, where removals remove."""
    in_flight: int = 0
    """Records that differed at first and were right when looked at again."""
    seconds: float = 0.0
    examples: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """A few keys of each kind of difference."""

    @property
    def complete(self) -> bool:
        """Whether nothing is missing, stale or orphaned."""
        return not (self.missing or self.stale or self.orphans)

    def to_mapping(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {**asdict(self), "complete": self.complete}


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
    """Keys and digests of one map's partition."""

    keys: Blobs
    digests: NDArray[np.int64]

    def digests_of(self, keys: Blobs) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        rows = rows_of(keys, self.keys)
        found = self.digests[rows] if self.digests.size else np.zeros(len(keys), np.int64)
        return rows >= 0, found


async def verify(link: Link, deployed: Deployed, *, wait_s: float = 10.0, pause_s: float = 0.2) -> Verdict:
    """Compare all records with all results; differences get `wait_s` to vanish before they count."""
    started = time.perf_counter()
    config = deployed.config
    verdict = Verdict(config.name)
    deadline = time.monotonic() + wait_s
    limit = asyncio.Semaphore(SCANS_AT_ONCE)

    async def one(partition: int) -> None:
        async with limit:
            await _partition(link, deployed, partition, verdict, deadline, pause_s)

    async with asyncio.TaskGroup() as group:
        for partition in range(link.partition_count):
            group.create_task(one(partition))
    verdict.seconds = round(time.perf_counter() - started, 3)
    return verdict


async def _partition(
    link: Link, deployed: Deployed, partition: int, verdict: Verdict, deadline: float, pause_s: float
) -> None:
    first: set[int] | None = None
    while True:
        records = await _records(GridMap(link, deployed.config.features), partition)
        predictions = await _results(link, deployed.config.predictions, partition)
        dead = await _results(link, deployed.config.dead_letters, partition)
        differing = _compare(records, predictions, dead, sweep=deployed.config.on_remove == "remove")
        now = {int(one) for keys in differing.values() for one in key_identities(keys).tolist()}
        first = now if first is None else first
        if not now or time.monotonic() >= deadline:
            break
        await asyncio.sleep(pause_s)
    verdict.records += len(records.keys)
    verdict.predictions += len(predictions.keys)
    verdict.dead_letters += len(dead.keys)
    verdict.in_flight += len(first - now)
    for kind, keys in differing.items():
        setattr(verdict, kind, getattr(verdict, kind) + len(keys))
        shown = verdict.examples.setdefault(kind, [])
        shown.extend(key_text(keys.take(np.arange(min(len(keys), EXAMPLES_MAX - len(shown))))))
        if not shown:
            del verdict.examples[kind]


async def _records(features: GridMap, partition: int) -> _Side:
    parts = [(page.keys.compact(), input_digest(page.values)) async for page in features.scan(partition)]
    return _side(parts)


async def _results(link: Link, name: str, partition: int) -> _Side:
    parts = [
        (page.keys.compact(), (await stored_states(link, page.values)).digests)
        async for page in GridMap(link, name).scan(partition)
        if len(page.keys)
    ]
    return _side(parts)


def _side(parts: list[tuple[Blobs, NDArray[np.int64]]]) -> _Side:
    keys = Blobs.concat(part[0] for part in parts)
    return _Side(keys, np.concatenate([part[1] for part in parts]) if parts else np.empty(0, np.int64))


def _compare(records: _Side, predictions: _Side, dead: _Side, *, sweep: bool) -> dict[str, Blobs]:
    """Keys of records that are missing or stale, and of results that are orphans."""
    predicted, by_digest = predictions.digests_of(records.keys)
    refused, refused_digest = dead.digests_of(records.keys)
    right = (predicted & (by_digest == records.digests)) | (refused & (refused_digest == records.digests))
    differing = {
        "missing": records.keys.take(~right & ~predicted),
        "stale": records.keys.take(~right & predicted),
    }
    if sweep:
        differing["orphans"] = predictions.keys.take(rows_of(predictions.keys, records.keys) < 0)
    return differing

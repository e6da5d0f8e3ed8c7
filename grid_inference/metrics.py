"""What a worker measures of its work, as Prometheus has it: counters and histograms of each deployment.

The workers of a node are processes, and each may die: with `PROMETHEUS_MULTIPROC_DIR` in its environment a worker keeps
its figures in files of that folder, where the node reads them, those of the dead included (`node/health/`). What each
metric means stands in docs/metrics.md. The flow does not know of it.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter as Tally
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

__all__ = ["REGISTRY", "SECONDS", "STAGES", "Meter", "Observe", "late_writes", "unobserved"]

Observe = Callable[[str, float], None]
"""Takes what a stage of the flow has measured: the stage's name and seconds, or `rows` and their number."""

STAGES: Final = ("queue", "decode", "score", "encode", "write", "publish")
SECONDS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
ROWS: Final = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536)
BY_DEPLOYMENT: Final = ("deployment",)
BY_CAUSE: Final = ("deployment", "cause")

REGISTRY: Final = CollectorRegistry()
"""Of its own: an application that imports us has no use for our figures among its own."""


class _Spread(Histogram):
    """A histogram that is told many values at once.

    One by one, when each comes, took as long as much else that is done for a batch of one record: a bucket and the sum
    are numbers in a file.
    """

    def observe_all(self, values: deque[float]) -> None:
        """Take these values out of the queue, as `observe` takes each."""
        taken = [values.popleft() for _ in range(len(values))]
        if taken:
            for place, count in Tally(bisect_left(self._upper_bounds, value) for value in taken).items():
                self._buckets[place].inc(count)
            self._sum.inc(math.fsum(taken))


def _total(name: str, said: str, *labels: str) -> Counter:
    return Counter(f"grid_inference_{name}", said, labels, registry=REGISTRY)


def _now(name: str, said: str, mode: Literal["livesum", "livemax"]) -> Gauge:
    return Gauge(f"grid_inference_{name}", said, BY_DEPLOYMENT, multiprocess_mode=mode, registry=REGISTRY)


def _spread(name: str, said: str, labels: tuple[str, ...], buckets: tuple[float, ...]) -> _Spread:
    return _Spread(f"grid_inference_{name}", said, labels, buckets=buckets, registry=REGISTRY)


_stage_seconds = _spread(
    "stage_seconds", "Seconds that a batch spent in a stage of the flow.", ("deployment", "stage"), SECONDS
)
_batch_rows = _spread("batch_rows", "Records of a batch.", BY_DEPLOYMENT, ROWS)
_totals = {
    "events": _total("records", "Changes of the feature map that have come.", *BY_DEPLOYMENT),
    "predictions": _total("predictions", "Predictions written and acknowledged.", *BY_DEPLOYMENT),
    "removals": _total("removals", "Records that were removed.", *BY_DEPLOYMENT),
    "published": _total("published", "Messages published to the topic.", *BY_DEPLOYMENT),
    "unpublished": _total("unpublished", "Messages that the topic did not take.", *BY_DEPLOYMENT),
    "superseded": _total("superseded", "Changes left out as a newer one of their key had come.", *BY_DEPLOYMENT),
    "shadow_predictions": _total("shadow_predictions", "Predictions of shadows, in their own map.", *BY_DEPLOYMENT),
    "shadow_skipped": _total("shadow_skipped", "Records that shadows had no time for.", *BY_DEPLOYMENT),
    "drift_crossings": _total("drift_crossings", "Columns that came over the threshold of drift.", *BY_DEPLOYMENT),
    "unexplained": _total("unexplained_repairs", "Records repaired for no known reason; must be 0.", *BY_DEPLOYMENT),
}
_by_cause = {
    "refused": _total("dead_letters", "Records that became dead letters.", *BY_CAUSE),
    "gaps": _total("gaps", "Gaps of the journal, each of which led to a scan.", *BY_CAUSE),
    "repairs": _total("repairs", "Records that a scan or a comparison had scored again.", *BY_CAUSE),
    "failures": _total("failures", "Batches that failed and were scored again.", *BY_CAUSE),
}
_owned = _now("owned_partitions", "Partitions that workers of this node score.", "livesum")
_scanning = _now("scanning_partitions", "Partitions that workers of this node reconcile.", "livesum")
_version = _now("scored_version", "The newest version by which workers of this node score; 0: none.", "livemax")
_drift = _now("drift_psi", "The largest population stability index of all columns, where evaluated.", "livemax")
_late_writes = _total("late_writes", "Batches written when their partition was, or may have been, another worker's.")


def unobserved(stage: str, value: float) -> None:
    """Where nobody measures."""


class Meter:
    """The figures of one deployment in this process."""

    def __init__(self, deployment: str) -> None:
        self._deployment = deployment
        self._histograms = {stage: _stage_seconds.labels(deployment, stage) for stage in STAGES}
        self._histograms["rows"] = _batch_rows.labels(deployment)
        self._measured = {stage: deque[float]() for stage in self._histograms}
        """Seconds of batches by stage, and their rows, that are not told yet."""
        self._told: dict[tuple[str, str], float] = {}
        """(counter, cause) → the total that it has been told so far."""
        # Asking for a label's figure takes longer than all the rest of telling that nothing has changed.
        gauges = {"owned": _owned, "scanning": _scanning, "version": _version, "drift_psi": _drift}
        self._gauges = {name: gauge.labels(deployment) for name, gauge in gauges.items()}
        for counter in _totals.values():
            counter.labels(deployment)

    def observe(self, stage: str, value: float) -> None:
        """Seconds in a stage, or the rows of a batch; told by the next `carry`. From any thread."""
        self._measured[stage].append(value)

    def carry(self, counts: Mapping[str, Any]) -> None:
        """Tell what was measured, and bring the counters up to what the deployment counts itself, which only grows."""
        for stage, histogram in self._histograms.items():
            histogram.observe_all(self._measured[stage])
        for name, counter in _totals.items():
            self._raise(counter, (name, ""), counts[name], self._deployment)
        for name, counter in _by_cause.items():
            for cause, total in counts[name].items():
                self._raise(counter, (name, cause), total, self._deployment, cause)
        for name, gauge in self._gauges.items():
            self._set(gauge, name, counts[name])

    def close(self) -> None:
        """Nothing is owned any more; the counters stay."""
        for name, gauge in self._gauges.items():
            self._set(gauge, name, 0)

    def _raise(self, counter: Counter, place: tuple[str, str], total: float, *labels: str) -> None:
        before = self._told.get(place, 0.0)
        if total > before:
            counter.labels(*labels).inc(total - before)
            self._told[place] = total

    def _set(self, gauge: Gauge, name: str, value: float) -> None:
        if self._told.get((name, "")) != value:
            gauge.set(value)
            self._told[name, ""] = value


def late_writes(total: int, told: int) -> int:
    """Count a worker's late writes; returns how many are told now, to be handed in the next time."""
    _late_writes.inc(max(0, total - told))
    return max(total, told)

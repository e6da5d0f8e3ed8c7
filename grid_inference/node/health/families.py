"""What is known of a node and its grid, as metrics; the workers' own are in `grid_inference/metrics.py`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from grid_inference.grid.member.jvm_heap import Heap
from grid_inference.node.health.judge import Known, not_ready
from grid_inference.node.health.lag import fill
from grid_inference.node.health.look import Sample

__all__ = ["families"]

OF_DEPLOYMENTS = {
    "grid_inference_lag_records": "Changes that are not scored yet, over the whole grid.",
    "grid_inference_lag_seconds": "How long the oldest of them waits.",
    "grid_inference_journal_fill_ratio": "Share of the fullest partition's journal that is not scored yet.",
    "grid_inference_proven_age_seconds": "Since when every partition was compared with its results.",
}
INFO_LABELS = ("deployment", "model", "version", "state")


def families(known: Known, restarts: int, heap: Heap | None, ring_events: int | None) -> Iterator[Metric]:
    """All of it; `ring_events`: how many events a partition's journal can hold, where that is known."""
    yield _gauge("ready", "Whether /readyz answers 200.", not not_ready(known))
    yield _gauge("workers_running", "Worker processes that run.", len(known.pids))
    yield CounterMetricFamily(
        "grid_inference_worker_restarts", "Worker processes that were started again.", float(restarts)
    )
    if heap:
        yield _gauge("member_heap_used_bytes", "Of this node's member, as of the last collection.", heap.used_bytes)
        yield _gauge("member_heap_max_bytes", "Of this node's member.", heap.max_bytes)
    if known.sample:
        yield _gauge("sample_age_seconds", "Since when the grid was asked.", known.now_s - known.sample.at_s)
        yield _gauge("members", "Members of the cluster.", len(known.sample.status.cluster_members))
        yield _gauge("partitions", "Of the cluster.", known.sample.status.partitions)
        yield from _of_deployments(known.sample, ring_events)


def _of_deployments(sample: Sample, ring_events: int | None) -> Iterable[Metric]:
    info = GaugeMetricFamily("grid_inference_deployment_info", "1 for each deployment.", labels=INFO_LABELS)
    gauges = [GaugeMetricFamily(name, said, labels=("deployment",)) for name, said in OF_DEPLOYMENTS.items()]
    for one in sample.status.deployments:
        info.add_metric((one.name, one.model, str(one.version), one.state), 1.0)
        filled = fill(sample.proofs.get(one.name, []), ring_events)
        values = (one.lag, sample.lag_s.get(one.name), filled, one.proven_age_s)
        for gauge, value in zip(gauges, values, strict=True):
            if value is not None:
                gauge.add_metric((one.name,), value)
    return (info, *gauges)


def _gauge(name: str, said: str, value: float) -> Metric:
    return GaugeMetricFamily(f"grid_inference_{name}", said, float(value))

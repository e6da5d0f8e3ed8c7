"""What health says of what is known, and how lag is measured: no grid is needed for it."""

from __future__ import annotations

import dataclasses
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from grid_inference import metrics
from grid_inference.config import GridConfig
from grid_inference.errors import ConfigError
from grid_inference.grid.member.jvm_heap import Heap, heap_of
from grid_inference.metrics import Meter, late_writes
from grid_inference.node.health.families import families
from grid_inference.node.health.judge import SILENT_S_MAX, STALE_S, Known, not_alive, not_ready
from grid_inference.node.health.lag import LagClock, fill
from grid_inference.node.health.look import Look, Sample
from grid_inference.node.health.server import Health
from grid_inference.node.workers import Workers
from grid_inference.observe.proof import PartitionProof
from grid_inference.observe.status import DeploymentStatus, Status

ROOT = Path(__file__).resolve().parents[3]
NOW_S = 1000.0
MEMBER = "127.0.0.1:5701"


def deployment(name: str = "fraud", state: str = "running", failures: tuple[str, ...] = ()) -> DeploymentStatus:
    return DeploymentStatus(name, name, 3, state, "payments", "journal", "", failures=list(failures), lag=7)


def sample(
    *deployments: DeploymentStatus,
    own: dict[str, int] | None = None,
    member: str = MEMBER,
    loaded: tuple[str, ...] = ("fraud",),
) -> Sample:
    workers = [{"id": "w1", "deployments": list(loaded)}, {"id": "w9", "deployments": ["fraud"]}]
    status = Status({"m1": member}, 31, workers, list(deployments))
    return Sample(NOW_S, status, {}, {}, {"fraud": 1.5}, {"w1": 11} if own is None else own)


HEALTHY = Known(
    now_s=NOW_S + 1,
    member=MEMBER,
    member_runs=True,
    workers_wanted=2,
    pids=[11, 12],
    heard_s=NOW_S,
    problem="",
    sample=sample(deployment()),
)


def test_all_is_well() -> None:
    assert not_alive(HEALTHY) == not_ready(HEALTHY) == []


@pytest.mark.parametrize(
    ("change", "reason", "alive"),
    [
        ({"member_runs": False}, "the member has ended", False),
        ({"pids": []}, "no worker runs", False),
        ({"heard_s": NOW_S - SILENT_S_MAX}, "no worker has said anything", False),
        ({"sample": sample(own={})}, "no worker of ours has signed on", True),
        ({"sample": sample(own={"w1": 10})}, "no worker of ours has signed on", True),
        ({"sample": sample(deployment(), loaded=())}, "deployment fraud: its model is not loaded yet", True),
        ({"sample": None, "problem": "the grid was not asked yet"}, "was not asked yet", True),
        ({"problem": "the grid does not answer: gone"}, "does not answer: gone", True),
        ({"now_s": NOW_S + STALE_S + 1}, "has not answered for 16 s", True),
        ({"sample": sample(member="127.0.0.1:1")}, "not in its cluster", True),
        ({"sample": sample(deployment(failures=("w1: too old",)))}, "deployment fraud: w1: too old", True),
    ],
    ids=str,
)
def test_what_is_wrong_is_said(change, reason, alive) -> None:
    known = dataclasses.replace(HEALTHY, **change)
    assert any(reason in said for said in not_ready(known))
    assert (not_alive(known) == []) is alive


@pytest.mark.parametrize(
    "change",
    [
        {"member": None, "member_runs": False},
        {"workers_wanted": 0, "pids": [], "sample": sample(own={})},
        {"sample": sample(deployment(failures=("w9: elsewhere",)), deployment(state="paused", failures=("w1: old",)))},
        {"pids": [11]},
    ],
    ids=str,
)
def test_what_is_not_ours_or_not_wanted_is_no_reason(change) -> None:
    assert not_ready(dataclasses.replace(HEALTHY, **change)) == []


def test_with_all_workers_down_nothing_is_called_healthy() -> None:
    """As MLServer does (its issue 707): the parent answers although its workers are gone."""
    for down in ({"pids": []}, {"pids": [], "sample": None}, {"pids": [], "problem": "unknown"}):
        known = dataclasses.replace(HEALTHY, **down)
        assert not_alive(known)
        assert not_ready(known)


def test_the_lag_in_seconds_is_that_of_the_oldest_change() -> None:
    clock, array = LagClock(), lambda *numbers: np.array(numbers, np.int64)
    assert clock.look(0.0, array(5, 5), array(5, 5)) == 0.0
    assert clock.look(2.0, array(5, 5), array(9, 5)) == 0.0  # seen just now
    assert clock.look(4.0, array(5, 5), array(9, 8)) == 2.0
    assert clock.look(6.0, array(7, 5), array(12, 8)) == 4.0
    assert clock.look(8.0, array(9, 5), array(12, 8)) == 4.0  # the first one has caught up with what came at 2
    assert clock.look(9.0, array(9, 8), array(12, 8)) == 3.0
    assert clock.look(10.0, array(12, 8), array(12, 8)) == 0.0
    assert clock.look(20.0, array(12, 8), array(13, 8)) == 0.0
    assert clock.look(22.0, array(2, 8), array(1, 8)) == 0.0  # another journal


def proof(partition: int, lag: int | None, events: int | None, sequence: int | None = 10) -> PartitionProof:
    return PartitionProof(partition, MEMBER, "w1", 1, sequence, lag, events, 0, 0, 3)


def test_a_journal_is_as_full_as_its_fullest_partition() -> None:
    assert fill([proof(0, 5, 20), proof(1, 10, 40)], 50) == 0.2
    assert fill([proof(0, 5, 20), proof(1, 10, 40)], None) == 0.25
    assert fill([proof(0, 0, 0)], None) == 0.0
    assert fill([proof(0, None, None)], 50) is None
    assert LagClock().age_s(0.0, [proof(0, None, None)]) is None
    assert LagClock().age_s(0.0, [proof(0, 4, 9, sequence=None)]) is None


def test_a_deployment_carries_all_its_counters_over() -> None:
    meter, counts = Meter("carried"), dict.fromkeys(metrics._totals, 0) | {name: {} for name in metrics._by_cause}
    counts |= {"owned": 31, "scanning": 2, "version": 4, "drift_psi": 0.5}
    meter.carry(counts)
    for index, name in enumerate(metrics._totals, 1):
        counts[name] = index
    for index, name in enumerate(metrics._by_cause, 1):
        counts[name] = {"a cause": index, "another": 1}
    for _ in range(2):  # the second time brings nothing new
        meter.carry(counts)
    for index, counter in enumerate(metrics._totals.values(), 1):
        assert value(counter, "carried") == index
    for index, counter in enumerate(metrics._by_cause.values(), 1):
        assert (value(counter, "carried", "a cause"), value(counter, "carried", "another")) == (index, 1)
    gauges = (metrics._owned, metrics._scanning, metrics._version, metrics._drift)
    assert [value(gauge, "carried") for gauge in gauges] == [31, 2, 4, 0.5]
    meter.close()
    assert [value(gauge, "carried") for gauge in gauges] == [0, 0, 0, 0]
    before = metrics._late_writes._value.get()
    assert late_writes(3, late_writes(2, 0)) == 3
    assert metrics._late_writes._value.get() - before == 3


def test_stages_and_rows_are_observed() -> None:
    meter, nothing = Meter("observed"), dict.fromkeys(metrics._totals, 0) | {name: {} for name in metrics._by_cause}
    nothing |= {"owned": 0, "scanning": 0, "version": 0, "drift_psi": 0}
    beside = Histogram("beside", "What the library itself counts.", buckets=metrics.SECONDS, registry=None)
    seconds = [0.0, 0.0001, 0.00011, 0.25, 0.25, 10.0, 11.0]
    for value in seconds:
        beside.observe(value)
        for stage in metrics.STAGES:
            meter.observe(stage, value)
    meter.observe("rows", 100)
    for _ in range(2):  # the second time brings nothing new
        meter.carry(nothing)
    for stage in metrics.STAGES:
        told = metrics._stage_seconds.labels("observed", stage)
        assert [bucket.get() for bucket in told._buckets] == [bucket.get() for bucket in beside._buckets]
        assert told._sum.get() == beside._sum.get() == sum(seconds)
    assert metrics._batch_rows.labels("observed")._sum.get() == 100


def value(metric: Counter | Gauge, *labels: str) -> float:
    return metric.labels(*labels)._value.get()


def test_importing_us_leaves_an_application_s_own_registry_alone() -> None:
    from prometheus_client import REGISTRY  # noqa: PLC0415

    assert not [name for name in REGISTRY._names_to_collectors if name.startswith("grid_inference")]


def test_what_is_known_of_the_grid_as_metrics() -> None:
    found = {one.name: one for one in families(HEALTHY, 2, Heap(5, 9), 100)}
    plain = {name: one.samples[0].value for name, one in found.items() if len(one.samples) == 1}
    assert plain["grid_inference_ready"] == 1.0
    assert plain["grid_inference_workers_running"] == 2.0
    assert plain["grid_inference_worker_restarts"] == 2.0
    assert plain["grid_inference_member_heap_used_bytes"] == 5.0
    assert plain["grid_inference_lag_records"] == 7.0
    assert plain["grid_inference_lag_seconds"] == 1.5
    assert not found["grid_inference_proven_age_seconds"].samples
    assert "grid_inference_member_heap_max_bytes" not in {
        one.name for one in families(dataclasses.replace(HEALTHY, sample=None), 2, None, 100)
    }


def test_every_metric_is_documented_and_every_documented_one_is_there() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `(grid_inference_\w+)`", text, re.MULTILINE))
    registry = CollectorRegistry()
    Look(GridConfig(), Workers(MEMBER, "grid-inference", 1), registry)
    there = [*metrics.REGISTRY.collect(), *registry.collect(), *families(HEALTHY, 2, Heap(5, 9), 100)]
    assert {one.name + ("_total" if one.type == "counter" else "") for one in there} == documented


def perf_file(entries: dict[str, int], order: int = 1) -> bytes:
    body = b""
    for name, number in entries.items():
        text = name.encode() + b"\0"
        text += b"\0" * (-len(text) % 8 + 4)
        body += struct.pack("<iii4Bi", 24 + len(text) - 4 + 8 - 4 + 4, 20, 0, ord("J"), 0, 0, 0, 16 + len(text) + 4)
        body += text + struct.pack("<q", number)
    return b"\xca\xfe\xc0\xc0" + bytes([order, 2, 0, 1]) + bytes(16) + struct.pack("<ii", 32, len(entries)) + body


def test_the_heap_is_read_from_hotspots_file(tmp_path) -> None:
    folder = tmp_path / "hsperfdata_somebody"
    folder.mkdir()
    entries = {
        "sun.gc.generation.0.space.0.used": 3,
        "sun.gc.generation.1.space.0.used": 4,
        "sun.gc.generation.0.maxCapacity": 90,
        "sun.gc.generation.1.maxCapacity": 100,
        "sun.gc.generation.1.space.0.capacity": 999,
    }
    content = perf_file(entries)
    (folder / "7").write_bytes(content)
    assert heap_of(7, tmp_path) == Heap(7, 100)
    assert heap_of(8, tmp_path) is None
    for damaged in (b"", content[:40], content[:-9], b"x" * 200, perf_file(entries, order=0), perf_file({})):
        (folder / "7").write_bytes(damaged)
        assert heap_of(7, tmp_path) is None


def test_health_is_not_told_to_others_by_accident() -> None:
    workers = Workers(MEMBER, "grid-inference", 1)
    with pytest.raises(ConfigError, match=r"0\.0\.0\.0, which other machines reach") as caught:
        Health(workers, "0.0.0.0")
    assert "--public" in caught.value.remedy
    assert CollectorRegistry  # nothing was opened
    with Health(workers) as health, pytest.raises(ConfigError, match="can't be told on") as caught:
        Health(workers, port=int(health.url.rpartition(":")[2]))
    assert "--health-port" in caught.value.remedy

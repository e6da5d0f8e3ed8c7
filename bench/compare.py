"""The measures: ours and the peer's in one run, turn by turn, medians of the repeats."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.engine import ENGINE_BATCH, Engine
from bench.helpers import Helper
from bench.ours import SMALL_JOURNAL, Backlog, BenchError, Ours
from bench.peers import RECORD_TYPE, BarePredict, ListenerScorer, StockMaps
from grid_inference.node.workers import cores

__all__ = [
    "Results",
    "Sizes",
    "backlogs",
    "best_predict",
    "described",
    "listener_per_s",
    "maps",
    "memory",
    "predict_per_s",
    "reconcile",
]

PREDICT_BATCHES: Final = (4_096, 16_384, 65_536)
MAP_BATCHES: Final = (500, 2_000, 8_000)


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured, and how often."""

    lr: int = 1_000_000
    hgb: int = 300_000
    bare_hgb: int = 131_072
    listener: int = 4_000
    reconcile: int = 300_000
    put_ours: int = 200_000
    put_stock: int = 16_000
    mixed: int = 200_000
    listened: int = 300_000
    waiting: tuple[int, int] = (200_000, 2_000_000)
    latency_s: float = 4.0
    repeats: int = 3
    singles: int = 2_000
    pairs: int = 9
    """Turns with and without measuring: a few hundredths are looked for, which takes more of them."""

    @property
    def journal(self) -> int:
        """Room for the largest backlog, however unevenly its keys are spread over the partitions."""
        return int(max(self.lr, self.hgb, self.reconcile, self.waiting[1]) * 1.25) + 100_000

    @property
    def small_journal(self) -> int:
        return self.reconcile // 10


@dataclass(slots=True)
class Results:
    """What was found so far; keys as in latest.json."""

    ratios: dict[str, float] = field(default_factory=dict[str, float])
    latency_ms: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    python_us_per_record: float | None = None
    worker_rss_growth_mb: float | None = None
    sides: dict[str, tuple[float, float]] = field(default_factory=dict[str, tuple[float, float]])
    """Ours and the peer's, in absolute figures, per ratio."""
    details: dict[str, Any] = field(default_factory=dict[str, Any])

    def ratio(self, name: str, ours: Iterable[float], peer: Iterable[float]) -> None:
        """Keep the medians of both sides and what they make."""
        left, right = statistics.median(ours), statistics.median(peer)
        self.sides[name] = (left, right)
        self.ratios[name] = left / right


def backlogs(ours: Ours, models: dict[str, Path], sizes: Sizes, results: Results) -> None:
    """Catching up, with both models."""
    logistic_regression(ours, models["lr"], sizes, results)
    gradient_boosting(ours, models["hgb"], sizes, results)


def gradient_boosting(ours: Ours, model: Path, sizes: Sizes, results: Results) -> None:
    """A backlog against the model's bare predict on all cores."""
    runs, bare = list[Backlog](), list[float]()
    with ExitStack() as stack:
        helpers = [stack.enter_context(Helper(BarePredict, model, sizes.bare_hgb)) for _ in range(cores())]
        best = best_predict(helpers, sizes.bare_hgb)
        for _ in range(sizes.repeats):
            bare.append(predict_per_s(helpers, sizes.bare_hgb, *best))
            runs.append(ours.backlog(model, sizes.hgb))
    results.ratio("backlog_hgb_of_bare", (one.per_s for one in runs), bare)
    results.details["backlog_hgb"] = described(runs)
    results.details["bare_hgb"] = dict(zip(("processes", "threads", "batch", "dtype"), best, strict=True))


def logistic_regression(ours: Ours, model: Path, sizes: Sizes, results: Results) -> None:
    """A backlog against listeners that predict row by row: the peer is one; how one a core do is told beside it."""
    runs, listener = list[Backlog](), {count: list[float]() for count in sorted({1, cores()})}
    with ExitStack() as stack:
        address, cluster = ours.grid.address, ours.grid.cluster_name
        helpers = [stack.enter_context(Helper(ListenerScorer, address, cluster, model)) for _ in range(cores())]
        listener_per_s(ours, helpers, sizes.listener // 4, 0)
        first_key = sizes.listener
        # Java compiles what runs often: the member is warm for the peer by now, and shall be for ours.
        ours.backlog(model, sizes.lr)
        for _ in range(sizes.repeats):
            for count, rates in listener.items():
                rates.append(listener_per_s(ours, helpers[:count], sizes.listener, first_key))
                first_key += sizes.listener
            runs.append(ours.backlog(model, sizes.lr))
    ours.client.get_map(RECORD_TYPE).blocking().destroy()
    medians = {count: statistics.median(rates) for count, rates in listener.items()}
    results.ratio("backlog_lr_of_listener", (one.per_s for one in runs), listener[1])
    results.details["listener_per_s_by_processes"] = {str(count): round(rate) for count, rate in medians.items()}
    alone_us = model_us(model)
    results.python_us_per_record = round(python_us(runs, alone_us), 3)
    results.details["backlog_lr"] = {**described(runs), "model_us_per_record": round(alone_us, 3)}


def best_predict(
    helpers: list[Helper], rows: int, dtypes: Sequence[str] = ("float32", "float64")
) -> tuple[int, int, int, str]:
    """Processes, threads in each, batch and type of the values: the fastest of what can be chosen."""
    ways = [(1, cores()), (cores(), 1)] if cores() > 1 else [(1, 1)]
    choices = [(processes, threads, batch, dtypes[0]) for processes, threads in ways for batch in PREDICT_BATCHES]
    found = max(choices, key=lambda choice: predict_per_s(helpers, rows, *choice))
    return max(((*found[:3], dtype) for dtype in dtypes), key=lambda choice: predict_per_s(helpers, rows, *choice))


def predict_per_s(helpers: list[Helper], rows: int, processes: int, threads: int, batch: int, dtype: str) -> float:
    """Records per second of so many processes side by side, each of which scores all rows."""
    some = helpers[:processes]
    for helper in some:
        helper.begin("run", batch, threads, dtype)
    return sum(rows / helper.result()[0] for helper in some)


def listener_per_s(ours: Ours, helpers: list[Helper], count: int, first_key: int) -> float:
    """Records per second of listeners that share the records by their keys."""
    share = count // len(helpers)
    for index, helper in enumerate(helpers):
        helper.call("listen", first_key + index * share, share)
    for helper in helpers:
        helper.begin("wait")
    ours.put(RECORD_TYPE, first_key, share * len(helpers))
    times = [helper.result() for helper in helpers]
    return share * len(helpers) / (max(end for _, end in times) - min(start for start, _ in times))


def model_us(model: Path) -> float:
    """CPU per record of the model alone, called as the worker calls it, with nothing else in the process."""
    with Helper(Engine, model) as helper:
        return float(helper.call("us_per_record"))


def python_us(runs: list[Backlog], model: float) -> float:
    """CPU of the workers outside the model, per record."""
    return statistics.median(run.cpu_s["workers"] / run.records * 1e6 - model for run in runs)


def described(runs: list[Backlog]) -> dict[str, Any]:
    """The medians of a backlog's figures."""

    def median(values: Iterable[float]) -> float:
        return round(statistics.median(values), 3)

    return {
        "records": runs[0].records,
        "per_s": [round(run.per_s) for run in runs],
        "worker_cpu_us_per_record": median(run.cpu_s["workers"] / run.records * 1e6 for run in runs),
        "member_cpu_us_per_record": median(run.cpu_s["member"] / run.records * 1e6 for run in runs),
        "loopback_bytes_per_record": median(run.loopback_bytes / run.records for run in runs),
        "batch_mean": median(run.records / max(run.batches, 1) for run in runs),
        "worker_peak_rss_mb": median(run.peak_rss_mb["workers"] for run in runs),
        "member_peak_rss_mb": median(run.peak_rss_mb["member"] for run in runs),
    }


def reconcile(ours: Ours, models: dict[str, Path], sizes: Sizes, results: Results) -> None:
    """A backlog ten times the journal's capacity, against the same backlog in a journal with room for it."""
    scanned, read = list[Backlog](), list[Backlog]()
    for _ in range(sizes.repeats):
        read.append(ours.backlog(models["lr"], sizes.reconcile))
        scanned.append(ours.backlog(models["lr"], sizes.reconcile, SMALL_JOURNAL))
    if any(run.gaps for run in read) or not all(run.gaps for run in scanned):
        raise BenchError("the small journal was not overrun, or the large one was")
    results.ratio("reconcile_of_journal", (one.per_s for one in scanned), (one.per_s for one in read))
    results.details["reconcile"] = {**described(scanned), "gaps": scanned[0].gaps}
    results.details["journal"] = described(read)


def maps(ours: Ours, _models: dict[str, Path], sizes: Sizes, results: Results) -> None:
    """put_batch and get_batch against put_all and get_all of the ordinary client at its best batch size."""
    put, put_all, get, get_all = list[float](), list[float](), list[float](), list[float]()
    with Helper(StockMaps, ours.grid.address, ours.grid.cluster_name, 2_000) as stock:
        tried = {batch: stock.call("put_all", "bench.tried", 0, sizes.put_stock // 2, batch) for batch in MAP_BATCHES}
        best_put = min(tried, key=lambda batch: tried[batch])
        read = {batch: stock.call("get_all", "bench.tried", 0, sizes.put_stock // 2, batch) for batch in MAP_BATCHES}
        best_get = min(read, key=lambda batch: read[batch])
        # The member's compiler has seen the peer's requests by now, and shall have seen ours.
        ours.put("bench.warm", 0, sizes.put_ours)
        ours.client.get_map("bench.warm").blocking().destroy()
        for repeat in range(sizes.repeats):
            name, source = f"bench.maps-{repeat}", ours.grid.features(f"bench.maps-{repeat}")
            put_all.append(sizes.put_stock / stock.call("put_all", "bench.stock", 0, sizes.put_stock, best_put))
            put.append(sizes.put_ours / ours.put(name, 0, sizes.put_ours))
            get_all.append(sizes.put_stock / stock.call("get_all", "bench.stock", 0, sizes.put_stock, best_get))
            started = time.perf_counter()
            for start in range(0, sizes.put_ours, ENGINE_BATCH):
                source.get_batch(np.arange(start, min(start + ENGINE_BATCH, sizes.put_ours)))
            get.append(sizes.put_ours / (time.perf_counter() - started))
            ours.client.get_map(name).blocking().destroy()
            ours.client.get_map("bench.stock").blocking().destroy()
    ours.client.get_map("bench.tried").blocking().destroy()
    results.ratio("put_batch_of_put_all", put, put_all)
    results.ratio("get_batch_of_get_all", get, get_all)
    results.details["stock_batch"] = {"put_all": best_put, "get_all": best_get}


def memory(ours: Ours, models: dict[str, Path], sizes: Sizes, results: Results) -> None:
    """How much more memory the same workers take for a backlog ten times as long."""
    few, many = (ours.backlog(models["lr"], records) for records in sizes.waiting)
    results.worker_rss_growth_mb = round(many.peak_rss_mb["workers"] - few.peak_rss_mb["workers"], 1)
    results.details["worker_peak_rss_mb"] = {
        str(run.records): round(run.peak_rss_mb["workers"], 1) for run in (few, many)
    }
    results.details["waiting_per_s"] = {str(run.records): round(run.per_s) for run in (few, many)}

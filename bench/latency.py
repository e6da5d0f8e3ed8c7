"""Latency: from when a record was to be put until another process sees its prediction's entry event."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from bench.compare import Results, Sizes
from bench.helpers import Helper
from bench.load import MARKED, TICK_S, Generator
from bench.ours import BenchError, Ours, features_of
from bench.peers import GLANCE_TYPE, BareListener

__all__ = ["latency"]

MARKED_PER_S: Final = 500
"""Records per second whose latency is looked at, at every rate."""
SETTLE_S: Final = 10.0
"""How long events may come after the last put."""
RATES: Final = (5_000, 50_000)
FLOOD_BATCH: Final = 5_000


class Run:
    """A generator and an observer, each in its process, and key ranges that no other measure has used."""

    def __init__(self, ours: Ours, generator: Helper, observer: Helper) -> None:
        self._ours, self._generator, self._observer = ours, generator, observer
        self._first_key = 10_000_000

    def at(self, rate: float, seconds: float, features: str, watched: str) -> dict[str, Any]:
        """Latencies in ms at a rate, of entries in the watched map, and what else happened."""
        self._first_key += 50_000_000
        self._observer.call("listen", watched, MARKED + self._first_key)
        marked_per_s = min(rate, MARKED_PER_S)
        load = self._generator.call("open_loop", features, rate, seconds, marked_per_s, self._first_key)
        events = self._observer.call("wait", len(load["due"]), SETTLE_S)
        due = load["due"]
        seen = dict(reversed(events))  # the first event of a key counts
        ms = np.array([(seen[key] - due[key]) / 1e6 for key in due if key in seen])
        if not ms.size:
            raise BenchError(f"none of {len(due)} events of {watched} was seen")
        return {
            "p50": round(float(np.percentile(ms, 50)), 3),
            "p99": round(float(np.percentile(ms, 99)), 3),
            "max": round(float(ms.max()), 3),
            "measured": int(ms.size),
            "unseen": len(due) - int(ms.size),
            "failed_puts": load["failed"],
            "generator_late_ms_max": round(load["late_ms_max"], 2),
        }

    def live_max(self, name: str, features: str, count: int) -> float:
        """Records per second that are put and scored at the same time, when nothing holds the generator back.

        By puts of as many records as the open loop's have at this rate, which is found by puts of many: a rate that
        only large puts reach is an overload for small ones, whatever is measured of it.
        """
        rate = self._flooded(name, features, count, FLOOD_BATCH)
        return self._flooded(name, features, count, max(1, int(rate * TICK_S)))

    def _flooded(self, name: str, features: str, count: int, batch: int) -> float:
        before = self._ours.grid.predictions(name).size()
        self._first_key += 50_000_000
        started_s = self._generator.call("flood", features, count, batch, self._first_key)
        self._ours.wait_for(name, before + count)
        return float(count / (time.monotonic() - started_s))


def latency(ours: Ours, models: dict[str, Path], sizes: Sizes, results: Results) -> None:
    """500/s in turns with a bare entry listener, then the higher rates, then four fifths of the maximum."""
    address, cluster = ours.grid.address, ours.grid.cluster_name
    with Helper(Generator, address, cluster) as generator, Helper(BareListener, address, cluster) as observer:
        name = ours.deploy(models["lr"])
        features, watched = features_of(name), f"{name}.predictions"
        run = Run(ours, generator, observer)
        mine, bare = list[dict[str, Any]](), list[dict[str, Any]]()
        for repeat in range(sizes.repeats + 1):
            seconds = sizes.latency_s if repeat else 1.0  # the first turn warms both sides up
            bare.append(run.at(500, seconds, GLANCE_TYPE, GLANCE_TYPE))
            mine.append(run.at(500, seconds, features, watched))
        for quantile in ("p50", "p99"):
            both = ([one[quantile] for one in side[1:]] for side in (mine, bare))
            results.ratio(f"latency_{quantile}_of_listener", *both)
        results.latency_ms["500"] = {
            quantile: results.sides[f"latency_{quantile}_of_listener"][0] for quantile in ("p50", "p99")
        }
        results.details["latency_500"], results.details["latency_listener_500"] = mine[1:], bare[1:]
        maximum = run.live_max(name, features, min(sizes.lr, 500_000))
        results.details["live_per_s_max"] = round(maximum)
        for label, rate in [*((str(rate), rate) for rate in RATES), ("80%", 0.8 * maximum)]:
            found = run.at(rate, sizes.latency_s, features, watched)
            results.latency_ms[label] = {"p50": found["p50"], "p99": found["p99"]}
            if label.isdigit():
                results.ratio(f"latency_p50_{label}_of_500", [found["p50"]], [results.latency_ms["500"]["p50"]])
            results.details[f"latency_{label}"] = {"rate": round(rate), **found}
        ours.destroy(name)
    ours.client.get_map(GLANCE_TYPE).blocking().destroy()

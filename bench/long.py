"""`python -m bench.long`: many minutes at one rate, and what each long latency came of.

Latency is what `latency.py` measures: from when a record was to be put until another process sees its prediction's
event. Beside it lie the member's log of safepoints (Java's garbage collections and other stops of all its threads) and
the stops of the machine, seen by a process that does nothing but sleep for 2 ms. A latency above 100 ms counts as
explained where at most 100 ms of it are left without them; else it is said whether it was lost before the score or
behind it, by the time that stands in the prediction, and whether the member's collector was at work beside it, which
takes a core: how much of the run it was is told with it, as that may be chance.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import tempfile
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from rich.console import Console

from bench.data import train
from bench.helpers import Helper
from bench.latency import MARKED_PER_S, SETTLE_S
from bench.load import MARKED, Generator
from bench.measure import machine
from bench.ours import BenchError, Ours, features_of
from bench.peers import BareListener
from grid_inference.node.workers import default_workers

__all__ = ["main"]

LONG_MS: Final = 100.0
WARM_S: Final = 10.0
FIRST_KEY: Final = 10_000_000
NAP_S: Final = 0.002
STOPPED_S: Final = 0.02
"""A nap that takes so much longer was a stop of the machine."""
JOURNAL: Final = 3_100_000
SMALL_JOURNAL: Final = 31_000
COLLECTION: Final = re.compile(r"^\[([^\]]+)\].* GC\(\d+\) (\w+ Collection) .* ([\d.]+)s$")
SAFEPOINT: Final = re.compile(r'^\[([^\]]+)\].* Safepoint "(\w+)".* Total: *(\d+) ns')


@dataclass(frozen=True, slots=True)
class Span:
    """Nanoseconds of the machine's monotonic clock."""

    begin: int
    end: int
    what: str = ""

    def ms_within(self, other: Span) -> float:
        """Milliseconds of it that lie within another."""
        return max(0, min(self.end, other.end) - max(self.begin, other.begin)) / 1e6


class Stops:
    """Notes when the machine stands still, in a process of its own."""

    def __init__(self) -> None:
        self._found: list[tuple[int, int]] = []
        threading.Thread(target=self._nap, daemon=True).start()

    def _nap(self) -> None:
        while True:
            begun = time.monotonic_ns()
            time.sleep(NAP_S)
            if (ended := time.monotonic_ns()) - begun > (NAP_S + STOPPED_S) * 1e9:
                self._found.append((begun, ended))

    def found(self) -> list[tuple[int, int]]:
        """From when to when, all so far."""
        return self._found


@dataclass(slots=True)
class Episode:
    """Long latencies that overlap."""

    span: Span
    records: int
    worst_ms: float
    causes: dict[str, float]
    """Milliseconds of the worst one by what they went to."""

    @classmethod
    def of(cls, span: Span, scored: int, safepoints: list[Span], stops: list[Span], collections: list[Span]) -> Self:
        """Of one latency; `scored` is when its prediction was made."""
        causes = {f"member: {one.what}": one.ms_within(span) for one in safepoints if one.ms_within(span)}
        causes["machine stood still"] = sum(one.ms_within(span) for one in stops)
        ms = (span.end - span.begin) / 1e6
        if (left := ms - sum(causes.values())) > LONG_MS:
            beside = any(one.ms_within(span) for one in collections)
            why = "beside the member's collection" if beside else "not explained"
            behind = (span.end - scored) / 1e6
            causes[f"{why}, {'behind' if behind > ms / 2 else 'before'} the score"] = left
        return cls(span, 1, ms, {what: round(ms, 1) for what, ms in causes.items() if ms >= 1})

    def joined(self, other: Self) -> None:
        """Take in one that overlaps it."""
        if other.worst_ms > self.worst_ms:
            self.worst_ms, self.causes = other.worst_ms, other.causes
        self.span = Span(self.span.begin, max(self.span.end, other.span.end))
        self.records += 1


def main() -> None:
    """Measure at each rate, and print a line of JSON for each."""
    parser = argparse.ArgumentParser(prog="python -m bench.long", description=__doc__)
    parser.add_argument("--rate", type=float, action="append", help="records a second (default: 500 and 20,000)")
    parser.add_argument("--seconds", type=float, default=600.0, help="how long each is held (default: 600)")
    parser.add_argument("--workers", type=int, default=default_workers())
    parser.add_argument("--output", type=Path, help="where all of it goes as JSON as well")
    options = parser.parse_args()
    facts, found = machine(), list[dict[str, Any]]()
    with tempfile.TemporaryDirectory(prefix="grid-inference-bench-") as folder:
        models, log = train(Path(folder)), Path(folder) / "safepoints.log"
        os.environ["JAVA_TOOL_OPTIONS"] = f"-Xlog:safepoint,gc:file={log}:utctime"
        for rate in options.rate or (500.0, 20_000.0):
            status = Console(stderr=True).status(f"{rate:,.0f}/s for {options.seconds:.0f} s")
            with status, Ours.started(Path(folder), options.workers, JOURNAL, SMALL_JOURNAL) as ours:
                found.append(measured(ours, models["lr"], rate, options.seconds, log))
            print(json.dumps(found[-1]), flush=True)
    if options.output:
        options.output.write_text(json.dumps({"runs": found, "machine": facts}, indent=1) + "\n", encoding="utf-8")


def measured(ours: Ours, model: Path, rate: float, seconds: float, log: Path) -> dict[str, Any]:
    """Latencies in ms, and the long ones by episode."""
    where = ours.grid.address, ours.grid.cluster_name
    with Helper(Generator, *where) as generator, Helper(BareListener, *where) as observer, Helper(Stops) as stops:
        name = ours.deploy(model)
        features, watched = features_of(name), f"{name}.predictions"
        generator.call("open_loop", features, rate, WARM_S, min(rate, MARKED_PER_S), 1)
        observer.call("listen", watched, MARKED + FIRST_KEY)
        stops.call("found")  # it is at work now
        generator.begin("open_loop", features, rate, seconds, min(rate, MARKED_PER_S), FIRST_KEY)
        load = generator.result(seconds * 1.5 + 60)
        seen = dict(reversed(observer.call("wait", len(load["due"]), SETTLE_S)))  # the first event of a key counts
        spans = {key: Span(due, seen[key]) for key, due in load["due"].items() if key in seen}
        if not spans:
            raise BenchError(f"none of {len(load['due'])} events of {watched} was seen")
        ms = {key: (span.end - span.begin) / 1e6 for key, span in spans.items()}
        long = sorted((key for key in ms if ms[key] > LONG_MS), key=lambda key: spans[key].begin)
        offset_ns = time.time_ns() - time.monotonic_ns()
        made = ours.grid.predictions(name)
        scored = {key: one.scored_at_us * 1000 - offset_ns for key in long if (one := made.get(key))}
        halts = [Span(*one) for one in stops.call("found")]
    safepoints, collections = spans_of(log, SAFEPOINT, 1, offset_ns), spans_of(log, COLLECTION, 1e9, offset_ns)
    began = min(span.begin for span in spans.values())
    whole = Span(began, max(span.end for span in spans.values()))
    told = [Episode.of(spans[key], scored[key], safepoints, halts, collections) for key in long]
    values = np.array(list(ms.values()))
    quantiles = {f"p{q:g}": round(float(np.percentile(values, q)), 2) for q in (50, 99, 99.9)}
    return {
        "rate": rate, "seconds": seconds, **quantiles, "max": round(float(values.max()), 1),
        "measured": len(ms), "unseen": len(load["due"]) - len(ms), "failed_puts": load["failed"],
        "generator_late_ms_max": round(load["late_ms_max"], 1),
        "over_100_ms": len(long),
        "not_explained": sum(any("not explained" in what for what in one.causes) for one in told),
        "beside_a_collection": sum(any("beside" in what for what in one.causes) for one in told),
        "collecting_share": round(share_of(whole, collections), 3),
        "safepoints_ms_max": round(max((one.end - one.begin for one in safepoints), default=0) / 1e6, 1),
        "machine_stood_still_ms": round(sum(one.end - one.begin for one in halts) / 1e6, 1),
        "episodes": [
            {"at_s": round((one.span.begin - began) / 1e9, 1), "records": one.records, "ms": one.causes}
            for one in joined(told)
        ],
    }  # fmt: skip


def joined(told: list[Episode]) -> list[Episode]:
    """Those that overlap as one; they come by their beginnings."""
    episodes = list[Episode]()
    for one in told:
        if episodes and one.span.begin < episodes[-1].span.end:
            episodes[-1].joined(one)
        else:
            episodes.append(one)
    return episodes


def share_of(whole: Span, spans: list[Span]) -> float:
    """How much of a span others cover; these may overlap, as a young collection does with an old one."""
    covered, until = 0, whole.begin
    for one in sorted(spans, key=lambda one: one.begin):
        begin, end = max(one.begin, until), min(one.end, whole.end)
        if end > begin:
            covered, until = covered + end - begin, end
    return covered / (whole.end - whole.begin)


def spans_of(log: Path, pattern: re.Pattern[str], unit_ns: float, offset_ns: int) -> list[Span]:
    """When the member did what a pattern finds in its log, and what: when all its threads stood still, for one.

    A line is written at the end.
    """
    found = list[Span]()
    for line in log.read_text(encoding="utf-8").splitlines():
        if match := pattern.match(line):
            end = int(datetime.fromisoformat(match[1]).timestamp() * 1e9) - offset_ns
            found.append(Span(end - int(float(match[3]) * unit_ns), end, match[2]))
    return found


if __name__ == "__main__":
    main()

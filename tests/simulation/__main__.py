"""`python -m tests.simulation`: schedules by their seeds, on all cores; the last line is JSON."""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from multiprocessing import get_context
from typing import Any, TextIO

from tests.simulation.mutants import MUTANTS
from tests.simulation.plan import Plan, plan_of
from tests.simulation.run import Outcome, run
from tests.simulation.shrink import shrunk

SHOWN_MAX = 3
"""Violations whose schedule is shrunk and shown."""
CHUNK = 5
SAID_EVERY = 500
"""After so many schedules it is said how far it has come."""
HASH_SEED = "0"
"""The order of sets of names is part of a schedule."""


def main() -> int:
    """Run what the arguments ask for; 1 if a promise was broken."""
    asked = _arguments()
    if os.environ.get("PYTHONHASHSEED") != HASH_SEED:
        os.environ |= {"PYTHONHASHSEED": HASH_SEED, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])
    if asked.all_mutants:
        return _all_mutants(asked)
    if asked.mutant:
        MUTANTS[asked.mutant]()
    if asked.replay is not None:
        return _show(plan_of(asked.replay))
    return _simulate(asked)


@dataclass
class _Sum:
    """Of all schedules so far."""

    done: int = 0
    broken: defaultdict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    """By promise the seeds that broke it."""
    totals: Counter[str] = field(default_factory=Counter)
    seen: Counter[str] = field(default_factory=Counter)
    cpu_s: float = 0.0

    def add(self, outcome: Outcome) -> None:
        """One more."""
        self.done += 1
        for one in outcome.violations:
            self.broken[one.promise].append(outcome.plan.seed)
            _say(f"seed {outcome.plan.seed}: {one}", sys.stderr)
        self.totals.update(callbacks=outcome.callbacks, requests=outcome.requests)
        self.totals["virtual_s"] += round(outcome.virtual_s)
        self.totals["digest"] = hash((self.totals["digest"], outcome.digest))
        self.seen += outcome.counts
        self.cpu_s += outcome.cpu_s
        if not self.done % SAID_EVERY:
            _say(f"{self.done} schedules", sys.stderr)

    def report(self, spent_s: float) -> dict[str, Any]:
        """As plain values for JSON."""
        violations = {
            promise: {"schedules": len(seeds), "first": sorted(seeds)[:5]}
            for promise, seeds in sorted(self.broken.items())
        }
        speed = {"per_second": round(self.done / spent_s, 2), "cpu_s": round(self.cpu_s, 1)}
        seen = dict(sorted(self.seen.items()))
        return {"schedules": self.done, "seconds": round(spent_s, 1), **speed, **self.totals, "seen": seen} | {
            "violations": violations
        }


def _simulate(asked: argparse.Namespace) -> int:
    plans = [plan_of(seed) for seed in range(asked.seed, asked.seed + asked.schedules)]
    began_s, so_far = time.monotonic(), _Sum()
    for outcome in _outcomes(plans, asked.jobs):
        so_far.add(outcome)
        if asked.first and so_far.broken:
            break
    spent_s = time.monotonic() - began_s
    for promise, seeds in list(so_far.broken.items())[:SHOWN_MAX]:
        _say(f"{promise}: {len(seeds)} of {so_far.done} schedules, the first by seed {min(seeds)}")
        if not asked.brief:
            _show(shrunk(plan_of(min(seeds)), promise))
    _say(json.dumps({**so_far.report(spent_s), "mutant": asked.mutant}))
    return 1 if so_far.broken else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--schedules", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1, help="of the first schedule; the others count on from it")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--replay", type=int, metavar="SEED", help="one schedule, with all that it logs")
    parser.add_argument("--mutant", choices=sorted(MUTANTS), help="take a fix out")
    parser.add_argument("--all-mutants", action="store_true", help="each in turn, until it is found")
    parser.add_argument("--first", action="store_true", help="stop at the first broken promise")
    parser.add_argument("--brief", action="store_true", help="name broken promises, and show no schedule")
    return parser.parse_args()


def _all_mutants(asked: argparse.Namespace) -> int:
    """Each in a process of its own; 1 if one is not found."""
    wanted = [(name, range(asked.seed, asked.seed + asked.schedules)) for name in MUTANTS]
    found = dict[str, Any]()
    with get_context("fork").Pool(asked.jobs, _begin, maxtasksperchild=1) as pool:
        for name, tried, violations in pool.imap(_until_found, wanted, chunksize=1):
            found[name] = {"schedules": tried, "violations": violations}
            _say(f"{name}: {', '.join(violations) or 'NOT FOUND'} in {tried} schedules")
    _say(json.dumps(found))
    return 0 if all(one["violations"] for one in found.values()) else 1


def _until_found(wanted: tuple[str, range]) -> tuple[str, int, list[str]]:
    """Run schedules with a fix taken out until a promise is broken; the mutant, how many, which promises."""
    name, seeds = wanted
    MUTANTS[name]()
    for tried, seed in enumerate(seeds, 1):
        if violations := run(plan_of(seed)).violations:
            return name, tried, [one.promise for one in violations]
    return name, len(seeds), []


def _outcomes(plans: list[Plan], jobs: int) -> Iterator[Outcome]:
    """As they come; a few more chunks are under way than there are processes."""
    chunks = iter([plans[at : at + CHUNK] for at in range(0, len(plans), CHUNK)])
    if jobs == 1:
        _begin()
        for chunk in chunks:
            yield from _run_all(chunk)
        return
    with ProcessPoolExecutor(jobs, get_context("fork"), _begin) as pool:
        under_way = [pool.submit(_run_all, chunk) for chunk in islice(chunks, 2 * jobs)]
        try:
            while under_way:
                yield from under_way.pop(0).result()
                under_way += [pool.submit(_run_all, chunk) for chunk in islice(chunks, 1)]
        finally:
            for waiting in under_way:
                waiting.cancel()


def _begin() -> None:
    """What is loaded stays: looking for garbage among it at each end of a run would take longer than the run."""
    gc.collect()
    gc.freeze()
    gc.disable()


def _run_all(plans: list[Plan]) -> list[Outcome]:
    return [run(plan) for plan in plans]


def _show(plan: Plan) -> int:
    """One schedule with its trace."""
    outcome = run(plan, trace=True)
    _say(f"--- seed {plan.seed}: {replace(plan, events=())}")
    for line in [*(f"    {event}" for event in plan.events), *outcome.trace]:
        _say(line)
    for one in outcome.violations:
        _say(f"!!! {one}")
    return 1 if outcome.violations else 0


def _say(line: str, where: TextIO = sys.stdout) -> None:
    where.write(line + "\n")
    where.flush()


if __name__ == "__main__":
    sys.exit(main())

"""Many runs as one: every fault several times over random seeds, and the sum of what was found.

The faults are dealt like cards, so that none is left to chance; each run is reproduced by its seed and its faults.
"""

from __future__ import annotations

import math
import random
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from tests.chaos.faults import FAULTS
from tests.chaos.report import rounded

EACH = 3
"""So often each fault is fired."""
ACKNOWLEDGED_MIN = 100_000
"""Writes of a run, on average."""
SUMS = (
    "acknowledged",
    "indeterminate",
    "lost",
    "stale",
    "doubles",
    "outdated",
    "invented",
    "orphans",
    "wrong",
    "stuck",
    "owned_wrongly",
    "lagging",
    "incomplete",
    "failing",
    "taken",
    "robbed",
    "topic_duplicates",
    "gaps_declared",
    "gaps_undetected",
    "unexplained_repairs",
    "zombie_late_writes",
    "written_in_doubt",
    "positions_regressed",
    "deposed_owners",
)


def dealt(seed: int, runs: int) -> list[tuple[int, tuple[str, ...]]]:
    """A seed and the faults of each run: every fault `EACH` times, in no run twice."""
    chance = random.Random(seed)
    hands: list[list[str]] = [[] for _ in range(runs)]
    for name in sorted(FAULTS):
        for hand in sorted(hands, key=lambda hand: (len(hand), chance.random()))[: min(EACH, runs)]:
            hand.append(name)
    for hand in hands:
        chance.shuffle(hand)
    return [(chance.randrange(2**31), tuple(hand)) for hand in hands]


def campaign(seed: int, runs: int, run_once: Callable[[int, tuple[str, ...]], dict[str, Any]]) -> dict[str, Any]:
    """Run them one behind the other; `failed` says by seed what was not as promised."""
    return summed(seed, [run_once(own, faults) for own, faults in dealt(seed, runs)])


def summed(seed: int, reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The reports of the runs as one."""
    faults = sum((Counter[str](one["faults"]) for one in reports), Counter[str]())
    times = [
        math.inf if seconds is None else float(seconds)
        for one in reports
        for name, seconds in one["recoveries"]
        if name != "start"
    ]
    told: dict[str, Any] = {
        "campaign": seed,
        "seeds": [one["seed"] for one in reports],
        "faults": dict(sorted(faults.items())),
        **{name: sum(one[name] for one in reports) for name in SUMS},
        "stale_window_s": max(one["stale_window_s"] for one in reports),
        "recovery_s": {"p50": rounded(statistics.median(times)), "worst": rounded(max(times))} if times else {},
        "bounds_broken": [f"seed {one['seed']}: {text}" for one in reports for text in one["bounds_broken"]],
        "trouble": [f"seed {one['seed']}: {text}" for one in reports for text in one["trouble"]],
    }
    told["failed"] = {str(one["seed"]): one["failed"] for one in reports if one["failed"]}
    told["too_few"] = too_few(told, len(reports))
    return told


def too_few(told: dict[str, Any], runs: int) -> list[str]:
    """What was not tried often enough for the campaign to prove anything."""
    rare = [
        f"{name}: fired {told['faults'].get(name, 0)} times" for name in FAULTS if told["faults"].get(name, 0) < EACH
    ]
    if told["acknowledged"] < ACKNOWLEDGED_MIN * runs:
        rare.append(f"{told['acknowledged']} acknowledged writes in {runs} runs")
    return rare + [f"no {name}" for name in ("indeterminate", "zombie_late_writes") if not told[name]]

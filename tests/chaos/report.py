"""The report: one mapping for the last line of the output, and what in it must be nothing."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tests.chaos import promotions
from tests.chaos.checker import Verdict
from tests.chaos.stage import Stage

STALE_S_MAX = 30.0
"""An older prediction may stand so long after a zombie's late write."""
RSS_MB_MAX = 1024
"""A worker's memory, whatever comes."""
TO_BE_SEEN = ("positions_seen", "topic_messages")
"""Where the observer saw nothing it was blind, and what it did not find proves nothing."""
SEEN = (
    "topic_messages",
    "owner_overlap_s",
    "deposed_owners",
    "positions_regressed",
    "positions_seen",
    "regressed",
    "gaps",
    "repairs",
    "totals",
    "samples",
    "failures",
)
"""What the observer tells, as it is."""
MUST_BE_NONE = (
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
    "gaps_undetected",
    "unexplained_repairs",
    "bounds_broken",
    "written_in_doubt",
    "deposed_owners",
    "positions_regressed",
    "promotions_missing",
    "half_promoted",
    "silent_versions",
    "trouble",
)
"""Where a run has no such thing, there is none."""


def report(
    stage: Stage, seed: int, counts: Mapping[str, int], verdicts: Sequence[Verdict], more: Mapping[str, Any]
) -> dict[str, Any]:
    """Everything as JSON has it, with what there is more to tell; `failed` names what was not as promised."""
    seen = stage.tell("observer", "figures")
    told: dict[str, Any] = {
        "seed": seed,
        "faults": dict(stage.fired),
        **counts,
        **judged(verdicts),
        "topic_duplicates": seen["topic_duplicates"],
        "gaps_declared": sum(seen["gaps"].values()),
        "gaps_undetected": stage.gaps_undetected,
        "unexplained_repairs": seen["totals"].get("unexplained", 0),
        "zombie_late_writes": seen["zombie_late_writes"],
        "written_in_doubt": stage.grid.written_in_doubt,
        "stale_window_s": seen["stale_window_s"],
        **measured(stage),
        **{name: seen[name] for name in SEEN},
        **more,
        "mutant": stage.grid.mutant,
        "trouble": stage.trouble + [f"no {name} were seen" for name in TO_BE_SEEN if not seen[name]],
    }
    told["bounds_broken"] = broken(stage, told)
    told["failed"] = [name for name in MUST_BE_NONE if told.get(name)]
    return told


def judged(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """What the judge found, by the names that the report has for it."""
    found = sum((verdict.found for verdict in verdicts), Counter[str]())
    return {
        "lost": found["lost"] + found["lost_write"],
        "stale": found["stale"],
        "doubles": found["double"],
        "outdated": found["outdated"],
        "invented": found["invented"] + found["foreign"],
        "orphans": found["orphan"],
        "wrong": found["wrong"] + found["refused"] + found["accepted"],
        "stuck": found["stuck"],
        "owned_wrongly": found["owned"],
        "lagging": found["lag"] + found["behind"],
        "incomplete": found["incomplete"],
        "failing": found["failing"],
        "taken": found["taken"],
        "robbed": found["robbed"],
        "found": dict(found),
        "records": sum(verdict.records for verdict in verdicts),
        "dead_letters": sum(verdict.dead_letters for verdict in verdicts),
    }


def measured(stage: Stage) -> dict[str, Any]:
    """Times and memory."""
    times = sorted(one.seconds for one in stage.recoveries if one.fault != "start")
    probes = stage.tell("probes", "figures")
    return {
        "recovery_s": {"p50": rounded(times[len(times) // 2] if times else 0), "worst": rounded(max(times, default=0))},
        "recoveries": [[one.fault, rounded(one.seconds)] for one in stage.recoveries],
        "probe_wait_s": {"p50": probes["wait_p50_s"], "worst": probes["wait_max_s"]},
        "machine_stall_s": rounded(stage.grid.stall_s_max),
        "worker_rss_mb": max((node.rss_mb_max for node in stage.grid.nodes), default=0),
        "cpus": os.cpu_count(),
    }


def broken(stage: Stage, told: Mapping[str, Any]) -> list[str]:
    """Which bounds did not hold."""
    found = [f"{one.fault}: {one.seconds:.1f} s > {one.bound_s:g} s" for one in stage.recoveries if one.broken]
    if told["stale_window_s"] > STALE_S_MAX:
        found.append(f"an older prediction stood for {told['stale_window_s']} s > {STALE_S_MAX:g} s")
    if told["worker_rss_mb"] > RSS_MB_MAX:
        found.append(f"a worker held {told['worker_rss_mb']} MB > {RSS_MB_MAX} MB")
    return found + stage.overdue + promotions.broken(told)


def rounded(seconds: float) -> float | None:
    """Seconds for JSON, which has no infinity: None means never."""
    return round(seconds, 2) if math.isfinite(seconds) else None

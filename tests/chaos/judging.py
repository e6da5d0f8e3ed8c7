"""The judgement of a run: what stands is read and judged again and again, until all is good or the time is over."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from tests.chaos import promotions
from tests.chaos.checker import Histories, Told, Verdict, check, check_told
from tests.chaos.ends import PARTITIONS
from tests.chaos.log import histories, read_log
from tests.chaos.reading import Reader
from tests.chaos.stage import WRITERS, Stage, say
from tests.chaos.versions import Reigns, check_reigns
from tests.chaos.workload import DEPLOYMENTS, RECORDS

SETTLE_S = 40.0
"""After the last write everything must stand right within this time: the longest bound, and the judge's own time."""
POLL_S = 0.5


def judge(stage: Stage, changes: int = 0) -> tuple[list[Verdict], dict[str, Any]]:
    """Let all settle and decide, when nothing is written any more; the verdicts, and what there is more to report."""
    reader = Reader([node.address for node in stage.grid.living], stage.grid.cluster)
    written, on_topics = _histories_by_map(stage), dict[str, Verdict]()
    try:
        verdicts = _settle(stage, reader, written)
        for name in DEPLOYMENTS if changes else ():
            on_topics[f"{name}, topic"] = promotions.judge_messages(stage, reader, name, written[name])
    finally:
        reader.close()
    every = {**verdicts, "told": _settle_told(stage), **on_topics}
    for name, verdict in every.items():
        for sort, some in verdict.examples.items():
            for one in some:
                say(f"    {name}: {sort}: {one}")
    more = promotions.reported(stage, changes, [*verdicts.values()], [*on_topics.values()]) if changes else {}
    return [*every.values()], more


def _histories_by_map(stage: Stage) -> dict[str, Histories]:
    """What was written into each map."""
    by_map = {name: [stage.log_of(one) for one, plan in WRITERS.items() if plan.map == name] for name in DEPLOYMENTS}
    by_map[RECORDS].append(stage.log_of("probes"))
    return {name: histories(read_log(log) for log in logs) for name, logs in by_map.items()}


def _settle(stage: Stage, reader: Reader, written: Mapping[str, Histories]) -> dict[str, Verdict]:
    """Judge the maps."""
    deadline, verdicts, reigns = time.monotonic() + SETTLE_S, dict[str, Verdict](), Reigns.of(stage.changes)
    for name in DEPLOYMENTS:
        while True:
            at_work = stage.at_work[name]
            end, late = reader.read(name, at_work), time.monotonic() > deadline
            verdict = check(written[name], end.records, end.predictions, end.dead_letters, end.expected, at_work)
            check_reigns(verdict, [*end.predictions.items(), *end.dead_letters.items()], reigns)
            verdicts[name] = verdict
            if verdict.good or late:
                break
            time.sleep(POLL_S)
    return verdicts


def _settle_told(stage: Stage) -> Verdict:
    """Judge what is said of them, and the positions."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        verdict, late = Verdict(), time.monotonic() > deadline
        for one in stage.operate("told")["told"]:
            behind, failures = tuple(one.pop("behind")), tuple(one.pop("failures"))
            check_told(verdict, Told(**one, behind=behind, failures=failures), PARTITIONS)
        if verdict.good or late:
            return verdict
        time.sleep(POLL_S)

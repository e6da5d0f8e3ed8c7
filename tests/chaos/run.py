"""The course of a run: a grid under load, faults by a seeded schedule, the end of all writes, the judgement."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos import faults_members  # noqa: F401 - enters its faults
from tests.chaos.checker import Verdict, check
from tests.chaos.faults import FAULTS
from tests.chaos.grid import JOURNAL_CAPACITY, Grid
from tests.chaos.log import histories, read_log
from tests.chaos.reading import Reader
from tests.chaos.report import report
from tests.chaos.stage import WRITERS, Stage, say
from tests.chaos.workload import DEPLOYMENTS, RECORDS

SETTLE_S = 40.0
"""After the last write everything must stand right within this time: the longest bound, and the judge's own time."""
FLOW_S_MAX = 30.0
POLL_S = 0.5
PLAIN_SETTINGS = {"GRID_INFERENCE_LOG_LEVEL": "INFO"}


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is to be."""

    seed: int
    seconds: float = 75.0
    faults: tuple[str, ...] = ()
    """In this order, each once; without any a shuffle of all that are on by default, as far as the time goes."""
    mutant: str = ""
    nodes: int = 3
    load_rows: int = 30_000
    rate: float = 1.0
    """The writers' rates are multiplied by this."""
    journal_capacity: int = JOURNAL_CAPACITY
    settings: dict[str, str] = field(default_factory=dict[str, str])
    """Environment of the workers."""
    keep: bool = False
    """Leave the folder with logs behind."""


def run(options: Options) -> dict[str, Any]:
    """Run once; the report, as JSON has it."""
    folder = Path(tempfile.mkdtemp(prefix="grid-chaos-"))
    settings = {**PLAIN_SETTINGS, **options.settings}
    grid = Grid(
        folder,
        nodes=options.nodes,
        mutant=options.mutant,
        journal_capacity=options.journal_capacity,
        settings=settings,
    )
    stage = Stage(grid, random.Random(options.seed), options.load_rows)
    try:
        grid.start()
        stage.open(options.seed, options.rate)
        torment(stage, options)
        return judge(stage, options)
    finally:
        stage.close()
        grid.stop()
        if not options.keep:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            say(f"logs are in {folder}")


def schedule(options: Options) -> list[str]:
    """The names of the faults in their order."""
    if options.faults:
        return list(options.faults)
    names = sorted(name for name, one in FAULTS.items() if one.by_default)
    random.Random(options.seed).shuffle(names)
    return names


def torment(stage: Stage, options: Options) -> None:
    """One fault behind the other."""
    until_s = time.monotonic() + options.seconds
    stage.fault, stage.bound_s = "start", FLOW_S_MAX
    stage.recover(time.monotonic())
    for name in schedule(options):
        if not options.faults and time.monotonic() > until_s:
            return
        stage.fault, stage.bound_s = name, FAULTS[name].bound_s
        say(f"  {name}")
        stage.fired[name] += 1
        try:
            FAULTS[name].run(stage)
        except Exception as error:  # noqa: BLE001 - the judge is asked all the same
            stage.trouble.append(f"{name}: {type(error).__name__}: {error}")
            say(traceback.format_exc())
            return
        stage.settle()


def judge(stage: Stage, options: Options) -> dict[str, Any]:
    """Let all settle and decide."""
    counts = stage.finish_writing()
    verdicts = settle(stage)
    for name, verdict in verdicts.items():
        for sort, some in verdict.examples.items():
            for one in some:
                say(f"    {name}: {sort}: {one}")
    return report(stage, options.seed, counts, verdicts)


def settle(stage: Stage) -> dict[str, Verdict]:
    """Judge again and again until all is good or the time is over."""
    deadline = time.monotonic() + SETTLE_S
    by_map = {name: [stage.log_of(one) for one, plan in WRITERS.items() if plan.map == name] for name in DEPLOYMENTS}
    by_map[RECORDS].append(stage.log_of("probes"))
    written = {name: histories(read_log(log) for log in logs) for name, logs in by_map.items()}
    reader = Reader([node.address for node in stage.grid.living], stage.grid.cluster)
    verdicts: dict[str, Verdict] = {}
    try:
        for name in DEPLOYMENTS:
            while True:
                end, late = reader.read(name), time.monotonic() > deadline
                verdicts[name] = check(written[name], end.records, end.predictions, end.dead_letters, end.expected)
                if verdicts[name].good or late:
                    break
                time.sleep(POLL_S)
    finally:
        reader.close()
    return verdicts

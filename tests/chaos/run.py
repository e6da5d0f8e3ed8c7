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

from tests.chaos import (  # noqa: F401 - they enter their faults
    faults_members,
    faults_models,
    faults_owners,
    faults_records,
    promotions,
)
from tests.chaos.faults import FAULTS
from tests.chaos.grid import JOURNAL_CAPACITY, Grid
from tests.chaos.judging import judge
from tests.chaos.report import report
from tests.chaos.stage import Stage, say
from tests.chaos.versions import shares

FLOW_S_MAX = 30.0
PLAIN_SETTINGS = {"GRID_INFERENCE_LOG_LEVEL": "INFO"}


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is to be."""

    seed: int
    seconds: float = 75.0
    faults: tuple[str, ...] = ()
    """In this order, each once; without any a shuffle of all that are on by default, as far as the time goes."""
    promotions: int = 0
    """So many promotions and rollbacks, two of three beside the faults, the third between them."""
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
        stage.open(options.seed, options.rate, options.promotions)
        torment(stage, options)
        counts = stage.finish_writing()
        verdicts, more = judge(stage, options.promotions)
        return report(stage, options.seed, counts, [*stage.verdicts.values(), *verdicts], more)
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
    if options.promotions:
        return promotions.chosen(options.seed)
    names = sorted(name for name, one in FAULTS.items() if one.by_default)
    random.Random(options.seed).shuffle(names)
    return names


def torment(stage: Stage, options: Options) -> None:
    """One fault behind the other, and changes of the model's version beside and between them."""
    names, until_s = schedule(options), time.monotonic() + options.seconds
    changes = iter(shares(options.promotions, 3 * len(names)))
    limited = not (options.faults or options.promotions)
    stage.fault, stage.bound_s = "start", FLOW_S_MAX
    stage.recover(time.monotonic())
    for name in names:
        if limited and time.monotonic() > until_s:
            return
        stage.fault, stage.bound_s = name, FAULTS[name].bound_s
        with promotions.beside(stage, next(changes) + next(changes), options.seed):
            struck = strike(stage, name)
        if not struck:
            return
        promotions.in_calm(stage, next(changes))


def strike(stage: Stage, name: str) -> bool:
    """One fault; whether it could be carried out."""
    say(f"  {name}")
    stage.fired[name] += 1
    try:
        FAULTS[name].run(stage)
    except Exception as error:  # noqa: BLE001 - the judge is asked all the same
        stage.trouble.append(f"{name}: {type(error).__name__}: {error}")
        say(traceback.format_exc())
        return False
    stage.settle()
    return True

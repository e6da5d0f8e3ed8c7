"""A run in a process of its own: a case that ends the process, or never ends, is a failure like any other."""

from __future__ import annotations

import math
import multiprocessing
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

from grid_inference.wire import kernels

from .case import CORPUS
from .inputs import Inputs
from .run import FailureError, Run

__all__ = ["supervise"]

HANG_S_MAX = 120.0
"""A case that has not ended for so long is stuck where no signal reaches it."""
TOLD_EVERY_S = 1.0


def supervise(
    seed: int,
    *,
    seconds: float = float("inf"),
    cases: int | None = None,
    first: int = 0,
    corpus: Path = CORPUS,
    kind: type[Run] = Run,
) -> dict[str, Any]:
    """The report of so many cases, or of as many as the time allows; it ends at a crash."""
    context = multiprocessing.get_context("spawn")
    number, (receiver, sender) = context.Value("q", first), context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(kind(seed, corpus=corpus), seconds, cases, number, sender))
    process.start()
    sender.close()
    report, inputs = dict[str, Any](), None
    for told in _heard(receiver, process, number):
        report, inputs = told[0], told[1] or inputs
    process.join()
    if process.exitcode:
        if inputs is None:
            raise RuntimeError(f"the run ended with {process.exitcode} before its first case")
        run = Run(seed, corpus=corpus)
        failure = FailureError("crash", f"the process ended with {process.exitcode}")
        run.keep(number.value, *run.case(number.value, inputs), failure)
        report["wrong_exceptions"] += 1
    return report


def _heard(
    receiver: Connection, process: Any, number: Synchronized[int]
) -> Iterator[tuple[dict[str, Any], Inputs | None]]:
    """What the other process tells, until it ends or is ended."""
    last, since = number.value, math.inf
    while True:
        try:
            if receiver.poll(TOLD_EVERY_S):
                yield receiver.recv()
                since = min(since, time.monotonic())  # the first word comes just before the first case
        except EOFError:
            return
        if number.value != last:
            last, since = number.value, time.monotonic()
        elif time.monotonic() - since > HANG_S_MAX:
            process.kill()


def _work(run: Run, seconds: float, cases: int | None, number: Synchronized[int], sender: Connection) -> None:
    """Case after case; tells now and then what it has seen, and what new cases are made from."""
    kernels.load()  # the run was made in another process
    started = time.monotonic()
    last = None if cases is None else number.value + cases
    told, told_inputs = started, None
    while (now := time.monotonic()) < started + seconds and number.value != last:
        inputs = run.inputs(number.value)
        run.report.seconds = now - started
        if inputs is not told_inputs or now > told + TOLD_EVERY_S:
            sender.send((run.report.to_mapping(), None if inputs is told_inputs else inputs))
            told, told_inputs = now, inputs
        run.step(number.value)
        number.value += 1
    run.report.seconds = time.monotonic() - started
    sender.send((run.report.to_mapping(), None))

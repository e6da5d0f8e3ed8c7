"""A run: seed and number → case → verdict; what went wrong goes into the corpus, made as small as a few tries can.

Case n of a seed is the same on every machine with the same versions of numpy and Hypothesis.
"""

from __future__ import annotations

import re
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from grid_inference.errors import DecodeError
from grid_inference.wire import kernels

from .case import CORPUS, Case, OnlyStockError, Target, save
from .compact import COMPACT
from .inputs import Inputs
from .json_values import JSON
from .keys import KEYS
from .limits import MEMORY_BYTES_PER_BYTE, MEMORY_SLACK_BYTES, OvertimeError, Peak, cpu_limit
from .messages import MESSAGES
from .records import RECORDS
from .scoring import SCORING

__all__ = ["TARGETS", "FailureError", "Report", "Run"]

TARGETS = {target.name: target for target in (*MESSAGES, *KEYS, *COMPACT, *RECORDS, *JSON, *SCORING)}
SCHEDULE = [target for target in TARGETS.values() for _ in range(target.weight)]
GENERATION_CASES = 20_000
"""So many cases are made from the same valid inputs."""
CASE_CPU_S_MAX = 10.0
TRACED_EVERY = 50
"""Tracing allocations makes a case several times slower: each so-manieth of a target is traced, the first one too."""
SHRINK_TRIES_MAX = 300
SHRUNK_ITEMS_MAX = 8


class FailureError(Exception):
    """What should not have happened: another exception, a difference, too much time or memory."""

    def __init__(self, kind: str, text: str, where: str = "") -> None:
        super().__init__(f"{kind}: {text} {where}".rstrip())
        self.kind = kind
        self.sort = f"{kind} {where}"
        """Failures of one sort are likely to have one reason."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a target gave for a case."""

    found: Any
    """The value, or the DecodeError."""
    ms: float
    only_stock: str = ""
    """Why we refuse what the stock client reads, if that is so."""


@dataclass(slots=True)
class Report:
    """What a run has seen."""

    seed: int
    seconds: float = 0.0
    cases: Counter[str] = field(default_factory=Counter[str])
    accepted: Counter[str] = field(default_factory=Counter[str])
    refused: Counter[str] = field(default_factory=Counter[str])
    wrong_exceptions: int = 0
    """Other exceptions than DecodeError, warnings, too much time or memory, crashes."""
    differences: int = 0
    slowest_ms: float = 0.0
    slowest: str = ""
    peak_mb: float = 0.0
    stock_only: dict[str, Counter[str]] = field(default_factory=dict[str, Counter[str]])
    """Reasons for which we refuse what the stock client reads, by target."""

    def to_mapping(self) -> dict[str, Any]:
        """Plain values, counts in the order of names."""
        return {each.name: _plain(getattr(self, each.name)) for each in fields(self)}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(value[name]) for name in sorted(value)}
    return round(value, 1) if isinstance(value, float) else value


class Run:
    """Cases of one seed, one after the other."""

    def __init__(self, seed: int, *, corpus: Path = CORPUS, say: Callable[[str], None] = print) -> None:
        self.report = Report(seed)
        self._corpus = corpus
        self._say = say
        self._peak = Peak()
        self._inputs: tuple[int, Inputs] | None = None
        self._seen: set[str] = set()
        kernels.load()  # as a worker does: no case may pay for it

    def inputs(self, number: int) -> Inputs:
        """What case `number` is made from."""
        generation = number // GENERATION_CASES
        if self._inputs is None or self._inputs[0] != generation:
            self._inputs = generation, Inputs(self.report.seed * 1009 + generation)
        return self._inputs[1]

    def case(self, number: int, inputs: Inputs) -> tuple[Target, Case]:
        """Case `number` of this seed."""
        target = SCHEDULE[number % len(SCHEDULE)]
        return target, target.make(np.random.default_rng([self.report.seed, number]), inputs)

    def step(self, number: int) -> None:
        """Make a case, judge it, count it."""
        target, case = self.case(number, self.inputs(number))
        report = self.report
        traced = report.cases[target.name] % TRACED_EVERY == 0
        report.cases[target.name] += 1
        try:
            verdict = self.judge(target, case, traced=traced)
        except FailureError as failure:
            if self.count(failure):
                self.keep(number, target, self._shrunk(target, case, failure), failure)
            return
        (report.refused if isinstance(verdict.found, DecodeError) else report.accepted)[target.name] += 1
        if verdict.only_stock:
            report.stock_only.setdefault(target.name, Counter())[_general(verdict.only_stock)] += 1
        if verdict.ms > report.slowest_ms and not traced:
            report.slowest_ms, report.slowest = verdict.ms, f"{target.name}, case {number}"
        report.peak_mb = self._peak.bytes / 2**20

    def judge(self, target: Target, case: Case, *, traced: bool = True) -> Verdict:
        """The verdict on a case; FailureError if anything is wrong."""
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            started = time.perf_counter()
            try:
                with cpu_limit(CASE_CPU_S_MAX):
                    found, taken = self._peak.of(lambda: _answer(target, case), traced=traced)
                ms = (time.perf_counter() - started) * 1000
                if taken > MEMORY_BYTES_PER_BYTE * case.nbytes + MEMORY_SLACK_BYTES:
                    raise FailureError("memory", f"{taken} bytes for an input of {case.nbytes}")  # noqa: TRY301
                if target.check:
                    target.check(case, found)
            except OnlyStockError as only:
                return Verdict(found, ms, str(only))
            except FailureError:
                raise
            except (Exception, OvertimeError) as error:
                kind = {AssertionError: "difference", OvertimeError: "time"}.get(type(error), "wrong exception")
                raise FailureError(kind, f"{type(error).__name__}: {error!s:.300}", _where(error)) from error
        return Verdict(found, ms)

    def count(self, failure: FailureError) -> bool:
        """Count a failure; whether it is the first of its sort."""
        if failure.kind == "difference":
            self.report.differences += 1
        else:
            self.report.wrong_exceptions += 1
        first = failure.sort not in self._seen
        self._seen.add(failure.sort)
        return first

    def keep(self, number: int, target: Target, case: Case, failure: FailureError) -> None:
        """Say it, and write it into the corpus."""
        notes = {"error": str(failure), "found": {"seed": self.report.seed, "case": number}}
        path = save(self._corpus, target.name, case, notes)
        self._say(f"FAILED seed {self.report.seed} case {number} target {target.name!r}: {failure}")
        self._say("\n".join([f"  written to {path}", *(f"  {item.hex()}" for item in case.items)]))

    def _shrunk(self, target: Target, case: Case, failure: FailureError) -> Case:
        """A smaller case that fails in the same way; one that takes too long stays as it is."""
        if failure.kind == "time":
            return case
        tries, size = 0, 1 << 20
        while size and tries < SHRINK_TRIES_MAX:
            for smaller in _smaller(case, size):
                tries += 1
                if self._fails_so(target, smaller, failure.sort):
                    case = smaller
                    break
                if tries == SHRINK_TRIES_MAX:
                    break
            else:
                size //= 4
        return case

    def _fails_so(self, target: Target, case: Case, sort: str) -> bool:
        try:
            self.judge(target, case)
        except FailureError as failure:
            return failure.sort == sort
        return False


def _answer(target: Target, case: Case) -> Any:
    try:
        return target.decode(case)
    except DecodeError as error:
        if not target.refuses:
            raise FailureError("wrong exception", f"DecodeError: {error}", _where(error)) from error
        return error


def _smaller(case: Case, size: int) -> list[Case]:
    """Cases with `size` items fewer, or with `size` bytes fewer in one of the first items."""
    items = case.items
    found = [items[:at] + items[at + size :] for at in range(0, len(items), size) if len(items) > size]
    for row, item in enumerate(items[:SHRUNK_ITEMS_MAX]):
        cut = (item[:at] + item[at + size :] for at in range(0, len(item), size))
        found += [(*items[:row], each, *items[row + 1 :]) for each in cut]
    return [Case(each, case.schemas, case.names) for each in found]


def _where(error: BaseException) -> str:
    """The last of our own lines that an error came through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [each for each in frames if "grid_inference" in each.filename] or frames
    return f"({Path(ours[-1].filename).name}, {ours[-1].name}: {ours[-1].line})"


def _general(text: str) -> str:
    """A message without what differs from case to case: numbers, names, bytes."""
    return re.sub(r"'[^']*'|\"[^\"]*\"|b?[0-9a-fx]*[0-9][0-9a-fx]*|[^\x20-\x7e]", "_", text)[:160]

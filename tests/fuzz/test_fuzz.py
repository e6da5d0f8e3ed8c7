"""The corpus again, a short run that is the same every time, and whether the fuzzer sees what it is there to see."""

from __future__ import annotations

import os
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grid_inference.errors import DecodeError

from . import limits, run, supervise
from .case import CORPUS, Case, OnlyStockError, Target, load
from .inputs import Inputs
from .limits import NOTHING, read_by_stock
from .run import SCHEDULE, TARGETS, FailureError, Run

SEED, CASES = 1, 2_000
NUMBER_OF_THE_BAD_CASE = 5


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.json")), ids=lambda path: path.stem)
def test_what_once_failed_is_right_now(path: Path) -> None:
    name, case = load(path)
    Run(SEED).judge(TARGETS[name], case)


def test_a_short_run_finds_nothing(tmp_path: Path) -> None:
    report = supervise.supervise(SEED, cases=CASES, corpus=tmp_path)
    assert (report["wrong_exceptions"], report["differences"], list(tmp_path.iterdir())) == (0, 0, [])
    assert sum(report["cases"].values()) == CASES
    for name, target in TARGETS.items():
        assert report["accepted"][name] > 0
        assert (report["refused"].get(name, 0) > 0) == target.refuses


def test_a_case_follows_from_seed_and_number() -> None:
    first, second = Run(SEED), Run(SEED)
    inputs = first.inputs(0)
    for number in range(len(SCHEDULE)):
        assert first.case(number, inputs) == second.case(number, inputs)
    assert first.case(0, inputs) != Run(SEED + 1).case(0, inputs)


# ---- planted failures: each is bytes with 0x80 in them


def _make(rng: np.random.Generator, _: Inputs) -> Case:
    return Case(tuple(rng.bytes(40) for _ in range(3)), names=("kept",))


def _bad(case: Case) -> bool:
    return any(b"\x80" in item for item in case.items)


def _raise(error: Exception) -> None:
    raise error


def _forever() -> None:
    while True:
        pass


PLANTED = {
    "KeyError": ("wrong exception", lambda: _raise(KeyError("x"))),
    "UserWarning": ("wrong exception", lambda: warnings.warn("odd", stacklevel=1)),
    "DecodeError": ("wrong exception", lambda: _raise(DecodeError("no value"))),
    "OvertimeError": ("time", _forever),
    "bytes for an input": ("memory", lambda: bytearray(100 << 20)),
}


@pytest.mark.parametrize("said", PLANTED)
def test_a_planted_failure_is_seen_and_kept(said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind, fail = PLANTED[said]
    if kind == "time":  # the others must not be cut off by it on a slow machine
        monkeypatch.setattr(run, "CASE_CPU_S_MAX", 0.1)
    if kind == "memory":  # what the process has grown to before hides how much it grows now
        monkeypatch.setattr(run, "TRACED_EVERY", 1)
    target = Target("planted", _make, lambda case: fail() if _bad(case) else None, refuses=False)
    report, texts = _run(target, tmp_path, monkeypatch)
    assert (report.wrong_exceptions, report.differences) == (20 - report.accepted["planted"], 0)
    _check_kept(target, tmp_path, f"{kind}: ", shrunk=kind != "time")
    assert texts[0].startswith(f"FAILED seed {SEED} case ")
    assert said in texts[0]
    assert b"\x80".hex() in texts[1]


def test_a_planted_difference_is_seen_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(case: Case, found: Any) -> None:
        assert found == _bad(case)

    target = Target("planted", _make, lambda _: False, check)
    report, _ = _run(target, tmp_path, monkeypatch)
    assert 0 < report.differences == 20 - report.accepted["planted"]
    assert report.wrong_exceptions == 0
    _check_kept(target, tmp_path, "difference: ", shrunk=True)


def _run(target: Target, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[run.Report, list[str]]:
    """Twenty cases of a target, some of which are bad; and what was said."""
    texts: list[str] = []
    monkeypatch.setattr(run, "SCHEDULE", [target])
    monkeypatch.setattr(Run, "inputs", lambda _self, _number: None)
    fuzzer = Run(SEED, corpus=folder, say=texts.append)
    for number in range(20):
        fuzzer.step(number)
    return fuzzer.report, texts


def _check_kept(target: Target, folder: Path, kind: str, *, shrunk: bool) -> None:
    """One file, of a case that fails again, with not much else in it."""
    (path,) = folder.iterdir()
    name, case = load(path)
    assert (name, case.names) == ("planted", ("kept",))
    assert _bad(case)
    assert not shrunk or sum(map(len, case.items)) < 10
    with pytest.raises(FailureError, match=kind):
        Run(SEED).judge(target, case)


def test_what_we_refuse_and_the_stock_client_reads_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(case: Case, _: Any) -> None:
        if _bad(case):
            raise OnlyStockError(f"{len(case.items)} items of 'it'")

    def refuse(_: Case) -> None:
        raise DecodeError("no")

    report, _ = _run(Target("planted", _make, refuse, check), tmp_path, monkeypatch)
    assert report.refused["planted"] == 20
    assert 0 < report.stock_only["planted"]["_ items of _"] < 20
    assert report.to_mapping()["stock_only"] == {"planted": dict(report.stock_only["planted"])}


# ---- what ends the process


class Aborting(Run):
    """A run with a case that ends the process, as a segmentation fault does."""

    def step(self, number: int) -> None:
        super().step(number)
        if number == NUMBER_OF_THE_BAD_CASE:
            os.abort()


class Stuck(Run):
    """A run with a case that waits for ever."""

    def step(self, number: int) -> None:
        super().step(number)
        if number == NUMBER_OF_THE_BAD_CASE:
            time.sleep(10_000)


@pytest.mark.parametrize(("kind", "code"), [(Aborting, -6), (Stuck, -9)])
def test_a_case_that_ends_the_process_is_kept(
    kind: type[Run], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(supervise, "HANG_S_MAX", 5.0)
    report = supervise.supervise(SEED, cases=20, corpus=tmp_path, kind=kind)
    assert report["wrong_exceptions"] == 1
    (path,) = tmp_path.iterdir()
    assert load(path)[0] == SCHEDULE[NUMBER_OF_THE_BAD_CASE].name
    assert f"case {NUMBER_OF_THE_BAD_CASE} " in capsys.readouterr().out
    assert f"the process ended with {code}" in path.read_text(encoding="utf-8")


# ---- the stock client, which believes what it reads


def test_the_stock_client_is_kept_in_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "STOCK_CPU_S_MAX", 0.1)
    assert read_by_stock(lambda: 5) == 5
    assert read_by_stock(lambda: None) is None
    assert read_by_stock(lambda: [None] * 2**31) is NOTHING
    assert read_by_stock(_forever) is NOTHING
    assert read_by_stock(lambda: _raise(KeyError("x"))) is NOTHING

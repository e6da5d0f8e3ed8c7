"""A short profile of `make simulate`; that it is the same each time; that the judge sees what it is there to see."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from typing import Any

import pytest

from tests.simulation.loop import Process, VirtualLoop
from tests.simulation.plan import Event, Plan, plan_of

SCHEDULES = 200
SEEN = ("late writes", "older over newer", "takeovers")
FOUND_WITHIN = 60
"""Schedules in which each of these mutants is found; `--mutants` looks for all of them."""
FAULTS_FOUND = {
    400267: "the only ready worker left in place of one that had not come",
    409549: "two stores of one partition's positions at once",
    702523: "what a redeploy had ended was writing yet when its partition was handed on as written",
}
"""Seeds whose schedules have found a fault."""


def simulate(*arguments: str) -> tuple[int, dict[str, Any], str]:
    """The command itself: it fixes the order of sets, which is part of a schedule."""
    command = [sys.executable, "-m", "tests.simulation", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.returncode, json.loads(done.stdout.splitlines()[-1]), done.stdout + done.stderr


@pytest.mark.timeout(1200)
def test_every_promise_holds_in_a_few_schedules() -> None:
    code, report, said = simulate("--schedules", str(SCHEDULES), "--seed", "1")
    assert code == 0, said
    assert report["schedules"] == SCHEDULES
    assert all(report["seen"][what] > 0 for what in SEEN), report["seen"]


@pytest.mark.timeout(600)
def test_a_seed_gives_the_same_run_each_time() -> None:
    runs = [simulate("--schedules", "6", "--seed", "40", "--jobs", jobs) for jobs in ("1", "2")]
    first, second = ((report["digest"], report["callbacks"]) for _, report, _ in runs)
    assert first == second


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("mutant", ["any_epoch_writes", "trusted_before_the_look", "old_view"])
def test_a_fix_that_is_taken_out_is_missed(mutant: str) -> None:
    code, report, said = simulate(
        "--schedules", str(FOUND_WITHIN), "--seed", "1", "--first", "--brief", "--mutant", mutant
    )
    assert code == 1, said
    assert report["violations"]


@pytest.mark.parametrize("seed", FAULTS_FOUND, ids=str)
def test_a_schedule_that_has_found_a_fault_finds_none(seed: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation", "--replay", str(seed)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{FAULTS_FOUND[seed]}\n{done.stdout[-2000:]}"


def test_a_plan_follows_from_its_seed() -> None:
    assert plan_of(7) == plan_of(7)
    assert plan_of(7) != plan_of(8)


def test_a_plan_ends_when_its_last_fault_does() -> None:
    events = (Event(1.0, "pause", 0, 5.0), Event(3.0, "put", 0, 10))
    assert Plan(1, events=events).ends_s == 6.0
    assert Plan(1, events=events).without(0).ends_s == 3.0


def on_a_loop(go: Any) -> VirtualLoop:
    loop = VirtualLoop(random.Random(1))
    try:
        loop.run_until_complete(go(loop))
    finally:
        loop.close()
    return loop


def test_time_goes_to_the_next_timer() -> None:
    async def go(loop: VirtualLoop) -> None:
        await asyncio.gather(asyncio.sleep(3600), asyncio.sleep(10))

    assert on_a_loop(go).time() == 3600


def test_a_stopped_process_does_what_has_become_due_when_it_goes_on() -> None:
    done: list[tuple[float, str]] = []

    async def go(loop: VirtualLoop) -> None:
        process, other = Process(loop, "stopped"), Process(loop, "other")
        main, beside = process.thread("main"), other.thread("main")
        for at_s, what in ((2.0, "second timer"), (1.0, "first timer")):
            loop.call_at(at_s, lambda what=what: done.append((loop.time(), what)), context=main.context)
        loop.answer_at(3.0, main.context, lambda: done.append((loop.time(), "answer")))
        loop.call_at(2.5, lambda: done.append((loop.time(), "other")), context=beside.context)
        process.stop()
        loop.call_at(5.0, process.go_on)
        await asyncio.sleep(6.0)

    on_a_loop(go)
    assert done == [(2.5, "other"), (5.0, "answer"), (5.0, "first timer"), (5.0, "second timer")]


def test_what_computes_holds_its_own_thread_only() -> None:
    done: list[tuple[float, str]] = []

    async def go(loop: VirtualLoop) -> None:
        process = Process(loop, "worker")
        main, heartbeat = process.thread("main"), process.thread("heartbeat")

        def compute() -> None:
            loop.busy_s += 4.0

        loop.call_at(1.0, compute, context=main.context)
        loop.call_at(2.0, lambda: done.append((loop.time(), "main")), context=main.context)
        loop.call_at(2.0, lambda: done.append((loop.time(), "heartbeat")), context=heartbeat.context)
        await asyncio.sleep(9.0)

    on_a_loop(go)
    assert done == [(2.0, "heartbeat"), (5.0, "main")]


def test_a_killed_process_does_nothing_any_more() -> None:
    done: list[str] = []

    async def go(loop: VirtualLoop) -> None:
        process = Process(loop, "killed")
        main = process.thread("main")
        loop.call_at(2.0, lambda: done.append("timer"), context=main.context)
        loop.call_at(1.0, process.kill)
        await asyncio.sleep(3.0)

    on_a_loop(go)
    assert not done

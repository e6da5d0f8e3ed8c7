"""Faults of ownership: workers that stand still while they score, that load slowly, whose member stands still.

What they must not do: take partitions from the living, own them beside another, go on where they had left.
"""

from __future__ import annotations

import time

from tests.chaos.faults import RESTARTED_S_MAX, SILENT_S_MAX, ZOMBIE_WAIT_S, fault, hold
from tests.chaos.faults_members import some_node
from tests.chaos.grid import resume_all, standing_still, stopped, until
from tests.chaos.stage import LOOK_S, READY_S_MAX, Stage

STOPPED_S = 10.0
SLOW_CALLS = 8
"""So often the model is slow when its worker goes on: what had been read before the stop waits for it."""
SHARED_S = 4.0
"""By then a worker that has woken up has its share again."""
LOADING_S = 7.0
FIRST_TURN_S = 1.5
"""A worker that beats has begun to load by then."""
READY_S = 10.0
"""A worker that loads holds nobody's records up longer than this."""
BRIEF_PAUSE_S = 4.0
"""Longer than a lease lasts, and well within what members bear of each other."""
TOLD_S = 2.0
"""After this the observer has seen what became of the leases."""


@fault(SILENT_S_MAX)
def stopped_in_model(stage: Stage) -> None:
    """All workers but one are stopped while their models compute, and go on when another has scored newer values."""
    nodes = stage.random.sample(stage.grid.living, max(1, len(stage.grid.living) - 1))
    slow = {"point": "score", "action": "delay", "probability": 1.0, "times": SLOW_CALLS}
    try:
        for node in nodes:
            node.arm(point="score", action="stop", probability=1.0, times=1, seed=stage.random.random(), then=slow)
        until(lambda: all(any(map(stopped, node.pids)) for node in nodes), "the stop in the model", ZOMBIE_WAIT_S)
        at_s = time.monotonic()
        stage.recover(at_s)
        hold(max(0.0, at_s + STOPPED_S - time.monotonic()))
    finally:
        for node in nodes:
            resume_all(node.pids)
    stage.recover(time.monotonic())
    hold(SHARED_S)
    for node in nodes:
        node.arm()


@fault(RESTARTED_S_MAX)
def slow_load(stage: Stage) -> None:
    """A worker loads its model for long; others start meanwhile, and score all until it is ready.

    What it saw of the others before it loaded is old then: they live, and own what they own.
    """
    slow, *others = stage.random.sample(stage.grid.living, len(stage.grid.living))
    for node in (slow, *others):
        node.stop_workers()
    begun_s = time.monotonic()
    slow.arm(point="load", action="hold", probability=1.0, times=100)
    try:
        slow.start_workers()
        until(lambda: _owners(stage, "beating", slow.pids), "the beat of the worker that loads", READY_S_MAX, LOOK_S)
        loading_s = time.monotonic()
        hold(FIRST_TURN_S)
        for node in others:
            node.start_workers()
        pids = [process_id for node in others for process_id in node.pids]
        until(lambda: _owners(stage, "pids", pids), "the others' ownership", READY_S_MAX, LOOK_S)
        stage.recover(time.monotonic(), READY_S, READY_S * 1.5)
        hold(max(0.0, loading_s + LOADING_S - time.monotonic()))
    finally:
        slow.arm()
    at_s = time.monotonic()
    stage.wait_for_workers()
    stage.recover(at_s)
    hold(TOLD_S)
    stage.expect_no_deaths(begun_s)


def _owners(stage: Stage, which: str, process_ids: list[int]) -> bool:
    return bool(process_ids) and set(stage.tell("observer", "owners")[which]).issuperset(process_ids)


@fault(SILENT_S_MAX)
def member_pause_brief(stage: Stage) -> None:
    """A member stands still for longer than a lease lasts: its own node's workers may lose theirs, and nobody else."""
    node = some_node(stage)
    assert node.member
    with standing_still([node.member.pid]):
        at_s = time.monotonic()
        hold(BRIEF_PAUSE_S)
    stage.recover(at_s)
    hold(TOLD_S)
    stage.expect_no_deaths(at_s, *node.pids)

"""The faults by name: each is injected, its effect is measured, and it is healed before the next one.

Bounds are those that the project promises: the time from the fault until a record put after it has its prediction, in
every partition. Members' faults: `faults_members.py`.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from tests.chaos.failpoints import POINTS
from tests.chaos.grid import Node, resume_all, standing_still, stopped, until
from tests.chaos.stage import Stage
from tests.chaos.workload import RECORDS, VOLATILE, Form

KILLED_S_MAX = 5.0
MEMBER_KILLED_S_MAX = 10.0
SILENT_S_MAX = 25.0
"""A member or worker that is paused or can't be reached."""
DIES_S_MAX = 40.0
"""A record that ends its worker: two of them die and start again, a third starts a process for trials, all at once."""
HUNG_S_MAX = 60.0
"""Nothing is promised but that it ends: a hang ends a worker after 10 to 12 s; then its culprit is found on trial,
which takes a new process, slow to start on a busy machine, and 11 s."""
RESTARTED_S_MAX = 25.0
"""Where all workers were gone or a backlog has come, for which nothing is promised but that it ends."""
BOUNCES = 5
PAST_LEASE_S = 8.0
PAST_LATE_WRITES_S = 35.0
"""Longer than those who take over wait for late writes: call timeout and pause, `ARCHITECTURE.md`."""
DELAY_S, DELAYED_S = 0.15, 5.0
SWALLOW_REQUESTS_MAX = 200
OVERWRITTEN = {"overflow", "lag", "lost events"}
ANEW = {"map destroyed", "new incarnation"}
"""Causes of gaps, as workers name them."""
HEAT_S = 3.0
POISON_RECORDS = 20
ARMED_S = 6.0
ZOMBIE_WAIT_S = 60.0
POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Fault:
    """One way of tormenting."""

    name: str
    run: Callable[[Stage], None]
    bound_s: float
    by_default: bool = True
    """Whether a run without a choice takes it."""


FAULTS: dict[str, Fault] = {}


def fault(bound_s: float, *, by_default: bool = True) -> Callable[[Callable[[Stage], None]], Callable[[Stage], None]]:
    """Enter a function as the fault of its name."""

    def enter(run: Callable[[Stage], None]) -> Callable[[Stage], None]:
        FAULTS[run.__name__] = Fault(run.__name__, run, bound_s, by_default)
        return run

    return enter


def end(process_id: int, number: int) -> float:
    """Send a signal; the moment of it."""
    at_s = time.monotonic()
    os.kill(process_id, number)
    return at_s


def hold(seconds: float) -> None:
    """Let a fault last: its length is what it is about, so nothing else can be waited for."""
    time.sleep(seconds)


# ---- workers


@fault(KILLED_S_MAX)
def worker_sigterm(stage: Stage) -> None:
    stage.recover(end(stage.some_worker()[1], signal.SIGTERM))
    stage.wait_for_workers()


@fault(KILLED_S_MAX)
def worker_sigkill(stage: Stage) -> None:
    stage.recover(end(stage.some_worker()[1], signal.SIGKILL))
    stage.wait_for_workers()


@fault(KILLED_S_MAX)
def worker_bounces(stage: Stage) -> None:
    node, at_s = stage.random.choice(stage.grid.living), 0.0
    for bounce in range(BOUNCES):
        until(lambda: bool(node.pids), "a worker's return", RESTARTED_S_MAX)
        at_s = end(node.pids[0], signal.SIGKILL if bounce % 2 else signal.SIGTERM)
        until(lambda gone=node.pids[:1]: node.pids[:1] != gone, "a worker's end", RESTARTED_S_MAX)
    stage.recover(at_s)
    stage.wait_for_workers()


@fault(SILENT_S_MAX)
def worker_sigstop(stage: Stage) -> None:
    _, process_id = stage.some_worker()
    with standing_still([process_id]):
        at_s = time.monotonic()
        stage.recover(at_s)
        hold(max(0.0, at_s + PAST_LEASE_S - time.monotonic()))
    stage.recover(time.monotonic())


@fault(RESTARTED_S_MAX)
def workers_all(stage: Stage) -> None:
    at_s = 0.0
    for _, process_id in stage.running():
        at_s = end(process_id, signal.SIGKILL)
    stage.recover(at_s)
    stage.wait_for_workers()


@fault(SILENT_S_MAX)
def zombie(stage: Stage) -> None:
    """A worker is stopped between its look at the lease and the send, and goes on when others own its share."""
    wake_late(stage, PAST_LEASE_S)


@fault(SILENT_S_MAX, by_default=False)
def zombie_long(stage: Stage) -> None:
    """The same, when those who took over believe that nothing can come any more."""
    wake_late(stage, PAST_LATE_WRITES_S)


@fault(SILENT_S_MAX, by_default=False)
def zombie_dies(stage: Stage) -> None:
    """A worker is stopped while it scores and dies, awake again, at its first write that is acknowledged.

    It can't tell anybody any more that it wrote late: it must not have written under a lease that is another's by then.
    """
    node, _ = stage.some_worker()
    dying = {"point": "write", "action": "kill-after", "probability": 1.0, "times": 1}
    node.arm(point="score", action="stop", probability=1.0, times=1, then=dying)
    sleep_past(stage, node, PAST_LATE_WRITES_S)
    stage.recover(time.monotonic())
    node.arm()
    stage.resume_writers()
    stage.wait_for_workers()


def wake_late(stage: Stage, pause_s: float) -> None:
    """Stop, wake, and see what is made of it: nobody else writes meanwhile, so only a repair takes late writes away."""
    node, _ = stage.some_worker()
    # Not always at the first request of a turn: those before it wait in the buffer then, and are late as well.
    node.arm(point="write", action="stop", probability=0.2, times=1, map=RECORDS, seed=stage.random.random())
    try:
        sleep_past(stage, node, pause_s)
    finally:
        node.arm()
    stage.recover(time.monotonic())
    stage.await_repairs()
    stage.resume_writers()


def sleep_past(stage: Stage, node: Node, pause_s: float) -> None:
    """Wait for the stop at a failpoint, let it last, and wake the worker when all that was written is scored."""
    try:
        until(lambda: any(map(stopped, node.pids)), "the stop at the failpoint", ZOMBIE_WAIT_S)
        at_s = time.monotonic()
        stage.recover(at_s)
        hold(max(0.0, at_s + pause_s - time.monotonic()))
        stage.pause_writers()
        stage.recover(time.monotonic())
    finally:
        resume_all(node.pids)


def failpoint(point: str) -> Callable[[Stage], None]:
    """Make the fault of a failpoint: some worker fails there now and then, in one of its ways."""

    def run(stage: Stage) -> None:
        node, _ = stage.some_worker()
        ways = ("delay", "kill") if point == "score" else ("fail", "fail-after", "delay", "kill", "kill-after")
        action = stage.random.choice(ways)
        times = 1 if action.startswith("kill") else 10
        node.arm(point=point, action=action, probability=0.3, times=times, seed=stage.random.random())
        hold(ARMED_S)
        node.arm()
        stage.recover(time.monotonic())
        stage.wait_for_workers()

    run.__name__ = f"failpoint_{point}"
    return run


for each in POINTS:
    fault(SILENT_S_MAX)(failpoint(each))


# ---- the way between workers and members


@fault(SILENT_S_MAX)
def proxy_cut(stage: Stage) -> None:
    at_s = time.monotonic()
    for proxy in stage.random.choice(stage.grid.living).proxies.values():
        proxy.cut()
    stage.recover(at_s)


@fault(SILENT_S_MAX)
def proxy_delay(stage: Stage) -> None:
    proxies = list(stage.random.choice(stage.grid.living).proxies.values())
    at_s = time.monotonic()
    for proxy in proxies:
        proxy.delay_s = DELAY_S
    hold(DELAYED_S)
    stage.recover(at_s)
    for proxy in proxies:
        proxy.delay_s = 0.0


@fault(SILENT_S_MAX)
def proxy_swallow(stage: Stage) -> None:
    """The answer to a request that was carried out never comes: the connection breaks at message N."""
    at_s = time.monotonic()
    for proxy in stage.random.choice(stage.grid.living).proxies.values():
        proxy.swallow(stage.random.randint(1, SWALLOW_REQUESTS_MAX))
    hold(ARMED_S / 2)
    stage.recover(at_s)


@fault(SILENT_S_MAX)
def proxy_blackhole(stage: Stage) -> None:
    with ExitStack() as heal:
        at_s = time.monotonic()
        for proxy in stage.random.choice(stage.grid.living).proxies.values():
            proxy.blackhole()
            heal.callback(proxy.flow)
        stage.recover(at_s)
        hold(max(0.0, at_s + PAST_LEASE_S - time.monotonic()))
    stage.recover(time.monotonic())
    stage.wait_for_workers()


# ---- the maps


@fault(RESTARTED_S_MAX)
def overflow(stage: Stage) -> None:
    """While all workers are gone, more is written than the journal holds."""
    before = stage.gaps(RECORDS, OVERWRITTEN)
    for node in stage.grid.living:
        node.kill_workers()
    stage.tell("bulk", "load", rows=int(stage.grid.journal_capacity * 1.5))
    at_s = time.monotonic()
    for node in stage.grid.living:
        node.start_workers()
    stage.recover(at_s)
    stage.expect_gap(RECORDS, OVERWRITTEN, before)


@fault(SILENT_S_MAX)
def destroy(stage: Stage) -> None:
    before = stage.gaps(VOLATILE, ANEW)
    stage.tell("volatile", "destroy")
    stage.expect_gap(VOLATILE, ANEW, before)


@fault(RESTARTED_S_MAX)
def destroy_unseen(stage: Stage) -> None:
    """While no worker lives, a map is destroyed and its new journal grows beyond where the old one was read.

    The workers end in order: nothing but the witness tells that something is wrong.
    """
    before = stage.gaps(VOLATILE, ANEW)
    for node in stage.grid.living:
        node.stop_workers()
    stage.tell("volatile", "destroy")
    stage.tell("volatile", "refill")
    at_s = time.monotonic()
    for node in stage.grid.living:
        node.start_workers()
    stage.recover(at_s)
    stage.expect_gap(VOLATILE, ANEW, before)


@fault(SILENT_S_MAX)
def clear(stage: Stage) -> None:
    at_s = time.monotonic()
    stage.tell("volatile", "clear")
    stage.recover(at_s)


@fault(SILENT_S_MAX)
def hot_key(stage: Stage) -> None:
    at_s = time.monotonic()
    stage.tell("first", "heat", seconds=HEAT_S)
    stage.recover(at_s)


@fault(RESTARTED_S_MAX)
def bulk_load(stage: Stage) -> None:
    """A load is under way when a worker dies."""
    loading = threading.Thread(target=stage.tell, args=("bulk", "load"), kwargs={"rows": stage.load_rows})
    loading.start()
    at_s = end(stage.some_worker()[1], signal.SIGKILL)
    loading.join()
    stage.recover(at_s)
    stage.wait_for_workers()


# ---- records that can't be scored


def poison_of(name: str, form: Form, count: int, bound_s: float = SILENT_S_MAX) -> None:
    """Enter the fault of records of one form."""

    def run(stage: Stage) -> None:
        at_s = time.monotonic()
        stage.tell("second", "put", form=int(form), count=count)
        stage.recover(at_s)

    run.__name__ = name
    fault(bound_s)(run)


poison_of("poison", Form.NAN, POISON_RECORDS)
poison_of("poison_short", Form.SHORT, POISON_RECORDS)
poison_of("model_raises", Form.RAISES, POISON_RECORDS)
poison_of("model_nan", Form.NAN_SCORE, POISON_RECORDS)
poison_of("model_hangs", Form.HANGS, 1, HUNG_S_MAX)
poison_of("model_dies", Form.DIES, 1, DIES_S_MAX)

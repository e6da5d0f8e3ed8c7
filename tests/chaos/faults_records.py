"""Faults of records and entries: alternating forms under zombies, large ones, cleared ones, strange ones of our own."""

from __future__ import annotations

import signal
import threading
import time

import psutil

from tests.chaos.faults import PAST_LEASE_S, RESTARTED_S_MAX, SILENT_S_MAX, ZOMBIE_WAIT_S, end, fault, hold
from tests.chaos.grid import NotInTimeError, resume_all, stopped, until
from tests.chaos.stage import LOOK_S, Stage, say
from tests.chaos.workload import HEARD, RECORDS

ALTERNATING_S = 0.2
BUDGET_BYTES = 4 << 20
GROWTH_MB_MAX = 96
"""By so much a worker may grow while it scans large records: a page holds one at least, so the budget is not what
bounds it, but three pages of each of sixteen scans, and once more as much for what is made of them."""
READ_AGAIN_S = 6.0
"""Longer than workers go without a look at their leases."""
GONE_S_MAX = 5.0
"""Within this time a listener must hear that a map is empty; a scan would come later."""


@fault(SILENT_S_MAX)
def zombie_forms(stage: Stage) -> None:
    """A worker is stopped just before it sends predictions, or dead letters, of records good and bad by turns.

    When it goes on, its late write may stand beside the right result: one of the two has to go.
    """
    node, _ = stage.some_worker()
    point, ended = stage.random.choice(("write", "bury")), threading.Event()

    def alternate() -> None:
        while not ended.wait(ALTERNATING_S):
            stage.tell("second", "alternate")

    alternating = threading.Thread(target=alternate)
    alternating.start()
    try:
        node.arm(point=point, action="stop", probability=0.2, times=1, map=RECORDS, seed=stage.random.random())
        until(lambda: any(map(stopped, node.pids)), "the stop at the failpoint", ZOMBIE_WAIT_S)
        at_s = time.monotonic()
        stage.recover(at_s)
        hold(max(0.0, at_s + PAST_LEASE_S - time.monotonic()))
        ended.set()
        alternating.join()
        stage.tell("second", "alternate", last=True)
        stage.pause_writers()
        stage.recover(time.monotonic())
    finally:
        ended.set()
        node.arm()
        resume_all(node.pids)
    stage.recover(time.monotonic())
    stage.await_repairs()
    stage.resume_writers()


@fault(RESTARTED_S_MAX)
def large_records(stage: Stage) -> None:
    """Records of a megabyte are scanned by one worker alone whose budget is far below what they take."""
    node, *others = stage.random.sample(stage.grid.living, len(stage.grid.living))
    for one in (node, *others):
        one.stop_workers()
    node.start_workers(GRID_INFERENCE_READ_BUDGET_BYTES=str(BUDGET_BYTES), GRID_INFERENCE_BATCH_BYTES_MAX="1048576")
    stage.recover(time.monotonic())
    stage.pause_writers()
    stage.recover(time.monotonic())
    [process_id] = node.pids
    before_mb = psutil.Process(process_id).memory_info().rss >> 20
    node.rss_mb_max = 0
    said = stage.operate("load")
    grown_mb = node.rss_mb_max - before_mb
    stage.found("lost", *["a record of a megabyte"] * (said["wanted"] - said["scored"]))
    say(f"    a worker of {before_mb} MB has grown by {grown_mb} MB")
    if grown_mb > GROWTH_MB_MAX:
        stage.overdue.append(f"{stage.fault}: a worker grew by {grown_mb} MB > {GROWTH_MB_MAX} MB")
    stage.operate("unload")
    stage.resume_writers()
    node.stop_workers()
    for one in (node, *others):
        one.start_workers()
    stage.wait_for_workers()
    stage.recover(time.monotonic())


@fault(SILENT_S_MAX)
def strange_entries(stage: Stage) -> None:
    """Somebody puts into our own maps what is none of ours; then a worker dies, whose heir reads what is there."""
    stage.operate("spoil")
    hold(READ_AGAIN_S)
    stage.recover(time.monotonic())
    stage.recover(end(stage.some_worker()[1], signal.SIGKILL))
    stage.operate("clean")
    stage.wait_for_workers()


@fault(SILENT_S_MAX)
def heard_empty(stage: Stage) -> None:
    """A map that is listened to is cleared, and then evicted: no event names a key."""
    for command in ("clear", "evict"):
        until(lambda: stage.operate("results", name=HEARD)["count"] > 0, "results", RESTARTED_S_MAX, LOOK_S)
        stage.tell("heard", "pause")
        stage.tell("heard", command)
        try:
            until(lambda: not stage.operate("results", name=HEARD)["count"], "the results' end", GONE_S_MAX, LOOK_S)
        except NotInTimeError as error:
            stage.overdue.append(f"{stage.fault}, {command}: {error}")
            say(f"    {command}: {error} (BOUND BROKEN)")
        stage.tell("heard", "resume")
    stage.recover(time.monotonic())

"""Faults of deployments: another model of an equal number, in this cluster and in the next one; others' maps; "new"."""

from __future__ import annotations

import os
import signal
import time

from tests.chaos.faults import POISON_RECORDS, RESTARTED_S_MAX, SILENT_S_MAX, fault, hold
from tests.chaos.grid import NotInTimeError, resume_all, until
from tests.chaos.judging import judge
from tests.chaos.stage import LOOK_S, WRITERS, Stage, say
from tests.chaos.workload import DEPLOYMENTS, RECORDS, Form

ASTRAY_S_MAX = 40.0
"""So long a worker that wakes up in another cluster has to find its way; one that ends meanwhile does no harm."""
AT_WORK_S = 5.0


@fault(RESTARTED_S_MAX)
def redeploy(stage: Stage) -> None:
    """Another model is deployed whose version has the same number: all is scored anew, refused records included."""
    stage.tell("second", "put", form=int(Form.RAISES), count=POISON_RECORDS)
    variant = stage.another_variant()
    at_s = time.monotonic()
    stage.deploy(RECORDS, variant, f"rival-{variant}")
    stage.recover(at_s)


@fault(RESTARTED_S_MAX)
def cluster_restart(stage: Stage) -> None:
    """All members end, with all that stood; in the new cluster another model has the old one's name and number.

    A worker that no node ends was stopped before, and goes on when all is at work again. What stood in the old cluster
    is judged before that.
    """
    for name in (*WRITERS, "probes"):
        stage.tell(name, "finish" if name == "probes" else "pause")
    verdicts, _ = judge(stage)
    stage.keep(verdicts)
    node = stage.random.choice(stage.grid.living)
    stray = node.let_go_of_workers()
    process_ids = stray.pids
    for process_id in process_ids:
        os.kill(process_id, signal.SIGSTOP)
    try:
        stage.grid.restart()
        for name in ("operator", *WRITERS, "probes", "observer"):
            stage.tell(name, "forget")
        for name in DEPLOYMENTS:
            stage.deploy(name, stage.another_variant())
        stage.wait_until_owned()
        resume_all(process_ids)
        at_s = time.monotonic()
        stage.resume_writers()
        stage.recover(at_s)
        _await_owning(stage, process_ids)
    finally:
        resume_all(process_ids)
        stray.stop()
    stage.recover(time.monotonic())


def _await_owning(stage: Stage, process_ids: list[int]) -> None:
    """Give workers the time to find their way, and to work for a while."""
    try:
        until(
            lambda: not set(stage.tell("observer", "owners")["pids"]).isdisjoint(process_ids),
            "a share for the worker that was astray",
            ASTRAY_S_MAX,
            LOOK_S,
        )
        hold(AT_WORK_S)
    except NotInTimeError as error:
        say(f"    {error}")


@fault(SILENT_S_MAX)
def start_new(stage: Stage) -> None:
    """With start = "new" the beginning is the end of the deploy; the second time under a name that has positions."""
    at_s = time.monotonic()
    for _ in range(2):
        said = stage.operate("begin_new")
        stage.found("lost", *(f"key {key}, put behind a deploy of what is new" for key in said["missing"]))
        stage.found("invented", *(f"key {key}, put before a deploy of what is new" for key in said["older"]))
        say(f"    {len(said['missing'])} of what is new not scored, {len(said['older'])} of what is older scored")
    stage.recover(at_s)


@fault(SILENT_S_MAX)
def others_map(stage: Stage) -> None:
    """Somebody would have a map for the predictions that holds another's entries: it is refused, and they stay."""
    at_s = time.monotonic()
    said = stage.operate("rob")
    say(f"    refused: {said['refused'] or 'no'}; {said['lost']} entries of another are gone")
    if not said["refused"]:
        stage.found("robbed", "a map of another's entries was taken for predictions")
    if said["lost"]:
        stage.found("robbed", f"{said['lost']} entries of another are gone")
    stage.recover(at_s)

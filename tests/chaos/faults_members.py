"""Faults of members: they leave, die, die one behind the other, die in a migration, stand still.

A member takes its node's workers along, as `grid-inference node` does. One backup bears one loss at a time, so the next
begins only when the cluster is safe again.
"""

from __future__ import annotations

import os
import signal
import threading
import time

from tests.chaos.faults import MEMBER_KILLED_S_MAX, RESTARTED_S_MAX, SILENT_S_MAX, fault, hold
from tests.chaos.grid import Node, standing_still, until
from tests.chaos.stage import Stage, say

SHORT_PAUSE_S = 6.0
"""Well within the members' heartbeat timeout: nobody is given up."""
MIGRATION_S_MAX = 30.0


def some_node(stage: Stage) -> Node:
    """One of the nodes whose member lives."""
    return stage.random.choice(stage.grid.living)


def come_back(stage: Stage, *nodes: Node) -> None:
    """Start nodes anew, and wait until all is as it was."""
    for node in nodes:
        node.settle()
        node.start()
        stage.grid.wait_until_safe()
    stage.wait_for_workers()


@fault(RESTARTED_S_MAX)
def member_leave(stage: Stage) -> None:
    node, at_s = some_node(stage), time.monotonic()
    node.leave()
    stage.recover(at_s)
    stage.grid.wait_until_safe()
    come_back(stage, node)
    stage.recover(time.monotonic())


@fault(RESTARTED_S_MAX)
def scale(stage: Stage) -> None:
    """From all nodes down to one and back, under load."""
    leaving = stage.random.sample(stage.grid.living, len(stage.grid.living) - 1)
    for node in leaving:
        at_s = time.monotonic()
        node.leave()
        stage.recover(at_s)
        stage.grid.wait_until_safe()
    come_back(stage, *leaving)
    stage.recover(time.monotonic())


@fault(MEMBER_KILLED_S_MAX)
def member_kill(stage: Stage) -> None:
    node, at_s = some_node(stage), time.monotonic()
    node.kill_member()
    stage.recover(at_s)
    stage.grid.wait_until_safe()
    come_back(stage, node)


@fault(MEMBER_KILLED_S_MAX)
def owner_then_backup(stage: Stage) -> None:
    """With three members, the holder of a killed owner's backups is among the other two, and becomes the owner."""
    killed = stage.random.sample(stage.grid.living, 2)
    for node in killed:
        at_s = time.monotonic()
        node.kill_member()
        stage.recover(at_s)
        stage.grid.wait_until_safe()
    come_back(stage, *killed)


@fault(MEMBER_KILLED_S_MAX)
def kill_in_migration(stage: Stage) -> None:
    """A node joins, and another is killed while partitions move to it."""
    joining, killed = stage.random.sample(stage.grid.living, 2)
    joining.leave()
    stage.grid.wait_until_safe()
    begun = stage.grid.migrations_begun()
    starting = threading.Thread(target=joining.start)
    starting.start()
    until(lambda: stage.grid.migrations_begun() > begun, "the beginning of a migration", MIGRATION_S_MAX)
    at_s = time.monotonic()
    killed.kill_member()
    starting.join()
    stage.recover(at_s)
    stage.grid.wait_until_safe()
    come_back(stage, killed)


@fault(SILENT_S_MAX)
def member_pause(stage: Stage) -> None:
    node = some_node(stage)
    assert node.member
    with standing_still([node.member.pid]):
        at_s = time.monotonic()
        hold(SHORT_PAUSE_S)
    stage.recover(at_s)


@fault(SILENT_S_MAX)
def member_pause_long(stage: Stage) -> None:
    """A member stands still until the others give it up. It never wakes: what it would bring back is a split."""
    node, at_s = some_node(stage), time.monotonic()
    assert node.member
    os.kill(node.member.pid, signal.SIGSTOP)
    stage.recover(at_s)
    node.kill_member()
    say("    the member is replaced")
    stage.grid.wait_until_safe()
    come_back(stage, node)

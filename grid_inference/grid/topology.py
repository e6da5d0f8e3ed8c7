"""Who lives, and who scores what: decisions that every worker makes alike from what stands in the grid.

The assignment is a pure function. A worker whose beat in `grid_inference.workers` stood still for the lease's time on
the observer's own clock is dead: no clocks are compared between machines. `leases.py` makes it safe to act on this.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import psutil

from grid_inference.errors import DecodeError
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap
from grid_inference.logs import logger
from grid_inference.wire.json_values import decode_json

__all__ = [
    "WORKERS_MAP",
    "Beats",
    "assign",
    "is_gone",
    "machine",
    "moved_by_loss",
    "now_s",
    "read_workers",
]

_log = logger(__name__)

WORKERS_MAP = "grid_inference.workers"
NO_MEMBER = ""


def now_s() -> float:
    """Seconds on a clock that runs on while the process is stopped or the machine sleeps.

    `CLOCK_BOOTTIME` on Linux; elsewhere the monotonic clock stands in, which may pause in a suspended machine.
    """
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def assign(owners: Mapping[int, str], workers: Mapping[str, str | None]) -> dict[int, str]:
    """Partition → worker, the same wherever it is computed.

    `owners` maps partitions to members, `workers` maps workers to the member of their node (None: of no node). Each
    partition goes to a worker of its own member where there is one, else to all workers by turns.
    """
    if not workers:
        return {}
    everybody = sorted(workers)
    local: dict[str, list[str]] = {}
    for worker in everybody:
        member = workers[worker]
        if member is not None:
            local.setdefault(member, []).append(worker)
    turns: dict[str, int] = {}
    assigned: dict[int, str] = {}
    for partition in sorted(owners):
        member = owners[partition] if owners[partition] in local else NO_MEMBER
        choice = local.get(member, everybody)
        turn = turns.get(member, 0)
        assigned[partition] = choice[turn % len(choice)]
        turns[member] = turn + 1
    return assigned


def moved_by_loss(before: Mapping[int, str], owners: Mapping[int, str], members: set[str]) -> set[int]:
    """Partitions whose owner of before is no member any more: a backup stands in, which may lack the newest changes.

    A planned move is over before its member leaves; one that was not seen in time counts here as well, which costs a
    comparison and no more.
    """
    return {partition for partition, owner in owners.items() if before.get(partition, owner) not in {owner, *members}}


@dataclass(slots=True)
class _Seen:
    beat: int
    since_s: float


class Beats:
    """Which workers are alive, judged by when their beat was last seen to change on this process's clock."""

    def __init__(self, lease_ttl_s: float) -> None:
        self._ttl_s = lease_ttl_s
        self._seen: dict[str, _Seen] = {}

    def observe(self, beats: Mapping[str, int], at_s: float) -> set[str]:
        """Note the beats that stand in the grid now; returns the workers that live."""
        for worker in self._seen.keys() - beats.keys():
            del self._seen[worker]
        for worker, beat in beats.items():
            seen = self._seen.get(worker)
            if seen is None or seen.beat != beat:
                self._seen[worker] = _Seen(beat, at_s)
        return {worker for worker, seen in self._seen.items() if at_s - seen.since_s < self._ttl_s}


@cache
def machine() -> str:
    """Which processes a process id of ours speaks of: this boot and this namespace of ids; empty where unknown."""
    if sys.platform != "linux":
        return ""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def is_gone(said: Mapping[str, Any]) -> bool:
    """Whether this worker's process is known to be no more, because it was one of this very machine.

    Nothing of it is under way then but what its members have already. False where nothing is known of it, also where
    its process id is another process's by now: then its beat tells.
    """
    if not machine() or said.get("machine") != machine():
        return False
    try:
        return psutil.Process(said["pid"]).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


async def read_workers(link: Link) -> dict[str, dict[str, Any]]:
    """What the workers say of themselves, by worker id; entries that are no worker's are left out, and told of once."""
    found: dict[str, dict[str, Any]] = {}
    for value in await GridMap(link, WORKERS_MAP).values():
        try:
            found |= _worker(decode_json(value))
        except (DecodeError, LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            _tell_once(f"{type(error).__name__}: {error}")
    return found


def _worker(said: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """A worker's entry by its id; raise one of many errors unless it holds what is read here and in a turn."""
    late = {str(int(partition)): int(count) for partition, count in said.get("late", {}).items()}
    facts = {name: int(said[name]) for name in ("beat", "pid", "said_at_us")}
    tables = {
        name: {key: dict(value) for key, value in said.get(name, {}).items()} for name in ("deployments", "beside")
    }
    return {str(said["id"]): {**said, **facts, **tables, "late": late}}


@lru_cache(maxsize=100)
def _tell_once(said: str) -> None:
    _log.error("entry left out, it is no worker", error=said)

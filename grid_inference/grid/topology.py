"""Who lives, and who scores what: decisions that every worker makes alike from what stands in the grid.

The assignment is a pure function. A worker whose beat in `grid_inference.workers` stood still for the lease's time on
the observer's own clock is dead, and so is one whose entry was not there for so long: no clocks are compared between
machines. `leases.py` makes it safe to act on this.
"""

from __future__ import annotations

import os
import sys
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from grid_inference.errors import DecodeError
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap
from grid_inference.logs import error_once, logger
from grid_inference.wire.json.values import decode_json
from grid_inference.wire.keys import encode_key, guard_key

__all__ = [
    "LEAVING",
    "LEFT",
    "LOADING",
    "READY",
    "WORKERS_MAP",
    "Beats",
    "assign",
    "entitled",
    "entry_key",
    "home_partition",
    "is_gone",
    "machine",
    "moved_by_loss",
    "now_s",
    "read_workers",
]

_log = logger(__name__)

WORKERS_MAP = "grid_inference.workers"
NO_MEMBER = ""
LOADING, READY, LEAVING, LEFT = "loading", "ready", "leaving", "left"
"""What a worker says of itself: it loads the models that it found when it began; it takes its share; it drains and
takes no more; it has given everything back."""
PROCESS_ID_MAX = (1 << 31) - 1
SILENT_S_MAX = 60.0
"""What a dead worker has said stays for so long: its late writes are told to those who own its partitions."""
LOOK_SHARE = 0.5
"""An observer that has not looked for this share of a lease's time may have been stopped together with the others."""


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


def entitled(living: Mapping[str, Mapping[str, Any]]) -> dict[str, str | None]:
    """Those of the living workers that take a share, each with the member of its node.

    Who loads its models still takes one only if nobody is ready; who leaves takes none.
    """
    staying = {worker: said for worker, said in living.items() if said.get("phase") not in (LEAVING, LEFT)}
    ready = {worker: said for worker, said in staying.items() if said.get("phase", READY) != LOADING}
    return {worker: said.get("member") for worker, said in (ready or staying).items()}


def home_partition(worker: str, owners: Mapping[int, str], member: str | None, before: int | None = None) -> int:
    """The partition that a worker's entry lies in: of its own node's member, so that no other one holds up its beat.

    It stays where it was for as long as that is such a partition; a worker of no member's node stays anyway.
    """
    choice = sorted(partition for partition, owner in owners.items() if owner == member) or sorted(owners)
    if before in choice:
        return before
    return choice[zlib.crc32(worker.encode()) % len(choice)]


def entry_key(worker: str, partition: int | None, count: int) -> bytes:
    """The key of a worker's entry that lies in this partition; None: of a worker of a version that chose none."""
    if partition is None or not 0 <= partition < count:
        return encode_key(worker)
    return guard_key(worker, partition, count)


@dataclass(slots=True)
class _Seen:
    beat: int | None
    """None: no entry of it was ever there."""
    since_s: float
    """When its beat was seen to change last, behind the answer that brought it."""
    said: Mapping[str, Any] = field(default_factory=dict[str, Any])
    there: bool = False
    gone: bool = False
    """It has given everything back, or its process is known to be no more."""


class Beats:
    """Which workers are alive, judged by when their beat was last seen to change on this process's clock.

    A beat that an answer brought began before the answer came; that it stands still is known as of the moment when it
    was asked. Between the two lies whatever a member, or this process, took for it.
    """

    def __init__(self, lease_ttl_s: float) -> None:
        self._ttl_s = lease_ttl_s
        self._seen: dict[str, _Seen] = {}
        self._asked_s = self._answered_s = -1.0
        """Of the last look; before the first one there is none."""
        self._reprieved = False

    def observe(self, workers: Mapping[str, Mapping[str, Any]], asked_s: float, answered_s: float) -> None:
        """Note what the workers say, by worker: asked for at the one moment, answered at the other."""
        paused = 0 <= self._answered_s < asked_s - self._ttl_s * LOOK_SHARE
        self._reprieved = paused and not self._reprieved
        if self._reprieved:  # whoever lived at the last look has some time to go on, as this process does
            for seen in self._seen.values():
                if self._asked_s - seen.since_s < self._ttl_s:
                    seen.since_s = max(seen.since_s, asked_s - self._ttl_s * LOOK_SHARE)
        self._asked_s, self._answered_s = asked_s, answered_s
        for worker, said in workers.items():
            seen = self._seen.get(worker)
            if seen is None or seen.beat != said["beat"]:
                self._seen[worker] = _Seen(said["beat"], answered_s, said)
        for worker, seen in self._seen.items():
            seen.there = worker in workers
            seen.gone = seen.said.get("phase") == LEFT or is_gone(seen.said)
        old = [worker for worker, seen in self._seen.items() if not seen.there and self._silence_s(seen) > SILENT_S_MAX]
        for worker in old:
            del self._seen[worker]

    def lives(self, worker: str, at_s: float) -> bool:
        """Whether a worker lives as far as is known now; of whom nobody knows, only time can tell."""
        seen = self._seen.setdefault(worker, _Seen(None, self._answered_s))
        if seen.gone:
            return False
        return self._silence_s(seen) < self._ttl_s or at_s - self._asked_s > self._ttl_s

    def living(self) -> dict[str, Mapping[str, Any]]:
        """The workers that lived at the last look, and what they said last."""
        return {
            worker: seen.said
            for worker, seen in self._seen.items()
            if seen.beat is not None and not seen.gone and self._silence_s(seen) < self._ttl_s
        }

    def said(self, worker: str) -> Mapping[str, Any] | None:
        """What a worker said last, whether it lives or not; None if it said nothing."""
        seen = self._seen.get(worker)
        return None if seen is None or seen.beat is None else seen.said

    def silent(self) -> dict[str, Mapping[str, Any]]:
        """The workers whose entries have said the same for so long that nobody needs them any more."""
        return {
            worker: seen.said
            for worker, seen in self._seen.items()
            if seen.there and self._silence_s(seen) > SILENT_S_MAX
        }

    def _silence_s(self, seen: _Seen) -> float:
        return self._asked_s - seen.since_s


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
    pid = said.get("pid")
    if not machine() or said.get("machine") != machine() or not isinstance(pid, int) or not 0 < pid <= PROCESS_ID_MAX:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # it is there, and another user's
        pass
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.Error:  # `hidepid` hides it from us, and it lives all the same
        return False


async def read_workers(link: Link) -> dict[str, dict[str, Any]]:
    """What the workers say of themselves, by worker id; entries that are no worker's are left out, and told of once.

    Of a worker whose entry has just moved there may be two, of which the newer one counts.
    """
    found: dict[str, dict[str, Any]] = {}
    for value in await GridMap(link, WORKERS_MAP).values():
        try:
            for worker, said in _worker(decode_json(value)).items():
                if worker not in found or found[worker]["beat"] < said["beat"]:
                    found[worker] = said
        except (DecodeError, LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            error_once(_log, "entry left out, it is no worker", error=f"{type(error).__name__}: {error}")
    return found


def _worker(said: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """A worker's entry by its id; raise one of many errors unless it holds what is read here and in a turn."""
    late = {str(int(partition)): int(count) for partition, count in said.get("late", {}).items()}
    facts = {name: int(said[name]) for name in ("beat", "pid", "said_at_us")}
    tables = {
        name: {key: dict(value) for key, value in said.get(name, {}).items()} for name in ("deployments", "beside")
    }
    texts = {name: value for name in ("member", "machine") if isinstance(value := said.get(name), str)}
    home = said.get("home")
    rest = {
        "member": None,
        "machine": "",
        "phase": str(said.get("phase", READY)),
        "home": home if isinstance(home, int) and home >= 0 else None,
    }
    return {str(said["id"]): {**said, **facts, **tables, **rest, **texts, "late": late}}

"""The grid that is tormented: nodes of a real member and supervised workers, a proxy from each node to each member.

A node lives as `grid-inference node` does: if its member is gone, its workers are ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from grid_inference.errors import MemberStartError
from grid_inference.grid.member import Member, MemberConfig
from grid_inference.node.workers import THREAD_VARIABLES, Workers
from tests.chaos.child import ROOT, environment
from tests.chaos.failpoints import doubts
from tests.chaos.worker import PLAN_VARIABLE
from tests.ports import free_port
from tests.proxy import Proxy

HOST = "127.0.0.1"
HEAP_MB = 384
JOURNAL_CAPACITY = 31_000
"""A thousand events a partition: some ten seconds of the writers' rate."""
SAFE_TIMEOUT_S = 120.0
CALM_S = 1.5
"""So long no migration must have begun for the members to be taken for settled."""
POLL_S = 0.05
WATCH_S = 0.5
"""How often the workers' memory is looked at."""
REJOIN_TRIES = 20
MIGRATION_BEGUN = "Repartitioning cluster data. Migration tasks count"
MIGRATION_ENDED = "All migration tasks have been completed"


class NotInTimeError(Exception):
    """Something that is bound to happen did not."""


def until(condition: Callable[[], bool], what: str, timeout_s: float, poll_s: float = POLL_S) -> None:
    """Wait for a condition; raises NotInTimeError with its name."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise NotInTimeError(f"{what} did not happen within {timeout_s:.0f} s")
        time.sleep(poll_s)


@dataclass(slots=True)
class ChaosWorkers(Workers):
    """A node's workers, supervised as always, through the chaos entry."""

    environment: dict[str, str] = field(default_factory=dict[str, str])

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.chaos.worker", "--address", self.address]
        command += ["--cluster", self.cluster_name, "--node-address", str(self.node_address), "--keys", str(self.keys)]
        settings = environment(**dict.fromkeys(THREAD_VARIABLES, "1"), **self.environment)
        return subprocess.Popen(command, stdin=subprocess.PIPE, stderr=self.log, env=settings, cwd=ROOT)


class Node:
    """One member and its workers."""

    def __init__(self, grid: Grid, name: str) -> None:
        self._grid = grid
        self.name = name
        self.port = free_port(HOST)
        self.member: Member | None = None
        self.workers: ChaosWorkers | None = None
        self.proxies: dict[int, Proxy] = {}
        """Member's port → the proxy that this node's workers reach it by."""
        self.rss_mb_max = 0
        self._ending: list[threading.Thread] = []

    @property
    def address(self) -> str:
        """The member's own address."""
        return f"{HOST}:{self.port}"

    @property
    def alive(self) -> bool:
        """Whether the member runs."""
        return self.member is not None and self.member.alive

    @property
    def pids(self) -> list[int]:
        """The workers that run."""
        return self.workers.pids if self.workers else []

    def start(self) -> None:
        """Start the member, joining those that live, and the workers."""
        join = tuple(node.address for node in self._grid.living)
        config = MemberConfig(
            cluster_name=self._grid.cluster,
            port=self.port,
            join=join,
            heap_mb=HEAP_MB,
            journal_capacity=self._grid.journal_capacity,
        )
        for left in reversed(range(REJOIN_TRIES)):
            try:
                self.member = Member.start(config)
                break
            except MemberStartError:  # the port of the one before is not free at once
                if not left:
                    raise
                time.sleep(POLL_S)
        self._grid.route()
        self.start_workers()

    def start_workers(self, **settings: str) -> None:
        """Start the workers and the watch over them; `settings` are more of their environment."""
        plan = {
            "routes": str(self.file("routes")),
            "failpoints": str(self.file("failpoints")),
            "mutant": self._grid.mutant,
        }
        environment = {PLAN_VARIABLE: json.dumps(plan), **self._grid.settings, **settings}
        self.workers = ChaosWorkers(
            self.address,
            self._grid.cluster,
            self._grid.workers_per_node,
            node_address=self.address,
            log=self._grid.worker_log,
            environment=environment,
            keys=self._grid.keys,
        ).start()

    def stop_workers(self) -> None:
        """Let the workers drain and end."""
        if self.workers:
            self.workers.stop()
            self.workers = None

    def kill_workers(self) -> None:
        """End the workers at once; nobody brings them back."""
        if self.workers:
            for process_id in self.workers.pids:
                os.kill(process_id, signal.SIGKILL)
            self.stop_workers()

    def let_go_of_workers(self) -> ChaosWorkers:
        """Whoever asks has the workers from now on: they don't end with the member, as those of another host don't."""
        assert self.workers
        workers, self.workers = self.workers, None
        return workers

    def leave(self) -> None:
        """End in order: workers first, then the member hands its partitions over."""
        self.stop_workers()
        if self.member:
            self._save_log(self.member)
            self.member.stop()
            self.member = None

    def _save_log(self, member: Member) -> None:
        """A member's log goes with it; `--keep` keeps this copy."""
        with self.file("member").with_suffix(".log").open("ab") as copy:
            copy.write(member.log_path.read_bytes())

    def kill_member(self) -> None:
        """SIGKILL the member; the node notices and ends its workers, beside whatever else goes on."""
        if self.member:
            self.member.kill()
            self._save_log(self.member)
            shutil.rmtree(self.member.log_path.parent, ignore_errors=True)
            self.member = None
        ending = threading.Thread(target=self.stop_workers, daemon=True)
        ending.start()
        self._ending.append(ending)

    def settle(self) -> None:
        """Wait for the workers of a killed member to have ended."""
        for ending in self._ending:
            ending.join()
        self._ending.clear()

    def file(self, kind: str) -> Path:
        """What this node's workers look at."""
        return self._grid.folder / f"{self.name}-{kind}.json"

    def arm(self, **failpoint: Any) -> None:
        """Arm a failpoint in this node's workers; without any, disarm."""
        write_whole(self.file("failpoints"), json.dumps(failpoint))

    def log_text(self) -> str:
        """The member's log."""
        return self.member.log_path.read_text(errors="replace") if self.member and self.member.alive else ""


class Grid:
    """All nodes."""

    def __init__(
        self,
        folder: Path,
        *,
        nodes: int = 3,
        workers_per_node: int = 1,
        journal_capacity: int = JOURNAL_CAPACITY,
        mutant: str = "",
        settings: dict[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.cluster = f"chaos-{uuid.uuid4().hex[:10]}"
        self.workers_per_node = workers_per_node
        self.journal_capacity = journal_capacity
        self.mutant = mutant
        self.settings = settings or {}
        """Environment of the workers."""
        self.keys = str(folder / "keys")
        """Folder of the key that signs the model, and that the workers trust."""
        self.worker_log = (folder / "workers.log").open("ab")
        self.nodes = [Node(self, f"node{i}") for i in range(nodes)]
        self.stall_s_max = 0.0
        """How late a timer of ours was at most: bounds of time say little on a machine that stands still so long."""
        self._watching = threading.Event()
        threading.Thread(target=self._watch_memory, daemon=True).start()

    @property
    def living(self) -> list[Node]:
        """Nodes whose member runs."""
        return [node for node in self.nodes if node.alive]

    @property
    def addresses(self) -> list[str]:
        """Every member's address, whether it lives now or not."""
        return [node.address for node in self.nodes]

    @property
    def written_in_doubt(self) -> int:
        """Requests with results that workers sent after they had stood still, without a look at their leases."""
        files = [doubts(node.file("failpoints")) for node in self.nodes]
        return sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files if file.exists())

    def start(self) -> None:
        """Start all nodes, one behind the other."""
        for node in self.nodes:
            for other in self.nodes:
                node.proxies[other.port] = Proxy(other.port)
            node.arm()
        self.route()
        for node in self.nodes:
            node.start()

    def route(self) -> None:
        """Tell the workers of each node by which proxy it reaches which member."""
        for node in self.nodes:
            ports = {port: proxy.port for port, proxy in node.proxies.items()}
            write_whole(node.file("routes"), json.dumps(ports))

    def restart(self) -> None:
        """End all members at once, with all that they hold, and start others in their places."""
        for node in self.nodes:
            node.kill_member()
        for node in self.nodes:
            node.settle()
        for node in self.nodes:
            node.start()
        self.wait_until_safe()

    def wait_until_safe(self) -> None:
        """Wait until the members have settled: no migration is under way, and every partition has its backup again."""
        seen, calm_since_s = -1, 0.0

        def settled() -> bool:
            nonlocal seen, calm_since_s
            begun = self.migrations_begun()
            if self._migrating() or begun != seen:
                seen, calm_since_s = begun, time.monotonic()
            return time.monotonic() - calm_since_s > CALM_S

        until(settled, "the end of all migrations", SAFE_TIMEOUT_S)

    def migrations_begun(self) -> int:
        """How many repartitionings the living members' logs tell of."""
        return sum(node.log_text().count(MIGRATION_BEGUN) for node in self.living)

    def _migrating(self) -> bool:
        """Whether a member has begun one and not ended it; a plan that was replaced by the next is never ended."""
        logs = [node.log_text() for node in self.living]
        return any(log.rfind(MIGRATION_BEGUN) > log.rfind(MIGRATION_ENDED) for log in logs)

    def stop(self) -> None:
        """End everything that was started here."""
        self._watching.set()
        for node in self.nodes:
            with contextlib.suppress(Exception):
                resume_all(node.pids)
                node.kill_workers()
            node.settle()
            if node.member:
                node.kill_member()
                node.settle()
            for proxy in node.proxies.values():
                proxy.close()
        self.worker_log.close()

    def _watch_memory(self) -> None:
        due_s = time.monotonic() + WATCH_S
        while not self._watching.wait(WATCH_S):
            self.stall_s_max = max(self.stall_s_max, time.monotonic() - due_s)
            due_s = time.monotonic() + WATCH_S
            for node in self.nodes:
                for process_id in node.pids:
                    with contextlib.suppress(psutil.Error):
                        held = psutil.Process(process_id).memory_info().rss >> 20
                        node.rss_mb_max = max(node.rss_mb_max, held)


def write_whole(file: Path, text: str) -> None:
    """Write a file that others read meanwhile."""
    part = file.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(file)


def stopped(process_id: int) -> bool:
    """Whether a process stands still under SIGSTOP."""
    try:
        return psutil.Process(process_id).status() == psutil.STATUS_STOPPED
    except psutil.Error:
        return False


def resume_all(process_ids: list[int]) -> None:
    """SIGCONT those that are there."""
    for process_id in process_ids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process_id, signal.SIGCONT)


@contextlib.contextmanager
def standing_still(process_ids: list[int]) -> Iterator[None]:
    """SIGSTOP processes for a while."""
    for process_id in process_ids:
        os.kill(process_id, signal.SIGSTOP)
    try:
        yield
    finally:
        resume_all(process_ids)

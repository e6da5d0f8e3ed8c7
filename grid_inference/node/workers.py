"""The worker processes of a node, supervised: one that dies comes back, with growing pauses.

The total of threads that the workers' models may use stays within the cores: each worker's share is set in its
environment before anything is imported there. The workers end with us, however we end: they watch a pipe that we hold.
"""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, Self

from prometheus_client.multiprocess import mark_process_dead

from grid_inference.errors import GridInferenceError, warn_forgotten
from grid_inference.logs import logger
from grid_inference.model.store.trust import check_pickle_allowed
from grid_inference.wire import kernels

__all__ = ["Workers", "default_workers", "threads_per_worker"]

_log = logger(__name__)

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
WORKERS_MAX_BY_DEFAULT = 8
RESTART_PAUSE_S_MIN, RESTART_PAUSE_S_MAX = 0.2, 10.0
HEALTHY_AFTER_S = 60.0
"""A worker that lived so long starts again without a pause when it dies. One that dies of its model's hanging lives for
some ten seconds and more (`score_timeout_s`), which is no health."""
STOP_TIMEOUT_S = 20.0
"""A worker that has not drained by then is killed; its share is taken over by a reconcile."""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def default_workers() -> int:
    """As many as there are cores: single-threaded models side by side beat one model on many threads."""
    return min(cores(), WORKERS_MAX_BY_DEFAULT)


def threads_per_worker(workers: int) -> int:
    """Threads each worker's model may use, so that all together stay within the cores."""
    return max(1, cores() // max(1, workers))


@dataclass(slots=True)
class _Slot:
    process: subprocess.Popen[bytes]
    started_s: float
    pause_s: float = RESTART_PAUSE_S_MIN
    restart_at_s: float | None = None


@dataclass(slots=True)
class Workers:
    """Worker processes for a cluster. Use them in `with`, or `start()` and `stop()` them; from one thread at a time."""

    address: str
    cluster_name: str
    count: int
    node_address: str | None = None
    """Address of this node's own member, whose partitions its workers prefer."""
    allow_pickle: bool | None = None
    """Let them load models that nobody vouches for, on loopback; raises TrustError elsewhere. None is what the
    environment says."""
    keys: str | None = None
    """The folder of keys that they trust; None is what the environment says, or the user's own."""
    threads: int | None = None
    log: IO[bytes] | None = None
    """Where the workers' logs go; None is our own standard error."""
    metrics: str | None = None
    """A folder in which they keep their figures for whoever reads them (`metrics.py`)."""
    arrays: str | None = None
    """A folder in which they share large models' arrays (`model/store/shared.py`), there while several of them run."""
    restarts: int = 0
    _slots: list[_Slot] = field(default_factory=list[_Slot])
    _stopping: threading.Event = field(default_factory=threading.Event)
    _watcher: threading.Thread | None = None
    _owner_id: int = field(default_factory=os.getpid)

    def start(self) -> Self:
        """Start the workers and the thread that watches over them."""
        if self.allow_pickle:
            check_pickle_allowed(self.address)
        if kernels.is_cold():  # a warning, as nobody sees less who has not asked for it
            _log.warning("the first worker compiles the kernels for this machine, once, which takes some ten seconds")
        self.arrays = _folder() if self.count > 1 else None
        self._slots = [_Slot(self._spawn(), time.monotonic()) for _ in range(self.count)]
        self._watcher = threading.Thread(target=self._watch, name="workers", daemon=True)
        self._watcher.start()
        atexit.register(self._stop_forgotten)
        return self

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers that run now."""
        return [slot.process.pid for slot in self._slots if slot.process.poll() is None]

    def stop(self) -> None:
        """Let all workers drain and end; stopping twice is the same as once."""
        if self._owner_id != os.getpid():
            return  # a forked child's exit must not stop its parent's workers
        atexit.unregister(self._stop_forgotten)
        self._stopping.set()
        if self._watcher:
            self._watcher.join()
            self._watcher = None
        for slot in self._slots:
            # The end of the pipe asks for a clean stop, on every platform.
            if slot.process.stdin and not slot.process.stdin.closed:
                slot.process.stdin.close()
            if sys.platform != "win32" and slot.process.poll() is None:
                slot.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for slot in self._slots:
            try:
                slot.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                slot.process.kill()
                slot.process.wait()
        self._forget()

    def kill(self) -> None:
        """End all workers at once, as a crash of their machine would."""
        self._stopping.set()
        if self._watcher:
            self._watcher.join()
        for slot in self._slots:
            slot.process.kill()
        for slot in self._slots:
            slot.process.wait()
            if slot.process.stdin:
                slot.process.stdin.close()
        self._forget()

    def __enter__(self) -> Self:
        return self if self._watcher else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _stop_forgotten(self) -> None:
        try:
            if self._owner_id == os.getpid():
                warn_forgotten(
                    f"the workers of {self.address} were not stopped", "use it in `with`, or call its stop()"
                )
        finally:
            self.stop()

    def _forget(self) -> None:
        """Nothing of the workers is left."""
        self._slots = []
        if self.arrays:
            shutil.rmtree(self.arrays, ignore_errors=True)
            self.arrays = None

    def _spawn(self) -> subprocess.Popen[bytes]:
        threads = str(self.threads or threads_per_worker(self.count))
        # Threads that spin while they wait would take the cores from the member and the other workers.
        environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, threads), "OMP_WAIT_POLICY": "PASSIVE"}
        if self.metrics:
            environment["PROMETHEUS_MULTIPROC_DIR"] = self.metrics
        environment["GRID_INFERENCE_ARRAYS"] = self.arrays or ""
        command = [
            sys.executable,
            "-m",
            "grid_inference.node.worker",
            "--address",
            self.address,
            "--cluster",
            self.cluster_name,
        ]
        if self.node_address:
            command += ["--node-address", self.node_address]
        if self.allow_pickle is not None:
            command.append("--allow-pickle" if self.allow_pickle else "--no-allow-pickle")
        if self.keys:
            command += ["--keys", self.keys]
        try:
            return subprocess.Popen(command, stdin=subprocess.PIPE, stderr=self.log, env=environment)  # noqa: S603
        except OSError as error:
            raise GridInferenceError(f"a worker process can't be started: {error}") from error

    def _watch(self) -> None:
        while not self._stopping.wait(0.1):
            for slot in self._slots:
                if slot.process.poll() is not None:
                    self._revive(slot, time.monotonic())

    def _revive(self, slot: _Slot, now_s: float) -> None:
        if slot.restart_at_s is None:
            healthy = now_s - slot.started_s > HEALTHY_AFTER_S
            slot.pause_s = RESTART_PAUSE_S_MIN if healthy else min(slot.pause_s * 2, RESTART_PAUSE_S_MAX)
            slot.restart_at_s = now_s + slot.pause_s
        elif now_s >= slot.restart_at_s:
            if slot.process.stdin:
                slot.process.stdin.close()
            if self.metrics:
                mark_process_dead(slot.process.pid, self.metrics)
            slot.process, slot.started_s, slot.restart_at_s = self._spawn(), now_s, None
            self.restarts += 1


def _folder() -> str | None:
    """A new folder that only we can read; None where there can't be one: the workers then share nothing."""
    try:
        return tempfile.mkdtemp(prefix="grid-inference-arrays-")
    except OSError as error:
        _log.warning("no folder for shared arrays", error=error)
        return None

"""What a run used, and on what machine: CPU seconds and peak memory of whole process trees, facts for the record."""

from __future__ import annotations

import importlib.metadata
import platform
import subprocess
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import psutil

from grid_inference.node.workers import cores

__all__ = ["Meter", "machine"]

SAMPLE_S: Final = 0.02
"""How often memory is looked at: a peak shorter than this may be missed."""
PACKAGES: Final = ("grid-inference", "hazelcast-python-client", "numpy", "scikit-learn", "uvloop")
MEGABYTE: Final = 1 << 20


@dataclass(slots=True)
class Meter:
    """Measures named groups of processes, each with all its descendants, while it is open."""

    groups: Mapping[str, Iterable[int]]
    seconds: float = 0.0
    cpu_s: dict[str, float] = field(default_factory=dict[str, float])
    peak_rss_mb: dict[str, float] = field(default_factory=dict[str, float])
    """The largest sum over a group's processes."""
    loopback_bytes: int = 0
    """Everything that went over this machine's loopback interface, ours or not."""
    _trees: dict[str, list[psutil.Process]] = field(default_factory=dict[str, list[psutil.Process]])
    _stop: threading.Event = field(default_factory=threading.Event)
    _sampler: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._trees = {name: _tree(ids) for name, ids in self.groups.items()}
        self.cpu_s = {name: -_cpu_s(tree) for name, tree in self._trees.items()}
        self.peak_rss_mb = dict.fromkeys(self._trees, 0.0)
        self.loopback_bytes = -_loopback_bytes()
        self._sampler = threading.Thread(target=self._sample, daemon=True)
        self._sampler.start()
        self.seconds = -time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.seconds += time.perf_counter()
        for name, tree in self._trees.items():
            self.cpu_s[name] += _cpu_s(tree)
        self.loopback_bytes += _loopback_bytes()
        self._stop.set()
        if self._sampler:
            self._sampler.join()

    def _sample(self) -> None:
        while True:
            for name, tree in self._trees.items():
                self.peak_rss_mb[name] = max(self.peak_rss_mb[name], _rss_mb(tree))
            if self._stop.wait(SAMPLE_S):
                return


def _tree(ids: Iterable[int]) -> list[psutil.Process]:
    found: list[psutil.Process] = []
    for process in map(psutil.Process, ids):
        found += [process, *process.children(recursive=True)]
    return found


def _cpu_s(tree: list[psutil.Process]) -> float:
    total = 0.0
    for process in tree:
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            total += times.user + times.system
    return total


def _rss_mb(tree: list[psutil.Process]) -> float:
    total = 0
    for process in tree:
        with suppress(psutil.NoSuchProcess):
            total += process.memory_info().rss
    return total / MEGABYTE


def _loopback_bytes() -> int:
    interfaces = psutil.net_io_counters(pernic=True)
    return next((one.bytes_sent for name, one in interfaces.items() if name.startswith("lo")), 0)


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    return {
        "cpu": _cpu_model(),
        "cores": cores(),
        "memory_gb": round(psutil.virtual_memory().total / (1 << 30), 1),
        "os": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in PACKAGES if _installed(name)},
        "commit": _commit(),
        "load_before": round(psutil.getloadavg()[0], 2),
    }


def _installed(name: str) -> bool:
    try:
        return bool(importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return False


def _cpu_model() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str | None:
    """The commit that stands here, with `+` where files differ from it."""
    here = Path(__file__).parent
    try:
        said = subprocess.run(
            ["git", "describe", "--always", "--exclude=*", "--dirty=+", "--abbrev=12"],
            cwd=here, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return said.stdout.strip()

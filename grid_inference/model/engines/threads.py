"""OpenMP threads by the size of a batch: a few records are scored on one thread.

A parallel region ends only when its last thread has run; on a machine whose cores are busy that wait, once per tree,
costs more than the whole small batch. Results are the same, as each record is one thread's work; but
for equally near neighbours by brute force, which are always looked up few records at a time (`BRUTE_ROWS`).
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from threadpoolctl import ThreadpoolController

__all__ = ["OpenMPThreads"]

ONE_THREAD_ROWS_MAX = 128


class OpenMPThreads:
    """Switches the calling thread's OpenMP setting for one call; other threads keep theirs."""

    def __init__(self) -> None:
        self._libraries = ThreadpoolController().select(user_api="openmp").lib_controllers

    @contextmanager
    def fit_for(self, rows: int) -> Generator[None, None, None]:
        """Run the body on one thread if there are few rows."""
        if rows > ONE_THREAD_ROWS_MAX:
            yield
            return
        before = [library.get_num_threads() for library in self._libraries]
        for library in self._libraries:
            library.set_num_threads(1)
        try:
            yield
        finally:
            for library, threads in zip(self._libraries, before, strict=True):
                library.set_num_threads(threads)

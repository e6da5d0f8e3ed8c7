"""The load generator: an open loop that puts records when they are due, however slow the answers, in its own process.

A record's latency counts from when it was to be put, not from when the generator got round to it. Above a few hundred
records per second whatever has become due within a tick goes as one put_batch. Of many records some are marked by a
high key: only their events are looked at, so that the observer costs nothing that a rate could hide behind.
"""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from bench.data import NAMES, columns, matrix
from grid_inference import aio
from grid_inference.config import GridConfig

__all__ = ["MARKED", "TICK_S", "Generator"]

MARKED: Final = 1 << 50
"""Keys from here on belong to records whose latency is measured."""
SINGLE_RATE_MAX: Final = 1000
"""Up to this rate each record is put by itself."""
TICK_S: Final = 0.002
ROWS: Final = 65_536
KEYS_MAX: Final = 2_000_000
"""Records whose latency is not measured are put anew after so many: ten minutes' worth fits no heap."""
DRAIN_TIMEOUT_S: Final = 30.0


class Generator:
    """Puts records into feature maps of one grid."""

    def __init__(self, address: str, cluster: str) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        config = GridConfig.load(flags={"address": address, "cluster_name": cluster})
        self._grid = self._run(aio.connect(config))
        records = matrix(ROWS, seed=3)
        self._columns = columns(records)
        self._begun = self._done = self._failed = 0
        """Puts of the run, those that were answered, and those that failed."""
        self._rows = [dict(zip(NAMES, row, strict=True)) for row in records[:4096].tolist()]

    def open_loop(self, name: str, rate: float, seconds: float, marked_per_s: float, first_key: int) -> dict[str, Any]:
        """Put rate x seconds records; returns when each marked one was due (key → ns) and what became of the puts."""
        count = int(rate * seconds)
        keys = self._keys(count, max(1, round(rate / marked_per_s)), first_key)
        features, sent = self._grid.features(name), 0
        self._begun = self._done = self._failed = 0
        gc.freeze()
        started_ns = time.monotonic_ns() + 20_000_000
        due_ns = started_ns + (np.arange(count) * (1e9 / rate)).astype(np.int64)
        worst_ns = 0
        while sent < count:
            now_ns = time.monotonic_ns()
            due = int(np.searchsorted(due_ns, now_ns, side="right"))
            if due > sent:
                worst_ns = max(worst_ns, now_ns - int(due_ns[sent]))
                self._put(features, keys, sent, due, single=rate <= SINGLE_RATE_MAX)
                sent = due
            wake_ns = int(due_ns[sent]) if sent < count else now_ns
            pause_s = (wake_ns - time.monotonic_ns()) / 1e9
            time.sleep(max(pause_s, 0.0 if rate <= SINGLE_RATE_MAX else TICK_S))
        ended_ns = time.monotonic_ns()
        self._drained()
        marked = np.flatnonzero(keys >= MARKED)
        return {
            "due": dict(zip(keys[marked].tolist(), due_ns[marked].tolist(), strict=True)),
            "sent": count,
            "failed": self._failed,
            "seconds": (ended_ns - started_ns) / 1e9,
            "late_ms_max": worst_ns / 1e6,
        }

    def flood(self, name: str, count: int, batch: int, first_key: int) -> float:
        """Put as fast as acknowledgements come; gives when it began, on the machine's clock."""
        features, keys = self._grid.features(name), np.arange(first_key, first_key + count)
        started_s = time.monotonic()
        for start in range(0, count, batch):
            end = min(start + batch, count)
            self._run(features.put_batch(self._slice(start, end), key=keys[start:end]))
        return started_s

    @staticmethod
    def _keys(count: int, every: int, first_key: int) -> NDArray[np.int64]:
        rows = np.arange(count, dtype=np.int64)
        keys = first_key + rows % KEYS_MAX
        keys[::every] = first_key + rows[::every] + MARKED
        return keys

    def _put(self, features: aio.Features, keys: NDArray[np.int64], start: int, end: int, *, single: bool) -> None:
        if single:
            rows = self._rows
            for row in range(start, end):
                self._follow(features.put(int(keys[row]), rows[row % len(rows)]))
        else:
            self._follow(features.put_batch(self._slice(start, end), key=keys[start:end]))

    def _follow(self, put: Coroutine[Any, Any, Any]) -> None:
        """Begin a put, and keep of it only whether it has failed: a garbage collection looks at all that is kept."""
        self._begun += 1
        self._submit(put).add_done_callback(self._ended)

    def _ended(self, put: Future[Any]) -> None:
        """In the loop's thread."""
        self._failed += put.exception() is not None
        self._done += 1

    def _drained(self) -> None:
        """Wait for the last answers; what has none by then has failed."""
        deadline = time.monotonic() + DRAIN_TIMEOUT_S
        while self._done < self._begun and time.monotonic() < deadline:
            time.sleep(TICK_S)
        self._failed += self._begun - self._done

    def _slice(self, start: int, end: int) -> dict[str, NDArray[np.float32]]:
        """Columns for these rows; the stock of rows begins anew when it is used up."""
        where = (
            np.arange(start, end) % ROWS
            if start // ROWS != (end - 1) // ROWS
            else slice(start % ROWS, (end - 1) % ROWS + 1)
        )
        return {name: values[where] for name, values in self._columns.items()}

    def _submit(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self._submit(work).result()

    def close(self) -> None:
        """Disconnect."""
        self._run(self._grid.close())
        self._loop.call_soon_threadsafe(self._loop.stop)

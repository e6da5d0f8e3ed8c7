"""`Counting`: what one worker sees of a model's inputs and scores, counted within a budget of its time.

In: batches as the model got them, and what it said. Out: counts of a sliding window. Of a batch it looks at some
hundred rows, and a piece of its columns at a time; then it rests until what it took is half a hundredth of the time
that has passed. Nothing in here fails a batch.
"""

from __future__ import annotations

import math
import threading
import time
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from grid_inference.logs import logger
from grid_inference.model.engines.isolate import Scores
from grid_inference.model.inputs.frame import Frame, Inputs
from grid_inference.model.signature import Signature
from grid_inference.model.store.bins import Counted
from grid_inference.model.store.statistics import Statistics, labels_of

__all__ = ["Counting", "Window"]

_log = logger(__name__)

BUDGET_SHARE: Final = 0.005
"""Of the time that passes, what counting may take: as much again may go for caches that the model then finds cold."""
PIECE_S: Final = 0.001
"""A piece ends with the column that reaches it; the next one goes on behind that."""
ROWS_MAX: Final = 500
"""So many rows of a batch are looked at: numpy hands the interpreter over, and waits for it, from 500 on."""
SLOTS: Final = 20


class Window:
    """Counts of the newest `window_s` seconds, forgotten by slots; time is handed in, from a clock that only grows."""

    def __init__(self, sizes: list[int], window_s: float) -> None:
        ends = np.cumsum(sizes).tolist()
        self._places = [slice(end - size, end) for size, end in zip(sizes, ends, strict=True)]
        total = ends[-1] if ends else 0
        self._counts = np.zeros((SLOTS, total), np.int64)
        self._sums = np.zeros((SLOTS, total))
        self._slot_s = window_s / SLOTS
        self._slot = 0
        """The newest one that was written to, counted from the clock's zero."""

    def add(self, column: int, counted: Counted, at_s: float) -> None:
        """Count rows of one column."""
        slot = self._advanced(at_s)
        counts, sums = counted
        self._counts[slot, self._places[column]] += counts
        self._sums[slot, self._places[column]] += sums

    def total(self, at_s: float) -> list[Counted]:
        """Rows and sums of each column's bins."""
        self._advanced(at_s)
        counts, sums = self._counts.sum(axis=0), self._sums.sum(axis=0)
        return [(counts[place], sums[place]) for place in self._places]

    def slot(self, at_s: float) -> int:
        """The slot of a moment, counted from the clock's zero: while it is the same, nothing is forgotten."""
        return max(self._slot, int(at_s / self._slot_s))

    def _advanced(self, at_s: float) -> int:
        """Empty the slots that have come round again; the row of the one that is written to now."""
        now = self.slot(at_s)
        for slot in range(max(self._slot + 1, now - SLOTS + 1), now + 1):
            self._counts[slot % SLOTS] = 0
            self._sums[slot % SLOTS] = 0
        self._slot = now
        return now % SLOTS


class Counting:
    """Counts for one version of a model in one deployment; batches come from any thread."""

    def __init__(self, statistics: Statistics, signature: Signature, window_s: float, **about: Any) -> None:
        self.statistics = statistics
        self._signature = signature
        self._about = about
        self._bins = [column.bins() for column in statistics.columns]
        self._window = Window([bins.size for bins in self._bins], window_s)
        self._lock = threading.Lock()
        self._next = 0
        """The column that the next piece begins with."""
        self._again_s = 0.0 if self._bins else math.inf
        self.spent_s = 0.0
        self._pieces = 0
        """Pieces that were counted."""

    def due(self) -> bool:
        """Whether the budget allows to look at a batch now."""
        return time.perf_counter() >= self._again_s

    def take(self, inputs: Inputs, scores: Scores) -> None:
        """Count some rows of a batch: inputs of all, scores of those that have one. Raises nothing."""
        if not self.due() or not self._lock.acquire(blocking=False):
            return
        begun_s = time.perf_counter()
        try:
            self._pieces += 1
            self._piece(inputs, scores, begun_s)
            ended_s = time.perf_counter()
            self.spent_s += ended_s - begun_s
            self._again_s = ended_s + (ended_s - begun_s) * (1 / BUDGET_SHARE - 1)
        except Exception:  # whatever it is, it costs no batch  # noqa: BLE001
            self._again_s = math.inf
            _log.exception("drift is not counted any more", **self._about)
        finally:
            self._lock.release()

    def total(self) -> list[Counted]:
        """Rows and sums of each column's bins, inputs first; waits for a piece that is under way."""
        with self._lock:
            return self._window.total(time.monotonic())

    def mark(self) -> tuple[int, int]:
        """While this is the same, so is `total`; waits for a piece that is under way."""
        with self._lock:
            return self._pieces, self._window.slot(time.monotonic())

    def _piece(self, inputs: Inputs, scores: Scores, begun_s: float) -> None:
        rows, scored = _some(inputs.shape[0]), _some(scores.score.size)
        at_s, inputs_count = time.monotonic(), len(self.statistics.inputs)
        for _ in range(len(self._bins)):
            column = self._next
            self._next = (column + 1) % len(self._bins)
            if column < inputs_count:
                values = self._input(inputs, column, rows)
            else:
                values = self._output(scores, self.statistics.columns[column].name, scored)
            if values is not None:
                self._window.add(column, self._bins[column].count(values), at_s)
            if time.perf_counter() - begun_s > PIECE_S:
                return

    def _input(self, inputs: Inputs, column: int, rows: slice) -> NDArray[Any] | None:
        if not isinstance(inputs, Frame):
            return inputs[rows, column]
        values = inputs.columns.get(self.statistics.inputs[column].name)
        return None if values is None else values[rows]

    def _output(self, scores: Scores, name: str, rows: slice) -> NDArray[Any] | None:
        if name == "score":
            return scores.score[rows]
        if scores.label_index is None:
            return None
        return labels_of(Scores(scores.score[rows], scores.label_index[rows], None), self._signature)


def _some(count: int) -> slice:
    """Rows of a batch from its beginning to its end, as it is ordered by partition."""
    return slice(None, None, max(1, -(-count // ROWS_MAX)))

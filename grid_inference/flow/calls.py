"""`ModelCalls`: where a deployment's model is asked, how long it takes, and when it hangs.

On the event loop if a few rows are known to be quick, else in a thread, whose calls are sized so that none takes long
because of many rows alone; and for rows that may have killed workers in a process of its own, on trial. Models never
see keys or events, nor does this module.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from grid_inference.config import WorkerConfig
from grid_inference.metrics import Observe, unobserved
from grid_inference.model.engines.engine import Engine
from grid_inference.model.engines.isolate import Failure, NanPolicy, Scores
from grid_inference.model.engines.trial import TRIAL_ROWS_MAX, TrialEngine
from grid_inference.model.inputs.frame import Inputs

__all__ = ["Asks", "Call", "ModelCalls", "Score", "Scored", "Speed"]

T = TypeVar("T")
Scored = tuple[Scores, NDArray[np.int64], list[Failure]]
"""Scores of the good rows, their row numbers, a failure for each other row."""
Speed = tuple[float, float]
"""Seconds and rows in the model, of which the newest calls count for most."""
Score = Callable[[Inputs, NanPolicy], Scored]

INLINE_S_MAX = 0.02
"""The event loop is not held up for longer by scoring a small batch on it."""
FADING = 0.8
"""What a call counts for beside the one after it, in the time that a row takes."""
FIRST_ROWS = 64
"""So many rows go into a call of a model whose speed is not known yet."""
CALL_SHARE = 0.25
"""A call is sized to take this share of the time after which the model is said to hang."""


class Asks(Protocol):
    """What a scorer needs of whoever asks the model."""

    def run(
        self, work: Callable[[Score], T], rows: int, partitions: NDArray[np.int32], *, suspect: bool = False
    ) -> Coroutine[Any, Any, T]:
        """Do what needs the model for so many rows of these partitions."""
        ...


@dataclass(slots=True)
class Call:
    """A call that is under way in the thread."""

    rows: int
    partitions: NDArray[np.int32]
    """Of its batch."""
    age_s: float = 0.0
    """Counted by looks rather than clocks: a process that was stopped meanwhile has not been hanging."""


class ModelCalls:
    """Asks one model, for one deployment."""

    def __init__(
        self,
        model: Any,
        engine: Engine,
        config: WorkerConfig,
        name: str,
        observe: Observe = unobserved,
        *,
        speed: Speed | None = None,
    ) -> None:
        self._engine = engine
        self._observe = observe
        self._trial = TrialEngine(model, engine.signature, config.score_timeout_s)
        self._timeout_s = config.score_timeout_s
        self._inline_rows_max = config.inline_rows_max
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=f"score-{name}")
        self._trial_executor = ThreadPoolExecutor(1, thread_name_prefix=f"trial-{name}")
        self._call: Call | None = None
        self.held_up: NDArray[np.int32] | None = None
        """Partitions of the batch that is scored on the event loop at this moment, which nothing else can do then."""
        self.model_s = 0.0
        """Seconds spent in the model, trials left out."""
        self._lately = speed or (0.0, 0.0)
        self._small_s = math.inf
        """What the newest call that is small enough for the event loop took in the model."""

    async def run(
        self, work: Callable[[Score], T], rows: int, partitions: NDArray[np.int32], *, suspect: bool = False
    ) -> T:
        """Do what needs the model for so many rows of these partitions, on trial if they are suspect."""
        if suspect:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._trial_executor, work, self._score_on_trial)
        if rows <= self._inline_rows_max and self._small_s <= INLINE_S_MAX:
            self.held_up = partitions
            try:
                return work(lambda inputs, nan: self._engine.score(inputs, nan, by=_Sized(self, None)))
            finally:
                self.held_up = None
        watched, loop = _Sized(self, partitions), asyncio.get_running_loop()
        return await loop.run_in_executor(
            self._executor, work, lambda inputs, nan: self._engine.score(inputs, nan, by=watched)
        )

    def rows_within(self, seconds: float, most: int) -> int:
        """How many rows, at least one and `most` at the most, the model scores in this time."""
        spent_s, rows = self._lately
        return min(most, max(1, int(seconds * rows / spent_s)) if spent_s else FIRST_ROWS)

    @property
    def row_s(self) -> float:
        """What a row takes in the model lately; 0 as long as that is not known."""
        spent_s, rows = self._lately
        return spent_s / rows if rows else 0.0

    def overdue(self, passed_s: float) -> Call | None:
        """The call that hangs, if one does; to be looked for again and again, each time with the time between."""
        call = self._call
        if call is None:
            return None
        call.age_s += passed_s
        return call if call.age_s > self._timeout_s else None

    def rest(self) -> None:
        """Nothing is suspect any more: end the process for trials once it has answered."""
        if self._trial.running:
            self._trial_executor.submit(self._trial.close)

    def close(self) -> None:
        """Ask nothing any more."""
        self.rest()
        for executor in (self._executor, self._trial_executor):
            executor.shutdown(wait=False)

    def ask(self, inputs: Inputs, partitions: NDArray[np.int32] | None, *, finite: bool | None) -> Scores:
        """Call the model in parts that each take a share of the deadline; watched if partitions are named."""
        count, done, parts = inputs.shape[0], 0, list[Scores]()
        while not parts or done < count:
            step = self.rows_within(self._timeout_s * CALL_SHARE, count - done)
            part = inputs if step == count else inputs[done : done + step]
            parts.append(self._ask(part, partitions, finite=finite))
            done += step
        return parts[0] if len(parts) == 1 else Scores.concat(parts)

    def _ask(self, inputs: Inputs, partitions: NDArray[np.int32] | None, *, finite: bool | None) -> Scores:
        rows, started = inputs.shape[0], time.perf_counter()
        if partitions is not None:
            self._call = Call(rows, partitions)
        try:
            return self._engine.predict(inputs, finite=finite)
        finally:
            if partitions is not None:
                self._call = None
            self._took(time.perf_counter() - started, rows)

    def _took(self, seconds: float, rows: int) -> None:
        self.model_s += seconds
        self._observe("score", seconds)
        self._lately = (seconds + FADING * self._lately[0], rows + FADING * self._lately[1])
        if rows <= self._inline_rows_max:
            self._small_s = seconds

    def _score_on_trial(self, inputs: Inputs, nan: NanPolicy) -> Scored:
        """A few rows at a time: what one of them does to the process costs only these."""
        starts = range(0, max(1, inputs.shape[0]), TRIAL_ROWS_MAX)
        found = [self._engine.score(inputs[at : at + TRIAL_ROWS_MAX], nan, by=self._trial) for at in starts]
        if len(found) == 1:
            return found[0]
        good = np.concatenate([rows + at for at, (_, rows, _) in zip(starts, found, strict=True)])
        failures = [replace(one, row=one.row + at) for at, each in zip(starts, found, strict=True) for one in each[2]]
        return Scores.concat([each[0] for each in found]), good, failures


@dataclass(frozen=True, slots=True)
class _Sized:
    """What isolation asks: the model, by calls of a size that fits its speed."""

    calls: ModelCalls
    partitions: NDArray[np.int32] | None

    def predict(self, inputs: Inputs, *, finite: bool | None = None) -> Scores:
        """Score all rows or raise what the model raises."""
        return self.calls.ask(inputs, self.partitions, finite=finite)

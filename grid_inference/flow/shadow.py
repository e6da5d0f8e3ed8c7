"""`Shadow`: a challenger scores what stands written already, into a map of its own, in the time that it is given.

In: batches that another version has scored. Out: predictions in `<name>.predictions.shadow`, never published, no dead
letters. The challenger's model is asked in a process of its own that gives way to others, so that it can neither end
nor hold up the worker. After each turn it rests until the turn was no more than its share of the time; what comes
meanwhile waits within the bounds of one turn, or is left out. The flow waits for nothing here.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from grid_inference.config import WorkerConfig
from grid_inference.errors import GridInferenceError, ModelCrashedError, ModelTimeoutError, UnansweredError
from grid_inference.flow.calls import Score, Scored
from grid_inference.flow.encode import PredictionEncoder
from grid_inference.flow.events import Events
from grid_inference.flow.feeds import Arrivals
from grid_inference.flow.score import Outcome, Scorer
from grid_inference.flow.serving import Loaded
from grid_inference.flow.split import places
from grid_inference.grid.leases import Leases
from grid_inference.grid.link import Link
from grid_inference.logs import logger
from grid_inference.model.engines.engine import Engine
from grid_inference.model.engines.isolate import NanPolicy, Scores
from grid_inference.model.engines.trial import TRIAL_ROWS_MAX, TrialEngine
from grid_inference.model.inputs.frame import Inputs
from grid_inference.model.store.registry import Deployed
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.protocol import messages

__all__ = ["Shadow"]

_log = logger(__name__)

T = TypeVar("T")
TURN_S = 0.1
"""A turn is sized to take so long."""
FIRST_ROWS = 64
"""So many rows make a turn while it is not known how long a row takes."""
FADING = 0.8
"""What a turn counts for beside the one after it, in the time that a row takes."""
REMOVALS_MAX = 10_000
"""So many removals wait for a turn, beside the rows; of more the shadow's predictions stay."""
DELETES_AT_ONCE = 500
"""The event loop is not held up by more of them."""
NICENESS = 10
"""By how much the challenger's process gives way, as `nice` has it."""


class Shadow:
    """One challenger of one deployment, in one worker."""

    def __init__(self, link: Link, wanted: Deployed, loaded: Loaded, config: WorkerConfig, leases: Leases) -> None:
        settings, signature = wanted.config, wanted.signature
        self.model, self.version = wanted.model, wanted.version
        self._budget = 1.0
        self._budget_changed = asyncio.Event()
        self._link = link
        self._leases = leases
        self._map = settings.shadow_predictions
        self._calls = _InItsProcess(loaded, config.score_timeout_s, settings.name)
        self._scorer = Scorer(
            link,
            self._calls,
            PredictionEncoder(settings.name, wanted.model, wanted.version, signature),
            inputs=settings.inputs,
            nan=settings.nan,
            score_of=settings.score_of,
        )
        self._keep_on_remove = settings.on_remove == "keep"
        self._rows_max, self._bytes_max = config.batch_rows_max, config.batch_bytes_max
        self._lately = (0.0, 0.0)
        """Seconds and rows of turns, of which the newest count for most."""
        self._waiting: list[tuple[Events, NDArray[np.int32]]] = []
        """Rows of written batches with the partition of each, oldest first."""
        self._epochs: dict[int, int] = {}
        """The newest epoch of each partition of which a batch has come."""
        self._rows_waiting = self._bytes_waiting = self._removals_waiting = 0
        self._arrived = asyncio.Event()
        self._counts = Counter[str]()
        self._refused = Counter[str]()
        self._seconds = 0.0
        self._failure = ""
        self._task = asyncio.create_task(self._run())

    def give(self, budget: float) -> None:
        """Have it take this share of the time, above 0 and at most 1."""
        self._budget = budget
        self._budget_changed.set()

    def offer(self, arrivals: Arrivals) -> None:
        """Take as many rows of a written batch as there is time for, at once; under pressure the same keys go first."""
        rows = arrivals.rows
        present = np.flatnonzero(rows.values.lengths >= 0)
        removed = np.empty(0, np.int64)
        if present.size < len(rows) and not self._keep_on_remove:
            removed = np.flatnonzero(rows.values.lengths < 0)[: max(0, REMOVALS_MAX - self._removals_waiting)]
        taken = self._within(rows, present, 0 if arrivals.suspect else self._turn_rows() - self._rows_waiting)
        self._counts["skipped"] += present.size - taken.size
        present = taken
        self._rows_waiting += present.size
        self._bytes_waiting += int(rows.values.lengths[present].sum())
        self._removals_waiting += removed.size
        if present.size + removed.size:
            taken = np.sort(np.concatenate([present, removed]))
            self._waiting.append((rows.take(taken), arrivals.partitions[taken]))
            self._epochs.update(arrivals.epochs)
            self._arrived.set()

    def _within(self, rows: Events, present: NDArray[np.int64], room: int) -> NDArray[np.int64]:
        """Those that there is room for, by their number and their bytes."""
        if room <= 0 or self._bytes_waiting >= self._bytes_max:
            return present[:0]
        if room < present.size:
            present = present[np.argsort(places(rows.identities[present]), kind="stable")[:room]]
        return present[self._bytes_waiting + np.cumsum(rows.values.lengths[present]) <= self._bytes_max]

    def counts(self) -> dict[str, Any]:
        """What it did since it began."""
        return {
            "model": self.model,
            "version": self.version,
            "budget": self._budget,
            "scored": self._counts["scored"],
            "skipped": self._counts["skipped"],
            "refused": dict(self._refused),
            "seconds": round(self._seconds, 6),
            "failure": self._failure,
        }

    async def stop(self) -> None:
        """Score no more; what stands in its map stays."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._calls.close()

    def _turn_rows(self) -> int:
        spent_s, rows = self._lately
        return min(self._rows_max, max(1, int(TURN_S * rows / spent_s))) if rows else FIRST_ROWS

    async def _run(self) -> None:
        await self._calls.start()
        while True:
            await self._arrived.wait()
            begun_s, rows = time.perf_counter(), self._rows_waiting
            try:
                await self._turn()
                self._failure = ""
            except GridInferenceError as error:
                self._left(rows, str(error))
            except Exception as error:  # a bug of ours must not end this for good  # noqa: BLE001
                self._left(rows, type(error).__name__)
            spent_s = time.perf_counter() - begun_s
            self._seconds += spent_s
            if rows:
                self._lately = (spent_s + FADING * self._lately[0], rows + FADING * self._lately[1])
            await self._rest(spent_s)

    async def _rest(self, spent_s: float) -> None:
        """Wait until what was spent is no more than the budget's share, also of one that changes meanwhile."""
        begun_s = time.perf_counter()
        while (left_s := begun_s + spent_s / self._budget - spent_s - time.perf_counter()) > 0:
            self._budget_changed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._budget_changed.wait(), left_s)

    def _left(self, rows: int, failure: str) -> None:
        """A turn came to nothing: the records have their predictions, only these are not compared."""
        self._counts["skipped"] += rows
        if failure != self._failure:
            _log.warning("batch not scored by the shadow", version=f"{self.model}@{self.version}", error=failure)
        self._failure = failure

    async def _turn(self) -> None:
        parts, self._waiting = self._waiting, []
        self._rows_waiting = self._bytes_waiting = self._removals_waiting = 0
        self._arrived.clear()
        rows, partitions = Events.concat([part for part, _ in parts]), np.concatenate([each for _, each in parts])
        mine = rows.newest_rows(partitions)
        mine = mine[[self._allows(partition) for partition in partitions[mine].tolist()]]
        outcome = await self._scorer.score(Arrivals(rows.take(mine), partitions[mine], [], [], 0, self._epochs))
        await self._write(outcome)
        self._counts["scored"] += len(outcome.predictions)
        self._refused.update(outcome.dead.causes)

    def _allows(self, partition: int) -> bool:
        return self._leases.allows(partition, self._epochs[partition])

    async def _write(self, outcome: Outcome) -> None:
        """Write what was scored; remove what an older record of a key that is gone or refused had."""
        good = outcome.predictions
        if len(good):
            await self._link.call_all(outcome.encoder.predictions(good, self._map), self._allows)
        gone = Blobs.concat([outcome.removed, outcome.dead.keys]).tolist()
        gone_from = np.concatenate([outcome.removed_partitions, outcome.dead.partitions]).tolist()
        for at in range(0, len(gone), DELETES_AT_ONCE):
            some = slice(at, at + DELETES_AT_ONCE)
            deletes = [messages.delete_request(self._map, key) for key in gone[some]]
            await self._link.call_all(zip(gone_from[some], deletes, strict=True), self._allows)


class _InItsProcess:
    """Asks a model in a child process; one that dies or hangs leaves the batch unanswered, and is started anew."""

    def __init__(self, loaded: Loaded, timeout_s: float, name: str) -> None:
        self._engine: Engine = loaded.engine
        self._trial = TrialEngine(loaded.model, loaded.engine.signature, timeout_s, niceness=NICENESS)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=f"shadow-{name}")
        self._closed = False

    async def start(self) -> None:
        """Have the process there before time is counted; one that does not come up shows at the first turn."""
        with contextlib.suppress(Exception):
            await asyncio.get_running_loop().run_in_executor(self._executor, self._trial.start)

    async def run(
        self, work: Callable[[Score], T], rows: int, partitions: NDArray[np.int32], *, suspect: bool = False
    ) -> T:
        """Do what needs the model."""
        del rows, partitions, suspect
        return await asyncio.get_running_loop().run_in_executor(self._executor, work, self._score)

    def close(self) -> None:
        """Ask nothing any more; a call that is under way is not waited for."""
        self._closed = True
        self._executor.submit(self._trial.close)
        self._executor.shutdown(wait=False)

    def predict(self, inputs: Inputs, *, finite: bool | None = None) -> Scores:
        """Score all rows, or raise what the model raises; UnansweredError if its process ended."""
        starts = range(0, max(1, inputs.shape[0]), TRIAL_ROWS_MAX)
        return Scores.concat([self._asked(inputs[at : at + TRIAL_ROWS_MAX], finite=finite) for at in starts])

    def _score(self, inputs: Inputs, nan: NanPolicy) -> Scored:
        return self._engine.score(inputs, nan, by=self)

    def _asked(self, inputs: Inputs, *, finite: bool | None) -> Scores:
        if self._closed:
            raise UnansweredError("the shadow has ended")
        try:
            return self._trial.predict(inputs, finite=finite)
        except (ModelCrashedError, ModelTimeoutError) as error:
            raise UnansweredError(str(error)) from None

"""Scoring records as a worker does, in this process: the flow's own scorer, and a model that is asked on the spot.

In: a version, loaded, and records. Out: `Scored`, with the cause of each record that would be a dead letter. Nothing is
written to the grid. A record that kills or hangs the model does so here: nothing is on trial.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from grid_inference.config import InputConfig
from grid_inference.flow.calls import Score
from grid_inference.flow.calls import Scored as Asked
from grid_inference.flow.encode import PredictionEncoder
from grid_inference.flow.events import Events
from grid_inference.flow.feeds import Arrivals
from grid_inference.flow.score import Scorer
from grid_inference.flow.serving import Loaded
from grid_inference.grid.link import Link
from grid_inference.grid.maps import rows_of
from grid_inference.model.engines.engine import Engine
from grid_inference.model.engines.isolate import NanPolicy, Scores
from grid_inference.model.inputs.frame import Inputs
from grid_inference.model.store.published import ModelVersion

__all__ = ["Scored", "scored"]

T = TypeVar("T")
BATCH_ROWS = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """What a version made of n records."""

    good: NDArray[np.int64]
    """Rows of those that it scored, in order."""
    scores: Scores
    """Of these, shape (good,)."""
    refused: dict[str, int]
    """Cause → records."""
    problem: str
    """Cause and message of a refused record; empty if there is none."""
    inputs: Inputs | None
    """Of a batch as the model got it; None if it scored none."""


class _Here:
    """Asks a model at once, in a thread, and keeps the inputs of the largest batch."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._kept = 0
        self.inputs: Inputs | None = None

    async def run(
        self, work: Callable[[Score], T], rows: int, partitions: NDArray[np.int32], *, suspect: bool = False
    ) -> T:
        """Do what needs the model."""
        del rows, partitions, suspect
        return await asyncio.to_thread(work, self._score)

    def _score(self, inputs: Inputs, nan: NanPolicy) -> Asked:
        found = self._engine.score(inputs, nan)
        if (good := found[1]).size > self._kept:
            self._kept = good.size
            self.inputs = inputs if good.size == inputs.shape[0] else inputs[good]
        return found


async def scored(
    link: Link,
    version: ModelVersion,
    loaded: Loaded,
    records: Events,
    inputs: Mapping[str, InputConfig],
    *,
    nan: NanPolicy,
    score_of: str | None = None,
) -> Scored:
    """Score records by a version whose signature is resolved.

    Raises SignatureError for `inputs` that it has not, and for a class `score_of` that it has not.
    """
    calls = _Here(loaded.engine)
    encoder = PredictionEncoder(version.model, version.model, version.version, version.signature)
    scorer = Scorer(link, calls, encoder, inputs=inputs, nan=nan, score_of=score_of)
    good, scores, causes, problem = list[NDArray[np.int64]](), list[Scores](), Counter[str](), ""
    for start in range(0, len(records), BATCH_ROWS):
        batch = records.take(np.arange(start, min(start + BATCH_ROWS, len(records))))
        nowhere = np.zeros(len(batch), np.int32)
        outcome = await scorer.score(Arrivals(batch, nowhere, [], [], 0, {0: 0}))
        found, dead = outcome.predictions, outcome.dead
        if len(found):
            rows = rows_of(found.keys, batch.keys)
            order = np.argsort(rows)
            good.append(start + rows[order])
            scores.append(Scores(found.score, found.label_index, found.scores).take(order))
        causes.update(dead.causes)
        if len(dead) and not problem:
            problem = f"{dead.causes[0]}: {dead.messages[0]}"
    rows = np.concatenate(good or [np.empty(0, np.int64)])
    both = Scores.concat(scores) if scores else Scores(np.empty(0), None, None)
    return Scored(rows, both, dict(causes), problem, calls.inputs)

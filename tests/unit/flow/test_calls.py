"""Calls of a model: begun small, sized by its speed, and found where they hang."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, RegressorMixin

from grid_inference.config import WorkerConfig
from grid_inference.flow.calls import FIRST_ROWS, ModelCalls, Score, Scored
from grid_inference.model.engines.sklearn import SklearnEngine
from grid_inference.model.signature import Signature

TIMEOUT_S = 10.0
PARTITIONS = np.array([3, 3, 5], np.int32)


class Held(RegressorMixin, BaseEstimator):
    """The first column, once it is let go."""

    n_features_in_ = 2

    def __init__(self) -> None:
        self.asked, self.go = threading.Event(), threading.Event()
        self.sizes: list[int] = []
        self.go.set()

    def fit(self, _: Any) -> Held:
        self.fitted_ = True
        return self

    def predict(self, inputs: Any) -> Any:
        self.sizes.append(len(inputs))
        self.asked.set()
        self.go.wait(20)
        return inputs[:, 0]


def calls_of(model: Held) -> ModelCalls:
    engine = SklearnEngine(model, Signature.of(model, columns=["a", "b"]))
    return ModelCalls(model, engine, WorkerConfig(score_timeout_s=TIMEOUT_S), "calls")


async def scored(calls: ModelCalls, rows: int) -> Scored:
    inputs = np.arange(rows * 2, dtype=np.float64).reshape(rows, 2)

    def work(score: Score) -> Scored:
        return score(inputs, "dead-letter")

    return await calls.run(work, rows, PARTITIONS)


def test_a_model_of_unknown_speed_is_asked_for_few_rows_first() -> None:
    model = Held().fit(None)
    calls = calls_of(model)
    assert calls.rows_within(1.0, 16_384) == FIRST_ROWS
    scores, good, failures = asyncio.run(scored(calls, 1_000))
    calls.close()
    assert model.sizes == [FIRST_ROWS, 1_000 - FIRST_ROWS]
    np.testing.assert_array_equal(scores.score, np.arange(0, 2_000, 2))
    assert (good.size, failures) == (1_000, [])


def test_a_call_that_outlasts_its_deadline_is_found_while_it_is_under_way() -> None:
    async def go() -> None:
        model = Held().fit(None)
        calls = calls_of(model)
        model.go.clear()
        scoring = asyncio.create_task(scored(calls, 3))
        await asyncio.to_thread(model.asked.wait, 20)
        # Looks are counted, not the clock: a stopped process does not look.
        assert calls.overdue(TIMEOUT_S) is None
        late = calls.overdue(0.75)
        assert late is not None
        assert (late.rows, late.partitions.tolist()) == (3, [3, 3, 5])
        model.go.set()
        assert (await scoring)[1].tolist() == [0, 1, 2]
        assert calls.overdue(TIMEOUT_S * 2) is None
        calls.close()

    asyncio.run(asyncio.wait_for(go(), 60))

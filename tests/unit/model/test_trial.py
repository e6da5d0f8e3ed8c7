"""A model on trial in a process of its own: equal results, and what is said of records that crash or hang it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import psutil
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from grid_inference.config import WorkerConfig
from grid_inference.errors import TrialStartError
from grid_inference.flow.calls import ModelCalls, Scored
from grid_inference.model.engines.sklearn import SklearnEngine
from grid_inference.model.engines.trial import TRIAL_ROWS_MAX, TrialEngine
from grid_inference.model.signature import Signature
from tests.poison import EXIT, FIELDS, HANG, KILL, RAISE, SPIN, fitted

TIMEOUT_S = 5.0
WAIT_S = 60.0


class Tried:
    """A model, and the same on trial."""

    def __init__(self, model: Any, timeout_s: float = TIMEOUT_S) -> None:
        signature = Signature.of(model, columns=FIELDS)
        self.engine = SklearnEngine(model, signature)
        self.trial = TrialEngine(model, signature, timeout_s)

    def score(self, inputs: Any) -> Scored:
        return self.engine.score(inputs, by=self.trial)


@pytest.fixture(scope="module")
def poisonable() -> Iterator[Tried]:
    tried = Tried(fitted())
    yield tried
    tried.trial.close()


def records(count: int, **marked: float) -> np.ndarray[Any, Any]:
    """Rows without a mark but for those named: `row_5=KILL`."""
    rows = np.random.default_rng(count).random((count, len(FIELDS)))
    for name, mark in marked.items():
        rows[int(name.removeprefix("row_")), 0] = mark
    return rows


def test_results_are_those_of_the_engine_itself():
    inputs = records(300)
    tried = Tried(HistGradientBoostingClassifier(max_iter=5).fit(inputs, (inputs.sum(axis=1) > 1.5).astype(float)))
    inputs[7, 1] = np.nan
    try:
        scores, good, failures = tried.score(inputs)
    finally:
        tried.trial.close()
    expected, expected_good, expected_failures = tried.engine.score(inputs)
    np.testing.assert_array_equal(scores.score, expected.score)
    np.testing.assert_array_equal(good, expected_good)
    assert failures == expected_failures


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize(
    ("mark", "cause", "message"),
    [
        (KILL, "MODEL_CRASHED", "the model ended its process (SIGKILL)"),
        (HANG, "MODEL_TIMEOUT", "the model did not answer in 5 s"),
        (SPIN, "MODEL_TIMEOUT", "the model did not answer in 5 s"),
        (RAISE, "MODEL_ERROR", "ValueError: a marked record"),
    ],
    ids=["kill", "hang", "spin", "raise"],
)
def test_the_culprit_alone_gets_no_score(poisonable: Tried, mark: float, cause: str, message: str):
    scores, good, failures = poisonable.score(records(20, row_5=mark))
    assert [(one.row, one.cause, one.message) for one in failures] == [(5, cause, message)]
    assert good.tolist() == [row for row in range(20) if row != 5]
    assert scores.score.size == 19


def test_each_of_several_culprits_is_found_among_many_rows():
    model = fitted()
    engine = SklearnEngine(model, Signature.of(model, columns=FIELDS))
    calls = ModelCalls(model, engine, WorkerConfig(score_timeout_s=TIMEOUT_S), "many")
    inputs = records(TRIAL_ROWS_MAX * 2 + 10, row_3=EXIT, row_520=RAISE)
    try:
        scores, good, failures = calls._score_on_trial(inputs, "dead-letter")
    finally:
        calls.close()
    assert {one.row: one.cause for one in failures} == {3: "MODEL_CRASHED", 520: "MODEL_ERROR"}
    assert good.size == scores.score.size == len(inputs) - 2
    np.testing.assert_allclose(scores.score, inputs[good].mean(axis=1), rtol=0, atol=1e-12)


def test_a_child_that_does_not_come_up_condemns_no_record():
    tried = Tried(fitted())
    tried.trial._model = Unloadable()
    with pytest.raises(TrialStartError, match="did not come up"):
        tried.score(records(2))
    assert not tried.trial.running


class Unloadable:
    """Can be sent and not be loaded."""

    def __reduce__(self) -> Any:
        return os._exit, (1,)


def test_the_process_ends_with_close_and_comes_back(poisonable: Tried):
    poisonable.score(records(2))
    assert poisonable.trial._child
    child = psutil.Process(poisonable.trial._child.process.pid)
    poisonable.trial.close()
    poisonable.trial.close()
    assert not child.is_running()
    assert poisonable.score(records(2))[1].tolist() == [0, 1]


PARENT = """
from tests.unit.model.test_trial import Tried, records
from tests.poison import HANG, fitted
import sys

if __name__ == "__main__":
    tried = Tried(fitted())
    tried.score(records(2))
    print(tried.trial._child.process.pid, flush=True)
    if sys.argv[1] == "hangs":
        tried.trial._child.pipe.send((records(1, row_0=HANG), True))
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a hang there ends with the machine")
@pytest.mark.parametrize("what", ["idle", "hangs"])
def test_a_child_does_not_outlive_its_parent(what: str):
    command = [sys.executable, "-c", PARENT, what]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        child = psutil.Process(int(parent.stdout.readline()))
        os.kill(parent.pid, signal.SIGKILL)
    assert psutil.wait_procs([child], WAIT_S)[1] == []

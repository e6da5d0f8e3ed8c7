"""A grid with one worker for clients in other languages, a model to deploy on it, and a way to run their programs."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import grid_inference as gi

FOLDER = Path(__file__).parent
COLUMNS = ("amount", "hour", "distance")
KEY = 4711
PYTHON_RECORD = {"amount": 12.5, "hour": 15.0, "distance": 1.25}
"""What Python puts under KEY, before the other program puts something else there."""
PROGRAM_TIMEOUT_S = 50
SAID_CHARS_MAX = 8_000


@pytest.fixture(scope="session")
def interop_grid() -> Iterator[gi.Grid]:
    """A member of our own with one worker process."""
    name = f"interop-{uuid.uuid4().hex[:8]}"
    with gi.local(workers=1, member=gi.MemberConfig(cluster_name=name, heap_mb=512)) as grid:
        yield grid


@pytest.fixture(scope="session")
def bare_model() -> Pipeline:
    """A binary classifier over COLUMNS."""
    inputs = np.random.default_rng(11).random((500, 3)) * (1000.0, 24.0, 100.0)
    labels = np.where(inputs[:, 0] / 1000 + inputs[:, 2] / 100 > 1.0, "yes", "no")
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(inputs, labels)


def run_program(command: Sequence[str], environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run a client program and give the JSON object of its output's last line; a failure shows all that it said."""
    try:
        ran = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=PROGRAM_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as late:
        ending, said = f"did not end within {PROGRAM_TIMEOUT_S} s", [late.stdout, late.stderr]
    else:
        ending, said = f"ended with {ran.returncode}", [ran.stdout, ran.stderr]
        if ran.returncode == 0 and ran.stdout:
            report: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
            return report
    texts = [each.decode(errors="replace") if isinstance(each, bytes) else each or "" for each in said]
    pytest.fail(f"{' '.join(command)}\n{ending}:\n{texts[0]}\n{texts[1][-SAID_CHARS_MAX:]}", pytrace=False)


def settled_prediction(grid: gi.Grid, deployment: str) -> gi.Prediction:
    """Put PYTHON_RECORD under KEY; give its prediction once nothing is in flight that could write it again."""
    predictions = grid.predictions(deployment)
    predictions.predict(KEY, PYTHON_RECORD, timeout=30)
    assert grid.verify(deployment).complete
    settled = predictions.get_current(KEY)
    assert settled is not None
    return settled


def check_scores(found: Mapping[str, Any], model: Pipeline, inputs: Sequence[float]) -> None:
    """A prediction as another language read it equals what the bare model says about these inputs."""
    probabilities = model.predict_proba([list(inputs)])[0]
    assert found["label"] == model.predict([list(inputs)])[0]
    np.testing.assert_allclose(found["score"], probabilities[1], rtol=0, atol=1e-12)
    np.testing.assert_allclose(found["scores"], probabilities, rtol=0, atol=1e-12)


def as_python_reads(prediction: gi.Prediction) -> dict[str, Any]:
    """The fields of a prediction, without its key, as JSON would hold them."""
    fields = {name: getattr(prediction, name) for name in gi.Prediction.__dataclass_fields__ if name != "key"}
    return {**fields, "scores": None if prediction.scores is None else list(prediction.scores)}

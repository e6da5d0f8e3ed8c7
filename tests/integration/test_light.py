"""Who only puts and reads pays for no models: what is imported is counted, in processes of their own.

The command `put` is not among them: pyarrow imports pandas for whatever comes from Python or becomes a numpy array
(findings/one-number-of-arrow-imports-pandas.sh).
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from typing import Any

import pytest

import grid_inference as gi
from tests.integration.conftest import FEATURES, Names, until

HEAVY = ("sklearn", "numba", "scipy", "pandas", "polars", "skops", "matplotlib", "onnxruntime", "joblib")
PUT_EVERY_S = 0.2
COUNT = f"""
import json, sys
sys.stdout.write("\\n" + json.dumps(sorted(set({HEAVY!r}) & sys.modules.keys())))
"""
APPLICATION = """
import sys
import grid_inference as gi
address, cluster, deployment, features = sys.argv[1:]
with gi.connect(address, cluster_name=cluster) as grid:
    records, predictions = grid.features(features), grid.predictions(deployment)
    with predictions.subscribe() as subscription:
        records.put(1, {"a": 0.5, "b": 0.25, "c": 0.75})
        assert next(subscription).key == 1
    assert predictions.get(1) is not None
    assert records.get(1)["a"] == 0.5
    grid.status()
"""
COMMAND = """
import sys
from grid_inference.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
"""


def heavy_in(script: str, *arguments: str) -> list[str]:
    """Which of the heavy libraries a process has imported that carried this out."""
    command = [sys.executable, "-c", script + COUNT, *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert not done.returncode, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_package_imports_nothing_but_itself() -> None:
    assert heavy_in("import grid_inference, grid_inference.aio, grid_inference.config\ngrid_inference.connect") == []


def test_a_worker_beats_before_it_has_a_model() -> None:
    """Whoever waits for a node waits for its workers; each would take a second for a model that may never come."""
    assert heavy_in("import grid_inference.node.worker.__main__") == []


def test_an_application_that_puts_and_reads(local_grid: gi.Grid, names: Names, deployed: Any) -> None:
    del deployed
    found = heavy_in(APPLICATION, local_grid.address, local_grid.cluster_name, names.deployment, names.features)
    assert found == []


@pytest.mark.parametrize(
    "command",
    [
        "status",
        "status {deployment}",
        "verify {deployment}",
        "get {deployment} 7",
        "watch {deployment} --limit 1",
        "dead-letters list {deployment}",
        "deployments",
        "doctor",
        "models list",
        "trust list",
    ],
)
def test_a_command_that_handles_no_model(
    local_grid: gi.Grid, names: Names, deployed: gi.Predictions, command: str
) -> None:
    records, ended = local_grid.features(names.features), threading.Event()
    where = ["--address", local_grid.address, "--cluster-name", local_grid.cluster_name]
    words = command.format(deployment=names.deployment).split()

    def put() -> None:
        """Whoever watches sees something new."""
        value = 0.0
        while not ended.wait(PUT_EVERY_S):
            records.put(7, dict.fromkeys(FEATURES, value := value + 0.001))

    records.put(7, dict.fromkeys(FEATURES, 0.5))
    until(lambda: deployed.get(7) is not None, "the first prediction")
    putting = threading.Thread(target=put)
    if command.startswith("watch"):
        putting.start()
    try:
        assert heavy_in(COMMAND, *words, *(where if words[0] != "trust" else ())) == []
    finally:
        ended.set()
        if putting.ident:
            putting.join()

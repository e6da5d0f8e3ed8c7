"""A cluster of the version before becomes one of this version, node by node, under load; nothing is lost.

`GRID_INFERENCE_UPGRADE_FROM` names another commit than the one before.
"""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import sys
import tarfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import grid_inference as gi
from tests.integration.conftest import FEATURES, until

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
BEFORE = os.environ.get("GRID_INFERENCE_UPGRADE_FROM", "HEAD~1")
NODES = 3
KEYS = 3000
START_S_MAX, STOP_S_MAX, OWNED_S_MAX = 120.0, 180.0, 90.0
SILENCE_S_MAX = 60.0
PREDICT_S_MAX = 60.0


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree of the version before."""
    packed = subprocess.run(["git", "archive", BEFORE], cwd=ROOT, capture_output=True, check=False)
    if packed.returncode:
        pytest.skip(f"there is no version before here: {packed.stderr.decode().strip()}")
    folder = tmp_path_factory.mktemp("before")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder


@dataclass
class Node:
    """A node of a version."""

    process: subprocess.Popen[str]
    address: str

    def stop(self) -> None:
        """As an operator does: it hands over what it holds."""
        self.process.terminate()
        assert self.process.wait(STOP_S_MAX) == 0
        self.close()

    def close(self) -> None:
        """Nothing more is read from it."""
        if self.process.stdout:
            self.process.stdout.close()


@dataclass
class Cluster:
    """Nodes that come and go."""

    name: str
    log: Path
    nodes: list[Node] = field(default_factory=list[Node])

    def add(self, tree: Path) -> Node:
        """Start a node from a tree, and wait until all workers are there and own all partitions."""
        joined = [option for node in self.nodes for option in ("--join", node.address)]
        command = [sys.executable, "-m", "grid_inference.cli", "node", "--port", "0", "--workers", "1", "--json"]
        command += ["--heap-mb", "512", "--cluster-name", self.name, *joined]
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=tree,
                env=os.environ | {"PYTHONPATH": str(tree)},
            )
        assert process.stdout
        line = process.stdout.readline()
        assert line, f"the node did not start: {self.log.read_text()[-2000:]}"
        node = Node(process, json.loads(line)["address"])
        self.nodes.append(node)
        return node

    def end(self) -> None:
        """All at once: nothing has to be handed over any more."""
        for node in self.nodes:
            node.process.terminate()
        for node in self.nodes:
            try:
                node.process.wait(STOP_S_MAX)
            except subprocess.TimeoutExpired:
                node.process.kill()
                node.process.wait()
            node.close()


class Writer(threading.Thread):
    """Puts, updates and removes all the time, and remembers what was acknowledged last of each key."""

    def __init__(self, grid: gi.Grid) -> None:
        super().__init__(name="writer")
        self._grid = grid
        self._random = random.Random(7)
        self.stopping = threading.Event()
        self.standing: dict[int, dict[str, float] | None] = {}
        self.writes = 0
        self.slowest_s = 0.0
        """From a put to its prediction, at the worst."""
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.stopping.is_set():
                self._write()
        except BaseException as error:  # noqa: BLE001 - the test raises it
            self.failure = error

    def _write(self) -> None:
        features, chance = self._grid.features("records"), self._random
        keys = chance.sample(range(KEYS), 50)
        columns = {name: np.array([chance.random() for _ in keys]) for name in FEATURES}
        features.put_batch(columns | {"key": np.array(keys)}, key="key")
        for row, key in enumerate(keys):
            self.standing[key] = {name: float(columns[name][row]) for name in FEATURES}
        gone = chance.randrange(KEYS)
        features.remove(gone)
        self.standing[gone] = None
        key, record = chance.randrange(KEYS), {name: chance.random() for name in FEATURES}
        begun_s = time.monotonic()
        self._grid.predictions("upgraded").predict(key, record, timeout=PREDICT_S_MAX)
        self.slowest_s = max(self.slowest_s, time.monotonic() - begun_s)
        self.standing[key] = record
        self.writes += 52


@pytest.fixture
def cluster(before: Path, tmp_path: Path) -> Iterator[Cluster]:
    with ExitStack() as ending:
        cluster = Cluster(f"upgrade-{uuid.uuid4().hex[:8]}", tmp_path / "nodes.log")
        ending.callback(cluster.end)
        for _ in range(NODES):
            cluster.add(before)
        yield cluster


def owned(grid: gi.Grid) -> bool:
    now = grid.status()
    return len(now.workers) == NODES and all(one.owned == now.partitions for one in now.deployments)


def test_nothing_is_lost_from_one_version_to_the_next(cluster: Cluster, model: Any) -> None:
    first = gi.connect(cluster.nodes[0].address, cluster_name=cluster.name, connect_timeout_s=START_S_MAX)
    with first as grid:
        grid.wait_for_workers(NODES, START_S_MAX)
        grid.deploy("upgraded", model, features="records", columns=FEATURES)
        until(lambda: owned(grid), "the ownership of all", OWNED_S_MAX)
        writer = Writer(grid)
        writer.start()
        try:
            until(lambda: writer.writes > 500 or bool(writer.failure), "the first writes", OWNED_S_MAX)
            for old in list(cluster.nodes):
                old.stop()
                cluster.nodes.remove(old)
                cluster.add(ROOT)
                until(lambda: owned(grid), "the ownership of all", OWNED_S_MAX)
                written = writer.writes
                until(lambda written=written: writer.writes > written + 200, "further writes", OWNED_S_MAX)
        finally:
            writer.stopping.set()
            writer.join(PREDICT_S_MAX * 2)
        if writer.failure:
            raise writer.failure
        verdict = grid.verify("upgraded", wait_s=30.0)
        assert verdict.complete, str(verdict)
        assert sum(one.unexplained for one in grid.status().deployments) == 0
        _compare(grid, writer, model)
        sys.stdout.write(f"{writer.writes} writes; from a put to its prediction at most {writer.slowest_s:.1f} s\n")
        assert writer.slowest_s < SILENCE_S_MAX


def _compare(grid: gi.Grid, writer: Writer, model: Any) -> None:
    """Hold every record's prediction against the model itself, on the value that was acknowledged last."""
    predictions = grid.predictions("upgraded")
    there = [key for key, record in writer.standing.items() if record is not None]
    inputs = np.array([[writer.standing[key][name] for name in FEATURES] for key in there])  # type: ignore[index]
    expected = model.predict_proba(inputs)[:, 1]
    found = [predictions.get(key) for key in there]
    np.testing.assert_allclose([one.score if one else np.nan for one in found], expected, rtol=0, atol=1e-12)
    assert predictions.size() == len(there)

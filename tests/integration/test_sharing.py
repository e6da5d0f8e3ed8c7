"""Two workers of a node map the same file of a large model's arrays, and nothing of it stays."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

import grid_inference as gi
from tests.integration.conftest import FEATURES, Names, batch, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is mapped is read from /proc")

RECORDS = 2_000
MAPPED = re.compile(r"\S+ rw-p \S+ (\S+ \d+) +(\S+/grid-inference-arrays-\S+\.arrays)( \(deleted\))?")


def mapped(pid: int) -> set[tuple[str, str]]:
    """The files of arrays that a process maps: device and inode, path."""
    found = map(MAPPED.fullmatch, Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines())
    return {(one[1], one[2]) for one in found if one}


def fitted() -> Any:
    inputs = np.random.default_rng(3).random((400_000, 3))
    return KNeighborsClassifier(algorithm="kd_tree").fit(inputs, np.where(inputs.sum(axis=1) > 1.5, "fraud", "good"))


@pytest.mark.parametrize("share", ["1", "0"])
def test_workers_of_a_node_share_a_large_models_arrays(
    share: str, names: Names, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("GRID_INFERENCE_SHARE_ARRAYS", share)
    model = fitted()
    with gi.local(workers=2, keys=str(tmp_path)) as grid:
        assert grid.workers
        pids = grid.workers.pids
        grid.deploy(names.deployment, model, features=names.features, columns=FEATURES)
        until(lambda: [len(one["deployments"]) for one in grid.status().workers] == [1, 1], "the load", 60)
        columns = batch(RECORDS)
        grid.features(names.features).put_batch(columns, key="key")
        predictions = grid.predictions(names.deployment)
        until(lambda: predictions.size() == RECORDS, "the predictions", 60)
        rows = np.stack([columns[name] for name in FEATURES], axis=1)
        found = [predictions.get(key).label for key in range(RECORDS)]
        assert found == model.predict(rows).tolist()
        assert grid.verify(names.deployment).complete
        first, second = map(mapped, pids)
        if share == "0":
            assert not first | second
            return
        assert first == second
        ((_, path),) = first
        assert Path(path).parent.stat().st_mode & 0o777 == 0o700
        grid.undeploy(names.deployment)
        until(lambda: not Path(path).exists(), "the end of the file")
        # Reads of the map's journal are parked until something is put: the model does not wait for that.
        until(lambda: not any(map(mapped, pids)), "the end of its pages")
        assert grid.workers.pids == pids
    assert not Path(path).parent.exists()


def test_a_worker_that_comes_back_maps_what_is_there(names: Names, tmp_path: Path):
    with gi.local(workers=2, keys=str(tmp_path)) as grid:
        assert grid.workers
        grid.deploy(names.deployment, fitted(), features=names.features, columns=FEATURES)
        until(lambda: all(mapped(pid) for pid in grid.workers.pids), "the load", 60)
        before = mapped(grid.workers.pids[0])
        grid.workers._slots[0].process.kill()
        until(lambda: grid.workers.restarts == 1, "the restart")
        until(lambda: len(grid.workers.pids) == 2 and all(mapped(pid) for pid in grid.workers.pids), "the load", 60)
        assert [mapped(pid) for pid in grid.workers.pids] == [before, before]

"""A worker's memory follows its budget whatever the size of records: by a scan of what stands, and by the journal."""

from __future__ import annotations

import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import grid_inference as gi
from tests.integration.conftest import FEATURES, Names, batch, until

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the memory of a process is read from /proc"),
]

RECORDS, RECORD_BYTES, AT_ONCE = 1_800, 100_000, 50
BUDGET_BYTES, GROWTH_BYTES_MAX = 4 << 20, 32 << 20
SAMPLE_S = 0.005


@pytest.fixture(scope="module")
def small() -> Iterator[gi.Grid]:
    """One worker that may ask for 4 MiB at a time, and score 1 MiB."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRID_INFERENCE_READ_BUDGET_BYTES", str(BUDGET_BYTES))
        patch.setenv("GRID_INFERENCE_BATCH_BYTES_MAX", str(1 << 20))
        name = f"memory-{uuid.uuid4().hex[:8]}"
        with gi.local(workers=1, member=gi.MemberConfig(cluster_name=name, heap_mb=1536)) as grid:
            yield grid


def resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.split("VmRSS:")[1].split()[0]) * 1024


@contextmanager
def watched(pid: int) -> Iterator[list[int]]:
    """The memory of a process, again and again."""
    ended, seen = threading.Event(), [resident_bytes(pid)]

    def watch() -> None:
        while not ended.wait(SAMPLE_S):
            seen.append(resident_bytes(pid))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield seen
    finally:
        ended.set()
        watching.join()


def put_large(features: gi.Features, count: int) -> None:
    for first in range(0, count, AT_ONCE):
        columns = batch(AT_ONCE, first_key=first)
        columns["note"] = np.array(["x" * RECORD_BYTES] * AT_ONCE, object)
        features.put_batch(columns, key="key")


@pytest.mark.parametrize("way", ["scan", "journal"])
def test_large_records_stay_within_the_budget(small: gi.Grid, model: Any, names: Names, way: str) -> None:
    features, deployment = small.features(names.features), names.deployment
    put_large(features, RECORDS if way == "scan" else AT_ONCE)
    small.deploy(f"{deployment}-before", model, features=f"{names.features}-before", columns=FEATURES)
    small.features(f"{names.features}-before").put_batch(batch(20_000), key="key")
    assert small.verify(f"{deployment}-before", 60).complete  # all code has run, and its buffers are there
    assert small.workers
    [pid] = small.workers.pids
    with watched(pid) as seen:
        small.deploy(deployment, model, features=names.features, columns=FEATURES)
        if way == "journal":
            assert small.verify(deployment, 60).complete
            put_large(features, RECORDS)
        until(lambda: small.predictions(deployment).size() == RECORDS, "the predictions", 200)
    growth = max(seen) - seen[0]
    assert growth <= GROWTH_BYTES_MAX, f"{growth / (1 << 20):.0f} MiB"
    small.undeploy(deployment)
    features.destroy()

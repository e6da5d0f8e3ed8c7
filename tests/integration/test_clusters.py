"""Clusters of other shapes: an older release, no journal by default, a tiny journal, several workers, bad starts."""

from __future__ import annotations

import os
import signal
import sys
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

import grid_inference as gi
from tests.integration.conftest import FEATURES, batch, until

BASE = gi.MemberConfig(heap_mb=768)


def own(**changes: Any) -> gi.MemberConfig:
    """A member's configuration under a cluster name of its own."""
    return replace(BASE, cluster_name=f"c-{uuid.uuid4().hex[:10]}", **changes)


@pytest.mark.parametrize("version", ["5.7.0", "5.6.0"])
def test_a_cluster_without_journals_gets_one_by_deploying(version: str, model: Any) -> None:
    with gi.local(workers=1, member=own(version=version, journal=False)) as grid:
        grid.deploy("d", model, features="new", columns=FEATURES)
        predictions = grid.predictions("d")
        assert predictions.predict(1, dict.fromkeys(FEATURES, 0.9)).label == "fraud"
        grid.features("new").put_batch(batch(2_000), key="key")
        for seed in (1, 2):
            grid.features("new").put_batch(batch(2_000, seed), key="key")
        verdict = grid.verify("d", 30)
        assert verdict.complete
        assert verdict.predictions == 2_000
        assert grid.status().deployments[0].unexplained == 0


@pytest.fixture(scope="module")
def tiny_journal() -> Iterator[gi.Grid]:
    """A journal that holds ten events a partition, and two workers."""
    with gi.local(workers=2, member=own(journal_capacity=310)) as grid:
        yield grid


def test_a_journal_that_overflows_loses_nothing(tiny_journal: gi.Grid, model: Any) -> None:
    grid = tiny_journal
    grid.deploy("fast", model, features="flood", columns=FEATURES)
    # What is put before is scanned anyway.
    until(lambda: grid.status().deployments[0].owned == 31 and not grid.status().deployments[0].scanning, "the start")
    for start in range(0, 100_000, 20_000):
        grid.features("flood").put_batch(batch(20_000, start, start), key="key")
    grid.features("flood").put_batch(batch(20_000, 99, 10_000), key="key")
    verdict = grid.verify("fast", 60)
    assert verdict.complete, verdict
    assert verdict.predictions == 100_000
    until(lambda: bool(grid.status().deployments[0].gaps), "an overflow, without which the test proves nothing")
    assert set(grid.status().deployments[0].gaps) <= {"overflow", "lost events", "lag", "failed write"}
    grid.undeploy("fast")


def test_two_workers_share_the_partitions_and_one_takes_over(tiny_journal: gi.Grid, model: Any) -> None:
    grid = tiny_journal
    grid.deploy("shared", model, features="shared-features", columns=FEATURES)

    def shares() -> list[int]:
        return sorted(counts["owned"] for counts in grid.worker_counts("shared").values())

    until(lambda: shares() == [15, 16], "an even share of the partitions")
    assert grid.workers is not None
    grid.features("shared-features").put_batch(batch(1_000), key="key")
    assert grid.verify("shared", 30).complete
    killed = grid.workers.pids[0]
    os.kill(killed, signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)
    grid.features("shared-features").put_batch(batch(1_000, 5), key="key")
    verdict = grid.verify("shared", 30)
    assert verdict.complete, verdict
    until(lambda: shares() == [15, 16], "the return of the killed worker", 60)
    assert grid.workers.restarts == 1
    grid.undeploy("shared")


def test_a_wrong_address_says_so() -> None:
    with pytest.raises(gi.ConnectError, match=r"127\.0\.0\.1:1") as refused:
        gi.connect("127.0.0.1:1", connect_timeout_s=1)
    assert "node" in refused.value.remedy


def test_a_wrong_cluster_name_says_so(local_grid: gi.Grid) -> None:
    with pytest.raises(gi.ConnectError, match="other"):
        gi.connect(local_grid.address, cluster_name="other", connect_timeout_s=1)


def test_a_member_that_goes_away_while_scoring_is_survived_by_the_client(model: Any) -> None:
    with gi.local(workers=1, member=own()) as grid:
        grid.deploy("d", model, features="f", columns=FEATURES)
        grid.predictions("d").predict(1, dict.fromkeys(FEATURES, 0.9))
        assert grid.member is not None
        grid.member.kill()
        with pytest.raises(gi.GridInferenceError):
            grid.features("f").put(2, dict.fromkeys(FEATURES, 0.9))


def test_a_map_that_exists_without_a_journal_is_refused(model: Any) -> None:
    with gi.local(workers=1, member=own(journal=False)) as grid:
        grid.features("old").put_batch(batch(500), key="key")
        with pytest.raises(gi.DeploymentError, match="'old' has no event journal") as refused:
            grid.deploy("d", model, features="old", columns=FEATURES)
        assert "create the map anew" in refused.value.remedy

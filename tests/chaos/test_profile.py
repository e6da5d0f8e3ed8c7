"""Short profiles of `make chaos`: one seed, few faults, all promises but the bounds of time."""

from __future__ import annotations

import pytest

from tests.chaos.run import Options, run

SEED = 5
FAULTS = ("worker_sigkill", "poison", "proxy_cut", "destroy")
CHANGING_SEED = 7
CHANGING_FAULTS = ("worker_sigkill", "model_raises")
CHANGES = 4
OWNING_SEED = 11
OWNING_FAULTS = ("redeploy", "stopped_in_model", "start_new")


@pytest.mark.timeout(600)
def test_nothing_is_lost_under_a_few_faults() -> None:
    report = run(Options(SEED, faults=FAULTS, nodes=2, rate=0.3))
    assert report["acknowledged"] > 0
    assert report["dead_letters"] > 0
    assert not set(report["failed"]) - {"bounds_broken"}, report


@pytest.mark.timeout(600)
def test_each_version_is_told_apart_while_they_change_under_faults() -> None:
    report = run(Options(CHANGING_SEED, faults=CHANGING_FAULTS, promotions=CHANGES, nodes=2, rate=0.3))
    assert report["promotions"] + report["rollbacks"] == CHANGES
    assert report["rollbacks"] > 0
    assert report["changes_in_calm"] > 0
    assert all(one["messages_checked"] for one in report["versions"].values())
    assert not set(report["failed"]) - {"bounds_broken"}, report


@pytest.mark.timeout(600)
def test_every_result_is_that_of_the_model_at_work_by_its_one_owner() -> None:
    report = run(Options(OWNING_SEED, faults=OWNING_FAULTS, nodes=2, rate=0.3))
    assert report["dead_letters"] > 0
    assert not set(report["failed"]) - {"bounds_broken"}, report

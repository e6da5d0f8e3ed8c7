"""A short profile of `make chaos`: one seed, few faults, all promises but the bounds of time."""

from __future__ import annotations

import pytest

from tests.chaos.run import Options, run

SEED = 5
FAULTS = ("worker_sigkill", "poison", "proxy_cut", "destroy")


@pytest.mark.timeout(600)
def test_nothing_is_lost_under_a_few_faults() -> None:
    report = run(Options(SEED, faults=FAULTS, nodes=2, rate=0.3))
    assert report["acknowledged"] > 0
    assert report["dead_letters"] > 0
    assert not set(report["failed"]) - {"bounds_broken"}, report

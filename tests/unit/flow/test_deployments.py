"""What a worker tells of its deployments with each beat."""

from __future__ import annotations

from typing import Any, cast

from grid_inference.config import WorkerConfig
from grid_inference.flow.deployments import COUNTED_AT_ONCE, Deployments
from grid_inference.grid.leases import Leases
from grid_inference.grid.link import Link

MANY = 2 * COUNTED_AT_ONCE + 10


class Counted:
    """Says how often it was counted."""

    def __init__(self) -> None:
        self.times = 0

    def measured(self) -> dict[str, Any]:
        """One more time."""
        self.times += 1
        return {"owned": self.times, "failure": ""}


def running(count: int) -> tuple[Deployments, dict[str, Counted]]:
    """So many deployments, which are only counted."""
    deployments = Deployments(cast("Link", None), cast("Leases", LeasesOfNobody()), WorkerConfig(), "")
    ones = {str(number): Counted() for number in range(count)}
    deployments._running = cast("Any", ones)
    return deployments, ones


class LeasesOfNobody:
    """All that is asked of leases here."""

    worker = "w"


def test_few_are_counted_each_time() -> None:
    deployments, ones = running(COUNTED_AT_ONCE)
    assert [deployments.counts()["7"]["owned"] for _ in range(3)] == [1, 2, 3]
    assert {one.times for one in ones.values()} == {3}


def test_of_many_each_is_counted_in_its_turn() -> None:
    deployments, ones = running(MANY)
    assert set(deployments.counts()) == set(ones)  # what was never counted is
    before = sum(one.times for one in ones.values())
    deployments.counts()
    assert sum(one.times for one in ones.values()) - before <= COUNTED_AT_ONCE
    deployments.counts()
    deployments.counts()
    assert {one.times for one in ones.values()} == {2}


def test_another_one_under_a_name_is_counted_at_once() -> None:
    deployments, ones = running(MANY)
    deployments.counts()
    for name in list(ones):
        ones[name] = Counted()
    assert {counts["owned"] for counts in deployments.counts().values()} == {1}
    assert {one.times for one in ones.values()} == {1}


def test_a_failure_shows_at_once_and_passes() -> None:
    deployments, _ = running(MANY)
    deployments.counts()
    deployments._failures = {"7": "no such file", "not here": "no memory"}
    told = deployments.counts()
    assert (told["7"]["failure"], told["not here"]) == ("no such file", {"owned": 0, "failure": "no memory"})
    deployments._failures = {}
    assert deployments.counts()["7"]["failure"] == ""

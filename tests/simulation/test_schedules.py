"""Schedules that once broke a promise, at their shortest."""

from __future__ import annotations

import pytest

from tests.simulation.plan import Event, Plan
from tests.simulation.run import run

ONCE_BROKEN = {
    # The write is acknowledged when the member goes on, before a beat has shown that the leases are ours still.
    "acknowledged_in_a_doubt": Plan(
        1,
        partitions=2,
        keys=6,
        workers=1,
        events=(Event(0.0, "put", 0, 6), Event(5.0, "put", 0, 6), Event(5.0005, "hold", 0, 4.2)),
    ),
}


@pytest.mark.parametrize("plan", ONCE_BROKEN.values(), ids=ONCE_BROKEN)
def test_what_once_broke_a_promise_holds(plan: Plan) -> None:
    assert not [str(one) for one in run(plan).violations]

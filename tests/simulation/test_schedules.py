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
    # The older of two copies of a batch is carried out behind the newer batch of the same worker.
    "older_copy_behind_a_cut": Plan(
        12,
        partitions=2,
        keys=6,
        workers=1,
        late=0.1,
        latency_s=0.002,
        row_s=0.0005,
        events=(
            Event(5.827388689529734, "put", 0, 3),
            Event(6.172089614000631, "put", 2, 1),
            Event(6.25744078977659, "put", 0, 1),
            Event(6.610197551319282, "put", 3, 2),
            Event(6.683449912528969, "put", 5, 2),
            Event(6.75182033942292, "put", 0, 4),
            Event(7.307579704149664, "put", 3, 2),
            Event(7.630864114050893, "put", 3, 4),
            Event(7.859613267985457, "cut", 0, how=1),
        ),
    ),
    # A claim waits for a busy partition; its holder comes back meanwhile and finds its lease as it was.
    "claim_behind_who_comes_back": Plan(
        20027,
        partitions=7,
        members=2,
        capacity=256,
        keys=10,
        latency_s=0.002,
        refused=10,
        late=0.003,
        row_s=0.0002,
        inline_rows_max=0,
        places=True,
        events=(
            Event(4.584875791426151, "pause", 1, 3.390852524008948),
            Event(4.724683998082806, "busy", 1, 3.8691861348004477),
            Event(5.013233903158135, "put", 8, 3),
            Event(5.151039675789956, "put", 5, 1, 2),
        ),
    ),
}


@pytest.mark.parametrize("plan", ONCE_BROKEN.values(), ids=ONCE_BROKEN)
def test_what_once_broke_a_promise_holds(plan: Plan) -> None:
    assert not [str(one) for one in run(plan).violations]

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
        2,
        partitions=2,
        keys=6,
        workers=1,
        late=0.1,
        latency_s=0.002,
        row_s=0.0005,
        events=(
            Event(2.8489217093423784, "cut", 0, how=1),
            Event(3.0309772450960746, "put", 1, 3),
            Event(3.0804780422573184, "put", 5, 1),
            Event(4.208334250163282, "put", 1, 2),
            Event(4.598254553330218, "put", 1, 3),
            Event(4.791956221455166, "put", 2, 2),
            Event(5.127934274859062, "put", 0, 2),
            Event(5.409039316611483, "put", 0, 4),
            Event(5.42049686646474, "cut", 0, how=1),
            Event(5.422046752056771, "put", 2, 4),
            Event(7.033924328701661, "cut", 0, how=1),
            Event(7.372875029259471, "put", 3, 4),
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

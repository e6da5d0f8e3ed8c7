"""What a worker compares of partitions that it has taken."""

from __future__ import annotations

from grid_inference.flow.deployment import comparisons
from grid_inference.flow.proof import LATE_WRITE
from grid_inference.grid.leases import LATE_WRITE_S, Claim


def test_what_was_given_back_in_order_is_not_compared() -> None:
    assert comparisons(Claim(3, taken_over=False)) == []


def test_what_was_taken_from_a_dead_holder_is_compared_at_once_and_at_the_end() -> None:
    assert comparisons(Claim(3, taken_over=True, late_s=LATE_WRITE_S)) == [
        ("taken over", 0.0),
        (LATE_WRITE, LATE_WRITE_S),
    ]


def test_what_has_come_late_before_a_hand_over_does_not_stand_until_the_end_of_another_time() -> None:
    """Holders that could not end their writing begin the time of late writes anew: what has come is looked for now."""
    assert comparisons(Claim(3, taken_over=False, late_s=LATE_WRITE_S)) == [
        (LATE_WRITE, 0.0),
        (LATE_WRITE, LATE_WRITE_S),
    ]

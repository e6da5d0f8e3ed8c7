"""Who lives, as seen from outside: by beats on the observer's own clock, with time passed in."""

from __future__ import annotations

from typing import Any

import pytest

from grid_inference.grid.liveness import SILENT_S, Lookout


def said(beat: int, **more: Any) -> dict[str, Any]:
    return {"beat": beat, **more}


def look(out: Lookout, at_s: float, answer_s: float = 0.0, **workers: dict[str, Any]) -> tuple[str, str, str]:
    """The ids of those that live, are unsure and are silent."""
    seen = out.observe(workers, at_s, at_s + answer_s)
    found = tuple("".join(sorted(each)) for each in (seen.living, seen.unsure, seen.silent))
    assert "".join(sorted(seen.present)) == "".join(sorted(found[0] + found[1]))
    return found[0], found[1], found[2]


def test_nothing_is_known_at_the_first_look() -> None:
    assert look(Lookout(), 0.0, a=said(7), b=said(3)) == ("", "ab", "")


def test_one_lives_whose_beat_changes_and_one_is_silent_whose_beat_stands_still() -> None:
    out = Lookout()
    look(out, 0.0, a=said(1), b=said(9))
    for tenth in range(1, 60):
        assert look(out, tenth / 10, a=said(1 + tenth), b=said(9)) == ("a", "b", "")
    assert look(out, 6.1, a=said(99), b=said(9)) == ("a", "", "b")
    assert look(out, 6.2, a=said(100), b=said(10)) == ("ab", "", "")


def test_one_that_comes_while_it_is_watched_lives() -> None:
    out = Lookout()
    look(out, 0.0)
    assert look(out, 0.1, a=said(1)) == ("a", "", "")
    assert look(out, 0.2) == ("", "", "")


def test_a_clock_of_the_worker_says_nothing() -> None:
    out = Lookout()
    look(out, 0.0, a=said(1, said_at_us=1 << 60), b=said(1, said_at_us=0))
    assert look(out, 1.0, a=said(1, said_at_us=1 << 60), b=said(2, said_at_us=0)) == ("b", "a", "")


def test_a_look_that_the_member_held_up_makes_nobody_silent() -> None:
    out = Lookout()
    look(out, 0.0, a=said(1))
    assert look(out, 0.1, answer_s=60.0, a=said(1)) == ("", "a", "")
    assert look(out, 60.2, a=said(1)) == ("", "a", "")


def test_who_has_not_looked_for_long_knows_little() -> None:
    out = Lookout()
    look(out, 0.0, a=said(1), b=said(1))
    look(out, 1.0, a=said(2), b=said(2))
    assert look(out, 3600.0, a=said(2), b=said(4000), c=said(1)) == ("", "abc", "")


def test_an_answer_that_comes_late_is_no_beat() -> None:
    out = Lookout()
    look(out, 0.0, a=said(5))
    assert look(out, 0.1, a=said(4)) == ("", "a", "")


@pytest.mark.parametrize(("lease_s", "silent_s"), [(10.0, 20.0), (0.1, SILENT_S), ("soon", SILENT_S)])
def test_a_worker_of_long_leases_may_be_quiet_for_longer(lease_s: Any, silent_s: float) -> None:
    out, at_s = Lookout(), 0.0
    while "a" not in look(out, at_s, a=said(1, lease_ttl_s=lease_s))[2]:
        at_s += 0.5
    assert at_s == pytest.approx(silent_s, abs=0.51)

"""Who scores what, and who is alive: pure functions, with time passed in."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from grid_inference.grid.topology import (
    LEAVING,
    LEFT,
    LOADING,
    READY,
    Beats,
    assign,
    entitled,
    home_partition,
    is_gone,
    machine,
    moved_by_loss,
)

members = st.sampled_from(["m1", "m2", "m3"])
workers = st.dictionaries(st.text(min_size=1, max_size=4), st.none() | members, min_size=1, max_size=6)
tables = st.lists(members, min_size=1, max_size=60).map(lambda owners: dict(enumerate(owners)))


@given(tables, workers)
def test_every_partition_has_one_living_worker(owners: dict[int, str], there: dict[str, str | None]) -> None:
    assigned = assign(owners, there)
    assert assigned.keys() == owners.keys()
    assert set(assigned.values()) <= there.keys()


@given(tables, workers)
def test_a_member_with_workers_keeps_its_partitions(owners: dict[int, str], there: dict[str, str | None]) -> None:
    with_workers = {member for member in there.values() if member}
    for partition, worker in assign(owners, there).items():
        if owners[partition] in with_workers:
            assert there[worker] == owners[partition]


@given(tables, workers, st.randoms())
def test_the_order_of_what_is_known_does_not_matter(owners, there, random) -> None:  # type: ignore[no-untyped-def]
    shuffled_owners, shuffled = list(owners.items()), list(there.items())
    random.shuffle(shuffled_owners)
    random.shuffle(shuffled)
    assert assign(dict(shuffled_owners), dict(shuffled)) == assign(owners, there)


def test_shares_are_even() -> None:
    shares = Counter(assign(dict.fromkeys(range(31), "m"), {"a": "m", "b": "m", "c": "m"}).values())
    assert sorted(shares.values()) == [10, 10, 11]


def test_without_workers_nobody_scores() -> None:
    assert assign({0: "m"}, {}) == {}


def said(beat: int, **more: object) -> dict[str, object]:
    return {"beat": beat, **more}


def look(beats: Beats, at_s: float, took_s: float = 0.0, **workers: object) -> set[str]:
    """One look at `worker=beat`, or at what it said; returns who lives."""
    beats.observe(
        {worker: one if isinstance(one, dict) else said(one) for worker, one in workers.items()},  # type: ignore[arg-type]
        at_s,
        at_s + took_s,
    )
    return set(beats.living())


def test_a_worker_lives_as_long_as_its_beat_changes() -> None:
    beats = Beats(lease_ttl_s=4.0)
    assert look(beats, 100.0, a=1, b=7) == {"a", "b"}
    assert look(beats, 101.5, a=2, b=7) == {"a", "b"}
    assert look(beats, 103.0, a=3, b=7) == {"a", "b"}
    assert look(beats, 104.0, a=3, b=7) == {"a"}
    assert look(beats, 105.0, a=3, b=8) == {"a", "b"}
    assert look(beats, 107.0, a=3, b=8) == {"b"}


def test_absence_is_silence_and_no_death() -> None:
    beats = Beats(lease_ttl_s=4.0)
    look(beats, 100.0, a=1, b=1)
    assert look(beats, 101.0, a=2) == {"a", "b"}, "another observer, or a lost member, took the entry away"
    assert beats.said("b") == said(1)
    assert look(beats, 102.5, a=3, b=5) == {"a", "b"}
    assert look(beats, 104.5, a=4) == {"a", "b"}
    assert look(beats, 106.5, a=5) == {"a"}
    assert not beats.lives("b", 106.5)


def test_whom_nobody_has_seen_is_given_the_time_of_a_lease() -> None:
    beats = Beats(lease_ttl_s=4.0)
    look(beats, 100.0, a=1)
    assert beats.lives("never seen", 100.0)
    assert "never seen" not in beats.living(), "it takes no share"
    look(beats, 102.0, a=2)
    look(beats, 104.0, a=3)
    assert not beats.lives("never seen", 104.0)
    look(beats, 105.0, a=4)
    assert not beats.lives("never seen", 105.0)


def test_silence_is_judged_as_of_the_question_and_a_beat_as_of_the_answer() -> None:
    beats = Beats(lease_ttl_s=3.0)
    look(beats, 100.0, a=1)
    # The answer took 3.9 s, because a member was silent; it may tell of any moment of these.
    assert look(beats, 100.7, took_s=3.9, a=1) == {"a"}
    assert look(beats, 104.7, a=2) == {"a"}
    assert look(beats, 105.4, took_s=3.9, a=3) == {"a"}
    assert look(beats, 109.4, a=3) == {"a"}, "the beat may have begun just before the answer"
    assert look(beats, 110.8, a=3) == {"a"}
    assert look(beats, 112.2, a=3) == {"a"}
    assert look(beats, 112.5, a=3) == set()


def test_who_has_not_looked_for_long_looks_twice() -> None:
    beats = Beats(lease_ttl_s=3.0)
    look(beats, 100.0, a=1, b=1)
    # All of them were stopped, with the machine: nobody has had the time for a beat yet.
    assert look(beats, 110.0, a=1, b=1) == {"a", "b"}
    assert look(beats, 110.01, a=1, b=1) == {"a", "b"}
    assert look(beats, 110.7, a=2, b=1) == {"a", "b"}
    assert look(beats, 111.6, a=3, b=1) == {"a"}
    # An observer that is always slow takes over all the same; and who was dead before stays dead.
    assert look(beats, 120.0, a=3, b=1) == {"a"}
    assert look(beats, 130.0, a=3, b=1) == set()


def test_nobody_is_taken_for_dead_by_an_old_look() -> None:
    beats = Beats(lease_ttl_s=3.0)
    look(beats, 100.0, a=1)
    look(beats, 101.4, a=1)
    look(beats, 102.8, a=1)
    look(beats, 103.2, a=1)
    assert not beats.lives("a", 104.0)
    assert beats.lives("a", 106.3), "it may have come back since"


def test_who_has_given_everything_back_is_gone_at_once() -> None:
    beats = Beats(lease_ttl_s=3.0)
    look(beats, 100.0, a=1, b=1)
    assert look(beats, 100.5, a=2, b=said(2, phase=LEFT)) == {"a"}
    assert not beats.lives("b", 100.5)
    assert look(beats, 101.0, a=3) == {"a"}


def test_a_share_goes_to_who_is_ready() -> None:
    loading, leaving = said(1, phase=LOADING, member="m1"), said(1, phase=LEAVING, member="m1")
    ready, before = said(1, phase=READY, member="m1"), said(1)
    assert entitled({"a": loading, "b": ready, "c": leaving, "d": before}) == {"b": "m1", "d": None}
    assert entitled({"a": loading, "c": leaving}) == {"a": "m1"}
    assert entitled({"c": leaving}) == {}


@given(tables, st.text(max_size=4), st.none() | members)
def test_an_entry_lies_on_its_own_member_and_stays(owners: dict[int, str], worker: str, member: str | None) -> None:
    home = home_partition(worker, owners, member)
    assert home in owners
    assert owners[home] == member or member not in owners.values()
    assert home_partition(worker, owners, member, home) == home
    assert home_partition(worker, owners, "no member", home) == home


def test_a_partition_moves_by_loss_when_its_owner_is_no_member_any_more() -> None:
    before = {0: "a", 1: "a", 2: "b", 3: "c"}
    assert moved_by_loss(before, {0: "b", 1: "c", 2: "b", 3: "c"}, {"b", "c"}) == {0, 1}
    # A planned move: the old owner is there still. And a partition that nothing was known of.
    assert moved_by_loss(before, {0: "b", 1: "a", 2: "b", 3: "c", 4: "b"}, {"a", "b", "c"}) == set()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which processes an id speaks of")
def test_a_worker_of_this_machine_is_gone_with_its_process() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    said = {"machine": machine(), "pid": process.pid}
    assert not is_gone(said)
    process.communicate(b"\n")
    assert is_gone(said)
    assert not is_gone({**said, "machine": "another"})
    assert not is_gone({})


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which processes an id speaks of")
def test_a_process_that_is_hidden_from_us_is_not_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    def hidden(pid: int) -> None:  # what it says of another user's process where /proc has `hidepid`
        raise psutil.NoSuchProcess(pid)

    monkeypatch.setattr(psutil, "Process", hidden)
    assert not is_gone({"machine": machine(), "pid": os.getpid()})
    assert not is_gone({"machine": machine(), "pid": 1})


@pytest.mark.parametrize("pid", [0, -1, 1 << 31, 1 << 70, None, "1"])
def test_what_is_no_process_id_is_not_gone(pid: object) -> None:
    assert not is_gone({"machine": machine(), "pid": pid})


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells which processes an id speaks of")
def test_a_process_that_nobody_has_waited_for_is_gone() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert is_gone({"machine": machine(), "pid": process.pid})
    process.wait()

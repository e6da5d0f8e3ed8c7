"""Who scores what, and who is alive: pure functions, with time passed in."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grid_inference.grid.topology import Beats, assign, is_gone, machine, moved_by_loss

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


def test_a_worker_lives_as_long_as_its_beat_changes() -> None:
    beats = Beats(lease_ttl_s=4.0)
    assert beats.observe({"a": 1, "b": 7}, at_s=100.0) == {"a", "b"}
    assert beats.observe({"a": 2, "b": 7}, at_s=103.0) == {"a", "b"}
    assert beats.observe({"a": 3, "b": 7}, at_s=104.0) == {"a"}
    assert beats.observe({"a": 3, "b": 8}, at_s=105.0) == {"a", "b"}
    assert beats.observe({"a": 3}, at_s=108.0) == set()
    assert beats.observe({"b": 8}, at_s=109.0) == {"b"}


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

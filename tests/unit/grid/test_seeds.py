"""Joining by a name that stands for several machines."""

from __future__ import annotations

import pytest

from grid_inference.errors import MemberStartError
from grid_inference.grid.member import seeds as module
from grid_inference.grid.member.seeds import seeds

A, B, C = ("10.0.0.2", 5701), ("10.0.0.3", 5701), ("10.0.0.10", 5701)


class World:
    """Names and members that come up as time goes by, which only sleeping makes it do."""

    def __init__(self, monkeypatch, *names, up=()) -> None:
        self.now_s = 0.0
        self.names, self.up = list(names), dict(up)
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now_s)
        monkeypatch.setattr(module.time, "sleep", self.sleep)

    def sleep(self, seconds):
        self.now_s += seconds

    def resolve(self, host, port):
        assert (host, port) == ("node", 5701)
        return {place for since_s, place in self.names if since_s <= self.now_s}

    def listens(self, place):
        return self.up.get(place, float("inf")) <= self.now_s

    def seeds(self, own, *join):
        return seeds(
            join or ("node:5701",), 5701, resolve=self.resolve, listens=self.listens, own={own[0], "127.0.0.1"}
        )


def test_addresses_are_taken_as_they_are():
    places = ("127.0.0.1:5701", "[::1]:5702", "localhost:5703")
    assert seeds(places, 5701) == places
    assert seeds((), 0) == ()


def test_whoever_is_alone_starts_alone(monkeypatch):
    world = World(monkeypatch, (0, A))
    assert world.seeds(A) == ()
    assert world.now_s < 5


def test_the_lowest_goes_first_and_the_others_wait_for_it(monkeypatch):
    names = [(0, A), (0.6, B), (1.2, C)]
    first = World(monkeypatch, *names)
    assert first.seeds(A) == ("10.0.0.10:5701", "10.0.0.3:5701")
    assert first.now_s < 6
    for mine in (B, C):
        other = World(monkeypatch, *names, up={A: 15.0})
        assert "10.0.0.2:5701" in other.seeds(mine)
        assert 15 <= other.now_s < 17


def test_whoever_comes_later_joins_those_that_are_there(monkeypatch):
    world = World(monkeypatch, (0, A), (0, B), (0, C), up={B: 0.0})
    assert world.seeds(A) == ("10.0.0.10:5701", "10.0.0.3:5701")
    assert world.now_s < 5


def test_nobody_waits_for_ever(monkeypatch):
    world = World(monkeypatch, (0, A), (0, B))
    assert world.seeds(B) == ("10.0.0.2:5701",)
    assert world.now_s < 120


def test_the_one_that_is_waited_for_may_go(monkeypatch):
    world = World(monkeypatch, (0, A), (0, B), up={C: 30.0})
    world.names += [(20, C)]
    assert "10.0.0.10:5701" in world.seeds(B)
    assert world.now_s < 35


def test_a_name_that_nobody_knows(monkeypatch):
    with pytest.raises(MemberStartError, match="node stands for no address"):
        World(monkeypatch).seeds(A)


def test_written_addresses_stand_beside_names(monkeypatch):
    world = World(monkeypatch, (0, A), up={("192.0.2.1", 5705): 0.0})
    assert world.seeds(A, "node:5701", "192.0.2.1:5705") == ("192.0.2.1:5705",)


def test_another_member_of_this_machine_is_another_one(monkeypatch):
    world = World(monkeypatch, (0, A), (0, B), up={B: 0.0})
    own = {A[0], B[0]}
    assert seeds(("node:5701",), 5702, resolve=world.resolve, listens=world.listens, own=own) == (
        "10.0.0.2:5701",
        "10.0.0.3:5701",
    )


def test_a_name_beside_localhost_and_ipv6(monkeypatch):
    world = World(monkeypatch, (0.0, A), (0.0, B))
    assert world.seeds(A, "node:5701", "localhost:5702", "[::1]:5703") == (
        "10.0.0.3:5701",
        "[::1]:5703",
        "localhost:5702",
    )

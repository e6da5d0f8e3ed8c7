"""Leases on a real member: one owner per partition, what a lost one leads to, and requests that end with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from grid_inference.config import GridConfig
from grid_inference.errors import LeaseExpiredError
from grid_inference.grid.leases import LATE_WRITE_S, LEASES_MAP, TRIAL_AFTER, Claim, Leases
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap
from grid_inference.grid.member import Member
from grid_inference.grid.topology import now_s
from grid_inference.wire import messages
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.json_values import encode_json
from grid_inference.wire.keys import encode_keys, partition_ids

TTL_S = 60.0


def on_a_link(member: Member, go: Callable[[Link], Awaitable[None]]) -> None:
    async def run() -> None:
        link = await Link.open(GridConfig(address=member.address, cluster_name=member.cluster_name))
        try:
            # Workers of other tests may have left some.
            await GridMap(link, LEASES_MAP).clear()
            await go(link)
        finally:
            await link.close()

    asyncio.run(asyncio.wait_for(run(), 60))


def owner(link: Link, name: str) -> Leases:
    """Leases of a worker that has just beaten, for the first time."""
    leases = Leases(link, name, TTL_S)
    leases.renew(now_s())
    return leases


def test_one_owner_at_a_time_and_each_change_counts_up(member: Member) -> None:
    async def go(link: Link) -> None:
        a, b = owner(link, "one-a"), owner(link, "one-b")
        assert await a.confirm() == []
        assert await a.claim([0, 1], {"one-a", "one-b"}) == {0: Claim(1, False), 1: Claim(1, False)}
        assert await b.claim([0, 1], {"one-a", "one-b"}) == {}
        await a.release([0])
        assert await b.claim([0, 1], {"one-a", "one-b"}) == {0: Claim(2, False)}
        assert (a.held, b.held) == ([1], [0])
        # A holder that is dead is taken over from, which is said.
        assert await b.claim([1], {"one-b"}) == {1: Claim(2, True, LATE_WRITE_S, deaths=1)}
        # And until nothing late can arrive any more it goes along with the partition.
        await b.release([0, 1])
        assert await a.claim([0], {"one-a", "one-b"}) == {0: Claim(3, False)}
        [claim] = (await a.claim([1], {"one-a", "one-b"})).values()
        assert (claim.epoch, claim.taken_over) == (3, False)
        assert LATE_WRITE_S - 10 < claim.late_s <= LATE_WRITE_S

    on_a_link(member, go)


def test_deaths_in_a_row_are_counted_before_anything_is_scored(member: Member) -> None:
    async def go(link: Link) -> None:
        a, b, c, d = (owner(link, name) for name in ("dead-a", "dead-b", "dead-c", "dead-d"))
        await a.claim([4, 5], {"dead-a"})
        assert await b.claim([4, 5], {"dead-b"}) == {
            4: Claim(2, True, LATE_WRITE_S, deaths=1),
            5: Claim(2, True, LATE_WRITE_S, deaths=1),
        }
        # What is calm starts anew; what is given back keeps its count, which is nobody's death.
        await b.set_deaths([5], 0)
        await b.release([4])
        assert await b.confirm() == []
        claims = await c.claim([4, 5], {"dead-c"})
        assert replace(claims[4], late_s=0.0) == Claim(3, False, deaths=1)
        assert claims[5] == Claim(3, True, LATE_WRITE_S, deaths=1)
        assert not claims[4].suspect
        # Who hangs says so itself, and its successor is warned whatever happened before.
        await c.set_deaths([4], TRIAL_AFTER)
        assert await c.confirm() == []
        claims = await d.claim([4, 5], {"dead-d"})
        assert [claims[4].suspect, claims[5].suspect] == [True, True]
        # One's own lease, found lost by mistake, is taken back without a death.
        assert (await d.claim([5], {"dead-d"}))[5].deaths == claims[5].deaths
        # A lease that is somebody else's by now is not touched.
        await c.set_deaths([5], 0)
        assert await d.confirm() == []

    on_a_link(member, go)


def test_what_is_acknowledged_after_the_lease_was_lost_is_late(member: Member) -> None:
    async def go(link: Link) -> None:
        a, b = owner(link, "late-a"), owner(link, "late-b")
        await a.confirm()
        await a.claim([2, 3], {"late-a"})
        assert a.settle(2, 1)
        # The beat stands still beyond the lease's time: nothing is known until the leases have been read again.
        a._valid_until_s = now_s()
        a.renew(now_s())
        assert a.expired
        assert not a.allows(2, 1)
        assert not a.settle(2, 1)
        assert not a.settle(3, 1)
        await b.claim([2], {"late-b"})
        assert await a.confirm() == [2]
        assert dict(a.late) == {2: 1}
        assert a.allows(3, 1)
        assert not a.allows(3, 2)
        assert a.settle(3, 1)
        # An answer that comes still later.
        assert not a.settle(2, 1)
        assert dict(a.late) == {2: 2}

    on_a_link(member, go)


def test_a_lease_that_could_not_be_given_back_is_given_back_later(member: Member) -> None:
    async def go(link: Link) -> None:
        a, b = owner(link, "stuck-a"), owner(link, "stuck-b")
        await a.claim([6], {"stuck-a"})
        a.epochs[6] = 0  # as after a release whose request was lost
        assert await b.claim([6], {"stuck-a", "stuck-b"}) == {}
        assert await a.confirm() == []
        assert (await b.claim([6], {"stuck-a", "stuck-b"}))[6].epoch == 2

    on_a_link(member, go)


def test_a_request_is_not_sent_without_its_lease(member: Member) -> None:
    async def go(link: Link) -> None:
        there = GridMap(link, "guarded")
        key = encode_keys(["k"])[0]
        partition = int(partition_ids(Blobs.of([key]), link.partition_count)[0])
        request = (partition, messages.set_request("guarded", key, encode_json(1)))
        asked: list[int] = []

        def refuses(partition: int) -> bool:
            asked.append(partition)
            return False

        with pytest.raises(LeaseExpiredError, match=str(partition)):
            await link.call_all([request], refuses)
        assert asked == [partition]
        assert await there.get(key) is None
        await link.call_all([request], lambda _: True)
        assert await there.get(key) is not None

    on_a_link(member, go)


def test_what_failed_when_the_lease_was_lost_is_told_as_a_late_write(member: Member, monkeypatch) -> None:
    monkeypatch.setattr("grid_inference.grid.leases.LATE_WRITE_S", 0.2)

    async def go(link: Link) -> None:
        a, b = owner(link, "fail-a"), owner(link, "fail-b")
        await a.claim([0, 1, 2], {"fail-a", "fail-b"})
        a.unanswered(0, 1)
        assert not a.late, "it is ours still, and scored again"
        await b.claim([1, 2], {"fail-b"})
        a.renew(now_s() - 2 * TTL_S)  # it slept, and does not know yet what became of its leases
        a.unanswered(1, 1)
        assert not a.late
        a.renew(now_s())
        assert sorted(await a.confirm()) == [1, 2]
        assert a.late == {1: 1}
        a.unanswered(2, 1)
        assert a.late == {1: 1, 2: 1}
        await asyncio.sleep(0.5)
        assert a.late == {1: 2, 2: 2}, "told again when nothing can arrive any more"

    on_a_link(member, go)

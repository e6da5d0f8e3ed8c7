"""Leases on a real member: one owner per partition, what a lost one leads to, and requests that end with it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from grid_inference.config import GridConfig
from grid_inference.errors import ConnectionLostError, LeaseExpiredError
from grid_inference.grid import leases
from grid_inference.grid.leases import LATE_WRITE_S, LEASES_MAP, TRIAL_AFTER, Claim, Leases, holders
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap
from grid_inference.grid.member import Member
from grid_inference.grid.topology import now_s
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.json.values import encode_json
from grid_inference.wire.keys import encode_keys, guard_key, partition_ids
from grid_inference.wire.protocol import messages

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


async def seen() -> None:
    """Who lives is known."""


def owner(link: Link, name: str) -> Leases:
    """Leases of a worker that has just beaten, for the first time."""
    leases = Leases(link, name, TTL_S)
    leases.renew(now_s())
    return leases


def test_one_owner_at_a_time_and_each_change_counts_up(member: Member) -> None:
    async def go(link: Link) -> None:
        a, b = owner(link, "one-a"), owner(link, "one-b")
        assert await a.confirm() == []
        assert await a.claim([0, 1], {"one-a", "one-b"}.__contains__, seen) == {0: Claim(1, False), 1: Claim(1, False)}
        assert await b.claim([0, 1], {"one-a", "one-b"}.__contains__, seen) == {}
        await a.release([0])
        assert await b.claim([0, 1], {"one-a", "one-b"}.__contains__, seen) == {0: Claim(2, False)}
        assert (a.held, b.held) == ([1], [0])
        # A holder that is dead is taken over from, which is said.
        assert await b.claim([1], {"one-b"}.__contains__, seen) == {1: Claim(2, True, LATE_WRITE_S, deaths=1)}
        # And until nothing late can arrive any more it goes along with the partition.
        await b.release([0, 1])
        assert await a.claim([0], {"one-a", "one-b"}.__contains__, seen) == {0: Claim(3, False)}
        [claim] = (await a.claim([1], {"one-a", "one-b"}.__contains__, seen)).values()
        assert (claim.epoch, claim.taken_over) == (3, False)
        assert LATE_WRITE_S - 10 < claim.late_s <= LATE_WRITE_S

    on_a_link(member, go)


def test_deaths_in_a_row_are_counted_before_anything_is_scored(member: Member) -> None:
    async def go(link: Link) -> None:
        a, b, c, d = (owner(link, name) for name in ("dead-a", "dead-b", "dead-c", "dead-d"))
        await a.claim([4, 5], {"dead-a"}.__contains__, seen)
        assert await b.claim([4, 5], {"dead-b"}.__contains__, seen) == {
            4: Claim(2, True, LATE_WRITE_S, deaths=1),
            5: Claim(2, True, LATE_WRITE_S, deaths=1),
        }
        # What is calm starts anew; what is given back keeps its count, which is nobody's death.
        await b.set_deaths([5], 0)
        await b.release([4])
        assert await b.confirm() == []
        claims = await c.claim([4, 5], {"dead-c"}.__contains__, seen)
        assert replace(claims[4], late_s=0.0) == Claim(3, False, deaths=1)
        assert claims[5] == Claim(3, True, LATE_WRITE_S, deaths=1)
        assert not claims[4].suspect
        # Who hangs says so itself, and its successor is warned whatever happened before.
        await c.set_deaths([4], TRIAL_AFTER)
        assert await c.confirm() == []
        claims = await d.claim([4, 5], {"dead-d"}.__contains__, seen)
        assert [claims[4].suspect, claims[5].suspect] == [True, True]
        # One's own lease, found lost by mistake, is taken back without a death.
        assert (await d.claim([5], {"dead-d"}.__contains__, seen))[5].deaths == claims[5].deaths
        # A lease that is somebody else's by now is not touched.
        await c.set_deaths([5], 0)
        assert await d.confirm() == []

    on_a_link(member, go)


def test_what_is_acknowledged_after_the_lease_was_lost_is_late(member: Member) -> None:
    async def go(link: Link) -> None:
        a, b = owner(link, "late-a"), owner(link, "late-b")
        await a.confirm()
        await a.claim([2, 3], {"late-a"}.__contains__, seen)
        assert a.settle(2, 1)
        assert await a.confirm() == []
        # The beat stands still beyond the lease's time: nothing is known until the leases have been read again.
        a._valid_until_s = now_s()
        a.renew(now_s())
        assert a.expired
        assert not a.allows(2, 1)
        assert not a.settle(2, 1)
        assert not a.settle(3, 1)
        await b.claim([2], {"late-b"}.__contains__, seen)
        assert await a.confirm() == [2]
        assert dict(a.late) == {2: 1}
        assert a.allows(3, 1)
        assert not a.allows(3, 2)
        assert a.settle(3, 1)
        # An answer that comes still later.
        assert not a.settle(2, 1)
        assert dict(a.late) == {2: 2}

    on_a_link(member, go)


def stall(leases: Leases) -> None:
    """The beat stands still beyond the lease's time, and goes on."""
    leases._valid_until_s = now_s()
    leases.renew(now_s())


def test_who_comes_back_is_not_taken_over_from_by_a_claim_that_was_decided_before(member: Member) -> None:
    async def go(link: Link) -> None:
        a, b = owner(link, "back-a"), owner(link, "back-b")
        await a.confirm()
        await a.claim([7, 8], {"back-a"}.__contains__, seen)
        assert await a.confirm() == []

        async def comes_back() -> None:
            stall(a)
            assert a.expired
            assert await a.confirm() == []

        # The lease was read, and only then is it seen that its holder is silent, which it is no more when we claim.
        assert await b.claim([7], set().__contains__, comes_back) == {}
        assert a.allows(7, 1)
        assert a.settle(7, 1)
        assert await a.confirm() == []
        # All goes on with a lease that was confirmed: its deaths, its release, its next holder.
        await a.set_deaths([7], TRIAL_AFTER)
        await a.release([7])
        assert (await b.claim([7], {"back-a", "back-b"}.__contains__, seen))[7].epoch == 2
        # Whose claim comes first has the lease, and who comes back finds that out.
        assert (await b.claim([8], set().__contains__, seen))[8].taken_over
        stall(a)
        assert await a.confirm() == [8]

    on_a_link(member, go)


def test_a_change_of_unknown_outcome_costs_no_lease(member: Member) -> None:
    async def go(link: Link) -> None:
        a = owner(link, "unknown-a")
        await a.confirm()
        await a.claim([9], {"unknown-a"}.__contains__, seen)
        stall(a)
        a_lease = a._change(9, "unknown-a", 1, confirmations=1)  # as a request whose answer was lost
        assert await a_lease
        assert await a.confirm() == []
        assert not a.expired
        assert a.deaths[9] == 1
        await a.set_deaths([9], 0)
        assert await a.confirm() == []
        assert a.held == [9]

    on_a_link(member, go)


def test_what_may_arrive_yet_goes_along_when_a_partition_is_handed_on(member: Member) -> None:
    async def go(link: Link) -> None:
        a, b = owner(link, "along-a"), owner(link, "along-b")
        await a.claim([10], {"along-a"}.__contains__, seen)
        a.expect_late(10)
        await a.release([10])
        claim = (await b.claim([10], {"along-a", "along-b"}.__contains__, seen))[10]
        assert not claim.taken_over
        assert LATE_WRITE_S - 10 < claim.late_s <= LATE_WRITE_S
        assert b.late_s(10) > LATE_WRITE_S - 10

    on_a_link(member, go)


def test_a_lease_that_could_not_be_given_back_is_given_back_later(member: Member) -> None:
    async def go(link: Link) -> None:
        a, b = owner(link, "stuck-a"), owner(link, "stuck-b")
        await a.claim([6], {"stuck-a"}.__contains__, seen)
        a.epochs[6] = 0  # as after a release whose request was lost
        assert await b.claim([6], {"stuck-a", "stuck-b"}.__contains__, seen) == {}
        assert await a.confirm() == []
        assert (await b.claim([6], {"stuck-a", "stuck-b"}.__contains__, seen))[6].epoch == 2

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
        await a.claim([0, 1, 2], {"fail-a", "fail-b"}.__contains__, seen)
        a.unanswered(0, 1)
        assert not a.late, "it is ours still, and scored again"
        await b.claim([1, 2], {"fail-b"}.__contains__, seen)
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


def test_a_doubt_lasts_until_the_leases_have_been_read_again(member: Member, monkeypatch) -> None:
    reading, answer = asyncio.Event(), asyncio.Event()

    async def go(link: Link) -> None:
        a, b = owner(link, "doubt-a"), owner(link, "doubt-b")
        await a.confirm()
        await a.claim([0, 1], {"doubt-a"}.__contains__, seen)
        a._valid_until_s = now_s()
        a.renew(now_s())
        await b.claim([1], {"doubt-b"}.__contains__, seen)
        read = leases._read

        async def slowly(*asked: Any) -> Any:
            found = await read(*asked)
            reading.set()
            await answer.wait()
            return found

        monkeypatch.setattr(leases, "_read", slowly)
        looking = asyncio.create_task(a.confirm())
        await reading.wait()
        assert a.expired
        assert not a.allows(1, 1)
        assert not await a.regained(0.05)
        assert not a.settle(1, 1)
        # The beat stands still once more while it is read: what was read proves nothing of now.
        a._valid_until_s = now_s()
        a.renew(now_s())
        answer.set()
        assert await looking == [1]
        assert dict(a.late) == {1: 1}
        assert a.expired
        assert await a.confirm() == []
        assert not a.expired
        assert a.allows(0, 1)

    on_a_link(member, go)


def test_who_loses_a_lease_without_a_doubt_tells_what_it_wrote_since_it_was_found_to_be_ours(member: Member) -> None:
    async def go(link: Link) -> None:
        a, b = owner(link, "sure-a"), owner(link, "sure-b")
        await a.confirm()
        await a.claim([0, 1, 2], {"sure-a"}.__contains__, seen)
        assert all(a.settle(partition, 1) for partition in (0, 1))
        assert await a.confirm() == []
        await b.claim([0, 1, 2], {"sure-b"}.__contains__, seen)
        assert a.settle(1, 1), "nobody has looked yet"
        assert a.settle(1, 1)
        assert a.settle(2, 1)
        assert await a.confirm() == [0, 1, 2]
        assert dict(a.late) == {1: 2, 2: 1}
        # Given back in vain, because it was somebody else's already: the same.
        await a.claim([3], {"sure-a"}.__contains__, seen)
        assert a.settle(3, 1)
        await b.claim([3], {"sure-b"}.__contains__, seen)
        await a.release([3])
        assert dict(a.late) == {1: 2, 2: 1, 3: 1}

    on_a_link(member, go)


def test_a_beat_is_judged_when_it_is_acknowledged(member: Member) -> None:
    async def go(link: Link) -> None:
        a = owner(link, "slow-a")
        await a.confirm()
        assert not a.expired
        sent_s = now_s()
        a._valid_until_s = sent_s + 0.05
        await asyncio.sleep(0.1)
        a.renew(sent_s)
        assert a.expired, "others may have taken over before this beat was seen"

    on_a_link(member, go)


@pytest.mark.parametrize(
    "strange",
    [
        encode_json({}),
        encode_json([1]),
        encode_json({"worker": 7, "epoch": "x"}),
        encode_json({"worker": "somebody", "epoch": 1 << 70, "deaths": 0}),
        encode_json({"worker": "somebody", "epoch": 1, "deaths": 1, "late_s": 1e300}),
        b"\0\0\0\0\0\0\0\1strange",
    ],
    ids=range(6),
)
def test_a_lease_that_cannot_be_read_is_a_free_one(member: Member, strange: bytes) -> None:
    async def go(link: Link) -> None:
        a, b = owner(link, "free-a"), owner(link, "free-b")
        there, everybody = GridMap(link, LEASES_MAP), {"free-a", "free-b", "somebody"}
        await a.confirm()
        await a.claim([2, 3], everybody.__contains__, seen)
        await there.set(guard_key("lease/2", 2, link.partition_count), strange)
        assert await a.confirm() == [2]
        assert (await holders(link))[2] == ("", 0)
        # Who held it may not know yet that it does not; its own epochs go on counting.
        assert await a.claim([2], everybody.__contains__, seen) == {2: Claim(2, True, LATE_WRITE_S)}
        await there.set(guard_key("lease/2", 2, link.partition_count), strange)
        assert (await b.claim([2, 3], everybody.__contains__, seen)).keys() == {2}
        assert await a.confirm() == [2]

    on_a_link(member, go)


def test_one_partition_that_fails_costs_the_others_no_claim(member: Member, monkeypatch) -> None:
    async def go(link: Link) -> None:
        a = owner(link, "part-a")
        await a.confirm()
        put = a._map.put_if_absent
        failing = guard_key("lease/1", 1, link.partition_count)

        async def fails(key: bytes, value: bytes) -> bytes | None:
            if key == failing:
                raise ConnectionLostError("planted")
            return await put(key, value)

        monkeypatch.setattr(a._map, "put_if_absent", fails)
        assert (await a.claim([0, 1, 2], {"part-a"}.__contains__, seen)).keys() == {0, 2}
        assert a.held == [0, 2]

    on_a_link(member, go)

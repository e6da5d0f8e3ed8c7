"""What a subscription decides without a grid: when there is a gap, what waits, what is dropped."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grid_inference.api.subscriptions.arrivals import Arrival, Arrivals
from grid_inference.api.subscriptions.gap import MARGIN_S, Gap
from grid_inference.api.subscriptions.messages import Messages
from grid_inference.api.subscriptions.sources import TopicSource
from grid_inference.api.subscriptions.watch import UNHEARD_S, Watch
from grid_inference.errors import ConfigError
from grid_inference.flow.where import Where
from grid_inference.grid.link.listeners import Heard
from grid_inference.records import PREDICTION_MESSAGE, Prediction
from grid_inference.wire.compact import encode_record
from grid_inference.wire.keys import encode_keys

BEGUN_S = 1_000.0


def since(moment_s: float) -> int:
    return int((moment_s - MARGIN_S) * 1e6)


def heard(read_s: float = BEGUN_S, *, times: int = 1, **members: int) -> dict[tuple[int, int], Heard]:
    """Registrations as connection ids by member."""
    return {(times, connection): Heard(member, read_s) for member, connection in members.items()}


def test_nothing_is_declared_while_every_member_is_heard() -> None:
    watch = Watch(heard(a=1, b=2), BEGUN_S)
    for second in range(1, 100):
        assert watch.see(heard(BEGUN_S + second, a=1, b=2), {"a", "b"}, BEGUN_S + second) is None


@pytest.mark.parametrize(
    ("now", "members", "reason"),
    [
        (heard(a=1, b=3), {"a", "b"}, "reconnected"),
        (heard(a=1), {"a"}, "member left"),
        (heard(a=1, b=2, c=3), {"a", "b", "c"}, "member joined"),
        (heard(a=1, c=3), {"a", "c"}, "member left"),
        (heard(times=2, a=1, b=2), {"a", "b"}, "listener registered anew"),
    ],
)
def test_a_change_is_a_gap_since_the_last_bytes_of_the_most_silent_member(
    now: dict[tuple[int, int], Heard], members: set[str], reason: str
) -> None:
    watch = Watch(heard(a=1, b=2), BEGUN_S)
    quiet = {**heard(BEGUN_S + 9, a=1), **heard(BEGUN_S + 7, b=2)}
    assert watch.see(quiet, {"a", "b"}, BEGUN_S + 10) is None
    assert watch.see(now, members, BEGUN_S + 11) == Gap(since(BEGUN_S + 7), reason)  # type: ignore[arg-type]
    assert watch.see(now, members, BEGUN_S + 12) is None


def test_a_gap_is_declared_once_all_are_heard_again() -> None:
    watch = Watch(heard(a=1, b=2), BEGUN_S)
    assert watch.see(heard(BEGUN_S + 1, a=1), {"a", "b"}, BEGUN_S + 1) is None
    assert watch.see({}, {"a", "b"}, BEGUN_S + 2) is None
    gap = watch.see(heard(BEGUN_S + 3, a=4, b=5), {"a", "b"}, BEGUN_S + 3)
    assert gap == Gap(since(BEGUN_S), "reconnected")


def test_a_member_that_came_and_went_unheard_is_a_gap() -> None:
    watch = Watch(heard(a=1), BEGUN_S)
    assert watch.see(heard(BEGUN_S + 1, a=1), {"a", "b"}, BEGUN_S + 1) is None
    assert watch.see(heard(BEGUN_S + 2, a=1), {"a"}, BEGUN_S + 2) == Gap(since(BEGUN_S), "member left")


def test_a_member_that_stays_unheard_is_declared_again_and_again() -> None:
    watch = Watch(heard(a=1, b=2), BEGUN_S)
    gaps: dict[int, Gap] = {}
    for second in range(1, 26):
        gap = watch.see(heard(BEGUN_S + second, a=1), {"a", "b"}, BEGUN_S + second)
        if gap:
            gaps[second] = gap
    assert {gap.reason for gap in gaps.values()} == {"member not heard"}
    first, second = gaps
    assert first == 1 + UNHEARD_S
    assert second == first + UNHEARD_S
    assert gaps[first].since_us == since(BEGUN_S)
    assert gaps[second].since_us == since(BEGUN_S + first), "what the first gap tells of is not told again"
    assert watch.see(heard(BEGUN_S + 26, a=1, b=7), {"a", "b"}, BEGUN_S + 26) is not None


def test_without_any_member_nothing_is_whole() -> None:
    watch = Watch({}, BEGUN_S)
    assert watch.see({}, set(), BEGUN_S + 1) is None
    assert watch.see({}, set(), BEGUN_S + 1 + UNHEARD_S) == Gap(since(BEGUN_S), "member not heard")


def test_a_gap_says_when_in_two_ways() -> None:
    assert Gap(1_700_000_000_500_000, "member left").since == datetime(2023, 11, 14, 22, 13, 20, 500_000, UTC)


# ---- what waits


def arrival(number: int) -> Arrival:
    prediction = Prediction(number, "d", 0.5, None, None, "m", 1, number, 1, number)
    return Arrival(number.to_bytes(8, "big"), prediction)


def taken(arrivals: Arrivals) -> list[Any]:
    """All that waits; gaps as such, predictions by their keys."""

    async def take() -> list[Any]:
        found = list[Any]()
        try:
            while True:
                item = await arrivals.take()
                found.append(item if isinstance(item, Gap) else item.prediction.key)
        except StopAsyncIteration:
            return found

    arrivals.end()
    return asyncio.run(take())


def test_the_oldest_go_and_a_gap_stands_in_their_place() -> None:
    arrivals = Arrivals(3)
    for number in (5, 4, 6, 7, 8):
        arrivals.put(arrival(number))
    assert taken(arrivals) == [Gap(4, "queue overflowed"), 6, 7, 8]


def test_a_gap_that_is_overrun_becomes_part_of_the_new_one() -> None:
    arrivals = Arrivals(2)
    arrivals.put(arrival(50))
    arrivals.declare(Gap(10, "reconnected"))
    arrivals.declare(Gap(20, "member left"))
    for number in (51, 52, 53):
        arrivals.put(arrival(number))
    assert taken(arrivals) == [Gap(10, "queue overflowed"), 52, 53]


@given(st.lists(st.one_of(st.integers(0, 100), st.just(-1)), max_size=60), st.integers(1, 5))
def test_nothing_goes_without_a_gap_that_tells_of_it(items: list[int], limit: int) -> None:
    arrivals = Arrivals(limit)
    for item in items:
        if item < 0:
            arrivals.declare(Gap(1_000, "reconnected"))
        else:
            arrivals.put(arrival(item))
    left = taken(arrivals)
    numbers = [item for item in left if isinstance(item, int)]
    came = [item for item in items if item >= 0]
    assert len(numbers) == min(limit, len(came))
    assert numbers == came[len(came) - len(numbers) :], "what is left is the newest, in order"
    gone = came[: len(came) - len(numbers)]
    if gone:
        assert isinstance(left[0], Gap)
        assert left[0].since_us <= min(gone)
    assert sum(isinstance(item, Gap) for item in left) <= len(numbers) + 1


def test_the_end_comes_after_what_waits_and_with_its_error() -> None:
    async def go() -> None:
        arrivals = Arrivals(3)
        arrivals.put(arrival(1))
        arrivals.end(ValueError("gone"))
        arrivals.end()
        arrivals.put(arrival(2))
        assert isinstance(await arrivals.take(), Arrival)
        with pytest.raises(ValueError, match="gone"):
            await arrivals.take()

    asyncio.run(go())


def test_a_cancelled_wait_loses_nothing() -> None:
    async def go() -> None:
        arrivals = Arrivals(3)
        for number in range(20):
            waiting = asyncio.ensure_future(arrivals.take())
            for _ in range(number % 4):
                await asyncio.sleep(0)
            arrivals.put(arrival(number))
            waiting.cancel()
            item = await got_or_next(waiting, arrivals.take())
            assert isinstance(item, Arrival)
            assert item.prediction.key == number

    asyncio.run(go())


async def got_or_next(waiting: asyncio.Future[Any], following: Coroutine[Any, Any, Any]) -> Any:
    try:
        item = await waiting
    except asyncio.CancelledError:
        return await following
    following.close()
    return item


def published(key: Any, scores: list[float] | None) -> bytes:
    """A message of the deployment d."""
    fields = {"deployment": "d", "score": 0.5, "label": None, "scores": scores, "model": "m", "version": 1}
    rest = {"input_digest": 1, "owner_epoch": 1, "scored_at_us": 1, "key": str(key)}
    key_data = [byte - 256 if byte > 127 else byte for byte in encode_keys([key])[0]]
    return encode_record(PREDICTION_MESSAGE, {**fields, **rest, "key_data": key_data})


def test_messages_are_filtered_by_an_element_of_the_scores() -> None:
    values = [published(1, [0.2, 0.8]), published(2, [0.9, 0.1]), published(3, None)]
    found = Messages("d", Where.parse("scores[1] > 0.5 OR scores[0] = null")).read(values)
    assert [one.prediction.key for one in found] == [1, 3]
    found = Messages("d", Where.parse("scores[0] = null AND label = null")).read([published(3, None)])
    assert [one.prediction.key for one in found] == [3]


def test_a_filter_that_fails_ends_the_subscription_with_its_error() -> None:
    async def go() -> None:
        arrivals = Arrivals(10)
        link: Any = None
        source = TopicSource(link, arrivals, "t", Messages("d", Where.parse("score > 'high'")))
        source._came.append(published(1, [0.2, 0.8]))
        source._read()
        with pytest.raises(ConfigError, match="score is compared with 'high'"):
            await arrivals.take()

    asyncio.run(go())

"""Every coroutine of the asynchronous API, cancelled at every stage: the grid works on, and nothing stays behind."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import pytest

import grid_inference as gi
from grid_inference import aio
from tests.integration.conftest import FEATURES, Names, batch, until
from tests.integration.operations import MODELS, OPERATIONS, RECORD, ROWS

TURNS_GROWTH = 1.4
"""From one attempt to the next an operation is let run so much longer, until it finishes."""
SETTLE_S = 20.0
EVENTS = 5
"""A listener that is forgotten here and stands on the member sends each event to nobody; one that was under way
when its listener was taken away comes once."""


@asynccontextmanager
async def opened(local_grid: gi.Grid) -> AsyncIterator[aio.Grid]:
    """A grid on this loop; whatever the loop has to complain of fails the test."""
    complaints = list[dict[str, Any]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    flags = {"address": local_grid.address, "cluster_name": local_grid.cluster_name}
    async with await aio.connect(gi.GridConfig.load(flags=flags)) as grid:
        yield grid
    await asyncio.sleep(0)
    gc.collect()
    assert not complaints
    assert asyncio.all_tasks() == {asyncio.current_task()}


def tasks() -> Counter[str]:
    """Tasks by what they do: the stock client's timers go on in a new one each time."""
    coroutines: list[Any] = [task.get_coro() for task in asyncio.all_tasks()]
    # A generator that is being closed has no name of its own.
    return Counter(getattr(one, "__qualname__", type(one).__name__) for one in coroutines)


def left_behind(grid: aio.Grid, before: Counter[str]) -> dict[str, Any]:
    """What is under way, here and on the member's side of our connections."""
    client = grid.link.client
    found = {
        "requests": grid.link._pending,
        "stock requests": client._invocation_service._pending,
        "listeners": client._listener_service._active_registrations.keys() - INITIAL[0],
        "handlers": client._listener_service._event_handlers.keys() - INITIAL[1],
        "tasks": (tasks() - before).elements(),
    }
    return {name: some for name, each in found.items() if (some := list(each))}


INITIAL: tuple[set[Any], set[Any]] = (set(), set())


async def settled(grid: aio.Grid, before: Counter[str]) -> None:
    deadline = time.monotonic() + SETTLE_S
    while left := left_behind(grid, before):
        assert time.monotonic() < deadline, f"left behind: {left}"
        await asyncio.sleep(0.001)


async def cancelled_after(turns: int, work: Awaitable[Any]) -> bool:
    """Whether it was done before so many turns of the loop had passed; else it was cancelled."""
    task = asyncio.ensure_future(work)
    for _ in range(turns):
        if task.done():
            break
        await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return False
    return True


@pytest.fixture(scope="module")
def scored(local_grid: gi.Grid, model: Any) -> Names:
    """A deployment whose records are all scored."""
    MODELS.append(model)
    names = Names("cancelling", "cancelling-features")
    local_grid.deploy(names.deployment, model, features=names.features, columns=FEATURES, nan="dead-letter")
    local_grid.features(names.features).put_batch(batch(ROWS), key="key")
    local_grid.features(names.features).put("refused", RECORD | {"a": float("nan")})
    until(lambda: local_grid.predictions(names.deployment).size() == ROWS, "the predictions")
    return names


@pytest.mark.parametrize("name", OPERATIONS)
def test_cancelled_at_every_stage(
    local_grid: gi.Grid, scored: Names, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    operation = OPERATIONS[name]

    async def at_every_stage() -> None:
        async with opened(local_grid) as grid:
            before, turns, done = tasks(), 0, False
            service = grid.link.client._listener_service
            INITIAL[0].update(service._active_registrations)
            INITIAL[1].update(service._event_handlers)
            while not done:
                done = await cancelled_after(turns, operation(grid, scored))
                await settled(grid, before)
                turns = max(turns + 1, int(turns * TURNS_GROWTH))
            for _ in range(EVENTS):
                seen = len(caplog.records)
                await grid.predictions(scored.deployment).predict("works", RECORD | {"a": time.time()})
                to_nobody = [one for one in caplog.records[seen:] if "unknown correlation" in one.message]
                if not to_nobody:
                    break
            assert not to_nobody
            assert turns > 1, "it was never under way"

    with caplog.at_level(logging.DEBUG, "hazelcast.internal.asyncio_listener"):
        asyncio.run(at_every_stage())
    assert not [one.message for one in caplog.records if one.levelno >= logging.ERROR]


def test_a_cancelled_wait_for_predictions_loses_none(local_grid: gi.Grid, scored: Names) -> None:
    async def cancelled_often() -> None:
        async with opened(local_grid) as grid, await grid.predictions(scored.deployment).subscribe() as subscription:
            found = list[Any]()
            await grid.features(scored.features).put_batch(batch(500, int(time.time()), 50_000), key="key")
            turns = 0
            while len(found) < 500:
                taking = asyncio.ensure_future(anext(subscription))
                for _ in range(turns % 7):
                    await asyncio.sleep(0)
                taking.cancel()
                [item] = await asyncio.gather(taking, return_exceptions=True)
                if not isinstance(item, asyncio.CancelledError):
                    found.append(item.key)
                turns += 1
            assert sorted(found) == list(range(50_000, 50_500))

    asyncio.run(cancelled_often())


def test_a_cancelled_close_goes_on(local_grid: gi.Grid) -> None:
    async def cancelled() -> None:
        done, turns = False, 0
        while not done:
            async with opened(local_grid) as grid:
                done = await cancelled_after(turns, grid.close())
                await grid.close()
                assert grid.link.given_up
            turns = max(turns + 1, int(turns * TURNS_GROWTH))

    asyncio.run(cancelled())

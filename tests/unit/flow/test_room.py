"""Room: who holds much waits, who is alone does not, and nobody waits for ever."""

from __future__ import annotations

import asyncio

import pytest

from grid_inference.flow.room import Room


def test_one_alone_may_hold_more_than_there_is() -> None:
    async def check() -> None:
        room = Room(100)
        await room.take(1_000)
        room.give(1_000)
        await room.take(100)

    asyncio.run(check())


def test_who_does_not_fit_waits_until_it_does() -> None:
    async def check() -> None:
        room, held = Room(100), list[int]()

        async def take(size: int) -> None:
            await room.take(size)
            held.append(size)

        waiting = [asyncio.create_task(take(size)) for size in (60, 40, 30, 200)]
        await asyncio.sleep(0)
        assert held == [60, 40]
        room.give(60)
        await asyncio.wait(waiting[:3])
        assert held == [60, 40, 30]
        room.give(40)
        room.give(30)
        await asyncio.gather(*waiting)
        assert held == [60, 40, 30, 200]

    asyncio.run(check())


def test_who_is_cancelled_while_it_waits_holds_nothing() -> None:
    async def check() -> None:
        room = Room(100)
        await room.take(100)
        waiting = asyncio.create_task(room.take(50))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        room.give(100)
        await room.take(100)

    asyncio.run(check())

"""Room: so many bytes may be held at a time by all who share it, and by one of them whatever it holds."""

from __future__ import annotations

import asyncio

__all__ = ["Room"]


class Room:
    """Who holds much waits until the others hold less; who is alone never waits."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._held_bytes = 0
        self._freed = asyncio.Event()

    async def take(self, size: int) -> None:
        """Wait until there is room for so many bytes, and hold them."""
        while self._held_bytes and self._held_bytes + size > self._most_bytes:
            self._freed.clear()
            await self._freed.wait()
        self._held_bytes += size

    def give(self, size: int) -> None:
        """Hold so many bytes no more."""
        self._held_bytes -= size
        self._freed.set()

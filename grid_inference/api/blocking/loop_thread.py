"""An event loop in a thread of its own, and blocking calls into it from any other thread."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from typing import Any, Final, NamedTuple, TypeVar

from grid_inference.errors import GridError

__all__ = ["LoopThread"]

T = TypeVar("T")
_Held = TypeVar("_Held", bound=AbstractAsyncContextManager[Any, Any])
STOP_TIMEOUT_S: Final = 10.0
"""How long the tasks of the loop may take to end once they are cancelled."""


class _Life(NamedTuple):
    """What the thread shares with its owner; it holds no reference to the owner, which may be forgotten."""

    loop: asyncio.AbstractEventLoop
    opened: AsyncExitStack
    """What is closed with the loop."""
    until: asyncio.Event
    """Set when it shall end."""


class LoopThread:
    """Closes what was opened on it, and ends, with `stop` or when nobody refers to it any more.

    The interpreter's exit does not wait for it. Whoever waits for a call at its end is told, and does not hang.
    """

    def __init__(self) -> None:
        self._submitting = threading.Lock()
        self._stopping = False
        started: concurrent.futures.Future[_Life] = concurrent.futures.Future()
        self._thread = threading.Thread(target=_live, args=(started,), name="grid-inference", daemon=True)
        self._thread.start()
        self._loop, self._opened, self._until = started.result()

    def enter(self, opening: Callable[[], Coroutine[Any, Any, _Held]]) -> _Held:
        """Open something that is closed with the loop."""

        async def entered() -> _Held:
            held = await opening()
            self._opened.push_async_exit(held)
            return held

        return self.run(entered())

    @property
    def stopped(self) -> bool:
        """Whether it takes no calls any more."""
        return self._stopping or not self._thread.is_alive()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and wait for it; an interrupted wait cancels it. GridError after `stop`."""
        with self._submitting:
            if self.stopped:
                work.close()
                raise GridError("the grid is closed", remedy="connect again")
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise GridError("the grid was closed meanwhile", remedy="connect again") from None
        except BaseException:
            future.cancel()
            raise

    def begin(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """Run a coroutine and don't wait: for destructors, which may run in the loop's own thread."""
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(lambda: self._loop.create_task(work()))

    def iterate(self, items: AsyncGenerator[T]) -> Generator[T]:
        """What an asynchronous generator gives, one by one; it is closed with this one."""

        async def following() -> T:
            return await anext(items)

        async def close() -> None:
            with suppress(RuntimeError):  # it is running still: what it waits for was cancelled, which ends it too
                await items.aclose()

        try:
            with suppress(StopAsyncIteration):
                while True:
                    yield self.run(following())
        finally:
            self.begin(close)

    def stop(self) -> None:
        """Take no more calls, cancel those under way, and end the thread. Stopping twice is the same as once."""
        with self._submitting:
            self._stopping = True
        self._end_soon()
        if threading.current_thread() is not self._thread:
            self._thread.join(STOP_TIMEOUT_S)

    def _end_soon(self) -> None:
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._until.set)

    def __del__(self) -> None:
        if hasattr(self, "_until"):  # no thread, no loop
            self._end_soon()


def _live(started: concurrent.futures.Future[_Life]) -> None:
    asyncio.run(_wait(started))  # at its end it cancels what still runs, so that every caller gets an answer


async def _wait(started: concurrent.futures.Future[_Life]) -> None:
    async with AsyncExitStack() as opened:
        life = _Life(asyncio.get_running_loop(), opened, asyncio.Event())
        started.set_result(life)
        await life.until.wait()

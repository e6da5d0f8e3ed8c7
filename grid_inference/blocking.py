"""An event loop in a thread of its own, and blocking calls into it from any other thread."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import suppress
from typing import Any, Final, TypeVar

from grid_inference.errors import GridError

__all__ = ["LoopThread"]

T = TypeVar("T")
STOP_TIMEOUT_S: Final = 10.0
"""How long the tasks of the loop may take to end once they are cancelled."""


class LoopThread:
    """The thread ends with `stop`, or with the interpreter; whoever waits for it then is told, and does not hang."""

    def __init__(self) -> None:
        self._started: concurrent.futures.Future[asyncio.AbstractEventLoop] = concurrent.futures.Future()
        self._until = asyncio.Event()
        self._submitting = threading.Lock()
        self._stopping = False
        self._thread = threading.Thread(target=self._live, name="grid-inference", daemon=True)
        self._thread.start()
        self._loop = self._started.result()

    def _live(self) -> None:
        asyncio.run(self._wait())  # at its end it cancels what still runs, so that every caller gets an answer

    async def _wait(self) -> None:
        self._started.set_result(asyncio.get_running_loop())
        await self._until.wait()

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

    def iterate(self, items: AsyncGenerator[T]) -> Iterator[T]:
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
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._until.set)
        if threading.current_thread() is not self._thread:
            self._thread.join(STOP_TIMEOUT_S)

"""An event loop on virtual time that runs several processes with several threads each, in an order that a seed gives.

A callback belongs to the thread whose context it was made in. Within a thread callbacks run in asyncio's order, between
threads in any. A thread that computes, or whose process is stopped, is held: what becomes due meanwhile runs when it
goes on, answers before timers, as after a SIGCONT.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
from collections import deque
from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from typing import Any

__all__ = ["Process", "Thread", "VirtualLoop", "current_thread"]

STEPS_MAX = 200_000
"""So many callbacks without any time going by: something goes round and round."""
EXECUTOR_S = 0.0001
"""What handing something to another thread and back takes."""


class Process:
    """A simulated process: its threads are stopped, continued and killed together."""

    def __init__(self, loop: VirtualLoop, name: str, clock_offset_s: float = 0.0) -> None:
        self.loop = loop
        self.name = name
        self.clock_offset_s = clock_offset_s
        self.stopped = False
        self.dead = False
        self.threads: list[Thread] = []

    def thread(self, name: str) -> Thread:
        """Another thread of this process."""
        thread = Thread(self, name)
        self.threads.append(thread)
        return thread

    def stop(self) -> None:
        """SIGSTOP."""
        self.stopped = True

    def go_on(self) -> None:
        """SIGCONT."""
        self.stopped = False
        for thread in self.threads:
            thread.let_go()

    def kill(self) -> None:
        """SIGKILL: nothing of it runs any more."""
        self.dead = True
        for thread in self.threads:
            thread.ready.clear()
            thread.answers.clear()
            thread.timers.clear()


class Thread:
    """One thread and what it is to run."""

    __slots__ = ("answers", "context", "held_until_s", "name", "process", "queued", "ready", "timers")

    def __init__(self, process: Process, name: str) -> None:
        self.process = process
        self.name = name
        self.ready: deque[asyncio.Handle] = deque()
        self.answers: list[asyncio.Handle] = []
        self.timers: list[asyncio.Handle] = []
        self.held_until_s = 0.0
        self.queued = False
        """Whether the loop has it among those that can run."""
        self.context = copy_context()
        self.context.run(_THREAD.set, self)

    @property
    def held(self) -> bool:
        """Whether nothing of it runs now."""
        return self.process.stopped or self.held_until_s > self.process.loop.time()

    def let_go(self) -> None:
        """Run on, what came first first, if nothing else holds it."""
        if not self.held:
            self.ready.extend(self.answers)
            self.ready.extend(self.timers)
            self.answers.clear()
            self.timers.clear()
            self.process.loop.queue(self)


_THREAD: ContextVar[Thread | None] = ContextVar("thread", default=None)


def current_thread() -> Thread | None:
    """The thread that runs now; None in what belongs to no process."""
    return _THREAD.get()


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs what is ready; when nothing is, time goes to the next timer."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        self._rng = rng
        self._now_s = 0.0
        self.busy_s = 0.0
        """What the running callback has computed so far; its thread is held for it afterwards."""
        self._heap: list[tuple[float, int, asyncio.Handle | Thread, bool]] = []
        self._numbers = itertools.count()
        self._world = Thread(Process(self, "world"), "world")
        self._runnable: list[Thread] = []
        self._steps = 0
        self.callbacks = 0
        self.errors: list[str] = []
        """What nobody has caught."""
        self.set_exception_handler(self._note_error)

    # ---- what asyncio asks for

    def time(self) -> float:
        return self._now_s

    def call_soon(self, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        thread = handle._context.get(_THREAD) or self._world
        if not thread.process.dead:
            thread.ready.append(handle)
            if not thread.queued:
                self.queue(thread)
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self, delay: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self._now_s + max(0.0, delay), callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._heap, (when, next(self._numbers), handle, False))
        return handle

    def answer_at(self, when: float, context: Context, callback: Callable[..., Any], *args: Any) -> None:
        """Have something arrive from outside: while its thread is held it waits before the timers."""
        handle = asyncio.Handle(callback, args, self, context)
        heapq.heappush(self._heap, (when, next(self._numbers), handle, True))

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Do it at once; what it says that it computed is what the caller waits."""
        del executor
        future, before, self.busy_s = self.create_future(), self.busy_s, 0.0
        try:
            outcome, failed = func(*args), False
        except Exception as error:  # noqa: BLE001 - the caller gets it
            outcome, failed = error, True
        took_s, self.busy_s = self.busy_s + EXECUTOR_S, before

        def settle() -> None:
            if not future.done():
                (future.set_exception if failed else future.set_result)(outcome)

        self.answer_at(self._now_s + took_s, copy_context(), settle)
        return future

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass

    def _process_events(self, event_list: Any) -> None:
        pass

    def _write_to_self(self) -> None:
        pass

    # ---- running

    def hold(self, thread: Thread, until_s: float) -> None:
        """Let a thread run nothing until then."""
        if until_s > thread.held_until_s:
            thread.held_until_s = until_s
            heapq.heappush(self._heap, (until_s, next(self._numbers), thread, False))

    def queue(self, thread: Thread) -> None:
        """Have a thread's callbacks run, if it has any."""
        if thread.ready and not thread.queued and not thread.held:
            thread.queued = True
            self._runnable.append(thread)

    def _run_once(self) -> None:
        heap, runnable = self._heap, self._runnable
        if heap and (not runnable or heap[0][0] <= self._now_s):
            self._take_due()
        if not runnable:
            if not heap:
                raise RuntimeError("nothing is left to run")
            return
        at = int(self._rng.random() * len(runnable)) if len(runnable) > 1 else 0
        thread = runnable[at]
        runnable[at] = runnable[-1]
        runnable.pop()
        thread.queued = False
        self._run(thread)
        if thread.ready:
            self.queue(thread)

    def _run(self, thread: Thread) -> None:
        """What is ready now, as one round of asyncio's loop."""
        ready, process, now_s = thread.ready, thread.process, self._now_s
        for _ in range(len(ready)):
            if not ready or process.stopped or thread.held_until_s > now_s:
                return
            handle = ready.popleft()
            if handle._cancelled:
                continue
            self._steps += 1
            handle._run()
            if self.busy_s:
                self.hold(thread, now_s + self.busy_s)
                self.busy_s = 0.0
        if self._steps > STEPS_MAX:
            raise RuntimeError(f"{STEPS_MAX} callbacks without any time going by")

    def _take_due(self) -> None:
        heap = self._heap
        if heap[0][0] > self._now_s:
            self._now_s = heap[0][0]
            self.callbacks += self._steps
            self._steps = 0
        now_s = self._now_s
        while heap and heap[0][0] <= now_s:
            _, _, what, arrived = heapq.heappop(heap)
            if isinstance(what, Thread):
                what.let_go()
                continue
            if what._cancelled:
                continue
            thread = what._context.get(_THREAD) or self._world
            process = thread.process
            if process.dead:
                continue
            if process.stopped or thread.held_until_s > now_s:
                (thread.answers if arrived else thread.timers).append(what)
            else:
                thread.ready.append(what)
                if not thread.queued:
                    thread.queued = True
                    self._runnable.append(thread)

    def _note_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        del loop
        error = context.get("exception")
        self.errors.append(f"{context['message']}: {type(error).__name__}: {error}")

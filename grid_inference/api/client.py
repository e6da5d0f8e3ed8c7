"""What applications import: the API of `aio.py`, blocking, for programs without an event loop.

A grid keeps one event loop in a thread of its own; its objects may be used by several threads at once. How it begins
and ends is here; what it is asked is in `blocking/`, which tools/blocking_api.py writes from the asynchronous API.
"""

from __future__ import annotations

import atexit
import os
import threading
import weakref
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Protocol, Self

from grid_inference.api import aio
from grid_inference.api.blocking import grid
from grid_inference.api.blocking.dead_letters import DeadLetters
from grid_inference.api.blocking.features import Features
from grid_inference.api.blocking.loop_thread import LoopThread
from grid_inference.api.blocking.predictions import Predictions
from grid_inference.api.blocking.subscription import Subscription
from grid_inference.api.subscriptions.gap import Gap
from grid_inference.config import GridConfig
from grid_inference.display import grid_html
from grid_inference.errors import warn_forgotten
from grid_inference.grid.member import Member

__all__ = ["DeadLetters", "Features", "Gap", "Grid", "Predictions", "Subscription", "connect"]


def connect(
    address: str | None = None,
    *,
    cluster_name: str | None = None,
    connect_timeout_s: float | None = None,
    keys: str | None = None,
) -> Grid:
    """Connect to a cluster, by default 127.0.0.1:5701 or what the environment says; raises ConnectError."""
    flags = {"address": address, "cluster_name": cluster_name, "connect_timeout_s": connect_timeout_s, "keys": keys}
    return Grid(GridConfig.load(flags=flags))


class Processes(Protocol):
    """The worker processes that end with a grid."""

    restarts: int
    """So many were started again."""

    @property
    def pids(self) -> list[int]:
        """Process ids of those that run now."""
        ...

    def stop(self) -> None:
        """Let all of them drain and end."""
        ...


class Grid(grid.Grid):
    """A connected grid. Use it in `with`, or call `close()`. Several threads may use it at once."""

    def __init__(self, config: GridConfig, *, member: Member | None = None, workers: Processes | None = None) -> None:
        self._open = False
        self._opener_id = os.getpid()
        self._closing = threading.RLock()
        self.member = member
        """The embedded member, if `local()` started one."""
        self.workers = workers
        """Its workers."""
        loop = LoopThread()
        try:
            super().__init__(loop, loop.enter(lambda: aio.connect(config)))
        except BaseException:
            loop.stop()
            raise
        self._open = True
        self._at_exit = partial(_call_if_there, weakref.WeakMethod(self._close_at_exit))
        atexit.register(self._at_exit)

    @property
    def address(self) -> str:
        """`host:port` of the cluster."""
        return self._grid.config.address

    @property
    def cluster_name(self) -> str:
        """Name of the cluster."""
        return self._grid.config.cluster_name

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect, and end what `local()` started; closing twice is the same as once.

        Calls that other threads have under way end with GridError, and iterations over subscriptions end.
        """
        with self._closing:
            if not self._open:
                return
            self._open = False
            atexit.unregister(self._at_exit)
            try:
                if self.workers:
                    self.workers.stop()
            finally:
                self._loop.stop()
                if self.member:
                    self.member.stop()

    def __del__(self) -> None:
        if self._open:
            atexit.unregister(self._at_exit)
            self._warn_forgotten()

    def _warn_forgotten(self) -> None:
        warn_forgotten(f"the grid at {self.address} was not closed", "use it in `with`, or call its close()")

    def _close_at_exit(self) -> None:
        """While there still are threads to do it; a forked child's exit leaves its parent's grid open."""
        if self._opener_id != os.getpid():
            return
        try:
            self._warn_forgotten()
        finally:
            self.close()

    def _repr_html_(self) -> str:
        return grid_html(self.address, self.cluster_name, self._grid.link.members().values() if self._open else ())


def _call_if_there(method: weakref.WeakMethod[Callable[[], None]]) -> None:
    """What `atexit` calls: it must not keep the object alive."""
    found = method()
    if found is not None:
        found()

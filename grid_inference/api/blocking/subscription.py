"""A subscription, blocking."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterator
from contextlib import suppress
from typing import Generic, Self, TypeVar

from grid_inference.api import aio
from grid_inference.api.blocking.loop_thread import LoopThread
from grid_inference.api.subscriptions.gap import Gap
from grid_inference.errors import GridError, warn_forgotten
from grid_inference.records import Prediction

__all__ = ["Subscription"]

Item = TypeVar("Item")


class Subscription(Generic[Item]):
    """New predictions as they come: iterate over it. Use it in `with`, or call `close()`.

    Several threads may take from one: each item goes to one of them. Any thread may close it.
    """

    def __init__(self, loop: LoopThread, subscription: aio.Subscription[Item], timeout: float | None = None) -> None:
        """Iteration ends after `timeout` seconds without a prediction, or with `close()` of it or of the grid."""
        self._loop = loop
        self._subscription = subscription
        self._timeout = timeout
        self.deployment = subscription.deployment
        """The deployment's name."""

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        """The next prediction, or gap if they were asked for.

        Raises ConnectionLostError once no member can be reached any more.
        """
        try:
            return self._loop.run(self._following())
        except (TimeoutError, StopAsyncIteration):
            raise StopIteration from None
        except GridError:
            if self._loop.stopped:
                raise StopIteration from None
            raise

    async def _following(self) -> Item:
        return await asyncio.wait_for(anext(self._subscription), self._timeout)

    def catch_up(self, gap: Gap) -> Generator[Prediction]:
        """The predictions that stand now, match, and were scored since a gap began: of each key the newest.

        Some of them may have been delivered before. Raises GridError if the map can't be read to its end.
        """
        return self._loop.iterate(self._subscription.catch_up(gap))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening; the iteration ends after what has arrived. Closing twice is the same as once."""
        with suppress(GridError):
            self._loop.run(self._subscription.close())

    def __del__(self) -> None:
        if not self._subscription.ended:
            self._loop.begin(self._subscription.close)
            warn_forgotten(
                f"the subscription to {self.deployment!r} was not closed", "use it in `with`, or call its close()"
            )

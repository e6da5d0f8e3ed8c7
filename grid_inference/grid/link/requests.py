"""A link's requests: what is sent, and again if need be, and who is told of the answer.

A request is answered once, or forgotten: what comes behind that finds nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from grid_inference.errors import GridError
from grid_inference.wire.protocol import frames as f

__all__ = ["Allows", "Answer", "OnAnswer", "Request", "Unsure", "settle", "was_cancelled"]

Answer = f.Message | GridError
OnAnswer = Callable[[Answer], None]
Allows = Callable[[int], bool]
"""Whether a partition may be written to at this moment."""
Unsure = Callable[[int], None]
"""Is told of a partition whose request may be carried out at any time yet, although nobody waits for that one."""


class Request:
    """A request under way: what to send again, and whom to tell."""

    __slots__ = (
        "allows",
        "connection",
        "correlation",
        "deadline",
        "forgotten",
        "on_answer",
        "partition",
        "payload",
        "unsure",
    )

    def __init__(
        self,
        payload: f.Request,
        partition: int,
        on_answer: OnAnswer,
        deadline: float,
        allows: Allows | None,
        unsure: Unsure | None,
    ) -> None:
        self.payload = payload
        self.partition = partition
        self.on_answer = on_answer
        self.deadline = deadline
        self.allows = allows
        self.unsure = unsure
        self.connection: Any = None
        self.correlation = 0
        self.forgotten = False

    def lose(self) -> None:
        """Its way is broken: what was sent over it may be carried out or not, and when is not known either."""
        if self.unsure:
            self.unsure(self.partition)

    def forget(self) -> None:
        """Nobody waits any more: its answer is dropped, and it is not sent again."""
        self.forgotten = True


def settle(future: asyncio.Future[f.Message], answer: Answer) -> None:
    """Give an answer to who waits for it, if anybody still does."""
    if future.done():
        return
    if isinstance(answer, GridError):
        future.set_exception(answer)
    else:
        future.set_result(answer)


def was_cancelled() -> bool:
    """Whether a CancelledError is meant for the task that gets it, and not for what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0

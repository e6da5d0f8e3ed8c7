"""`dead_letters.py`, blocking: written by tools/blocking_api.py. Change that one, and run the tool again."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from grid_inference.api import aio
from grid_inference.api.blocking.loop_thread import LoopThread
from grid_inference.api.dead_letters import Drop, Explanation, Replay
from grid_inference.records import DeadLetter

__all__ = ["DeadLetters"]


class DeadLetters:
    """The dead letters of one deployment; of `keys`, `cause` and `since` all that are given choose among them.

    Several threads may use it at once.
    """

    def __init__(self, loop: LoopThread, dead_letters: aio.DeadLetters) -> None:
        self._loop = loop
        self._dead_letters = dead_letters
        self.deployment = dead_letters.deployment
        """The deployment's name."""

    def get(self, key: Any) -> DeadLetter | None:
        """The dead letter of a key, or None."""
        return self._loop.run(self._dead_letters.get(key))

    def newest(
        self, limit: int | None = None, *, keys: Any = None, cause: str | None = None, since: datetime | None = None
    ) -> list[DeadLetter]:
        """Dead letters, the newest first, `limit` of them at the most."""
        return self._loop.run(self._dead_letters.newest(limit, keys=keys, cause=cause, since=since))

    def counts(self, *, keys: Any = None, cause: str | None = None, since: datetime | None = None) -> dict[str, int]:
        """How many dead letters there are of each cause, the most frequent first."""
        return self._loop.run(self._dead_letters.counts(keys=keys, cause=cause, since=since))

    def explain(self, key: Any) -> Explanation | None:
        """The dead letter of a key, its record as readable as may be, and what to do; None if there is none."""
        return self._loop.run(self._dead_letters.explain(key))

    def replay(
        self,
        keys: Any = None,
        *,
        cause: str | None = None,
        since: datetime | None = None,
        every: bool = False,
        wait_s: float = 0.0,
    ) -> Replay:
        """Have refused records scored anew, as they stand now; waits up to `wait_s` seconds until they are.

        A record that is refused again has its dead letter again; one that is gone loses it. To whoever listens to the
        feature map a replay is an update without a change. Raises ConfigError if nothing says which; `every` is all.
        """
        return self._loop.run(self._dead_letters.replay(keys, cause=cause, since=since, every=every, wait_s=wait_s))

    def drop(
        self, keys: Any = None, *, cause: str | None = None, since: datetime | None = None, every: bool = False
    ) -> Drop:
        """Give dead letters up: they get the cause `DROPPED` and are listed only by it.

        Removing them would leave their records without a result, and the next comparison would have them scored, and
        refused, again. A new value of the record is scored as ever; a deploy has all of them tried again. To be rid of
        a record for good remove it, which takes the dead letter along. Raises ConfigError if nothing says which;
        `every` is all.
        """
        return self._loop.run(self._dead_letters.drop(keys, cause=cause, since=since, every=every))

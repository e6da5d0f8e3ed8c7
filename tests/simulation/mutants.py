"""Fixes taken out again, and promises broken on purpose, to show that the judge notices."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from grid_inference.flow import deployment
from grid_inference.flow.deployment import RunningDeployment
from grid_inference.flow.feeds import Feed
from grid_inference.flow.pipeline import Pipeline
from grid_inference.flow.proof import Proof
from grid_inference.flow.read import JournalReader
from grid_inference.grid.leases import TRUSTED_SHARE, Leases
from grid_inference.grid.topology import Beats, now_s
from grid_inference.node.worker import turn
from grid_inference.node.worker.turn import Turn

__all__ = ["MUTANTS"]

OLD_VIEW_S = 7.0
"""What a model took to load in a turn, between the look at the workers and the claim that went by it."""


def lost_leases_feed_on() -> None:
    """What is found lost is forgotten: its feeds go on, also when the partition is claimed again."""
    RunningDeployment.let_go = lambda *_: None
    RunningDeployment.feeds = lambda self, claims: all(partition in self.reader.feeds for partition in claims)
    deployment._outlived = lambda *_: False


def any_epoch_writes() -> None:
    """The same, and rows are written under whatever epoch is held by now."""
    lost_leases_feed_on()
    Leases.allows = lambda self, partition, _: not self.expired and bool(self.epochs[partition])


def trusted_before_the_look() -> None:
    """A doubt about leases is cleared when the look begins, not behind it."""
    confirm = Leases.confirm

    async def confirming(self: Leases) -> Any:
        self._stalls_seen = self._stalls
        return await confirm(self)

    Leases.confirm = confirming


def judged_when_sent() -> None:
    """Whether a beat came in time is judged by when it was sent, not by when it was acknowledged."""

    def renew(self: Leases, begun_s: float) -> None:
        if begun_s >= self._valid_until_s:
            self._stalls += 1
        self._valid_until_s = begun_s + self._ttl_s * TRUSTED_SHARE

    Leases.renew = renew


def old_view() -> None:
    """A turn claims by what it has seen of the workers long before."""
    look, looked_s = Turn.look, dict[int, float]()

    async def looking(self: Turn) -> None:
        if looked_s.get(id(self), -OLD_VIEW_S) + OLD_VIEW_S < now_s():
            await look(self)
            looked_s[id(self)] = now_s()

    Turn.look = looking
    Beats.lives = lambda self, worker, _: worker in self.living()


def judged_at_the_answer() -> None:
    """Whether a beat stands still is judged by when the answer came, however long that took, even a stop of our own."""
    observe = Beats.observe

    def observing(self: Beats, workers: Any, _: float, answered_s: float) -> None:
        self._answered_s = answered_s
        observe(self, workers, answered_s, answered_s)

    Beats.observe = observing


def confirmed_by_a_look() -> None:
    """Who comes back looks whether its leases are its own still, and leaves them as claims of before have read them."""

    async def nothing(_: Leases) -> bool:
        return True

    Leases._outdate_claims = nothing


def looked_before_the_leases() -> None:
    """Who claims sees who lives first, and then reads the leases, as they are when their holder has come back."""
    claim = Leases.claim

    async def nothing() -> None:
        pass

    async def claiming(self: Leases, partitions: list[int], lives: Any, look: Any) -> Any:
        await look()
        return await claim(self, partitions, lives, nothing)

    Leases.claim = claiming


def repeats_unseen() -> None:
    """What a broken connection may bring yet is not looked for."""
    RunningDeployment._expect_late = lambda *_: None


def shares_for_the_unready() -> None:
    """A worker gets its share before it has loaded its models."""

    def entitled(living: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        return {worker: said.get("member") for worker, said in living.items()}

    turn.entitled = entitled


def no_lease_check() -> None:
    """Nobody looks whether a lease is ours still before a write."""
    Leases.allows = lambda *_: True


def no_second_comparison() -> None:
    """What was taken over is compared at once only, not again when nothing can arrive any more."""
    doubt = Proof.doubt
    Proof.doubt = lambda self, partition, cause, after_s=0.0: None if after_s else doubt(self, partition, cause)


def position_before_the_write() -> None:
    """A batch counts as written when it is sent."""
    write, writing = Pipeline.write, set[Any]()

    async def sending(self: Pipeline, *batch: Any) -> None:
        task = asyncio.create_task(write(self, *batch))
        writing.add(task)
        task.add_done_callback(lambda done: (writing.discard(done), done.cancelled() or done.exception()))

    Pipeline.write = sending


def two_batches_at_once() -> None:
    """Both lanes may have a batch of the same partition."""

    def begin(self: Feed) -> None:
        self.idle.clear()
        self.room.clear()

    Feed.begin_batch = begin


def overflow_unseen() -> None:
    """What the journal has overwritten is passed over."""
    JournalReader._gap_cause = staticmethod(lambda *_, **__: "")


MUTANTS: dict[str, Callable[[], None]] = {
    mutant.__name__: mutant
    for mutant in (
        old_view,
        trusted_before_the_look,
        lost_leases_feed_on,
        any_epoch_writes,
        no_lease_check,
        two_batches_at_once,
        overflow_unseen,
        position_before_the_write,
        shares_for_the_unready,
        no_second_comparison,
        confirmed_by_a_look,
        looked_before_the_leases,
        repeats_unseen,
        judged_when_sent,
        judged_at_the_answer,
    )
}

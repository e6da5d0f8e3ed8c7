"""Mutants: workers that break one promise on purpose, to show that the judge or the counters notice.

Each is put into the chaos worker before it starts. Where a mutant can sit at the wire it does, so that it outlives
changes of the flow.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from grid_inference.flow import write
from grid_inference.flow.events import Events
from grid_inference.grid.link import Link
from grid_inference.grid.topology import Leases
from grid_inference.wire import frames
from tests.chaos.failpoints import point_of

LATE_S = 1.5
"""How much later than acknowledged a prediction is written by the first mutant: more than a position's timer takes."""


def checkpoint_before_write() -> None:
    """Predictions count as written before they are sent: positions pass what is not there yet."""
    post = Link.post

    def posting(
        link: Link, payload: bytearray, partition: int, on_answer: Callable[..., None], *rest: Any, **more: Any
    ):
        if point_of(payload)[0] != "write":
            return post(link, payload, partition, on_answer, *rest, **more)
        loop = asyncio.get_running_loop()
        loop.call_soon(on_answer, frames.Message(b""))
        loop.call_later(LATE_S, lambda: post(link, payload, partition, lambda _: None))
        return Unsent()

    Link.post = posting  # type: ignore[method-assign]


class Unsent:
    """Stands in for a request that was not sent yet."""

    def forget(self) -> None:
        """It is sent all the same."""


def no_witness() -> None:
    """All journal items look alike: another incarnation of a journal is not noticed."""
    Events.witnesses = lambda _, rows: np.zeros(len(rows), np.int64)  # type: ignore[method-assign]


def no_lease_check() -> None:
    """What was held once is held for ever."""
    Leases.expired = property(lambda _: False)  # type: ignore[assignment]
    Leases.holds = lambda _, partitions: np.ones(partitions.size, np.bool_)  # type: ignore[method-assign]


def dead_letters_without_digest() -> None:
    """A dead letter does not say which value it stands for."""
    encode = write.encode_dead_letters

    def encode_without(dead: Any, *rest: Any) -> Any:
        return encode(dataclasses.replace(dead, digests=np.zeros_like(dead.digests)), *rest)

    write.encode_dead_letters = encode_without


MUTANTS: dict[str, Callable[[], None]] = {
    "checkpoint-before-write": checkpoint_before_write,
    "no-witness": no_witness,
    "no-lease-check": no_lease_check,
    "dead-letters-without-digest": dead_letters_without_digest,
}
EXPOSING = {
    "checkpoint-before-write": ("worker_sigkill", "workers_all", "worker_sigkill"),
    "no-witness": ("destroy_unseen", "destroy_unseen"),
    "no-lease-check": ("zombie", "zombie"),
    "dead-letters-without-digest": ("poison",),
}
"""The faults under which each of them shows."""

"""Mutants: workers that break one promise on purpose, to show that the judge or the counters notice.

Each is put into the chaos worker before it starts, and into the operator. Where a mutant can sit at the wire it does,
so that it outlives changes of the flow.
"""

from __future__ import annotations

import asyncio
import dataclasses
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np

from grid_inference.flow import deployment, standing, write
from grid_inference.flow.deployment import RunningDeployment
from grid_inference.flow.events import Events
from grid_inference.flow.reconcile import Counting
from grid_inference.flow.serving import Loaded, Serving
from grid_inference.flow.standing import Known, Results, Standing
from grid_inference.grid.leases import Leases
from grid_inference.grid.link import Link
from grid_inference.model.store.registry import Deployed
from grid_inference.node.worker.turn import Turn
from grid_inference.wire.protocol import frames
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
    """Before a write nobody looks whether the lease is still ours."""
    leases = class_of("Leases", "grid_inference.grid.leases", "grid_inference.grid.topology")
    leases.expired = property(lambda _: False)
    leases.allows = lambda *_: True


def no_reconcile_after_takeover() -> None:
    """What a dead worker or member may have left behind is not looked for."""
    RunningDeployment.doubt = lambda *_, **__: None


def class_of(name: str, *modules: str) -> Any:
    """A class, from the first of the modules that there is."""
    found = next(module for module in modules if importlib.util.find_spec(module))
    return getattr(importlib.import_module(found), name)


def dead_letters_without_digest() -> None:
    """A dead letter does not say which value it stands for."""
    encode = write.encode_dead_letters

    def encode_without(dead: Any, *rest: Any) -> Any:
        return encode(dataclasses.replace(dead, digests=np.zeros_like(dead.digests)), *rest)

    write.encode_dead_letters = encode_without


def new_name_old_model() -> None:
    """A promotion changes the version that predictions name, and not the model that makes them."""
    init, first = Serving.__init__, dict[str, Loaded]()

    def begin(serving: Serving, link: Link, deployed: Deployed, loaded: Loaded, *rest: Any) -> None:
        init(serving, link, deployed, first.setdefault(deployed.config.name, loaded), *rest)

    Serving.__init__ = begin  # type: ignore[method-assign]


def numbers_tell_models() -> None:
    """A result counts by the number of its version alone: another model's, or the last deploy's, will do."""
    standing._equal = lambda texts, _: np.ones(len(texts), np.bool_)
    deployment.NOTHING = Counting(range(1, 100))


def either_result_will_do() -> None:
    """A right result passes, whatever stands beside it."""
    whole = Results.standing

    def lenient(results: Results, records: Events, versions: Any, **how: Any) -> Any:
        found, nothing = whole(results, records, versions, **how), Known.of([])
        doubles = found == Standing.DOUBLE
        for alone in (Results(results.predictions, nothing), Results(nothing, results.dead)):
            found[doubles & (whole(alone, records, versions, **how) == Standing.RIGHT)] = Standing.RIGHT
        return found

    Results.standing = lenient  # type: ignore[method-assign]


def losses_forgotten() -> None:
    """What a look at the leases finds lost goes on all the same, and writes when the lease is taken anew."""
    Turn.let_go = lambda _: None  # type: ignore[method-assign]
    deployment._outlived = lambda *_: False
    Leases.allows = lambda leases, partition, _: not leases.expired and bool(leases.epochs[partition])  # type: ignore[method-assign]


def any_map_will_do() -> None:
    """Nobody asks whose the map is that is to hold the predictions, and a sweep takes away what is none."""
    aio = importlib.import_module("grid_inference.api.aio")  # the operator's part: workers need not wait for it

    async def unasked(*_: Any, **__: Any) -> None:
        """Anything goes."""

    aio.check_claims = unasked
    standing._ours = lambda keys, stored: (keys, stored)


MUTANTS: dict[str, Callable[[], None]] = {
    "checkpoint-before-write": checkpoint_before_write,
    "no-witness": no_witness,
    "no-lease-check": no_lease_check,
    "no-reconcile-after-takeover": no_reconcile_after_takeover,
    "dead-letters-without-digest": dead_letters_without_digest,
    "new-name-old-model": new_name_old_model,
    "numbers-tell-models": numbers_tell_models,
    "either-result-will-do": either_result_will_do,
    "losses-forgotten": losses_forgotten,
    "any-map-will-do": any_map_will_do,
}
EXPOSING = {
    "checkpoint-before-write": ("worker_sigterm", "worker_sigkill", "worker_sigterm"),
    "no-witness": ("destroy_unseen", "destroy_unseen"),
    "no-lease-check": ("zombie_dies", "zombie_dies"),
    "no-reconcile-after-takeover": ("zombie", "zombie"),
    "dead-letters-without-digest": ("poison",),
    "new-name-old-model": ("worker_sigkill",),
    "numbers-tell-models": ("redeploy",),
    "either-result-will-do": ("zombie_forms", "zombie_forms"),
    "losses-forgotten": ("stopped_in_model", "stopped_in_model"),
    "any-map-will-do": ("others_map",),
}
"""The faults under which each of them shows."""
PROMOTIONS = {"new-name-old-model": 6}
"""Changes of the model's version that it takes."""

"""`Versions`: which versions of a model are at work in one deployment of one worker, and which come and go.

One scores; a canary scores a share of the keys; a shadow scores beside, into a map of its own; and what was replaced
ends the batches that it has begun.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid_inference.config import WorkerConfig
from grid_inference.flow.calls import Call
from grid_inference.flow.feeds import Arrivals
from grid_inference.flow.serving import Loaded, Serving
from grid_inference.flow.shadow import Shadow
from grid_inference.flow.split import Split
from grid_inference.flow.watch import Watch
from grid_inference.grid.leases import Leases
from grid_inference.grid.link import Link
from grid_inference.logs import logger
from grid_inference.metrics import Observe
from grid_inference.model.store.registry import Deployed

__all__ = ["Versions"]

_log = logger(__name__)

BATCH_SHARE = 0.25
"""A batch is sized to take this share of a lease's time."""


class Versions:
    """What scores in one deployment."""

    def __init__(
        self,
        link: Link,
        deployed: Deployed,
        loaded: Loaded,
        config: WorkerConfig,
        leases: Leases,
        *,
        observe: Observe,
        watch: Watch,
    ) -> None:
        self._name = deployed.config.name
        self._link = link
        self._config = config
        self._leases = leases
        self._observe = observe
        self._watch = watch
        self._serving = self._served(deployed, loaded)
        self.split = Split(self._serving.scorer)
        self._canary: Serving | None = None
        self._shadow: Shadow | None = None
        self._shadowed = Counter[str]()
        """What ended shadows have `scored` and `skipped`."""
        self._retiring: dict[Serving, asyncio.Task[None]] = {}
        self._retired_model_s = 0.0

    def _served(self, deployed: Deployed, loaded: Loaded) -> Serving:
        return Serving(self._link, deployed, loaded, self._config, self._observe, self._watch)

    @property
    def version(self) -> int:
        """The version that scores."""
        return self._serving.version

    @property
    def all(self) -> set[int]:
        """The versions that score, or end what they have begun."""
        return {one.version for one in self._at_work()}

    # ---- one in the place of another

    def switch(self, deployed: Deployed, loaded: Loaded) -> None:
        """Score by another version from the next batch on; what is under way is ended by the one before."""
        before, self._serving = self._serving, self._served(deployed, loaded)
        self.split.scorer = self._serving.scorer
        self.end_canary()
        self._retiring[before] = asyncio.create_task(self._retire(before))

    def canary(self, wanted: Deployed, loaded: Loaded, share: float) -> None:
        """Score a share of the keys by another version, from the next batch on."""
        if self._canary is None or self._canary.version != wanted.version:
            self.end_canary()
            self._canary = self._served(wanted, loaded)
        self.split.canary, self.split.share = self._canary.scorer, share

    def end_canary(self) -> None:
        """Score all keys by the version at work; what the other one has begun it ends."""
        before, self._canary, self.split.canary = self._canary, None, None
        if before:
            self._retiring[before] = asyncio.create_task(self._retire(before))

    async def _retire(self, before: Serving) -> None:
        await before.retire()
        self._retired_model_s += before.calls.model_s
        del self._retiring[before]

    # ---- one beside

    async def shadow(self, wanted: Deployed, loaded: Loaded, budget: float) -> None:
        """Have another version score beside what is written from now on, in a share of the time."""
        if self._shadow is None or (self._shadow.model, self._shadow.version) != (wanted.model, wanted.version):
            await self.end_shadow()
            self._shadow = Shadow(self._link, wanted, loaded, self._config, self._leases)
        self._shadow.give(budget)

    async def end_shadow(self) -> None:
        """Have no other version score beside."""
        before, self._shadow = self._shadow, None
        if before:
            await before.stop()
            self._shadowed.update({name: before.counts()[name] for name in ("scored", "skipped")})

    def offer(self, arrivals: Arrivals) -> None:
        """Show the shadow what is written. Its errors are its own."""
        try:
            if self._shadow:
                self._shadow.offer(arrivals)
        except Exception:  # noqa: BLE001
            _log.exception("batch not taken by the shadow", deployment=self._name)

    # ---- what the models take

    @property
    def rows_max(self) -> int:
        """So many rows make a batch at the most: one that outlasts its lease would be scored in vain."""
        batch_s = self._config.lease_ttl_s * BATCH_SHARE
        rows = self._serving.calls.rows_within(batch_s, self._config.batch_rows_max)
        if self._canary and self.split.share:
            theirs = self._canary.calls.rows_within(batch_s, self._config.batch_rows_max)
            rows = max(1, int(min(rows, theirs / self.split.share)))
        return rows

    @property
    def row_s(self) -> float:
        """What a row takes in the slowest of the models that score here."""
        return max(one.calls.row_s for one in self._at_work())

    def overdue(self, passed_s: float) -> Call | None:
        """The call of the model that hangs, if one does; see `ModelCalls.overdue`."""
        found = [one.calls.overdue(passed_s) for one in self._at_work()]
        return next((call for call in found if call), None)

    def held_up(self) -> list[NDArray[np.int32]]:
        """Partitions of batches that hold up the event loop; for another thread."""
        batches = [one.calls.held_up for one in self._at_work()]
        return [batch for batch in batches if batch is not None]

    def rest(self) -> None:
        """Nothing is suspect any more: end the processes for trials."""
        for one in self._at_work():
            one.calls.rest()

    def _at_work(self) -> list[Serving]:
        return [self._serving, *([self._canary] if self._canary else []), *list(self._retiring)]

    def counts(self) -> dict[str, Any]:
        """What was done by which of them since the worker took the deployment on."""
        shadow = self._shadow.counts() if self._shadow else None
        scored, skipped = (self._shadowed[name] + (shadow[name] if shadow else 0) for name in ("scored", "skipped"))
        return {
            "version": self.version,
            "canary": {"version": self._canary.version, "share": self.split.share} if self._canary else None,
            "shadow": shadow,
            "shadow_predictions": scored,
            "shadow_skipped": skipped,
            "model_s": round(self._retired_model_s + sum(one.calls.model_s for one in self._at_work()), 6),
        }

    async def close(self) -> None:
        """End them all; nothing is scored any more. Raises what the shadow's end raises, when all others have ended."""
        try:
            await self.end_shadow()
        finally:
            self._serving.calls.close()
            self.end_canary()
            await asyncio.gather(*self._retiring.values())

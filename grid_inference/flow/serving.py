"""One version of a model: fetched, loaded and checked; then at work in a deployment, until another one takes its place.

In: a loaded model with its signature. Out: what asks it (`ModelCalls`) and what scores by it (`Scorer`). It retires
only when no batch is under way by it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from grid_inference.config import WorkerConfig
from grid_inference.flow.calls import ModelCalls, Speed
from grid_inference.flow.encode import PredictionEncoder
from grid_inference.flow.score import Scorer
from grid_inference.flow.watch import Watch
from grid_inference.grid.link import Link
from grid_inference.metrics import Observe
from grid_inference.model.engines.engine import Engine
from grid_inference.model.engines.expected import Expected
from grid_inference.model.engines.native import engine_of
from grid_inference.model.signature import Signature
from grid_inference.model.store.artifact import check_versions, load
from grid_inference.model.store.keys import Keyring
from grid_inference.model.store.manifest import Manifest
from grid_inference.model.store.memory import give_back
from grid_inference.model.store.registry import Deployed, Registry
from grid_inference.model.store.shared import shared
from grid_inference.model.store.trust import Trust

__all__ = ["Loaded", "Serving", "fetched"]


async def fetched(
    link: Link, manifest: Manifest, address: str, *, keys: str, allow_pickle: bool = False, arrays: Path | None = None
) -> Any:
    """A model from the grid at `address`, by the keys that are trusted in the folder `keys` at this moment.

    Its large arrays are shared by whoever loads it with the same folder `arrays`.

    Raises TrustError for what nobody vouched for, ArtifactError for what is not whole or can't be loaded here.
    """
    trusted = Keyring(keys).trusted().values()  # as they are now: an operator may just have added one
    trust = Trust.of(address, *link.members().values(), allow_pickle=allow_pickle, keys=trusted)
    check_versions(manifest)  # before all of it is fetched, which is tried again and again
    model = await asyncio.to_thread(load, await Registry(link).artifact(manifest), trust)
    await asyncio.to_thread(give_back)
    if arrays:
        model = await asyncio.to_thread(shared, model, manifest, arrays)
        await asyncio.to_thread(give_back)
    return model


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that has been loaded, asked for its sample, and found to answer as where it was published."""

    model: Any
    engine: Engine
    speed: Speed | None
    """How long it took for how many rows; None if there was no sample."""

    @classmethod
    def of(cls, model: Any, signature: Signature, expected: Expected | None, name: str) -> Self:
        """Check a model; raise ArtifactError if it computes otherwise here, SignatureError if it can't be asked."""
        engine = engine_of(model, signature)
        return cls(model, engine, expected.check(engine, name) if expected else None)


class Serving:
    """A version at work in one deployment."""

    def __init__(
        self,
        link: Link,
        deployed: Deployed,
        loaded: Loaded,
        config: WorkerConfig,
        observe: Observe,
        watch: Watch | None = None,
    ) -> None:
        settings, signature = deployed.config, deployed.signature
        self.version = deployed.version
        self.calls = ModelCalls(loaded.model, loaded.engine, config, settings.name, observe, speed=loaded.speed)
        self.scorer = Scorer(
            link,
            watch.asks(self.calls, deployed) if watch else self.calls,
            PredictionEncoder(settings.name, deployed.model, deployed.version, signature),
            inputs=settings.inputs,
            nan=settings.nan,
            score_of=settings.score_of,
            observe=observe,
        )

    async def retire(self) -> None:
        """End once nothing is scored by it any more."""
        await self.scorer.idle()
        self.calls.close()

"""The models that a worker has loaded, each once for all deployments of the same artifact, and kept through a pause."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from grid_inference.config import WorkerConfig
from grid_inference.flow.serving import Loaded, fetched
from grid_inference.grid.link import Link
from grid_inference.model.store.registry import Deployed
from grid_inference.model.store.shared import forget

__all__ = ["Models"]

LOADS_AT_ONCE = 4
"""So many models are loaded at a time: each takes memory for its bytes and for itself."""


class Models:
    """What is loaded here, by the digest of its artifact."""

    def __init__(self, link: Link, config: WorkerConfig, address: str) -> None:
        self._link = link
        self._config = config
        self._address = address
        self._arrays = Path(config.arrays) if config.arrays and config.share_arrays else None
        self._models: dict[str, Any] = {}
        self._loads = asyncio.Semaphore(LOADS_AT_ONCE)
        self._loading: dict[str, asyncio.Lock] = {}
        """By artifact: whoever loads one that is being loaded waits for it."""

    async def loaded(self, deployed: Deployed) -> Loaded:
        """The deployment's model, asked for its sample; ModelError if it can't be had, or computes otherwise here."""
        model, name = await self._model(deployed), f"{deployed.model}@{deployed.version}"
        return await asyncio.to_thread(Loaded.of, model, deployed.signature, deployed.expected, name)

    def keep(self, kept: set[str]) -> bool:
        """Let go of all models but these, and of the files of arrays that a load has left; whether there were some."""
        dropped = self._models.keys() - kept
        self._models = {sha256: model for sha256, model in self._models.items() if sha256 in kept}
        self._loading = {sha256: lock for sha256, lock in self._loading.items() if sha256 in kept or lock.locked()}
        if self._arrays:
            forget(self._arrays, kept)
        return bool(dropped)

    async def _model(self, deployed: Deployed) -> Any:
        """The deployment's model: kept from before a pause, or loaded from the grid; ModelError if it can't be."""
        sha256 = deployed.manifest.sha256
        async with self._loading.setdefault(sha256, asyncio.Lock()), self._loads:
            if sha256 not in self._models:
                self._models[sha256] = await fetched(
                    self._link,
                    deployed.manifest,
                    self._address,
                    keys=self._config.keys,
                    allow_pickle=self._config.allow_pickle,
                    arrays=self._arrays,
                )
            return self._models[sha256]

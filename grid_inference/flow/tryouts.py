"""Models that are proposed, loaded in this worker beside all that runs, and the answer to whoever proposed them.

A tryout ends when its proposal is gone: taken back, or adopted as a deployment, which then finds the model loaded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from grid_inference.errors import GridError
from grid_inference.grid.link import Link
from grid_inference.logs import logger
from grid_inference.model.store.proposals import Proposal, Proposals
from grid_inference.model.store.registry import Deployed

__all__ = ["Tryouts"]

_log = logger(__name__)

RETRY_PAUSE_S = 0.5
"""Pause before what may pass is tried again; that ends with the proposal."""


class Tryouts:
    """What is tried out here."""

    def __init__(
        self, link: Link, worker: str, load: Callable[[Deployed], Awaitable[None]], why: Callable[[Exception], str]
    ) -> None:
        """`load` raises if the model can't be used here, `why` puts that into words."""
        self._proposals = Proposals(link)
        self._worker = worker
        self._load = load
        self._why = why
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def follow(self) -> set[str]:
        """Begin what is proposed newly, end what is not any more; digests of the models that are proposed."""
        standing = {one.token: one for one in await self._proposals.standing()}
        for token in self._tasks.keys() - standing.keys():
            self._tasks.pop(token).cancel()
        for token, proposal in standing.items():
            if token not in self._tasks:
                self._tasks[token] = asyncio.create_task(self._try(proposal))
        return {one.deployed.manifest.sha256 for one in standing.values()}

    def stop(self) -> None:
        """Try nothing more."""
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()

    async def _try(self, proposal: Proposal) -> None:
        failure = await self._failure(proposal.deployed)
        while True:
            try:
                await self._proposals.answer(proposal, self._worker, failure)
            except GridError as error:
                _log.warning("answer to a proposal not written", error=error)
                await asyncio.sleep(RETRY_PAUSE_S)
            else:
                return

    async def _failure(self, deployed: Deployed) -> str:
        while True:
            try:
                await self._load(deployed)
            except Exception as error:  # a model may raise anything; whoever proposed it is told  # noqa: BLE001
                if not getattr(error, "retryable", False):
                    failure = self._why(error)
                    name = deployed.config.name
                    _log.error("proposal refused", deployment=name, version=deployed.version, error=failure)
                    return failure
                await asyncio.sleep(RETRY_PAUSE_S)
            else:
                return ""

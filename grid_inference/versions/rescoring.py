"""Having all records scored by the version at work, while serving; it is watched from here until it is done."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from grid_inference.errors import DeploymentError
from grid_inference.flow.causes import RESCORE
from grid_inference.grid.link import Link
from grid_inference.grid.liveness import worker_counts
from grid_inference.model.store.registry import Deployed, Registry

__all__ = ["Rescored", "rescore"]

POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Rescored:
    """How far a pass is."""

    version: int
    partitions: int
    """Those that are done."""
    of: int
    """All of them."""
    records: int
    """Scored anew by the workers that live now."""
    seconds: float

    @property
    def complete(self) -> bool:
        """Whether all partitions are done."""
        return self.partitions >= self.of


async def rescore(link: Link, name: str, rate: float, watch: Callable[[Rescored], None]) -> Rescored:
    """Have workers score what another version has scored, until all is done; cancelled they stop.

    Raises DeploymentError if there is no such deployment, or it does not run.
    """
    registry, begun_s = Registry(link), time.monotonic()
    deployed = await registry.change(name, lambda one: _begun(one, rate))
    before = await _sent(link, name)
    try:
        while True:
            said = await _said(link, name)
            now = await registry.deployment(name)
            _check_running(now)
            sent = sum(one["repairs"].get(RESCORE, 0) - before.get(worker, 0) for worker, one in said.items())
            at = Rescored(
                version=now.version,
                partitions=len(_done(said, deployed.rescore, now.version)),
                of=link.partition_count,
                records=sent,
                seconds=time.monotonic() - begun_s,
            )
            watch(at)
            if at.complete:
                return at
            await asyncio.sleep(POLL_S)
    finally:
        with contextlib.suppress(DeploymentError):  # it may be gone meanwhile
            await registry.change(name, lambda one: _ended(one, deployed.rescore))


def _check_running(deployed: Deployed) -> None:
    name = deployed.config.name
    if deployed.state != "running":
        raise DeploymentError(f"{name!r} is {deployed.state}", remedy=f"`grid-inference resume {name}` first")


def _begun(deployed: Deployed, rate: float) -> Deployed:
    _check_running(deployed)
    if deployed.config.start == "new":
        raise DeploymentError(
            f"{deployed.config.name!r} scores new records only", remedy='deploy it with start = "existing"'
        )
    return replace(deployed, rescore=deployed.rescore or time.time_ns() // 1000, rescore_rate=rate)


def _ended(deployed: Deployed, rescore: int) -> Deployed:
    return replace(deployed, rescore=0) if deployed.rescore == rescore else deployed


def _done(said: Mapping[str, dict[str, Any]], begun: int, version: int) -> set[int]:
    """The partitions of which some worker says that they are scored, in this pass and by this version."""
    passes = [one["rescored"] for one in said.values() if isinstance(one["rescored"], dict)]
    return {
        partition
        for one in passes
        if (one["begun"], one["version"]) == (begun, version)
        for partition in one["partitions"]
    }


async def _said(link: Link, name: str) -> dict[str, dict[str, Any]]:
    return {worker: one for worker, one in (await worker_counts(link, name)).items() if "rescored" in one}


async def _sent(link: Link, name: str) -> dict[str, int]:
    return {worker: one["repairs"].get(RESCORE, 0) for worker, one in (await _said(link, name)).items()}

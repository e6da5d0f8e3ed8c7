"""Drift as it stands in the grid: the counts of all workers, put together and held against a version's training."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress

from grid_inference.drift.counts import DRIFT_MAP, Counts, place_of, together
from grid_inference.drift.report import Drift, drift_of
from grid_inference.errors import DecodeError, DeploymentError, ModelError
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap
from grid_inference.model.store.catalog import Catalog
from grid_inference.model.store.published import Reference
from grid_inference.model.store.registry import Deployed, Registry
from grid_inference.model.store.statistics import SAMPLE_ROWS_MIN, Statistics
from grid_inference.wire.json.values import decode_json

__all__ = ["ask", "read"]


async def ask(link: Link, name: str, version: int | None = None) -> Drift:
    """The drift of a deployment, by the version at work or another one.

    Raises DeploymentError for an unknown deployment and where nothing is counted, ModelError for an unknown version and
    for one without training statistics.
    """
    deployed = await Registry(link).deployment(name)
    if version is not None and version != deployed.version:
        candidate = deployed.candidate
        if candidate is None or candidate.version != version:
            candidate = await Catalog(link).version(Reference(deployed.model, str(version)))
        deployed = deployed.prepared(candidate).switched()
    said = f"{deployed.model}@{deployed.version}"
    if deployed.statistics is None:
        raise ModelError(
            f"{said} has no training statistics",
            remedy=f"publish it with `sample=` of {SAMPLE_ROWS_MIN} rows or more like its training's, and deploy it",
        )
    if not deployed.config.drift.psi:
        raise DeploymentError(f"drift.psi of {name!r} is 0: nothing is counted", remedy="deploy it with one above 0")
    drift = await read(link, deployed, deployed.statistics)
    if not drift.rows:
        raise DeploymentError(
            f"nothing that {said} has scored in {name!r} was counted in the last {drift.window_s:g} s",
            remedy="put records, and ask again: workers tell what they have counted each 5 s",
        )
    return drift


async def read(link: Link, deployed: Deployed, statistics: Statistics) -> Drift:
    """The drift of the version at work in a deployment, whatever was counted."""
    values = await GridMap(link, DRIFT_MAP).values()
    return await asyncio.to_thread(_held, deployed, statistics, values)


def _held(deployed: Deployed, statistics: Statistics, values: Sequence[bytes]) -> Drift:
    """In a thread: wide models have thousands of bins."""
    settings, place = deployed.config, place_of(deployed.config.name, deployed.model, deployed.version)
    every: list[Counts] = []
    named = json.dumps(place).encode()
    for value in values:
        if named not in value:
            continue  # another version's: wide ones take long to decode
        with suppress(DecodeError):
            found = Counts.read(decode_json(value), place, statistics)
            every += [found] if found and found.rows else []
    columns = drift_of(statistics, together(every, statistics), deployed.signature.names)
    return Drift(
        deployment=settings.name,
        model=deployed.model,
        version=deployed.version,
        threshold=settings.drift.psi,
        window_s=settings.drift.window_s,
        workers=len(every),
        training_rows=statistics.rows,
        rows=max((column.rows for column in columns), default=0),
        columns=columns,
    )

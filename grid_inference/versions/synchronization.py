"""Keeping the models of a grid in a folder, and bringing them back after all of its members were gone at once.

One that can't be copied keeps none of the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path

from grid_inference.errors import ConfigError, ModelError
from grid_inference.model.store.catalog import Catalog
from grid_inference.model.store.folder import Folder
from grid_inference.model.store.published import ModelVersion

__all__ = ["Synchronized", "synchronize"]


@dataclass(frozen=True, slots=True)
class Synchronized:
    """What was copied, as `MODEL@VERSION`."""

    to_folder: list[str] = field(default_factory=list[str])
    to_grid: list[str] = field(default_factory=list[str])
    failures: dict[str, str] = field(default_factory=dict[str, str])
    """What could not be copied, and why: files that are not whole, a version that is another one on the other side."""


async def synchronize(catalog: Catalog, path: Path) -> Synchronized:
    """Have every version on both sides; one that can't be copied keeps none of the others.

    Aliases are the grid's where it has the model, else the folder's.
    """
    folder, known, done = Folder(path), await catalog.models(), Synchronized()
    for name in sorted({*known, *folder.models()}):
        here = {one.version: one for one in await catalog.versions(name)} if name in known else {}
        kept = set(folder.versions(name))
        for number in sorted(kept - here.keys()):
            await _try(done, done.to_grid, f"{name}@{number}", _to_grid(catalog, folder, name, number))
        for number in sorted(here.keys() - kept):
            version = here[number]
            await _try(done, done.to_folder, str(version), _to_folder(catalog, folder, version))
        await _try(done, [], name, _aliases(catalog, folder, name, known=name in known))
    return done


async def _to_grid(catalog: Catalog, folder: Folder, name: str, number: int) -> None:
    version, artifact = await asyncio.to_thread(folder.read, name, number)
    await catalog.restore(version, artifact)


async def _to_folder(catalog: Catalog, folder: Folder, version: ModelVersion) -> None:
    artifact = await catalog.artifact(version)
    await asyncio.to_thread(folder.write, version, artifact)


async def _aliases(catalog: Catalog, folder: Folder, name: str, *, known: bool) -> None:
    if not known:
        for alias, history in folder.model(name).aliases.items():
            await catalog.name(name, alias, history)
    folder.write_model(await catalog.model(name))


async def _try(done: Synchronized, copied: list[str], what: str, copying: Awaitable[None]) -> None:
    try:
        await copying
    except (ModelError, ConfigError) as error:
        done.failures[what] = f"{error} {error.remedy}".strip()
    else:
        copied.append(what)

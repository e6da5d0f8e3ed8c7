"""`Catalog`: the models that are published in the grid, their versions and aliases, changed by compare-and-set.

A version is written behind its artifact, and its number is made known behind that: a partial upload is never seen, and
two who publish at once get two numbers.
"""

from __future__ import annotations

import getpass
import socket
import time
from collections.abc import Callable
from dataclasses import replace

from grid_inference.config import check_alias, check_model_name
from grid_inference.errors import ModelError
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap
from grid_inference.model.store.artifact import Artifact
from grid_inference.model.store.published import MODELS_MAP, Made, Model, ModelVersion, Reference
from grid_inference.model.store.registry import Deployed, Registry
from grid_inference.wire.json.values import encode_json
from grid_inference.wire.keys import encode_key

__all__ = ["Catalog"]


class Catalog:
    """Models of one grid."""

    def __init__(self, link: Link) -> None:
        self._models = GridMap(link, MODELS_MAP)
        self._registry = Registry(link)

    async def publish(self, name: str, made: Made, *, above: int = 0) -> ModelVersion:
        """Store a model's next version, whose number is higher than `above`; ConfigError for what can't be a name."""
        check_model_name(name)
        await self._registry.put_artifact(made.artifact)
        number = max(above, (await self._known(name)).latest) + 1
        by = f"{_user()}@{socket.gethostname()}"
        while True:
            version = ModelVersion(
                model=name,
                version=number,
                signature=made.signature,
                manifest=made.artifact.manifest,
                expected=made.expected,
                published_us=time.time_ns() // 1000,
                published_by=by,
                compiled=made.compiled,
                statistics=made.statistics,
            )
            value = encode_json(version.to_mapping())
            if await self._models.put_if_absent(encode_key(str(version)), value) is None:
                break
            number += 1
        await self._change(name, lambda model: replace(model, latest=max(model.latest, number)))
        return version

    async def restore(self, version: ModelVersion, artifact: Artifact) -> None:
        """Store a version under the number that it has; raise ModelError if another one has it here."""
        await self._registry.put_artifact(artifact)
        value = encode_json(version.to_mapping())
        there = await self._models.put_if_absent(encode_key(str(version)), value)
        if there is not None and ModelVersion.read(there).manifest.sha256 != version.manifest.sha256:
            raise ModelError(
                f"{version} in the grid is another model than the one that was kept",
                remedy="publish the kept one anew, from its file",
            )
        number = version.version
        await self._change(version.model, lambda model: replace(model, latest=max(model.latest, number)))

    async def artifact(self, version: ModelVersion) -> Artifact:
        """A version's artifact, whole; raise ArtifactError if it is not."""
        return await self._registry.artifact(version.manifest)

    async def models(self) -> dict[str, Model]:
        """All models by name."""
        found: list[Model] = []
        for value in await self._models.values():
            try:
                found.append(Model.read(value))
            except ModelError:
                continue  # a version's entry
        return {one.name: one for one in sorted(found, key=lambda one: one.name)}

    async def model(self, name: str) -> Model:
        """One model; raise ModelError if there is none of that name."""
        model = await self._known(name)
        if not model.latest:
            names = ", ".join(await self.models()) or "none"
            raise ModelError(
                f"there is no model {name!r}; there are: {names}", remedy="`grid-inference models publish` makes one"
            )
        return model

    async def versions(self, name: str) -> list[ModelVersion]:
        """A model's versions, the newest first, without those that were deleted."""
        latest = (await self.model(name)).latest
        found = [await self._found(name, number) for number in range(latest, 0, -1)]
        return [version for version in found if version is not None]

    async def version(self, reference: Reference) -> ModelVersion:
        """The version that a reference names now; raise ModelError if there is none."""
        model = await self.model(reference.model)
        number = reference.version or model.current(reference.which)
        version = await self._found(model.name, number) if number <= model.latest else None
        if version is None:
            raise ModelError(
                f"there is no version {number} of the model {model.name!r}",
                remedy=f"`grid-inference models show {model.name}` lists them",
            )
        return version

    async def move(self, name: str, alias: str, version: int) -> Model:
        """Have an alias name a version from now on; ConfigError for what can't be an alias."""
        check_alias(alias)
        return await self._change(name, lambda model: model.moved(alias, version))

    async def name(self, name: str, alias: str, history: tuple[int, ...]) -> Model:
        """Have an alias name the last of these versions, and have named the others before."""
        check_alias(alias)
        return await self._change(name, lambda model: replace(model, aliases=model.aliases | {alias: history}))

    async def delete(self, version: ModelVersion) -> None:
        """Remove a version, and its artifact if no other version has the same; raise ModelError while it is in use."""
        model = await self.model(version.model)
        named = sorted(alias for alias, history in model.aliases.items() if history[-1] == version.version)
        ever = (await self._registry.ever_deployed()).values()
        using = [one for one in ever if one.state != "undeployed"]
        uses = [one.config.name for one in using if _scores_by(one, version)]
        if named or uses:
            users = ", ".join([f"alias {alias}" for alias in named] + [f"deployment {name}" for name in uses])
            raise ModelError(
                f"{version} is in use by {users}", remedy="promote another version, or end the shadow, first"
            )
        await self._models.delete(encode_key(str(version)))
        await self._change(model.name, lambda now: _forgotten(now, version.version))
        kept = {one.manifest.sha256 for name in await self.models() for one in await self.versions(name)}
        kept |= {one.manifest.sha256 for one in using}
        if version.manifest.sha256 not in kept:
            await self._registry.delete_artifact(version.manifest)

    async def _found(self, name: str, number: int) -> ModelVersion | None:
        value = await self._models.get(encode_key(f"{name}@{number}"))
        version = None if value is None else ModelVersion.read(value)
        if version is not None and (version.model, version.version) != (name, number):
            raise ModelError(f"the entry of {name}@{number} is that of {version}", remedy="publish the model again")
        return version

    async def _known(self, name: str) -> Model:
        value = await self._models.get(encode_key(name))
        return Model(name) if value is None else Model.read(value)

    async def _change(self, name: str, change: Callable[[Model], Model]) -> Model:
        key = encode_key(name)
        while True:
            before = await self._models.get(key)
            model = change(Model(name) if before is None else Model.read(before))
            value = encode_json(model.to_mapping())
            if before is None:
                done = await self._models.put_if_absent(key, value) is None
            else:
                done = await self._models.replace_if_same(key, before, value)
            if done:
                return model


def _scores_by(deployed: Deployed, version: ModelVersion) -> bool:
    """Whether a deployment scores by a version, or is about to."""
    at_work = (deployed.model, deployed.version) == (version.model, version.version)
    return at_work or any(map(version.same_as, deployed.beside))


def _forgotten(model: Model, version: int) -> Model:
    """The same without a version in the history of its aliases."""
    aliases = {alias: tuple(one for one in history if one != version) for alias, history in model.aliases.items()}
    return replace(model, aliases={alias: history for alias, history in aliases.items() if history})


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no name for the number, as in a container
        return "unknown"

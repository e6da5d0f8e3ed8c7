"""What the grid knows of models and deployments: artifacts in pieces, and one JSON entry a deployment.

An artifact's manifest is written behind its pieces, so a partial upload is never visible.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from grid_inference.config import DeploymentConfig
from grid_inference.display import facts_html
from grid_inference.errors import ArtifactError, DecodeError, DeploymentError
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap
from grid_inference.logs import error_once, logger
from grid_inference.model.engines.expected import Expected
from grid_inference.model.signature import Signature
from grid_inference.model.store.artifact import CHUNK_BYTES, Artifact
from grid_inference.model.store.manifest import Manifest
from grid_inference.model.store.published import ModelVersion
from grid_inference.model.store.statistics import Statistics
from grid_inference.wire.json.values import decode_bytes, decode_json, encode_bytes, encode_json
from grid_inference.wire.keys import encode_key

__all__ = ["ARTIFACTS_MAP", "DEPLOYMENTS_MAP", "Challenger", "Deployed", "Registry"]

_log = logger(__name__)

DEPLOYMENTS_MAP = "grid_inference.deployments"
ARTIFACTS_MAP = "grid_inference.artifacts"

GENERATIONS_SINCE_S = 1_700_000_000
"""Seconds since 1970, in November 2023: a generation fits 32 bits."""

State = Literal["running", "paused", "undeployed"]
STATES: tuple[State, ...] = get_args(State)


@dataclass(frozen=True, slots=True)
class Challenger:
    """A version that scores what another one has scored, into a map of its own: a shadow."""

    version: ModelVersion
    budget: float
    """The share of a worker's time that it may take, above 0 and at most 1."""

    def to_mapping(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {"version": self.version.to_mapping(), "budget": self.budget}

    @classmethod
    def from_mapping(cls, mapping: dict[str, Any]) -> Challenger:
        """From what `to_mapping` gave; raise ValueError for a budget that is none."""
        budget = float(mapping["budget"])
        if not 0 < budget <= 1:
            raise ValueError(f"{budget!r} is no budget")
        return cls(ModelVersion.from_mapping(mapping["version"]), budget)


@dataclass(frozen=True, slots=True)
class Deployed:
    """A deployment as it stands in the grid."""

    config: DeploymentConfig
    model: str
    version: int
    """Counts up with every deploy."""
    signature: Signature
    manifest: Manifest
    state: State
    deployed_at_us: int
    expected: Expected | None = None
    """A sample of the model's inputs with its results, which every worker checks after loading."""
    alias: str = ""
    """The alias whose version is at work, now and after a promotion; empty if the version is fixed."""
    generation: int = 0
    """Counts up with every deploy, which has all records scored anew, and not with a promotion, which has not. By it
    workers tell one deploy from another, also from one before the cluster was begun anew."""
    standing: tuple[int, ...] = ()
    """Versions whose results count: those that have been at work since the deploy, and the candidate."""
    candidate: ModelVersion | None = None
    """The version that workers load beside the one at work, so that a promotion needs no pause."""
    share: float = 0.0
    """Of all keys those that the candidate scores, as a canary; from 0 to 1."""
    shadow: Challenger | None = None
    """The version that scores the same records beside, unseen by those who read predictions."""
    rescore: int = 0
    """When the pass began that scores by this version what others have scored, microseconds since 1970; 0: none."""
    rescore_rate: float = 0.0
    """Records per second that it may take, over all workers; 0: no limit."""
    statistics: Statistics | None = None
    """How the training of the version at work was spread; None if that is not known."""

    @classmethod
    def of(cls, config: DeploymentConfig, version: ModelVersion, alias: str, generation: int) -> Deployed:
        """A deployment that begins with a version of a model."""
        return cls(
            config=config,
            model=version.model,
            version=version.version,
            signature=version.signature,
            manifest=version.manifest,
            state="running",
            deployed_at_us=time.time_ns() // 1000,
            expected=version.expected,
            alias=alias,
            generation=generation,
            standing=(version.version,),
            statistics=version.statistics,
        )

    def prepared(self, candidate: ModelVersion) -> Deployed:
        """The same, with a candidate that is to be loaded beside; one that is a canary already stays one."""
        standing = tuple(sorted({*self.standing, candidate.version}))
        same = self.candidate is not None and self.candidate.version == candidate.version
        return replace(self, candidate=candidate, standing=standing, share=self.share if same else 0.0)

    def switched(self) -> Deployed:
        """The same with its candidate at work, which is no shadow any more."""
        new, shadow = self.candidate, self.shadow
        if new is None:
            return self
        ended = shadow is not None and new.same_as(shadow.version)
        return replace(self._by(new), candidate=None, share=0.0, shadow=None if ended else shadow)

    @property
    def beside(self) -> list[ModelVersion]:
        """The versions that workers load beside the one at work."""
        return [one for one in (self.candidate, self.shadow and self.shadow.version) if one]

    def shadowed(self) -> Deployed | None:
        """The same with its shadow at work; None if there is none."""
        return self._by(self.shadow.version) if self.shadow else None

    def _by(self, new: ModelVersion) -> Deployed:
        changes = {"model": new.model, "version": new.version, "signature": new.signature, "manifest": new.manifest}
        return replace(self, **changes, expected=new.expected, statistics=new.statistics)

    def _repr_html_(self) -> str:
        """What a notebook shows of it."""
        config, names = self.config, self.signature.names
        facts = {
            "model": f"{self.model} version {self.version}: {self.manifest.class_name}",
            "state": self.state,
            "features": config.features,
            "predictions": config.predictions,
            "inputs": ", ".join(names) if names else self.signature.inputs_count,
        }
        if config.accept_expiry:
            facts["expiry"] = "accepted"
        return facts_html(f"deployment {config.name}", facts)

    def to_mapping(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {
            "config": self.config.to_mapping(),
            "model": self.model,
            "version": self.version,
            "signature": self.signature.to_mapping(),
            "manifest": self.manifest.to_mapping(),
            "state": self.state,
            "deployed_at_us": self.deployed_at_us,
            "expected": self.expected and self.expected.to_mapping(),
            "alias": self.alias,
            "generation": self.generation,
            "standing": list(self.standing),
            "candidate": self.candidate and self.candidate.to_mapping(),
            "share": self.share,
            "shadow": self.shadow and self.shadow.to_mapping(),
            "rescore": self.rescore,
            "rescore_rate": self.rescore_rate,
            "statistics": self.statistics and self.statistics.to_mapping(),
        }

    @classmethod
    def from_mapping(cls, mapping: dict[str, Any]) -> Deployed:
        """From what `to_mapping` gave; raise DeploymentError for anything else: whoever writes to the grid may.

        What was written before there were promotions has no more than the first seven.
        """
        try:
            expected, candidate, shadow, statistics = (
                mapping.get(name) for name in ("expected", "candidate", "shadow", "statistics")
            )
            return cls(
                config=DeploymentConfig.from_mapping(mapping["config"]),
                model=str(mapping["model"]),
                version=int(mapping["version"]),
                signature=Signature.from_mapping(mapping["signature"]),
                manifest=Manifest.from_mapping(mapping["manifest"]),
                state=_state(mapping["state"]),
                deployed_at_us=int(mapping["deployed_at_us"]),
                expected=Expected.from_mapping(expected) if expected else None,
                alias=str(mapping.get("alias", "")),
                generation=int(mapping.get("generation", mapping["version"])),
                standing=tuple(map(int, mapping.get("standing", [mapping["version"]]))),
                candidate=ModelVersion.from_mapping(candidate) if candidate else None,
                share=min(1.0, max(0.0, float(mapping.get("share", 0.0)))),
                shadow=Challenger.from_mapping(shadow) if shadow else None,
                rescore=int(mapping.get("rescore", 0)),
                rescore_rate=max(0.0, float(mapping.get("rescore_rate", 0.0))),
                statistics=Statistics.from_mapping(statistics) if statistics else None,
            )
        except Exception as error:
            raise DeploymentError(
                f"an entry of {DEPLOYMENTS_MAP} is no deployment: {type(error).__name__}: {error}",
                remedy="deploy it again",
            ) from error

    @classmethod
    def read(cls, value: bytes) -> Deployed:
        """The deployment in an entry's bytes; raise DeploymentError if they are none."""
        try:
            return cls.from_mapping(decode_json(value))
        except DecodeError as error:
            raise DeploymentError(f"an entry of {DEPLOYMENTS_MAP} is no deployment: {error}") from error


Prepare = Callable[[Deployed, Deployed | None], Awaitable[None]]


class Registry:
    """Artifacts and deployments of one grid."""

    def __init__(self, link: Link) -> None:
        self._deployments = GridMap(link, DEPLOYMENTS_MAP)
        self._artifacts = GridMap(link, ARTIFACTS_MAP)
        self._link = link
        self._read: dict[bytes, Deployed] = {}
        """Entries as they stood at the last look: a worker looks again and again, and a wide model's takes long."""

    # ---- artifacts

    async def put_artifact(self, artifact: Artifact) -> None:
        """Store an artifact, also where it is already: pieces of it may have been lost."""
        sha256 = artifact.manifest.sha256
        for number, chunk in enumerate(artifact.chunks()):
            await self._artifacts.set(encode_key(f"{sha256}/{number}"), encode_bytes(chunk))
        await self._artifacts.set(encode_key(sha256), encode_json(artifact.manifest.to_mapping()))

    async def artifact(self, manifest: Manifest) -> Artifact:
        """Fetch an artifact and check every byte of it against its manifest."""
        if await self._artifacts.get(encode_key(manifest.sha256)) is None:
            raise ArtifactError(
                f"the grid holds no artifact {manifest.sha256[:12]} of {manifest.class_name}", remedy="deploy it again"
            )
        chunks = [chunk async for chunk in self._chunks(manifest)]
        return Artifact.join(manifest, chunks)

    async def _chunks(self, manifest: Manifest) -> AsyncIterator[bytes]:
        received = number = 0
        while received < manifest.size:
            data = await self._artifacts.get(encode_key(f"{manifest.sha256}/{number}"))
            if data is None:
                return
            chunk = decode_bytes(data)
            if not 0 < len(chunk) <= CHUNK_BYTES:
                return  # none of ours: what is there so far does not fit its digest
            yield chunk
            received += len(chunk)
            number += 1

    async def delete_artifact(self, manifest: Manifest) -> None:
        """Remove an artifact, its manifest first."""
        await self._artifacts.delete(encode_key(manifest.sha256))
        for number in range(-(-manifest.size // CHUNK_BYTES)):
            await self._artifacts.delete(encode_key(f"{manifest.sha256}/{number}"))

    # ---- deployments

    async def deployments(self) -> dict[str, Deployed]:
        """All deployments by name, without those that were undeployed."""
        return {name: one for name, one in (await self.ever_deployed()).items() if one.state != "undeployed"}

    async def ever_deployed(self) -> dict[str, Deployed]:
        """All deployments by name, whatever their state; entries that are none are left out, and told of once."""
        found: dict[bytes, Deployed] = {}
        for value in await self._deployments.values():
            try:
                found[value] = self._read.get(value) or Deployed.read(value)
            except DeploymentError as error:
                error_once(_log, "entry left out, it is no deployment", error=str(error))
        self._read = found
        return {one.config.name: one for one in sorted(found.values(), key=lambda one: one.config.name)}

    async def deployment(self, name: str) -> Deployed:
        """One deployment; raise DeploymentError if there is none of that name."""
        data = await self._deployments.get(encode_key(name))
        deployed = None if data is None else Deployed.read(data)
        if deployed is None or deployed.state == "undeployed":
            names = ", ".join(await self.deployments()) or "none"
            raise DeploymentError(
                f"there is no deployment {name!r}; there are: {names}", remedy="`grid-inference deployments` lists them"
            )
        return deployed

    async def deploy(
        self, config: DeploymentConfig, version: ModelVersion, alias: str = "", prepare: Prepare | None = None
    ) -> Deployed:
        """Store a deployment of a version, or its next generation, which scores all records anew by it.

        `prepare` is given what is about to stand and what stands, before any worker can see it.
        """
        key = encode_key(config.name)
        while True:
            before = await self._deployments.get(key)
            standing = None if before is None else Deployed.read(before)
            deployed = Deployed.of(config, version, alias, _generation(standing))
            if prepare:
                await prepare(deployed, standing)
            value = encode_json(deployed.to_mapping())
            if before is None:
                done = await self._deployments.put_if_absent(key, value) is None
            else:
                done = await self._deployments.replace_if_same(key, before, value)
            if done:
                return deployed

    async def change(self, name: str, change: Callable[[Deployed], Deployed]) -> Deployed:
        """Change a deployment as it stands; raise DeploymentError if there is none of that name."""
        key = encode_key(name)
        while True:
            await self.deployment(name)
            before = await self._deployments.get(key)
            if before is None:
                continue
            changed = change(Deployed.read(before))
            if await self._deployments.replace_if_same(key, before, encode_json(changed.to_mapping())):
                return changed

    async def set_state(self, name: str, state: State) -> Deployed:
        """Pause, resume or undeploy; an undeployed one stays as an entry, so that its generations count on."""
        return await self.change(name, lambda one: replace(one, state=state))


def _generation(before: Deployed | None) -> int:
    """A number that no deploy of this name has had, also where the cluster has begun anew meanwhile: seconds count."""
    return max(before.generation + 1 if before else 1, int(time.time()) - GENERATIONS_SINCE_S)


def _state(text: Any) -> State:
    if text not in STATES:
        raise ValueError(f"{text!r} is no state")
    return text

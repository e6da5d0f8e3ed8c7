"""The asynchronous API: a grid, its feature maps, its predictions, its deployments. `client.py` is the same, blocking.

Keys are Python ints (written as LONG), strings, floats, UUIDs or ready key bytes; records are dicts or columns. An
object of this module belongs to the event loop that opened its grid.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from grid_inference.config import DeploymentConfig, GridConfig
from grid_inference.dead_letters import DeadLetters
from grid_inference.display import grid_html
from grid_inference.errors import DeploymentError, NoWorkersError, SignatureError, warn_forgotten
from grid_inference.features import Features
from grid_inference.flow.where import Where
from grid_inference.flow.write import MESSAGE_FIELDS
from grid_inference.grid.expiry import check_expiry
from grid_inference.grid.link import Link
from grid_inference.grid.mapconfig import ensure_journal, warn_without_journal
from grid_inference.grid.topology import live_workers
from grid_inference.model.artifact import Artifact, load
from grid_inference.model.binding import bind, resolve
from grid_inference.model.engines.sklearn import SklearnEngine
from grid_inference.model.keys import Keyring
from grid_inference.model.registry import Deployed, Registry
from grid_inference.model.signature import Signature
from grid_inference.model.sources import Mismatch, Sources
from grid_inference.model.trust import Trust
from grid_inference.observe.proof import PartitionProof, proof
from grid_inference.observe.status import Status, status
from grid_inference.observe.verify import Verdict, verify
from grid_inference.predictions import Predictions
from grid_inference.records import DeadLetter
from grid_inference.subscriptions.gap import Gap
from grid_inference.subscriptions.subscription import Subscription

__all__ = ["DeadLetters", "Features", "Gap", "Grid", "Predictions", "Subscription", "connect"]

POLL_S = 0.02
"""How often the workers' counts are looked at."""
STOP_TIMEOUT_S = 10.0
"""How long `pause` and `undeploy` wait for the workers to stop; they say so with their next beat."""


async def connect(config: GridConfig | None = None) -> Grid:
    """Connect to a cluster; raises ConnectError."""
    config = config or GridConfig.load()
    return Grid(await Link.open(config), config)


class Grid:
    """A connected grid. Use it in `async with`, or `await close()`.

    It belongs to the event loop that opened it: elsewhere it raises GridError.
    """

    def __init__(self, link: Link, config: GridConfig) -> None:
        self.link = link
        self.config = config
        self._registry = Registry(link)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Disconnect; closing twice is the same as once."""
        await self.link.close()

    def __del__(self) -> None:
        if not self.link.closed:
            warn_forgotten(
                f"the grid at {self.config.address} was not closed", "use it in `async with`, or await its close()"
            )

    def _repr_html_(self) -> str:
        return grid_html(self.config.address, self.config.cluster_name, self.link.members().values())

    def features(self, name: str) -> Features:
        """A feature map by its name."""
        return Features(self.link, name)

    def predictions(self, name: str) -> Predictions:
        """The predictions of a deployment by its name."""
        return Predictions(self.link, name)

    # ---- deployments

    async def deploy(
        self,
        name: str | DeploymentConfig,
        model: Any = None,
        *,
        features: str | None = None,
        columns: Sequence[str] | None = None,
        sample: Any = None,
        **settings: Any,
    ) -> Deployed:
        """Put a fitted scikit-learn estimator, or a joblib or skops file of one, to work on a feature map.

        Every call makes the next version. The model is signed with this machine's key; where there is none yet, one is
        made for a model that can't be loaded without (`GridConfig.keys`). `settings` are the other fields of
        `DeploymentConfig`. Raises SignatureError if the model's inputs can't be found in the records, ArtifactError for
        a file that is no model, TrustError for a key that can't be used, DeploymentError for a map without a journal;
        with `trigger="listener"` that is a NoJournalWarning. DeploymentError too for a map whose records go by
        themselves, unless `accept_expiry=True`; ExpiryWarning if members do not tell.
        """
        config = _deployment_config(name, features, columns, settings)
        model = model if model is not None else config.model
        if model is None:
            raise DeploymentError("no model is given", remedy="pass a fitted estimator or the path of its file")
        if config.topic.where:
            Where.parse(config.topic.where).check(MESSAGE_FIELDS)
        artifact, estimator = await asyncio.to_thread(self._artifact, model)
        signature = Signature.of(estimator, config.columns, sample)
        SklearnEngine(estimator, signature).check_outputs()
        if config.trigger == "journal":
            await ensure_journal(self.link, config.features)
        else:
            await warn_without_journal(self.link, config.features, config.reconcile_s)
        if not config.accept_expiry:
            await check_expiry(self.link, config.features)
        signature = await self._checked(signature, config)
        return await self._registry.deploy(config.replace(model=None), signature, artifact)

    def _artifact(self, model: Any) -> tuple[Artifact, Any]:
        """The model as workers get it, and as it is loaded here."""
        artifact = Artifact.from_file(model) if isinstance(model, str | Path) else Artifact.from_model(model)
        keyring = Keyring(self.config.keys)
        key = keyring.signing_key()
        if key is None and not artifact.harmless:
            key = keyring.generate()
        # We have just made these bytes ourselves: reading them runs nothing that has not run here before.
        loaded = load(artifact, Trust(allow_pickle=True, loopback=True)) if isinstance(model, str | Path) else model
        return artifact if key is None else artifact.signed(key), loaded

    async def _checked(self, signature: Signature, config: DeploymentConfig) -> Signature:
        """Hold the signature against the records that are there already."""
        schema = await self.features(config.features).any_schema()
        signature = resolve(signature, schema)
        Sources(signature, config.inputs)
        if schema is None:
            return signature
        binding = bind(signature, schema, config.inputs)
        if isinstance(binding, Mismatch):
            raise SignatureError(
                f"the records of {config.features!r} can't feed this model: {binding.cause}: {binding.message}",
                remedy="put records with these fields, or say in `inputs` where to find them",
            )
        return signature

    async def undeploy(self, name: str) -> Deployed:
        """Stop a deployment for good, and wait until it has stopped; its predictions stay where they are."""
        return await self._stopped(await self._registry.set_state(name, "undeployed"))

    async def pause(self, name: str) -> Deployed:
        """Stop scoring until `resume`, and wait until it has stopped; nothing is lost meanwhile."""
        return await self._stopped(await self._registry.set_state(name, "paused"))

    async def _stopped(self, deployed: Deployed) -> Deployed:
        """Wait until every live worker says that it follows; a worker that hangs is not waited for long."""
        name, deadline = deployed.config.name, time.monotonic() + STOP_TIMEOUT_S
        while time.monotonic() < deadline:
            said = (await live_workers(self.link)).values()
            if all(one.get("states", {}).get(name) == deployed.state for one in said):
                break
            await asyncio.sleep(POLL_S)
        return deployed

    async def resume(self, name: str) -> Deployed:
        """Go on scoring."""
        return await self._registry.set_state(name, "running")

    async def deployments(self) -> dict[str, Deployed]:
        """All deployments by name."""
        return await self._registry.deployments()

    async def deployment(self, name: str) -> Deployed:
        """One deployment; raises DeploymentError if there is none of that name."""
        return await self._registry.deployment(name)

    # ---- how it is doing

    async def status(self) -> Status:
        """Members, workers and deployments as they are now."""
        return await status(self.link)

    async def proof(self, name: str) -> list[PartitionProof]:
        """Each partition of a deployment: who scores it, how far it is scored, when it was compared last."""
        return await proof(self.link, await self.deployment(name))

    async def worker_counts(self, name: str) -> dict[str, dict[str, Any]]:
        """What each live worker did for a deployment since it started, by worker id."""
        said = await live_workers(self.link)
        return {worker: one["deployments"][name] for worker, one in said.items() if name in one["deployments"]}

    async def wait_for_workers(self, count: int, timeout_s: float = 60.0) -> None:
        """Wait until so many workers have signed on; raises NoWorkersError after `timeout_s` seconds."""
        deadline = time.monotonic() + timeout_s
        while (there := len(await live_workers(self.link))) < count:
            if time.monotonic() > deadline:
                raise NoWorkersError(
                    f"{there} of {count} workers signed on within {timeout_s} s",
                    remedy="their reason stands on standard error; GRID_INFERENCE_LOG_LEVEL=INFO says more",
                )
            await asyncio.sleep(POLL_S)

    async def verify(self, name: str, wait_s: float = 10.0) -> Verdict:
        """Prove by a scan that every record has its prediction or dead letter; differences get `wait_s` to vanish."""
        return await verify(self.link, await self.deployment(name), wait_s=wait_s)

    async def dead_letters(self, name: str, limit: int | None = None) -> list[DeadLetter]:
        """The dead letters of a deployment, the newest first, `limit` of them at the most.

        What else can be done with them: `predictions(name).dead_letters`.
        """
        return await self.predictions(name).dead_letters.newest(limit)


def _deployment_config(
    name: str | DeploymentConfig, features: str | None, columns: Sequence[str] | None, settings: dict[str, Any]
) -> DeploymentConfig:
    if isinstance(name, DeploymentConfig):
        changes = {**settings, **({"features": features} if features else {})}
        return name.replace(**changes, **({"columns": tuple(columns)} if columns else {}))
    mapping = {"name": name, "features": features, "columns": columns and list(columns), **settings}
    if features is None:
        raise DeploymentError("no feature map is given", remedy='say which map holds the records: features="payments"')
    return DeploymentConfig.from_mapping({key: value for key, value in mapping.items() if value is not None})

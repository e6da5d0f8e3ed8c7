"""The asynchronous API: a grid, its feature maps, its predictions, its deployments. `client.py` is the same, blocking.

Keys are Python ints (written as LONG), strings, floats, UUIDs or ready key bytes; records are dicts or columns. An
object of this module belongs to the event loop that opened its grid.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

from grid_inference.api.dead_letters import DeadLetters
from grid_inference.api.features import Features
from grid_inference.api.predictions import Predictions
from grid_inference.api.subscriptions.gap import Gap
from grid_inference.api.subscriptions.subscription import Subscription
from grid_inference.config import (
    CHAMPION,
    INTERNAL_PREFIX,
    PROMOTE_TIMEOUT_S,
    DeploymentConfig,
    GridConfig,
    check_alias,
    check_model_name,
)
from grid_inference.display import grid_html
from grid_inference.drift.reading import ask
from grid_inference.drift.report import Drift
from grid_inference.errors import (
    ConfigError,
    DeploymentError,
    GridInferenceError,
    ModelError,
    NoWorkersError,
    SignatureError,
    warn_forgotten,
)
from grid_inference.flow.begin import note_begin
from grid_inference.flow.where import Where
from grid_inference.grid.expiry import check_expiry
from grid_inference.grid.link import Link
from grid_inference.grid.liveness import live_workers, looks, worker_counts
from grid_inference.grid.mapconfig import ensure_journal, warn_without_journal
from grid_inference.grid.near_cache import warn_stale_near_caches
from grid_inference.grid.schemas import any_schema, some_schemas
from grid_inference.model.inputs.binding import bind, resolve
from grid_inference.model.inputs.difference import Difference, differences
from grid_inference.model.inputs.sources import Mismatch, Sources
from grid_inference.model.signature import Signature
from grid_inference.model.store.artifact import Artifact
from grid_inference.model.store.catalog import Catalog
from grid_inference.model.store.keys import Keyring
from grid_inference.model.store.published import Made, Model, ModelVersion, Reference
from grid_inference.model.store.registry import Deployed, Registry
from grid_inference.observe.proof import PartitionProof, proof
from grid_inference.observe.status import Status, failures, status
from grid_inference.observe.verify import Verdict, verify
from grid_inference.records import MESSAGE_FIELDS, DeadLetter
from grid_inference.versions.claims import check_claims
from grid_inference.versions.comparison.basis import ROWS, Basis
from grid_inference.versions.comparison.report import Comparison
from grid_inference.versions.deploying import loaded_everywhere
from grid_inference.versions.forgetting import check_forgettable
from grid_inference.versions.forgetting import forget as forget_results
from grid_inference.versions.promotion import Promotion, end_canary, promote
from grid_inference.versions.rescoring import Rescored, rescore
from grid_inference.versions.shadowing import begin_shadow, end_shadow
from grid_inference.versions.synchronization import Synchronized, synchronize

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
    """A connected grid. Use it in `async with`, or `await close()` at the end.

    It belongs to the event loop that opened it: elsewhere it raises GridError.
    """

    def __init__(self, link: Link, config: GridConfig) -> None:
        self.link = link
        self.config = config
        self._registry = Registry(link)
        self._catalog = Catalog(link)

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

    async def maps(self) -> list[str]:
        """The names of all maps that there are, without the system's own."""
        return sorted(name for name in await self.link.map_names() if not name.startswith(INTERNAL_PREFIX))

    def features(self, name: str) -> Features:
        """A feature map by its name; it need not be there yet."""
        return Features(self.link, name)

    def predictions(self, name: str, *, shadow: bool = False) -> Predictions:
        """The predictions of a deployment by its name, or those of its shadow."""
        return Predictions(self.link, name, shadow=shadow)

    # ---- deployments

    async def deploy(
        self,
        name: str | DeploymentConfig,
        model: Any = None,
        *,
        features: str | None = None,
        columns: Sequence[str] | None = None,
        sample: Any = None,
        replace_features: bool = False,
        timeout_s: float = PROMOTE_TIMEOUT_S,
        **settings: Any,
    ) -> Deployed:
        """Put a model to work on a feature map: an estimator, a joblib or skops file of one, or `MODEL@ALIAS`.

        A fitted scikit-learn estimator or its file is published first, as the next version of the model that is called
        like the deployment, and that model's alias `champion` moves to it. Published ones are named by `MODEL@ALIAS` or
        `MODEL@VERSION`. A deployment follows its alias: `promote` changes its version without a pause, while every
        deploy has all records scored anew. The model is signed with this machine's key; where there is none yet, one is
        made for a model that can't be loaded without (`GridConfig.keys`). `settings` are the other fields of
        `DeploymentConfig`.

        Every worker loads the model before anything changes: if one can't, or has not within `timeout_s` seconds, that
        is a DeploymentError with its reason, and what was at work stays at work. A NoWorkersWarning says that there is
        no worker, and that none has come up within 5 s. Raises SignatureError if the model's inputs can't be found in
        the records, ArtifactError for a file that is no model, ModelError for one that was not published, TrustError
        for a key that can't be used. DeploymentError too for a map without a journal (with `trigger="listener"` that is
        a NoJournalWarning); for a map whose records go by themselves, unless `accept_expiry=True` (ExpiryWarning if
        members do not tell); for a map or topic to write to that is not this deployment's alone; and for another
        feature map than before while there are results of the first one's records, unless `replace_features=True`.
        """
        config = _deployment_config(name, features, columns, settings)
        model = model if model is not None else config.model
        if model is None:
            raise DeploymentError("no model is given", remedy="pass a fitted estimator or the path of its file")
        if config.topic.where:
            Where.parse(config.topic.where).check(MESSAGE_FIELDS)
        await check_claims(self.link, config, await self._registry.ever_deployed(), replace_features=replace_features)
        config, reference = config.replace(model=None), _reference(model)
        if reference is not None:
            version, alias = await self._catalog.version(reference), "" if reference.version else reference.which
            await self._check_results(config, version, sampled=sample is not None)
            fitting = replace(version, signature=await self._fits(version.signature, config))
            return await self._put_to_work(config, fitting, alias, timeout_s)
        await self._check_followers(config.name)
        made = await self._made(model, config.columns, sample, config.classes)
        signature = await self._fits(made.signature, config)
        version = await self._publish(config.name, made)
        fitting = replace(version, signature=signature)
        try:
            return await self._put_to_work(config, fitting, CHAMPION, timeout_s, moves=True)
        except (DeploymentError, asyncio.CancelledError):
            with suppress(GridInferenceError):  # it is in use, or the grid is gone
                await self._catalog.delete(version)  # it was published for nothing else
            raise

    async def _put_to_work(
        self, config: DeploymentConfig, version: ModelVersion, alias: str, timeout_s: float, *, moves: bool = False
    ) -> Deployed:
        """Deploy a version that every worker can load, where `moves` under an alias that names it from now on."""
        before = (await self._registry.ever_deployed()).get(config.name)
        proposed = Deployed.of(config, version, alias, generation=0)
        async with loaded_everywhere(self.link, proposed, before, timeout_s):
            if moves:
                await self._catalog.move(version.model, alias, version.version)
            return await self._registry.deploy(config, version, alias, partial(note_begin, self.link))

    async def _fits(self, signature: Signature, config: DeploymentConfig) -> Signature:
        """The signature for a feature map that can be scored."""
        if config.trigger == "journal":
            await ensure_journal(self.link, config.features)
        else:
            await warn_without_journal(self.link, config.features, config.reconcile_s)
        results = (config.predictions, config.dead_letters)
        await check_expiry(self.link, config.features, results, accepted=config.accept_expiry)
        await warn_stale_near_caches(self.link, (config.features, *results))
        return await self._checked(signature, config)

    async def _check_results(self, config: DeploymentConfig, version: ModelVersion, *, sampled: bool) -> None:
        """Refuse to have one version stand for two ways of feeding it: nobody could tell its results apart."""
        if config.columns is not None or config.classes is not None or sampled:
            raise DeploymentError(
                f"{version} is published with its columns, classes and sample",
                remedy="leave columns, classes and sample out, or publish it with others",
            )
        before = (await self._registry.ever_deployed()).get(config.name)
        if before is None or (before.model, before.version) != (version.model, version.version):
            return
        ways = [(one.inputs, one.nan, one.score_of) for one in (before.config, config)]
        if ways[0] != ways[1]:
            raise DeploymentError(
                f"results of {version} stand already that were made with other `inputs`, `nan` or `score_of`",
                remedy="publish the model again, so that results of both can be told apart",
            )

    async def _check_followers(self, name: str) -> None:
        """Refuse to move an alias under other deployments, which would need a promotion."""
        every = (await self._registry.deployments()).values()
        others = [one.config.name for one in every if (one.model, one.alias) == (name, CHAMPION)]
        if others := [other for other in others if other != name]:
            raise DeploymentError(
                f"{name}@{CHAMPION} is followed by other deployments: {', '.join(others)}",
                remedy="publish the model, and promote its version",
            )

    async def _made(
        self,
        model: Any,
        columns: Sequence[str] | None,
        sample: Any,
        classes: Sequence[str] | None,
        **how: bool,
    ) -> Made:
        """A model as it is published, signed with this machine's key."""
        from grid_inference.model.store.making import make  # noqa: PLC0415 - scikit-learn: only models need it

        made = await asyncio.to_thread(make, model, columns, sample, classes, **how)
        return replace(made, artifact=await asyncio.to_thread(self._signed, made.artifact))

    async def _publish(self, name: str, made: Made) -> ModelVersion:
        before = (await self._registry.ever_deployed()).get(name)
        above = before.version if before and before.model == name else 0
        return await self._catalog.publish(name, made, above=above)

    def _signed(self, artifact: Artifact) -> Artifact:
        """Vouch for it, with a new key if there is none and it can't be loaded without."""
        keyring = Keyring(self.config.keys)
        key = keyring.signing_key()
        if key is None and not artifact.harmless:
            key = keyring.generate()
        return artifact if key is None else artifact.signed(key)

    async def _checked(self, signature: Signature, config: DeploymentConfig) -> Signature:
        """Hold the signature against the records that are there already."""
        schema = await any_schema(self.link, config.features)
        signature = resolve(signature, schema)
        if config.score_of is not None:
            signature.class_index(config.score_of)
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

    async def undeploy(self, name: str, *, forget: bool = False) -> Deployed:
        """Stop a deployment for good, and wait until it has stopped; its predictions stay where they are.

        With `forget` the maps that bear its name go as well (predictions, a shadow's, dead letters), and its positions;
        also of one that was undeployed before. The feature map stays, as do maps that were named in its configuration.
        DeploymentError, before anything is changed, if another deployment uses one of them.
        """
        if not forget:
            return await self._stopped(await self._registry.set_state(name, "undeployed"))
        ever = await self._registry.ever_deployed()
        check_forgettable(name, ever)
        deployed = ever[name]
        if deployed.state != "undeployed":
            deployed = await self._registry.set_state(name, "undeployed")
        await self._stopped(deployed)
        await forget_results(self.link, name)
        return deployed

    async def pause(self, name: str) -> Deployed:
        """Stop scoring until `resume`, and wait until it has stopped; nothing is lost meanwhile."""
        return await self._stopped(await self._registry.set_state(name, "paused"))

    async def _stopped(self, deployed: Deployed) -> Deployed:
        """Wait until every live worker says that it follows; a worker that hangs is not waited for long."""
        async for seen in looks(self.link, STOP_TIMEOUT_S, POLL_S):
            states = [said.get("states", {}) for said in seen.present.values()]
            if all(one.get(deployed.config.name) == deployed.state for one in states):
                break
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

    async def failures(self) -> dict[str, list[str]]:
        """Why deployments do not run, by name: each worker's reason. Those that run everywhere are left out."""
        return await failures(self.link)

    async def differences(self, name: str) -> list[Difference]:
        """Where the records of a deployment's map are not just what its model was fitted on, field by field.

        Compact records only: what a JSON value holds is known when it comes.
        """
        deployed = await self._registry.deployment(name)
        schemas = await some_schemas(self.link, deployed.config.features)
        return [one for each in schemas for one in differences(deployed.signature, each, deployed.config.inputs)]

    async def drift(self, name: str, version: int | None = None) -> Drift:
        """How far what a deployment's model gets and says is from its training, by the version at work or another one.

        Held against each other are the training statistics of the version, from the `sample` that it was published
        with, and what workers have counted of the records of the last `drift.window_s` seconds. Raises DeploymentError
        for an unknown deployment and where nothing is counted yet, ModelError for a version without these statistics.
        """
        return await ask(self.link, name, version)

    # ---- models

    async def publish(
        self,
        model: Any,
        *,
        name: str,
        columns: Sequence[str] | None = None,
        sample: Any = None,
        classes: Sequence[str] | None = None,
        compile: bool = False,
    ) -> ModelVersion:
        """Store a model as the next version of the one of this name.

        `model` is a fitted scikit-learn estimator, an estimator or Booster of XGBoost or LightGBM, an ONNX
        `ModelProto`, the path of a file of one (joblib, skops, `.ubj`, LightGBM's text, `.onnx`) or of an MLflow
        folder, or the name of a Python function, `module:function`. `classes` are those of a classifier that does not
        say them itself, in the order of its probabilities.

        With `compile` a model of scikit-learn, XGBoost or LightGBM is translated to ONNX as well, held against itself
        at the rows of `sample`, and measured: batches of each size are scored by the faster of the two. `compiled` of
        the version says how they compare, or why there is no translation.

        `sample` is some input rows, shape (n, k), a DataFrame or an array: the first 20 without missing values are
        kept with the model's results, and every worker checks that it gets the same. Of 500 rows or more it is also
        kept how they are spread, against which `drift` holds what comes: give rows like those of the training that the
        model was not fitted on. Nothing scores by the version before `deploy` or `promote`. Raises ArtifactError for
        what is no model, SignatureError for one that can't be fed, ConfigError for a name that can't be one.
        """
        check_model_name(name)
        return await self._publish(name, await self._made(model, columns, sample, classes, compile=compile))

    async def models(self) -> dict[str, Model]:
        """All models by name, with their aliases."""
        return await self._catalog.models()

    async def model_versions(self, name: str) -> list[ModelVersion]:
        """A model's versions, the newest first; raises ModelError if there is no such model."""
        return await self._catalog.versions(name)

    async def promote(
        self,
        name: str,
        version: int,
        *,
        alias: str = CHAMPION,
        share: float = 1.0,
        timeout_s: float = PROMOTE_TIMEOUT_S,
    ) -> Promotion:
        """Have an alias name another version, and the deployments that follow it score by that, without a pause.

        Every worker loads the version beside the one at work and checks its sample; when all have, they switch, each
        between two batches, and this returns. What stands already stays: predictions name the version that made them.
        Raises PromotionError if a worker can't load it, or has not within `timeout_s` seconds: then nothing has
        changed; ModelError if there is no such version, SignatureError if its inputs can't be found in a deployment's
        records.

        With a `share` below 1 it becomes a canary: it scores that share of the keys, always the same ones, and the
        alias stays where it is. Another share moves the border, 1 promotes it, 0 ends it.
        """
        check_alias(alias)
        if not 0 <= share <= 1:
            raise ConfigError(f"share = {share!r} is no share", remedy="give a number from 0 to 1")
        new = await self._catalog.version(Reference(name, str(version)))
        model = await self._catalog.model(name)
        if share >= 1:
            return await self._promoted(new, alias, model.moved(alias, version), timeout_s)
        if model.current(alias) == version:
            raise ModelError(f"{new} is what {alias} names: it scores all keys", remedy="promote another version")
        if not share:
            return Promotion(name, alias, version, await end_canary(self.link, new, alias), share)
        names = await promote(self.link, new, alias, self._checked, timeout_s, share)
        return Promotion(name, alias, version, names, share)

    async def rollback(self, name: str, *, alias: str = CHAMPION, timeout_s: float = PROMOTE_TIMEOUT_S) -> Promotion:
        """Have an alias name the version that it named before, as `promote` does.

        Raises what `promote` raises, and ModelError if it has named no other.
        """
        model = (await self._catalog.model(name)).rolled_back(alias)
        old = await self._catalog.version(Reference(name, str(model.current(alias))))
        return await self._promoted(old, alias, model, timeout_s)

    async def _promoted(self, new: ModelVersion, alias: str, model: Model, timeout_s: float) -> Promotion:
        names = await promote(self.link, new, alias, self._checked, timeout_s)
        await self._catalog.name(new.model, alias, model.aliases[alias])
        return Promotion(new.model, alias, new.version, names)

    async def shadow(
        self, name: str, version: str, *, budget: float = 0.1, timeout_s: float = PROMOTE_TIMEOUT_S
    ) -> Deployed:
        """Have a published version score what a deployment scores, into the map `<name>.predictions.shadow`.

        `version` is `MODEL@VERSION` or `MODEL@ALIAS`, of any model that the records can feed. What it predicts is never
        published and makes no dead letters: `predictions(name, shadow=True)` reads it. In every worker its model runs
        in a process of its own, and takes no more than `budget` of the worker's time, above 0 and at most 1; rows
        beyond that are left out and counted. Called again with another budget it changes that. Raises PromotionError if
        a worker can't load it, or has not within `timeout_s` seconds; ModelError if there is no such version,
        SignatureError if its inputs can't be found in the records, DeploymentError for an unknown deployment.
        """
        if not 0 < budget <= 1:
            raise ConfigError(f"budget = {budget!r} is no budget", remedy="give a number above 0 and at most 1")
        found, deployed = await self._catalog.version(_published(version)), await self._registry.deployment(name)
        if (found.model, found.version) == (deployed.model, deployed.version):
            raise ModelError(f"{found} is at work in {name!r}", remedy="let another version score beside it")
        fitting = replace(found, signature=await self._checked(found.signature, deployed.config))
        return await begin_shadow(self.link, name, fitting, budget, timeout_s)

    async def end_shadow(self, name: str) -> Deployed:
        """Have no version score beside; what it has predicted stands until another one begins."""
        return await end_shadow(self.link, name)

    async def rescore(
        self, name: str, *, rate: float | None = None, watch: Callable[[Rescored], None] | None = None
    ) -> Rescored:
        """Have what another version has scored scored by the version at work, and wait until all is; records go on.

        Of each key the newest value's prediction stands in the end. `rate` is how many records a second this may take,
        over all workers; `watch` is told how far it is, in the event loop. Cancelled it stops; called again it goes on,
        as what is scored by the version already is left as it is. Raises DeploymentError if the deployment does not
        run.
        """
        if rate is not None and not rate > 0:
            raise ConfigError(f"rate = {rate!r} is no rate", remedy="give records per second, or leave it out")
        return await rescore(self.link, name, rate or 0.0, watch or (lambda _: None))

    async def compare(
        self,
        one: str,
        other: str,
        *,
        features: str | None = None,
        deployment: str | None = None,
        rows: int = ROWS,
        labels: str | None = None,
        label_field: str | None = None,
    ) -> Comparison:
        """Hold two published versions against each other over the same records of a feature map.

        `one` and `other` are `MODEL@VERSION` or `MODEL@ALIAS`, of the same task and classes. Both are loaded in this
        process, by the keys that this machine trusts, and score up to `rows` records, of all partitions alike, as a
        worker would; nothing is written. `deployment` names one whose `inputs`, `nan` and `score_of` hold, and whose
        feature map is meant where `features` is not given. `labels` is a map with what came true under the records'
        keys: strings, numbers, booleans, or records with the one field, or with the field `label_field`.

        Raises ModelError for a version that is not there, ComparisonError for versions that can't be held against each
        other, a map without records, records that not both can score, and labels that no record has or the model can't
        give; TrustError for a version that nobody trusted here has signed; DeploymentError for an unknown deployment.
        """
        deployed = await self._registry.deployment(deployment) if deployment else None
        features = features or (deployed.config.features if deployed else None)
        if features is None:
            raise ConfigError("no feature map is given", remedy='say which map holds the records: features="payments"')
        basis = Basis(features, rows, labels, label_field)
        if deployed:
            config = deployed.config
            basis = replace(basis, inputs=config.inputs, nan=config.nan, score_of=config.score_of)
        first, second = [await self._catalog.version(_published(name)) for name in (one, other)]
        from grid_inference.versions.comparison.compare import compare  # noqa: PLC0415 - scikit-learn, as above

        return await compare(self.link, first, second, basis, self.config)

    async def sync_models(self, folder: str | Path) -> Synchronized:
        """Have every version in the grid and in a folder: keep new ones there, bring back what the grid has lost.

        Aliases are the grid's where it has the model, else the folder's. What can't be copied is in `failures`: files
        that are not whole, a version that is another one on the other side, a folder that can't be written.
        """
        return await synchronize(self._catalog, Path(folder))

    async def delete_version(self, name: str, version: int) -> None:
        """Remove a version for good; raises ModelError while an alias names it or a deployment scores by it."""
        await self._catalog.delete(await self._catalog.version(Reference(name, str(version))))

    # ---- how it is doing

    async def status(self) -> Status:
        """Members, workers and deployments as they are now."""
        return await status(self.link)

    async def proof(self, name: str) -> list[PartitionProof]:
        """Each partition of a deployment: who scores it, how far it is scored, when it was compared last."""
        return await proof(self.link, await self.deployment(name))

    async def worker_counts(self, name: str) -> dict[str, dict[str, Any]]:
        """What each live worker did for a deployment since it started, by worker id."""
        return await worker_counts(self.link, name)

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


def _reference(model: Any) -> Reference | None:
    """The published model that is meant; a file of that name goes first."""
    if not isinstance(model, str):
        return None
    with suppress(OSError):  # too long a name for a file
        if Path(model).exists():
            return None
    return Reference.parse(model)


def _published(name: str) -> Reference:
    reference = Reference.parse(name)
    if reference is None:
        raise ConfigError(f"{name!r} names no published version", remedy="write MODEL@VERSION or MODEL@ALIAS: fraud@2")
    return reference


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

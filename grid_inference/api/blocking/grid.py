"""`aio.py`, blocking: written by tools/blocking_api.py. Change that one, and run the tool again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from grid_inference.api import aio
from grid_inference.api.blocking.features import Features
from grid_inference.api.blocking.loop_thread import LoopThread
from grid_inference.api.blocking.predictions import Predictions
from grid_inference.config import CHAMPION, PROMOTE_TIMEOUT_S, DeploymentConfig
from grid_inference.drift.report import Drift
from grid_inference.model.inputs.difference import Difference
from grid_inference.model.store.published import Model, ModelVersion
from grid_inference.model.store.registry import Deployed
from grid_inference.observe.proof import PartitionProof
from grid_inference.observe.status import Status
from grid_inference.observe.verify import Verdict
from grid_inference.records import DeadLetter
from grid_inference.versions.comparison.basis import ROWS
from grid_inference.versions.comparison.report import Comparison
from grid_inference.versions.promotion import Promotion
from grid_inference.versions.rescoring import Rescored
from grid_inference.versions.synchronization import Synchronized

__all__ = ["Grid"]


class Grid:
    """A connected grid. Use it in `with`, or `close()` at the end.

    Several threads may use it at once.
    """

    def __init__(self, loop: LoopThread, grid: aio.Grid) -> None:
        self._loop = loop
        self._grid = grid

    def close(self) -> None:
        """Disconnect; closing twice is the same as once."""
        self._loop.run(self._grid.close())

    def maps(self) -> list[str]:
        """The names of all maps that there are, without the system's own."""
        return self._loop.run(self._grid.maps())

    def features(self, name: str) -> Features:
        """A feature map by its name; it need not be there yet."""
        return Features(self._loop, self._grid.features(name))

    def predictions(self, name: str, *, shadow: bool = False) -> Predictions:
        """The predictions of a deployment by its name, or those of its shadow."""
        return Predictions(self._loop, self._grid.predictions(name, shadow=shadow))

    def deploy(
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
        return self._loop.run(
            self._grid.deploy(
                name,
                model,
                features=features,
                columns=columns,
                sample=sample,
                replace_features=replace_features,
                timeout_s=timeout_s,
                **settings,
            )
        )

    def undeploy(self, name: str, *, forget: bool = False) -> Deployed:
        """Stop a deployment for good, and wait until it has stopped; its predictions stay where they are.

        With `forget` the maps that bear its name go as well (predictions, a shadow's, dead letters), and its positions;
        also of one that was undeployed before. The feature map stays, as do maps that were named in its configuration.
        DeploymentError, before anything is changed, if another deployment uses one of them.
        """
        return self._loop.run(self._grid.undeploy(name, forget=forget))

    def pause(self, name: str) -> Deployed:
        """Stop scoring until `resume`, and wait until it has stopped; nothing is lost meanwhile."""
        return self._loop.run(self._grid.pause(name))

    def resume(self, name: str) -> Deployed:
        """Go on scoring."""
        return self._loop.run(self._grid.resume(name))

    def deployments(self) -> dict[str, Deployed]:
        """All deployments by name."""
        return self._loop.run(self._grid.deployments())

    def deployment(self, name: str) -> Deployed:
        """One deployment; raises DeploymentError if there is none of that name."""
        return self._loop.run(self._grid.deployment(name))

    def failures(self) -> dict[str, list[str]]:
        """Why deployments do not run, by name: each worker's reason. Those that run everywhere are left out."""
        return self._loop.run(self._grid.failures())

    def differences(self, name: str) -> list[Difference]:
        """Where the records of a deployment's map are not just what its model was fitted on, field by field.

        Compact records only: what a JSON value holds is known when it comes.
        """
        return self._loop.run(self._grid.differences(name))

    def drift(self, name: str, version: int | None = None) -> Drift:
        """How far what a deployment's model gets and says is from its training, by the version at work or another one.

        Held against each other are the training statistics of the version, from the `sample` that it was published
        with, and what workers have counted of the records of the last `drift.window_s` seconds. Raises DeploymentError
        for an unknown deployment and where nothing is counted yet, ModelError for a version without these statistics.
        """
        return self._loop.run(self._grid.drift(name, version))

    def publish(
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
        return self._loop.run(
            self._grid.publish(model, name=name, columns=columns, sample=sample, classes=classes, compile=compile)
        )

    def models(self) -> dict[str, Model]:
        """All models by name, with their aliases."""
        return self._loop.run(self._grid.models())

    def model_versions(self, name: str) -> list[ModelVersion]:
        """A model's versions, the newest first; raises ModelError if there is no such model."""
        return self._loop.run(self._grid.model_versions(name))

    def promote(
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
        return self._loop.run(self._grid.promote(name, version, alias=alias, share=share, timeout_s=timeout_s))

    def rollback(self, name: str, *, alias: str = CHAMPION, timeout_s: float = PROMOTE_TIMEOUT_S) -> Promotion:
        """Have an alias name the version that it named before, as `promote` does.

        Raises what `promote` raises, and ModelError if it has named no other.
        """
        return self._loop.run(self._grid.rollback(name, alias=alias, timeout_s=timeout_s))

    def shadow(self, name: str, version: str, *, budget: float = 0.1, timeout_s: float = PROMOTE_TIMEOUT_S) -> Deployed:
        """Have a published version score what a deployment scores, into the map `<name>.predictions.shadow`.

        `version` is `MODEL@VERSION` or `MODEL@ALIAS`, of any model that the records can feed. What it predicts is never
        published and makes no dead letters: `predictions(name, shadow=True)` reads it. In every worker its model runs
        in a process of its own, and takes no more than `budget` of the worker's time, above 0 and at most 1; rows
        beyond that are left out and counted. Called again with another budget it changes that. Raises PromotionError if
        a worker can't load it, or has not within `timeout_s` seconds; ModelError if there is no such version,
        SignatureError if its inputs can't be found in the records, DeploymentError for an unknown deployment.
        """
        return self._loop.run(self._grid.shadow(name, version, budget=budget, timeout_s=timeout_s))

    def end_shadow(self, name: str) -> Deployed:
        """Have no version score beside; what it has predicted stands until another one begins."""
        return self._loop.run(self._grid.end_shadow(name))

    def rescore(
        self, name: str, *, rate: float | None = None, watch: Callable[[Rescored], None] | None = None
    ) -> Rescored:
        """Have what another version has scored scored by the version at work, and wait until all is; records go on.

        Of each key the newest value's prediction stands in the end. `rate` is how many records a second this may take,
        over all workers; `watch` is told how far it is, from another thread. Interrupted it stops; called again it goes
        on, as what is scored by the version already is left as it is. Raises DeploymentError if the deployment does not
        run.
        """
        return self._loop.run(self._grid.rescore(name, rate=rate, watch=watch))

    def compare(
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
        return self._loop.run(
            self._grid.compare(
                one, other, features=features, deployment=deployment, rows=rows, labels=labels, label_field=label_field
            )
        )

    def sync_models(self, folder: str | Path) -> Synchronized:
        """Have every version in the grid and in a folder: keep new ones there, bring back what the grid has lost.

        Aliases are the grid's where it has the model, else the folder's. What can't be copied is in `failures`: files
        that are not whole, a version that is another one on the other side, a folder that can't be written.
        """
        return self._loop.run(self._grid.sync_models(folder))

    def delete_version(self, name: str, version: int) -> None:
        """Remove a version for good; raises ModelError while an alias names it or a deployment scores by it."""
        self._loop.run(self._grid.delete_version(name, version))

    def status(self) -> Status:
        """Members, workers and deployments as they are now."""
        return self._loop.run(self._grid.status())

    def proof(self, name: str) -> list[PartitionProof]:
        """Each partition of a deployment: who scores it, how far it is scored, when it was compared last."""
        return self._loop.run(self._grid.proof(name))

    def worker_counts(self, name: str) -> dict[str, dict[str, Any]]:
        """What each live worker did for a deployment since it started, by worker id."""
        return self._loop.run(self._grid.worker_counts(name))

    def wait_for_workers(self, count: int, timeout_s: float = 60.0) -> None:
        """Wait until so many workers have signed on; raises NoWorkersError after `timeout_s` seconds."""
        self._loop.run(self._grid.wait_for_workers(count, timeout_s))

    def verify(self, name: str, wait_s: float = 10.0) -> Verdict:
        """Prove by a scan that every record has its prediction or dead letter; differences get `wait_s` to vanish."""
        return self._loop.run(self._grid.verify(name, wait_s))

    def dead_letters(self, name: str, limit: int | None = None) -> list[DeadLetter]:
        """The dead letters of a deployment, the newest first, `limit` of them at the most.

        What else can be done with them: `predictions(name).dead_letters`.
        """
        return self._loop.run(self._grid.dead_letters(name, limit))

"""The predictions of a deployment: read, waited for, subscribed to. Keys: `aio.py`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, overload

import numpy as np

from grid_inference.api.dead_letters import DeadLetters
from grid_inference.api.features import Features, python_keys
from grid_inference.api.subscriptions.gap import Gap
from grid_inference.api.subscriptions.subscription import QUEUE_MAX, Subscription, subscribe
from grid_inference.api.tables import predictions_to_arrow, to_pandas
from grid_inference.errors import ConfigError, DeadLetterError, NoWorkersError, PredictionTimeoutError
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap, rows_of
from grid_inference.model.store.registry import Deployed, Registry
from grid_inference.observe.status import status
from grid_inference.records import PREDICTION, DeadLetter, Prediction, RecordTable, pandas_module
from grid_inference.wire.arrow.intake import key_values
from grid_inference.wire.columns import Column
from grid_inference.wire.compact import decode_even_columns
from grid_inference.wire.digest import digest_of
from grid_inference.wire.keys import encode_key, encode_keys

__all__ = ["Predictions"]

POLL_S_MIN, POLL_S_MAX = 0.0005, 0.02
"""How often `predict` looks for its prediction: often at first, then less."""
WORKERS_GRACE_S = 5.0
"""After so long without a prediction `predict` asks whether anybody scores at all."""


class Predictions:
    """The predictions of one deployment. It belongs to its grid's event loop: elsewhere it raises GridError."""

    def __init__(self, link: Link, deployment: str, *, shadow: bool = False) -> None:
        self.deployment = deployment
        """The deployment's name."""
        self._shadow = shadow
        self.dead_letters = DeadLetters(link, deployment)
        """The records that were refused."""
        self._link = link
        self._deployed: Deployed | None = None
        self._features: Features | None = None
        """Where `predict` puts records: it knows their fields from one to the next."""

    async def get(self, key: Any) -> Prediction | None:
        """The prediction that stands for a key, or None. It may be of an older value: see `get_current`."""
        data = encode_key(key)
        value = await (await self._map()).get(data)
        return None if value is None else Prediction.decode(data, value)

    async def get_batch(self, keys: Any, key_type: str | None = None) -> RecordTable:
        """Those predictions of the keys that are there, as columns, in the keys' order.

        `scores` has shape (n, k) if each has k of them; else, as behind versions that differ, it holds n lists, None
        where there are none.
        """
        keys = key_values("keys", keys, key_type)
        data = encode_keys(keys, key_type)
        found, values = await (await self._map()).get_batch(data)
        rows = rows_of(data, found)
        there = rows >= 0
        mine = python_keys(keys, data, there)
        columns = decode_even_columns(values.take(rows[there]), PREDICTION)
        if not mine and (count := (await self._resolved()).signature.scores_count):
            columns["scores"] = Column(np.empty((0, count)))  # no row tells how many there are
        return RecordTable.of(mine, [(np.arange(len(mine)), columns)])

    async def get_current(self, key: Any) -> Prediction | None:
        """The prediction of the record as it is now; None if there is none yet."""
        features = GridMap(self._link, (await self._resolved()).config.features)
        record = await features.get(encode_key(key))
        if record is None:
            return None
        found = await self.get(key)
        digest = digest_of(record)
        return found if found and found.input_digest == digest else None

    async def predict(self, key: Any, record: Mapping[str, Any], timeout: float = 10.0) -> Prediction:  # noqa: ASYNC109
        """Put a record and wait for the first prediction of just this record.

        Raises DeadLetterError if it was refused, NoWorkersError if nobody scores, PredictionTimeoutError after
        `timeout` seconds.
        """
        self._check_published("predict", "put the record, and `get_current` from time to time")
        config = (await self._resolved()).config
        if self._features is None or self._features.name != config.features:
            self._features = Features(self._link, config.features)
        digest = await self._features.put(key, record)
        started, pause = time.monotonic(), POLL_S_MIN
        asked_for_workers = False
        data = encode_key(key)
        dead_letters = GridMap(self._link, config.dead_letters)
        while time.monotonic() < started + timeout:
            found = await self.get(key)
            if found and found.input_digest == digest:
                return found
            letter = await dead_letters.get(data)
            if letter is not None:
                _raise_if_of(DeadLetter.decode(data, letter), digest)
            if not asked_for_workers and time.monotonic() > started + WORKERS_GRACE_S:
                asked_for_workers = True
                await self._check_workers()
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, POLL_S_MAX)
        raise PredictionTimeoutError(
            f"no prediction of {key!r} by {self.deployment!r} within {timeout} s",
            remedy="`grid-inference status` shows the lag",
        )

    async def size(self) -> int:
        """How many predictions there are."""
        return await (await self._map()).size()

    async def to_arrow(self, *, join: bool = False) -> Any:
        """All predictions as a pyarrow.Table: key, score, label, scores, model, version, input_digest, scored_at (UTC).

        With `join` the records' fields stand beside them, `record_<name>` where a name is taken, and `current` says
        whether the prediction is of the record as it is now; it is false where the record is gone. Raises DecodeError
        for a record that can't be read.
        """
        config = (await self._resolved()).config
        return await predictions_to_arrow(self._link, config.predictions, config.features if join else None)

    async def to_pandas(self, *, join: bool = False) -> Any:
        """The same as `to_arrow` as a DataFrame, indexed by key; ImportError without pandas."""
        pandas_module()
        return to_pandas(await self.to_arrow(join=join))

    @overload
    async def subscribe(
        self,
        where: str | None = None,
        *,
        source: Literal["map", "topic"] = "map",
        gaps: Literal["catch-up"] = "catch-up",
        queue_max: int = QUEUE_MAX,
    ) -> Subscription[Prediction]: ...
    @overload
    async def subscribe(
        self,
        where: str | None = None,
        *,
        source: Literal["map", "topic"] = "map",
        gaps: Literal["yield"],
        queue_max: int = QUEUE_MAX,
    ) -> Subscription[Prediction | Gap]: ...
    async def subscribe(
        self,
        where: str | None = None,
        *,
        source: Literal["map", "topic"] = "map",
        gaps: Literal["catch-up", "yield"] = "catch-up",
        queue_max: int = QUEUE_MAX,
    ) -> Subscription[Any]:
        """Every new prediction from now on, those that match `where` (Hazelcast's SQL-predicate syntax) if given.

        It listens when this returns. `source` is the predictions map, or the deployment's topic with what is published
        to it. Where something may have been missed there is a gap. With `gaps="catch-up"` the predictions of the time
        since are looked up in the map, so that of each key the newest comes at least once; with `gaps="yield"` a `Gap`
        comes, and `subscription.catch_up(gap)` looks them up. At most `queue_max` predictions wait to be taken: the
        oldest go beyond, which is a gap too. docs/subscriptions.md has it all. Raises ConfigError for a filter or
        source that can't be, DeploymentError if there is no such deployment.
        """
        _check_choice("source", source, ("map", "topic"))
        _check_choice("gaps", gaps, ("catch-up", "yield"))
        if source == "topic":
            self._check_published("the topic", 'leave out `source`: source="map" has all')
        deployed = await self._resolved()
        return await subscribe(self._link, deployed, where, source, yields_gaps=gaps == "yield", queue_max=queue_max)

    async def _check_workers(self) -> None:
        now = await status(self._link)
        if not now.workers:
            raise NoWorkersError(
                "no worker is running on this cluster",
                remedy="start one: `grid-inference node` or `grid-inference worker`",
            )
        for one in now.deployments:
            if one.name == self.deployment and one.state != "running":
                raise NoWorkersError(
                    f"deployment {self.deployment!r} is {one.state}",
                    remedy=f"`grid-inference resume {self.deployment}`",
                )
            if one.name == self.deployment and one.failures:
                raise NoWorkersError(f"deployment {self.deployment!r} does not run: {one.failures[0]}")

    async def _resolved(self) -> Deployed:
        if self._deployed is None:
            found = await Registry(self._link).deployment(self.deployment)
            own = found.config.shadow_predictions if self._shadow else found.config.predictions
            self._deployed = replace(found, config=found.config.replace(predictions=own))
        return self._deployed

    def _check_published(self, what: str, remedy: str) -> None:
        if self._shadow:
            raise ConfigError(f"{what} has nothing of a shadow, which may leave records out", remedy=remedy)

    async def _map(self) -> GridMap:
        return GridMap(self._link, (await self._resolved()).config.predictions)


def _raise_if_of(letter: DeadLetter, digest: int) -> None:
    if letter.input_digest == digest:
        raise DeadLetterError(f"the record was refused: {letter.cause}: {letter.message}", dead_letter=letter)


def _check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(
            f"{name} = {value!r} is not one of them", remedy=f"{name} is {' or '.join(map(repr, allowed))}"
        )

"""`predictions.py`, blocking: written by tools/blocking_api.py. Change that one, and run the tool again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, overload

from grid_inference.api import aio
from grid_inference.api.blocking.dead_letters import DeadLetters
from grid_inference.api.blocking.loop_thread import LoopThread
from grid_inference.api.blocking.subscription import Subscription
from grid_inference.api.subscriptions.gap import Gap
from grid_inference.api.subscriptions.subscription import QUEUE_MAX
from grid_inference.records import Prediction, RecordTable

__all__ = ["Predictions"]


class Predictions:
    """The predictions of one deployment. Several threads may use it at once."""

    def __init__(self, loop: LoopThread, predictions: aio.Predictions) -> None:
        self._loop = loop
        self._predictions = predictions
        self.deployment = predictions.deployment
        """The deployment's name."""
        self.dead_letters = DeadLetters(loop, predictions.dead_letters)
        """The records that were refused."""

    def get(self, key: Any) -> Prediction | None:
        """The prediction that stands for a key, or None. It may be of an older value: see `get_current`."""
        return self._loop.run(self._predictions.get(key))

    def get_batch(self, keys: Any, key_type: str | None = None) -> RecordTable:
        """Those predictions of the keys that are there, as columns, in the keys' order.

        `scores` has shape (n, k) if each has k of them; else, as behind versions that differ, it holds n lists, None
        where there are none.
        """
        return self._loop.run(self._predictions.get_batch(keys, key_type))

    def get_current(self, key: Any) -> Prediction | None:
        """The prediction of the record as it is now; None if there is none yet."""
        return self._loop.run(self._predictions.get_current(key))

    def predict(self, key: Any, record: Mapping[str, Any], timeout: float = 10.0) -> Prediction:
        """Put a record and wait for the first prediction of just this record.

        Raises DeadLetterError if it was refused, NoWorkersError if nobody scores, PredictionTimeoutError after
        `timeout` seconds.
        """
        return self._loop.run(self._predictions.predict(key, record, timeout))

    def size(self) -> int:
        """How many predictions there are."""
        return self._loop.run(self._predictions.size())

    def to_arrow(self, *, join: bool = False) -> Any:
        """All predictions as a pyarrow.Table: key, score, label, scores, model, version, input_digest, scored_at (UTC).

        With `join` the records' fields stand beside them, `record_<name>` where a name is taken, and `current` says
        whether the prediction is of the record as it is now; it is false where the record is gone. Raises DecodeError
        for a record that can't be read.
        """
        return self._loop.run(self._predictions.to_arrow(join=join))

    def to_pandas(self, *, join: bool = False) -> Any:
        """The same as `to_arrow` as a DataFrame, indexed by key; ImportError without pandas."""
        return self._loop.run(self._predictions.to_pandas(join=join))

    @overload
    def subscribe(
        self,
        where: str | None = None,
        timeout: float | None = None,
        *,
        source: Literal["map", "topic"] = "map",
        gaps: Literal["catch-up"] = "catch-up",
        queue_max: int = QUEUE_MAX,
    ) -> Subscription[Prediction]: ...
    @overload
    def subscribe(
        self,
        where: str | None = None,
        timeout: float | None = None,
        *,
        source: Literal["map", "topic"] = "map",
        gaps: Literal["yield"],
        queue_max: int = QUEUE_MAX,
    ) -> Subscription[Prediction | Gap]: ...
    def subscribe(
        self,
        where: str | None = None,
        timeout: float | None = None,
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

        Iteration ends after `timeout` seconds without a prediction, or with `close()` of it or of the grid.
        """
        return Subscription(
            self._loop,
            self._loop.run(self._predictions.subscribe(where, source=source, gaps=gaps, queue_max=queue_max)),
            timeout,
        )

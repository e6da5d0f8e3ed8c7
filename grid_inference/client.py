"""What applications import: the API of `aio.py`, blocking, for programs without an event loop.

A grid keeps one event loop in a thread of its own (`blocking.py`); its objects may be used by several threads at once.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypeVar, overload

from grid_inference import aio
from grid_inference.blocking import LoopThread
from grid_inference.client_dead_letters import DeadLetters
from grid_inference.config import DeploymentConfig, GridConfig
from grid_inference.display import grid_html
from grid_inference.errors import GridError
from grid_inference.grid.member import Member, MemberConfig
from grid_inference.model.registry import Deployed
from grid_inference.node import Workers
from grid_inference.observe.status import Status
from grid_inference.observe.verify import Verdict
from grid_inference.records import DeadLetter, Prediction, RecordTable
from grid_inference.subscriptions.gap import Gap
from grid_inference.subscriptions.subscription import QUEUE_MAX

__all__ = ["DeadLetters", "Features", "Gap", "Grid", "Predictions", "Subscription", "connect", "local"]

Item = TypeVar("Item")


def connect(
    address: str | None = None, *, cluster_name: str | None = None, connect_timeout_s: float | None = None
) -> Grid:
    """Connect to a cluster, by default 127.0.0.1:5701 or what the environment says; raises ConnectError."""
    flags = {"address": address, "cluster_name": cluster_name, "connect_timeout_s": connect_timeout_s}
    return Grid(GridConfig.load(flags=flags))


def local(workers: int = 1, *, member: MemberConfig | None = None) -> Grid:
    """Start an embedded member and its workers on this machine, and connect; all of it ends with the grid's close."""
    started = Member.start(member or MemberConfig())
    processes = Workers(started.address, started.cluster_name, workers, node_address=started.address)
    try:
        processes.start()
        config = GridConfig.load(flags={"address": started.address, "cluster_name": started.cluster_name})
        grid = Grid(config, member=started, workers=processes)
    except BaseException:
        processes.stop()
        started.stop()
        raise
    try:
        grid.wait_for_workers(workers)
    except BaseException:
        grid.close()
        raise
    return grid


class Grid:
    """A connected grid. Use it in `with`, or call `close()`. Several threads may use it at once."""

    def __init__(self, config: GridConfig, *, member: Member | None = None, workers: Workers | None = None) -> None:
        self._loop = LoopThread()
        self._open = False
        self._closing = threading.RLock()
        self.member = member
        """The embedded member, if `local()` started one."""
        self.workers = workers
        """Its workers."""
        try:
            self._grid = self._loop.run(aio.connect(config))
        except BaseException:
            self._loop.stop()
            raise
        self._open = True

    @property
    def address(self) -> str:
        """`host:port` of the cluster."""
        return self._grid.config.address

    @property
    def cluster_name(self) -> str:
        """Name of the cluster."""
        return self._grid.config.cluster_name

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Disconnect, and end what `local()` started; closing twice is the same as once.

        Calls that other threads have under way end with GridError, and iterations over subscriptions end.
        """
        with self._closing:
            if not self._open:
                return
            self._open = False
            try:
                if self.workers:
                    self.workers.stop()
                with suppress(GridError):
                    self._loop.run(self._grid.close())
            finally:
                self._loop.stop()
                if self.member:
                    self.member.stop()

    def _repr_html_(self) -> str:
        return grid_html(self.address, self.cluster_name, self._grid.link.members().values() if self._open else ())

    def features(self, name: str) -> Features:
        """A feature map by its name."""
        return Features(self._loop, self._grid.features(name))

    def predictions(self, name: str) -> Predictions:
        """The predictions of a deployment by its name."""
        return Predictions(self._loop, self._grid.predictions(name))

    def deploy(
        self,
        name: str | DeploymentConfig,
        model: Any = None,
        *,
        features: str | None = None,
        columns: Sequence[str] | None = None,
        sample: Any = None,
        **settings: Any,
    ) -> Deployed:
        """Put a fitted scikit-learn estimator, or a joblib file of one, to work on a feature map.

        Every call makes the next version. `settings` are the other fields of `DeploymentConfig`. Raises SignatureError
        if the model's inputs can't be found in the records, ArtifactError for a file that is no model.
        """
        return self._loop.run(
            self._grid.deploy(name, model, features=features, columns=columns, sample=sample, **settings)
        )

    def undeploy(self, name: str) -> Deployed:
        """Stop a deployment for good, and wait until it has stopped; its predictions stay where they are."""
        return self._loop.run(self._grid.undeploy(name))

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

    def status(self) -> Status:
        """Members, workers and deployments as they are now."""
        return self._loop.run(self._grid.status())

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


class Features:
    """One feature map. Several threads may use it at once."""

    def __init__(self, loop: LoopThread, features: aio.Features) -> None:
        self._loop = loop
        self._features = features
        self.name = features.name

    def put(self, key: Any, record: Mapping[str, Any]) -> int:
        """Write one record: values become float64, int64, boolean or nullable string. Returns its digest."""
        return self._loop.run(self._features.put(key, record))

    def put_batch(self, columns: Any, *, key: Any, key_type: str | None = None) -> int:
        """Write n records from columns: a dict of arrays, a DataFrame or an Arrow table. Returns how many.

        `key` names the column that holds the keys, or is a sequence of keys itself. Of equal keys the last one counts.
        """
        return self._loop.run(self._features.put_batch(columns, key=key, key_type=key_type))

    def get(self, key: Any) -> dict[str, Any] | None:
        """One record as a dict, or None."""
        return self._loop.run(self._features.get(key))

    def get_batch(self, keys: Any, key_type: str | None = None) -> RecordTable:
        """Those records of the keys that are there, as columns, in the keys' order."""
        return self._loop.run(self._features.get_batch(keys, key_type))

    def scan(self, where: str | None = None, columns: Sequence[str] | None = None) -> Iterator[RecordTable]:
        """The records as they are now, in chunks of some thousand rows; in no order, and memory stays flat.

        `where` is Hazelcast's SQL-predicate syntax over the fields and `__key`; `columns` names the fields wanted. A
        field that only some records have is null elsewhere. Raises ConfigError for a field that no record has,
        DecodeError for a value that is no Compact record and no JSON object.
        """
        return self._loop.iterate(self._features.scan(where, columns))

    def to_arrow(self, where: str | None = None, columns: Sequence[str] | None = None) -> Any:
        """The records as one pyarrow.Table: the keys as `key` (`__key` beside a field `key`), then the fields.

        A null is an Arrow null. Parameters and errors are those of `scan`; DecodeError also if no Arrow type holds all
        values of a field.
        """
        return self._loop.run(self._features.to_arrow(where, columns))

    def to_pandas(self, where: str | None = None, columns: Sequence[str] | None = None) -> Any:
        """The same as `to_arrow` as a DataFrame, indexed by key; ImportError without pandas."""
        return self._loop.run(self._features.to_pandas(where, columns))

    def remove(self, key: Any) -> None:
        """Remove one record; its prediction goes too, unless the deployment keeps it."""
        self._loop.run(self._features.remove(key))

    def size(self) -> int:
        """How many records there are."""
        return self._loop.run(self._features.size())

    def clear(self) -> None:
        """Remove all records."""
        self._loop.run(self._features.clear())

    def destroy(self) -> None:
        """Take the whole map away, its journal included; deployments on it go on with what is put next."""
        self._loop.run(self._features.destroy())


class Predictions:
    """The predictions of one deployment. Several threads may use it at once."""

    def __init__(self, loop: LoopThread, predictions: aio.Predictions) -> None:
        self._loop = loop
        self._predictions = predictions
        self.deployment = predictions.deployment
        self.dead_letters = DeadLetters(loop, predictions.dead_letters)
        """The records that were refused."""

    def get(self, key: Any) -> Prediction | None:
        """The prediction that stands for a key, or None. It may be of an older value: see `get_current`."""
        return self._loop.run(self._predictions.get(key))

    def get_batch(self, keys: Any, key_type: str | None = None) -> RecordTable:
        """Those predictions of the keys that are there, as columns, in the keys' order."""
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

        It listens when this returns. Iterate over it; iteration ends after `timeout` seconds without a prediction, or
        with `close()` of it or of the grid.

        `source` is the predictions map, or the deployment's topic with what is published to it. Where something may
        have been missed there is a gap. With `gaps="catch-up"` the predictions of the time since are looked up in the
        map, so that of each key the newest comes at least once; with `gaps="yield"` a `Gap` comes, and
        `subscription.catch_up(gap)` looks them up. At most `queue_max` predictions wait to be taken: the oldest go
        beyond, which is a gap too. docs/subscriptions.md has it all. Raises ConfigError for a filter or source that
        can't be, DeploymentError if there is no such deployment.
        """
        opening = self._predictions.subscribe(where, source=source, gaps=gaps, queue_max=queue_max)
        return Subscription(self._loop, self._loop.run(opening), timeout)


class Subscription(Generic[Item]):
    """New predictions as they come: iterate over it. Use it in `with`, or call `close()`.

    Several threads may take from one: each item goes to one of them. Any thread may close it.
    """

    def __init__(self, loop: LoopThread, subscription: aio.Subscription[Item], timeout: float | None) -> None:
        self._loop = loop
        self._subscription = subscription
        self._timeout = timeout

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        """The next prediction, or gap if they were asked for.

        Raises ConnectionLostError once no member can be reached any more.
        """
        try:
            return self._loop.run(self._following())
        except (TimeoutError, StopAsyncIteration):
            raise StopIteration from None
        except GridError:
            if self._loop.stopped:
                raise StopIteration from None
            raise

    async def _following(self) -> Item:
        return await asyncio.wait_for(anext(self._subscription), self._timeout)

    def catch_up(self, gap: Gap) -> Iterator[Prediction]:
        """The predictions that stand now, match, and were scored since a gap began: of each key the newest.

        Some of them may have been delivered before. Raises GridError if the map can't be read to its end.
        """
        return self._loop.iterate(self._subscription.catch_up(gap))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening; the iteration ends after what has arrived. Closing twice is the same as once."""
        with suppress(GridError):
            self._loop.run(self._subscription.close())

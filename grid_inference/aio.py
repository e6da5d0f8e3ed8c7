"""The asynchronous API: a grid, its feature maps, its predictions, its deployments. `client.py` is the same, blocking.

Keys are Python ints (written as LONG), strings, floats, UUIDs or ready key bytes; records are dicts or columns. An
object of this module belongs to the event loop that opened its grid.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from grid_inference.config import DeploymentConfig, GridConfig
from grid_inference.display import grid_html
from grid_inference.errors import (
    DeadLetterError,
    DecodeError,
    DeploymentError,
    EncodeError,
    NoWorkersError,
    PredictionTimeoutError,
    SignatureError,
)
from grid_inference.flow.where import Where
from grid_inference.flow.write import MESSAGE_FIELDS
from grid_inference.grid.link import Link
from grid_inference.grid.mapconfig import ensure_journal
from grid_inference.grid.maps import GridMap, key_identities, last_rows, rows_of
from grid_inference.grid.topology import live_workers
from grid_inference.model.artifact import Artifact, load
from grid_inference.model.binding import Mismatch, bind, resolve
from grid_inference.model.engines.sklearn import SklearnEngine
from grid_inference.model.registry import Deployed, Registry
from grid_inference.model.signature import Signature
from grid_inference.model.trust import Trust
from grid_inference.observe.status import Status, status
from grid_inference.observe.verify import Verdict, verify
from grid_inference.records import PREDICTION, DeadLetter, Prediction, RecordTable, pandas_module
from grid_inference.tables import Scan, predictions_to_arrow, to_pandas
from grid_inference.wire import messages
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import (
    Schema,
    decode_columns,
    decode_record,
    encode_columns,
    encode_record,
    infer_record_schema,
    infer_schema,
    schema_ids,
)
from grid_inference.wire.digest import input_digest
from grid_inference.wire.frames import Message
from grid_inference.wire.journal import ADDED, UPDATED
from grid_inference.wire.json_columns import json_rows
from grid_inference.wire.json_values import decode_json
from grid_inference.wire.keys import decode_keys, encode_keys

__all__ = ["Features", "Grid", "Predictions", "Subscription", "connect"]

POLL_S_MIN, POLL_S_MAX = 0.0005, 0.02
"""How often `predict` looks for its prediction: often at first, then less."""
STOP_TIMEOUT_S = 10.0
"""How long `pause` and `undeploy` wait for the workers to stop; they say so with their next beat."""
WORKERS_GRACE_S = 5.0
"""After so long without a prediction `predict` asks whether anybody scores at all."""


async def connect(config: GridConfig | None = None) -> Grid:
    """Connect to a cluster; raises ConnectError."""
    config = config or GridConfig.load()
    return Grid(await Link.open(config), config)


class Grid:
    """A connected grid."""

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
        """Put a fitted scikit-learn estimator, or a joblib file of one, to work on a feature map.

        Every call makes the next version. `settings` are the other fields of `DeploymentConfig`. Raises SignatureError
        if the model's inputs can't be found in the records, ArtifactError for a file that is no model.
        """
        config = _deployment_config(name, features, columns, settings)
        model = model if model is not None else config.model
        if model is None:
            raise DeploymentError("no model is given", remedy="pass a fitted estimator or the path of a joblib file")
        if config.topic.where:
            Where.parse(config.topic.where).check(MESSAGE_FIELDS)
        artifact, estimator = await asyncio.to_thread(_artifact_of, model)
        signature = Signature.of(estimator, config.columns, sample)
        SklearnEngine(estimator, signature).check_outputs()
        if config.trigger == "journal":
            await ensure_journal(self.link, config.features)
        signature = await self._checked(signature, config)
        return await self._registry.deploy(config.replace(model=None), signature, artifact)

    async def _checked(self, signature: Signature, config: DeploymentConfig) -> Signature:
        """Hold the signature against the records that are there already."""
        schema = await self.features(config.features).any_schema()
        if schema is None:
            return resolve(signature, None)
        signature = resolve(signature, schema)
        binding = bind(signature, schema)
        if isinstance(binding, Mismatch):
            raise SignatureError(
                f"the records of {config.features!r} can't feed this model: {binding.cause}: {binding.message}",
                remedy="put records with these fields, or name the fields in `columns`",
            )
        return signature

    async def undeploy(self, name: str) -> Deployed:
        """Stop a deployment for good, and wait until it has stopped; its predictions stay where they are."""
        return await self._stopped(await self._registry.set_state(name, "undeployed"))

    async def pause(self, name: str) -> Deployed:
        """Stop scoring until `resume`, and wait until it has stopped; nothing is lost meanwhile."""
        return await self._stopped(await self._registry.set_state(name, "paused"))

    async def _stopped(self, deployed: Deployed) -> Deployed:
        """Wait until no live worker says that it scores this deployment; a worker that hangs is not waited for long."""
        deadline = time.monotonic() + STOP_TIMEOUT_S
        while time.monotonic() < deadline:
            counts = await self.worker_counts(deployed.config.name)
            if not any(one["owned"] for one in counts.values()):
                break
            await asyncio.sleep(POLL_S_MAX)
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
            await asyncio.sleep(POLL_S_MAX)

    async def verify(self, name: str, wait_s: float = 10.0) -> Verdict:
        """Prove by a scan that every record has its prediction or dead letter; differences get `wait_s` to vanish."""
        return await verify(self.link, await self.deployment(name), wait_s=wait_s)

    async def dead_letters(self, name: str, limit: int | None = None) -> list[DeadLetter]:
        """The dead letters of a deployment, `limit` of them at the most."""
        found: list[DeadLetter] = []
        dead = GridMap(self.link, (await self.deployment(name)).config.dead_letters)
        for partition in range(self.link.partition_count):
            async for page in dead.scan(partition):
                pairs = zip(page.keys.tolist(), page.values.tolist(), strict=True)
                found += [DeadLetter.decode(key, value) for key, value in pairs]
                if limit is not None and len(found) >= limit:
                    return found[:limit]
        return found


class Features:
    """One feature map."""

    def __init__(self, link: Link, name: str) -> None:
        self.name = name
        self._link = link
        self._map = GridMap(link, name)

    async def put(self, key: Any, record: Mapping[str, Any]) -> int:
        """Write one record: values become float64, int64, boolean or nullable string. Returns its digest."""
        value = await self._encoded(record)
        await self._link.create_map(self.name)
        await self._map.set(encode_keys([key])[0], value)
        return int(input_digest(Blobs.of([value]))[0])

    async def put_batch(self, columns: Any, *, key: Any, key_type: str | None = None) -> int:
        """Write n records from columns: a dict of arrays, a DataFrame or an Arrow table. Returns how many.

        `key` names the column that holds the keys, or is a sequence of keys itself. Of equal keys the last one counts.
        """
        named = _columns_of(columns)
        keys: Any = named.pop(key) if isinstance(key, str) and key in named else key
        if isinstance(keys, str):
            raise EncodeError(f"there is no column {key!r} for the keys; there are: {', '.join(named)}")
        if not len(keys):
            return 0
        schema = infer_schema(self.name, named)
        await self._link.send_schema(schema)
        values, data = encode_columns(schema, named), encode_keys(keys, key_type)
        if len(values) != len(data):
            raise EncodeError(f"{len(data)} keys for {len(values)} records")
        last = last_rows(key_identities(data))
        await self._link.create_map(self.name)
        await self._map.put_batch(data.take(last), values.take(last))
        return len(data)

    async def get(self, key: Any) -> dict[str, Any] | None:
        """One record as a dict, or None."""
        value = await self._map.get(encode_keys([key])[0])
        return None if value is None else await self._decoded(value)

    async def get_batch(self, keys: Any, key_type: str | None = None) -> RecordTable:
        """Those records of the keys that are there, as columns, in the keys' order."""
        data = encode_keys(keys, key_type)
        found, values = await self._map.get_batch(data)
        rows = rows_of(data, found)
        there = rows >= 0
        return await self._table(_python_keys(keys, data, there), values.take(rows[there]))

    def scan(self, where: str | None = None, columns: Sequence[str] | None = None) -> AsyncGenerator[RecordTable]:
        """The records as they are now, in chunks of some thousand rows; in no order, and memory stays flat.

        `where` is Hazelcast's SQL-predicate syntax over the fields and `__key`; `columns` names the fields wanted. A
        field that only some records have is null elsewhere. Raises ConfigError for a field that no record has,
        DecodeError for a value that is no Compact record.
        """
        return Scan(self._link, self.name, where, columns).tables()

    async def to_arrow(self, where: str | None = None, columns: Sequence[str] | None = None) -> Any:
        """The records as one pyarrow.Table: the keys as `key` (`__key` beside a field `key`), then the fields.

        A null is an Arrow null. Parameters and errors are those of `scan`; DecodeError also if no Arrow type holds all
        values of a field.
        """
        return await Scan(self._link, self.name, where, columns).to_arrow()

    async def to_pandas(self, where: str | None = None, columns: Sequence[str] | None = None) -> Any:
        """The same as `to_arrow` as a DataFrame, indexed by key; ImportError without pandas."""
        pandas_module()
        return to_pandas(await self.to_arrow(where, columns))

    async def remove(self, key: Any) -> None:
        """Remove one record; its prediction goes too, unless the deployment keeps it."""
        await self._map.delete(encode_keys([key])[0])

    async def size(self) -> int:
        """How many records there are."""
        return await self._map.size()

    async def clear(self) -> None:
        """Remove all records."""
        await self._map.clear()

    async def destroy(self) -> None:
        """Take the whole map away, its journal included; deployments on it go on with what is put next."""
        await self._map.destroy()

    async def any_schema(self) -> Schema | None:
        """The Compact schema of some record, or None if there is no Compact record."""
        for partition in range(self._link.partition_count):
            page = await anext(self._map.scan(partition, 1))
            if len(page.keys):
                compact, ids = schema_ids(page.values)
                return await self._link.schema(int(ids[0])) if bool(compact[0]) else None
        return None

    async def _encoded(self, record: Mapping[str, Any]) -> bytes:
        schema = infer_record_schema(self.name, record)
        await self._link.send_schema(schema)
        return encode_record(schema, record)

    async def _decoded(self, value: bytes) -> dict[str, Any]:
        blob = Blobs.of([value])
        if bool(json_rows(blob)[0]):
            return _json_object(value)
        compact, ids = schema_ids(blob)
        if not bool(compact[0]):
            raise DecodeError(f"a record of {self.name!r} is neither a Compact record nor a JSON value")
        schema = await self._link.schema(int(ids[0]))
        return decode_record(schema, value, await self._link.nested_schemas(blob, schema))

    async def _table(self, keys: list[Any], values: Blobs) -> RecordTable:
        compact, ids = schema_ids(values)
        parts: list[tuple[NDArray[np.int64], dict[str, Any]]] = []
        for schema_id in np.unique(ids[compact]).tolist():
            rows = np.flatnonzero(compact & (ids == schema_id))
            schema = await self._link.schema(schema_id)
            mine = values if rows.size == len(values) else values.take(rows)
            nested = await self._link.nested_schemas(mine, schema)
            parts.append((rows, decode_columns(mine, schema, None, schemas=nested)))
        return RecordTable.of(keys, parts)


class Predictions:
    """The predictions of one deployment."""

    def __init__(self, link: Link, deployment: str) -> None:
        self.deployment = deployment
        self._link = link
        self._deployed: Deployed | None = None

    async def get(self, key: Any) -> Prediction | None:
        """The prediction that stands for a key, or None. It may be of an older value: see `get_current`."""
        data = encode_keys([key])[0]
        value = await (await self._map()).get(data)
        return None if value is None else Prediction.decode(data, value)

    async def get_batch(self, keys: Any, key_type: str | None = None) -> RecordTable:
        """Those predictions of the keys that are there, as columns, in the keys' order."""
        data = encode_keys(keys, key_type)
        found, values = await (await self._map()).get_batch(data)
        rows = rows_of(data, found)
        there = rows >= 0
        mine = _python_keys(keys, data, there)
        classes = len((await self._resolved()).signature.classes)
        columns = decode_columns(values.take(rows[there]), PREDICTION, None, {"scores": classes})
        return RecordTable.of(mine, [(np.arange(len(mine)), columns)])

    async def get_current(self, key: Any) -> Prediction | None:
        """The prediction of the record as it is now; None if there is none yet."""
        features = GridMap(self._link, (await self._resolved()).config.features)
        record = await features.get(encode_keys([key])[0])
        if record is None:
            return None
        found = await self.get(key)
        digest = int(input_digest(Blobs.of([record]))[0])
        return found if found and found.input_digest == digest else None

    async def predict(self, key: Any, record: Mapping[str, Any], timeout: float = 10.0) -> Prediction:  # noqa: ASYNC109
        """Put a record and wait for the first prediction of just this record.

        Raises DeadLetterError if it was refused, NoWorkersError if nobody scores, PredictionTimeoutError after
        `timeout` seconds.
        """
        config = (await self._resolved()).config
        digest = await Features(self._link, config.features).put(key, record)
        started, pause = time.monotonic(), POLL_S_MIN
        asked_for_workers = False
        data = encode_keys([key])[0]
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

    async def subscribe(self, where: str | None = None) -> Subscription:
        """Every new prediction from now on, those that match `where` (Hazelcast's SQL-predicate syntax) if given.

        Best effort, as entry listeners are: after a lost connection some may be missed; the map is the truth.
        """
        if where:
            Where.parse(where).check((*PREDICTION.slots, "__key"))  # the member filters, and it knows the key
        subscription = Subscription(self._link)
        await subscription.open((await self._resolved()).config.predictions, where)
        return subscription

    async def size(self) -> int:
        """How many predictions there are."""
        return await (await self._map()).size()

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
            self._deployed = await Registry(self._link).deployment(self.deployment)
        return self._deployed

    async def _map(self) -> GridMap:
        return GridMap(self._link, (await self._resolved()).config.predictions)


class Subscription:
    """New predictions as they come; `async for` over it, `close()` at the end."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._arrived: asyncio.Queue[Prediction | None] = asyncio.Queue()
        self._listener: str | None = None

    async def open(self, name: str, where: str | None) -> None:
        """Begin to listen to a predictions map."""
        self._listener = await self._link.listen(name, self._take, where=where, flags=ADDED | UPDATED)

    def _take(self, message: Message) -> None:
        _, key, value, _ = messages.decode_entry_event(message)
        if key is not None and value is not None:
            self._arrived.put_nowait(Prediction.decode(key, value))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Prediction:
        prediction = await self._arrived.get()
        if prediction is None:
            raise StopAsyncIteration
        return prediction

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop listening; the iteration ends after what has arrived."""
        listener, self._listener = self._listener, None
        if listener is not None:
            self._arrived.put_nowait(None)
            await self._link.unlisten(listener)


def _python_keys(asked: Any, data: Blobs, there: NDArray[np.bool_]) -> list[Any]:
    """Python keys of the rows that are there; whole numbers need not be decoded again."""
    if isinstance(asked, np.ndarray) and asked.dtype.kind in "iu":
        found: list[Any] = asked[there].tolist()
        return found
    return decode_keys(data.take(there))


def _raise_if_of(letter: DeadLetter, digest: int) -> None:
    if letter.input_digest == digest:
        raise DeadLetterError(f"the record was refused: {letter.cause}: {letter.message}", dead_letter=letter)


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


def _artifact_of(model: Any) -> tuple[Artifact, Any]:
    if not isinstance(model, str | Path):
        return Artifact.from_model(model), model
    artifact = Artifact.from_file(model)
    # Whoever deploys a file of their own has it on their own machine: loading it here is their own choice.
    return artifact, load(artifact, Trust(allow_pickle=True, loopback=True))


def _json_object(value: bytes) -> dict[str, Any]:
    found = decode_json(value)
    if not isinstance(found, dict):
        raise DecodeError("the JSON value is no object")
    return cast("dict[str, Any]", found)


def _columns_of(columns: Any) -> dict[str, Any]:
    """A dict of arrays from a dict, a DataFrame or an Arrow table."""
    if isinstance(columns, Mapping):
        return {str(name): _array(values) for name, values in cast("Mapping[Any, Any]", columns).items()}
    if hasattr(columns, "column_names"):
        return {name: _array(columns[name].to_numpy(zero_copy_only=False)) for name in columns.column_names}
    if hasattr(columns, "columns"):
        return {str(name): _array_of_series(columns[name]) for name in columns.columns}
    raise EncodeError(
        f"records can't be put from {type(columns).__name__}",
        remedy="pass a dict of arrays, a DataFrame or an Arrow table",
    )


def _array_of_series(series: Any) -> Any:
    """Numbers as they are; in a column of objects what pandas takes for missing is a null."""
    values = series.to_numpy()
    return np.where(series.isna(), None, values) if values.dtype == np.object_ else values


def _array(values: Any) -> Any:
    return values if isinstance(values, np.ndarray) or hasattr(values, "valid") else np.asarray(values)

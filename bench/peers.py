"""The peers at their best, in one file for review: what grid-inference is compared with, and nothing of ours.

Each is served by a process of its own (`helpers.py`) and gives back times that it measured itself. They are made as
fast as their pattern allows: calls pipelined, one field read where one is enough, no validation where whole matrices
are scored. Batch sizes, threads and numbers of processes are tried out right before the measurement; the best counts.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any, Final

import joblib
import numpy as np
import sklearn
from hazelcast.client import HazelcastClient
from hazelcast.config import Config, IntType
from hazelcast.predicate import sql
from hazelcast.serialization.api import CompactReader, CompactSerializer, CompactWriter
from hazelcast.serialization.compact import SchemaNotReplicatedError
from hazelcast.serialization.service import SerializationServiceV1
from threadpoolctl import threadpool_limits

from bench.data import NAMES, NUMBERS, TEXTS, matrix, table

__all__ = [
    "GLANCE_TYPE",
    "MIXED_TYPE",
    "RECORD_TYPE",
    "BareFrame",
    "BareListener",
    "BarePredict",
    "ListenerScorer",
    "StockMaps",
    "StockObjects",
]

RECORD_TYPE: Final = "bench.Record"
"""Compact type of the records that peers read; a map of this name gets it from put_batch too."""
GLANCE_TYPE: Final = "bench.Glance"
"""The same for records that `put` writes, whose numbers are doubles."""
MIXED_TYPE: Final = "bench.Mixed"
"""The same for records of ten numbers and five texts."""
WAIT_TIMEOUT_S: Final = 120.0


class Record:
    """30 numbers."""

    __slots__ = ("values",)

    def __init__(self, values: list[float]) -> None:
        self.values = values


class RecordSerializer(CompactSerializer[Record]):
    """Reads and writes all 30 fields."""

    def read(self, reader: CompactReader) -> Record:
        return Record([reader.read_float32(name) for name in NAMES])

    def write(self, writer: CompactWriter, obj: Record) -> None:
        for name, value in zip(NAMES, obj.values, strict=True):
            writer.write_float32(name, value)

    def get_type_name(self) -> str:
        return RECORD_TYPE

    def get_class(self) -> type[Record]:
        return Record


class Mixed:
    """Ten numbers and five texts."""

    __slots__ = ("numbers", "texts")

    def __init__(self, numbers: list[float], texts: list[str | None]) -> None:
        self.numbers = numbers
        self.texts = texts


class MixedSerializer(CompactSerializer[Mixed]):
    """Reads and writes all 15 fields."""

    def read(self, reader: CompactReader) -> Mixed:
        return Mixed([reader.read_float64(name) for name in NUMBERS], [reader.read_string(name) for name in TEXTS])

    def write(self, writer: CompactWriter, obj: Mixed) -> None:
        for name, value in zip(NUMBERS, obj.numbers, strict=True):
            writer.write_float64(name, value)
        for name, text in zip(TEXTS, obj.texts, strict=True):
            writer.write_string(name, text)

    def get_type_name(self) -> str:
        return MIXED_TYPE

    def get_class(self) -> type[Mixed]:
        return Mixed


class Glance:
    """A record, as far as who only wants to know that it came, and when, looks."""

    __slots__ = ("first",)

    def __init__(self, first: float) -> None:
        self.first = first


class GlanceSerializer(CompactSerializer[Glance]):
    """Reads one field only."""

    def read(self, reader: CompactReader) -> Glance:
        return Glance(reader.read_float64(NAMES[0]))

    def write(self, writer: CompactWriter, obj: Glance) -> None:
        raise NotImplementedError

    def get_type_name(self) -> str:
        return GLANCE_TYPE

    def get_class(self) -> type[Glance]:
        return Glance


class Seen:
    """A prediction, as far as who waits for it looks."""

    __slots__ = ("score",)

    def __init__(self, score: float) -> None:
        self.score = score


class SeenSerializer(CompactSerializer[Seen]):
    """Reads the score of a Prediction, as any client can."""

    def read(self, reader: CompactReader) -> Seen:
        return Seen(reader.read_float64("score"))

    def write(self, writer: CompactWriter, obj: Seen) -> None:
        raise NotImplementedError

    def get_type_name(self) -> str:
        return "grid_inference.Prediction"

    def get_class(self) -> type[Seen]:
        return Seen


def stock_client(address: str, cluster: str, *serializers: CompactSerializer[Any]) -> HazelcastClient:
    """The ordinary client. Keys are LONG, as Java's are."""
    return HazelcastClient(
        cluster_name=cluster,
        cluster_members=[address],
        compact_serializers=list(serializers),
        default_int_type=IntType.LONG,
        statistics_enabled=False,
    )


class BarePredict:
    """`predict_proba` on a matrix in memory: no grid, nothing to read or write. Several may run side by side."""

    def __init__(self, model: Path, rows: int) -> None:
        self._model = joblib.load(model)
        self._records = {dtype: matrix(rows).astype(dtype) for dtype in ("float32", "float64")}

    def run(self, batch: int, threads: int, dtype: str) -> tuple[float, float]:
        """Seconds, and CPU seconds, to score all rows once."""
        records = self._records[dtype]
        with threadpool_limits(threads), sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
            self._model.predict_proba(records[:batch])
            started, cpu_started = time.perf_counter(), time.process_time()
            for start in range(0, len(records), batch):
                self._model.predict_proba(records[start : start + batch])
            return time.perf_counter() - started, time.process_time() - cpu_started


class BareFrame:
    """`predict_proba` on a DataFrame in memory, its texts as Python's or pandas' own. Several may run at once."""

    def __init__(self, model: Path, rows: int) -> None:
        self._model = joblib.load(model)
        objects = table(rows)
        self._records = {"object": objects, "str": objects.astype(dict.fromkeys(TEXTS, "str"))}

    def run(self, batch: int, threads: int, dtype: str) -> tuple[float, float]:
        """Seconds, and CPU seconds, to score all rows once."""
        records = self._records[dtype]
        parts = [records.iloc[start : start + batch] for start in range(0, len(records), batch)]
        with threadpool_limits(threads), sklearn.config_context(assume_finite=True, skip_parameter_validation=True):
            self._model.predict_proba(parts[0])
            started, cpu_started = time.perf_counter(), time.process_time()
            for part in parts:
                self._model.predict_proba(part)
            return time.perf_counter() - started, time.process_time() - cpu_started


class StockObjects:
    """The ordinary client's objects from the bytes of records, as it makes them of what a cluster sends."""

    def __init__(self, rows: int) -> None:
        config = Config()
        config.compact_serializers = [MixedSerializer()]
        self._service = SerializationServiceV1(config)
        records = table(rows)
        numbers, texts = records[list(NUMBERS)].to_numpy().tolist(), records[list(TEXTS)].to_numpy().tolist()
        objects = [Mixed(*both) for both in zip(numbers, texts, strict=True)]
        try:
            self._service.to_data(objects[0])
        except SchemaNotReplicatedError as missing:  # with a cluster it would be sent there first
            self._service.compact_stream_serializer.register_schema_to_type(missing.schema, missing.clazz)
        self._bytes = [self._service.to_data(each) for each in objects]

    def decode(self) -> float:
        """Seconds to read all records."""
        started = time.perf_counter()
        for data in self._bytes:
            self._service.to_object(data)
        return time.perf_counter() - started


class ListenerScorer:
    """The usual pattern: an entry listener that predicts each record as it comes and sets the prediction.

    It predicts in the client's own thread (another one would only wait for the same interpreter), doesn't wait for one
    set before the next, and writes a bare number where ours writes a whole Prediction with digest and version.
    """

    def __init__(self, address: str, cluster: str, model: Path) -> None:
        self._model = joblib.load(model)
        self._client = stock_client(address, cluster, RecordSerializer())
        self._predictions = self._client.get_map("bench.listener.predictions")
        self._acknowledged = 0
        self._expected = 0
        self._first_s = self._last_s = 0.0
        self._done = threading.Event()
        self._listener = ""

    def listen(self, first_key: int, count: int) -> None:
        """Score the next `count` records, whose keys begin at `first_key`."""
        self._acknowledged, self._expected, self._first_s = 0, count, 0.0
        self._done.clear()
        records = self._client.get_map(RECORD_TYPE).blocking()
        mine = sql(f"__key >= {first_key} AND __key < {first_key + count}")
        self._listener = records.add_entry_listener(
            include_value=True, predicate=mine, added_func=self._score, updated_func=self._score
        )

    def wait(self) -> tuple[float, float]:
        """When the first event came and when the last prediction was acknowledged, on the machine's clock."""
        if not self._done.wait(WAIT_TIMEOUT_S):
            message = f"{self._acknowledged} of {self._expected} predictions after {WAIT_TIMEOUT_S:.0f} s"
            raise TimeoutError(message)
        self._client.get_map(RECORD_TYPE).blocking().remove_entry_listener(self._listener)
        return self._first_s, self._last_s

    def _score(self, event: Any) -> None:
        if not self._first_s:
            self._first_s = time.monotonic()
        scores = self._model.predict_proba(np.array([event.value.values], np.float32))
        self._predictions.set(event.key, float(scores[0, 1])).add_done_callback(self._set)

    def _set(self, future: Any) -> None:
        future.result()
        self._acknowledged += 1
        self._last_s = time.monotonic()
        if self._acknowledged == self._expected:
            self._done.set()

    def close(self) -> None:
        self._client.shutdown()


class StockMaps:
    """`put_all` and `get_all` of the ordinary client, records ready as objects before the clock starts."""

    def __init__(self, address: str, cluster: str, rows: int) -> None:
        self._client = stock_client(address, cluster, RecordSerializer())
        self._records = [Record(row) for row in matrix(rows).tolist()]

    def put_all(self, name: str, first_key: int, count: int, batch: int) -> float:
        """Seconds to put `count` records."""
        records, target = self._records, self._client.get_map(name).blocking()
        entries = {first_key + row: records[row % len(records)] for row in range(count)}
        keys = list(entries)
        parts = [{key: entries[key] for key in keys[start : start + batch]} for start in range(0, count, batch)]
        started = time.perf_counter()
        for part in parts:
            target.put_all(part)
        return time.perf_counter() - started

    def get_all(self, name: str, first_key: int, count: int, batch: int) -> float:
        """Seconds to get them as objects."""
        source, found = self._client.get_map(name).blocking(), 0
        started = time.perf_counter()
        for start in range(first_key, first_key + count, batch):
            found += len(source.get_all(range(start, min(start + batch, first_key + count))))
        seconds = time.perf_counter() - started
        if found != count:
            message = f"get_all found {found} of {count} records"
            raise ValueError(message)
        return seconds

    def close(self) -> None:
        self._client.shutdown()


class BareListener:
    """An entry listener that notes when each event came: of a record (the peer), or of a prediction (ours)."""

    def __init__(self, address: str, cluster: str) -> None:
        self._client = stock_client(address, cluster, GlanceSerializer(), SeenSerializer())
        self._events: list[tuple[int, int]] = []
        self._map: Any = None
        self._listener = ""

    def listen(self, name: str, first_key: int) -> None:
        """Begin to listen to entries with keys from `first_key` on."""
        self._events = []
        self._map = self._client.get_map(name).blocking()
        self._listener = self._map.add_entry_listener(
            include_value=True, predicate=sql(f"__key >= {first_key}"), added_func=self._note, updated_func=self._note
        )

    def _note(self, event: Any) -> None:
        self._events.append((event.key, time.monotonic_ns()))

    def wait(self, count: int, timeout_s: float) -> list[tuple[int, int]]:
        """Key and time of each event, once there are `count` or the time is over; stops listening."""
        deadline = time.monotonic() + timeout_s
        while len(self._events) < count and time.monotonic() < deadline:
            time.sleep(0.02)
        self._map.remove_entry_listener(self._listener)
        return self._events

    def close(self) -> None:
        self._client.shutdown()

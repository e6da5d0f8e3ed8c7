"""Our side: a grid as `grid-inference node` starts it, and one backlog worked off by its workers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from hazelcast.client import HazelcastClient
from hazelcast.core import HazelcastJsonValue
from numpy.typing import NDArray

import grid_inference as gi
from bench.data import NAMES, columns, matrix, table
from bench.measure import Meter
from bench.peers import stock_client
from grid_inference.api.client import Grid
from grid_inference.grid.member import MemberConfig
from grid_inference.grid.member.jars import shipped_file
from grid_inference.node.nodes import Nodes
from grid_inference.observe.verify import Verdict

__all__ = ["JSON", "SMALL_JOURNAL", "TABLE", "WARM_ROWS", "Backlog", "BenchError", "Load", "Ours", "features_of"]

SMALL_JOURNAL: Final = "small-journal."
"""Maps whose names begin so have the small journal."""
PUT_ROWS: Final = 50_000
"""Records put with one put_batch."""
JSON_PUT_ROWS: Final = 5_000
WARM_ROWS: Final = 4_000
"""Records scored before a backlog is put: code, connections and Java's compiler are warm then, as in a running grid."""
POLL_S: Final = 0.01
WAIT_TIMEOUT_S: Final = 180.0
FIRST_LINE: Final = "  map:\n"


class BenchError(Exception):
    """A measure is worth nothing: something is missing, stale, or took another way than it should."""


@dataclass(slots=True)
class Backlog:
    """A backlog that was worked off."""

    records: int
    seconds: float
    """From `resume` until the last prediction was acknowledged."""
    cpu_s: dict[str, float]
    peak_rss_mb: dict[str, float]
    loopback_bytes: int
    model_s: float = 0.0
    batches: int = 0
    gaps: dict[str, int] = field(default_factory=dict[str, int])
    verify_s: float = 0.0
    """How long the proof took that each record has its prediction, over all that stands in the map."""

    @property
    def per_s(self) -> float:
        return self.records / self.seconds

    @property
    def per_cpu_s(self) -> float:
        """Records per second of CPU, of members and workers together."""
        return self.records / sum(self.cpu_s.values())

    @property
    def verify_s_per_million(self) -> float:
        return self.verify_s / (self.records + WARM_ROWS) * 1e6


@dataclass(frozen=True, slots=True)
class Load:
    """Records of one shape: how they are put, and what the deployment has to know of them."""

    put: Callable[[Ours, str, int, int], float]
    """Puts into a map, from a key on, so many records; gives the seconds it took, encoding included."""
    settings: Mapping[str, Any]


class Ours:
    """A grid of nodes on this machine."""

    def __init__(self, grid: Grid, client: HazelcastClient, nodes: Nodes) -> None:
        self.grid = grid
        self.client = client
        self.nodes = nodes
        self._count = 0

    @classmethod
    @contextmanager
    def started(cls, folder: Path, workers: int, journal: int, small_journal: int) -> Generator[Ours]:
        """Start one node. Only the journals' capacities differ from the default."""
        member = MemberConfig(journal_capacity=journal, config_file=member_file(folder, small_journal))
        with Nodes(member, workers, keys=str(folder / "keys")) as nodes:
            nodes.add()
            with cls.attached(nodes) as ours:
                yield ours

    @classmethod
    @contextmanager
    def attached(cls, nodes: Nodes) -> Generator[Ours]:
        """Connect to nodes that run, once their workers have signed on."""
        cluster = nodes.members[0].cluster_name
        with gi.connect(nodes.address, cluster_name=cluster, keys=nodes.keys) as grid:
            grid.wait_for_workers(len(nodes.processes["workers"]))
            client = stock_client(grid.address, cluster)
            try:
                yield cls(grid, client, nodes)
            finally:
                client.shutdown()

    def deploy(self, model: Path, prefix: str = "", load: Load | None = None, **settings: Any) -> str:
        """Put a model to work on a new map and wait until it scores; returns the deployment's name."""
        load = load or FLOATS
        self._count += 1
        name = f"bench-{self._count}"
        load.put(self, features_of(name, prefix), 0, WARM_ROWS)
        self.grid.deploy(name, model, features=features_of(name, prefix), **load.settings, **settings)
        self.wait_for(name, WARM_ROWS)
        return name

    def put(self, features: str, first_key: int, count: int) -> float:
        """Put records of 30 floats, PUT_ROWS at a time; seconds it took, encoding included."""
        return self.put_columns(features, first_key, count, columns(matrix(min(count, PUT_ROWS), seed=first_key)))

    def put_table(self, features: str, first_key: int, count: int) -> float:
        """The same with records of ten numbers and five texts."""
        part = table(min(count, PUT_ROWS), seed=first_key)
        return self.put_columns(features, first_key, count, {name: part[name].to_numpy() for name in part})

    def put_columns(self, features: str, first_key: int, count: int, part: Mapping[str, NDArray[Any]]) -> float:
        """Put the records of `part`, again and again."""
        target, seconds = self.grid.features(features), 0.0
        for start in range(0, count, PUT_ROWS):
            size = min(PUT_ROWS, count - start)
            keys = np.arange(first_key + start, first_key + start + size)
            records = part if size == PUT_ROWS else {name: values[:size] for name, values in part.items()}
            started = time.perf_counter()
            target.put_batch(records, key=keys)
            seconds += time.perf_counter() - started
        return seconds

    def put_json(self, features: str, first_key: int, count: int) -> float:
        """Put the table's records as JSON values, by the ordinary client."""
        target, started = self.client.get_map(features).blocking(), time.perf_counter()
        rows = table(min(count, PUT_ROWS), seed=first_key).to_dict("records")
        values = [HazelcastJsonValue(json.dumps(row)) for row in rows]
        for start in range(0, count, JSON_PUT_ROWS):
            size = min(JSON_PUT_ROWS, count - start)
            target.put_all({first_key + row: values[row % len(values)] for row in range(start, start + size)})
        return time.perf_counter() - started

    def wait_for(self, name: str, count: int) -> None:
        """Wait until so many predictions stand in the map."""
        predictions, deadline = self.grid.predictions(name), time.monotonic() + WAIT_TIMEOUT_S
        while (size := predictions.size()) < count:
            if time.monotonic() > deadline:
                raise BenchError(f"{size} of {count} predictions after {WAIT_TIMEOUT_S:.0f} s: {self.grid.status()}")
            time.sleep(POLL_S)

    def backlog(self, model: Path, records: int, prefix: str = "", load: Load | None = None) -> Backlog:
        """Let records wait while the deployment is paused, resume it, and time it until nothing waits any more."""
        load = load or FLOATS
        name = self.deploy(model, prefix, load)
        try:
            self.pause(name)
            load.put(self, features_of(name, prefix), WARM_ROWS, records)
            with Meter(self.nodes.processes) as meter:
                self.grid.resume(name)
                self.wait_for(name, WARM_ROWS + records)
            proof = self.prove(name, WARM_ROWS + records)
            done = Backlog(records, meter.seconds, meter.cpu_s, meter.peak_rss_mb, meter.loopback_bytes)
            done.verify_s = proof.seconds
            self._count_up(name, done)
        finally:
            self.destroy(name, prefix)
        return done

    def listened(self, model: Path, records: int) -> float:
        """Records per second that a deployment with the listener trigger scores while they are put."""
        name = self.deploy(model, trigger="listener")
        try:
            started = time.perf_counter()
            self.put(features_of(name), WARM_ROWS, records)
            self.wait_for(name, WARM_ROWS + records)
            seconds = time.perf_counter() - started
            self.prove(name, WARM_ROWS + records)
        finally:
            self.destroy(name)
        return records / seconds

    def pause(self, name: str) -> None:
        """Pause, and wait until the workers have let go."""
        self.grid.pause(name)
        deadline = time.monotonic() + WAIT_TIMEOUT_S
        while self._status(name).owned:
            if time.monotonic() > deadline:
                raise BenchError(f"{name} does not pause")
            time.sleep(POLL_S * 5)

    def prove(self, name: str, count: int) -> Verdict:
        """Prove by an independent scan that every record has its prediction."""
        verdict = self.grid.verify(name)
        if not verdict.complete or verdict.records != count or verdict.predictions != count:
            raise BenchError(f"the proof fails for {count} records: {verdict}")
        return verdict

    def _count_up(self, name: str, done: Backlog) -> None:
        """What the workers say they did; they say it with their next beat."""
        deadline = time.monotonic() + WAIT_TIMEOUT_S
        while self._status(name).predictions < done.records:
            if time.monotonic() > deadline:
                raise BenchError(f"the workers don't say that they scored {name}")
            time.sleep(POLL_S * 5)
        status = self._status(name)
        done.gaps, done.batches = status.gaps, status.batches

    def _status(self, name: str) -> Any:
        return next(one for one in self.grid.status().deployments if one.name == name)

    def destroy(self, name: str, prefix: str = "") -> None:
        """Undeploy, and free the memory of all its maps."""
        self.grid.undeploy(name)
        time.sleep(POLL_S)
        for each in (features_of(name, prefix), f"{name}.predictions", f"{name}.dead-letters"):
            self.client.get_map(each).blocking().destroy()


FLOATS: Final = Load(Ours.put, {"columns": NAMES})
TABLE: Final = Load(Ours.put_table, {})
JSON: Final = Load(Ours.put_json, {"sample": table(100)})


def features_of(name: str, prefix: str = "") -> str:
    """Name of a deployment's feature map."""
    return f"{prefix}{name}.features"


def member_file(folder: Path, small_journal: int) -> Path:
    """The shipped member configuration, with maps of a small journal beside the others."""
    shipped = shipped_file("hazelcast.yaml").read_text(encoding="utf-8")
    if shipped.count(FIRST_LINE) != 1:
        raise BenchError("hazelcast.yaml has another shape than the benchmark knows")
    small = (
        f'    "{SMALL_JOURNAL}*":\n      in-memory-format: BINARY\n      backup-count: 1\n'
        f"      event-journal:\n        enabled: true\n        capacity: {small_journal}\n"
    )
    path = folder / "hazelcast.yaml"
    path.write_text(shipped.replace(FIRST_LINE, FIRST_LINE + small), encoding="utf-8")
    return path

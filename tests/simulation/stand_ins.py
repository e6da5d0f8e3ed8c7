"""What stands in, in a simulated process, for the stock client, threads, models and the system."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import itertools
import os
import signal
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np

from grid_inference.config import GridConfig
from grid_inference.errors import DecodeError
from grid_inference.flow import calls, deployments, models, serving
from grid_inference.grid import heartbeat
from grid_inference.grid.heartbeat import Heartbeat
from grid_inference.grid.link import Link
from grid_inference.model.engines.engine import Engine
from grid_inference.model.engines.isolate import Scores
from grid_inference.node.worker import life
from grid_inference.wire.schema import Schema
from tests.simulation.loop import Process, VirtualLoop, current_thread
from tests.simulation.network import Connection, Network

__all__ = ["SCORE_OF_VERSION", "WorkerProcess", "installed", "score_of"]

EPOCH_S = 1_700_000_000.0
BOOTED_S = 1_000.0
SCORE_OF_VERSION = 1_000_000.0


def score_of(value: float, version: int) -> float:
    """What version of the model says of a record."""
    return value * 0.5 + version * SCORE_OF_VERSION


class WorkerProcess(Process):
    """A process that runs a worker."""

    def __init__(self, loop: VirtualLoop, name: str, network: Network, schemas: dict[int, Schema]) -> None:
        super().__init__(loop, name)
        self.network = network
        self.schemas = schemas
        """What the cluster knows."""
        self.load_s = self.row_s = 0.0
        """What it takes to load a model, and to score a row."""
        self.links: dict[str, SimulatedLink] = {}
        self.turn: Any = None
        self.exits: list[int] = []
        self.dozes_s = 0.0
        """For so long it is stopped when it asks next who lives, to take a partition over."""


class StockClient:
    """The private parts of the stock client that `link.py` looks at."""

    def __init__(self, network: Network, take: Any) -> None:
        self._network = network
        self._take = take
        self._thread = current_thread()
        partitions = {partition: f"m{network.owner(partition)}" for partition in range(network.cluster.partition_count)}
        self.addresses = {f"m{member}": f"10.0.0.{member}:5701" for member in range(network.members)}
        self._reactor = SimpleNamespace(connection_factory=None)
        self._internal_partition_service = SimpleNamespace(
            partition_count=len(partitions),
            get_partition_owner=partitions.get,
            _partition_table=SimpleNamespace(partitions=partitions),
        )
        members = [
            SimpleNamespace(uuid=uuid, address=SimpleNamespace(host=address.split(":")[0], port=5701))
            for uuid, address in self.addresses.items()
        ]
        self._internal_cluster_service = SimpleNamespace(get_members=lambda: members)
        self._connection_manager = SimpleNamespace(active_connections={}, _send_state_to_cluster_fn=None)
        numbers = itertools.count(1)
        self._invocation_service = SimpleNamespace(
            _next_correlation_id=SimpleNamespace(get_and_increment=lambda: next(numbers))
        )
        self.running = True
        self.lifecycle_service = SimpleNamespace(is_running=lambda: self.running)

    def connect(self, member: int, take: Any) -> None:
        """A connection to a member is there."""
        if self.running:
            connection = Connection(self._network, self._thread, member, take)
            self._connection_manager.active_connections[f"m{member}"] = connection

    async def shutdown(self) -> None:
        """Close all connections."""
        self.running = False
        for connection in self._connection_manager.active_connections.values():
            connection.live = False


class SimulatedLink(Link):
    """The real link over simulated connections; schemas are known at once."""

    @classmethod
    async def open(cls, config: GridConfig) -> SimulatedLink:
        thread = current_thread()
        process: WorkerProcess = thread.process
        await asyncio.sleep(process.network.latency_s())
        client = StockClient(process.network, None)
        link = cls(client, config)
        for member in range(process.network.members):
            client.connect(member, link._take)
        process.links[thread.name] = link
        return link

    async def schema(self, schema_id: int) -> Schema:
        found = current_thread().process.schemas.get(schema_id)
        if found is None:
            raise DecodeError(f"the cluster knows no Compact schema with the id {schema_id}")
        return found

    async def send_schema(self, schema: Schema) -> None:
        current_thread().process.schemas[schema.schema_id] = schema

    def cut(self, member: int) -> None:
        """Lose the connection to a member, for a moment."""
        process: WorkerProcess = self.client._thread.process
        connection = self.client._connection_manager.active_connections.pop(f"m{member}", None)
        if connection is None:
            return
        process.network.cut(connection, self._on_connection_closed)
        process.loop.answer_at(
            process.loop.time() + process.network.reconnect_s(),
            connection.thread.context,
            self.client.connect,
            member,
            self._take,
        )


class SimulatedHeartbeat(Heartbeat):
    """The real heartbeat, in a simulated thread."""

    _task: asyncio.Task[None] | None = None

    def start(self, said: dict[str, Any]) -> None:
        self._said = said
        thread = current_thread().process.thread("heartbeat")
        self._task = asyncio.get_running_loop().create_task(self._work(), context=thread.context)

    async def _work(self) -> None:
        failure = None
        try:
            await self._beat_on()
        except Exception as error:  # noqa: BLE001 - whoever waits for the end raises it
            failure = error
        if hasattr(self, "_end"):
            asyncio.get_running_loop().call_soon(self._end, failure)

    async def stop(self, **how: bool) -> None:
        if how.get("farewell"):
            self._farewell = True
        self._stopping = True
        asyncio.get_running_loop().call_soon(self._wake.set)
        if self._task:
            await asyncio.wait([self._task])


class SimulatedEngine(Engine):
    """A model that says what `score_of` says, and takes the time that its process takes for a row."""

    def __init__(self, model: str, signature: Any) -> None:
        super().__init__(signature)
        self._version = int(model, 16)

    def _predict(self, inputs: Any, *, finite: bool | None) -> Scores:
        loop: VirtualLoop = asyncio.get_running_loop()
        loop.busy_s += current_thread().process.row_s * inputs.shape[0]
        return Scores(score_of(np.asarray(inputs)[:, 0].astype(np.float64), self._version), None, None)


class SimulatedTrial(SimulatedEngine):
    """The same on trial: in a process that does not die."""

    running = False

    def __init__(self, model: str, signature: Any, timeout_s: float) -> None:
        super().__init__(model, signature)

    def close(self) -> None:
        """Nothing is there to be ended."""


async def _fetched(link: Link, manifest: Any, address: str, **_: Any) -> str:
    loop: VirtualLoop = asyncio.get_running_loop()

    def load() -> str:
        loop.busy_s += current_thread().process.load_s
        return manifest.sha256

    return await loop.run_in_executor(None, load)


class Exited(BaseException):
    """A process has ended itself."""


def _exit(code: int) -> None:
    process: WorkerProcess = current_thread().process
    process.exits.append(code)
    process.kill()
    raise Exited


def _clocks(loop: VirtualLoop) -> dict[str, Any]:
    def now() -> float:
        return loop.time() + loop.busy_s

    def boottime(clock: int) -> float:
        del clock
        thread = current_thread()
        return BOOTED_S + now() + (thread.process.clock_offset_s if thread else 0.0)

    return {
        "monotonic": now,
        "perf_counter": now,
        "time": lambda: EPOCH_S + now(),
        "time_ns": lambda: int((EPOCH_S + now()) * 1e9),
        "clock_gettime": boottime,
    }


class NoListener:
    """Changes of deployments are seen by the turn."""

    @staticmethod
    async def on_entries(*_: Any, **__: Any) -> None:
        """Nothing is heard."""


@contextlib.contextmanager
def installed(loop: VirtualLoop) -> Iterator[None]:
    """While this lasts, workers that are made here are simulated ones."""
    turn = life.Turn

    def noted_turn(**facts: Any) -> Any:
        made = turn(**facts)
        current_thread().process.turn = made
        return made

    with contextlib.ExitStack() as stack:
        for place, name, stand_in in (
            *((time, name, clock) for name, clock in _clocks(loop).items()),
            (life, "Link", SimulatedLink),
            (heartbeat, "Link", SimulatedLink),
            (life, "Heartbeat", SimulatedHeartbeat),
            (life, "Listener", NoListener),
            (life, "machine", lambda: "elsewhere"),
            (life, "Turn", noted_turn),
            (models, "fetched", _fetched),
            (deployments, "give_back", lambda **_: None),
            (deployments, "settle", lambda: None),
            (serving, "engine_of", SimulatedEngine),
            (calls, "TrialEngine", SimulatedTrial),
            (os, "_exit", _exit),
            (faulthandler, "dump_traceback", lambda *_, **__: None),
            (signal, "setitimer", lambda *_: (0.0, 0.0)),
        ):
            stack.enter_context(mock.patch.object(place, name, stand_in))
        yield

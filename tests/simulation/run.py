"""Carries one schedule out, and waits until all is as it should be, or has had the time for it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import random
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import numpy as np

from grid_inference.config import DeploymentConfig, GridConfig, TopicConfig, WorkerConfig
from grid_inference.errors import GridInferenceError
from grid_inference.flow import rescore
from grid_inference.flow.results import ResultMaps
from grid_inference.grid.leases import LATE_WRITE_S, Leases
from grid_inference.model.described import Input
from grid_inference.model.signature import Signature
from grid_inference.model.store.manifest import Manifest
from grid_inference.model.store.published import ModelVersion
from grid_inference.model.store.registry import DEPLOYMENTS_MAP, Deployed
from grid_inference.node.worker import life, turn
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact.record import encode_record
from grid_inference.wire.json.values import encode_json
from grid_inference.wire.keys import encode_keys, partition_ids
from tests.simulation.judge import Judge, Names, Violation
from tests.simulation.loop import VirtualLoop, current_thread
from tests.simulation.members import Cluster
from tests.simulation.network import LATE_S_MAX, Network, Rates
from tests.simulation.plan import RECORD, REFUSED, Event, Plan
from tests.simulation.stand_ins import WorkerProcess, installed

__all__ = ["Outcome", "run"]

QUIET_S = 3.0
"""So long after the last fault it is looked first whether all is as it should be."""
SETTLED_S_MAX = 2 * LATE_WRITE_S + LATE_S_MAX + 15.0
"""After so long it must be."""
STARTED_S = 2.0
"""What a worker takes at the most to begin, beside what its model takes to load."""
LOOK_S = 1.0
NEVER_S = 1e6
"""Nothing is scored anew here for its own sake: it need not be looked for ten times a second."""
RESTART_S = 1.0
"""A node starts a worker anew that has ended by itself."""
ENDS_S_MAX = 40.0
"""A worker that is asked to stop has ended after so long."""


@dataclass
class Outcome:
    """What came of a schedule."""

    plan: Plan
    violations: list[Violation]
    virtual_s: float
    callbacks: int
    requests: int
    counts: Counter[str]
    digest: int
    """Of all that was sent and when: equal for equal runs."""
    cpu_s: float = 0.0
    """What it took."""
    trace: list[str] = field(default_factory=list)


class _Trace(logging.Handler):
    """Keeps what the code logs, with the virtual time and the process."""

    def __init__(self, loop: VirtualLoop, lines: list[str]) -> None:
        super().__init__(logging.INFO)
        self._loop = loop
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        thread = current_thread()
        self._lines.append(f"{self._loop.time():8.3f} [{thread.process.name if thread else ''}] {record.getMessage()}")


class _Run:
    def __init__(self, plan: Plan, trace: list[str] | None) -> None:
        self.plan = plan
        self.trace = trace
        self.loop = VirtualLoop(random.Random(f"loop {plan.seed}"))
        self.names = Names()
        self.cluster = Cluster(plan.partitions, journaled=self.names.features, capacity=plan.capacity)
        rates = Rates(plan.latency_s, plan.late, plan.error)
        self.network = Network(self.loop, self.cluster, plan.members, rates, random.Random(f"network {plan.seed}"))
        self.config = WorkerConfig(
            metrics=False,
            share_arrays=False,
            inline_rows_max=plan.inline_rows_max,
            batch_rows_max=plan.batch_rows_max,
            proof_interval_s=plan.proof_interval_s,
        )
        self.judge = Judge(self.loop, self.cluster, self.names, self.config.lease_ttl_s)
        self.judge.note = self.note
        if plan.calm:
            self.judge.calm_from_s = plan.load_s + STARTED_S
        self.network.on_sent = self.sent
        self.schemas = {schema.schema_id: schema for schema in (RECORD, REFUSED)}
        self.workers: list[WorkerProcess] = []
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.stopping: dict[str, float] = {}
        self.versions = 0
        self.sum = 0
        self.keys = encode_keys(np.arange(plan.keys)).tolist()
        self.partition_of = partition_ids(Blobs.of(self.keys), plan.partitions).tolist()

    def sent(self, message: Any) -> None:
        """Have the judge look at it, and let the digest of the run know."""
        self.sum = hash((self.sum, message.kind, message.partition, round(self.loop.time() * 1e9)))
        self.judge.sent(message)

    def note(self, said: str) -> None:
        """A line of the trace."""
        if self.trace is not None:
            self.trace.append(f"{self.loop.time():8.3f} {said}")

    # ---- what happens

    async def go(self) -> None:
        """From the beginning to the end."""
        self.deploy()
        for _ in range(self.plan.workers):
            self.start(self.plan.load_s)
        for event in self.plan.events:
            await asyncio.sleep(event.at_s - self.loop.time())
            if event.what != "put":
                self.note(str(event))
            getattr(self, f"on_{event.what}")(event)
        if not any(self.works(worker) and worker.name not in self.stopping for worker in self.workers):
            self.start(self.plan.load_s)
        await asyncio.sleep(self.plan.ends_s - self.loop.time())
        self.network.rates = Rates(self.plan.latency_s, 0.0, 0.0)  # beats that come late would part the leases for ever
        await asyncio.sleep(QUIET_S)
        deadline_s = self.loop.time() + SETTLED_S_MAX
        while not self.judge.violations:
            wanting = self.wanting()
            if not wanting and not self.network.late_writes:
                return
            if self.loop.time() > deadline_s:
                for promise, said in wanting:
                    self.judge.fail(promise, said)
                return
            await asyncio.sleep(LOOK_S)

    def wanting(self) -> list[tuple[str, str]]:
        """What is not as it should be yet."""
        there = {worker.name for worker in self.workers if not worker.dead}
        for name, since_s in self.stopping.items():
            if name in there and not self.tasks[name].done() and self.loop.time() > since_s + ENDS_S_MAX:
                self.judge.fail("stop", f"{name} was asked to stop {ENDS_S_MAX} s ago and works still")
        for error in self.loop.errors:
            self.judge.fail("error that nobody has caught", error)
        return self.judge.wanting([worker for worker in self.workers if self.works(worker)])

    def works(self, worker: WorkerProcess) -> bool:
        """Whether it is there and not about to leave."""
        return not worker.dead and worker.name not in self.judge.left

    def deploy(self) -> None:
        """The next generation, by another version of the model."""
        self.versions += 1
        self.judge.generation = version = self.versions
        manifest = Manifest(sha256=f"{version:064x}", size=1, python="3.11.7", class_name="Simulated")
        signature = Signature((Input("v"),), "regressor", inputs_count=1)
        of = ModelVersion("m", version, signature, manifest, None, 1, "simulation")
        config = DeploymentConfig(
            name=self.names.deployment, features=self.names.features, topic=TopicConfig(kind="none")
        )
        deployed = Deployed.of(config, of, "", version)
        [key] = encode_keys([config.name]).tolist()
        [partition] = partition_ids(Blobs.of([key]), self.plan.partitions).tolist()
        self.cluster.put(DEPLOYMENTS_MAP, partition, key, encode_json(deployed.to_mapping()))

    def start(self, load_s: float) -> None:
        """Another worker."""
        number = len(self.workers)
        process = WorkerProcess(self.loop, f"w{number}", self.network, self.schemas)
        process.load_s, process.row_s, process.clock_offset_s = load_s, self.plan.row_s, 100.0 * number
        self.workers.append(process)
        main = process.thread("main")
        address = f"10.0.0.{number % self.plan.members}:5701" if self.plan.places else None
        task = self.loop.create_task(self.life(process, address), context=main.context)
        self.tasks[process.name] = task

    async def life(self, process: WorkerProcess, address: str | None) -> None:
        """A worker's process, from its start to its end."""
        process.worker = worker = life.Worker(GridConfig(), self.config, node_address=address)
        worker.id = process.name
        try:
            await worker.run()
        except GridInferenceError as error:
            self.note(f"{process.name} ends: {error}")
            self.loop.call_later(RESTART_S, self.start, process.load_s, context=self.network._context)
        except Exception as error:
            self.judge.fail("worker died", f"{process.name}: {type(error).__name__}: {error}")
            raise
        finally:
            if not process.dead:
                self.judge.left.add(process.name)

    def on_start(self, event: Event) -> None:
        self.start(event.for_s)

    def on_stop(self, event: Event) -> None:
        process = self.workers[event.whom % len(self.workers)]
        if not process.dead and hasattr(process, "worker") and process.name not in self.stopping:
            self.stopping[process.name] = self.loop.time()
            process.threads[0].context.copy().run(self.loop.call_soon, process.worker.stop)

    def on_kill(self, event: Event) -> None:
        process = self.workers[event.whom % len(self.workers)]
        if process.name not in self.judge.left:
            process.kill()

    def on_pause(self, event: Event) -> None:
        process = self.workers[event.whom % len(self.workers)]
        process.stop()
        self.loop.call_later(event.for_s, process.go_on)

    def on_cut(self, event: Event) -> None:
        process = self.workers[event.whom % len(self.workers)]
        for bit, name in ((1, "main"), (2, "heartbeat")):
            if event.how & bit and name in process.links:
                for member in range(self.plan.members):
                    process.links[name].cut(member)

    def on_stall(self, event: Event) -> None:
        process = self.workers[event.whom % len(self.workers)]
        until_s = self.loop.time() + event.for_s
        for bit, name in ((1, "main"), (2, "heartbeat")):
            if event.how & bit and name in process.links:
                for connection in process.links[name].client._connection_manager.active_connections.values():
                    connection.stands_until_s = max(connection.stands_until_s, until_s)

    def on_doze(self, event: Event) -> None:
        self.workers[event.whom % len(self.workers)].dozes_s = event.for_s

    def doze(self, process: WorkerProcess, partitions: list[int]) -> None:
        """Stop a process when what it is sending now is sent, if it is to doze and these partitions are others'."""
        if process.dozes_s and any(self.judge.lease(one)[0] not in ("", process.name) for one in partitions):
            self.note(f"{process.name} dozes for {process.dozes_s:.3f}")
            self.loop.call_soon(process.stop, context=self.network._context)
            self.loop.call_later(process.dozes_s, process.go_on, context=self.network._context)
            process.dozes_s = 0.0

    def on_hold(self, event: Event) -> None:
        self.network.stands_until_s[event.whom] = max(
            self.network.stands_until_s[event.whom], self.loop.time() + event.for_s
        )

    def on_busy(self, event: Event) -> None:
        self.network.busy_until_s[event.whom] = self.loop.time() + event.for_s

    def on_deploy(self, event: Event) -> None:
        del event
        self.deploy()

    def on_put(self, event: Event) -> None:
        first, count = event.whom, int(event.for_s)
        for at in range(first, first + count):
            number = at % len(self.keys)
            key, partition = self.keys[number], self.partition_of[number]
            if event.how and at % (event.how + 1) == 0:
                self.cluster.remove(self.names.features, partition, key)
                continue
            self.judge.puts += 1
            puts, refused = self.judge.puts, self.plan.refused
            schema, name = (REFUSED, "w") if refused and puts % refused == 0 else (RECORD, "v")
            value = encode_record(schema, {name: float(puts)})
            self.cluster.put(self.names.features, partition, key, bytes(value))

    # ---- what is looked at

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Have the judge told of what workers do, beside what they send."""
        claim, results, judge, loop = Leases.claim, ResultMaps.of_partition, self.judge, self.loop
        reading = life if hasattr(life, "read_workers") else turn
        read_workers = reading.read_workers

        async def noted_claim(leases: Leases, partitions: list[int], lives: Any, look: Any) -> Any:
            async def looking() -> None:
                self.doze(current_thread().process, partitions)
                await look()

            return await claim(leases, partitions, lives, looking)

        async def noted_results(maps: ResultMaps, partition: int) -> Any:
            judge.looked(current_thread().process, partition)
            return await results(maps, partition)

        async def noted_read(link: Any) -> Any:
            judge.views[current_thread().process.name] = loop.time()
            return await read_workers(link)

        with (
            mock.patch.object(Leases, "claim", noted_claim),
            mock.patch.object(ResultMaps, "of_partition", noted_results),
            mock.patch.object(reading, "read_workers", noted_read),
            mock.patch.object(rescore, "PAUSE_S", NEVER_S),
        ):
            yield


def run(plan: Plan, *, trace: bool = False) -> Outcome:
    """Carry a schedule out; what still runs in its end is let go without a word."""
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    began_s = time.process_time()
    try:
        outcome = _carry_out(plan, trace=trace)
        outcome.cpu_s = time.process_time() - began_s
        return outcome
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # coroutines that can't be ended say so
            gc.collect()
        sys.unraisablehook = hook


def _carry_out(plan: Plan, *, trace: bool) -> Outcome:
    lines: list[str] = []
    one = _Run(plan, lines if trace else None)
    handler = _Trace(one.loop, lines)
    log = logging.getLogger("grid_inference")
    level, propagate = log.level, log.propagate
    log.setLevel(logging.INFO if trace else logging.CRITICAL + 1)
    log.propagate = False
    if trace:
        log.addHandler(handler)
    try:
        with installed(one.loop), one.watched():
            one.loop.run_until_complete(one.go())
            one.loop.errors.clear()
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        log.propagate = propagate
        for task in asyncio.all_tasks(one.loop):
            task._log_destroy_pending = False
        one.loop.close()
    counts = Counter(one.judge.counts)
    return Outcome(
        plan,
        list(one.judge.violations),
        one.loop.time(),
        one.loop.callbacks,
        one.network.sent,
        counts,
        one.sum,
        trace=lines,
    )

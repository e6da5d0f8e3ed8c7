"""A thread that asks the grid every few seconds how it is doing, and puts the probes of our partitions."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram

from grid_inference.api import aio
from grid_inference.api.blocking.loop_thread import LoopThread
from grid_inference.config import GridConfig
from grid_inference.errors import GridInferenceError
from grid_inference.logs import logger
from grid_inference.metrics import SECONDS
from grid_inference.model.store.registry import Deployed
from grid_inference.node.health.lag import LagClock
from grid_inference.node.workers import Workers
from grid_inference.observe.proof import PartitionProof
from grid_inference.observe.status import Status
from grid_inference.wire.keys import encode_key, partition_id

__all__ = ["Look", "Sample"]

_log = logger(__name__)

SAMPLE_S = 2.0
RETRY_S = 2.0
PROBE_S_MAX, PROBE_POLL_S = 10.0, 0.001


@dataclass(frozen=True, slots=True)
class Sample:
    """What the grid said at one moment."""

    at_s: float
    status: Status
    deployed: dict[str, Deployed]
    proofs: dict[str, list[PartitionProof]]
    lag_s: dict[str, float | None]
    """How long the oldest change of each deployment waits."""
    own: dict[str, int]
    """Our own workers that spoke: id → process id."""


class Look:
    """Looks from `start` to `stop`; what it found last may be read from any thread."""

    def __init__(self, grid: GridConfig, workers: Workers, registry: CollectorRegistry) -> None:
        self._grid = grid
        self._workers = workers
        self._clocks: dict[str, LagClock] = {}
        self._due_s: dict[str, float] = {}
        """When the probe of each deployment is put next."""
        self.sample: Sample | None = None
        self.problem = "the grid was not asked yet"
        """Why there is no newer sample; empty if the last one came as it should."""
        self.heard_s = time.monotonic()
        """When a worker of ours was last known to speak; at first when we began to listen."""
        self._thread: LoopThread | None = None
        self._latency = Histogram(
            "grid_inference_put_to_visible_seconds",
            "Seconds from the put of a probe record until its prediction could be read.",
            ("deployment",),
            registry=registry,
            buckets=SECONDS,
        )
        self._unseen = Counter(
            "grid_inference_probe_failures",
            "Probe records whose prediction did not come.",
            ("deployment",),
            registry=registry,
        )

    def start(self) -> None:
        """Begin to look."""
        self._thread = LoopThread()
        self._thread.run(self._begin())

    def stop(self) -> None:
        """Look no more, whatever the grid is waited for."""
        if self._thread:
            self._thread.stop()

    async def _begin(self) -> None:
        self._looking = asyncio.create_task(self._look_on())

    async def _look_on(self) -> None:
        while True:
            try:
                async with await aio.connect(self._grid) as grid:
                    await self._look_over(grid)
            except GridInferenceError as error:
                self.problem = f"the grid does not answer: {error}"
                await asyncio.sleep(RETRY_S)
            except Exception as error:  # without this thread nothing would be known of the node  # noqa: BLE001
                self.problem = f"the grid can't be asked: {type(error).__name__}"
                _log.exception("look failed", error=error)
                await asyncio.sleep(RETRY_S)

    async def _look_over(self, grid: aio.Grid) -> None:
        """Look again and again as long as this connection is there."""
        probes: set[asyncio.Task[None]] = set()
        try:
            while True:
                sample = await self._sampled(grid)
                if sample.own:
                    self.heard_s = sample.at_s
                self.sample, self.problem = sample, ""
                probes = {task for task in probes if not task.done()}
                probes |= {asyncio.create_task(self._probe(grid, one)) for one in self._due(grid, sample)}
                await asyncio.sleep(SAMPLE_S)
        finally:
            for task in probes:
                task.cancel()
            await asyncio.gather(*probes, return_exceptions=True)

    async def _sampled(self, grid: aio.Grid) -> Sample:
        status, deployed = await grid.status(), await grid.deployments()
        proofs = {name: await grid.proof(name) for name in deployed}
        at_s, here, pids = time.monotonic(), socket.gethostname(), set(self._workers.pids)
        self._clocks = {name: self._clocks.get(name, LagClock()) for name in deployed}
        lag_s = {name: self._clocks[name].age_s(at_s, proof) for name, proof in proofs.items()}
        own = {one["id"]: one["pid"] for one in status.workers if one["host"] == here and one["pid"] in pids}
        return Sample(at_s, status, deployed, proofs, lag_s, own)

    def _due(self, grid: aio.Grid, sample: Sample) -> Iterator[Deployed]:
        """Deployments whose probe is to be put now, by us: a worker of ours holds its partition."""
        for name, deployed in sample.deployed.items():
            probe = deployed.config.probe
            if probe is None or deployed.state != "running" or time.monotonic() < self._due_s.get(name, 0.0):
                continue
            partition = partition_id(encode_key(probe.key), grid.link.partition_count)
            if any(one.partition == partition and one.worker in sample.own for one in sample.proofs[name]):
                self._due_s[name] = time.monotonic() + probe.every_s
                yield deployed

    async def _probe(self, grid: aio.Grid, deployed: Deployed) -> None:
        """Put the probe record, and measure until its prediction can be read."""
        config, probe = deployed.config, deployed.config.probe
        if probe is None:
            return
        begun_us, begun_s = time.time_ns() // 1000, time.perf_counter()
        try:
            digest = await grid.features(config.features).put(probe.key, probe.record)
            while time.perf_counter() < begun_s + PROBE_S_MAX:
                found = await grid.predictions(config.name).get(probe.key)
                if found and found.input_digest == digest and found.scored_at_us >= begun_us:
                    self._latency.labels(config.name).observe(time.perf_counter() - begun_s)
                    return
                await asyncio.sleep(PROBE_POLL_S)
        except GridInferenceError as error:
            _log.warning("probe failed", deployment=config.name, error=error)
        self._unseen.labels(config.name).inc()

"""A worker's life: connect, own partitions, run the deployments, hand over, stop.

Each turn it beats, sees who lives, computes the assignment, gives back what is others', claims what is its own, and
makes the running deployments match those in the grid. `run()` returns only after a clean stop; `stop()` may be called
often.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import secrets
import signal
import socket
import sys
import threading
import time
from typing import Any

from grid_inference.config import GridConfig, WorkerConfig
from grid_inference.errors import ConnectionLostError, GridError, GridInferenceError
from grid_inference.flow.deployment import RunningDeployment
from grid_inference.grid.link import Link
from grid_inference.grid.link_listeners import Listener
from grid_inference.grid.topology import Beats, Leases, assign, now_s, read_workers
from grid_inference.model.artifact import load
from grid_inference.model.registry import DEPLOYMENTS_MAP, Deployed, Registry
from grid_inference.model.trust import Trust

__all__ = ["Worker"]

_log = logging.getLogger(__name__)

BEATS_PER_LEASE = 4
"""A worker beats so often within the time of a lease."""
ORPHAN_S_MAX = 40.0
"""A worker whose parent is gone ends itself after this time, drained or not."""
ANY_CHANGE = 1 | 2 | 4
"""Entry listener flags: added, removed, updated."""


class Worker:
    """Scores the share of the partitions that falls to it, of every deployment."""

    def __init__(self, grid: GridConfig, config: WorkerConfig, *, node_address: str | None = None) -> None:
        self.id = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self._grid = grid
        self._config = config
        self._node_address = node_address
        self._wake = asyncio.Event()
        self._stopping = False
        self._running: dict[str, RunningDeployment] = {}
        self._models: dict[str, Any] = {}
        self._failures: dict[str, str] = {}
        self._refused: dict[str, int] = {}
        self._beat = 0
        self._states: dict[str, str] = {}
        """State of each deployment as this worker last followed it."""
        self._started_us = time.time_ns() // 1000

    def stop(self) -> None:
        """Ask for a clean end: what is under way is written, positions are stored, partitions given back."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Work until `stop`; raise ConnectError if the grid can't be reached, ConnectionLostError if it is gone."""
        link = await Link.open(self._grid)
        leases = Leases(link, self.id, self._config.lease_ttl_s)
        beats = Beats(self._config.lease_ttl_s)
        beating = asyncio.create_task(self._keep_beating(link, leases))
        try:
            await self._listen(link)
            while not self._stopping:
                if link.given_up:
                    raise ConnectionLostError("the cluster is gone", remedy="a worker that is supervised starts again")
                await self._turn_safely(link, leases, beats)
                await self._sleep()
        finally:
            beating.cancel()
            await self._leave(link, leases)

    async def _listen(self, link: Link) -> None:
        """Wake up at once when deployments change; without it the next turn sees them."""
        try:
            await Listener.on_entries(link, DEPLOYMENTS_MAP, lambda _: self._wake.set(), flags=ANY_CHANGE)
        except GridError as error:
            _log.warning("changes of deployments are seen only by the turn: %s", error)

    async def _keep_beating(self, link: Link, leases: Leases) -> None:
        """Renew the leases on their own time: a turn may take longer than a lease on a busy machine."""
        while True:
            try:
                self._beat += 1
                await leases.beat(self._said(link))
            except GridError as error:
                _log.warning("a beat was not acknowledged: %s", error)
            await asyncio.sleep(self._config.lease_ttl_s / BEATS_PER_LEASE)

    async def _sleep(self) -> None:
        self._wake.clear()
        if self._stopping:
            return
        try:
            await asyncio.wait_for(self._wake.wait(), self._config.lease_ttl_s / BEATS_PER_LEASE)
        except TimeoutError:
            return

    async def _turn_safely(self, link: Link, leases: Leases, beats: Beats) -> None:
        try:
            await self._turn(link, leases, beats)
        except GridError as error:
            _log.warning("this turn could not be finished, the next one will try again: %s", error)

    async def _turn(self, link: Link, leases: Leases, beats: Beats) -> None:
        if leases.expired:
            # The beat stood still for too long: others may have taken over what we think is ours.
            self._beat += 1
            await leases.beat(self._said(link))
            await self._disown(await leases.confirm())
        workers = await read_workers(link)
        living = beats.observe({worker: said["beat"] for worker, said in workers.items()}, now_s())
        nodes = {worker: workers[worker].get("member") for worker in living | {self.id} if worker in workers}
        assignment = assign(link.partition_owners(), nodes)
        mine = {partition for partition, worker in assignment.items() if worker == self.id}
        await self._give_back(leases, [partition for partition in leases.held if partition not in mine])
        await self._follow_deployments(link, leases)
        await leases.claim(sorted(mine - set(leases.held)), living)
        # Whatever is held and not fed yet, also because an earlier turn broke off here.
        for running in self._running.values():
            await running.own({partition: int(leases.epochs[partition]) for partition in leases.held})
        await leases.bury(set(workers) - living - {self.id})

    def _said(self, link: Link) -> dict[str, Any]:
        """What this worker tells the grid of itself with each beat."""
        members = {address: member for member, address in link.members().items()}
        counts = {name: running.counts() for name, running in self._running.items()}
        for name, failure in self._failures.items():
            counts.setdefault(name, {"owned": 0})["failure"] = failure
        return {
            "beat": self._beat,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "member": members.get(self._node_address or ""),
            "started_at_us": self._started_us,
            "said_at_us": time.time_ns() // 1000,
            "deployments": counts,
            "states": self._states,
        }

    # ---- partitions

    async def _give_back(self, leases: Leases, partitions: list[int]) -> None:
        if partitions:
            await self._disown(partitions)
            await leases.release(partitions)

    async def _disown(self, partitions: list[int]) -> None:
        await asyncio.gather(*(running.disown(partitions) for running in self._running.values()))

    # ---- deployments

    async def _follow_deployments(self, link: Link, leases: Leases) -> None:
        """Make what runs here match what stands in the grid."""
        known = await Registry(link).ever_deployed()
        wanted = {name: one for name, one in known.items() if one.state == "running"}
        for unused in self._models.keys() - {
            one.manifest.sha256 for one in known.values() if one.state != "undeployed"
        }:
            del self._models[unused]
        for name in [name for name in self._running if self._outdated(wanted.get(name), self._running[name])]:
            await self._running.pop(name).stop()
        self._failures = {name: failure for name, failure in self._failures.items() if name in wanted}
        for name, deployed in wanted.items():
            if name not in self._running and self._refused.get(name) != deployed.version:
                await self._start(link, leases, deployed)
        self._states = {name: one.state for name, one in known.items()}

    @staticmethod
    def _outdated(wanted: Deployed | None, running: RunningDeployment) -> bool:
        return wanted is None or wanted.version != running.deployed.version

    async def _start(self, link: Link, leases: Leases, deployed: Deployed) -> None:
        name = deployed.config.name
        try:
            model = await self._model(link, deployed)
            running = await RunningDeployment.start(link, deployed, self._config, leases, model)
        except GridInferenceError as error:
            if not error.retryable:
                self._refused[name] = deployed.version
            self._failures[name] = f"{error} {error.remedy}".strip()
            _log.error("deployment %s does not start here: %s", name, self._failures[name])
            return
        self._failures.pop(name, None)
        self._running[name] = running

    async def _model(self, link: Link, deployed: Deployed) -> Any:
        """The deployment's model: kept from before a pause, or loaded from the grid; ModelError if it can't be."""
        sha256 = deployed.manifest.sha256
        if sha256 not in self._models:
            addresses = (self._grid.address, *link.members().values())
            trust = Trust.of(*addresses, allow_pickle=self._config.allow_pickle)
            artifact = await Registry(link).artifact(deployed.manifest)
            self._models[sha256] = await asyncio.to_thread(load, artifact, trust)
        return self._models[sha256]

    # ---- the end

    async def _leave(self, link: Link, leases: Leases) -> None:
        """Drain, give everything back, sign off; what can't be done for want of a grid is left to the others."""
        try:
            if link.connected:
                await asyncio.gather(*(running.stop() for running in self._running.values()))
                await leases.release(leases.held)
                await leases.leave()
        except GridError as error:
            _log.warning("the worker could not sign off: %s", error)
        finally:
            self._running.clear()
            await link.close()


async def _main(grid: GridConfig, config: WorkerConfig, node_address: str | None) -> None:
    worker = Worker(grid, config, node_address=node_address)
    loop = asyncio.get_running_loop()
    if sys.platform != "win32":
        loop.add_signal_handler(signal.SIGTERM, worker.stop)
    threading.Thread(target=_stop_with_parent, args=(loop, worker), daemon=True).start()
    await worker.run()


def _stop_with_parent(loop: asyncio.AbstractEventLoop, worker: Worker) -> None:
    """Our standard input is a pipe that the parent holds: its end means that the parent is gone, however it went."""
    try:
        # Not through sys.stdin, whose lock a daemon thread must not hold when the interpreter ends.
        while os.read(sys.stdin.fileno(), 4096):
            pass
        loop.call_soon_threadsafe(worker.stop)
        time.sleep(ORPHAN_S_MAX)
        # Whatever holds us up, nobody is there any more who would end us.
        os._exit(1)
    except (OSError, RuntimeError, ValueError):
        return


def main() -> None:
    """Run one worker process; `node.py` starts it."""
    parser = argparse.ArgumentParser(prog="python -m grid_inference.worker")
    parser.add_argument("--address", required=True)
    parser.add_argument("--cluster", required=True)
    parser.add_argument("--node-address")
    parser.add_argument("--allow-pickle", action="store_true")
    options = parser.parse_args()
    # Ctrl-C reaches the whole terminal group; the parent decides when we stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(
        level=os.environ.get("GRID_INFERENCE_LOG_LEVEL", "WARNING"),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    # The stock client calls every connection that closes a warning, ours at the end included.
    logging.getLogger("hazelcast").setLevel(os.environ.get("GRID_INFERENCE_LOG_LEVEL", "ERROR"))
    grid = GridConfig.load(flags={"address": options.address, "cluster_name": options.cluster})
    config = WorkerConfig.load(flags={"allow_pickle": options.allow_pickle or None})
    try:
        _run_loop(_main(grid, config, options.node_address))
    except GridInferenceError as error:
        sys.exit(f"worker: {error}\n{error.remedy}")


def _run_loop(main_task: Any) -> None:
    try:
        import uvloop  # noqa: PLC0415 - not on Windows
    except ImportError:
        asyncio.run(main_task)
    else:
        uvloop.run(main_task)


if __name__ == "__main__":
    main()

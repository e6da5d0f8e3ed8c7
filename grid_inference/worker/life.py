"""A worker's life: connect, own partitions, run the deployments, hand over, stop.

Each turn it beats, sees who lives, computes the assignment, gives back what is others', claims what is its own, and
makes the running deployments match those in the grid. `run()` returns only after a clean stop; `stop()` may be called
often.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import secrets
import socket
import time
from dataclasses import replace
from typing import Any

import numpy as np

from grid_inference.config import GridConfig, WorkerConfig
from grid_inference.errors import ConnectionLostError, GridError
from grid_inference.flow.calls import Call
from grid_inference.flow.deployments import Deployments
from grid_inference.flow.proof import LATE_WRITE
from grid_inference.grid.heartbeat import BEATS_PER_LEASE, CONDEMN_S_MAX, HUNG_EXIT, Heartbeat
from grid_inference.grid.leases import Leases
from grid_inference.grid.link import Link
from grid_inference.grid.link_listeners import Listener
from grid_inference.grid.topology import Beats, assign, machine, now_s, read_workers
from grid_inference.logs import logger
from grid_inference.metrics import late_writes
from grid_inference.model.proposals import PROPOSALS_MAP
from grid_inference.model.registry import DEPLOYMENTS_MAP
from grid_inference.worker.turn import Turn

__all__ = ["Worker"]

_log = logger(__name__)

LOOK_S, LOOK_ANYWAY_S = 0.1, 4.0
"""How often it is asked whether the leases are in doubt; and when they are read without a doubt, because a healed split
may have given one away."""
FIRST_BEAT_S_MAX = 5.0
"""How long the first turn waits for the first beat, without which nothing is assigned to this worker."""
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
        self._late_told = 0
        self._started_us = time.time_ns() // 1000

    def stop(self) -> None:
        """Ask for a clean end: what is under way is written, positions are stored, partitions given back."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Work until `stop`; raise ConnectError if the grid can't be reached, ConnectionLostError if it is gone."""
        link = await Link.open(self._grid)
        leases = Leases(link, self.id, self._config.lease_ttl_s)
        turn = Turn(
            link=link,
            leases=leases,
            beats=Beats(self._config.lease_ttl_s),
            deployments=Deployments(link, leases, self._config, self._grid.address),
            owners=link.partition_owners(),
        )
        heartbeat = Heartbeat(
            self._grid,
            leases,
            self.id,
            self._config.lease_ttl_s,
            call_s_max=self._config.score_timeout_s,
            held_up=turn.deployments.held_up,
        )
        heartbeat.start(self._said(turn))
        beside = [
            asyncio.create_task(self._keep_saying(turn, heartbeat)),
            asyncio.create_task(self._keep_looking(turn)),
        ]
        try:
            await self._listen(link)
            await leases.valid(FIRST_BEAT_S_MAX)
            await self._keep_turning(turn)
        finally:
            await self._leave(turn, heartbeat)
            for task in beside:
                task.cancel()

    async def _keep_turning(self, turn: Turn) -> None:
        """Turn upon turn until `stop`; what changes during a turn, which may have read it before, calls for another."""
        while not self._stopping:
            if turn.link.given_up:
                raise ConnectionLostError("the cluster is gone", remedy="a worker that is supervised starts again")
            self._wake.clear()
            await self._turn_safely(turn)
            await self._sleep()

    async def _keep_saying(self, turn: Turn, heartbeat: Heartbeat) -> None:
        """Give the heartbeat what to say, and the sign that this loop comes round, however long a turn takes."""
        interval_s = self._config.lease_ttl_s / BEATS_PER_LEASE
        while True:
            heartbeat.say(self._said(turn))
            turn.deployments.measure()
            self._late_told = late_writes(turn.leases.late.total(), self._late_told)
            await asyncio.sleep(interval_s)
            if hanging := turn.deployments.overdue(interval_s):
                await self._end_for(turn, *hanging)

    async def _keep_looking(self, turn: Turn) -> None:
        """Find out what is ours still, after a doubt and now and then.

        Not in a turn, which may wait for a write to end; and a write that a doubt holds up waits for just this.
        """
        looked_s = now_s()
        while True:
            await asyncio.sleep(LOOK_S)
            if not (turn.leases.doubtful or now_s() > looked_s + LOOK_ANYWAY_S):
                continue
            try:
                turn.gone.update(await turn.leases.confirm())
                looked_s = now_s()
            except GridError as error:
                _log.warning("leases not read", error=error)

    async def _end_for(self, turn: Turn, name: str, call: Call) -> None:
        """A thread that hangs in a model can't be ended but with its process: who takes over is warned first."""
        _log.critical(
            "model hangs, this worker ends",
            deployment=name,
            records=call.rows,
            seconds=self._config.score_timeout_s,
            remedy="if the model is just slow, set score_timeout_s higher",
        )
        faulthandler.dump_traceback()
        try:
            partitions: list[int] = np.unique(call.partitions).tolist()
            await asyncio.wait_for(turn.condemn(partitions), CONDEMN_S_MAX)
        except (GridError, TimeoutError) as error:
            _log.warning("partitions not marked, the next holder learns by itself", error=error)
        finally:
            os._exit(HUNG_EXIT)

    async def _listen(self, link: Link) -> None:
        """Wake up at once when deployments or proposals change; without it the next turn sees them."""
        try:
            for name in (DEPLOYMENTS_MAP, PROPOSALS_MAP):
                await Listener.on_entries(link, name, lambda _: self._wake.set(), flags=ANY_CHANGE)
        except GridError as error:
            _log.warning("changes of deployments are seen by the turn only", error=error)

    async def _sleep(self) -> None:
        if self._stopping:
            return
        try:
            await asyncio.wait_for(self._wake.wait(), self._config.lease_ttl_s / BEATS_PER_LEASE)
        except TimeoutError:
            return

    async def _turn_safely(self, turn: Turn) -> None:
        try:
            await self._turn(turn)
        except GridError as error:
            _log.warning("turn not finished, the next one tries again", error=error)

    async def _turn(self, turn: Turn) -> None:
        """See who lives, own what is ours, and score all deployments that stand in the grid."""
        leases, deployments = turn.leases, turn.deployments
        turn.look_for_losses()
        await deployments.disown(turn.take_gone())
        workers = await read_workers(turn.link)
        living = turn.living(workers)
        nodes = {worker: workers[worker].get("member") for worker in living | {self.id} if worker in workers}
        assignment = assign(turn.owners, nodes)
        mine = {partition for partition, worker in assignment.items() if worker == self.id}
        await turn.give_back([partition for partition in leases.held if partition not in mine])
        await deployments.follow()
        turn.claims |= await leases.claim(sorted(mine - set(leases.held)), living)
        await deployments.own({partition: turn.claims[partition] for partition in leases.held})
        turn.claims = {
            partition: replace(claim, taken_over=False, late_s=0.0) for partition, claim in turn.claims.items()
        }
        deployments.doubt(turn.take_lost(mine), "member lost")
        deployments.doubt(turn.written_late(workers), LATE_WRITE)
        await turn.calm_down()
        await turn.bury(set(workers) - living - {self.id})

    def _said(self, turn: Turn) -> dict[str, Any]:
        """What this worker tells the grid of itself with each beat."""
        members = {address: member for member, address in turn.link.members().items()}
        return {
            "pid": os.getpid(),
            "machine": machine(),
            "host": socket.gethostname(),
            "member": members.get(self._node_address or ""),
            "started_at_us": self._started_us,
            "said_at_us": time.time_ns() // 1000,
            "lease_ttl_s": self._config.lease_ttl_s,
            "answers": True,  # it loads what is proposed; older workers don't
            "deployments": turn.deployments.counts(),
            "states": turn.deployments.states,
            "beside": turn.deployments.beside(),
            "late": {str(partition): count for partition, count in turn.leases.late.items()},
        }

    async def _leave(self, turn: Turn, heartbeat: Heartbeat) -> None:
        """Drain, give everything back, sign off; what can't be done for want of a grid is left to the others."""
        try:
            if turn.link.connected:
                await turn.deployments.stop()
                await turn.leases.release(turn.leases.held)
        except GridError as error:
            _log.warning("partitions not given back", error=error)
        await heartbeat.stop()
        try:
            if turn.link.connected:
                await turn.bury({self.id})
        except GridError as error:
            _log.warning("worker did not sign off", error=error)
        finally:
            await turn.link.close()

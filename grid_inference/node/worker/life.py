"""A worker's life: connect, own partitions, run the deployments, hand over, stop.

Each turn it sees who lives, computes the assignment, gives back what is others', claims what is its own, and makes the
running deployments match those in the grid. A turn waits for neither a model nor a batch. `run()` returns only after a
clean stop; `stop()` may be called often; what ends unasked of all that runs beside ends the worker.
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import secrets
import socket
import time
from typing import Any

import numpy as np

from grid_inference.config import GridConfig, WorkerConfig
from grid_inference.errors import ConnectionLostError, GridError, GridInferenceError
from grid_inference.flow.calls import Call
from grid_inference.flow.deployments import Deployments
from grid_inference.flow.proof import LATE_WRITE
from grid_inference.grid.heartbeat import BEATS_PER_LEASE, CONDEMN_S_MAX, HUNG_EXIT, Heartbeat
from grid_inference.grid.leases import Leases
from grid_inference.grid.link import Link
from grid_inference.grid.link.listeners import Listener
from grid_inference.grid.topology import LEAVING, LOADING, READY, Beats, machine, now_s
from grid_inference.logs import logger
from grid_inference.metrics import late_writes
from grid_inference.model.store.memory import put_out
from grid_inference.model.store.proposals import PROPOSALS_MAP
from grid_inference.model.store.registry import DEPLOYMENTS_MAP
from grid_inference.node.worker.turn import Turn
from grid_inference.wire import kernels

__all__ = ["Worker"]

_log = logger(__name__)

LOOK_S, LOOK_ANYWAY_S = 0.1, 4.0
"""How often it is asked whether the leases are in doubt; and when they are read without a doubt, because a healed split
may have given one away."""
FIRST_BEAT_S_MAX = 5.0
"""How long the first turn waits for the first beat, without which nothing is assigned to this worker."""
DRAIN_S_MAX = 9.0
"""What is under way when the worker is to stop is waited for so long, so that it is written; what takes longer is given
up, and scored by whoever comes next. `node/workers.py` waits for twice that time."""
END_S_MAX = 4.0
"""How long the leases may take to be given back behind that, and as long the deployments to end."""
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
        self._phase_told = ""
        self.gave_up = False
        """Something is under way still that could not be waited for, such as a call of a model in a thread."""
        self._started_us = time.time_ns() // 1000

    def stop(self) -> None:
        """Ask for a clean end: what is under way is written, positions are stored, partitions given back."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Work until `stop`; raise ConnectError if the grid can't be reached, ConnectionLostError if it is gone."""
        loading = asyncio.create_task(asyncio.to_thread(_load_kernels))  # beside: whoever waits for us waits for a beat
        link = await Link.open(self._grid)
        turn, heartbeat = self._begin(link)
        heartbeat.start(self._said(turn))
        beside = [
            asyncio.create_task(self._keep_saying(turn, heartbeat), name="saying"),
            asyncio.create_task(self._keep_looking(turn), name="looking"),
            asyncio.create_task(self._keep_checking(turn), name="deployments"),
            asyncio.create_task(heartbeat.ended(), name="heartbeat"),
        ]
        try:
            await self._listen(link, turn.deployments)
            await turn.leases.valid(FIRST_BEAT_S_MAX)
            await loading  # no batch may wait for it
            await self._until_one_ends(asyncio.create_task(self._keep_turning(turn, heartbeat), name="turning"), beside)
        finally:
            await self._leave(turn, heartbeat)
            for task in beside:
                task.cancel()

    def _begin(self, link: Link) -> tuple[Turn, Heartbeat]:
        """All that a worker is made of."""
        ttl_s = self._config.lease_ttl_s
        leases = Leases(link, self.id, ttl_s)
        deployments = Deployments(link, leases, self._config, self._grid.address, wake=self._wake.set)
        turn = Turn(
            link=link, leases=leases, beats=Beats(ttl_s), deployments=deployments, owners=link.partition_owners()
        )
        heartbeat = Heartbeat(
            self._grid,
            leases,
            self.id,
            ttl_s,
            call_s_max=self._config.score_timeout_s,
            held_up=deployments.held_up,
            node_address=self._node_address,
        )
        return turn, heartbeat

    async def _until_one_ends(self, turning: asyncio.Task[None], beside: list[asyncio.Task[None]]) -> None:
        """Wait for the end of the turns, which `stop` asks for; raise what ended anything else before."""
        try:
            done, _ = await asyncio.wait({turning, *beside}, return_when=asyncio.FIRST_COMPLETED)
            if turning in done:
                turning.result()
                return
            [ended, *_] = done
            _log.critical("task ended unasked, this worker ends", task=ended.get_name())
            ended.result()
            raise GridInferenceError(f"the worker's task {ended.get_name()!r} has ended")
        finally:
            turning.cancel()

    async def _keep_turning(self, turn: Turn, heartbeat: Heartbeat | None = None) -> None:
        """Turn upon turn until `stop`; what changes during a turn, which may have read it before, calls for another."""
        while not self._stopping:
            if turn.link.given_up:
                raise ConnectionLostError("the cluster is gone", remedy="a worker that is supervised starts again")
            self._wake.clear()
            await self._turn_safely(turn)
            if heartbeat:
                self._say_phase(turn, heartbeat)
            await self._sleep()

    async def _keep_saying(self, turn: Turn, heartbeat: Heartbeat) -> None:
        """Give the heartbeat what to say, and the sign that this loop comes round, however long a turn takes."""
        interval_s = self._config.lease_ttl_s / BEATS_PER_LEASE
        while True:
            heartbeat.say(self._said(turn))
            self._late_told = late_writes(turn.leases.late.total(), self._late_told)
            await asyncio.sleep(interval_s)
            if hanging := turn.deployments.overdue(interval_s):
                await self._end_for(turn, *hanging)

    def _say_phase(self, turn: Turn, heartbeat: Heartbeat) -> None:
        """Let the others know at once that we take a share, or no more."""
        if (phase := self._phase(turn)) != self._phase_told:
            self._phase_told = phase
            heartbeat.say(self._said(turn), at_once=True)

    def _phase(self, turn: Turn) -> str:
        if self._stopping:
            return LEAVING
        return READY if turn.deployments.ready else LOADING

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
                await turn.leases.confirm()
                turn.let_go()
                looked_s = now_s()
            except GridError as error:
                _log.warning("leases not read", error=error)

    async def _keep_checking(self, turn: Turn) -> None:
        """Raise what has ended a part of a deployment: apart from what is said, which goes on until the end."""
        while True:
            await asyncio.sleep(self._config.lease_ttl_s / BEATS_PER_LEASE)
            turn.deployments.check()

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

    async def _listen(self, link: Link, deployments: Deployments) -> None:
        """Wake up at once when deployments or proposals change; without it they are seen when they are read anyway."""

        def heard(_: object) -> None:
            deployments.changed()
            self._wake.set()

        try:
            for name in (DEPLOYMENTS_MAP, PROPOSALS_MAP):
                await Listener.on_entries(link, name, heard, flags=ANY_CHANGE)
        except GridError as error:
            _log.warning("changes of deployments are seen seconds later only", error=error)

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
        turn.let_go()
        await turn.look()
        mine = turn.share(self.id)
        turn.give_back(partition for partition in leases.held if partition not in mine)
        await turn.claim(mine)
        await deployments.follow()
        turn.own()
        deployments.doubt(turn.take_lost(mine), "member lost")
        deployments.doubt(turn.written_late(), LATE_WRITE)
        await turn.calm_down()
        await turn.bury()

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
            "phase": self._phase(turn),
            "lease_ttl_s": self._config.lease_ttl_s,
            "answers": True,  # it loads what is proposed; older workers don't
            "deployments": turn.deployments.counts(),
            "states": turn.deployments.states,
            "beside": turn.deployments.beside(),
            "late": {str(partition): count for partition, count in turn.leases.late.items()},
        }

    async def _leave(self, turn: Turn, heartbeat: Heartbeat) -> None:
        """Drain, give everything back, say so; what can't be done for want of a grid is left to the others."""
        self._stopping = True
        self._say_phase(turn, heartbeat)
        given = False
        try:
            if turn.link.connected:
                self.gave_up = turn.deployments.loading
                turn.give_back(turn.leases.held, DRAIN_S_MAX)
                await asyncio.wait_for(turn.given_back(), DRAIN_S_MAX + END_S_MAX)
                given = not turn.leases.held
                await asyncio.wait_for(turn.deployments.stop(), END_S_MAX)
        except GridError as error:
            _log.warning("deployments not ended in order", error=error)
        except TimeoutError:
            self.gave_up = True
            _log.warning("what is under way is given up, and scored by whoever comes next", seconds=DRAIN_S_MAX)
        await heartbeat.stop(farewell=given)
        await turn.link.close()


def _load_kernels() -> None:
    """Load what the hot way runs by; the compiler that has linked it has half of its memory in code."""
    kernels.load()
    put_out("libllvmlite")

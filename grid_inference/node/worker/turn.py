"""What a worker knows from turn to turn: who lives, who owns, what it has claimed, what others wrote late."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from grid_inference.errors import DecodeError, GridError
from grid_inference.flow.deployments import Deployments
from grid_inference.grid.leases import LATE_WRITE_S, TRIAL_AFTER, Claim, Leases
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap
from grid_inference.grid.topology import (
    WORKERS_MAP,
    Beats,
    assign,
    entitled,
    entry_key,
    moved_by_loss,
    now_s,
    read_workers,
)
from grid_inference.logs import logger
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.json.values import decode_json

__all__ = ["Turn"]

_log = logger(__name__)

HAND_OVER_S_MAX = 5.0
"""A batch that is under way for longer does not hold up who is to have its partitions: it is scored again there."""


@dataclass(slots=True)
class Turn:
    """State of one worker's life."""

    link: Link
    leases: Leases
    beats: Beats
    deployments: Deployments
    owners: dict[int, str]
    """Partition → member, as last seen."""
    workers: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    """What stood there of the workers at the last look, those that are dead included."""
    claims: dict[int, Claim] = field(default_factory=dict[int, Claim])
    """How each held partition was taken."""
    going: dict[int, asyncio.Task[None]] = field(default_factory=dict[int, "asyncio.Task[None]"])
    """Partitions that are being given back."""
    lost: set[int] = field(default_factory=set[int])
    """Partitions whose member was lost, and which have not been compared for it yet."""
    late: dict[tuple[str, int], int] = field(default_factory=dict[tuple[str, int], int])
    """Late writes of each worker to each partition that were seen to here."""

    def look_for_losses(self) -> None:
        """Note which partitions have another owner since the last look because their member is lost."""
        before, self.owners = self.owners, self.link.partition_owners()
        self.lost |= moved_by_loss(before, self.owners, set(self.link.members()))

    def let_go(self) -> None:
        """Feed no partition any more under a lease that is not held: found by what is, so that none is forgotten."""
        self.deployments.let_go(self.leases.epochs)

    def take_lost(self, mine: set[int]) -> set[int]:
        """Those of the lost partitions that are held now; of the others those stay noted that will be ours."""
        held = self.lost & set(self.leases.held)
        self.lost = (self.lost & mine) - held
        return held

    async def look(self) -> None:
        """See who lives."""
        asked_s = now_s()
        self.workers = await read_workers(self.link)
        self.beats.observe(self.workers, asked_s, now_s())

    def share(self, worker: str) -> set[int]:
        """The partitions that fall to a worker, which lives, whatever was seen of it."""
        living = self.beats.living()
        if worker not in living and (said := self.beats.said(worker)):
            living[worker] = said
        assigned = assign(self.owners, entitled(living))
        return {partition for partition, assignee in assigned.items() if assignee == worker}

    async def claim(self, mine: set[int]) -> None:
        """Take what is ours and nobody's, or a dead worker's."""
        wanted = sorted(mine - set(self.leases.held) - self.going.keys())
        self.claims |= await self.leases.claim(wanted, lambda worker: self.beats.lives(worker, now_s()), self.look)

    def own(self) -> None:
        """Have all deployments feed what is held; a deployment that is not there yet is told later how it was taken."""
        held = [partition for partition in self.leases.held if partition not in self.going]
        if self.deployments.own({partition: self._claim_now(partition) for partition in held}):
            self.claims = {
                partition: replace(claim, taken_over=False, late_s=0.0) for partition, claim in self.claims.items()
            }

    def _claim_now(self, partition: int) -> Claim:
        claim, late_s = self.claims[partition], self.leases.late_s(partition)
        return replace(claim, late_s=max(0.001, late_s)) if claim.late_s or late_s else claim

    def written_late(self) -> set[int]:
        """Partitions held here to which a worker, perhaps this one, has written after it had lost them.

        Each late write is told once to every owner that the partition has: also to one that takes it on later.
        """
        found, held = set[int](), set(self.leases.held)
        for worker, said in self.workers.items():
            for partition, count in said.get("late", {}).items():
                place = (worker, int(partition))
                if place[1] in held and count > self.late.get(place, 0):
                    found.add(place[1])
                    self.late[place] = count
        return found

    def give_back(self, partitions: Iterable[int], wait_s: float = HAND_OVER_S_MAX) -> None:
        """Let partitions go, each once what is under way is written; whoever is assigned may take it at once then."""
        for partition in partitions:
            if partition not in self.going:
                self.going[partition] = asyncio.create_task(self._give_back(partition, wait_s))

    async def _give_back(self, partition: int, wait_s: float) -> None:
        try:
            doubted = self.deployments.doubts(partition)
            written = await self.deployments.disown([partition], wait_s)
            # Who is next compares what we have not compared, and what of ours may arrive yet.
            late_s = (0.1 if doubted else 0.0) if written else LATE_WRITE_S
            await self.leases.release([partition], late_s=late_s)
        except GridError as error:
            _log.warning("partition not given back, the next look does it", partition=partition, error=error)
        except Exception:  # a bug of ours: the partition stays with us, and the next turn tries again  # noqa: BLE001
            _log.exception("partition not given back", partition=partition)
        finally:
            del self.going[partition]

    async def given_back(self) -> None:
        """Wait until all that is being given back is."""
        while self.going:
            await asyncio.wait(list(self.going.values()))

    async def calm_down(self) -> None:
        """Forget the deaths of a partition's holders once all that it brought is scored: it was not to blame."""
        counted = [partition for partition in self.leases.held if self.leases.deaths[partition]]
        if not counted:
            return
        calm = self.deployments.calm(counted)
        await self.leases.set_deaths(calm, 0)
        self.deployments.trust(calm)
        self.claims |= {partition: replace(self.claims[partition], deaths=0) for partition in calm}

    async def condemn(self, partitions: list[int]) -> None:
        """Have these partitions scored on trial by whoever takes them over."""
        await self.leases.set_deaths(partitions, TRIAL_AFTER)

    async def bury(self) -> None:
        """Remove the entries of workers that have been dead for long, if they still say what they said."""
        for worker, said in self.beats.silent().items():
            await self._bury(worker, said)
            self.late = {place: count for place, count in self.late.items() if place[0] != worker}

    async def _bury(self, worker: str, said: Mapping[str, Any]) -> None:
        there = GridMap(self.link, WORKERS_MAP)
        key = entry_key(worker, said.get("home"), self.link.partition_count)
        value = await there.get(key)
        try:
            if value is not None and decode_json(value)["beat"] == said["beat"]:
                await there.delete_batch_if_same(Blobs.of([key]), Blobs.of([value]))
        except (DecodeError, LookupError, TypeError):
            return  # what is no worker's is nobody's to remove

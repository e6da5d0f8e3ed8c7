"""What a worker knows from turn to turn: who lives, who owns, what it has claimed, what others wrote late."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from grid_inference.flow.deployments import Deployments
from grid_inference.grid.leases import TRIAL_AFTER, Claim, Leases
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap
from grid_inference.grid.topology import WORKERS_MAP, Beats, is_gone, moved_by_loss, now_s
from grid_inference.wire.keys import encode_keys

__all__ = ["Turn"]


@dataclass(slots=True)
class Turn:
    """State of one worker's life."""

    link: Link
    leases: Leases
    beats: Beats
    deployments: Deployments
    owners: dict[int, str]
    """Partition → member, as last seen."""
    claims: dict[int, Claim] = field(default_factory=dict[int, Claim])
    """How each held partition was taken."""
    gone: set[int] = field(default_factory=set[int])
    """Partitions whose lease was found to be lost."""
    lost: set[int] = field(default_factory=set[int])
    """Partitions whose member was lost, and which have not been compared for it yet."""
    late: dict[tuple[str, int], int] = field(default_factory=dict[tuple[str, int], int])
    """Late writes of each worker to each partition that were seen to here."""

    def look_for_losses(self) -> None:
        """Note which partitions have another owner since the last look because their member is lost."""
        before, self.owners = self.owners, self.link.partition_owners()
        self.lost |= moved_by_loss(before, self.owners, set(self.link.members()))

    def take_gone(self) -> list[int]:
        """Partitions whose lease was found to be lost, and which are fed here still."""
        gone, self.gone = self.gone, set()
        return sorted(gone)

    def take_lost(self, mine: set[int]) -> set[int]:
        """Those of the lost partitions that are held now; of the others those stay noted that will be ours."""
        held = self.lost & set(self.leases.held)
        self.lost = (self.lost & mine) - held
        return held

    def living(self, workers: Mapping[str, Mapping[str, Any]]) -> set[str]:
        """Those whose beat goes on."""
        beating = self.beats.observe({worker: said["beat"] for worker, said in workers.items()}, now_s())
        return {worker for worker in beating if not is_gone(workers[worker])}

    def written_late(self, workers: Mapping[str, Mapping[str, Any]]) -> set[int]:
        """Partitions held here to which a worker, perhaps this one, has written after it had lost them.

        Each late write is told once to every owner that the partition has: also to one that takes it on later.
        """
        found, held = set[int](), set(self.leases.held)
        for worker, said in workers.items():
            for partition, count in said.get("late", {}).items():
                place = (worker, int(partition))
                if place[1] in held and count > self.late.get(place, 0):
                    found.add(place[1])
                    self.late[place] = count
        return found

    async def give_back(self, partitions: list[int]) -> None:
        """Let partitions go; whoever is assigned may take them at once."""
        if partitions:
            await self.deployments.disown(partitions)
            await self.leases.release(partitions)

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

    async def bury(self, workers: set[str]) -> None:
        """Remove the entries of workers that are no more; one that wakes up after all writes its entry anew."""
        self.late = {place: count for place, count in self.late.items() if place[0] not in workers}
        for worker in workers:
            await GridMap(self.link, WORKERS_MAP).delete(encode_keys([worker])[0])

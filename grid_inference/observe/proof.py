"""The standing proof of a deployment: of each partition who scores it, how far it is scored, when it was compared last.

Read from what the workers store with their positions; `verify.py` trusts none of it.
"""

from __future__ import annotations

from dataclasses import dataclass

from grid_inference.errors import GridError
from grid_inference.flow.positions import Positions
from grid_inference.grid.journals import ranges
from grid_inference.grid.leases import holders
from grid_inference.grid.link import Link
from grid_inference.model.store.registry import Deployed

__all__ = ["PartitionProof", "proof"]


@dataclass(frozen=True, slots=True)
class PartitionProof:
    """One partition of a deployment."""

    partition: int
    member: str
    """`host:port` of its owner."""
    worker: str
    """Id of the worker that holds its lease; empty if nobody does."""
    epoch: int
    """Owners that it has had."""
    sequence: int | None
    """Up to which number of its journal everything is scored and acknowledged; None if that is not known, and where
    none is read."""
    lag: int | None
    """Changes behind that number; None without a journal."""
    journal_events: int | None
    """Changes that the partition's journal holds now, scored or not; None without a journal."""
    stored_at_us: int
    """When that was stored, in microseconds since 1970; 0: never."""
    proven_at_us: int
    """When the last comparison of all its records with their results began; 0: never."""
    generation: int
    """Of the deploy by which it was scored."""


async def proof(link: Link, deployed: Deployed) -> list[PartitionProof]:
    """What stands in the grid of every partition of a deployment."""
    partitions = list(range(link.partition_count))
    stored = await Positions(link, deployed.config.name).load(partitions)
    leases, owners, members = await holders(link), link.partition_owners(), link.members()
    rings = await _ranges(link, deployed.config.features, partitions) if stored else {}
    found: list[PartitionProof] = []
    for partition in partitions:
        worker, epoch = leases.get(partition, ("", 0))
        member, known = members.get(owners.get(partition, ""), ""), stored.get(partition)
        if known is None:
            found.append(PartitionProof(partition, member, worker, epoch, None, None, None, 0, 0, 0))
            continue
        times = (known.stored_us, known.proven_us)
        if deployed.config.trigger == "listener":  # there are no sequences
            found.append(PartitionProof(partition, member, worker, epoch, None, None, None, *times, known.generation))
            continue
        sequence, ring = known.position.sequence if known.position else None, rings.get(partition)
        lag = None if ring is None or sequence is None else max(0, ring[1] + 1 - sequence)
        held = None if ring is None else max(0, ring[1] + 1 - ring[0])
        found.append(PartitionProof(partition, member, worker, epoch, sequence, lag, held, *times, known.generation))
    return found


async def _ranges(link: Link, features: str, partitions: list[int]) -> dict[int, tuple[int, int]]:
    """The numbers of each partition's oldest and newest change, where it has a journal; none where members fail."""
    try:
        return await ranges(link, features, partitions)
    except GridError:
        return {}

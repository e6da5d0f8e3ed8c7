"""Where a deployment of what is new begins: noted by whoever deploys, before any worker can see the deployment.

What is put behind a deploy that has returned is new, whenever the first worker gets round to it.
"""

from __future__ import annotations

from grid_inference.config import DeploymentConfig
from grid_inference.flow.positions import Position, Positions
from grid_inference.flow.read import newest
from grid_inference.grid.link import Link
from grid_inference.model.store.registry import Deployed

__all__ = ["note_begin"]


async def note_begin(link: Link, deployed: Deployed, before: Deployed | None) -> None:
    """Store where each partition begins: at its journal's end, or how far the deploy before on the same map is."""
    config = deployed.config
    if config.start != "new":
        return
    partitions = list(range(link.partition_count))
    positions = Positions(link, config.name)
    begins: dict[int, Position | None] = {**await newest(link, config.features, partitions)}
    if before and before.state != "undeployed" and _same_journal(before.config, config):
        for begin in (True, False):
            stored = await positions.load(partitions, begins=begin)
            begins |= {one: known.position for one, known in stored.items() if known.generation == before.generation}
    await positions.begin([begins.get(partition) for partition in partitions], deployed.generation)


def _same_journal(before: DeploymentConfig, config: DeploymentConfig) -> bool:
    return (before.features, before.trigger) == (config.features, config.trigger)

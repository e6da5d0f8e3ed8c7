"""What an undeployed deployment has written, removed for good: its predictions, dead letters, positions.

Only maps that bear the deployment's own name, and that nothing else uses: a map that somebody named for it may hold
other things. The feature map is the application's and stays, with its journal. The deployment's entry stays as well, so
that its generations count on.
"""

from __future__ import annotations

from collections.abc import Mapping

from grid_inference.config import default_results
from grid_inference.errors import DeploymentError
from grid_inference.flow.positions import Positions
from grid_inference.grid.link import Link
from grid_inference.grid.liveness import live_workers
from grid_inference.grid.maps import GridMap
from grid_inference.model.store.registry import Deployed

__all__ = ["check_forgettable", "forget"]


def check_forgettable(name: str, ever: Mapping[str, Deployed]) -> None:
    """Raise DeploymentError if there was no such deployment, or if something else uses a map of its name."""
    if name not in ever:
        raise DeploymentError(f"there is no deployment {name!r}", remedy="`grid-inference deployments` lists them")
    there = [one.config for one in ever.values() if one.state != "undeployed"]
    used = {map_: one.name for one in there for map_ in one.results.values()}
    used |= {one.config.features: f"the feature map of {other}" for other, one in ever.items()}
    for map_ in default_results(name).values():
        if (by := used.get(map_, name)) != name:
            raise DeploymentError(
                f"map {map_!r} is used by another: {by}", remedy="undeploy without forgetting; nothing was changed"
            )


async def forget(link: Link, name: str) -> None:
    """Destroy the maps of an undeployed deployment's name, and its positions; DeploymentError while it may be written.

    A worker that hangs may write yet, and would make a map anew.
    """
    workers = await live_workers(link)
    late = [worker for worker, said in workers.items() if said.get("states", {}).get(name) != "undeployed"]
    if late:
        raise DeploymentError(
            f"{name} is undeployed, but its results stay: {', '.join(late)} may be writing still",
            remedy="do it again once every worker has seen it",
        )
    for map_ in default_results(name).values():
        await GridMap(link, map_).destroy()
    await Positions(link, name).remove()

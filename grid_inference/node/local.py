"""`local()`: a member and its workers on this machine, and a grid that is connected to them and ends them."""

from __future__ import annotations

from grid_inference.api.client import Grid
from grid_inference.config import GridConfig
from grid_inference.grid.member import Member, MemberConfig
from grid_inference.node.workers import Workers

__all__ = ["local"]


def local(workers: int = 1, *, member: MemberConfig | None = None, keys: str | None = None) -> Grid:
    """Start an embedded member and its workers on this machine, and connect; all of it ends with the grid's close."""
    started = Member.start(member or MemberConfig())
    processes = Workers(started.address, started.cluster_name, workers, node_address=started.address, keys=keys)
    try:
        processes.start()
        flags = {"address": started.address, "cluster_name": started.cluster_name, "keys": keys}
        config = GridConfig.load(flags=flags)
        grid = Grid(config, member=started, workers=processes)
    except BaseException:
        processes.stop()
        started.stop()
        raise
    try:
        grid.wait_for_workers(workers)
    except BaseException:
        grid.close()
        raise
    return grid

"""Whether a feature map can be read by its journal, and giving a new map a journal on a cluster that is not ours."""

from __future__ import annotations

from grid_inference.errors import DeploymentError, RemoteError
from grid_inference.grid.link import Link
from grid_inference.wire import journal

__all__ = ["ensure_journal", "has_journal"]


async def has_journal(link: Link, name: str) -> bool:
    """Whether the members keep an event journal for this map."""
    try:
        await link.call(journal.range_request(name), 0)
    except RemoteError as error:
        if error.class_name == "UnsupportedOperationError":
            return False
        raise
    return True


async def ensure_journal(link: Link, name: str) -> None:
    """Return if the map has a journal; raise DeploymentError with the remedy if it has none."""
    if not await has_journal(link, name):
        raise DeploymentError(
            f"map {name!r} has no event journal, so new records could be missed",
            remedy="configure `event-journal` for it in the members' configuration (hazelcast/hazelcast.yaml shows how)",
        )

"""Near caches in members that would show stale values: nothing of ours reads through one, code in members does.

Our requests go to the partition's owner, past every near cache of a client or a member.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from grid_inference.errors import NearCacheWarning
from grid_inference.grid.link import Link
from grid_inference.grid.mapconfig import configurations
from grid_inference.wire.protocol.mapconfig import map_settings

__all__ = ["warn_stale_near_caches"]


async def warn_stale_near_caches(link: Link, names: Sequence[str]) -> None:
    """Warn of maps that members read through a near cache which no change invalidates; they need not exist."""
    told = (await configurations(link)).values()
    stale = [name for name in names if any(map_settings(xml, name).stale_near_cache for xml in told)]
    if stale:
        warnings.warn(
            f"code that runs in members does not see what changes in {', '.join(map(repr, stale))}: the near-cache is "
            "configured with `invalidate-on-change: false`. Take that off, or the near cache",
            NearCacheWarning,
            stacklevel=3,
        )

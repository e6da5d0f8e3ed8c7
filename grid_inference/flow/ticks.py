"""Timers that ring together: of hundreds of deployments that rest, each would wake the process for itself otherwise."""

from __future__ import annotations

import asyncio
import zlib

__all__ = ["stretched", "to_tick"]

GROUPS = 8
"""Deployments ring in so many groups: what all of them look at in one moment would hold up what is under way."""

OFTEN_MAX = 80
"""So many deployments look as often as one; of more each looks the less often the more there are."""
LEAST_S = 0.05
"""A timer that rings a little early does not ring again at once."""


def stretched(period_s: float, deployments: int) -> float:
    """How often each of so many deployments does what one does each `period_s`."""
    return period_s * max(1.0, deployments / OFTEN_MAX)


def to_tick(period_s: float, name: str) -> float:
    """Seconds until the group of this name rings next, once in each period."""
    phase_s = period_s * (zlib.crc32(name.encode()) % GROUPS) / GROUPS
    left_s = period_s - (asyncio.get_running_loop().time() - phase_s) % period_s
    return left_s if left_s > LEAST_S else left_s + period_s

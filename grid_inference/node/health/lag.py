"""How far scoring is behind: how long the oldest change waits, and how full the journals are of what is not scored."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from grid_inference.observe.proof import PartitionProof

__all__ = ["LagClock", "fill"]

HISTORY = 1800
"""Of so many looks the oldest one can tell how old a change is: an hour, at a look each two seconds."""


class LagClock:
    """Since when the oldest change of one deployment waits, by looks at its journals' ends."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, NDArray[np.int64]]] = deque(maxlen=HISTORY)

    def age_s(self, at_s: float, proof: list[PartitionProof]) -> float | None:
        """Seconds, 0 where all is scored; None where it is not known of a partition how far it is."""
        if any(one.sequence is None or one.lag is None for one in proof):
            return None
        scored = np.array([one.sequence for one in proof], np.int64)
        return self.look(at_s, scored, scored + np.array([one.lag for one in proof], np.int64))

    def look(self, at_s: float, scored: NDArray[np.int64], ends: NDArray[np.int64]) -> float:
        """The same from the numbers behind what is scored and behind what has come, of shape (partitions,)."""
        self._looks.append((at_s, ends))
        behind = scored < ends
        if not behind.any():
            self._looks.clear()
            return 0.0
        return at_s - next(then_s for then_s, before in self._looks if (before > scored)[behind].any())


def fill(proof: list[PartitionProof], ring_events: int | None) -> float | None:
    """The share of the fullest partition's ring that is not scored yet; at 1 it is overwritten, and scanned.

    Where the ring's size is not known, that of what it holds stands for it.
    """
    shares = [
        one.lag / max(1, ring_events or one.journal_events)
        for one in proof
        if one.lag is not None and one.journal_events is not None
    ]
    return max(shares, default=None)

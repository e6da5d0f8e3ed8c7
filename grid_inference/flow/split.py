"""`Split`: by which version a record is scored: a share of the keys, always the same ones, by a canary.

In: arrivals. Out: their outcomes, one of each version that scored some. A greater share has the keys of a smaller one
among its own, so that raising it moves no key back.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from grid_inference.flow.feeds import Arrivals
from grid_inference.flow.score import Outcome, Scorer

__all__ = ["Split", "places"]

_MIX = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio, odd: spreads what has structure left."""


class Split:
    """Scores by the version at work, and a share of the keys by another."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        self.canary: Scorer | None = None
        self.share = 0.0
        """Of all keys those that the canary scores, from 0 to 1."""

    async def score(self, arrivals: Arrivals) -> list[Outcome]:
        """Score a batch; never raises for what a record holds."""
        canary = self.canary
        if canary is None:
            return [await self.scorer.score(arrivals)]
        theirs = places(arrivals.rows.identities) < self.share
        parts = [(scorer, np.flatnonzero(rows)) for scorer, rows in ((self.scorer, ~theirs), (canary, theirs))]
        # At once: a scorer that has begun is not retired before it has ended.
        return await asyncio.gather(*(scorer.score(_taken(arrivals, rows)) for scorer, rows in parts if rows.size))


def places(identities: NDArray[np.int64]) -> NDArray[np.float64]:
    """Where in [0, 1) each key lies, whoever asks; shape (n,)."""
    return (identities.view(np.uint64) * _MIX >> np.uint64(11)).astype(np.float64) / float(1 << 53)


def _taken(arrivals: Arrivals, rows: NDArray[np.int64]) -> Arrivals:
    if rows.size == len(arrivals):
        return arrivals
    return replace(arrivals, rows=arrivals.rows.take(rows), partitions=arrivals.partitions[rows])

"""How far two distributions are apart. In: shares of bins, of shape (k,) each. Out: figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

__all__ = ["SHARE_FLOOR", "psi", "wasserstein"]

SHARE_FLOOR: Final = 1e-4
"""An empty bin counts as this share: one that training has never seen says much, not infinitely much."""


def psi(expected: Sequence[float], found: Sequence[float]) -> float:
    """The population stability index: the sum of (found - expected) · ln(found / expected) over all bins."""
    one, other = (np.maximum(np.asarray(shares, np.float64), SHARE_FLOOR) for shares in (expected, found))
    return float(((other - one) * np.log(other / one)).sum())


def wasserstein(
    means: Sequence[float], shares: Sequence[float], found_means: Sequence[float], found_shares: Sequence[float]
) -> float | None:
    """How far values have moved on the average, from the means and shares of bins; None where there are none."""
    if not sum(shares) or not sum(found_shares):
        return None
    from scipy.stats import wasserstein_distance  # noqa: PLC0415 - two thirds of a second: a status needs none

    return float(wasserstein_distance(means, found_means, shares, found_shares))

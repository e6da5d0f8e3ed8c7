"""What two arrays of scores, or of labels, say of each other. In: arrays of shape (n,), n at least 1. Out: figures."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from grid_inference.model.engines.isolate import Scores
from grid_inference.model.signature import Signature
from grid_inference.versions.comparison.report import Agreement, Difference, Spread

__all__ = ["QUANTILES", "agreement", "difference", "spread"]

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
Floats = NDArray[np.float64]


def spread(score: Floats) -> Spread:
    """How scores are spread."""
    at = np.quantile(score, QUANTILES).tolist()
    named = {str(share): value for share, value in zip(QUANTILES, at, strict=True)}
    return Spread(float(score.mean()), float(score.std()), named)


def difference(one: Floats, other: Floats) -> Difference:
    """How far two scores of the same records are apart."""
    apart = np.abs(one - other)
    return Difference(
        mean=float(apart.mean()),
        largest=float(apart.max()),
        pearson=_correlation(one, other),
        spearman=_correlation(rankdata(one), rankdata(other)),
        kolmogorov_smirnov=_kolmogorov_smirnov(one, other),
    )


def agreement(one: Scores, other: Scores, signature: Signature) -> Agreement | None:
    """Which labels two versions of this signature gave; None for regressors."""
    if one.label_index is None or other.label_index is None:
        return None
    pairs = Counter(zip(one.label_index.tolist(), other.label_index.tolist(), strict=True))
    confusion: dict[str, dict[str, int]] = {}
    for (mine, theirs), rows in sorted(pairs.items()):
        confusion.setdefault(str(signature.label(mine)), {})[str(signature.label(theirs))] = rows
    return Agreement(float((one.label_index == other.label_index).mean()), confusion)


def _kolmogorov_smirnov(one: Floats, other: Floats) -> float:
    """The statistic of `scipy.stats.ks_2samp`, whose p-value takes long, and warns where there are few records."""
    at = np.concatenate([one, other])
    below = [np.searchsorted(np.sort(each), at, side="right") / each.size for each in (one, other)]
    return float(np.abs(below[0] - below[1]).max())


def _correlation(one: Floats, other: Floats) -> float | None:
    """Pearson's; None where one of them is constant, or as good as."""
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return None
    with np.errstate(invalid="ignore", divide="ignore"):
        found = float(np.corrcoef(one, other)[0, 1])
    return found if np.isfinite(found) else None

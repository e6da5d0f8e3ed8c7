"""Bins: where the values of a column fall, in training and at work alike.

In: values of n rows. Out: how many fall into each bin, and of numbers their sum. Every row falls into just one: the
last bin holds the missing ones (null, NaN, infinite), that of texts before it all that training has not named.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "NEAR_ZERO",
    "SUMMED_MAX",
    "Bins",
    "CategoryBins",
    "Counted",
    "NumberBins",
    "categories_of",
    "edges_of",
    "numbers_of",
]

Counted = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Rows and the sum of their values, of each bin."""

QUANTILES: Final = 10
HEAVY_SHARE: Final = 1 / QUANTILES
"""A value that so many rows have is a bin by itself."""
NEAR: Final = 1e-6
"""Borders lie so far below a value, as a share of it: a float32 of the same value falls on the same side."""
NEAR_ZERO: Final = 1e-30
SUMMED_MAX: Final = 1e100
"""A value counts in sums as no more than this, so that no sum overflows."""
CATEGORIES_MAX: Final = 50
CATEGORY_SHARE_MIN: Final = 0.01
"""What fewer rows have is among the others."""
CATEGORY_CHARS_MAX: Final = 200


class Bins(Protocol):
    """What counts values."""

    @property
    def size(self) -> int:
        """How many bins there are, that of the missing ones included."""
        ...

    def count(self, values: NDArray[Any]) -> Counted:
        """Rows and sums of each bin, shape (size,)."""
        ...


class NumberBins:
    """Bins between rising borders; a value on a border lies above it."""

    def __init__(self, edges: Sequence[float]) -> None:
        self._edges = np.array(edges, np.float64)
        self.size = self._edges.size + 2

    def count(self, values: NDArray[Any]) -> Counted:
        """What is no number is missing."""
        numbers = numbers_of(values)
        if numbers is None:
            numbers = np.full(values.size, np.nan)
        finite = np.isfinite(numbers)
        present = numbers if bool(finite.all()) else numbers[finite]
        bins = self._edges.searchsorted(present, side="right")
        counts = np.bincount(bins, minlength=self.size)
        sums: NDArray[np.float64] = np.bincount(  # pyright: ignore[reportAssignmentType]  # of weights they are floats
            bins, np.clip(present, -SUMMED_MAX, SUMMED_MAX), minlength=self.size
        )
        counts[-1] = values.size - present.size
        return counts, sums


class CategoryBins:
    """A bin for each known text, one for all others."""

    def __init__(self, categories: Sequence[str]) -> None:
        self._bin = {category: index for index, category in enumerate(categories)}
        self.size = len(categories) + 2

    def count(self, values: NDArray[Any]) -> Counted:
        """Texts are counted; of what is none only whether it is there."""
        bins = np.fromiter(map(self._of, values.tolist()), np.int64, values.size)
        return np.bincount(bins, minlength=self.size), np.zeros(self.size)

    def _of(self, value: Any) -> int:
        if isinstance(value, str):
            return self._bin.get(value, self.size - 2)
        return self.size - 1 if _absent(value) else self.size - 2


def numbers_of(values: NDArray[Any]) -> NDArray[np.float64] | None:
    """Values as float64, None becoming NaN; None if they are no numbers."""
    if values.dtype.kind in "fiub":
        return values.astype(np.float64, copy=False)
    if values.dtype.kind != "O" or any(isinstance(value, str | bytes) for value in values.tolist()):
        return None
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError):
        return None


def edges_of(numbers: NDArray[np.float64]) -> tuple[float, ...]:
    """Borders that part numbers into tenths; a value that a tenth of them or more have gets a bin of its own."""
    ordered = np.sort(numbers[np.isfinite(numbers)])
    if not ordered.size:
        return ()
    places = np.ceil(np.arange(1, QUANTILES) / QUANTILES * ordered.size).astype(np.int64) - 1
    edges = set[float]()
    quantiles = np.unique(ordered[np.maximum(places, 0)])
    for value, near in zip(quantiles.tolist(), _near(quantiles, ordered[[0, -1]]).tolist(), strict=True):
        edges.add(value - near)
        first, last = ordered.searchsorted([value - near, value + near])
        if last - first >= HEAVY_SHARE * ordered.size:
            edges.add(value + near)
    return tuple(sorted(edge for edge in edges if math.isfinite(edge)))


def _near(quantiles: NDArray[np.float64], ends: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far a border lies below each: less than to its neighbours, as values may differ by little of their size."""
    around = np.unique(np.concatenate([ends, quantiles]))
    with np.errstate(over="ignore"):
        gaps = np.diff(around, prepend=-np.inf, append=np.inf)
    at = around.searchsorted(quantiles)
    return np.maximum(np.minimum(np.abs(quantiles) * NEAR, np.minimum(gaps[at], gaps[at + 1]) / 2), NEAR_ZERO)


def categories_of(values: NDArray[Any]) -> tuple[str, ...]:
    """The texts that stand often enough to be told apart, the most frequent first."""
    found = Counter(value for value in values.tolist() if isinstance(value, str) and len(value) <= CATEGORY_CHARS_MAX)
    often = [text for text, rows in found.most_common(CATEGORIES_MAX) if rows >= CATEGORY_SHARE_MIN * values.size]
    return tuple(often)


def _absent(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))

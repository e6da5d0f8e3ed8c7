"""`Counts`: what one worker has counted, as it stands in the grid; and several of them put together.

In: counts of a version's columns. Out: plain values for JSON, and back. Whoever writes to the grid may write anything:
what does not fit the version's statistics is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self, cast

import numpy as np

from grid_inference.model.store.bins import SUMMED_MAX, Counted
from grid_inference.model.store.statistics import Statistics

__all__ = ["DRIFT_MAP", "Counts", "place_of", "together"]

DRIFT_MAP: Final = "grid_inference.drift"
DIGITS: Final = 9
ROWS_COUNTED_MAX: Final = 1 << 53
SUM_MAX: Final = SUMMED_MAX * ROWS_COUNTED_MAX


@dataclass(frozen=True, slots=True, eq=False)
class Counts:
    """What one worker has counted for one version of a model in one deployment."""

    place: str
    """`<deployment>/<model>@<version>`."""
    worker: str
    columns: list[Counted]
    """Of each column of the statistics, inputs first: rows and sums of its bins."""

    @property
    def rows(self) -> int:
        """Of the column that was looked at most often."""
        return max((int(counts.sum()) for counts, _ in self.columns), default=0)

    def to_mapping(self) -> dict[str, Any]:
        """Give plain values that JSON can hold."""
        return {
            "kind": "counts",
            "place": self.place,
            "worker": self.worker,
            "counts": [counts.tolist() for counts, _ in self.columns],
            "sums": [[float(f"{each:.{DIGITS}g}") for each in sums.tolist()] for _, sums in self.columns],
        }

    @classmethod
    def read(cls, mapping: Any, place: str, statistics: Statistics) -> Self | None:
        """The counts of a place in an entry; None for an entry of something else, or that does not fit."""
        if not isinstance(mapping, dict):
            return None
        said = cast("dict[str, Any]", mapping)
        if said.get("kind") != "counts" or said.get("place") != place:
            return None
        counts, sums = said.get("counts"), said.get("sums")
        sizes = [column.bins().size for column in statistics.columns]
        if not _fits(counts, sizes, _is_count) or not _fits(sums, sizes, _is_sum):
            return None
        columns = [
            (np.array(some, np.int64), np.array(each, np.float64))
            for some, each in zip(cast("Any", counts), cast("Any", sums), strict=True)
        ]
        return cls(place, str(said.get("worker", "")), columns)


def place_of(deployment: str, model: str, version: int) -> str:
    """What counts and state of a version at work stand under."""
    return f"{deployment}/{model}@{version}"


def together(every: Sequence[Counts], statistics: Statistics) -> list[Counted]:
    """The sum over workers, of each column."""
    found = [(np.zeros(size, np.int64), np.zeros(size)) for size in (one.bins().size for one in statistics.columns)]
    for each in every:
        for mine, theirs in zip(found, each.columns, strict=True):
            np.add(mine[0], theirs[0], out=mine[0])
            np.add(mine[1], theirs[1], out=mine[1])
    return found


def _fits(value: Any, sizes: list[int], right: Any) -> bool:
    """Whether it is a list for each column, of as many right numbers as it has bins."""
    if not isinstance(value, list) or len(cast("list[Any]", value)) != len(sizes):
        return False
    lists = cast("list[Any]", value)
    return all(
        isinstance(each, list) and len(cast("list[Any]", each)) == size and all(map(right, cast("list[Any]", each)))
        for each, size in zip(lists, sizes, strict=True)
    )


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < ROWS_COUNTED_MAX


def _is_sum(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= SUM_MAX

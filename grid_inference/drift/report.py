"""`Drift`: a model's inputs and scores at work, held against its training. Plain values that JSON can hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Final, Literal

import numpy as np

from grid_inference.display import table_html
from grid_inference.drift.distance import psi, wasserstein
from grid_inference.model.store.bins import NEAR_ZERO, Counted
from grid_inference.model.store.statistics import Column, Statistics

__all__ = ["LARGE", "MODERATE", "ColumnDrift", "Drift", "drift_of"]

ROWS_MIN: Final = 500
"""Of fewer rows no column is judged."""
ROWS_PER_BIN: Final = 50
"""Nor of fewer for each of its bins, which chance fills unevenly."""
MODERATE: Final = 0.1
LARGE: Final = 0.25
Word = Literal["stable", "moderate", "large", "unknown"]
Kind = Literal["input", "output"]


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """One input, or what the model gives."""

    name: str
    kind: Kind
    """`output`: the model's `score` or `label`."""
    rows: int
    """Those that were counted."""
    psi: float | None
    """Population stability index over the bins and the missing; None while too few rows are counted."""
    wasserstein: float | None
    """How far values have moved, in standard deviations of the training; None for texts, and of a constant."""
    missing: float
    """Share of the missing in training."""
    missing_now: float | None
    mean: float | None
    mean_now: float | None
    bins: tuple[str, ...]
    """What falls into each bin."""
    shares: tuple[float, ...]
    """Of the training's rows, in each bin."""
    shares_now: tuple[float, ...]
    """Of the counted rows; 0 while there are none."""

    @property
    def word(self) -> Word:
        """Below 0.1 it is stable, below 0.25 moderate, else large."""
        if self.psi is None:
            return "unknown"
        return "stable" if self.psi < MODERATE else "moderate" if self.psi < LARGE else "large"


@dataclass(frozen=True, slots=True)
class Drift:
    """A version of a model at work in a deployment, held against its training."""

    deployment: str
    model: str
    version: int
    threshold: float
    """The population stability index above which an event tells."""
    window_s: float
    workers: int
    """Those that have counted, also such as are no more."""
    training_rows: int
    rows: int
    """Those that were counted, of the column that was looked at most often."""
    columns: tuple[ColumnDrift, ...]
    """The one that has drifted most first, those that can't be judged yet last."""

    def to_mapping(self) -> dict[str, Any]:
        """Give plain values that JSON can hold."""
        columns = [asdict(each) | {"word": each.word} for each in self.columns]
        return asdict(self) | {"columns": columns}

    def _repr_html_(self) -> str:
        header = ("column", "PSI", "", "moved by", "missing", "missing now", "rows")
        rows = [
            (one.name, _said(one.psi), one.word, _said(one.wasserstein), one.missing, _said(one.missing_now), one.rows)
            for one in self.columns
        ]
        return table_html(header, rows, f"{self.model}@{self.version} in {self.deployment}: {self.rows:,} rows")


def drift_of(statistics: Statistics, counted: Sequence[Counted], names: Sequence[str] = ()) -> tuple[ColumnDrift, ...]:
    """Hold counts against statistics; `names` are the inputs' where training did not know them."""
    inputs = len(statistics.inputs)
    named = [column.name for column in statistics.columns]
    if len(names) == inputs and statistics.inputs and statistics.inputs[0].name == "input 0":
        named[:inputs] = names
    kinds: Iterable[Kind] = ("input" if index < inputs else "output" for index in range(len(named)))
    found = [
        _column(column, name, kind, each)
        for column, name, kind, each in zip(statistics.columns, named, kinds, counted, strict=True)
    ]
    return tuple(sorted(found, key=lambda one: -1.0 if one.psi is None else one.psi, reverse=True))


def _column(column: Column, name: str, kind: Kind, counted: Counted) -> ColumnDrift:
    counts, sums = counted
    rows = int(counts.sum())
    shares_now = tuple((counts / max(rows, 1)).tolist())
    enough = rows >= max(ROWS_MIN, ROWS_PER_BIN * counts.size)
    present, moved, mean_now = rows - int(counts[-1]), None, None
    if column.edges is not None and present:
        mean_now = float(sums.sum() / present)
        if column.std and enough:
            means = np.divide(sums, counts, out=np.zeros(sums.size), where=counts > 0)[:-1]
            far = wasserstein(column.means, column.shares[:-1], means.tolist(), shares_now[:-1])
            moved = None if far is None else far / column.std
    return ColumnDrift(
        name=name,
        kind=kind,
        rows=rows,
        psi=psi(column.shares, shares_now) if enough else None,
        wasserstein=moved,
        missing=column.shares[-1],
        missing_now=shares_now[-1] if rows else None,
        mean=column.mean,
        mean_now=mean_now,
        bins=_bins(column),
        shares=column.shares,
        shares_now=shares_now,
    )


def _bins(column: Column) -> tuple[str, ...]:
    if column.edges is None:
        return *(column.categories or ()), "other", "missing"
    edges = [f"{0.0 if abs(edge) <= NEAR_ZERO else edge:.4g}" for edge in column.edges]
    if not edges:
        return "any", "missing"
    between = (f"{one} to {other}" if one != other else one for one, other in pairwise(edges))
    return f"below {edges[0]}", *between, f"from {edges[-1]}", "missing"


def _said(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"

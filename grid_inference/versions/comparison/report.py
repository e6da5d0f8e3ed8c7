"""`Comparison`: what two versions said of the same records, where they differ, what they cost, which one is right.

Plain values that JSON can hold, and beside them the scores of each record, for whoever wants to look closer.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid_inference.model.described import Task
from grid_inference.model.engines.isolate import Scores

__all__ = [
    "Agreement",
    "ClassifierQuality",
    "Comparison",
    "Cost",
    "Difference",
    "RegressorQuality",
    "Rows",
    "Side",
    "Spread",
]


@dataclass(frozen=True, slots=True)
class Spread:
    """How n scores are spread."""

    mean: float
    std: float
    quantiles: dict[str, float]
    """`0.01`, `0.05`, `0.25`, `0.5`, `0.75`, `0.95`, `0.99` → the score below which that share of the records is."""


@dataclass(frozen=True, slots=True)
class ClassifierQuality:
    """A classifier held against the labels."""

    accuracy: float
    """Share of the records whose label is right."""
    auc: float | None
    """Area under the ROC curve; of more than two classes the mean over each against the rest. None if the labels are
    all of one class."""
    log_loss: float
    brier: float
    """Mean squared error of the probability of the second class; of more than two the sum over all of them."""
    calibration_error: float
    """Expected calibration error over ten bins of equal width: of the probability of the second of two classes, else of
    the label."""


@dataclass(frozen=True, slots=True)
class RegressorQuality:
    """A regressor held against the labels."""

    mae: float
    rmse: float
    r2: float | None
    """None if the labels are all the same."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two versions."""

    version: str
    """`MODEL@VERSION`."""
    class_name: str
    refused: dict[str, int]
    """Cause → records that would be dead letters."""
    scores: Spread
    """`score` of the records that both scored."""
    quality: ClassifierQuality | RegressorQuality | None = None
    """None without labels."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Which labels the two give the same records."""

    share: float
    """Of the records that both scored: those of the same label."""
    confusion: dict[str, dict[str, int]]
    """Label of the one → label of the other → records; without those that there are none of."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How far the scores of the two are apart. A correlation is None where all scores of one are equal."""

    mean: float
    """Mean absolute difference."""
    largest: float
    pearson: float | None
    spearman: float | None
    kolmogorov_smirnov: float
    """The greatest distance between the two distributions, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a record costs in batches of one size: microseconds in the model, on this machine."""

    rows: int
    """Of a batch."""
    one_us: float
    other_us: float

    @property
    def ratio(self) -> float:
        """What the other costs, as a multiple of the one."""
        return self.other_us / self.one_us


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """The n records that both scored."""

    keys: list[Any]
    one: Scores
    other: Scores
    truth: NDArray[np.float64]
    """The label: a regressor's value, or the number of the class; NaN where there is none, shape (n,)."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two versions over the same records of a feature map."""

    features: str
    task: Task
    classes: tuple[str, ...]
    sampled: int
    """Records that were looked at."""
    compared: int
    """Records that both scored: all figures are of these."""
    refused_by_one: int
    """By the one only."""
    refused_by_other: int
    """By the other only."""
    refused_by_both: int
    labelled: int
    """Compared records with a label: `quality` is of these."""
    one: Side
    other: Side
    agreement: Agreement | None
    """None for regressors."""
    difference: Difference
    costs: tuple[Cost, ...]
    score_of: str | None
    """The class whose probability the scores are, where the deployment says one."""
    rows: Rows = field(repr=False, compare=False)
    """The scores themselves."""

    def to_mapping(self) -> dict[str, Any]:
        """Give plain values that JSON can hold, without `rows`."""
        nothing = Scores(np.empty(0), None, None)
        mapping = asdict(replace(self, rows=Rows([], nothing, nothing, np.empty(0))))
        del mapping["rows"]
        costs = [asdict(each) | {"ratio": each.ratio} for each in self.costs]
        return mapping | {"classes": list(self.classes), "costs": costs}

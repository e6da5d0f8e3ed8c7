"""`Statistics`: how the inputs of a model were spread in its training, and what it made of them.

In: the sample that a model is published with. Out: plain values that JSON can hold, against which what workers see is
held (`drift/`). A sample's rows are not in it, its most frequent texts are.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Self, cast

import numpy as np
from numpy.typing import NDArray

from grid_inference.errors import ArtifactError
from grid_inference.model.engines.engine import Engine
from grid_inference.model.engines.isolate import Scores
from grid_inference.model.inputs.frame import Frame, Inputs
from grid_inference.model.signature import Signature
from grid_inference.model.store.bins import (
    CATEGORIES_MAX,
    QUANTILES,
    SUMMED_MAX,
    Bins,
    CategoryBins,
    NumberBins,
    categories_of,
    edges_of,
    numbers_of,
)

__all__ = ["SAMPLE_ROWS_MIN", "Column", "Statistics", "labels_of"]

SAMPLE_ROWS_MIN: Final = 500
"""Of fewer rows nothing is kept: chance alone would look like drift."""
ROWS_MAX: Final = 100_000
SCORED_ROWS_MAX: Final = 10_000
SCORED_AT_ONCE: Final = 1_000
SCORING_S_MAX: Final = 10.0
"""A slow model is asked for fewer rows."""
COLUMNS_MAX: Final = 300
"""Inputs beyond these are not watched: the statistics travel with each deployment."""
EDGES_MAX: Final = 2 * QUANTILES
SHARES_OFF_MAX: Final = 1e-3


@dataclass(frozen=True, slots=True)
class Column:
    """How one input, or what the model gave, was spread over the rows."""

    name: str
    edges: tuple[float, ...] | None
    """The inner borders of its bins, rising; None for texts."""
    categories: tuple[str, ...] | None
    """Its most frequent texts; None for numbers."""
    shares: tuple[float, ...]
    """Of the rows, in each bin; the last are the missing ones, of texts the one before all others."""
    means: tuple[float, ...]
    """Of the values of each bin, 0 where there are none; empty for texts."""
    mean: float | None
    """Of all values; None for texts, and where there is none."""
    std: float | None

    @classmethod
    def of(cls, name: str, values: NDArray[Any]) -> Self | None:
        """Describe a column; None for dates and times, which move on by themselves, and for what is no plain value."""
        numbers = numbers_of(values)
        if numbers is None:
            if values.dtype.kind != "O" or not any(isinstance(value, str) for value in values.tolist()):
                return None
            categories = categories_of(values)
            counts, _ = CategoryBins(categories).count(values)
            return cls(name, None, categories, _shares(counts), (), None, None)
        edges = edges_of(numbers)
        counts, sums = NumberBins(edges).count(numbers)
        means = np.divide(sums, counts, out=np.zeros(sums.size), where=counts > 0)[:-1]
        present = np.clip(numbers[np.isfinite(numbers)], -SUMMED_MAX, SUMMED_MAX)
        mean, std = (float(present.mean()), float(present.std())) if present.size else (None, None)
        return cls(name, edges, None, _shares(counts), tuple(means.tolist()), mean, std)

    def bins(self) -> Bins:
        """What counts values of this column."""
        return NumberBins(self.edges) if self.edges is not None else CategoryBins(self.categories or ())

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """Read what `asdict` gave; raise ValueError, TypeError or KeyError for anything else."""
        edges, categories = mapping["edges"], mapping["categories"]
        column = cls(
            name=_text(mapping["name"]),
            edges=None if edges is None else _numbers(edges, EDGES_MAX),
            categories=None if categories is None else tuple(map(_text, _listed(categories, CATEGORIES_MAX))),
            shares=_numbers(mapping["shares"], CATEGORIES_MAX + 2),
            means=_numbers(mapping["means"], EDGES_MAX + 1),
            mean=None if mapping["mean"] is None else _number(mapping["mean"]),
            std=None if mapping["std"] is None else _number(mapping["std"]),
        )
        if wrong := _wrong(column):
            raise ValueError(f"{column.name!r}: {wrong}")
        return column


@dataclass(frozen=True, slots=True)
class Statistics:
    """How a model's training was spread."""

    rows: int
    inputs: tuple[Column, ...]
    """In the model's order; without dates and times, and at most 300."""
    scored: int
    """Rows that the model was asked for; 0: it could not score them."""
    outputs: tuple[Column, ...]
    """`score`, and `label` of models that give one."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """Inputs and outputs."""
        return *self.inputs, *self.outputs

    @classmethod
    def of(cls, engine: Engine, inputs: Inputs | None) -> Self | None:
        """Describe a sample's rows and what a model makes of them; None if they are too few."""
        if inputs is None or inputs.shape[0] < SAMPLE_ROWS_MIN:
            return None
        count = inputs.shape[0]
        if count > ROWS_MAX:
            inputs = inputs[_spaced(count, ROWS_MAX)]
        found = [Column.of(name, values) for name, values in _named(inputs, engine.signature)]
        scores = _scored(engine, inputs[_spaced(inputs.shape[0], SCORED_ROWS_MAX)])
        outputs = [] if scores is None else [Column.of("score", scores.score)]
        labels = None if scores is None else labels_of(scores, engine.signature)
        if labels is not None:
            outputs.append(Column.of("label", labels))
        return cls(
            rows=inputs.shape[0],
            inputs=tuple(column for column in found if column),
            scored=0 if scores is None else scores.score.size,
            outputs=tuple(column for column in outputs if column),
        )

    def to_mapping(self) -> dict[str, Any]:
        """Give plain values that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """Read what `to_mapping` gave; raise ArtifactError for anything else: whoever writes to the grid may."""
        try:
            return cls(
                rows=_counted(mapping["rows"]),
                inputs=tuple(map(Column.from_mapping, _listed(mapping["inputs"], COLUMNS_MAX))),
                scored=_counted(mapping["scored"]),
                outputs=tuple(map(Column.from_mapping, _listed(mapping["outputs"], 2))),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            said = f"{type(error).__name__}: {error}"
            raise ArtifactError(f"a version's training statistics can't be read: {said}") from None


def labels_of(scores: Scores, signature: Signature) -> NDArray[np.object_] | None:
    """The labels as texts; None for a regressor."""
    if scores.label_index is None:
        return None
    different, which = np.unique(scores.label_index, return_inverse=True)
    texts = np.empty(different.size, np.object_)
    texts[:] = [signature.label(index) for index in different.tolist()]
    return texts[which]


def _scored(engine: Engine, inputs: Inputs) -> Scores | None:
    """What a model makes of rows, or of those without missing values if it takes no others; None if of none."""
    whole: NDArray[np.bool_] = np.logical_not(_absent(inputs).any(axis=1))
    for rows in (inputs, inputs[whole]):
        if not rows.shape[0]:
            continue
        try:
            scores = _asked(engine, rows)
        except Exception:  # noqa: BLE001, S112  # a model may raise anything; what it says of a sample is no condition
            continue
        good = np.isfinite(scores.score)
        if scores.label_index is not None:
            good &= scores.label_index >= 0
        return scores.take(good) if good.any() else None
    return None


def _asked(engine: Engine, rows: Inputs) -> Scores:
    """What it makes of as many rows as there is time for, whatever their order is: a sample may be sorted."""
    parts, begun_s = list[Scores](), time.monotonic()
    rows = rows[np.random.default_rng(0).permutation(rows.shape[0])]
    for start in range(0, rows.shape[0], SCORED_AT_ONCE):
        if parts and time.monotonic() - begun_s > SCORING_S_MAX:
            break
        parts.append(engine.predict(rows[start : start + SCORED_AT_ONCE]))
    return Scores.concat(parts)


def _absent(inputs: Inputs) -> NDArray[np.bool_]:
    return inputs.absent if isinstance(inputs, Frame) else ~np.isfinite(inputs)


def _named(inputs: Inputs, signature: Signature) -> list[tuple[str, NDArray[Any]]]:
    if isinstance(inputs, Frame):
        return list(inputs.columns.items())[:COLUMNS_MAX]
    names = signature.names or tuple(f"input {index}" for index in range(inputs.shape[1]))
    return [(name, inputs[:, index]) for index, name in enumerate(names[:COLUMNS_MAX])]


def _spaced(count: int, most: int) -> NDArray[np.int64]:
    """Rows, at most so many, from beginning to end."""
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64)


def _shares(counts: NDArray[np.int64]) -> tuple[float, ...]:
    return tuple((counts / counts.sum()).tolist())


def _wrong(column: Column) -> str:
    """What in a column can't be."""
    if (column.edges is None) == (column.categories is None):
        return "it is either numbers or texts"
    if column.edges is not None and any(
        one >= other for one, other in zip(column.edges, column.edges[1:], strict=False)
    ):
        return "its borders do not rise"
    if column.categories is not None and len(set(column.categories)) < len(column.categories):
        return "a text stands twice"
    size = len(column.edges if column.edges is not None else column.categories or ()) + 2
    if len(column.shares) != size or len(column.means) != (size - 1 if column.edges is not None else 0):
        return f"it has not {size} shares and their means"
    if min(column.shares) < 0 or abs(sum(column.shares) - 1) > SHARES_OFF_MAX:
        return "its shares do not make up 1"
    return "its standard deviation is negative" if (column.std or 0) < 0 else ""


def _listed(value: Any, most: int) -> Sequence[Any]:
    if not isinstance(value, list | tuple) or len(cast("list[Any]", value)) > most:
        raise ValueError(f"no list of at most {most} values")
    return cast("list[Any]", value)


def _numbers(value: Any, most: int) -> tuple[float, ...]:
    listed = _listed(value, most)
    if all(type(each) is float for each in listed) and all(map(math.isfinite, listed)):
        return tuple(listed)
    return tuple(map(_number, listed))


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{value!r} is no finite number")
    return float(value)


def _counted(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError(f"{value!r} is no number of rows")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("a name is no text")
    return value

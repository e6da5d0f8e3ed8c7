"""Whether two answers to the same rows are one: labels equal, scores as near as sums in another order leave them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid_inference.model.engines.isolate import Scores
from grid_inference.model.signature import Signature

__all__ = ["SINGLE_TOLERANCE", "TOLERANCE", "Disagreement", "disagreement"]

TOLERANCE = 1e-6
"""Scores may differ by so much, as sums are added up in another order; labels may not."""
SINGLE_TOLERANCE = 1e-4
"""By so much where either computes in float32."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """The first row of which two answers differ."""

    row: int
    output: str
    """`label`, `score`, or `scores[2]`."""
    one: object
    other: object


def disagreement(one: Scores, other: Scores, signature: Signature, tolerance: float = TOLERANCE) -> Disagreement | None:
    """Where two answers of one model to the same rows differ first; None if nowhere."""
    found = [*_labels(one, other, signature), *_numbers(one, other, tolerance)]
    return min(found, key=lambda each: each.row, default=None)


def _labels(one: Scores, other: Scores, signature: Signature) -> list[Disagreement]:
    if one.label_index is None or other.label_index is None:
        return []
    differs = np.flatnonzero(one.label_index != other.label_index)[:1]
    return [
        Disagreement(row, "label", *(_label(signature, int(each.label_index[row])) for each in (one, other)))  # type: ignore[index]
        for row in differs.tolist()
    ]


def _label(signature: Signature, index: int) -> str | None:
    return "none of its classes" if index < 0 else signature.label(index)


def _numbers(one: Scores, other: Scores, tolerance: float) -> list[Disagreement]:
    found: list[Disagreement] = []
    if row := _first(one.score, other.score, tolerance):
        found.append(Disagreement(row[0], "score", float(one.score[row]), float(other.score[row])))
    mine, theirs = one.scores, other.scores
    if mine is not None and theirs is not None and (place := _first(mine, theirs, tolerance)):
        found.append(Disagreement(place[0], f"scores[{place[1]}]", float(mine[place]), float(theirs[place])))
    return found


def _first(one: NDArray[Any], other: NDArray[Any], tolerance: float) -> tuple[int, ...]:
    """The place of the first values that differ; empty if none do."""
    differs = ~np.isclose(one, other, rtol=tolerance, atol=tolerance, equal_nan=True)
    return tuple(np.argwhere(differs)[0].tolist()) if differs.any() else ()

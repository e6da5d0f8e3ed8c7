"""`Expected`: some of a model's inputs with what it made of them where it was published.

Whoever loads the model asks it the same and compares, so that a worker whose libraries or processor compute otherwise
is found before its first prediction. Inputs are plain values that JSON can hold; keys and records are not known here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

import numpy as np

from grid_inference.errors import ArtifactError, SignatureError
from grid_inference.model.engines.engine import Engine
from grid_inference.model.engines.isolate import Inputs, Scores
from grid_inference.model.frame import Frame

__all__ = ["Expected"]

ROWS_MAX = 20
TOLERANCE = 1e-6
"""Scores may differ by so much, and no label: other processors add up in another order."""
WARM_ROWS = 256
"""A model is asked once for so many rows: what its first call makes is there then, and its speed is known."""


@dataclass(frozen=True, slots=True)
class Expected:
    """n rows, at most 20, of k inputs without missing values, and n results."""

    columns: dict[str, list[Any]]
    """Each input's values by its name, in the model's order."""
    score: list[float]
    label: list[str] | None
    """None for a regressor."""

    @classmethod
    def of(cls, engine: Engine, sample: Any) -> Self | None:
        """Ask a model for a sample's first whole rows; None if there are none, or if JSON can't hold their values.

        Raises SignatureError if the model can't score one of them.
        """
        columns = _columns(sample, engine)
        if columns is None:
            return None
        scores, _, failures = engine.score(_inputs(columns, engine), "score")
        if failures:
            raise SignatureError(
                f"the model can't score row {failures[0].row} of its own sample: {failures[0].message}",
                remedy="give rows of its inputs as the sample, and as classes those that it gives",
            )
        return cls(columns, scores.score.tolist(), _labels(scores, engine))

    def check(self, engine: Engine, name: str) -> tuple[float, int]:
        """Ask a loaded model the same; raise ArtifactError that names the first row of another result.

        Returns the seconds that a call with so many rows took, after the first.
        """
        try:
            inputs = _inputs(self.columns, engine)
            scores = engine.predict(inputs)
            labels = _labels(scores, engine)
        except Exception as error:
            # Its class alone: the text may hold values of the sample.
            raise ArtifactError(f"{name} can't score its own sample here: {type(error).__name__}") from error
        for row, (mine, theirs) in enumerate(zip(scores.score.tolist(), self.score, strict=True)):
            if not np.isclose(mine, theirs, rtol=TOLERANCE, atol=TOLERANCE) or (
                labels and self.label and labels[row] != self.label[row]
            ):
                said = f"{theirs!r} where it was published, {mine!r} here"
                raise ArtifactError(
                    f"{name} computes otherwise here: row {row} of its sample has the score {said}",
                    remedy="run the same versions of the model's libraries in the workers",
                )
        rows = inputs[np.resize(np.arange(len(self.score)), WARM_ROWS)]
        begun_s = time.perf_counter()
        engine.predict(rows)
        return time.perf_counter() - begun_s, WARM_ROWS

    def to_mapping(self) -> dict[str, Any]:
        """Give plain values that JSON can hold."""
        return {"columns": self.columns, "score": self.score, "label": self.label}

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """Read what `to_mapping` gave; raise ArtifactError for anything else: whoever writes to the grid may."""
        try:
            expected = cls(**mapping)
        except TypeError as error:
            raise ArtifactError(f"a version's sample can't be read: {error}") from None
        if wrong := _wrong(expected):
            raise ArtifactError(f"a version's sample can't be read: {wrong}")
        return expected


def _wrong(expected: Expected) -> str:
    """What in a sample can't be."""
    columns: Any = expected.columns
    scores: Any = expected.score
    labels: Any = expected.label
    if not isinstance(scores, list) or not 0 < len(cast("list[Any]", scores)) <= ROWS_MAX:
        return f"it has no list of 1 to {ROWS_MAX} scores"
    rows = len(expected.score)
    if not all(isinstance(score, float | int) for score in cast("list[Any]", scores)):
        return "a score is no number"
    if not isinstance(columns, dict):
        return "it has no columns"
    for values in (*expected.columns.values(), *([] if labels is None else [labels])):
        if not isinstance(cast("Any", values), list) or len(values) != rows:
            return f"a column has not {rows} values"
    return ""


def _columns(sample: Any, engine: Engine) -> dict[str, list[Any]] | None:
    signature = engine.signature
    names = signature.names
    if sample is None or not names or signature.array_field is not None:
        return None
    if isinstance(sample, np.ndarray):
        matrix = np.atleast_2d(sample)
        found = {name: matrix[:, index] for index, name in enumerate(names)} if matrix.shape[1] == len(names) else {}
    else:
        there = set(sample)
        found = {name: np.asarray(sample[name]) for name in names if name in there}
    if found.keys() != set(names):
        return None
    columns = {name: found[name].tolist() for name in names}
    whole = [row for row in range(len(columns[names[0]])) if all(_plain(columns[name][row]) for name in names)][
        :ROWS_MAX
    ]
    return {name: [values[row] for row in whole] for name, values in columns.items()} if whole else None


def _plain(value: Any) -> bool:
    if isinstance(value, float):
        return bool(np.isfinite(value))
    return isinstance(value, bool | int | str)


def _inputs(columns: Mapping[str, list[Any]], engine: Engine) -> Inputs:
    signature = engine.signature
    if not signature.frame:
        return np.array([columns[name] for name in signature.names], np.float64).T.copy()
    values: dict[str, Any] = {}
    for each in signature.inputs:
        some = columns[each.name]
        if any(isinstance(value, str) for value in some):
            values[each.name] = np.array(some, object)
        elif each.dtype == "bool":
            values[each.name] = np.array(some, np.bool_)
        else:
            values[each.name] = np.array(some, np.int64 if all(type(one) is int for one in some) else np.float64)
    return Frame(values)


def _labels(scores: Scores, engine: Engine) -> list[str] | None:
    if scores.label_index is None:
        return None
    return [str(engine.signature.label(index)) for index in scores.label_index.tolist()]

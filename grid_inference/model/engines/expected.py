"""`Expected`: some of a model's inputs with what it made of them where it was published.

Whoever loads the model asks it the same and compares, so that a worker whose libraries or processor compute otherwise
is found before its first prediction. Inputs are plain values that JSON can hold; keys and records are not known here.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from datetime import time as time_of_day
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from grid_inference.errors import ArtifactError, SignatureError
from grid_inference.model.dtypes import unzoned
from grid_inference.model.engines.engine import Engine
from grid_inference.model.engines.isolate import Scores
from grid_inference.model.inputs.frame import Frame, Inputs
from grid_inference.model.inputs.sources import Sources
from grid_inference.wire.columns import column_of
from grid_inference.wire.compact import Column

__all__ = ["Expected"]

ROWS_MAX = 20
GAPS_MAX = 5
"""So many of them may have gaps."""
TOLERANCE = 1e-6
"""Scores may differ by so much, and no label: other processors add up in another order."""
WARM_ROWS = 256
"""A model is asked once for so many rows: what its first call makes is there then, and its speed is known."""


@dataclass(frozen=True, slots=True)
class Expected:
    """n rows, at most 20, of k inputs, some with missing values where the sample has such, and n results."""

    columns: dict[str, list[Any]]
    """Each input's values by its name, in the model's order."""
    score: list[float]
    label: list[str] | None
    """None for a regressor."""

    @classmethod
    def of(cls, engine: Engine, inputs: Inputs | None) -> Self | None:
        """Ask a model for some of a sample's rows, as it is handed them; None if there are none.

        Raises SignatureError if the model can't score a row in which nothing is missing.
        """
        signature = engine.signature
        if inputs is None or not inputs.shape[0] or not signature.names or signature.array_field is not None:
            return None
        whole = np.asarray(~_absent(inputs).any(axis=1))
        gaps = np.flatnonzero(~whole)[:GAPS_MAX]
        some = np.concatenate([np.flatnonzero(whole)[: ROWS_MAX - gaps.size], gaps])
        scores, good, failures = engine.score(inputs[some], "score")
        told = [failure for failure in failures if whole[some[failure.row]]]
        if told:
            raise SignatureError(
                f"the model can't score row {some[told[0].row]} of its own sample: {told[0].message}",
                remedy="give rows of its inputs as the sample, and as classes those that it gives",
            )
        if not good.size:
            return None
        return cls(_columns(inputs[some[good]], engine), scores.score.tolist(), _labels(scores, engine))

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


def _absent(inputs: Inputs) -> NDArray[np.bool_]:
    return inputs.absent if isinstance(inputs, Frame) else ~np.isfinite(inputs)


def _columns(inputs: Inputs, engine: Engine) -> dict[str, list[Any]]:
    """Rows as JSON can hold them: None for a gap, moments as a number of their unit."""
    names = engine.signature.names
    if not isinstance(inputs, Frame):
        return {name: _plain(inputs[:, index]) for index, name in enumerate(names)}
    gaps = inputs.absent
    return {
        name: [None if gap else value for value, gap in zip(_plain(inputs.columns[name]), gaps[:, index], strict=True)]
        for index, name in enumerate(names)
    }


def _plain(values: NDArray[Any]) -> list[Any]:
    if values.dtype.kind == "M":
        return values.astype(np.int64).tolist()
    if values.dtype.kind == "f":
        return [value if np.isfinite(value) else None for value in values.tolist()]
    return [value.isoformat() if isinstance(value, date | time_of_day) else value for value in values.tolist()]


def _inputs(columns: Mapping[str, list[Any]], engine: Engine) -> Inputs:
    signature = engine.signature
    found: dict[str, Column] = {}
    for each in signature.inputs:
        column = column_of(columns[each.name])
        if each.dtype.startswith("datetime64"):
            moments = np.where(column.present(), column.values, 0).astype(np.int64).view(unzoned(each.dtype))
            column = Column(moments, column.present())
        found[each.name] = column
    rows = len(columns[signature.names[0]])
    return Sources(signature, {}).inputs(found, rows, {}, free=() if signature.frame else found.keys())


def _labels(scores: Scores, engine: Engine) -> list[str] | None:
    if scores.label_index is None:
        return None
    return [str(engine.signature.label(index)) for index in scores.label_index.tolist()]

"""Scoring a batch so that one bad row costs its neighbours nothing.

In: a matrix and something that predicts. Out: scores of the good rows, which rows those are, a reason for each other.
On the happy path this adds one look at the matrix; a batch that makes the model raise is halved until the culprits
stand alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["BadOutputError", "Failure", "Predicts", "Scores", "isolate", "plainly_finite"]

NanPolicy = Literal["score", "dead-letter"]
MESSAGE_CHARS_MAX = 300
NAMES_SHOWN_MAX = 3
ORDINARY_MAX = 1e30
"""Values up to this size fit into a float32, so a model that casts to it can't find them infinite."""


class BadOutputError(Exception):
    """The model answered with something that is no prediction of its input."""


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What a model said of n records."""

    score: NDArray[np.float64]
    """P(classes_[1]) if binary, P(label) if multi-class, the value of a regressor; shape (n,)."""
    label_index: NDArray[np.int32] | None
    """Which class is predicted, an index into the signature's classes; None for a regressor."""
    scores: NDArray[np.float64] | None
    """Per class, shape (n, classes), in the signature's order; None for a regressor."""

    def take(self, rows: NDArray[Any]) -> Scores:
        """The scores at an index array or boolean mask."""
        index, scores = self.label_index, self.scores
        return Scores(
            self.score[rows], None if index is None else index[rows], None if scores is None else scores[rows]
        )

    @classmethod
    def concat(cls, parts: Sequence[Scores]) -> Scores:
        """Join several of one model in order."""
        indexes = [part.label_index for part in parts if part.label_index is not None]
        scores = [part.scores for part in parts if part.scores is not None]
        return cls(
            np.concatenate([part.score for part in parts]),
            np.concatenate(indexes) if indexes else None,
            np.concatenate(scores) if scores else None,
        )


@dataclass(frozen=True, slots=True)
class Failure:
    """A row that got no prediction."""

    row: int
    cause: str
    """NAN_FEATURE, MODEL_ERROR or BAD_OUTPUT."""
    message: str


class Predicts(Protocol):
    """What isolation needs of an engine."""

    def predict(self, matrix: NDArray[Any], *, finite: bool | None = None) -> Scores:
        """Score all rows or raise; `finite` says that the matrix is known to hold only finite numbers."""
        ...


def plainly_finite(matrix: NDArray[Any]) -> bool:
    """Whether all values are finite and of ordinary size, in one pass; False may also mean: look closer."""
    if not matrix.size:
        return True
    # A NaN makes both comparisons false. BLAS's dot would need one pass, but waits for its threads on a busy machine.
    most, least = np.maximum.reduce(matrix, axis=None), np.minimum.reduce(matrix, axis=None)
    return bool(most < ORDINARY_MAX and least > -ORDINARY_MAX)


def isolate(
    engine: Predicts, matrix: NDArray[Any], nan: NanPolicy, names: Sequence[str]
) -> tuple[Scores, NDArray[np.int64], list[Failure]]:
    """Score what can be scored: scores of the good rows, their row numbers in order, a failure for each other row."""
    rows = np.arange(matrix.shape[0], dtype=np.int64)
    failures: list[Failure] = []
    finite = plainly_finite(matrix)
    if not finite and nan == "dead-letter":
        clean = np.isfinite(matrix).all(axis=1)
        failures = [Failure(int(row), "NAN_FEATURE", _not_finite(matrix[row], names)) for row in rows[~clean]]
        rows = rows[clean]
        matrix = matrix[clean] if failures else matrix
        finite = bool(failures) and plainly_finite(matrix)
    done: list[tuple[Scores, NDArray[np.int64]]] = []
    # A stack rather than recursion: ranges still to be scored, the next one last.
    waiting = [(matrix, rows)]
    while waiting:
        part, part_rows = waiting.pop()
        try:
            scores = _checked(engine.predict(part, finite=finite), part.shape[0])
        except Exception as error:  # noqa: BLE001  # the record's fate, not the worker's
            if part.shape[0] <= 1:
                failures += [Failure(int(row), _cause(error), _said(error)) for row in part_rows]
                continue
            half = part.shape[0] // 2
            waiting += [(part[half:], part_rows[half:]), (part[:half], part_rows[:half])]
            continue
        done.append(_without_bad_output(scores, part_rows, failures))
    failures.sort(key=lambda failure: failure.row)
    if len(done) == 1:
        return *done[0], failures
    if not done:
        return Scores(np.empty(0), None, None), rows[:0], failures
    return Scores.concat([scores for scores, _ in done]), np.concatenate([good for _, good in done]), failures


def _checked(scores: Scores, count: int) -> Scores:
    for values in (scores.score, scores.label_index, scores.scores):
        if values is not None and values.shape[0] != count:
            raise BadOutputError(f"the model gave {values.shape[0]} predictions for {count} records")
    return scores


def _without_bad_output(
    scores: Scores, rows: NDArray[np.int64], failures: list[Failure]
) -> tuple[Scores, NDArray[np.int64]]:
    """Set apart rows whose score is not a finite number or whose label is none of the classes."""
    labels_known = scores.label_index is None or not scores.label_index.size or int(scores.label_index.min()) >= 0
    if labels_known and plainly_finite(scores.score) and (scores.scores is None or plainly_finite(scores.scores)):
        return scores, rows
    good = np.isfinite(scores.score)
    if scores.scores is not None:
        good &= np.isfinite(scores.scores).all(axis=1)
    if scores.label_index is not None:
        good &= scores.label_index >= 0
    for row in np.flatnonzero(~good):
        value = scores.score[row]
        problem = "the model's label is none of its classes" if np.isfinite(value) else f"the model's score is {value}"
        failures.append(Failure(int(rows[row]), "BAD_OUTPUT", problem))
    return scores.take(good), rows[good]


def _not_finite(row: NDArray[Any], names: Sequence[str]) -> str:
    """Name the first few columns that are not finite."""
    columns = np.flatnonzero(~np.isfinite(row))
    shown = [
        f"{names[column] if column < len(names) else f'input {column}'} is "
        f"{'NaN or null' if np.isnan(row[column]) else 'infinite'}"
        for column in columns[:NAMES_SHOWN_MAX]
    ]
    more = f" and {len(columns) - NAMES_SHOWN_MAX} more" if len(columns) > NAMES_SHOWN_MAX else ""
    return ", ".join(shown) + more


def _cause(error: Exception) -> str:
    return "BAD_OUTPUT" if isinstance(error, BadOutputError) else "MODEL_ERROR"


def _said(error: Exception) -> str:
    text = str(error).strip()
    if isinstance(error, BadOutputError):
        return text
    first = text.splitlines()[0] if text else ""
    return f"{type(error).__name__}: {first}"[:MESSAGE_CHARS_MAX]

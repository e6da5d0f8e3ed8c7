"""Scoring a batch so that one bad row costs its neighbours nothing.

In: a matrix or a frame, and something that predicts. Out: scores of the good rows, which rows those are, a reason for
each other. On the happy path this adds one look at the inputs; a batch that makes the model raise is halved until the
culprits stand alone. One that ends the model's process (`trial.py`) is asked row by row at once: a row costs a
millisecond, a hang its whole deadline, and halving would meet it nine times in 256 rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from grid_inference.errors import ModelCrashedError, ModelTimeoutError, UnansweredError
from grid_inference.model.inputs.frame import Frame, Inputs

__all__ = ["BadOutputError", "Failure", "Predicts", "Scores", "isolate", "plainly_finite"]

NanPolicy = Literal["score", "dead-letter"]
MESSAGE_CHARS_MAX = 300
NAMES_SHOWN_MAX = 3
ORDINARY_MAX = 1e30
"""Values up to this size fit into a float32, so a model that casts to it can't find them infinite."""


class BadOutputError(Exception):
    """The model answered with something that is no prediction of its input."""


CAUSES = {BadOutputError: "BAD_OUTPUT", ModelCrashedError: "MODEL_CRASHED", ModelTimeoutError: "MODEL_TIMEOUT"}
"""What is ours to say of a record; all else is what the model raised."""


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What a model said of n records."""

    score: NDArray[np.float64]
    """P(classes_[1]) if binary, P(label) if multi-class, P of the likeliest of several labels; the value of a
    regressor, the first of several; `decision_function` of an outlier detector; P or distance of the cluster; shape
    (n,)."""
    label_index: NDArray[np.int32] | None
    """Which class is predicted, an index into the signature's classes; a bit for each of several labels; None for a
    regressor."""
    scores: NDArray[np.float64] | None
    """Per class, label, output or cluster in the signature's order, shape (n, k); None where there are none."""

    def of_class(self, index: int) -> Scores:
        """The same with how likely one class or label is as the score."""
        return self if self.scores is None else replace(self, score=np.ascontiguousarray(self.scores[:, index]))

    def take(self, rows: NDArray[Any]) -> Scores:
        """The scores at an index array or boolean mask."""
        index, scores = self.label_index, self.scores
        return Scores(
            self.score[rows], None if index is None else index[rows], None if scores is None else scores[rows]
        )

    def replaced(self, rows: NDArray[Any], other: Scores) -> Scores:
        """The same with the scores of these rows from another."""
        changed = Scores(
            self.score.copy(),
            None if self.label_index is None else self.label_index.copy(),
            None if self.scores is None else self.scores.copy(),
        )
        changed.score[rows] = other.score
        for mine, theirs in ((changed.label_index, other.label_index), (changed.scores, other.scores)):
            if mine is not None and theirs is not None:
                mine[rows] = theirs
        return changed

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
    """NAN_FEATURE, MODEL_ERROR, BAD_OUTPUT, MODEL_CRASHED or MODEL_TIMEOUT."""
    message: str


class Predicts(Protocol):
    """What isolation needs of an engine."""

    def predict(self, inputs: Inputs, *, finite: bool | None = None) -> Scores:
        """Score all rows or raise; `finite` says that no value is known to be missing or infinite."""
        ...


def plainly_finite(matrix: Inputs) -> bool:
    """Whether all values are finite and of ordinary size, in one pass; False may also mean: look closer."""
    if isinstance(matrix, Frame):
        floats = [values for values in matrix.columns.values() if values.dtype.kind == "f"]
        return not matrix.missing and all(map(plainly_finite, floats))
    if not matrix.size:
        return True
    # A NaN makes both comparisons false. BLAS's dot would need one pass, but waits for its threads on a busy machine.
    most, least = np.maximum.reduce(matrix, axis=None), np.minimum.reduce(matrix, axis=None)
    return bool(most < ORDINARY_MAX and least > -ORDINARY_MAX)


def isolate(
    engine: Predicts, inputs: Inputs, nan: NanPolicy, names: Sequence[str], nullable: NDArray[np.bool_]
) -> tuple[Scores, NDArray[np.int64], list[Failure]]:
    """Score what can be scored: scores of the good rows, their row numbers in order, a failure for each other row.

    With `nan = "dead-letter"` a row with a missing or infinite value is refused, unless the value is NaN or null in a
    column where the signature says that it may be: `nullable`, shape (columns,).
    """
    rows = np.arange(inputs.shape[0], dtype=np.int64)
    failures: list[Failure] = []
    finite = plainly_finite(inputs)
    if not finite and nan == "dead-letter":
        bad = _refused(inputs, nullable)
        clean = np.logical_not(bad.any(axis=1))
        failures = [Failure(int(row), "NAN_FEATURE", _not_finite(inputs, row, bad, names)) for row in rows[~clean]]
        rows = rows[clean]
        inputs = inputs[clean] if failures else inputs
        finite = bool(failures) and plainly_finite(inputs)
    done: list[tuple[Scores, NDArray[np.int64]]] = []
    # A stack rather than recursion: ranges still to be scored, the next one last.
    waiting: list[tuple[Inputs, NDArray[np.int64]]] = [(inputs, rows)]
    while waiting:
        part, part_rows = waiting.pop()
        try:
            scores = _checked(engine.predict(part, finite=finite), part.shape[0])
        except UnansweredError:
            raise
        except Exception as error:  # noqa: BLE001  # the record's fate, not the worker's
            count = part.shape[0]
            if count <= 1:
                failures += [Failure(int(row), _cause(error), _said(error)) for row in part_rows]
                continue
            step = 1 if isinstance(error, ModelCrashedError | ModelTimeoutError) else count - count // 2
            slices = [slice(start, start + step) for start in range(0, count, step)]
            waiting += [(part[some], part_rows[some]) for some in reversed(slices)]
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


def _refused(inputs: Inputs, nullable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which values must not be there, shape (n, columns)."""
    if isinstance(inputs, Frame):
        return inputs.absent & ~nullable
    bad = ~np.isfinite(inputs)
    return bad & ~(np.isnan(inputs) & nullable) if bool(nullable.any()) else bad


def _not_finite(inputs: Inputs, row: int, bad: NDArray[np.bool_], names: Sequence[str]) -> str:
    """Name the first few columns that are not finite."""
    columns = np.flatnonzero(bad[row])
    shown = [
        f"{names[column] if column < len(names) else f'input {column}'} is "
        f"{'infinite' if _infinite(inputs, row, column) else 'NaN or null'}"
        for column in columns[:NAMES_SHOWN_MAX].tolist()
    ]
    more = f" and {len(columns) - NAMES_SHOWN_MAX} more" if len(columns) > NAMES_SHOWN_MAX else ""
    return ", ".join(shown) + more


def _infinite(inputs: Inputs, row: int, column: int) -> bool:
    values = list(inputs.columns.values())[column] if isinstance(inputs, Frame) else inputs[:, column]
    return values.dtype.kind == "f" and bool(np.isinf(values[row]))


def _cause(error: Exception) -> str:
    causes = (cause for kind, cause in CAUSES.items() if isinstance(error, kind))
    return next(causes, "MODEL_ERROR")


def _said(error: Exception) -> str:
    text = str(error).strip()
    if isinstance(error, tuple(CAUSES)):
        return text
    first = text.splitlines()[0] if text else ""
    # A model may quote the record's text, and JSON knows halves of surrogate pairs, which no dead letter can hold.
    written = first.encode(errors="backslashreplace").decode()
    return f"{type(error).__name__}: {written}"[:MESSAGE_CHARS_MAX]

"""`Engine`: a loaded model that is asked for batches; what all libraries' engines share.

In: a float matrix in the signature's order, or a frame for a model that takes columns by name. Out: `Scores`. Keys,
records and events are not known here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

from grid_inference.model.engines import outputs
from grid_inference.model.engines.isolate import Failure, NanPolicy, Predicts, Scores, isolate
from grid_inference.model.inputs.frame import Frame, Inputs
from grid_inference.model.signature import Signature

__all__ = ["Engine"]


class Engine(ABC):
    """Calls one model; safe to use from several threads, as the model is not changed."""

    def __init__(self, signature: Signature) -> None:
        self.signature = signature
        self._names = signature.names
        self._nullable = np.array([each.nullable for each in signature.inputs] or [False], np.bool_)

    def score(
        self, inputs: Inputs, nan: NanPolicy = "dead-letter", *, by: Predicts | None = None
    ) -> tuple[Scores, NDArray[np.int64], list[Failure]]:
        """Score what can be scored: scores of the good rows, their row numbers, a failure for each other row.

        `by` asks the model in our place: under a watch, or in a process of its own.
        """
        if not inputs.shape[0]:
            return outputs.empty(self.signature), np.empty(0, np.int64), []
        scores, good, failures = isolate(by or self, inputs, nan, self._names, self._nullable)
        return (scores if good.size else outputs.empty(self.signature)), good, failures

    def predict(self, inputs: Inputs, *, finite: bool | None = None) -> Scores:
        """Score all rows, or raise what the model raises. `finite` says that all values are known to be finite."""
        if not inputs.shape[0]:
            return outputs.empty(self.signature)
        if isinstance(inputs, Frame) and inputs.whole:
            return self._apart(inputs, finite=finite)
        rows = self.signature.call_rows
        return self._by_calls_of(rows, inputs, finite=finite) if rows else self._predict(inputs, finite=finite)

    def _apart(self, inputs: Frame, *, finite: bool | None) -> Scores:
        """Ask for rows of whole numbers apart from those with gaps or fractions, so that no row is what others are."""
        parts = inputs.calls()
        scores = Scores.concat([self.predict(part, finite=finite) for _, part in parts])
        return scores.take(np.argsort(np.concatenate([rows for rows, _ in parts])))

    def _by_calls_of(self, rows: int, inputs: Inputs, *, finite: bool | None) -> Scores:
        """Ask for just so many rows at a time, the last of them as often as needed to fill up the last call."""
        parts: list[Scores] = []
        for start in range(0, inputs.shape[0], rows):
            count = min(rows, inputs.shape[0] - start)
            part = inputs[start : start + count]
            if count < rows:
                part = part[np.minimum(np.arange(rows), count - 1)]
            scores = self._predict(part, finite=finite)
            parts.append(scores if count == rows else scores.take(np.arange(count)))
        return parts[0] if len(parts) == 1 else Scores.concat(parts)

    @abstractmethod
    def _predict(self, inputs: Inputs, *, finite: bool | None) -> Scores:
        """Score at least one row."""

"""Whether what a model says of a record hangs on the records beside it, found out with a sample where it is published.

In: an engine and a sample's rows. Out: how many rows it has to be asked for at a time, or the refusal of a model that
says something else of the same record in other company whatever the size of the call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from grid_inference.errors import SignatureError
from grid_inference.model.engines.engine import Engine
from grid_inference.model.engines.isolate import Scores
from grid_inference.model.inputs.frame import Inputs
from grid_inference.model.signature import Signature

__all__ = ["steady"]

ROWS = 512
"""So many rows are asked for, those of a smaller sample again and again."""
ALONE = 8
"""So many of them one by one."""
CALL_ROWS = 64
TOLERANCE = 1e-6
"""Scores may differ by so much, as sums are added up in another order; labels may not."""


def steady(engine: Engine, inputs: Inputs | None, again: Callable[[Signature], Engine]) -> Engine:
    """The engine, or another one `again` that asks for a fixed number of rows if else a batch changed its answers.

    Raises SignatureError if they change even so. A model that can't score its sample is let through: others tell that.
    """
    if inputs is None or not inputs.shape[0]:
        return engine
    rows = inputs[np.resize(np.arange(inputs.shape[0]), ROWS)]
    if _same_whatever_the_batch(engine, rows):
        return engine
    fixed = again(replace(engine.signature, call_rows=CALL_ROWS))
    if engine.signature.call_rows or not _same_whatever_the_batch(fixed, rows):
        raise SignatureError(
            "what the model says of a record hangs on the records beside it",
            remedy="take what it computes over all rows of a call, as a mean or a rank, out of the model; records are "
            "scored in whatever batches they come",
        )
    return fixed


def _same_whatever_the_batch(engine: Engine, rows: Inputs) -> bool:
    try:
        whole = engine.predict(rows)
        return all(_equal(whole.take(some), engine.predict(rows[some])) for some in _batches(rows.shape[0]))
    except Exception:  # noqa: BLE001  # a model may raise anything for rows with gaps
        return True


def _batches(count: int) -> Iterator[NDArray[np.intp]]:
    every = np.arange(count)
    yield every[::-1]
    yield every[: count // 2]
    yield every[count // 2 :]
    yield every[: count // 4 + 1]
    yield from (every[row : row + 1] for row in range(min(ALONE, count)))


def _equal(one: Scores, other: Scores) -> bool:
    labels = one.label_index is None or np.array_equal(one.label_index, other.label_index)  # type: ignore[arg-type]
    values = [(one.score, other.score), (one.scores, other.scores)]
    return labels and all(
        mine is None or theirs is None or np.allclose(mine, theirs, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True)
        for mine, theirs in values
    )

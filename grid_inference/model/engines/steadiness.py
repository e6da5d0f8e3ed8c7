"""Whether what a model says of a record hangs on the records beside it, found out with a sample where it is published.

In: an engine and a sample's rows. Out: how many rows it has to be asked for at a time, and what it said of the sample;
or the refusal of a model that says something else of the same record in other company whatever the size of the call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from grid_inference.errors import SignatureError
from grid_inference.model.engines import outputs
from grid_inference.model.engines.agreement import disagreement
from grid_inference.model.engines.engine import Engine
from grid_inference.model.engines.isolate import Scores
from grid_inference.model.inputs.frame import Frame, Inputs
from grid_inference.model.signature import Signature

__all__ = ["ROWS", "Tried", "steady"]

ROWS = 512
"""So many rows are asked for, those of a smaller sample again and again."""
ALONE = 8
"""So many of them one by one."""
CALL_ROWS = 64


@dataclass(frozen=True, slots=True, eq=False)
class Tried:
    """A model that was asked for the n rows of a sample."""

    engine: Engine
    """Asks for as many rows at a time as it must."""
    rows: NDArray[np.intp]
    """The numbers of those that it has scored: all, or those in which nothing is missing, or none."""
    scores: Scores
    """Of these."""


def steady(engine: Engine, inputs: Inputs, again: Callable[[Signature], Engine]) -> Tried:
    """Ask for a sample of 1 to `ROWS` rows, in several batches.

    If these change the answers, another engine is made by `again` that asks for a fixed number of rows. Raises
    SignatureError if they change even so. What it can't score is left to others to tell.
    """
    count = inputs.shape[0]
    numbers = np.resize(np.arange(count), ROWS)
    for some in (numbers, numbers[_whole(inputs)[numbers]]):
        rows, whole = inputs[some], _asked(engine, inputs[some])
        if whole is None:
            continue
        if not _same_whatever_the_batch(engine, rows, whole):
            engine, whole = _fixed(engine, rows, again)
        once = np.unique(some, return_index=True)[1]
        return Tried(engine, some[once], whole.take(once))
    return Tried(engine, numbers[:0], outputs.empty(engine.signature))


def _whole(inputs: Inputs) -> NDArray[np.bool_]:
    absent = inputs.absent if isinstance(inputs, Frame) else ~np.isfinite(inputs)
    return np.asarray(~absent.any(axis=1))


def _asked(engine: Engine, rows: Inputs) -> Scores | None:
    """None if there are none, or it can't be asked for all of them."""
    try:
        return engine.predict(rows) if rows.shape[0] else None
    except Exception:  # noqa: BLE001  # a model may raise anything for rows with gaps
        return None


def _fixed(engine: Engine, rows: Inputs, again: Callable[[Signature], Engine]) -> tuple[Engine, Scores]:
    """Another engine that asks for a fixed number of rows, and what it says of these."""
    fixed = again(replace(engine.signature, call_rows=CALL_ROWS))
    whole = None if engine.signature.call_rows else _asked(fixed, rows)
    if whole is None or not _same_whatever_the_batch(fixed, rows, whole):
        raise SignatureError(
            "what the model says of a record hangs on the records beside it",
            remedy="take what it computes over all rows of a call, as a mean or a rank, out of the model; records are "
            "scored in whatever batches they come",
        )
    return fixed, whole


def _same_whatever_the_batch(engine: Engine, rows: Inputs, whole: Scores) -> bool:
    """Whether it says the same of these rows in other batches."""
    try:
        return all(
            disagreement(whole.take(some), engine.predict(rows[some]), engine.signature) is None
            for some in _batches(rows.shape[0])
            if some.size
        )
    except Exception:  # noqa: BLE001  # a model may raise anything
        return True


def _batches(count: int) -> Iterator[NDArray[np.intp]]:
    every = np.arange(count)
    yield every[::-1]
    yield every[: count // 2]
    yield every[count // 2 :]
    yield every[: count // 4 + 1]
    yield from (every[row : row + 1] for row in range(min(ALONE, count)))

"""How long models take for a batch, measured in turns, so that what else the machine does strikes all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import numpy as np

from grid_inference.model.inputs.frame import Inputs

__all__ = ["BATCHES", "batch_of", "took"]

BATCHES = (1, 64, 4096)
"""Rows of the batches that are measured."""
MEASURE_S = 0.15
CALLS = (5, 200)


def batch_of(inputs: Inputs, size: int) -> Inputs:
    """A batch of `size` rows, from the first ones on; they come again where there are fewer."""
    return inputs[np.resize(np.arange(inputs.shape[0]), size)]


def took(*calls: Callable[[], object], seconds: float = MEASURE_S) -> tuple[float, ...]:
    """Microseconds that each takes, in the median of calls one behind the other; `seconds` is about what each gets."""
    taken: list[list[float]] = [[] for _ in calls]
    for call in calls:
        call()
    least, most = CALLS
    until = time.perf_counter() + seconds * len(calls)
    for count in range(most):
        if count >= least and time.perf_counter() > until:
            break
        for call, times in zip(calls, taken, strict=True):
            begun = time.perf_counter()
            call()
            times.append(time.perf_counter() - begun)
    return tuple(median(times) * 1e6 for times in taken)

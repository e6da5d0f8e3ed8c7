"""How many values a regressor gives for a record, where only its answer tells: it is asked before it is published.

In: an engine, and a sample's rows. Out: its signature with the number of values. It is asked for a row of the sample,
else for one of zeros and empty texts, or its last step alone for one of zeros.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from grid_inference.errors import SignatureError
from grid_inference.model.described import Input
from grid_inference.model.dtypes import unzoned
from grid_inference.model.engines.engine import Engine
from grid_inference.model.engines.native.library import ArrayEngine
from grid_inference.model.engines.sklearn import SklearnEngine
from grid_inference.model.inputs.frame import Frame, Inputs
from grid_inference.model.inputs.sources import Sources
from grid_inference.model.signature import Signature
from grid_inference.wire.compact import Column

__all__ = ["settled"]

ROWS_MAX = 8
"""So many rows of a sample are tried, those without gaps first."""


def settled(engine: Engine, inputs: Inputs | None) -> Signature:
    """The signature with how many values a regressor gives for a record, where it does not say so itself.

    Raises SignatureError where nothing tells: no sample, and a model that raises for whatever else it is asked.
    """
    signature = engine.signature
    if signature.task != "regressor" or signature.outputs or not isinstance(engine, SklearnEngine | ArrayEngine):
        return signature
    for ask in _asks(engine, inputs):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what is asked here nothing is used but its shape
                found = np.asarray(ask())
        except Exception:  # noqa: BLE001, S112  # it may be no possible record
            continue
        count = found.shape[1] if found.ndim == 2 and found.shape[1] > 1 else 0
        return replace(signature, outputs=count)
    if inputs is not None or engine.gives_one:
        return signature  # a sample that it can't score is told of by whoever asks for all of it
    raise SignatureError(
        "nothing tells how many values the model gives for a record, and it can't be asked for zeros",
        remedy="give rows of its inputs as the sample",
    )


def _asks(engine: SklearnEngine | ArrayEngine, inputs: Inputs | None) -> Iterator[Callable[[], Any]]:
    """Ways to ask, the surest first."""
    if inputs is not None:
        order = np.argsort(_gaps(inputs), kind="stable")[:ROWS_MAX]
        yield from (partial(engine.raw, inputs[order[at : at + 1]]) for at in range(order.size))
        return
    if isinstance(engine, SklearnEngine):
        yield engine.raw_of_last
    yield lambda: engine.raw(_blank(engine.signature))


def _gaps(inputs: Inputs) -> Any:
    """How many values each row lacks, shape (n,)."""
    return (inputs.absent if isinstance(inputs, Frame) else ~np.isfinite(inputs)).sum(axis=1)


def _blank(signature: Signature) -> Inputs:
    """A row of zeros, empty texts and the first moments."""
    if not signature.frame:
        return np.zeros((1, max(signature.inputs_count, 1)))
    columns = {each.name: Column(_nothing(each)) for each in signature.inputs}
    return Sources(signature, {}).inputs(columns, 1, {})


def _nothing(wanted: Input) -> Any:
    if wanted.dtype == "string":
        return np.array([""], object)
    return np.zeros(1, unzoned(wanted.dtype) or float)

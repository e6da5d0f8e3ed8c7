"""What a model gave for n records as `Scores`, by what the signature says of it.

In: arrays as libraries give them. Out: `Scores`, or BadOutputError where the shape is none that the signature knows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid_inference.model.engines.isolate import BadOutputError, Scores
from grid_inference.model.signature import Signature

__all__ = [
    "argmax",
    "certain",
    "detected",
    "empty",
    "grouped",
    "labelled",
    "lead",
    "matrix",
    "of_classes",
    "one_column",
    "values",
]


def values(found: Any, outputs: int) -> Scores:
    """A regressor's values, shape (n,) or (n, 1); with several outputs (n, outputs), of which `score` is the first."""
    if not outputs:
        return Scores(one_column(found).astype(np.float64, copy=False), None, None)
    several = matrix(found, outputs, "predict")
    return Scores(np.ascontiguousarray(several[:, 0]), None, several)


def of_classes(proba: NDArray[Any], index: NDArray[np.int32]) -> Scores:
    """A classifier's probabilities, shape (n, classes), and the index of each row's class."""
    proba = proba.astype(np.float64, copy=False)
    if proba.shape[1] == 2:
        score = np.ascontiguousarray(proba[:, 1])
    else:
        score = proba[np.arange(proba.shape[0]), np.maximum(index, 0)]
    return Scores(score, index, proba)


def labelled(proba: Any, on: Any, labels: int) -> Scores:
    """Several labels a record: how likely each is, and which apply; both of shape (n, labels)."""
    proba, on = matrix(proba, labels, "predict_proba"), matrix(on, labels, "predict") > 0
    return Scores(proba.max(axis=1), (on @ (1 << np.arange(labels))).astype(np.int32), proba)


def detected(decision: Any, outlier: NDArray[np.bool_]) -> Scores:
    """How far inside each record is, negative outside, and whether it is an outlier; both of shape (n,)."""
    return Scores(one_column(decision).astype(np.float64, copy=False), outlier.astype(np.int32), None)


def grouped(index: NDArray[np.int32], measures: NDArray[Any] | None) -> Scores:
    """Each record's cluster, and its distance to every cluster or how likely each is; shape (n, clusters)."""
    if measures is None:
        return Scores(np.zeros(index.size), index, None)
    measures = measures.astype(np.float64, copy=False)
    return Scores(measures[np.arange(index.size), np.maximum(index, 0)], index, measures)


def empty(signature: Signature) -> Scores:
    """What no record gets."""
    index = None if signature.task == "regressor" else np.empty(0, np.int32)
    count = signature.scores_count
    return Scores(np.empty(0), index, np.empty((0, count)) if count else None)


def argmax(proba: NDArray[Any]) -> NDArray[np.int32]:
    """The likeliest class of each row, the first of several."""
    if proba.shape[1] == 2:
        return (proba[:, 1] > proba[:, 0]).astype(np.int32)
    return proba.argmax(axis=1).astype(np.int32)


def certain(index: NDArray[np.int32], classes: int) -> Scores:
    """Classes without probabilities: 1 for each row's class, and 0 for the others."""
    return of_classes((index[:, None] == np.arange(classes)).astype(np.float64), index)


def lead(proba: NDArray[Any]) -> NDArray[Any]:
    """How far the likeliest class of each row is ahead of the next; of two classes or more, shape (n,)."""
    if proba.shape[1] == 2:
        return np.abs(proba[:, 1] - proba[:, 0])
    best = np.partition(proba, -2, axis=1)[:, -2:]
    return best[:, 1] - best[:, 0]


def one_column(found: Any) -> NDArray[Any]:
    """What `predict` gave as a vector; a single column counts as one."""
    found = np.asarray(found)
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    if found.ndim != 1:
        raise BadOutputError(f"predict gave shape {found.shape}: several outputs per record")
    return found


def matrix(found: Any, columns: int, method: str) -> NDArray[np.float64]:
    """What a method gave, dense or sparse, as floats of shape (n, columns)."""
    values = np.asarray(found.toarray() if hasattr(found, "toarray") else found, np.float64)
    if values.ndim != 2 or values.shape[1] != columns:
        raise BadOutputError(f"{method} gave shape {values.shape}, not {columns} values per record")
    return values

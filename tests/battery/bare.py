"""What a bare model says of rows, as a prediction would hold it: label, `score`, `scores` (docs/models.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

VALUES = frozenset({"value", "several values", "ranks", "shares"})
"""The tasks of regressors."""


@dataclass(frozen=True)
class Said:
    """Of n rows."""

    labels: list[str] | None
    score: np.ndarray
    """Shape (n,)."""
    scores: np.ndarray | None = None
    """Shape (n, k)."""


def of_classes(proba: Any, labels: Sequence[Any], classes: Sequence[Any]) -> Said:
    """Probabilities of shape (n, classes), and each row's class."""
    proba, names = np.asarray(proba), [str(each) for each in classes]
    places = np.array([names.index(str(label)) for label in labels], int)
    score = proba[:, 1] if len(names) == 2 else proba[np.arange(len(places)), places]
    return Said([str(label) for label in labels], score, proba)


def of_certain(labels: Sequence[Any], classes: Sequence[Any]) -> Said:
    """Classes without probabilities: 1 for a row's class."""
    hot = np.array([[str(label) == str(each) for each in classes] for label in labels], float)
    return of_classes(hot.reshape(len(labels), len(classes)), labels, classes)


def of_labels(proba: Any, on: Any) -> Said:
    """Several labels a record, called by their numbers; both of shape (n, labels)."""
    proba, on = np.asarray(proba), np.asarray(on)
    return Said([", ".join(map(str, np.flatnonzero(row))) for row in on], proba.max(axis=1), proba)


def of_values(values: Any) -> Said:
    """A regressor's."""
    values = np.asarray(values)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    return Said(None, values, None) if values.ndim == 1 else Said(None, values[:, 0], values)


def of_detector(decision: Any, found: Any) -> Said:
    """An outlier detector's; `found` is 1 or -1."""
    return Said(["inlier" if each == 1 else "outlier" for each in np.ravel(found)], np.ravel(decision))


def of_clusters(found: Any, measures: Any = None) -> Said:
    """A cluster each, and how far or how likely each cluster is."""
    labels = [str(each) for each in np.ravel(found)]
    if measures is None:
        return Said(labels, np.zeros(len(labels)))
    measures = np.asarray(measures)
    return Said(labels, measures[np.arange(len(labels)), np.ravel(found).astype(int)], measures)


def of_estimator(model: Any, rows: Any, task: str) -> Said:
    """What whatever has scikit-learn's methods says."""
    if task in VALUES:
        return of_values(model.predict(rows))
    found = np.asarray(model.predict(rows))
    proba = model.predict_proba(rows) if hasattr(model, "predict_proba") else None
    if task == "outliers":
        return of_detector(model.decision_function(rows), found)
    if task == "clusters":
        return of_clusters(found, _measures(model, rows) if proba is None else proba)
    if task == "several labels":
        if isinstance(proba, list):  # a matrix for each label
            proba = np.stack([np.asarray(each)[:, 1] for each in proba], axis=1)
        return of_labels(found if proba is None else proba, found)
    return of_certain(found, model.classes_) if proba is None else of_classes(proba, found, model.classes_)


def _measures(model: Any, rows: Any) -> Any:
    """The distances to each cluster, where `transform` gives these."""
    if not hasattr(model, "transform"):
        return None
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    if hasattr(last, "subcluster_labels_") and not np.array_equal(
        last.subcluster_labels_, np.arange(len(last.subcluster_labels_))
    ):
        return None  # Birch's are those to other things than its clusters
    return model.transform(rows)

"""Scores held against labels. In: what a version said of n records, and their labels, n at least 1. Out: figures.

A class is its number in the signature, as everywhere.
"""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_auc_score

from grid_inference.model.engines.isolate import Scores
from grid_inference.versions.comparison.report import ClassifierQuality, RegressorQuality

__all__ = ["CALIBRATION_BINS", "calibration", "claimed", "of_classifier", "of_regressor"]

CALIBRATION_BINS = 10
LEAST_PROBABILITY = float(np.finfo(np.float64).eps)
"""What a probability of 0 counts as in the log loss, as in scikit-learn."""
Floats = NDArray[np.float64]


def of_classifier(scores: Scores, truth: NDArray[np.int64]) -> ClassifierQuality:
    """A classifier's figures; its probabilities of all classes are in `scores.scores`."""
    probabilities, label = cast("Floats", scores.scores), cast("NDArray[np.int32]", scores.label_index)
    right = probabilities[np.arange(truth.size), truth]
    hits = truth[:, np.newaxis] == np.arange(probabilities.shape[1])
    squares = (probabilities - hits) ** 2
    return ClassifierQuality(
        accuracy=float((label == truth).mean()),
        auc=_auc(probabilities, hits),
        log_loss=float(-np.log(np.clip(right, LEAST_PROBABILITY, 1)).mean()),
        brier=float(squares[:, 1].mean() if probabilities.shape[1] == 2 else squares.sum(axis=1).mean()),
        calibration_error=_calibration_error(scores, truth),
    )


def claimed(scores: Scores) -> Floats:
    """Of two classes the second's probability, else the label's; whatever class the score is of."""
    probabilities = cast("Floats", scores.scores)
    if probabilities.shape[1] == 2:
        return probabilities[:, 1]
    return probabilities[np.arange(scores.score.size), cast("NDArray[np.int32]", scores.label_index)]


def of_regressor(scores: Scores, truth: Floats) -> RegressorQuality:
    """A regressor's figures, of its first output."""
    errors, around = scores.score - truth, truth - truth.mean()
    r2 = float(1 - (errors**2).sum() / (around**2).sum()) if np.ptp(truth) else None
    return RegressorQuality(float(np.abs(errors).mean()), float(np.sqrt((errors**2).mean())), r2)


def calibration(scores: Scores, truth: NDArray[np.int64]) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Of each bin that has records the mean probability, the share that came true, and how many they are.

    Of two classes it is the second's probability, else the label's.
    """
    said, true = _claims(scores, truth)
    share, mean = calibration_curve(true, said, n_bins=CALIBRATION_BINS, pos_label=1)
    # The bins of calibration_curve, which does not tell how many are in each.
    bins = np.searchsorted(np.linspace(0, 1, CALIBRATION_BINS + 1)[1:-1], said)
    counts = np.bincount(bins)
    return mean, share, counts[counts > 0]


def _claims(scores: Scores, truth: NDArray[np.int64]) -> tuple[Floats, NDArray[np.int64]]:
    two = cast("Floats", scores.scores).shape[1] == 2
    true = truth == 1 if two else truth == scores.label_index
    return np.clip(claimed(scores), 0, 1), true.astype(np.int64)


def _calibration_error(scores: Scores, truth: NDArray[np.int64]) -> float:
    mean, share, counts = calibration(scores, truth)
    return float(np.average(np.abs(mean - share), weights=counts))


def _auc(probabilities: Floats, hits: NDArray[np.bool_]) -> float | None:
    some = hits.any(axis=0) & ~hits.all(axis=0)
    if not some.any():
        return None
    columns = [1] if probabilities.shape[1] == 2 else np.flatnonzero(some).tolist()
    return float(np.mean([roc_auc_score(hits[:, column], probabilities[:, column]) for column in columns]))

"""A fraud model trained on simulated payments, and the later payments for it to score.

In: a seed and how many payments to stream; out: a fitted classifier, the score from which a payment is an alert, and
the stream with its features and true labels. Time is split as the Fraud Detection Handbook does: between training,
test and stream lies the week in which frauds are not reported yet, so no model sees what was not known in its time.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import average_precision_score, roc_auc_score
from threadpoolctl import threadpool_limits

from grid_inference.demo.features import (
    FEATURES,
    REPORT_DELAY_DAYS,
    WINDOW_DAYS,
    FeatureColumns,
    feature_matrix,
    window_features,
)
from grid_inference.demo.simulator import Transactions, simulate

__all__ = ["AUTHENTIC", "FRAUD", "FraudModel", "Quality", "Stream", "alert_threshold", "quality", "train"]

AUTHENTIC, FRAUD = "authentic", "fraud"
"""Class names. scikit-learn sorts them, and a score is the probability of the second."""
TRAIN_START_DAY: Final = max(WINDOW_DAYS) + REPORT_DELAY_DAYS
"""Before it the longest window is not full."""
TRAIN_END_DAY: Final = TRAIN_START_DAY + 14
TEST_START_DAY: Final = TRAIN_END_DAY + REPORT_DELAY_DAYS
TEST_END_DAY: Final = TEST_START_DAY + 7
STREAM_START_DAY: Final = TEST_END_DAY + REPORT_DELAY_DAYS
DAILY_PAYMENTS_LEAST: Final = 1.6
"""A customer's payments a day, averaged over all of them, reach this with room to spare; about 1.9 is usual."""
ALERT_PRECISION: Final = 0.8
"""Four alerts in five should be frauds."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Payments that came after training and test, in the order of time."""

    transactions: Transactions
    """`transaction_id` is the key of a record, `fraud` the truth."""
    features: FeatureColumns
    """The record's columns, those of `FEATURES`."""

    def __len__(self) -> int:
        return len(self.transactions)


@dataclass(frozen=True, slots=True)
class Quality:
    """How well scores tell frauds from the rest, and what the alerts are worth. What can't be said is NaN."""

    auc: float
    """Area under the ROC curve; NaN without any fraud or without anything else."""
    average_precision: float
    frauds: int
    alerts: int
    alert_precision: float
    """Share of alerts that are frauds; NaN without alerts."""
    alert_recall: float
    """Share of frauds that raised an alert; NaN without frauds."""


@dataclass(frozen=True, slots=True)
class FraudModel:
    """What a training hands over."""

    model: HistGradientBoostingClassifier
    """Fitted on named columns; `classes_` is ("authentic", "fraud")."""
    threshold: float
    """A score from here on is an alert; whole hundredths."""
    test: Quality
    """On the test week, which the model was not fitted on but the threshold was chosen on."""
    stream: Stream
    newer: HistGradientBoostingClassifier
    """The same, fitted on the test week as well, as a team would a week later."""

    @property
    def auc_test(self) -> float:
        """Area under the ROC curve on the test week."""
        return self.test.auc


def train(
    seed: int = 0, *, records: int = 250_000, customers: int = 5_000, terminals: int = 10_000, iterations: int = 100
) -> FraudModel:
    """Simulate, fit on two weeks, choose the threshold on a later one, and hand over `records` payments after that.

    A newer model is fitted on that later week too.
    """
    stream_days = math.ceil(records / (customers * DAILY_PAYMENTS_LEAST))
    transactions = simulate(customers, terminals, STREAM_START_DAY + stream_days, seed)
    features = window_features(transactions)
    days = (TRAIN_START_DAY, TRAIN_END_DAY, TEST_START_DAY, TEST_END_DAY, STREAM_START_DAY)
    train_start, train_end, test_start, test_end, stream_start = np.searchsorted(transactions.day, days).tolist()
    if len(transactions) < stream_start + records:
        raise ValueError(f"{customers} customers at {terminals} terminals make too few payments; simulate more of both")
    model = _fit(_rows(features, train_start, train_end), transactions.fraud[train_start:train_end], iterations, seed)
    scores = _scores(model, _rows(features, test_start, test_end))
    frauds = transactions.fraud[test_start:test_end]
    threshold = alert_threshold(scores, frauds)
    newer = _fit(_rows(features, train_start, test_end), transactions.fraud[train_start:test_end], iterations, seed)
    # Named only now: before, scikit-learn would warn that our plain matrix of the test week has no names.
    for one in (model, newer):
        _name_columns(one)
    stream_end = stream_start + records
    stream = Stream(transactions.rows(stream_start, stream_end), _rows(features, stream_start, stream_end))
    return FraudModel(model, threshold, quality(scores, frauds, threshold), stream, newer)


def alert_threshold(scores: ArrayLike, frauds: ArrayLike, precision: float = ALERT_PRECISION) -> float:
    """The lowest score, in whole hundredths, from which on this share of payments are frauds; 0.99 if none does."""
    score, fraud = np.asarray(scores, np.float64), np.asarray(frauds, np.bool_)
    for hundredths in range(1, 99):
        alerts = score >= hundredths / 100
        if fraud[alerts].sum() >= precision * max(1, alerts.sum()):
            return hundredths / 100
    return 0.99


def quality(scores: ArrayLike, frauds: ArrayLike, threshold: float) -> Quality:
    """Judge scores against the truth; an alert is a score of `threshold` or more."""
    score, fraud = np.asarray(scores, np.float64), np.asarray(frauds, np.bool_)
    alert = score >= threshold
    hits, alerts, total = int((alert & fraud).sum()), int(alert.sum()), int(fraud.sum())
    both_there = 0 < total < len(fraud)
    return Quality(
        auc=float(roc_auc_score(fraud, score)) if both_there else math.nan,
        average_precision=float(average_precision_score(fraud, score)) if total else math.nan,
        frauds=total,
        alerts=alerts,
        alert_precision=hits / alerts if alerts else math.nan,
        alert_recall=hits / total if total else math.nan,
    )


def _fit(
    features: FeatureColumns, frauds: NDArray[np.bool_], iterations: int, seed: int
) -> HistGradientBoostingClassifier:
    """Small trees, slowly learned: with one fraud in 120, larger steps make leaves of a few frauds too sure."""
    model = HistGradientBoostingClassifier(
        max_iter=iterations,
        learning_rate=0.05,
        max_leaf_nodes=15,
        min_samples_leaf=100,
        early_stopping=False,  # pyright: ignore[reportArgumentType]
        random_state=seed,
    )
    # Two threads that wait for each other at every split are ten times as slow as one when a grid starts beside them.
    with threadpool_limits(limits=1):
        return model.fit(feature_matrix(features), np.where(frauds, FRAUD, AUTHENTIC))


def _name_columns(model: HistGradientBoostingClassifier) -> None:
    """What fitting on a data frame does, without needing a data frame library."""
    model.feature_names_in_ = np.array(FEATURES, dtype=object)


def _scores(model: HistGradientBoostingClassifier, features: FeatureColumns) -> NDArray[np.float64]:
    return model.predict_proba(feature_matrix(features))[:, 1]


def _rows(features: FeatureColumns, start: int, stop: int) -> FeatureColumns:
    return {name: column[start:stop].copy() for name, column in features.items()}

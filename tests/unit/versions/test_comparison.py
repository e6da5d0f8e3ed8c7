"""Figures where they are not defined, or at an edge. What they are elsewhere: `tests/integration/test_compare.py`."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import ks_2samp

from grid_inference.model.engines.isolate import Scores
from grid_inference.versions.comparison.quality import calibration, of_classifier, of_regressor
from grid_inference.versions.comparison.statistics import difference, spread

SCORES = arrays.arrays(np.float64, st.shared(st.integers(1, 30), key="n"), elements=st.floats(-1e6, 1e6, width=32))


def binary(second: list[float]) -> Scores:
    score = np.array(second)
    return Scores(score, (score > 0.5).astype(np.int32), np.stack([1 - score, score], axis=1))


@given(SCORES, SCORES)
def test_the_kolmogorov_smirnov_distance_is_scipys(one: np.ndarray, other: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = ks_2samp(one, other).statistic
    assert difference(one, other).kolmogorov_smirnov == pytest.approx(expected, abs=1e-12)


@given(SCORES, SCORES)
def test_no_figure_is_infinite_or_nan(one: np.ndarray, other: np.ndarray) -> None:
    found = difference(one, other)
    assert all(np.isfinite(each) for each in (found.mean, found.largest, found.kolmogorov_smirnov))
    for each in (found.pearson, found.spearman):
        assert each is None or -1 - 1e-9 <= each <= 1 + 1e-9
    assert np.isfinite([*spread(one).quantiles.values()]).all()


def test_constant_scores_have_no_correlation() -> None:
    found = difference(np.full(5, 0.3), np.arange(5.0))
    assert (found.pearson, found.spearman) == (None, None)


def test_labels_of_one_class_have_no_auc_and_equal_values_no_r2() -> None:
    quality = of_classifier(binary([0.2, 0.9]), np.array([1, 1]))
    assert (quality.auc, quality.accuracy, quality.brier) == (None, 0.5, pytest.approx((0.64 + 0.01) / 2))
    assert of_regressor(Scores(np.array([1.0, 2.0]), None, None), np.array([3.0, 3.0])).r2 is None


def test_the_quality_is_that_of_all_classes_whatever_the_score_is_of() -> None:
    scores, truth = binary([0.2, 0.9, 0.4]), np.array([0, 1, 1])
    assert of_classifier(scores.of_class(0), truth) == of_classifier(scores, truth)
    mine, theirs = calibration(scores.of_class(0), truth), calibration(scores, truth)
    assert all(map(np.array_equal, mine, theirs))


def test_a_class_that_never_came_true_is_left_out_of_the_auc() -> None:
    scores = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.6, 0.3, 0.1]])
    found = of_classifier(
        Scores(scores.max(axis=1), scores.argmax(axis=1).astype(np.int32), scores), np.array([0, 1, 0])
    )
    assert (found.auc, found.accuracy) == (1.0, 1.0)


def test_certainty_that_is_wrong_costs_much_and_not_without_end() -> None:
    assert of_classifier(binary([0.0]), np.array([1])).log_loss == pytest.approx(36.04, abs=0.01)


def test_probabilities_at_the_edges_of_bins_are_counted_once() -> None:
    said = [0.0, 0.05, 0.1, 0.5, 1.0, 1.0]
    mean, share, counts = calibration(binary(said), np.array([0, 0, 1, 1, 1, 0]))
    assert counts.sum() == len(said)
    assert len(mean) == len(share) == len(counts)
    assert (mean * counts).sum() == pytest.approx(sum(said))
    assert (share * counts).sum() == pytest.approx(3)

"""The demo's model is trained on the past only, scores frauds well on the stream, and its files can be used."""

from __future__ import annotations

import csv
import json
import math
import runpy
import sys
import tomllib
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from grid_inference.demo import training
from grid_inference.demo.features import FEATURES, window_features
from grid_inference.demo.simulator import DAY_S, simulate
from grid_inference.demo.training import STREAM_START_DAY, FraudModel, alert_threshold, quality, train

MODELS = Path(__file__).parents[3] / "models" / "fraud"
RECORDS = 20_000


@pytest.fixture(scope="module")
def trained() -> FraudModel:
    return train(seed=0, records=RECORDS)


def stream_scores(trained: FraudModel) -> NDArray[np.float64]:
    with threadpool_limits(limits=1):
        return trained.model.predict_proba(pd.DataFrame(trained.stream.features))[:, 1]


def test_the_score_is_the_probability_of_fraud(trained: FraudModel) -> None:
    assert trained.model.classes_.tolist() == ["authentic", "fraud"]
    assert trained.model.feature_names_in_.tolist() == list(FEATURES)
    scores, frauds = stream_scores(trained), trained.stream.transactions.fraud
    assert scores[frauds].mean() > 10 * scores[~frauds].mean()


def test_the_model_is_good_and_stays_so_on_the_stream(trained: FraudModel) -> None:
    later = quality(stream_scores(trained), trained.stream.transactions.fraud, trained.threshold)
    assert trained.auc_test == trained.test.auc > 0.85
    assert later.auc > 0.85
    assert trained.test.alert_precision >= 0.8
    assert later.alert_precision > 0.6
    assert later.alert_recall > 0.45


def test_the_stream_is_whole_and_after_the_delay(trained: FraudModel) -> None:
    stream = trained.stream
    assert len(stream) == RECORDS
    assert tuple(stream.features) == FEATURES
    assert {len(column) for column in stream.features.values()} == {RECORDS}
    assert np.all(np.diff(stream.transactions.transaction_id) == 1)
    assert stream.transactions.day[0] == STREAM_START_DAY
    assert stream.transactions.time_s[0] < STREAM_START_DAY * DAY_S + 3600


def test_the_streams_features_are_those_of_the_whole_history(trained: FraudModel) -> None:
    days = STREAM_START_DAY + math.ceil(RECORDS / (5_000 * 1.6))
    history = simulate(5_000, 10_000, days, seed=0)
    ids = trained.stream.transactions.transaction_id
    assert np.array_equal(history.amount[ids], trained.stream.transactions.amount)
    features = window_features(history)
    assert all(np.array_equal(features[name][ids], trained.stream.features[name]) for name in FEATURES)


def small(records: int) -> FraudModel:
    return train(seed=3, records=records, customers=300, terminals=1_000, iterations=5)


def test_same_seed_same_model() -> None:
    first, second = small(500), small(500)
    assert np.array_equal(stream_scores(first), stream_scores(second))
    assert (first.threshold, first.test) == (second.threshold, second.test)


def test_a_longer_stream_begins_like_a_shorter_one() -> None:
    """And comes from the same model, so a deployment's threshold holds for any number of records."""
    short, long = small(100), small(5_000)
    assert (short.threshold, short.test) == (long.threshold, long.test)
    assert np.array_equal(stream_scores(short), stream_scores(long)[:100])


def test_too_few_payments_are_refused() -> None:
    with pytest.raises(ValueError, match="too few payments"):
        train(records=1_000, customers=10, terminals=20)


def test_quality_counts_alerts_and_frauds() -> None:
    found = quality([0.1, 0.5, 0.7, 0.9], [False, True, False, True], threshold=0.7)
    assert (found.frauds, found.alerts, found.alert_precision, found.alert_recall) == (2, 2, 0.5, 0.5)
    assert found.auc == 0.75
    assert found.average_precision == pytest.approx(5 / 6)


def test_quality_is_nan_where_nothing_can_be_said() -> None:
    nothing = quality([], [], 0.5)
    assert math.isnan(nothing.auc)
    assert math.isnan(nothing.average_precision)
    assert math.isnan(nothing.alert_recall)
    only_frauds = quality([0.1, 0.2], [True, True], 0.5)
    assert math.isnan(only_frauds.auc)
    assert math.isnan(only_frauds.alert_precision)
    assert only_frauds.alert_recall == 0


def test_the_threshold_is_the_lowest_that_is_precise_enough() -> None:
    scores, frauds = [0.2, 0.3, 0.4, 0.5, 0.6], [False, False, True, True, True]
    assert alert_threshold(scores, frauds, precision=1.0) == 0.31
    assert alert_threshold(scores, frauds, precision=0.75) == 0.21


def test_no_threshold_is_precise_enough() -> None:
    """No alerts at all are not precise either."""
    assert alert_threshold([0.2, 0.3], [False, False]) == 0.99
    assert alert_threshold([0.99, 1.0], [False, False]) == 0.99


def test_the_script_writes_what_a_deployment_needs(
    trained: FraudModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def already_trained(seed: int, *, records: int) -> FraudModel:
        assert (seed, records) == (0, RECORDS)
        return trained

    monkeypatch.setattr(training, "train", already_trained)
    monkeypatch.setattr(sys, "argv", ["train.py", "--records", str(RECORDS), "--to", str(tmp_path / "new")])
    runpy.run_path(str(MODELS / "train.py"), run_name="__main__")
    facts = json.loads((tmp_path / "new" / "quality.json").read_text())
    assert facts["threshold"] == trained.threshold
    assert facts["test"]["auc"] == trained.auc_test
    payments = pd.read_csv(tmp_path / "new" / "payments.csv")
    assert payments.columns.tolist() == ["transaction_id", *FEATURES]
    assert payments["transaction_id"].tolist() == trained.stream.transactions.transaction_id.tolist()
    for name, column in trained.stream.features.items():
        assert payments[name].dtype == column.dtype
        assert np.allclose(payments[name], column, rtol=1e-15, atol=0)
    scores = joblib.load(tmp_path / "new" / "model.joblib").predict_proba(payments[list(FEATURES)])[:, 1]
    assert np.allclose(scores, stream_scores(trained), rtol=1e-12, atol=0)


def test_the_csv_gives_back_the_same_numbers(tmp_path: Path) -> None:
    stream = train(records=300, customers=300, terminals=1_000, iterations=1).stream
    runpy.run_path(str(MODELS / "train.py"))["write_csv"](stream, tmp_path / "payments.csv")
    with (tmp_path / "payments.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for name, column in stream.features.items():
        assert [column.dtype.type(row[name]) for row in rows] == column.tolist()


def test_the_deployment_alerts_from_the_trained_threshold(trained: FraudModel) -> None:
    deployment = tomllib.loads((MODELS / "deployment.toml").read_text(encoding="utf-8"))
    assert deployment["name"] == "fraud"
    assert deployment["model"] == "models/fraud/model.joblib"
    threshold = float(deployment["topic"]["where"].removeprefix("score >= "))
    # Another version of scikit-learn may choose its neighbour.
    assert threshold == pytest.approx(trained.threshold, abs=0.03)

"""Two versions over the same records: each figure is held against scikit-learn, numpy and scipy on the bare models."""

from __future__ import annotations

import json
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hazelcast
import numpy as np
import pandas as pd
import pytest
from hazelcast.config import IntType
from hazelcast.core import HazelcastJsonValue
from PIL import Image
from scipy.stats import ks_2samp, pearsonr, spearmanr
from sklearn.base import BaseEstimator
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    log_loss,
    mean_absolute_error,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.tree import DecisionTreeClassifier

import grid_inference as gi
from grid_inference.cli.app import run
from grid_inference.versions.comparison.report import ClassifierQuality, RegressorQuality
from grid_inference.wire.keys import encode_keys, partition_ids
from tests.integration.conftest import FEATURES

RNG = np.random.default_rng(21)
INPUTS = RNG.random((600, 3))
ROWS = 3_000
LABELLED = 2_000
RECORDS = RNG.random((ROWS, 3))
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def kinds(inputs: np.ndarray[Any, Any], seed: int) -> np.ndarray[Any, Any]:
    """What came true: the sum decides, and chance."""
    noise = np.random.default_rng(seed).normal(0, 0.3, len(inputs))
    return np.where(inputs.sum(axis=1) + noise > 1.5, "fraud", "authentic")


TRUTH = kinds(RECORDS, 2)
ONE = LogisticRegression(C=0.05).fit(INPUTS, kinds(INPUTS, 1))
OTHER = LogisticRegression(C=50.0).fit(INPUTS[:, :2], kinds(INPUTS, 1))
"""Which does not know the field c."""


@pytest.fixture
def token() -> str:
    """For names that nobody else uses."""
    return uuid.uuid4().hex[:10]


@pytest.fixture
def fraud(local_grid: gi.Grid, token: str) -> str:
    """The two models as versions 1 and 2, and 3,000 records in a map of the model's name."""
    local_grid.publish(ONE, name=token, columns=FEATURES, sample=INPUTS)
    local_grid.publish(OTHER, name=token, columns=FEATURES[:2])
    put(local_grid, token, RECORDS)
    return token


@pytest.fixture
def stock(local_grid: gi.Grid) -> Iterator[hazelcast.HazelcastClient]:
    """An ordinary client."""
    client = hazelcast.HazelcastClient(
        cluster_name=local_grid.cluster_name,
        cluster_members=[local_grid.address],
        default_int_type=IntType.LONG,
        statistics_enabled=False,
    )
    yield client
    client.shutdown()


def put(grid: gi.Grid, name: str, inputs: np.ndarray[Any, Any], first: int = 0) -> None:
    columns = dict(zip(FEATURES, inputs.T, strict=True))
    grid.features(name).put_batch(columns | {"key": np.arange(first, first + len(inputs))}, key="key")


def put_labels(grid: gi.Grid, name: str, labels: Any) -> None:
    grid.features(name).put_batch({"label": labels, "key": np.arange(len(labels))}, key="key")


def close(found: Any, expected: Any) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)


# ---- figures


def test_scores_and_labels_of_two_classifiers(local_grid: gi.Grid, fraud: str) -> None:
    found = local_grid.compare(f"{fraud}@1", f"{fraud}@2", features=fraud)
    assert (found.features, found.task, found.classes) == (fraud, "classifier", ("authentic", "fraud"))
    assert (found.sampled, found.compared, found.labelled) == (ROWS, ROWS, 0)
    assert (found.refused_by_one, found.refused_by_other, found.refused_by_both) == (0, 0, 0)
    assert (found.one.version, found.other.version) == (f"{fraud}@1", f"{fraud}@2")
    assert (found.one.quality, found.other.quality) == (None, None)
    one, other = ONE.predict_proba(RECORDS)[:, 1], OTHER.predict_proba(RECORDS[:, :2])[:, 1]
    assert sorted(found.rows.keys) == list(range(ROWS))
    close(found.rows.one.score, one[found.rows.keys])
    close(found.rows.other.score, other[found.rows.keys])
    for side, scores in ((found.one, one), (found.other, other)):
        close([side.scores.mean, side.scores.std], [scores.mean(), scores.std()])
        assert list(side.scores.quantiles) == [str(each) for each in QUANTILES]
        close(list(side.scores.quantiles.values()), np.quantile(scores, QUANTILES))
    apart = found.difference
    close([apart.mean, apart.largest], [np.abs(one - other).mean(), np.abs(one - other).max()])
    close([apart.pearson, apart.spearman], [pearsonr(one, other).statistic, spearmanr(one, other).statistic])
    close(apart.kolmogorov_smirnov, ks_2samp(one, other).statistic)
    assert found.agreement is not None
    mine, theirs = ONE.predict(RECORDS), OTHER.predict(RECORDS[:, :2])
    close(found.agreement.share, (mine == theirs).mean())
    pairs = {(m, t): n for m, some in found.agreement.confusion.items() for t, n in some.items()}
    assert pairs == Counter(zip(mine.tolist(), theirs.tolist(), strict=True))
    assert len(pairs) == 4  # so that a swap of the two would show
    assert pairs["fraud", "authentic"] != pairs["authentic", "fraud"]


def test_labels_say_which_one_is_right(local_grid: gi.Grid, fraud: str) -> None:
    put_labels(local_grid, f"{fraud}.labels", TRUTH[:LABELLED])
    found = local_grid.compare(f"{fraud}@1", f"{fraud}@2", features=fraud, labels=f"{fraud}.labels")
    assert (found.compared, found.labelled) == (ROWS, LABELLED)
    truth, is_fraud = TRUTH[:LABELLED], TRUTH[:LABELLED] == "fraud"
    for side, model, inputs in ((found.one, ONE, RECORDS), (found.other, OTHER, RECORDS[:, :2])):
        probabilities = model.predict_proba(inputs[:LABELLED])
        quality = side.quality
        assert isinstance(quality, ClassifierQuality)
        close(quality.accuracy, accuracy_score(truth, model.predict(inputs[:LABELLED])))
        close(quality.auc, roc_auc_score(is_fraud, probabilities[:, 1]))
        close(quality.log_loss, log_loss(truth, probabilities))
        close(quality.brier, brier_score_loss(is_fraud, probabilities[:, 1]))
        close(quality.calibration_error, calibration_error(probabilities[:, 1], is_fraud))
    assert found.one.quality != found.other.quality


def calibration_error(said: np.ndarray[Any, Any], true: np.ndarray[Any, Any]) -> float:
    """By its definition: per bin of a tenth the distance of what was said and what came true."""
    bins = np.minimum((said * 10).astype(int), 9)
    each = [(bins == one).mean() * abs(said[bins == one].mean() - true[bins == one].mean()) for one in np.unique(bins)]
    return float(np.sum(each))


def test_three_classes(local_grid: gi.Grid, token: str) -> None:
    truth = np.digitize(RECORDS[:, 0] + np.random.default_rng(5).normal(0, 0.2, ROWS), [0.3, 0.6])
    models = [LogisticRegression(C=c).fit(RECORDS[:500], truth[:500]) for c in (0.02, 10.0)]
    for model in models:
        local_grid.publish(model, name=token, columns=FEATURES)
    put(local_grid, token, RECORDS)
    put_labels(local_grid, f"{token}.labels", truth)
    found = local_grid.compare(f"{token}@1", f"{token}@2", features=token, labels=f"{token}.labels")
    for side, model in zip((found.one, found.other), models, strict=True):
        probabilities = model.predict_proba(RECORDS)
        quality = side.quality
        assert isinstance(quality, ClassifierQuality)
        close(quality.accuracy, accuracy_score(truth, model.predict(RECORDS)))
        close(quality.auc, roc_auc_score(truth, probabilities, multi_class="ovr"))
        close(quality.log_loss, log_loss(truth, probabilities))
        close(quality.brier, ((probabilities - np.eye(3)[truth]) ** 2).sum(axis=1).mean())
        hits = model.predict(RECORDS) == truth
        close(quality.calibration_error, calibration_error(probabilities.max(axis=1), hits))
        close(side.scores.mean, probabilities.max(axis=1).mean())


def test_regressors(local_grid: gi.Grid, token: str) -> None:
    truth = RECORDS @ [3.0, -2.0, 1.0] + np.random.default_rng(6).normal(0, 0.5, ROWS)
    models = [LinearRegression().fit(RECORDS[:500], truth[:500]), Ridge(alpha=300.0).fit(RECORDS[:500], truth[:500])]
    for model in models:
        local_grid.publish(model, name=token, columns=FEATURES)
    put(local_grid, token, RECORDS)
    put_labels(local_grid, f"{token}.labels", truth[:LABELLED])
    found = local_grid.compare(f"{token}@1", f"{token}@2", features=token, labels=f"{token}.labels")
    assert (found.task, found.agreement, found.labelled) == ("regressor", None, LABELLED)
    for side, model in zip((found.one, found.other), models, strict=True):
        said, true = model.predict(RECORDS), truth[:LABELLED]
        close(side.scores.mean, said.mean())
        quality = side.quality
        assert isinstance(quality, RegressorQuality)
        close(quality.mae, mean_absolute_error(true, said[:LABELLED]))
        close(quality.rmse, root_mean_squared_error(true, said[:LABELLED]))
        close(quality.r2, r2_score(true, said[:LABELLED]))


class Slow(BaseEstimator):
    """Passes its inputs on, with much ado."""

    def fit(self, x: Any, y: Any = None) -> Slow:
        self.n_features_in_ = x.shape[1]
        return self

    def transform(self, x: Any) -> Any:
        for _ in range(200):
            np.sort(np.tile(x, (2, 1)), axis=0)
        return x


def test_the_costlier_one_is_told(local_grid: gi.Grid, token: str) -> None:
    for model in (ONE, make_pipeline(Slow(), LogisticRegression()).fit(INPUTS, kinds(INPUTS, 1))):
        local_grid.publish(model, name=token, columns=FEATURES)
    put(local_grid, token, RECORDS[:200])
    found = local_grid.compare(f"{token}@1", f"{token}@2", features=token)
    assert [cost.rows for cost in found.costs] == [1, 64, 4096]
    for cost in found.costs:
        assert 0 < cost.one_us * 3 < cost.other_us
        assert cost.ratio == cost.other_us / cost.one_us
    assert found.costs[0].one_us > found.costs[2].one_us * 5, "they are of a record, not of a batch"


# ---- which records


def test_a_sample_is_of_all_partitions_and_the_same_again(local_grid: gi.Grid, fraud: str) -> None:
    found = local_grid.compare(f"{fraud}@1", f"{fraud}@2", features=fraud, rows=310)
    assert found.sampled == found.compared == 310
    assert local_grid.compare(f"{fraud}@1", f"{fraud}@2", features=fraud, rows=310).rows.keys == found.rows.keys
    count = Counter(partition_ids(encode_keys(found.rows.keys), 31).tolist())
    assert len(count) == 31
    assert max(count.values()) <= 2 * 310 / 31
    assert local_grid.compare(f"{fraud}@1", f"{fraud}@2", features=fraud, rows=7).compared == 7


def test_json_records_and_compact_ones(local_grid: gi.Grid, fraud: str, stock: hazelcast.HazelcastClient) -> None:
    more = np.random.default_rng(8).random((100, 3))
    rows = [dict(zip(FEATURES, row, strict=True)) for row in more.tolist()]
    values = {ROWS + at: HazelcastJsonValue(json.dumps(row)) for at, row in enumerate(rows)}
    stock.get_map(fraud).blocking().put_all(values)
    found = local_grid.compare(f"{fraud}@1", f"{fraud}@2", features=fraud)
    both = np.concatenate([RECORDS, more])
    assert found.compared == ROWS + 100
    close(found.rows.one.score, ONE.predict_proba(both)[found.rows.keys, 1])
    close(found.rows.other.score, OTHER.predict_proba(both[:, :2])[found.rows.keys, 1])


def test_refused_records_are_counted_by_cause(
    local_grid: gi.Grid, fraud: str, stock: hazelcast.HazelcastClient
) -> None:
    features = local_grid.features(fraud)
    features.put(ROWS, {"a": 0.5, "b": 0.5})  # feeds the second only
    features.put(ROWS + 1, {"a": 0.5, "b": 0.5})
    features.put(ROWS + 2, {"a": 0.5, "b": 0.5, "c": float("nan")})
    features.put(ROWS + 3, {"a": float("inf"), "b": 0.5, "c": 0.5})  # feeds neither
    stock.get_map(fraud).blocking().put(ROWS + 4, "no record")
    stock.get_map(fraud).blocking().put(ROWS + 5, HazelcastJsonValue('{"a": "much", "b": 1'))
    found = local_grid.compare(f"{fraud}@1", f"{fraud}@2", features=fraud)
    assert (found.sampled, found.compared) == (ROWS + 6, ROWS)
    assert (found.refused_by_one, found.refused_by_other, found.refused_by_both) == (3, 0, 3)
    both = {"NAN_FEATURE": 1, "UNSUPPORTED_FORMAT": 1, "UNDECODABLE": 1}
    assert found.other.refused == both
    assert found.one.refused == both | {"NAN_FEATURE": 2, "MISSING_FEATURE": 2}
    assert sorted(found.rows.keys) == list(range(ROWS))
    close(found.one.scores.mean, ONE.predict_proba(RECORDS)[:, 1].mean())


def test_a_deployment_says_where_inputs_come_from(local_grid: gi.Grid, fraud: str, token: str) -> None:
    renamed = f"{token}-renamed"
    columns = {"x": RECORDS[:, 0], "b": RECORDS[:, 1], "c": RECORDS[:, 2], "key": np.arange(ROWS)}
    local_grid.features(renamed).put_batch(columns, key="key")
    inputs = {"a": "x", "b": {"field": "b", "default": 0.25}}
    with pytest.raises(gi.ComparisonError, match=rf"{fraud}@1 refuses 3,000 \(MISSING_FEATURE"):
        local_grid.compare(f"{fraud}@1", f"{fraud}@2", features=renamed)
    local_grid.deploy(token, f"{fraud}@1", features=renamed, inputs=inputs)
    try:
        found = local_grid.compare(f"{fraud}@1", f"{fraud}@2", deployment=token)
    finally:
        local_grid.undeploy(token)
    assert (found.features, found.compared) == (renamed, ROWS)
    close(found.rows.other.score, OTHER.predict_proba(RECORDS[:, :2])[found.rows.keys, 1])


def test_models_of_two_names_by_alias_and_array_fields(local_grid: gi.Grid, token: str) -> None:
    names = [f"{token}-one", f"{token}-other"]
    for name in names:
        local_grid.publish(ONE, name=name)  # the records have one array field, which is found
    local_grid.promote(names[0], 1)
    local_grid.features(token).put_batch({"x": RECORDS[:50], "key": np.arange(50)}, key="key")
    found = local_grid.compare(f"{names[0]}@champion", f"{names[1]}@1", features=token)
    assert (found.one.version, found.other.version, found.compared) == (f"{names[0]}@1", f"{names[1]}@1", 50)
    assert found.agreement is not None
    assert (found.agreement.share, found.difference.largest) == (1.0, 0.0)
    close(found.rows.one.score, ONE.predict_proba(RECORDS)[found.rows.keys, 1])


# ---- labels


def _plain(stock: hazelcast.HazelcastClient, name: str) -> None:
    stock.get_map(name).blocking().put_all(dict(enumerate(TRUTH[:LABELLED].tolist())))


def _json(stock: hazelcast.HazelcastClient, name: str) -> None:
    values = {at: HazelcastJsonValue(json.dumps({"was": each, "n": at})) for at, each in enumerate(TRUTH[:LABELLED])}
    stock.get_map(name).blocking().put_all(values)


@pytest.mark.parametrize(("write", "field"), [(_plain, None), (_json, "was")])
def test_labels_of_other_clients(
    local_grid: gi.Grid, fraud: str, stock: hazelcast.HazelcastClient, write: Callable[..., None], field: str | None
) -> None:
    write(stock, f"{fraud}.labels")
    found = local_grid.compare(f"{fraud}@1", f"{fraud}@2", features=fraud, labels=f"{fraud}.labels", label_field=field)
    assert found.labelled == LABELLED
    assert isinstance(found.one.quality, ClassifierQuality)
    close(found.one.quality.accuracy, ONE.score(RECORDS[:LABELLED], TRUTH[:LABELLED]))


@pytest.mark.parametrize("classes", [[0, 1], [False, True], [0.0, 1.0], ["0", "1"]], ids=str)
@pytest.mark.parametrize("label", [bool, int, str], ids=lambda kind: kind.__name__)
def test_a_label_is_its_class_by_value(
    local_grid: gi.Grid, token: str, stock: hazelcast.HazelcastClient, classes: list[Any], label: type
) -> None:
    truth = (INPUTS.sum(axis=1) > 1.5).astype(int)
    local_grid.publish(LogisticRegression().fit(INPUTS, np.array(classes)[truth]), name=token, columns=FEATURES)
    put(local_grid, token, INPUTS[:100])
    said = {at: label(bool(each) if label is bool else int(each)) for at, each in enumerate(truth[:100])}
    stock.get_map(f"{token}.labels").blocking().put_all(said)
    if label is str and isinstance(classes[0], bool | float):
        with pytest.raises(gi.ComparisonError, match=r"is '[01]', and the model gives (0\.0, 1\.0|False, True)"):
            local_grid.compare(f"{token}@1", f"{token}@1", features=token, labels=f"{token}.labels")
        return
    found = local_grid.compare(f"{token}@1", f"{token}@1", features=token, labels=f"{token}.labels")
    assert found.labelled == 100
    assert isinstance(found.one.quality, ClassifierQuality)
    assert found.one.quality.accuracy > 0.9


def test_labels_may_stand_in_the_records_themselves(local_grid: gi.Grid, fraud: str) -> None:
    columns = dict(zip(FEATURES, RECORDS.T, strict=True)) | {"key": np.arange(ROWS)}
    known = [each if at < 500 else None for at, each in enumerate(TRUTH.tolist())]
    local_grid.features(fraud).put_batch(columns | {"was": np.array(known, object)}, key="key")
    found = local_grid.compare(f"{fraud}@1", f"{fraud}@2", features=fraud, labels=fraud, label_field="was")
    assert (found.compared, found.labelled) == (ROWS, 500)
    assert isinstance(found.one.quality, ClassifierQuality)
    close(found.one.quality.accuracy, ONE.score(RECORDS[:500], TRUTH[:500]))


# ---- what can't be compared


def test_what_is_not_there(local_grid: gi.Grid, fraud: str, token: str) -> None:
    one, other = f"{fraud}@1", f"{fraud}@2"
    with pytest.raises(gi.ModelError, match="there is no version 3 of the model") as no:
        local_grid.compare(one, f"{fraud}@3", features=fraud)
    assert f"models show {fraud}" in no.value.remedy
    with pytest.raises(gi.ModelError, match="has no alias 'champion'"):
        local_grid.compare(f"{fraud}@champion", other, features=fraud)
    with pytest.raises(gi.ConfigError, match=f"'{fraud}' names no published version"):
        local_grid.compare(fraud, other, features=fraud)
    with pytest.raises(gi.ComparisonError, match=f"there is no record in '{token}-nothing'"):
        local_grid.compare(one, other, features=f"{token}-nothing")
    with pytest.raises(gi.ConfigError, match="no feature map is given"):
        local_grid.compare(one, other)
    with pytest.raises(gi.DeploymentError, match="there is no deployment"):
        local_grid.compare(one, other, deployment=f"{token}-nothing")
    with pytest.raises(gi.ConfigError, match="rows = 0"):
        local_grid.compare(one, other, features=fraud, rows=0)


def test_records_that_feed_neither(local_grid: gi.Grid, fraud: str, token: str) -> None:
    local_grid.features(f"{token}-others").put_batch({"z": np.ones(5), "key": np.arange(5)}, key="key")
    wrong = rf"none of 5 records .* {fraud}@1 refuses 5 \(MISSING_FEATURE.*\), {fraud}@2 refuses 5 \(MISSING_FEATURE"
    with pytest.raises(gi.ComparisonError, match=wrong) as no:
        local_grid.compare(f"{fraud}@1", f"{fraud}@2", features=f"{token}-others")
    assert "`inputs`" in no.value.remedy


def test_labels_that_are_none(local_grid: gi.Grid, fraud: str, stock: hazelcast.HazelcastClient) -> None:
    def compare(labels: str, **more: str) -> None:
        local_grid.compare(f"{fraud}@1", f"{fraud}@2", features=fraud, labels=labels, **more)

    labels = local_grid.features(f"{fraud}.labels")
    labels.put("0", {"label": "fraud"})  # the records' keys are numbers
    with pytest.raises(gi.ComparisonError, match=r"labels' has no label of any of the 3,000 records") as no:
        compare(f"{fraud}.labels")
    assert "another type is another key" in no.value.remedy
    labels.put(7, {"label": "theft"})
    with pytest.raises(gi.ComparisonError, match=r"key 7 .* is 'theft', and the model gives authentic, fraud"):
        compare(f"{fraud}.labels")
    labels.put(7, {"label": "fraud", "by": "Ann"})
    with pytest.raises(gi.ComparisonError, match="several fields: by, label") as no:
        compare(f"{fraud}.labels")
    assert "label_field" in no.value.remedy
    with pytest.raises(gi.ComparisonError, match=r"the field 'lable' of .* has no label of any"):
        compare(f"{fraud}.labels", label_field="lable")
    compare(f"{fraud}.labels", label_field="label")
    stock.get_map(f"{fraud}.labels").blocking().set(7, [1, "pickled"])
    with pytest.raises(gi.ComparisonError, match=r"key 7 .* can't be read"):
        compare(f"{fraud}.labels")


def test_versions_of_other_tasks_and_classes(local_grid: gi.Grid, fraud: str) -> None:
    local_grid.publish(LinearRegression().fit(INPUTS, INPUTS[:, 0]), name=fraud, columns=FEATURES)
    with pytest.raises(gi.ComparisonError, match=f"{fraud}@1 is a classifier, {fraud}@3 a regressor"):
        local_grid.compare(f"{fraud}@1", f"{fraud}@3", features=fraud)
    put_labels(local_grid, f"{fraud}.labels", TRUTH[:10])
    with pytest.raises(gi.ComparisonError, match=r"is 'authentic', and the model gives a number|is 'fraud', and the"):
        local_grid.compare(f"{fraud}@3", f"{fraud}@3", features=fraud, labels=f"{fraud}.labels")
    local_grid.publish(LogisticRegression().fit(INPUTS, INPUTS[:, 0] > 0.5), name=fraud, columns=FEATURES)
    with pytest.raises(gi.ComparisonError, match=f"{fraud}@1 tells authentic, fraud apart, {fraud}@4 False, True"):
        local_grid.compare(f"{fraud}@1", f"{fraud}@4", features=fraud)
    for seed in (1, 2):
        clusters = KMeans(3, n_init=1, random_state=seed).fit(INPUTS)
        local_grid.publish(clusters, name=fraud, columns=FEATURES)
    assert local_grid.compare(f"{fraud}@5", f"{fraud}@6", features=fraud).agreement is not None
    with pytest.raises(gi.ComparisonError, match="is a clusterer, which is not held against labels"):
        local_grid.compare(f"{fraud}@5", f"{fraud}@6", features=fraud, labels=f"{fraud}.labels")


def test_a_version_that_nobody_here_trusts(local_grid: gi.Grid, fraud: str, tmp_path: Path) -> None:
    local_grid.publish(DecisionTreeClassifier(max_depth=3).fit(INPUTS, kinds(INPUTS, 1)), name=fraud, columns=FEATURES)
    assert local_grid.compare(f"{fraud}@1", f"{fraud}@3", features=fraud).compared == ROWS
    with (
        gi.connect(local_grid.address, cluster_name=local_grid.cluster_name, keys=str(tmp_path)) as stranger,
        pytest.raises(gi.TrustError, match="is not trusted here"),
    ):
        stranger.compare(f"{fraud}@1", f"{fraud}@3", features=fraud)


# ---- the command


@pytest.fixture
def cli(local_grid: gi.Grid, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Runs `models compare` here; gives its exit code, its output and its errors."""

    def call(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        where = "--address", local_grid.address, "--cluster-name", local_grid.cluster_name
        code = run(["models", "compare", *map(str, arguments), *where])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.out, said.err

    return call


def test_the_command_says_it_in_tables(local_grid: gi.Grid, fraud: str, cli: Callable[..., Any]) -> None:
    put_labels(local_grid, f"{fraud}.labels", TRUTH[:LABELLED])
    local_grid.features(fraud).put(ROWS, {"a": 0.5, "b": 0.5})
    code, out, err = cli(f"{fraud}@1", f"{fraud}@2", "--features", fraud, "--labels", f"{fraud}.labels")
    assert (code, err) == (0, "")
    words = {line.split("  ")[0]: line.split()[-2:] for line in out.splitlines() if line}
    one, other = ONE.predict_proba(RECORDS)[:, 1], OTHER.predict_proba(RECORDS[:, :2])[:, 1]
    assert f"3,000 of 3,001 records of {fraud} are scored by both" in out
    assert f"refused: 1 by {fraud}@1 only, 0 by {fraud}@2 only, 0 by both" in out
    assert words["MISSING_FEATURE"] == ["1", "0"]
    assert words["mean"] == [f"{one.mean():.6g}", f"{other.mean():.6g}"]
    accuracies = [
        ONE.score(RECORDS[:LABELLED], TRUTH[:LABELLED]),
        OTHER.score(RECORDS[:LABELLED, :2], TRUTH[:LABELLED]),
    ]
    assert words["accuracy"] == [f"{each:.6g}" for each in accuracies]
    same = (ONE.predict(RECORDS) == OTHER.predict(RECORDS[:, :2])).mean()
    assert f"the same label: {same:.2%}" in out
    assert f"of {LABELLED:,} labels" in out
    assert out.splitlines()[-1].split()[0] == "4,096"


def test_the_command_writes_json_and_a_picture(
    local_grid: gi.Grid, fraud: str, cli: Callable[..., Any], tmp_path: Path
) -> None:
    put_labels(local_grid, f"{fraud}.labels", np.where(np.arange(5) >= 0, "fraud", ""))  # one class: no AUC
    name = f"{fraud}.labels"
    plain, labelled = tmp_path / "plain.png", tmp_path / "labelled.png"
    code, out, _ = cli(f"{fraud}@1", f"{fraud}@2", "--features", fraud, "--json", "--png", plain)
    assert code == 0
    said = json.loads(out, parse_constant=pytest.fail)
    assert (said["compared"], said["labelled"], said["one"]["quality"]) == (ROWS, 0, None)
    close(said["one"]["scores"]["mean"], ONE.predict_proba(RECORDS)[:, 1].mean())
    assert "rows" not in said
    arguments = (f"{fraud}@1", f"{fraud}@1", "--features", fraud, "--labels", name, "--rows", 2_999)
    assert json.loads(cli(*arguments, "--json")[1], parse_constant=pytest.fail)["one"]["quality"]["auc"] is None
    assert cli(*arguments, "--png", tmp_path / "one-class.png")[0] == 0
    put_labels(local_grid, name, TRUTH)
    code, out, _ = cli(f"{fraud}@1", f"{fraud}@2", "--features", fraud, "--labels", name, "--png", labelled)
    assert (code, f"the picture is in {labelled}" in out) == (0, True)
    sizes = []
    for path in (plain, labelled):
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            assert len(picture.convert("RGB").getcolors(1 << 20)) > 50
            sizes.append(picture.size)
    assert sizes[1][1] > sizes[0][1] * 1.5, "ROC and calibration stand below"
    assert "matplotlib.pyplot" not in sys.modules


def test_the_command_says_what_is_missing(
    local_grid: gi.Grid, fraud: str, cli: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    code, _, err = cli(f"{fraud}@1", f"{fraud}@9", "--features", fraud)
    assert (code, "there is no version 9" in err) == (4, True)
    code, _, err = cli(f"{fraud}@1", f"{fraud}@2", "--features", f"{fraud}-nothing")
    assert (code, "there is no record in" in err) == (4, True)
    assert cli(f"{fraud}@1", f"{fraud}@2")[0] == 2
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    picture = tmp_path / "no.png"
    code, out, err = cli(f"{fraud}@1", f"{fraud}@2", "--features", fraud, "--png", picture)
    assert (code, out) == (2, "")
    problem, remedy = err.splitlines()
    assert problem == "grid-inference: a picture needs matplotlib, which is not installed here"
    assert remedy == "  pip install 'grid-inference[plot]'"
    assert not picture.exists()
    assert cli(f"{fraud}@1", f"{fraud}@2", "--features", fraud)[0] == 0


def test_strings_among_the_inputs(local_grid: gi.Grid, token: str) -> None:
    frame = pd.DataFrame({"city": np.array(["Ghent", "Porto"], object)[np.arange(200) % 2], "a": RECORDS[:200, 0]})
    encoder = ColumnTransformer([("city", OneHotEncoder(), ["city"])], remainder="passthrough")
    models = [make_pipeline(encoder, LogisticRegression(C=c)).fit(frame, frame["a"] > 0.4) for c in (0.1, 10.0)]
    for model in models:
        local_grid.publish(model, name=token, sample=frame)
    local_grid.features(token).put_batch(frame, key=np.arange(200))
    found = local_grid.compare(f"{token}@1", f"{token}@2", features=token)
    assert found.compared == 200
    close(found.rows.other.score, models[1].predict_proba(frame)[found.rows.keys, 1])

"""Every reader of predictions gives all that the model has said, whatever the task, and whatever version said it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import IsolationForest, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

import grid_inference as gi
from grid_inference import aio
from grid_inference.cli.app import run
from tests import cases
from tests.integration.conftest import FEATURES, INPUTS, Names, batch, under_load, until

KEYS = 40
SUM = INPUTS.sum(axis=1)
TWO = np.where(SUM > 1.5, "fraud", "ok")
THREE = np.digitize(SUM, [1.2, 1.8])
FIVE = np.digitize(SUM, [0.9, 1.3, 1.7, 2.1])
VALUES = np.stack([SUM, -SUM, INPUTS[:, 0]], axis=1)
Scores = list[tuple[float, ...] | None]


def of_each(found: Any) -> Scores:
    return [tuple(map(float, row)) for row in np.asarray(found).tolist()]


def proba(model: Any, rows: Any) -> Scores:
    return of_each(model.predict_proba(rows))


def of_labels(model: Any, rows: Any) -> Scores:
    return of_each(np.stack([each[:, 1] for each in model.predict_proba(rows)], axis=1))


def values(model: Any, rows: Any) -> Scores:
    return of_each(model.predict(rows))


def distances(model: Any, rows: Any) -> Scores:
    return of_each(model.transform(rows))


def certain(model: Any, rows: Any) -> Scores:
    return of_each(np.asarray(model.predict(rows)[:, None] == model.classes_, float))


def none(_model: Any, rows: Any) -> Scores:
    return [None] * len(rows)


TASKS: dict[str, tuple[Any, Callable[[Any, Any], Scores]]] = {
    "two classes": (LogisticRegression().fit(INPUTS, TWO), proba),
    "three classes": (LogisticRegression().fit(INPUTS, THREE), proba),
    "classes without probabilities": (LinearSVC().fit(INPUTS, FIVE), certain),
    "labels": (RandomForestClassifier(5, random_state=0).fit(INPUTS, INPUTS[:, :2] > 0.5), of_labels),
    "value": (LinearRegression().fit(INPUTS, SUM), none),
    "values": (RandomForestRegressor(5, random_state=0).fit(INPUTS, VALUES), values),
    "outliers": (IsolationForest(n_estimators=5, random_state=0).fit(INPUTS), none),
    "clusters": (KMeans(4, n_init=1, random_state=0).fit(INPUTS), distances),
}


def alike(found: Any, expected: Scores) -> None:
    """Hold arrays, lists, tuples and None against what is expected, row by row."""
    assert len(found) == len(expected)
    for mine, theirs in zip(found, expected, strict=True):
        if theirs is None:
            assert mine is None
        else:
            np.testing.assert_allclose(np.asarray(mine, float), theirs, rtol=0, atol=1e-12)


def by_key(keys: Any, found: Any) -> list[Any]:
    return [value for _, value in sorted(zip(keys, found, strict=True), key=lambda pair: pair[0])]


def told(subscription: Any, keys: int) -> dict[int, Any]:
    """What is told of so many keys; of some it may come twice."""
    found: dict[int, Any] = {}
    while len(found) < keys:
        one = next(subscription)
        found[one.key] = one
    return found


async def read_on_a_loop(grid: gi.Grid, deployment: str, expected: Scores) -> None:
    """All readers of the asyncio API."""
    async with await aio.connect(gi.GridConfig(address=grid.address, cluster_name=grid.cluster_name)) as same:
        predictions = same.predictions(deployment)
        alike([(await predictions.get(key)).scores for key in range(KEYS)], expected)
        alike((await predictions.get_batch(range(KEYS)))["scores"], expected)
        table = await predictions.to_arrow()
        alike(by_key(table["key"].to_pylist(), table["scores"].to_pylist()), expected)
        frame = await predictions.to_pandas(join=True)
        alike(by_key(frame.index, frame["scores"]), expected)


def read_everywhere(grid: gi.Grid, deployment: str, expected: Scores, capsys: Any) -> None:
    """All readers of what stands."""
    predictions, raw = grid.predictions(deployment), grid.features(f"{deployment}.predictions")
    alike([predictions.get(key).scores for key in range(KEYS)], expected)
    alike([raw.get(key)["scores"] for key in range(KEYS)], expected)
    alike(predictions.get_batch(range(KEYS))["scores"], expected)
    alike(predictions.get_batch(range(KEYS)).to_pandas()["scores"], expected)
    alike(raw.get_batch(range(KEYS))["scores"], expected)
    for table in (predictions.to_arrow(), predictions.to_arrow(join=True), raw.to_arrow()):
        alike(by_key(table["key"].to_pylist(), table["scores"].to_pylist()), expected)
    for frame in (predictions.to_pandas(), predictions.to_pandas(join=True), raw.to_pandas()):
        alike(by_key(frame.index, frame["scores"]), expected)
    tables = list(raw.scan())
    keys = [key for table in tables for key in table.keys]
    alike(by_key(keys, [each for table in tables for each in table["scores"]]), expected)
    asyncio.run(read_on_a_loop(grid, deployment, expected))
    where = ["--address", grid.address, "--cluster-name", grid.cluster_name]
    for key in range(2):
        capsys.readouterr()
        assert run(["get", deployment, str(key), "--json", *where]) == 0
        alike([json.loads(capsys.readouterr().out)["scores"]], [expected[key]])
        assert run(["get", deployment, str(key), *where]) == 0
        [said] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("scores")]
        shown = said.removeprefix("scores").strip()
        alike([None if shown == "-" else json.loads(shown)], [expected[key]])


@pytest.mark.parametrize("task", TASKS)
def test_every_reader_has_all_of_every_task(local_grid: gi.Grid, names: Names, task: str, capsys: Any) -> None:
    model, said = TASKS[task]
    columns = batch(KEYS)
    expected = said(model, np.stack([columns[field] for field in FEATURES], axis=1))
    how: dict[str, Any] = {"features": names.features, "columns": FEATURES, "sample": INPUTS[:30]}
    local_grid.deploy(names.deployment, model, **how, topic={"kind": "topic"})
    predictions = local_grid.predictions(names.deployment)
    filtered = "scores[1] >= 0.4"
    passing = {key for key, each in enumerate(expected) if each is not None and each[1] >= 0.4}
    with (
        predictions.subscribe(source="map") as map_,
        predictions.subscribe(source="topic") as topic,
        predictions.subscribe(filtered, source="topic") as some,
    ):
        local_grid.features(names.features).put_batch(columns, key="key")
        for source in (map_, topic):
            found = told(source, KEYS)
            alike([found[key].scores for key in range(KEYS)], expected)
        assert told(some, len(passing)).keys() == passing
    assert local_grid.verify(names.deployment, wait_s=60).complete
    read_everywhere(local_grid, names.deployment, expected, capsys)
    local_grid.undeploy(names.deployment)


@pytest.mark.parametrize("task", ["values", "three classes"])
def test_watch_shows_all_values_or_the_label(local_grid: gi.Grid, names: Names, task: str, capsys: Any) -> None:
    model, said = TASKS[task]
    local_grid.deploy(names.deployment, model, features=names.features, columns=FEATURES)
    features, row = local_grid.features(names.features), batch(1)
    values = np.stack([row[field] for field in FEATURES], axis=1)
    expected = said(model, values)
    where = ["--limit", "1", "--address", local_grid.address, "--cluster-name", local_grid.cluster_name]
    capsys.readouterr()
    with under_load(lambda _: features.put_batch(row, key="key") and None):
        assert run(["watch", names.deployment, "--json", *where]) == 0
        alike([json.loads(capsys.readouterr().out)["scores"]], expected)
        assert run(["watch", names.deployment, *where]) == 0
        found = capsys.readouterr().out
    shown = ", ".join(f"{value:.6f}" for value in expected[0] or ())
    label = f"{max(expected[0] or ()):.6f}  {model.predict(values)[0]}"
    assert f"  {shown if task == 'values' else label}  {names.deployment} version 1" in found
    local_grid.undeploy(names.deployment)


def test_no_keys_have_no_scores_of_the_same_shape(local_grid: gi.Grid, names: Names) -> None:
    model, _ = TASKS["three classes"]
    local_grid.deploy(names.deployment, model, features=names.features, columns=FEATURES)
    assert local_grid.predictions(names.deployment).get_batch([1, 2])["scores"].shape == (0, 3)
    local_grid.undeploy(names.deployment)


@pytest.mark.parametrize("way", ["columns", "mlflow"])
def test_two_outputs_without_a_sample(local_grid: gi.Grid, names: Names, way: str, tmp_path: Path) -> None:
    steps = ColumnTransformer([("numbers", StandardScaler(), ["a", "b"]), ("texts", OneHotEncoder(), ["kind"])])
    model = make_pipeline(steps, KNeighborsRegressor(3)).fit(cases.TEXTS, cases.VALUES)
    handed = model if way == "columns" else cases.saved(model, tmp_path, signed=cases.TEXTS)
    rows = cases.mixed_rows(KEYS)
    local_grid.features(names.features).put_batch(rows, key=range(KEYS))
    local_grid.deploy(names.deployment, handed, features=names.features)
    verdict = local_grid.verify(names.deployment, wait_s=60)
    assert (verdict.complete, verdict.dead_letters) == (True, 0)
    found = local_grid.predictions(names.deployment).get_batch(range(KEYS))["scores"]
    np.testing.assert_allclose(found, model.predict(rows), rtol=0, atol=1e-12)
    local_grid.undeploy(names.deployment)


VERSIONS: dict[str, tuple[str, str]] = {
    "more classes": ("three classes", "classes without probabilities"),
    "fewer classes": ("classes without probabilities", "two classes"),
    "one value after several": ("values", "value"),
    "several values after one": ("value", "values"),
    "clusters after outliers": ("outliers", "clusters"),
}


@pytest.mark.parametrize("change", VERSIONS)
def test_versions_that_differ_in_their_outputs_stand_beside_each_other(
    local_grid: gi.Grid, names: Names, change: str, capsys: Any
) -> None:
    models = [TASKS[task] for task in VERSIONS[change]]
    for model, _ in models:
        local_grid.publish(model, name=names.deployment, columns=FEATURES, sample=INPUTS[:30])
    local_grid.promote(names.deployment, 1)
    local_grid.deploy(names.deployment, f"{names.deployment}@champion", features=names.features)
    held = local_grid.predictions(names.deployment)
    columns = batch(KEYS)
    rows = np.stack([columns[field] for field in FEATURES], axis=1)
    first, second = (said(model, rows) for model, said in models)
    features = local_grid.features(names.features)
    features.put_batch(columns, key="key")
    assert local_grid.verify(names.deployment, wait_s=60).complete
    alike(held.get_batch(range(KEYS))["scores"], first)
    local_grid.promote(names.deployment, 2)
    later = {name: values[KEYS // 2 :] for name, values in columns.items()}
    features.put_batch(later | {"a": later["a"] + 0.0, "n": np.zeros(KEYS // 2)}, key="key")
    assert local_grid.verify(names.deployment, wait_s=60).complete
    both = first[: KEYS // 2] + second[KEYS // 2 :]
    read_everywhere(local_grid, names.deployment, both, capsys)
    alike(held.get_batch(range(KEYS))["scores"], both)
    alike(held.get_batch(range(KEYS // 2, KEYS))["scores"], second[KEYS // 2 :])
    local_grid.undeploy(names.deployment)


def test_a_shadow_of_other_classes(local_grid: gi.Grid, names: Names) -> None:
    (model, _), (beside, said) = TASKS["three classes"], TASKS["classes without probabilities"]
    local_grid.publish(beside, name=f"{names.deployment}-other", columns=FEATURES, sample=INPUTS[:30])
    local_grid.deploy(names.deployment, model, features=names.features, columns=FEATURES)
    local_grid.shadow(names.deployment, f"{names.deployment}-other@1", budget=1.0)
    columns = batch(KEYS)
    local_grid.features(names.features).put_batch(columns, key="key")
    shadow = local_grid.predictions(names.deployment, shadow=True)
    until(lambda: shadow.size() == KEYS, "what the shadow says", 120.0)
    rows = np.stack([columns[field] for field in FEATURES], axis=1)
    alike(shadow.get_batch(range(KEYS))["scores"], said(beside, rows))
    local_grid.undeploy(names.deployment)


def test_what_stands_of_an_older_version_is_caught_up_by_a_filter_on_its_scores(
    local_grid: gi.Grid, names: Names
) -> None:
    models = [TASKS[task][0] for task in ("classes without probabilities", "two classes")]
    for model in models:
        local_grid.publish(model, name=names.deployment, columns=FEATURES, sample=INPUTS[:30])
    local_grid.promote(names.deployment, 1)
    topic = {"kind": "topic"}
    local_grid.deploy(names.deployment, f"{names.deployment}@champion", features=names.features, topic=topic)
    columns = batch(KEYS)
    local_grid.features(names.features).put_batch(columns, key="key")
    assert local_grid.verify(names.deployment, wait_s=60).complete
    local_grid.promote(names.deployment, 2)
    rows = np.stack([columns[field] for field in FEATURES], axis=1)
    gap = gi.Gap(0, "topic lost")
    with local_grid.predictions(names.deployment).subscribe("scores[4] = 1", source="topic", gaps="yield") as topic:
        found = {one.key for one in topic.catch_up(gap)}
    assert found == set(np.flatnonzero(models[0].predict(rows) == 4).tolist())
    assert found
    local_grid.undeploy(names.deployment)

"""The trigger for maps without a journal: events name keys, scans find what no event told."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hazelcast.predicate import sql

import grid_inference as gi
from grid_inference.cli.app import run
from grid_inference.node.workers import Workers
from tests.integration.changes import merge, stock_map
from tests.integration.conftest import FEATURES, Names, batch, until
from tests.ports import free_port
from tests.proxy import Proxy

RECONCILE_S = 2.0


pytestmark = pytest.mark.filterwarnings("ignore::grid_inference.NoJournalWarning")


@pytest.fixture(scope="module")
def plain_grid() -> Iterator[gi.Grid]:
    """A member that keeps no journals, with two workers."""
    member = gi.MemberConfig(cluster_name=f"plain-{uuid.uuid4().hex[:8]}", heap_mb=512, journal=False)
    with gi.local(workers=2, member=member) as grid:
        yield grid


@pytest.fixture
def listening(plain_grid: gi.Grid, model: Any, names: Names) -> Iterator[gi.Predictions]:
    """The model at work, by events and by a scan each two seconds."""
    settings = {"trigger": "listener", "reconcile_s": RECONCILE_S}
    plain_grid.deploy(names.deployment, model, features=names.features, columns=FEATURES, **settings)
    yield plain_grid.predictions(names.deployment)
    plain_grid.undeploy(names.deployment)


def status_of(grid: gi.Grid, names: Names) -> Any:
    return next(one for one in grid.status().deployments if one.name == names.deployment)


def complete(grid: gi.Grid, names: Names) -> gi.Verdict:
    verdict = grid.verify(names.deployment, 30.0)
    assert verdict.complete, verdict
    return verdict


def test_puts_updates_and_removals_are_followed(
    plain_grid: gi.Grid, listening: gi.Predictions, names: Names, model: Any
) -> None:
    features = plain_grid.features(names.features)
    features.put_batch(batch(3_000), key="key")
    features.put_batch(batch(1_000, seed=1), key="key")
    for key in range(1_000, 1_100):
        features.remove(key)
    features.put(5_000, {"a": 1.0, "b": 2.0})
    until(lambda: listening.size() == 2_900, "a prediction for every record and none for the removed ones")
    verdict = complete(plain_grid, names)
    assert (verdict.records, verdict.predictions, verdict.dead_letters) == (2_901, 2_900, 1)
    columns = batch(1_000, seed=1)
    found = listening.get_batch(columns["key"])
    expected = model.predict_proba(np.column_stack([columns[name] for name in FEATURES]))
    np.testing.assert_allclose(found["scores"], expected, rtol=0, atol=1e-12)


def test_records_that_were_there_before_are_scored(plain_grid: gi.Grid, model: Any, names: Names) -> None:
    plain_grid.features(names.features).put_batch(batch(2_000), key="key")
    plain_grid.deploy(names.deployment, model, features=names.features, columns=FEATURES, trigger="listener")
    until(lambda: plain_grid.predictions(names.deployment).size() == 2_000, "the scan at the start")
    complete(plain_grid, names)
    plain_grid.undeploy(names.deployment)


def test_a_single_put_is_scored_at_once_and_not_by_the_next_scan(plain_grid: gi.Grid, model: Any, names: Names) -> None:
    plain_grid.deploy(
        names.deployment, model, features=names.features, columns=FEATURES, trigger="listener", reconcile_s=600.0
    )
    predictions = plain_grid.predictions(names.deployment)
    until(lambda: status_of(plain_grid, names).owned == 31, "the workers' start")
    until(lambda: status_of(plain_grid, names).scanning == 0, "the first scans")
    for key in range(20):
        assert predictions.predict(key, {"a": 0.5, "b": 0.1, "c": float(key)}, timeout=10.0).key == key
    assert "lost event" not in status_of(plain_grid, names).repairs
    assert status_of(plain_grid, names).promise.endswith("within 600 s")
    plain_grid.undeploy(names.deployment)


def test_a_prediction_that_no_event_speaks_of_is_made_good_by_the_next_scan(
    plain_grid: gi.Grid, listening: gi.Predictions, names: Names
) -> None:
    plain_grid.features(names.features).put_batch(batch(500), key="key")
    until(lambda: listening.size() == 500, "the predictions")
    plain_grid.features(f"{names.deployment}.predictions").clear()
    until(lambda: listening.size() == 500, "the repair", 30.0)
    until(lambda: status_of(plain_grid, names).repairs.get("lost event", 0) > 0, "the count of the repair")
    complete(plain_grid, names)


def test_clearing_the_map_removes_all_predictions(plain_grid: gi.Grid, listening: gi.Predictions, names: Names) -> None:
    features = plain_grid.features(names.features)
    features.put_batch(batch(500), key="key")
    until(lambda: listening.size() == 500, "the predictions")
    features.clear()
    until(lambda: listening.size() == 0, "the removal of all predictions")


@pytest.fixture
def by_events_alone(plain_grid: gi.Grid, model: Any, names: Names) -> Iterator[gi.Predictions]:
    """The model at work on 200 records, and no scan for ten minutes."""
    settings = {"trigger": "listener", "reconcile_s": 600.0}
    plain_grid.features(names.features).put_batch(batch(200), key="key")
    plain_grid.deploy(names.deployment, model, features=names.features, columns=FEATURES, **settings)
    predictions = plain_grid.predictions(names.deployment)
    until(lambda: predictions.size() == 200, "the first predictions")
    until(lambda: status_of(plain_grid, names).scanning == 0, "the end of the first scans")
    yield predictions
    plain_grid.undeploy(names.deployment)


def expire(theirs: Any) -> None:
    """A record goes by itself when it is looked at, or when a member gets round to it."""
    theirs.set_ttl(7, 1)
    until(lambda: not theirs.contains_key(7), "the record's expiry")


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (lambda theirs: theirs.delete(7), 199),
        (lambda theirs: theirs.remove_all(sql("__key < 50")), 150),
        (lambda theirs: theirs.evict(7), 199),
        (expire, 199),
        (lambda theirs: theirs.evict_all(), 0),
        (lambda theirs: theirs.clear(), 0),
    ],
    ids=["removed", "removed by a filter", "evicted", "expired", "all evicted", "all cleared"],
)
def test_whatever_takes_records_away_is_heard(
    plain_grid: gi.Grid, by_events_alone: gi.Predictions, names: Names, change: Callable[[Any], Any], left: int
) -> None:
    with stock_map(plain_grid, names.features) as theirs:
        change(theirs)
        until(lambda: by_events_alone.size() == left, f"{left} predictions")
    assert "lost event" not in status_of(plain_grid, names).repairs


def test_what_is_merged_is_heard(plain_grid: gi.Grid, by_events_alone: gi.Predictions, names: Names) -> None:
    features = plain_grid.features(names.features)
    features.put(-1, {"a": 0.9, "b": 0.9, "c": 0.9})
    until(lambda: by_events_alone.get(-1) is not None, "the prediction of a put")
    before, wanted = by_events_alone.get(7), by_events_alone.get(-1)
    assert before
    assert wanted
    assert before.input_digest != wanted.input_digest
    merge(plain_grid, names.features, {7: -1, -2: -1})
    for key in (7, -2):
        until(
            lambda: (found := by_events_alone.get(key)) is not None and found.score == wanted.score,  # noqa: B023
            f"the prediction of the merged record {key}",
        )
    assert "lost event" not in status_of(plain_grid, names).repairs


def test_without_a_journal_the_other_trigger_is_the_remedy(plain_grid: gi.Grid, model: Any, names: Names) -> None:
    plain_grid.features(names.features).put(1, {"a": 1.0, "b": 1.0, "c": 1.0})
    with pytest.raises(gi.DeploymentError) as caught:
        plain_grid.deploy(names.deployment, model, features=names.features, columns=FEATURES)
    assert 'trigger = "listener"' in caught.value.remedy


def test_a_listener_without_a_journal_is_warned_about(plain_grid: gi.Grid, model: Any, names: Names) -> None:
    for exists in (False, True):
        if exists:
            plain_grid.features(names.features).put(1, {"a": 1.0, "b": 1.0, "c": 1.0})
        with pytest.warns(gi.NoJournalWarning, match="has no event journal: .* up to 60 s late.*enabled: true") as said:
            plain_grid.deploy(names.deployment, model, features=names.features, columns=FEATURES, trigger="listener")
        assert ("create the map anew" in str(said[0].message)) is exists
    plain_grid.undeploy(names.deployment)


@pytest.mark.usefixtures("listening")
def test_the_doctor_asks_for_no_journal(plain_grid: gi.Grid, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--address", plain_grid.address, "--cluster-name", plain_grid.cluster_name]
    assert run(["doctor", "--json", *flags]) == 0
    [journal] = [one for one in json.loads(capsys.readouterr().out)["findings"] if one["what"] == "journal"]
    assert journal["ok"]


def test_what_a_broken_connection_has_missed_is_scanned(model: Any, names: Names) -> None:
    port = free_port()
    with Proxy(port) as proxy:
        config = gi.MemberConfig(
            cluster_name=f"cut-{uuid.uuid4().hex[:8]}",
            heap_mb=512,
            journal=False,
            port=port,
            public_address=f"127.0.0.1:{proxy.port}",
        )
        address = f"127.0.0.1:{proxy.port}"
        with (
            gi.Member.start(config) as member,
            Workers(address, member.cluster_name, 1),
            gi.connect(address, cluster_name=member.cluster_name) as grid,
        ):
            grid.wait_for_workers(1)
            grid.deploy(
                names.deployment,
                model,
                features=names.features,
                columns=FEATURES,
                trigger="listener",
                reconcile_s=600.0,
            )
            predictions = grid.predictions(names.deployment)
            features = grid.features(names.features)
            features.put_batch(batch(1_000), key="key")
            until(lambda: predictions.size() == 1_000, "the first predictions")
            for seed in range(1, 4):
                proxy.cut()
                features.put_batch(batch(1_000, seed=seed, first_key=500 * seed), key="key")
            until(lambda: predictions.size() == 2_500, "a prediction for every record")
            complete(grid, names)
            until(lambda: "listener registered anew" in status_of(grid, names).gaps, "the declared gap")

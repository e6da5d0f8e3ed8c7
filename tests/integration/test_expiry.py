"""Feature maps whose records go by themselves, on real members configured so: refused, or accepted knowingly."""

from __future__ import annotations

import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hazelcast
import pytest
from hazelcast.core import HazelcastJsonValue

import grid_inference as gi
from grid_inference.cli.app import run
from grid_inference.grid import liveness
from grid_inference.grid.member.jars import shipped_file
from tests.integration.conftest import FEATURES, batch, until

MAPS = """
    "ttl-*":
      time-to-live-seconds: 77
      event-journal: &journal
        enabled: true
        capacity: 31000
    "idle-*":
      max-idle-seconds: 55
      event-journal: *journal
    "evicting-*":
      eviction:
        eviction-policy: LRU
        max-size-policy: PER_NODE
        size: 10000
      event-journal: *journal
    "limit-without-policy-*":
      eviction:
        eviction-policy: NONE
        max-size-policy: PER_NODE
        size: 10000
      event-journal: *journal
    "short-*":
      time-to-live-seconds: 3
      event-journal: *journal
"""
# Members clear expired records by and by, a few partitions at a time: here all of them, each second.
CLEARING = """
    hazelcast.internal.map.expiration.task.period.seconds: 1
    hazelcast.internal.map.expiration.cleanup.operation.count: 31
"""
REFUSED = {
    "ttl-a": "time-to-live-seconds: 77",
    "idle-a": "max-idle-seconds: 55",
    "evicting-a": "eviction-policy: LRU at 10,000",
}


def configured(folder: Path, more: str = "") -> gi.MemberConfig:
    """The configuration that we ship, with these maps and what else there is."""
    text = shipped_file("hazelcast.yaml").read_text(encoding="utf-8")
    for mark in ("  # What workers write.", "  jet:\n", "  properties:\n"):
        assert mark in text
    text = text.replace("  # What workers write.", f"{MAPS}\n  # What workers write.", 1)
    text = text.replace("  properties:\n", f"  properties:{CLEARING}", 1)
    file = folder / "hazelcast.yaml"
    file.write_text(text.replace("  jet:\n", f"{more}  jet:\n", 1), encoding="utf-8")
    return gi.MemberConfig(cluster_name=f"expiry-{uuid.uuid4().hex[:8]}", heap_mb=512, config_file=file)


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[gi.Grid]:
    with gi.local(workers=1, member=configured(tmp_path_factory.mktemp("member"))) as started:
        yield started


@pytest.fixture
def stock(grid: gi.Grid) -> Iterator[hazelcast.HazelcastClient]:
    client = hazelcast.HazelcastClient(cluster_name=grid.cluster_name, cluster_members=[grid.address])
    yield client
    client.shutdown()


def deploy(grid: gi.Grid, model: Any, features: str, **settings: Any) -> str:
    name = f"d{uuid.uuid4().hex[:8]}"
    grid.deploy(name, model, features=features, columns=FEATURES, **settings)
    return name


@pytest.mark.parametrize("trigger", ["journal", "listener"])
@pytest.mark.parametrize("features", REFUSED)
def test_a_map_that_lets_records_go_is_refused(grid: gi.Grid, model: Any, features: str, trigger: str) -> None:
    with pytest.raises(gi.DeploymentError, match=REFUSED[features]) as refused:
        deploy(grid, model, features, trigger=trigger)
    assert "a record may go before it is scored" in str(refused.value)
    assert "accept_expiry = true" in refused.value.remedy


def test_maps_that_keep_their_records_are_not(grid: gi.Grid, model: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for features in ("plain-a", "limit-without-policy-a"):
            grid.features(features).put_batch(batch(500), key="key")
            grid.undeploy(deploy(grid, model, features))


def test_a_record_with_a_time_to_live_of_its_own_is_found(grid: gi.Grid, model: Any, stock: Any) -> None:
    records = stock.get_map("plain-b").blocking()
    for key in range(200):
        records.put(key, HazelcastJsonValue(dict.fromkeys(FEATURES, 0.5)), ttl=90)
    with pytest.raises(gi.DeploymentError, match=r"key \d+ was put for 90 s"):
        deploy(grid, model, "plain-b")


@pytest.mark.parametrize("trigger", ["journal", "listener"])
def test_what_is_accepted_is_scored_and_goes(grid: gi.Grid, model: Any, trigger: str) -> None:
    features = f"short-{trigger}"
    settings = {"trigger": trigger, "reconcile_s": 2.0, "accept_expiry": True}
    name = deploy(grid, model, features, **settings)
    until(lambda: any(one.name == name and one.owned == 31 for one in grid.status().deployments), "a worker's start")
    grid.features(features).put_batch(batch(300), key="key")
    predictions = grid.predictions(name)
    until(lambda: predictions.size() == 300, "the predictions")
    until(lambda: grid.features(features).size() == 0, "the end of the records")
    until(lambda: predictions.size() == 0, "the end of their predictions", 60)
    grid.undeploy(name)


def test_it_shows_that_it_was_accepted(
    grid: gi.Grid, model: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    name = deploy(grid, model, "ttl-b", accept_expiry=True)
    [status] = [one for one in grid.status().deployments if one.name == name]
    assert status.accepts_expiry
    assert "expiry" in grid.deployment(name)._repr_html_()
    monkeypatch.setenv("GRID_INFERENCE_ADDRESS", grid.address)
    monkeypatch.setenv("GRID_INFERENCE_CLUSTER", grid.cluster_name)
    for command in ("status", "deployments"):
        capsys.readouterr()
        assert run([command]) == 0
        assert f"{name}: expiry is accepted" in capsys.readouterr().out
    grid.undeploy(name)


@pytest.mark.filterwarnings("ignore::grid_inference.errors.NoWorkersWarning")
def test_members_that_do_not_tell_are_warned_about(model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "COMING_S", 0.0)  # nobody comes
    silent = "  management-center:\n    trusted-interfaces:\n      - 192.0.2.1\n"
    with (
        gi.Member.start(configured(tmp_path, silent)) as member,
        gi.connect(member.address, cluster_name=member.cluster_name) as grid,
    ):
        with pytest.warns(gi.ExpiryWarning, match="do not tell whether map 'ttl-a' has a time to live"):
            deploy(grid, model, "ttl-a")
        grid.features("ttl-a").put_batch(batch(100), key="key")
        with pytest.raises(gi.DeploymentError, match=r"key \d+ was put for 77 s"):
            deploy(grid, model, "ttl-a")

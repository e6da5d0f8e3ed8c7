"""Drift on a grid of two workers: counted by both, told by one, asked for by API and command."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hazelcast
import numpy as np
import pytest
from hazelcast.core import HazelcastJsonValue
from PIL import Image
from sklearn.linear_model import LogisticRegression

import grid_inference as gi
from grid_inference.cli.app import run
from grid_inference.drift.counts import DRIFT_MAP
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap
from grid_inference.wire.json.values import encode_bytes, encode_json
from grid_inference.wire.keys import encode_keys
from tests.integration.conftest import FEATURES, Names, on_a_link, until

RNG = np.random.default_rng(41)
SAMPLE = RNG.random((2000, 3))
MODEL = LogisticRegression().fit(SAMPLE, SAMPLE.sum(axis=1) > 1.5)
ROWS = 1000
TOLD_S = 60.0


@pytest.fixture(scope="module")
def grid() -> Iterator[gi.Grid]:
    """A member of our own with two workers."""
    with gi.local(workers=2, member=gi.MemberConfig(cluster_name=f"drift-{uuid.uuid4().hex[:8]}", heap_mb=512)) as made:
        yield made


@pytest.fixture
def events(grid: gi.Grid) -> Iterator[list[dict[str, Any]]]:
    """What an ordinary client is told on the topic."""
    client = hazelcast.HazelcastClient(
        cluster_name=grid.cluster_name, cluster_members=[grid.address], statistics_enabled=False
    )
    heard: list[dict[str, Any]] = []

    def listen(event: Any) -> None:
        assert isinstance(event.message, HazelcastJsonValue)
        heard.append(event.message.loads())

    client.get_topic("grid_inference.events").blocking().add_listener(on_message=listen)
    yield heard
    client.shutdown()


def put(grid: gi.Grid, names: Names, inputs: np.ndarray[Any, Any]) -> None:
    """Put records under the same keys again and again."""
    columns = dict(zip(FEATURES, inputs.T, strict=True))
    grid.features(names.features).put_batch(columns | {"key": np.arange(len(inputs))}, key="key")


def counted(grid: gi.Grid, names: Names) -> gi.Drift | None:
    """What the workers have told; None while that is nothing."""
    try:
        return grid.drift(names.deployment)
    except gi.DeploymentError:
        return None


def column(found: gi.Drift, name: str) -> Any:
    return next(one for one in found.columns if one.name == name)


def put_until(grid: gi.Grid, names: Names, inputs: Callable[[], Any], met: Callable[[gi.Drift], bool]) -> gi.Drift:
    """Put records until what was counted of them is as wanted."""
    found: list[gi.Drift] = []

    def there() -> bool:
        put(grid, names, inputs())
        found[:] = [one for one in [counted(grid, names)] if one]
        return bool(found) and met(found[0])

    until(there, "the drift", TOLD_S)
    return found[0]


async def hostile(link: Link, place: str) -> None:
    """Whoever writes to the grid may write anything."""
    there = GridMap(link, DRIFT_MAP)
    counts = {"kind": "counts", "place": place, "worker": 5, "counts": [[1]], "sums": "x"}
    for name, value in (
        (place, encode_bytes(b"?")),
        (f"{place}/a", encode_json(counts)),
        (f"{place}/b", encode_json([1])),
        (f"{place}/c", encode_bytes(b"{")),
        (f"{place}/d", encode_json(counts | {"counts": [[1] * 12] * 3, "sums": [[10**400] * 12] * 3})),
    ):
        await there.set(encode_keys([name])[0], value)


def shifted() -> np.ndarray[Any, Any]:
    """Records whose first field has moved, and with it the scores."""
    return RNG.random((ROWS, 3)) + np.array([3.0, 0, 0])


def test_a_shift_is_counted_told_once_and_shown(
    grid: gi.Grid, names: Names, events: list[dict[str, Any]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    grid.deploy(names.deployment, MODEL, features=names.features, columns=FEATURES, sample=SAMPLE)
    with pytest.raises(gi.DeploymentError, match="was counted in the last 3600 s"):
        grid.drift(names.deployment)
    stable = put_until(grid, names, lambda: RNG.random((ROWS, 3)), lambda one: one.workers == 2 and one.rows > 2000)
    assert (stable.model, stable.version, stable.training_rows) == (names.deployment, 1, 2000)
    assert {one.name for one in stable.columns} == {*FEATURES, "score", "label"}
    judged = put_until(grid, names, lambda: RNG.random((ROWS, 3)), lambda one: all(each.psi for each in one.columns))
    assert {one.word for one in judged.columns} == {"stable"}
    assert not events
    on_a_link(grid, lambda link: hostile(link, f"{names.deployment}/{names.deployment}@1"))
    # The sum of all that was counted: the shift must outweigh what came before it.
    over = put_until(grid, names, shifted, lambda one: column(one, "a").psi > 1.0)
    assert {one.name for one in over.columns[:2]} == {"a", "score"}
    assert column(over, "a").wasserstein > 1.0
    assert column(over, "b").word == "stable"
    until(lambda: any(one["column"] == "a" for one in events), "the event", TOLD_S)
    counts = list(grid.worker_counts(names.deployment).values())
    until(lambda: told(grid, names) == len(events), "the counts of what was told", TOLD_S)
    put_until(grid, names, shifted, lambda one: one.rows > over.rows + 2000)
    mine = [one for one in events if one["column"] == "a"]
    assert len(mine) == 1, "one worker tells, and once"
    assert len(counts) == 2
    (event,) = mine
    assert (event["event"], event["state"], event["kind"], event["threshold"]) == ("drift", "over", "input", 0.25)
    assert (event["deployment"], event["model"], event["version"]) == (names.deployment, names.deployment, 1)
    assert event["psi"] > 0.25
    assert not [one for one in events if one["column"] in "bc"]

    def cli(*arguments: str) -> tuple[int, str, str]:
        where = ("--address", grid.address, "--cluster-name", grid.cluster_name)
        code = run(["models", "drift", *arguments, *where])
        said = capsys.readouterr()
        return code, said.out, said.err

    picture = tmp_path / "drift.png"
    code, out, _ = cli(names.deployment, "--png", str(picture))
    lines = out.splitlines()
    assert code == 0
    assert lines[0].startswith(f"{names.deployment}@1 in {names.deployment}: ")
    assert "large, over 0.25" in next(line for line in lines if line.startswith("a "))
    assert "stable" in next(line for line in lines if line.startswith("b "))
    with Image.open(picture) as drawn:
        assert drawn.format == "PNG"
        assert len(drawn.convert("RGB").getcolors(1 << 20) or []) > 50
    code, out, _ = cli(names.deployment, "--json", "--version", "1")
    said = json.loads(out, parse_constant=pytest.fail)
    assert (code, {one["name"]: one["word"] for one in said["columns"]}["a"]) == (0, "large")
    code, _, err = cli("nobody")
    assert (code, "there is no deployment 'nobody'" in err) == (1, True)
    code, _, err = cli(names.deployment, "--version", "9")
    assert (code, "there is no version 9" in err) == (4, True)
    grid.undeploy(names.deployment)


def told(grid: gi.Grid, names: Names) -> int:
    """Columns that came over the threshold, as the workers say."""
    return sum(one["drift_crossings"] for one in grid.worker_counts(names.deployment).values())


def test_what_can_not_be_watched_says_why(grid: gi.Grid, names: Names) -> None:
    grid.deploy(names.deployment, MODEL, features=names.features, columns=FEATURES, sample=SAMPLE[:499])
    with pytest.raises(gi.ModelError, match=r"@1 has no training statistics") as refused:
        grid.drift(names.deployment)
    assert "500 rows or more" in refused.value.remedy
    grid.deploy(names.deployment, MODEL, features=names.features, columns=FEATURES, sample=SAMPLE, drift={"psi": 0})
    with pytest.raises(gi.DeploymentError, match="is 0: nothing is counted"):
        grid.drift(names.deployment)
    assert grid.deployment(names.deployment).statistics == grid.model_versions(names.deployment)[0].statistics
    grid.undeploy(names.deployment)


def test_what_a_worker_has_counted_fades_with_the_window(grid: gi.Grid, names: Names) -> None:
    window = {"psi": 0.25, "window_s": 60}
    grid.deploy(names.deployment, MODEL, features=names.features, columns=FEATURES, sample=SAMPLE, drift=window)
    put_until(grid, names, lambda: RNG.random((ROWS, 3)), lambda one: one.workers == 2)
    client = hazelcast.HazelcastClient(
        cluster_name=grid.cluster_name, cluster_members=[grid.address], statistics_enabled=False
    )
    try:
        counted = client.get_map(DRIFT_MAP).blocking()
        mine = [key for key in counted.key_set() if key.startswith(f"{names.deployment}/{names.deployment}@1/")]
        assert [counted.get_entry_view(key).ttl for key in mine] == [60_000, 60_000]
    finally:
        client.shutdown()


def test_a_canary_is_counted_by_itself(grid: gi.Grid, names: Names) -> None:
    name = names.deployment
    for _ in range(2):
        grid.publish(MODEL, name=name, columns=FEATURES, sample=SAMPLE)
    grid.promote(name, 1)
    grid.deploy(name, f"{name}@champion", features=names.features, drift={"psi": 0.25, "window_s": 60})
    put(grid, names, RNG.random((ROWS, 3)))
    grid.promote(name, 2, share=0.5)

    def counted_by_both() -> bool:
        put(grid, names, RNG.random((ROWS, 3)))
        try:
            return all(grid.drift(name, version).rows > 500 for version in (1, 2))
        except gi.DeploymentError:
            return False

    until(counted_by_both, "the counts of both versions", TOLD_S)
    grid.promote(name, 2)
    assert grid.drift(name).version == 2, "what it has counted as a canary counts on"
    grid.undeploy(name)

"""`/livez`, `/readyz` and `/metrics` of a node as its operator sees them: a process of its own, asked over HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

import grid_inference as gi
from grid_inference.grid.maps import GridMap
from grid_inference.wire.keys import encode_keys
from tests.integration.conftest import FEATURES, batch, on_a_link, until

ROOT = Path(__file__).resolve().parents[2]
PARTITIONS, JOURNAL = 5, 500
STOP_S_MAX = 60.0


@dataclass
class Node:
    """A node's process and what it has printed."""

    process: subprocess.Popen[str]
    said: dict[str, Any]

    def ask(self, path: str) -> tuple[int, dict[str, Any]]:
        """Status and body of an answer in JSON."""
        try:
            with urllib.request.urlopen(self.said["health"] + path, timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def metrics(self) -> dict[str, float]:
        """Each sample by its name and labels, e.g. `grid_inference_gaps_total{cause="overflow",deployment="d"}`."""
        with urllib.request.urlopen(self.said["health"] + "/metrics", timeout=10) as answer:
            text = answer.read().decode()
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            for one in family.samples:
                labels = ",".join(f'{name}="{value}"' for name, value in sorted(one.labels.items()) if name != "le")
                place = f"{one.name}{{{labels}}}" if labels else one.name
                found[place] = max(one.value, found.get(place, 0.0))
        return found

    @property
    def workers(self) -> list[int]:
        """Process ids of the workers that run now."""
        node = psutil.Process(self.process.pid)
        return [
            one.pid for one in node.children(recursive=True) if "grid_inference.node.worker" in " ".join(one.cmdline())
        ]


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    options = ["--port", "0", "--workers", "2", "--partitions", str(PARTITIONS), "--journal-capacity", str(JOURNAL)]
    options += ["--cluster-name", f"health-{uuid.uuid4().hex[:8]}", "--heap-mb", "512", "--json"]
    command = [sys.executable, "-m", "grid_inference.cli", "node", *options]
    environment = os.environ | {"GRID_INFERENCE_PROOF_INTERVAL_S": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as process:
        try:
            assert process.stdout
            yield Node(process, json.loads(process.stdout.readline()))
        finally:
            process.terminate()
            process.wait(STOP_S_MAX)


@pytest.fixture(scope="module")
def grid(node: Node) -> Iterator[gi.Grid]:
    with gi.connect(node.said["address"], cluster_name=node.said["cluster_name"]) as grid:
        grid.wait_for_workers(2)
        yield grid


@pytest.fixture(scope="module")
def deployed(grid: gi.Grid, model: Any) -> gi.Grid:
    """A deployment with a probe; its first records are scored."""
    probe = {"key": -1, "record": dict.fromkeys(FEATURES, 0.4), "every_s": 1.0}
    grid.deploy("measured", model, features="records", columns=FEATURES, topic={"kind": "topic"}, probe=probe)
    grid.features("records").put_batch(batch(200), key="key")
    until(lambda: grid.predictions("measured").size() >= 200, "the first predictions")
    return grid


def of(name: str, **labels: str) -> str:
    """A sample's place in `Node.metrics`."""
    said = ",".join(f'{key}="{value}"' for key, value in sorted({"deployment": "measured", **labels}.items()))
    return f"grid_inference_{name}{{{said}}}"


def moves(node: Node, place: str, act: Callable[[], Any]) -> None:
    """What is done makes the metric rise."""
    before = node.metrics().get(place, 0.0)
    act()
    until(lambda: node.metrics().get(place, 0.0) > before, f"a rise of {place}")


def test_a_node_gets_ready_and_says_what_it_tells(node: Node, grid: gi.Grid) -> None:
    until(lambda: node.ask("/readyz") == (200, {"healthy": True, "reasons": []}), "readiness")
    assert node.ask("/livez") == (200, {"healthy": True, "reasons": []})
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(node.said["health"] + "/", timeout=10)


def test_scoring_moves_what_tells_of_scoring(node: Node, deployed: gi.Grid) -> None:
    places = [of(name) for name in ("records_total", "predictions_total", "published_total", "batch_rows_count")]
    places += [of("stage_seconds_count", stage=stage) for stage in ("queue", "decode", "score", "encode", "write")]
    places += [of("stage_seconds_count", stage="publish"), of("put_to_visible_seconds_count")]
    until(lambda: all(node.metrics().get(place, 0.0) > 0 for place in places), "all of them")
    until(lambda: node.metrics()[of("owned_partitions")] == PARTITIONS, "the ownership of all")
    now = node.metrics()
    assert now[of("scored_version")] == 1
    assert now[of("deployment_info", model="measured", state="running", version="1")] == 1
    assert now["grid_inference_members"] == 1
    assert now["grid_inference_partitions"] == PARTITIONS
    assert 0 < now["grid_inference_member_heap_used_bytes"] < now["grid_inference_member_heap_max_bytes"] < 1 << 30
    assert now["grid_inference_sample_age_seconds"] < 60
    until(lambda: of("proven_age_seconds") in node.metrics(), "a proof")
    moves(node, of("removals_total"), lambda: deployed.features("records").remove(3))


def test_a_shadow_is_told_apart(node: Node, deployed: gi.Grid, model: Any) -> None:
    deployed.publish(model, name="challenger", columns=FEATURES)
    deployed.shadow("measured", "challenger@1", budget=0.05)

    def moved() -> bool:
        deployed.features("records").put_batch(batch(1000, 7), key="key")
        now = node.metrics()
        return all(now.get(of(f"shadow_{name}_total"), 0.0) > 0 for name in ("predictions", "skipped"))

    until(moved, "both counts")
    deployed.end_shadow("measured")


def test_refused_records_are_told_by_cause(node: Node, deployed: gi.Grid) -> None:
    bad = {**dict.fromkeys(FEATURES, 0.5), "b": float("nan")}
    moves(node, of("dead_letters_total", cause="NAN_FEATURE"), lambda: deployed.features("records").put(50_001, bad))


def test_a_backlog_moves_lag_and_fill_and_what_it_overwrites_is_a_gap(node: Node, deployed: gi.Grid) -> None:
    records = deployed.features("records")
    deployed.pause("measured")
    for seed in range(3):
        records.put_batch(batch(40, seed), key="key")
    rising = [of("lag_records"), of("lag_seconds"), of("journal_fill_ratio")]
    try:
        until(lambda: all(node.metrics().get(place, 0.0) > 0 for place in rising), "lag")
        until(lambda: node.metrics()[of("lag_records")] >= 100, "the whole lag")  # the grid is asked every 2 s
    except BaseException:
        deployed.resume("measured")  # the others need it
        raise
    moves(node, of("superseded_total"), lambda: deployed.resume("measured"))
    until(lambda: node.metrics()[of("lag_records")] == node.metrics()[of("lag_seconds")] == 0, "the end of the lag")

    deployed.pause("measured")
    for seed in range(4):
        records.put_batch(batch(400, seed), key="key")
    before = node.metrics()
    deployed.resume("measured")

    def risen(name: str) -> bool:
        return any(now > before.get(place, 0.0) for place, now in node.metrics().items() if f"_{name}_total" in place)

    until(lambda: risen("gaps") and risen("repairs"), "a gap and its repairs")


def test_a_hand_in_the_results_is_unexplained(node: Node, deployed: gi.Grid) -> None:
    before, keys = node.metrics().get(of("unexplained_repairs_total"), 0.0), encode_keys(np.arange(100, 200)).tolist()

    def noticed() -> bool:
        """Again and again: a comparison that another test has given a reason explains what it finds."""
        key = keys.pop()
        on_a_link(deployed, lambda link: GridMap(link, "measured.predictions").delete(key))
        time.sleep(1.0)
        return node.metrics().get(of("unexplained_repairs_total"), 0.0) > before

    until(noticed, "the count", 60.0)


def test_with_all_workers_down_no_answer_is_healthy(node: Node, deployed: gi.Grid) -> None:
    """MLServer answers ready although all of its workers are gone (its issue 707)."""
    until(lambda: node.ask("/readyz")[0] == 200, "readiness")
    scored, restarts = of("predictions_total"), "grid_inference_worker_restarts_total"
    until(lambda: node.metrics().get(scored, 0.0) > 0, "the count of the predictions")
    before = node.metrics()
    for process_id in node.workers:
        os.kill(process_id, signal.SIGKILL)
    seen = {"/livez": set[int](), "/readyz": set[int]()}
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for path, codes in seen.items():
            code, said = node.ask(path)
            codes.add(code)
            assert (code == 200) == said["healthy"] == (not said["reasons"])
        if 503 in seen["/readyz"] and node.ask("/readyz")[0] == 200:
            break
    assert 503 in seen["/readyz"]
    until(lambda: node.metrics()[restarts] == before[restarts] + 2, "the restarts")
    assert node.metrics()["grid_inference_workers_running"] == 2
    key = int(np.random.default_rng().integers(1 << 40))
    deployed.features("records").put(key, dict.fromkeys(FEATURES, 0.3))
    until(lambda: deployed.predictions("measured").get(key) is not None, "a prediction")
    # What the dead have counted counts on.
    until(lambda: node.metrics()[scored] > before[scored], "the next count")


def test_workers_that_stand_still_are_not_ready(node: Node, deployed: gi.Grid) -> None:
    until(lambda: node.ask("/readyz")[0] == 200, "readiness")
    stopped = node.workers
    for process_id in stopped:
        os.kill(process_id, signal.SIGSTOP)
    try:
        until(lambda: node.ask("/readyz")[0] == 503, "the end of readiness")
        # Not with the first answer: the one that fell silent last may just have been loading the model.
        until(lambda: "silent" in " ".join(node.ask("/readyz")[1]["reasons"]), "the reason")
    finally:
        for process_id in stopped:
            os.kill(process_id, signal.SIGCONT)
    until(lambda: node.ask("/readyz")[0] == 200, "readiness again")
    assert node.metrics()["grid_inference_ready"] == 1


def test_workers_by_themselves_tell_it_too(node: Node, deployed: gi.Grid) -> None:
    where = ["--address", node.said["address"], "--cluster-name", node.said["cluster_name"]]
    command = [sys.executable, "-m", "grid_inference.cli", "worker", "--workers", "1", "--json", *where]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout
            alone = Node(process, json.loads(process.stdout.readline()))
            until(lambda: alone.ask("/readyz")[0] == 200, "readiness")
            now = alone.metrics()
            assert now["grid_inference_workers_running"] == 1
            assert "grid_inference_member_heap_used_bytes" not in now
        finally:
            process.terminate()
            process.wait(STOP_S_MAX)

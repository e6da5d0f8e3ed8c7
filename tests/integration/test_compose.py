"""docker-compose.yml for real: the image is built without network; three nodes score, one is killed, more are added.

Where Docker does not run and we are root on a Debian, it is installed and a daemon of our own is started in a temporary
folder, and ended afterwards. Where it can't be had, the tests are skipped and say why.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hazelcast
import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

import grid_inference as gi
from grid_inference.model.store.keys import Keyring
from grid_inference.node.workers import Workers
from tests.integration.conftest import FEATURES, batch, until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.real, pytest.mark.timeout(1200)]

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "dockerd": "docker.io",
    "iptables": "iptables",
    "debootstrap": "debootstrap",
    "docker-compose": "docker-compose",
}
REGISTRY_BASE = "python:3.12-slim"
OWN_BASE = "grid-inference-base"
DAEMON_UP_WITHIN_S = 60
DAEMON_DOWN_WITHIN_S = 60
NODES_UP_WITHIN_S = 180.0
LOAD_ROWS = 500
HAZELCAST_IMAGE = "hazelcast/hazelcast:5.7"


def run(*command: str, timeout_s: float = 900, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def run_or_fail(*command: str, **environment: str) -> None:
    ran = run(*command, **environment)
    assert ran.returncode == 0, f"{' '.join(command)}:\n{ran.stdout[-2000:]}\n{ran.stderr[-4000:]}"


def docker_answers() -> bool:
    return shutil.which("docker") is not None and run("docker", "info", timeout_s=30).returncode == 0


def install_docker() -> None:
    """Debian's own packages, whatever of them is not there."""
    missing = [package for command, package in PACKAGES.items() if shutil.which(command) is None]
    if not missing:
        return
    if shutil.which("apt-get") is None:
        pytest.skip("Docker is not installed here, and there is no apt-get to install it with")
    run("apt-get", "update", "--quiet")
    install = ("apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *missing)
    ran = run(*install, DEBIAN_FRONTEND="noninteractive")
    if ran.returncode:
        pytest.skip(f"Docker could not be installed: {ran.stderr.strip().splitlines()[-1]}")


@pytest.fixture(scope="module")
def docker() -> Iterator[None]:
    """A Docker daemon: the machine's, or one of our own for as long as this module runs."""
    if docker_answers():
        yield
        return
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("Docker does not run here, and it takes root on Linux to start it")
    install_docker()
    folder = Path(tempfile.mkdtemp(prefix="gi-docker-"))
    endpoint = f"unix://{folder}/docker.sock"
    command = ["dockerd", "--host", endpoint, "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec"]
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen(
            [*command, "--pidfile", f"{folder}/pid"], stdout=log, stderr=log, start_new_session=True
        )
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DOCKER_HOST", endpoint)
            wait_for_daemon(daemon, folder / "log")
            yield
    finally:
        daemon.terminate()
        daemon.wait(DAEMON_DOWN_WITHIN_S)
        run("umount", f"{folder}/exec/netns/default")  # the daemon leaves it mounted, and the folder can't go
        shutil.rmtree(folder, ignore_errors=True)


def wait_for_daemon(daemon: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + DAEMON_UP_WITHIN_S
    while not docker_answers():
        if daemon.poll() is not None or time.monotonic() > until:
            said = log.read_text(errors="replace").strip().splitlines()
            pytest.skip(f"a Docker daemon could not be started here: {said[-1] if said else 'it said nothing'}")
        time.sleep(0.2)


@pytest.fixture(scope="module")
def image(docker: None) -> str:
    """The image of this tree, by the scripts that a machine without an image registry uses."""
    pulled = run("docker", "pull", "--quiet", REGISTRY_BASE, timeout_s=120).returncode == 0
    if not pulled:
        run_or_fail("scripts/base-image.sh", OWN_BASE)
    run_or_fail("scripts/build-image.sh", "grid-inference-test", BASE_IMAGE=REGISTRY_BASE if pulled else OWN_BASE)
    return "grid-inference-test"


def compose_command(folder: Path) -> str:
    """Docker's command with `compose` in it; Debian packages only the older docker-compose: a shim drops the word."""
    if run("docker", "compose", "version").returncode == 0:
        return "docker"
    shim = folder / "docker-with-compose"
    shim.write_text('#!/bin/sh\nshift\nexec docker-compose "$@"\n', encoding="utf-8")
    shim.chmod(0o755)
    return str(shim)


@dataclass
class Nodes:
    """The services of docker-compose.yml, under a project of their own."""

    command: str
    project: str

    def compose(self, *arguments: str, given: bytes | None = None) -> str:
        """Run Docker's compose; what it has printed."""
        command = [self.command, "compose", "-p", self.project, *arguments]
        ran = subprocess.run(command, cwd=ROOT, input=given, capture_output=True, timeout=600, check=False)
        assert ran.returncode == 0, f"{' '.join(command)}: {ran.stderr.decode()[-3000:]}"
        return ran.stdout.decode()

    @property
    def containers(self) -> dict[str, str]:
        """The nodes that run: container → its address."""
        labels = [f"label=com.docker.compose.project={self.project}", "label=com.docker.compose.service=node"]
        filters = [option for label in labels for option in ("--filter", label)]
        names = run("docker", "ps", "--quiet", *filters).stdout.split()
        shape = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        return {name: run("docker", "inspect", "--format", shape, name).stdout.strip() for name in names}

    def wait_until_healthy(self, count: int) -> list[str]:
        """Wait until so many nodes are healthy; their members' addresses."""
        until_s = time.monotonic() + NODES_UP_WITHIN_S
        while True:
            there = self.containers
            healthy = [f"{at}:5701" for name, at in there.items() if _healthy(name)]
            if len(healthy) == count:
                return sorted(healthy)
            if time.monotonic() > until_s:
                said = [run("docker", "logs", "--tail", "30", name) for name in there]
                probes = [run("docker", "inspect", "--format", "{{json .State.Health}}", name).stdout for name in there]
                logs = "\n".join([*probes, *(ran.stdout + ran.stderr for ran in said)])
                pytest.fail(f"{len(healthy)} of {count} nodes got healthy:\n{logs}")
            time.sleep(0.5)


def _healthy(name: str) -> bool:
    return run("docker", "inspect", "--format", "{{.State.Health.Status}}", name).stdout.strip() == "healthy"


@pytest.fixture(scope="module")
def nodes(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Three nodes, started by testcontainers; the loader is left out."""
    project = f"gi{uuid.uuid4().hex[:8]}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TESTCONTAINERS_RYUK_DISABLED", "true")  # its image comes from a registry
        patch.setenv("GRID_INFERENCE_IMAGE", image)
        patch.setenv("COMPOSE_PROJECT_NAME", project)
        from testcontainers.compose import DockerCompose  # noqa: PLC0415 - reads its settings when it is imported

        command = compose_command(tmp_path_factory.mktemp("compose"))
        with DockerCompose(ROOT, docker_command_path=command, services=["node"], wait=False):
            nodes = Nodes(command, project)
            nodes.wait_until_healthy(3)
            yield nodes


@pytest.fixture(scope="module")
def grid(nodes: Nodes, keys: Path) -> Iterator[gi.Grid]:
    """A client on the host, by the containers' addresses; its key is brought to the nodes as an operator brings it."""
    address = nodes.wait_until_healthy(3)[-1]
    pem = Keyring(keys).generate().public.pem
    said = nodes.compose("run", "--rm", "-T", "loader", "trust", "add", "-", "--name", "host", given=pem)
    assert "host is trusted here" in said
    with gi.connect(address) as grid:
        grid.wait_for_workers(3)
        yield grid


def test_the_nodes_are_one_cluster_and_as_closed_as_they_can_be(nodes: Nodes, grid: gi.Grid) -> None:
    members = sorted(grid.status().cluster_members.values())
    assert members == sorted(f"{at}:5701" for at in nodes.containers.values())
    name = next(iter(nodes.containers))
    who = run("docker", "exec", name, "id", "-u").stdout.strip()
    assert who == "10001"
    assert run("docker", "exec", name, "touch", "/opt/written").returncode != 0
    assert run("docker", "exec", name, "touch", "/keys/trusted/written").returncode != 0


def test_a_client_on_the_host_uses_the_nodes(nodes: Nodes, grid: gi.Grid) -> None:
    addresses = [f"{at}:5701" for at in nodes.containers.values()]
    client = hazelcast.HazelcastClient(cluster_name="grid-inference", cluster_members=addresses)
    try:
        records = client.get_map("plain").blocking()
        records.put("4711", "a record")
        assert records.get("4711") == "a record"
    finally:
        client.shutdown()


class Load(threading.Thread):
    """Puts records of ever new keys until it is stopped."""

    def __init__(self, grid: gi.Grid) -> None:
        super().__init__(name="load")
        self._grid = grid
        self.count = 0
        self.stopping = threading.Event()
        self.failure: BaseException | None = None

    def run(self) -> None:
        features = self._grid.features("orders")
        try:
            while not self.stopping.is_set():
                features.put_batch(batch(LOAD_ROWS, self.count, self.count), key="key")
                self.count += LOAD_ROWS
        except BaseException as error:  # noqa: BLE001 - the test raises it
            self.failure = error


def test_a_killed_node_costs_nothing_and_more_nodes_score_more(nodes: Nodes, grid: gi.Grid) -> None:
    inputs = np.random.default_rng(3).random((500, len(FEATURES)))
    forest = HistGradientBoostingClassifier(max_iter=20).fit(inputs, inputs.sum(axis=1) > 1.5)  # needs the key's word
    deployed = grid.deploy("orders", forest, features="orders", columns=FEATURES)
    assert deployed.manifest.signed_by
    until(lambda: _owners(grid) == 3, "three workers at work", NODES_UP_WITHIN_S)
    load = Load(grid)
    load.start()
    try:
        until(lambda: load.count > 50_000, "the load", NODES_UP_WITHIN_S)
        # The last one: the client itself reaches the grid by any of them.
        assert run("docker", "kill", list(nodes.containers)[-1]).returncode == 0
        killed_at = load.count
        until(lambda: len(grid.status().cluster_members) == 2, "the end of a member", NODES_UP_WITHIN_S)
        until(lambda: load.count > killed_at + 50_000 or bool(load.failure), "further load", NODES_UP_WITHIN_S)
    finally:
        load.stopping.set()
        load.join(NODES_UP_WITHIN_S)
    if load.failure:
        raise load.failure
    _prove(grid, "orders", load.count)
    # The same command brings the killed one back and one more.
    nodes.compose("up", "-d", "--no-build", "--scale", "node=4", "node")
    nodes.wait_until_healthy(4)
    until(lambda: _owners(grid) == 4, "four workers at work", NODES_UP_WITHIN_S)
    more = batch(20_000, 1, load.count)
    grid.features("orders").put_batch(more, key="key")
    _prove(grid, "orders", load.count + 20_000)


def _owners(grid: gi.Grid) -> int:
    return sum(bool(one["owned"]) for one in grid.worker_counts("orders").values())


def _prove(grid: gi.Grid, name: str, count: int) -> None:
    verdict = grid.verify(name, wait_s=60.0)
    assert verdict.complete, str(verdict)
    assert verdict.records == verdict.predictions == count


def test_the_loader_shows_them_at_work(nodes: Nodes, grid: gi.Grid) -> None:
    """It makes a key of its own, which the nodes trust by the volume that they share."""
    demo = "demo --address node:5701 --records 20000 --rate 4000 --json"
    said = nodes.compose("run", "--rm", "-T", "loader", *demo.split())
    found = json.loads(said.splitlines()[-1])
    assert found["records"] == found["predictions"] == 20_000
    assert found["missing"] == found["stale"] == found["orphans"] == 0


def test_workers_beside_hazelcasts_own_image(docker: None, model: Any) -> None:
    """Plain members, 271 partitions, nothing configured; our workers attach from here."""
    pulled = run("docker", "pull", "--quiet", HAZELCAST_IMAGE, timeout_s=300)
    if pulled.returncode:
        pytest.skip(f"{HAZELCAST_IMAGE} can't be pulled: {pulled.stderr.strip().splitlines()[-1]}")
    started = run("docker", "run", "--detach", "--rm", "--env", "HZ_CLUSTERNAME=plain", HAZELCAST_IMAGE)
    name = started.stdout.strip()
    try:
        at = run("docker", "inspect", "--format", "{{.NetworkSettings.IPAddress}}", name).stdout.strip()
        where = f"{at}:5701", "plain"
        with (
            gi.connect(where[0], cluster_name=where[1], connect_timeout_s=NODES_UP_WITHIN_S) as grid,
            Workers(*where, 1),
        ):
            grid.wait_for_workers(1)
            grid.deploy("fraud", model, features="payments", columns=FEATURES)
            grid.features("payments").put_batch(batch(1000), key="key")
            _prove(grid, "fraud", 1000)
    finally:
        run("docker", "kill", name)

"""docker-compose.yml for real: the image is built without network, started, and used from the host on loopback.

Where Docker does not run and we are root on a Debian, it is installed and a daemon of our own is started in a temporary
folder, and ended afterwards. Where it can't be had, the test is skipped and says why.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import hazelcast
import pytest

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
NODE_UP_WITHIN_S = 120


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


@pytest.fixture(scope="module")
def node_address(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The node of docker-compose.yml, started by testcontainers, on a port that is free here."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TESTCONTAINERS_RYUK_DISABLED", "true")  # its image comes from a registry
        patch.setenv("GRID_INFERENCE_IMAGE", image)
        patch.setenv("GRID_INFERENCE_PORT", str(port))
        from testcontainers.compose import DockerCompose  # noqa: PLC0415 - reads its settings when it is imported

        command = compose_command(tmp_path_factory.mktemp("compose"))
        with DockerCompose(ROOT, docker_command_path=command, wait=False):
            wait_for_node(port)
            yield f"127.0.0.1:{port}"


def wait_for_node(port: int) -> None:
    until = time.monotonic() + NODE_UP_WITHIN_S
    while True:
        try:
            hazelcast.HazelcastClient(
                cluster_name="grid-inference", cluster_members=[f"127.0.0.1:{port}"], cluster_connect_timeout=2
            ).shutdown()
        except Exception:  # noqa: BLE001 - whatever the client meets while the node comes up
            if time.monotonic() > until:
                containers = run("docker", "ps", "--all", "--quiet").stdout.split()
                said = [run("docker", "logs", "--tail", "40", name) for name in containers]
                pytest.fail("the node did not come up:\n" + "\n".join(ran.stdout + ran.stderr for ran in said))
            time.sleep(0.5)
        else:
            return


def test_a_client_on_the_host_uses_the_node(node_address: str):
    client = hazelcast.HazelcastClient(cluster_name="grid-inference", cluster_members=[node_address])
    try:
        records = client.get_map("payments").blocking()
        records.put("4711", "a record")
        assert records.get("4711") == "a record"
        (member,) = client.cluster_service.get_members()
        assert f"{member.address.host}:{member.address.port}" == node_address
    finally:
        client.shutdown()

"""A network that parts: three nodes on hosts of their own, two on one side and one on the other; writers on both.

What survives is decided by Hazelcast (ARCHITECTURE.md, docs/operations.md): the smaller side's records are merged by
PutIfAbsentMergePolicy. Whatever it is, it must be scored, by an independent judge's word.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.child import ROOT, Child, environment
from tests.chaos.grid import NotInTimeError
from tests.chaos.grid import until as until_polled
from tests.chaos.network import Network, NotAllowedError
from tests.chaos.workload import Form

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

LEFT, RIGHT = ("a", "b"), ("c",)
PARTITIONS = 31
BEGIN_S_MAX = 60.0
NOTICED_S_MAX = 60.0
HEALED_S_MAX = 150.0
"""Members look for each other each 30 s, and the smaller side's start anew."""
SCORED_S_MAX = 60.0
until = partial(until_polled, poll_s=0.5)  # each look asks a site, which asks the grid

BASE = range(1_000)
ON_LEFT, ON_RIGHT, ON_BOTH = range(200), range(200, 400), range(400, 500)
GONE_LEFT, GONE_RIGHT = range(500, 550), range(550, 600)
NEW_LEFT, NEW_RIGHT, NEW_BOTH = range(2_000, 2_200), range(3_000, 3_200), range(4_000, 4_100)
FIRST, LATER_LEFT, LATER_RIGHT = 1, 2, 3
Histories = dict[int, list[tuple[int, int | None, bool]]]


@pytest.fixture
def network() -> Iterator[Network]:
    """Three hosts, if we may make them."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("network namespaces take root on Linux")
    if shutil.which("ip") is None:
        install = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", "iproute2"]
        if shutil.which("apt-get") is None or subprocess.run(install, check=False, capture_output=True).returncode:
            pytest.skip("iproute2 is not installed here and could not be")
    with ExitStack() as made:
        try:
            yield made.enter_context(Network(LEFT, RIGHT))
        except NotAllowedError as error:
            pytest.skip(f"network namespaces can't be made here: {error}")


@pytest.fixture
def sites(network: Network, tmp_path: Path) -> Iterator[dict[str, Child]]:
    """A node on every host, and a client on one of each side."""
    cluster = f"split-{uuid.uuid4().hex[:8]}"
    nodes: list[subprocess.Popen[str]] = []
    children: dict[str, Child] = {}
    with nodes_log(tmp_path).open("wb") as log, (tmp_path / "sites.log").open("wb") as sites_log:
        try:
            nodes.extend(start_node(network, name, cluster, log) for name in (*LEFT, *RIGHT))
            for side, name in (("left", LEFT[0]), ("right", RIGHT[0])):
                address = f"{network.address(name)}:5701"
                child = Child("site", errors=sites_log, where=network.command(name), address=address, cluster=cluster)
                children[side] = child
                child.wait_until_ready()
            yield children
        finally:
            for child in children.values():
                child.stop()
            stop(nodes)


def nodes_log(folder: Path) -> Path:
    """What the nodes and their workers say."""
    return folder / "nodes.log"


def start_node(network: Network, name: str, cluster: str, log: Any) -> subprocess.Popen[str]:
    """As an operator does, on a network that he trusts."""
    own = network.address(name)
    joined = [] if name == LEFT[0] else ["--join", f"{network.address(LEFT[0])}:5701"]
    options = ["--host", own, "--public", "--cluster-name", cluster, *joined]
    command = [*network.command(name), sys.executable, "-m", "grid_inference.cli", "node", *options]
    node = subprocess.Popen(
        [*command, "--workers", "1", "--heap-mb", "512", "--json"],
        stdout=subprocess.PIPE,
        stderr=log,
        cwd=ROOT,
        text=True,
        env=environment(),
    )
    assert node.stdout
    said = node.stdout.readline()
    assert said, f"node {name} did not start"
    assert json.loads(said)["address"] == f"{own}:5701"
    return node


def stop(nodes: list[subprocess.Popen[str]]) -> None:
    """All at once: nothing has to be handed over."""
    for node in nodes:
        node.terminate()
    for node in nodes:
        try:
            node.wait(60)
        except subprocess.TimeoutExpired:
            node.kill()
            node.wait()
        if node.stdout:
            node.stdout.close()


def test_what_survives_a_split_is_scored(network: Network, sites: dict[str, Child], tmp_path: Path) -> None:
    left, right = sites["left"], sites["right"]
    until(lambda: left.ask("status")["workers"] == 3, "three workers", BEGIN_S_MAX)
    left.ask("deploy")
    until(lambda: left.ask("status")["owned"] == PARTITIONS, "an owner of each partition", BEGIN_S_MAX)
    write(left, BASE, FIRST)
    assert left.ask("verify")["complete"]

    network.split()
    until(lambda: left.ask("status")["members"] == 2, "the loss of one member", NOTICED_S_MAX)
    until(lambda: right.ask("status")["members"] == 1, "the loss of two members", NOTICED_S_MAX)
    for side, keys, new, gone, seq in (
        (left, [*ON_LEFT, *ON_BOTH], [*NEW_LEFT, *NEW_BOTH], GONE_LEFT, LATER_LEFT),
        (right, [*ON_RIGHT, *ON_BOTH], [*NEW_RIGHT, *NEW_BOTH], GONE_RIGHT, LATER_RIGHT),
    ):
        write(side, [*keys, *new], seq)
        write(side, gone, seq, Form.REMOVED)
    # Each side scores what it has: the left one everything, the right one what it has a copy of.
    whole = {key: [stands(FIRST)] for key in BASE}
    on_left = whole | {key: [stands(LATER_LEFT)] for key in (*ON_LEFT, *ON_BOTH, *NEW_LEFT, *NEW_BOTH)}
    judged(left, on_left | {key: [removed(LATER_LEFT)] for key in GONE_LEFT})
    maybe = {key: [stands(FIRST), perhaps_removed()] for key in BASE}
    on_right = maybe | {key: [stands(LATER_RIGHT)] for key in (*ON_RIGHT, *ON_BOTH, *NEW_RIGHT, *NEW_BOTH)}
    judged(right, on_right | {key: [removed(LATER_RIGHT)] for key in GONE_RIGHT})

    network.heal()
    until(lambda: left.ask("status")["members"] == 3, "the sides' meeting", HEALED_S_MAX)
    until(lambda: left.ask("status")["workers"] == 3, "the worker's return", HEALED_S_MAX)
    # The larger side's values stay; of the smaller one's that comes in which is nowhere else, also what the larger side
    # had removed where the smaller one had a copy.
    merged = on_left | {key: [stands(LATER_RIGHT)] for key in NEW_RIGHT}
    merged |= {key: [stands(FIRST), perhaps_removed()] for key in GONE_LEFT}
    judged(left, merged)
    judged(right, merged)
    assert left.ask("verify")["complete"]
    try:
        until(lambda: left.ask("status")["owned"] == PARTITIONS, "one owner of each partition", HEALED_S_MAX)
    except NotInTimeError as error:
        pytest.fail("\n".join([str(error), *(json.dumps(side.ask("owners")) for side in (left, right))]))
    after = left.ask("status")
    assert after["unexplained"] == 0, after
    assert not after["failures"]
    assert "Traceback" not in nodes_log(tmp_path).read_text(), "an operator reads what the workers say"


def write(side: Child, keys: Any, seq: int, form: int = Form.PLAIN) -> None:
    """Put or remove, all of it acknowledged."""
    assert set(side.ask("write", keys=list(keys), seq=seq, form=form)["outcomes"]) == {1}


def stands(seq: int) -> tuple[int, int | None, bool]:
    return seq, Form.PLAIN, True


def removed(seq: int) -> tuple[int, int | None, bool]:
    return seq, None, True


def perhaps_removed() -> tuple[int, int | None, bool]:
    return 0, None, False


def judged(side: Child, histories: Histories) -> None:
    """Nothing is lost, stale, wrong or an orphan, soon."""
    said: dict[str, Any] = {}

    def good() -> bool:
        said.update(side.ask("judge", histories=histories))
        return not said["found"]

    try:
        until(good, "a good verdict", SCORED_S_MAX)
    except NotInTimeError:
        pytest.fail(f"{said.get('found')} {said.get('examples')}")

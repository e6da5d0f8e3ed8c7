"""One embedded member for the whole run, on a port of its own; tests keep apart by the names of their maps."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from grid_inference.grid.member import Member, MemberConfig
from tests.selection import long, rest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEST_HEAP_MB = 512
MACHINE_MB = 4096
"""What Java takes for the machine's memory: members of tests whose heap nobody chose, side by side, fit a small one."""

# Threads of OpenMP that outnumber the free cores must not spin while they wait for each other, and processes that share
# a run share the cores. Before numpy is imported, and for the processes that tests start.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("JAVA_TOOL_OPTIONS", f"-XX:MaxRAM={MACHINE_MB}m")

# No deadline: machines are shared. Here, so that it holds for every module whoever imports it first.
settings.register_profile(
    "main", deadline=None, max_examples=100, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", settings.get_profile("main"), max_examples=500)
settings.load_profile("main")


def pytest_configure(config: pytest.Config) -> None:
    """Without a choice by -m, what needs other real systems stays out (`make test-real` chooses it)."""
    if not config.option.markexpr:
        config.option.markexpr = "not real"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what -m chooses by; what takes long comes first, so that processes that share the run end together."""
    for item in items:
        if rest(item.nodeid):
            item.add_marker("rest")
    items.sort(key=lambda item: not long(item.nodeid))


@pytest.fixture(scope="session", autouse=True)
def keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of keys for the run, for the processes that tests start as well: the user's own stays as it is."""
    folder = tmp_path_factory.mktemp("keys")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRID_INFERENCE_KEYS", str(folder))
        yield folder


@pytest.fixture(scope="session")
def member() -> Iterator[Member]:
    """A real member with the configuration that we ship."""
    config = MemberConfig(cluster_name="grid-inference-tests", heap_mb=TEST_HEAP_MB)
    with Member.start(config) as started:
        yield started


@pytest.fixture(scope="session")
def address(member: Member) -> str:
    """The member's `host:port`."""
    return member.address


@pytest.fixture(autouse=True)
def _quiet_client() -> None:
    """The stock client reports every connection; failures show its warnings still."""
    logging.getLogger("hazelcast").setLevel(logging.WARNING)

"""Records that a member loads from a store of its own: LOADED events, in the journal and to listeners."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import grid_inference as gi
from grid_inference.grid.member import member as member_module
from grid_inference.grid.member.jars import jar_for
from tests.integration.changes import stock_map
from tests.integration.conftest import until
from tests.interop.conftest import COLUMNS, COMPILE_TIMEOUT_S, FOLDER, JAVA_RELEASE

pytestmark = pytest.mark.real

STORED = """
    "stored-*":
      event-journal:
        enabled: true
        capacity: 10000
      map-store:
        enabled: true
        class-name: JsonLoader
"""


@pytest.fixture(scope="module")
def stored_grid(javac: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[gi.Grid]:
    """A member whose maps `stored-*` have a store, with one worker."""
    folder = tmp_path_factory.mktemp("store")
    jar = jar_for(gi.MemberConfig().version)
    command = [javac, "--release", str(JAVA_RELEASE), "-proc:none", "-d", str(folder), "-cp", str(jar)]
    subprocess.run([*command, str(FOLDER / "java" / "JsonLoader.java")], check=True, timeout=COMPILE_TIMEOUT_S)
    shipped = (FOLDER.parents[1] / "hazelcast" / "hazelcast.yaml").read_text()
    (folder / "hazelcast.yaml").write_text(shipped.replace("  map:\n", f"  map:{STORED}", 1))
    config = gi.MemberConfig(
        cluster_name=f"store-{uuid.uuid4().hex[:8]}",
        heap_mb=512,
        config_file=folder / "hazelcast.yaml",
        prepared=False,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(member_module, "jar_for", lambda _: Path(f"{jar}{os.pathsep}{folder}"))
        with gi.local(workers=1, member=config) as grid:
            yield grid


@pytest.mark.parametrize("trigger", ["journal", "listener"])
def test_what_a_store_loads_is_scored(stored_grid: gi.Grid, bare_model: Any, trigger: Any) -> None:
    name = f"d-{uuid.uuid4().hex[:8]}"
    features = f"stored-{name}"
    stored_grid.deploy(name, bare_model, features=features, columns=COLUMNS, trigger=trigger, reconcile_s=600.0)

    def state() -> Any:
        return next(one for one in stored_grid.status().deployments if one.name == name)

    until(lambda: state().owned == 31 and state().scanning == 0, "the end of the first scans")
    with stock_map(stored_grid, features) as theirs:
        theirs.load_all(list(range(40)), replace_existing_values=True)
        until(lambda: stored_grid.predictions(name).size() == 40, "a prediction for each record that was loaded")
    assert not state().repairs
    stored_grid.undeploy(name)

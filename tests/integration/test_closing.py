"""What holds something open: closed twice, forgotten, or left to the interpreter's exit. Each program is a process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import Any

import psutil
import pytest

import grid_inference as gi
from tests.integration.conftest import FEATURES, Names

PROGRAM_TIMEOUT_S = 100.0
"""A program that has not ended by then hangs."""
BLOCKING, ASYNCHRONOUS = "use it in `with`, or call its close()", "use it in `async with`, or await its close()"

BEGIN = """
import asyncio, gc, sys, threading
import grid_inference as gi
from grid_inference import aio
address, cluster, deployment = sys.argv[1:]
def connect():
    return gi.connect(address, cluster_name=cluster)
def aconnect():
    return aio.connect(gi.GridConfig.load(flags={"address": address, "cluster_name": cluster}))
"""

FORGOTTEN = {
    "a grid until the exit": ("grid = connect()", ["the grid at {address}", BLOCKING]),
    "a grid in a function": (
        """
        def of_a_function():
            return connect().features("nothing")
        features = of_a_function()
        print("usable", features.size())
        del features
        for thread in threading.enumerate():
            if thread.name == "grid-inference":
                thread.join(20)
                print("thread ended", not thread.is_alive())
        """,
        ["the grid at {address}", BLOCKING],
    ),
    "a subscription": (
        """
        with connect() as grid:
            subscription = grid.predictions(deployment).subscribe()
            del subscription
        """,
        ["the subscription to '{deployment}'", BLOCKING],
    ),
    "a grid with a call under way": (
        """
        grid = connect()
        subscription = grid.predictions(deployment).subscribe()
        threading.Thread(target=lambda: list(subscription), daemon=True).start()
        """,
        ["the grid at {address}", BLOCKING],
    ),
    "a scan": (
        """
        with connect() as grid:
            grid.features(deployment).put_batch({"a": [1.0] * 5000, "key": range(5000)}, key="key")
            next(grid.features(deployment).scan())
        """,
        [],
    ),
    "a grid of a loop": (
        """
        async def main():
            grid = await aconnect()
            print(await grid.features("nothing").size())
        asyncio.run(main())
        """,
        ["the grid at {address}", ASYNCHRONOUS],
    ),
    "a grid beyond its loop": ("grid = asyncio.run(aconnect())", ["the grid at {address}", ASYNCHRONOUS]),
    "a subscription of a loop": (
        """
        async def main():
            async with await aconnect() as grid:
                subscription = await grid.predictions(deployment).subscribe()
                del subscription
        asyncio.run(main())
        """,
        ["the subscription to '{deployment}'", ASYNCHRONOUS],
    ),
    "a scan of a loop": (
        """
        async def main():
            async with await aconnect() as grid:
                await grid.features(deployment).put_batch({"a": [1.0] * 5000, "key": range(5000)}, key="key")
                async for table in grid.features(deployment).scan():
                    break
        asyncio.run(main())
        """,
        [],
    ),
    "nothing": (
        """
        with connect() as grid:
            with grid.predictions(deployment).subscribe():
                pass
            grid.close()
        """,
        [],
    ),
}


def run(text: str, *arguments: str, filters: str = "always::ResourceWarning") -> subprocess.CompletedProcess[str]:
    """Run a program; that it ends is part of every test."""
    return subprocess.run(
        [sys.executable, "-W", filters, "-c", BEGIN + textwrap.dedent(text), *arguments],
        capture_output=True,
        text=True,
        timeout=PROGRAM_TIMEOUT_S,
        check=False,
        env={**os.environ, "PYTHONASYNCIODEBUG": "0"},
    )


@pytest.fixture(scope="module")
def nobody(local_grid: gi.Grid, model: Any) -> Names:
    """A deployment to subscribe to."""
    names = Names("closing", "closing-features")
    local_grid.deploy(names.deployment, model, features=names.features, columns=FEATURES)
    return names


@pytest.mark.parametrize("what", FORGOTTEN)
def test_a_forgotten_close_is_a_warning_and_no_hang(local_grid: gi.Grid, nobody: Names, what: str) -> None:
    text, said = FORGOTTEN[what]
    ran = run(text, local_grid.address, local_grid.cluster_name, nobody.deployment)
    assert ran.returncode == 0, ran.stderr
    for part in said:
        assert part.format(address=local_grid.address, deployment=nobody.deployment) in ran.stderr
    ours = [line for line in ran.stderr.splitlines() if "was not closed" in line]
    assert len(ours) == bool(said), ran.stderr
    assert "Task was destroyed" not in ran.stderr
    assert "never awaited" not in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "False" not in ran.stdout


def test_a_warning_that_is_an_error_keeps_nothing_from_ending(local_grid: gi.Grid, nobody: Names) -> None:
    arguments = (local_grid.address, local_grid.cluster_name, nobody.deployment)
    ran = run("grid = connect()", *arguments, filters="error::ResourceWarning")
    assert f"the grid at {local_grid.address} was not closed" in ran.stderr


def test_a_forgotten_local_grid_takes_its_processes_along() -> None:
    ran = run(
        """
        grid = gi.local(member=gi.MemberConfig(cluster_name="forgotten", heap_mb=256))
        print(grid.member.pid, *grid.workers.pids, flush=True)
        """,
        "",
        "",
        "",
    )
    assert ran.returncode == 0, ran.stderr
    warned = [line for line in ran.stderr.splitlines() if "ResourceWarning" in line]
    assert len(warned) == 1, ran.stderr
    assert BLOCKING in warned[0]
    assert not any(psutil.pid_exists(int(process_id)) for process_id in ran.stdout.split())


@pytest.mark.parametrize(
    ("start", "named"),
    [
        ("held = gi.Member.start(gi.MemberConfig(cluster_name='forgotten', heap_mb=256))", "the member at 127.0.0.1:"),
        (
            "from grid_inference.node.workers import Workers; held = Workers(address, cluster, 1).start()",
            "the workers of 127.0.0.1:",
        ),
    ],
    ids=["member", "workers"],
)
def test_forgotten_processes_are_ended(local_grid: gi.Grid, start: str, named: str) -> None:
    ran = run(
        f"{start}\nprint(getattr(held, 'pid', None) or held.pids[0], flush=True)",
        local_grid.address,
        local_grid.cluster_name,
        "",
    )
    assert ran.returncode == 0, ran.stderr
    assert named in ran.stderr
    assert "use it in `with`, or call its stop()" in ran.stderr
    assert not psutil.pid_exists(int(ran.stdout))


def test_everything_may_be_closed_twice(local_grid: gi.Grid, nobody: Names) -> None:
    with gi.connect(local_grid.address, cluster_name=local_grid.cluster_name) as grid:
        with grid.predictions(nobody.deployment).subscribe() as subscription:
            subscription.close()
        scan = grid.features(nobody.features).scan()
        scan.close()
        scan.close()
        grid.close()
        subscription.close()
    with pytest.raises(gi.GridError, match="the grid is closed") as refused:
        grid.status()
    assert refused.value.remedy == "connect again"


def test_a_grid_that_is_forgotten_leaves_no_thread(local_grid: gi.Grid) -> None:
    with pytest.warns(ResourceWarning, match="the grid at"):
        thread = forget_one(local_grid)
    thread.join(PROGRAM_TIMEOUT_S)
    assert not thread.is_alive()


def forget_one(local_grid: gi.Grid) -> Any:
    return gi.connect(local_grid.address, cluster_name=local_grid.cluster_name)._loop._thread

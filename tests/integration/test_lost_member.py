"""A member that falls silent or dies under every call: whoever called gets a GridInferenceError, and nothing else."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import grid_inference as gi
from grid_inference import aio
from grid_inference.grid import liveness
from grid_inference.grid.schemas import some_schemas
from grid_inference.node.workers import Workers
from tests.integration.conftest import FEATURES, INPUTS, Names, batch, fitted, until
from tests.integration.operations import MODELS, OPERATIONS, RECORD, ROWS, Operation

NAMES = Names("lost", "lost-features")
TURNS_GROWTH = 1.7
TURNS_MAX = 500
"""The member falls silent after so many turns of the loop, at most: by then every call is at its end, or hangs."""
FAILS_S_MAX = 120.0
pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX"),
    pytest.mark.timeout(900),
    pytest.mark.filterwarnings("ignore::grid_inference.NoWorkersWarning"),
]


MORE: dict[str, Operation] = {
    "publish": lambda grid, _: grid.publish(fitted(2.0), name="more", columns=FEATURES, sample=INPUTS),
    "models": lambda grid, _: grid.models(),
    "model_versions": lambda grid, names: grid.model_versions(names.deployment),
    "promote": lambda grid, names: grid.promote(names.deployment, 2),
    "promote a canary": lambda grid, names: grid.promote(names.deployment, 2, share=0.5),
    "rollback": lambda grid, names: grid.rollback(names.deployment),
    "shadow": lambda grid, names: grid.shadow(names.deployment, f"{names.deployment}@2"),
    "end_shadow": lambda grid, names: grid.end_shadow(names.deployment),
    "compare": lambda grid, names: grid.compare("lost@1", "lost@2", features=names.features),
    "delete_version": lambda grid, _: grid.delete_version("none", 1),
    "deployment": lambda grid, names: grid.deployment(names.deployment),
    "differences": lambda grid, names: grid.differences(names.deployment),
    "drift": lambda grid, names: grid.drift(names.deployment),
    "failures": lambda grid, _: grid.failures(),
    "sync_models": lambda grid, _: grid.sync_models(FOLDER[0]),
    "schemas": lambda grid, names: some_schemas(grid.link, names.features),
    "explain": lambda grid, names: grid.predictions(names.deployment).dead_letters.explain("refused"),
    "counts": lambda grid, names: grid.predictions(names.deployment).dead_letters.counts(),
    "replay": lambda grid, names: grid.predictions(names.deployment).dead_letters.replay(every=True),
    "drop": lambda grid, names: grid.predictions(names.deployment).dead_letters.drop(cause="NONE"),
    "rescore": lambda grid, names: grid.rescore(names.deployment),
}
FOLDER: list[Path] = []
EVERY = OPERATIONS | MORE


BLOCKING: dict[str, Callable[[gi.Grid], Any]] = {
    "put": lambda grid: grid.features(NAMES.features).put(1, RECORD),
    "put_batch": lambda grid: grid.features(NAMES.features).put_batch(batch(ROWS), key="key"),
    "get": lambda grid: grid.features(NAMES.features).get(1),
    "get_batch": lambda grid: grid.features(NAMES.features).get_batch(np.arange(ROWS)),
    "scan": lambda grid: sum(map(len, grid.features(NAMES.features).scan())),
    "to_arrow": lambda grid: grid.features(NAMES.features).to_arrow(where="a > 0.5"),
    "size": lambda grid: grid.features(NAMES.features).size(),
    "get a prediction": lambda grid: grid.predictions(NAMES.deployment).get(1),
    "join": lambda grid: grid.predictions(NAMES.deployment).to_arrow(join=True),
    "predict": lambda grid: grid.predictions(NAMES.deployment).predict("k", RECORD, 600),
    "subscribe": lambda grid: _taken(grid, "map"),
    "subscribe to a topic": lambda grid: _taken(grid, "topic"),
    "deploy": lambda grid: grid.deploy(grid.deployment(NAMES.deployment).config, MODELS[-1]),
    "promote": lambda grid: grid.promote(NAMES.deployment, 2),
    "publish": lambda grid: grid.publish(MODELS[-1], name="blocking", columns=FEATURES),
    "status": lambda grid: grid.status(),
    "proof": lambda grid: grid.proof(NAMES.deployment),
    "verify": lambda grid: grid.verify(NAMES.deployment),
    "dead_letters": lambda grid: grid.dead_letters(NAMES.deployment),
    "wait_for_workers": lambda grid: grid.wait_for_workers(1, 600),
    "connect": lambda grid: gi.connect(grid.address, cluster_name=grid.cluster_name, connect_timeout_s=1).close(),
}


def _taken(grid: gi.Grid, source: Any) -> None:
    with grid.predictions(NAMES.deployment).subscribe(source=source) as subscription:
        for _ in subscription:
            pass


@pytest.fixture(scope="module", autouse=True)
def nobody_comes() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(liveness, "COMING_S", 0.0)
        yield


@pytest.fixture(scope="module", params=["silent", "dead"])
def member(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[gi.Member]:
    """One where all there can be stands; its workers have ended, so that nobody else suffers."""
    MODELS.append(fitted(1.0))
    FOLDER.append(tmp_path_factory.mktemp("models"))
    config = gi.MemberConfig(cluster_name=f"lost-{uuid.uuid4().hex[:8]}", heap_mb=512, partitions=7)
    with gi.Member.start(config) as started:
        workers = Workers(started.address, started.cluster_name, 1, node_address=started.address)
        workers.start()
        try:
            with gi.connect(started.address, cluster_name=started.cluster_name) as grid:
                grid.wait_for_workers(1)
                prepare(grid)
        finally:
            workers.stop()
        yield started
        with suppress(ProcessLookupError):
            os.kill(started.pid, signal.SIGCONT)


def prepare(grid: gi.Grid) -> None:
    for _ in range(2):
        grid.deploy(NAMES.deployment, MODELS[-1], features=NAMES.features, columns=FEATURES)
    grid.features(NAMES.features).put_batch(batch(ROWS), key="key")
    grid.features(NAMES.features).put("refused", RECORD | {"a": float("nan")})
    until(lambda: grid.predictions(NAMES.deployment).size() == ROWS, "the predictions", 60)


async def impatient(member: gi.Member) -> aio.Grid:
    """A grid that gives a silent member up soon."""
    return await aio.connect(
        gi.GridConfig(
            address=member.address,
            cluster_name=member.cluster_name,
            call_timeout_s=1.0,
            heartbeat_s=0.5,
            heartbeat_timeout_s=1.5,
            connect_timeout_s=1.0,
        )
    )


def failed_wrongly(ended: dict[str, BaseException | None]) -> dict[str, str]:
    """Calls that neither succeeded nor failed by an error of ours."""
    errors = {name: error for name, error in ended.items() if error is not None}
    return {name: repr(error) for name, error in errors.items() if not isinstance(error, gi.GridInferenceError)}


async def all_at_once(member: gi.Member, turns: int) -> tuple[dict[str, BaseException | None], int]:
    """Every call under way on one grid; after some turns of the loop the member falls silent, until all have ended."""
    grid = await impatient(member)
    try:
        tasks = {name: asyncio.ensure_future(operation(grid, NAMES)) for name, operation in EVERY.items()}
        for _ in range(turns):
            await asyncio.sleep(0)
        os.kill(member.pid, signal.SIGSTOP)
        under_way = sum(not task.done() for task in tasks.values())
        try:
            await asyncio.wait(tasks.values(), timeout=FAILS_S_MAX)
            hanging = {name: task.get_stack() for name, task in tasks.items() if not task.done()}
            assert not hanging, f"after {turns} turns"
            ended = await asyncio.gather(*tasks.values(), return_exceptions=True)
        finally:
            os.kill(member.pid, signal.SIGCONT)
    finally:
        await grid.close()
    found = {name: one if isinstance(one, BaseException) else None for name, one in zip(tasks, ended, strict=True)}
    return found, under_way


@pytest.mark.parametrize("member", ["silent"], indirect=True)
def test_a_member_that_falls_silent_at_every_stage(member: gi.Member) -> None:
    turns, wrong, failed = 0, dict[str, str](), 0
    while turns < TURNS_MAX:
        ended, under_way = asyncio.run(all_at_once(member, turns))
        assert under_way or turns > TURNS_MAX / 2
        wrong |= {f"{name} after {turns} turns": error for name, error in failed_wrongly(ended).items()}
        failed += sum(error is not None for error in ended.values())
        turns = max(turns + 1, int(turns * TURNS_GROWTH))
    assert not wrong
    assert failed


@pytest.mark.parametrize("member", ["dead"], indirect=True)
def test_a_member_that_dies_under_blocking_calls_and_commands(member: gi.Member) -> None:
    began, ended = dict[str, threading.Event](), dict[str, BaseException | None]()

    def again_and_again(name: str, grid: gi.Grid) -> None:
        try:
            while True:
                with suppress(gi.ModelError, gi.DeploymentError):  # two deploys, or promotions, at once
                    began[name].set()
                    BLOCKING[name](grid)
        except BaseException as error:  # noqa: BLE001 - the test looks at its class
            ended[name] = error

    with gi.connect(member.address, cluster_name=member.cluster_name, connect_timeout_s=1) as grid:
        began |= {name: threading.Event() for name in BLOCKING}
        threads = [threading.Thread(target=again_and_again, args=[name, grid], daemon=True) for name in BLOCKING]
        for thread in threads:
            thread.start()
        for one in began.values():
            assert one.wait(FAILS_S_MAX)
        member.kill()
        for thread in threads:
            thread.join(FAILS_S_MAX)
    assert ended.keys() == BLOCKING.keys(), BLOCKING.keys() - ended.keys()
    assert not failed_wrongly(ended)
    for words in (["status"], ["verify", "lost"], ["deployments"], ["models", "list"], ["get", "lost", "1"]):
        said = command(member, *words)
        assert (said.returncode, "no cluster" in said.stderr) == (3, True), (words, said.stderr)


def command(member: gi.Member, *words: str) -> subprocess.CompletedProcess[str]:
    where = ["--address", member.address, "--cluster-name", member.cluster_name]
    environ = os.environ | {"GRID_INFERENCE_CONNECT_TIMEOUT_S": "1"}
    line = [sys.executable, "-m", "grid_inference.cli", *words, *where]
    return subprocess.run(line, capture_output=True, text=True, timeout=FAILS_S_MAX, check=False, env=environ)

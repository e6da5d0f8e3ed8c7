"""Every coroutine of the asynchronous API as a step that a test can take, on a deployment whose records are scored."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Any, Literal

import numpy as np

import grid_inference as gi
from grid_inference import aio
from tests.integration.conftest import FEATURES, Names, batch

RECORD = dict.fromkeys(FEATURES, 0.9)
ROWS = 2_000
Operation = Callable[[aio.Grid, Names], Awaitable[Any]]


async def scan(grid: aio.Grid, names: Names) -> None:
    async with aclosing(grid.features(names.features).scan()) as tables:
        assert sum([len(table) async for table in tables]) >= ROWS


async def subscribe(grid: aio.Grid, names: Names, source: Literal["map", "topic"]) -> None:
    async with await grid.predictions(names.deployment).subscribe(source=source):
        pass


async def take_one(grid: aio.Grid, names: Names) -> None:
    async with await grid.predictions(names.deployment).subscribe() as subscription:
        await grid.features(names.features).put("taken", RECORD | {"a": time.time()})
        async for item in subscription:
            if item.key == "taken":
                break


async def catch_up(grid: aio.Grid, names: Names) -> None:
    async with (
        await grid.predictions(names.deployment).subscribe() as subscription,
        aclosing(subscription.catch_up(gi.Gap(0, "reconnected"))) as found,
    ):
        assert len([one async for one in found]) >= ROWS


async def redeploy(grid: aio.Grid, names: Names) -> None:
    await grid.deploy((await grid.deployment(names.deployment)).config, MODELS[0])


async def undeploy(grid: aio.Grid, names: Names) -> None:
    other = f"{names.deployment}-other"
    await grid.deploy(other, MODELS[0], features=f"{names.features}-other", columns=FEATURES)
    await grid.undeploy(other)


async def pause(grid: aio.Grid, names: Names) -> None:
    try:
        await grid.pause(names.deployment)
    finally:
        await grid.resume(names.deployment)


async def connect(grid: aio.Grid, _: Names) -> None:
    async with await aio.connect(grid.config) as other:
        await other.status()


MODELS: list[Any] = []
OPERATIONS: dict[str, Operation] = {
    "connect": connect,
    "put": lambda grid, names: grid.features(names.features).put(1, RECORD),
    "put a first record": lambda grid, names: grid.features(f"{names.features}-new").put(1, {"first": 1.0}),
    "put_batch": lambda grid, names: grid.features(names.features).put_batch(batch(ROWS), key="key"),
    "get": lambda grid, names: grid.features(names.features).get(1),
    "get_batch": lambda grid, names: grid.features(names.features).get_batch(np.arange(ROWS)),
    "scan": scan,
    "to_arrow": lambda grid, names: grid.features(names.features).to_arrow(where="a > 0.5"),
    "to_pandas": lambda grid, names: grid.features(names.features).to_pandas(),
    "remove": lambda grid, names: grid.features(names.features).remove("nobody"),
    "size": lambda grid, names: grid.features(names.features).size(),
    "clear": lambda grid, names: grid.features(f"{names.features}-new").clear(),
    "destroy": lambda grid, names: grid.features(f"{names.features}-new").destroy(),
    "get a prediction": lambda grid, names: grid.predictions(names.deployment).get(1),
    "get predictions": lambda grid, names: grid.predictions(names.deployment).get_batch(np.arange(ROWS)),
    "get_current": lambda grid, names: grid.predictions(names.deployment).get_current(1),
    "predict": lambda grid, names: grid.predictions(names.deployment).predict(7, RECORD | {"a": time.time()}),
    "count predictions": lambda grid, names: grid.predictions(names.deployment).size(),
    "join": lambda grid, names: grid.predictions(names.deployment).to_arrow(join=True),
    "subscribe": lambda grid, names: subscribe(grid, names, "map"),
    "subscribe to a topic": lambda grid, names: subscribe(grid, names, "topic"),
    "next": take_one,
    "catch_up": catch_up,
    "deploy": redeploy,
    "undeploy": undeploy,
    "pause and resume": pause,
    "deployments": lambda grid, _: grid.deployments(),
    "status": lambda grid, _: grid.status(),
    "proof": lambda grid, names: grid.proof(names.deployment),
    "worker_counts": lambda grid, names: grid.worker_counts(names.deployment),
    "wait_for_workers": lambda grid, _: grid.wait_for_workers(1),
    "verify": lambda grid, names: grid.verify(names.deployment),
    "dead_letters": lambda grid, names: grid.dead_letters(names.deployment),
}

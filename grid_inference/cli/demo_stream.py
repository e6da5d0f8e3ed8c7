"""The demo's application: it puts payments at a steady rate, listens for alerts, and clocks some of the predictions.

One event loop does all of it. The latency of a sampled payment runs from the call that puts it, with its batch, to the
entry event of its prediction in this process.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from grid_inference.api import aio
from grid_inference.cli.demo_screen import Alert, Numbers, Screen
from grid_inference.cli.ending import GRID, Ending
from grid_inference.demo.training import FraudModel
from grid_inference.records import Prediction

__all__ = ["DEPLOYMENT", "FEATURES_MAP", "Streamed", "deploy", "scores_of", "stream"]

DEPLOYMENT: Final = "fraud"
FEATURES_MAP: Final = "payments"
TICK_S: Final = 0.01
RAMP_S: Final = 2.0
"""So long the rate rises: a worker's first batches, on cold caches, are slower than all later ones."""
ROWS_A_PUT_MAX: Final = 2_000
PROBES: Final = 400
DRAW_EVERY_S: Final = 0.2
COUNT_EVERY_S: Final = 0.05
COUNT_AT_THE_END_EVERY_S: Final = 0.005
STALL_S_MAX: Final = 20.0
"""Without a new prediction for so long the stream is given up, and `verify` tells what is missing."""
OWNED_WITHIN_S: Final = 60.0
ROWS_READ_AT_ONCE: Final = 20_000


@dataclass(frozen=True, slots=True)
class Streamed:
    """What a stream took."""

    seconds: float
    """From the first put until the last prediction stood in the map."""


async def deploy(grid: aio.Grid, fraud: FraudModel) -> int:
    """Put the model to work; give its version once every partition has a worker."""
    topic = {"where": f"score >= {fraud.threshold}"}
    deployed = await grid.deploy(DEPLOYMENT, fraud.model, features=FEATURES_MAP, topic=topic)
    until = time.monotonic() + OWNED_WITHIN_S
    while time.monotonic() < until:
        now = await grid.status()
        mine = [one for one in now.deployments if one.name == DEPLOYMENT]
        if mine and mine[0].owned >= now.partitions:
            return deployed.version
        if mine and mine[0].failures:
            raise Ending(GRID, f"the deployment does not run: {mine[0].failures[0]}")
        await asyncio.sleep(0.1)
    raise Ending(
        GRID, f"the workers did not take up the deployment within {OWNED_WITHIN_S:.0f} s", "grid-inference doctor"
    )


async def stream(
    grid: aio.Grid,
    fraud: FraudModel,
    numbers: Numbers,
    screen: Screen,
    rate: float,
    newer: int,
    kill: Callable[[], str] | None = None,
) -> Streamed:
    """Put all payments, and wait for the last prediction.

    At a quarter of them the version `newer` is promoted; at half `kill` ends a node and gives its name.
    """
    predictions = grid.predictions(DEPLOYMENT)
    keys = fraud.stream.transactions.transaction_id
    probes = keys[np.unique(np.linspace(0, len(keys) - 1, min(PROBES, len(keys))).astype(np.int64))]
    put_at: dict[int, float] = {}
    chosen = ", ".join(map(str, probes.tolist()))
    async with (
        await predictions.subscribe(f"score >= {fraud.threshold}") as alerts,
        await predictions.subscribe(f"__key in ({chosen})") as clocked,
        asyncio.TaskGroup() as group,
    ):
        amounts = dict(zip(keys.tolist(), fraud.stream.transactions.amount.tolist(), strict=True))
        helpers = [
            group.create_task(_take_alerts(alerts, amounts, numbers)),
            group.create_task(_clock(clocked, put_at, numbers)),
            group.create_task(_draw(screen, numbers)),
            group.create_task(_count(predictions, numbers)),
        ]
        if kill:
            helpers.append(group.create_task(_kill_at_half(kill, numbers)))
        promoting = group.create_task(_promote(grid, newer, numbers))
        started = time.perf_counter()
        await _feed(grid.features(FEATURES_MAP), fraud, numbers, put_at, set(probes.tolist()), rate)
        await _all_predicted(predictions, numbers)
        seconds = time.perf_counter() - started
        await promoting
        await asyncio.sleep(COUNT_EVERY_S)  # the last events are on their way
        for helper in helpers:
            helper.cancel()
    return Streamed(seconds)


async def _feed(
    features: aio.Features, fraud: FraudModel, numbers: Numbers, put_at: dict[int, float], probes: set[int], rate: float
) -> None:
    """What is due by now, ten milliseconds after ten; a grid that is slower sets the pace itself."""
    keys, columns = fraud.stream.transactions.transaction_id, fraud.stream.features
    started = time.perf_counter()
    while numbers.records < numbers.total:
        now = time.perf_counter()
        first = numbers.records
        last = min(numbers.total, first + ROWS_A_PUT_MAX, 1 + int(rate * _elapsed(now - started)))
        if last > first:
            mine = keys[first:last]
            put_at.update(dict.fromkeys(probes.intersection(mine.tolist()), now))
            await features.put_batch({name: column[first:last] for name, column in columns.items()}, key=mine)
            numbers.records = last
        await asyncio.sleep(max(0.0, TICK_S - (time.perf_counter() - now)))


def _elapsed(seconds: float) -> float:
    """Seconds at full rate that are worth as much as these."""
    return seconds * seconds / (2 * RAMP_S) if seconds < RAMP_S else seconds - RAMP_S / 2


async def _all_predicted(predictions: aio.Predictions, numbers: Numbers) -> None:
    changed_s = time.monotonic()
    while numbers.predictions < numbers.total and time.monotonic() < changed_s + STALL_S_MAX:
        count = await predictions.size()
        if count != numbers.predictions:
            changed_s = time.monotonic()
            numbers.see(count)
        await asyncio.sleep(COUNT_AT_THE_END_EVERY_S)


async def _take_alerts(alerts: aio.Subscription[Prediction], amounts: dict[int, float], numbers: Numbers) -> None:
    async for alert in alerts:
        numbers.alerts += 1
        numbers.latest.append(Alert(alert.key, alert.score, amounts.get(alert.key, 0.0)))


async def _clock(clocked: aio.Subscription[Prediction], put_at: dict[int, float], numbers: Numbers) -> None:
    async for prediction in clocked:
        begun = put_at.pop(prediction.key, None)
        if begun is not None:
            numbers.latencies_s.append(time.perf_counter() - begun)


async def _draw(screen: Screen, numbers: Numbers) -> None:
    while True:
        screen.draw(numbers)
        await asyncio.sleep(DRAW_EVERY_S)


async def _promote(grid: aio.Grid, version: int, numbers: Numbers) -> None:
    while numbers.records < numbers.total // 4:  # noqa: ASYNC110  # what puts them knows nothing of this
        await asyncio.sleep(TICK_S)
    await grid.promote(DEPLOYMENT, version)
    numbers.promoted, numbers.promoted_at = version, numbers.records


async def _kill_at_half(kill: Callable[[], str], numbers: Numbers) -> None:
    while numbers.records < numbers.total // 2:  # noqa: ASYNC110  # what puts them knows nothing of this
        await asyncio.sleep(TICK_S)
    numbers.killed_at = numbers.records
    numbers.killed = await asyncio.to_thread(kill)


async def _count(predictions: aio.Predictions, numbers: Numbers) -> None:
    while True:
        numbers.see(await predictions.size())
        await asyncio.sleep(COUNT_EVERY_S)


async def scores_of(grid: aio.Grid, keys: NDArray[np.int64]) -> tuple[NDArray[np.float64], dict[int, int]]:
    """The score of each key as it stands in the predictions map, NaN where there is none; predictions by version."""
    predictions = grid.predictions(DEPLOYMENT)
    scores, versions = np.full(len(keys), np.nan), Counter[int]()
    for first in range(0, len(keys), ROWS_READ_AT_ONCE):
        mine = keys[first : first + ROWS_READ_AT_ONCE]
        table: Any = await predictions.get_batch(mine)
        there = np.isin(mine, np.array(table.keys, np.int64))
        scores[first : first + len(mine)][there] = table["score"] if len(table) else []
        versions.update(table["version"].tolist() if len(table) else [])
    return scores, dict(sorted(versions.items()))

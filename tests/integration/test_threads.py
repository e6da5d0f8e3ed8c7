"""Who may use what: blocking objects belong to any thread, asynchronous ones to the loop that opened their grid."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

import grid_inference as gi
from grid_inference import aio
from tests.integration.conftest import FEATURES, Names, batch
from tests.integration.operations import MODELS, OPERATIONS

THREADS = 6
ROUNDS = 8
HANGS_AFTER_S = 30.0

LABELS = {0.9: "fraud", 0.1: "authentic"}


def at_once(work: Callable[[int], None]) -> None:
    """The same work in several threads that begin together; the first error of any is raised."""
    gate = threading.Barrier(THREADS)

    def begin(number: int) -> None:
        gate.wait()
        work(number)

    with ThreadPoolExecutor(THREADS) as threads:
        for done in [threads.submit(begin, number) for number in range(THREADS)]:
            done.result()


def test_one_grid_for_many_threads(local_grid: gi.Grid, deployed: gi.Predictions, names: Names) -> None:
    features = local_grid.features(names.features)

    def work(number: int) -> None:
        first = number * 10_000
        for at in range(first, first + ROUNDS):
            value = (0.1, 0.9)[at % 2]
            assert deployed.predict(f"p{at}", dict.fromkeys(FEATURES, value), 30).label == LABELS[value]
            features.put(at, {"a": float(at), "b": 1.0, "c": 1.0})
            assert features.get(at) == {"a": float(at), "b": 1.0, "c": 1.0}
        columns = batch(500, number, first + 1_000)
        assert features.put_batch(columns, key="key") == 500
        assert np.array_equal(features.get_batch(columns["key"])["a"], columns["a"])
        found = features.to_arrow(where=f"__key >= {first + 1_000} AND __key < {first + 1_500}")
        assert sorted(found["key"].to_pylist()) == columns["key"].tolist()
        assert local_grid.deployment(names.deployment).state == "running"
        assert names.deployment in {one.name for one in local_grid.status().deployments}

    at_once(work)
    assert features.size() == THREADS * (500 + 2 * ROUNDS)


def test_one_subscription_for_many_threads(local_grid: gi.Grid, deployed: gi.Predictions, names: Names) -> None:
    taken: list[list[gi.Prediction]] = [[] for _ in range(THREADS)]
    with deployed.subscribe(timeout=HANGS_AFTER_S) as subscription:

        def work(number: int) -> None:
            if number == 0:
                local_grid.features(names.features).put_batch(batch(600), key="key")
                return
            for prediction in subscription:
                assert isinstance(prediction, gi.Prediction)
                taken[number].append(prediction)
                if len({one.key for some in taken for one in some}) >= 600:
                    subscription.close()

        at_once(work)
    # A record that was put while a scan was under way may be scored twice: that is another prediction, of another time.
    found = Counter((one.key, one.scored_at_us) for some in taken for one in some)
    assert {key for key, _ in found} == set(range(600))
    assert set(found.values()) == {1}


def test_closing_in_another_thread_ends_calls(local_grid: gi.Grid, names: Names) -> None:
    grid = gi.connect(local_grid.address, cluster_name=local_grid.cluster_name)
    errors, began = [], threading.Event()

    def work(number: int) -> None:
        if number == 0:
            began.wait(HANGS_AFTER_S)
            grid.close()
            return
        try:
            while True:
                grid.features(names.features).size()
                began.set()
        except gi.GridError as error:
            errors.append(error)

    at_once(work)
    assert len(errors) == THREADS - 1


def test_an_object_of_another_loop_is_refused(local_grid: gi.Grid, model: Any, names: Names) -> None:
    MODELS.append(model)
    local_grid.deploy(names.deployment, model, features=names.features, columns=FEATURES)

    async def elsewhere(work: Any) -> None:
        await asyncio.wait_for(work, HANGS_AFTER_S)

    async def at_home() -> dict[str, BaseException | None]:
        flags = {"address": local_grid.address, "cluster_name": local_grid.cluster_name}
        async with (
            await aio.connect(gi.GridConfig.load(flags=flags)) as grid,
            await grid.predictions(names.deployment).subscribe() as subscription,
        ):
            works: dict[str, Any] = {
                name: lambda operation=operation: operation(grid, names)
                for name, operation in OPERATIONS.items()
                if name != "connect"
            }
            works |= {
                "next of a subscription": lambda: anext(subscription),
                "catch_up of a subscription": lambda: anext(subscription.catch_up(gi.Gap(0, "reconnected"))),
                "close a subscription": subscription.close,
                "close": grid.close,
            }
            found = dict[str, BaseException | None]()
            for name, work in works.items():
                ran = asyncio.to_thread(lambda work=work: asyncio.run(elsewhere(work())))
                [found[name]] = await asyncio.gather(ran, return_exceptions=True)
            assert await grid.status()
            assert not subscription.ended
        return found

    found = asyncio.run(at_home())
    for name, error in found.items():
        assert isinstance(error, gi.GridError), f"{name}: {error!r}"
        assert "belongs to another event loop" in str(error), name
        assert "aio.connect()" in error.remedy, name
    local_grid.undeploy(names.deployment)

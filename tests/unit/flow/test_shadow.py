"""What a shadow takes, leaves out and rests, with a model that is asked in this process and a link that takes notes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from grid_inference.config import DeploymentConfig, WorkerConfig
from grid_inference.errors import UnansweredError
from grid_inference.flow import shadow as module
from grid_inference.flow.events import Events
from grid_inference.flow.feeds import Arrivals
from grid_inference.flow.serving import Loaded
from grid_inference.flow.shadow import Shadow
from grid_inference.flow.split import places
from grid_inference.model.store.making import make
from grid_inference.model.store.published import ModelVersion
from grid_inference.model.store.registry import Deployed
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import encode_record
from grid_inference.wire.keys import encode_keys
from grid_inference.wire.schema import FieldKind, Schema

MODEL = LinearRegression().fit(np.arange(20.0).reshape(-1, 2), np.arange(10.0))
RECORD = Schema.of("record", {"a": FieldKind.FLOAT64, "b": FieldKind.FLOAT64})


class Link:
    """Knows one schema, and keeps what was sent."""

    def __init__(self) -> None:
        self.sent: list[int] = []

    async def schema(self, schema_id: int) -> Schema:
        assert schema_id == RECORD.schema_id
        return RECORD

    async def call_all(self, requests: Iterable[Any], allows: Callable[[int], bool]) -> list[Any]:
        partitions = [partition for partition, _ in requests]
        assert all(map(allows, partitions))
        self.sent.append(len(partitions))
        await asyncio.sleep(0)
        return []


class Leases:
    """All partitions below 10 are ours."""

    @staticmethod
    def allows(partition: int, epoch: int) -> bool:
        return partition < 10 and epoch == 1


def made(link: Link, monkeypatch: pytest.MonkeyPatch, took_s: float = 0.0, **settings: Any) -> Shadow:
    """A shadow whose model answers after so many seconds, asked in this process."""
    found = make(MODEL, ["a", "b"], None, None)
    version = ModelVersion("m", 2, found.signature, found.artifact.manifest, None, 0, "me")
    config = DeploymentConfig(name="d", features="f", **settings)
    loaded = Loaded.of(MODEL, found.signature, None, "m@2")

    def asked(self: Any, inputs: Any, *, finite: bool | None) -> Any:
        time.sleep(took_s)
        return loaded.engine.predict(inputs, finite=finite)

    async def at_once(self: Any) -> None:
        """There is no process to start."""

    monkeypatch.setattr(module._InItsProcess, "start", at_once)  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(module._InItsProcess, "_asked", asked)  # pyright: ignore[reportPrivateUsage]
    workers, leases = WorkerConfig(batch_bytes_max=1 << 20), Leases()
    return Shadow(link, Deployed.of(config, version, "", 1), loaded, workers, leases)  # type: ignore[arg-type]


def arrivals(
    keys: Iterable[int], removed: Iterable[int] = (), *, suspect: bool = False, bytes_each: int = 0
) -> Arrivals:
    """Records under these keys, and removals."""
    data = encode_record(RECORD, {"a": 1.0, "b": 2.0})
    present, gone = encode_keys(list(keys)), encode_keys(list(removed)) if list(removed) else Blobs.empty()
    values = Blobs.of([bytes(data) + bytes(bytes_each)] * len(present))
    rows = Events.concat([Events.of(present, values), Events.removals(gone)])
    return Arrivals(rows, np.zeros(len(rows), np.int32), [], [], 0, {0: 1}, suspect=suspect)


async def counted(shadow: Shadow, name: str, least: int) -> dict[str, Any]:
    async with asyncio.timeout(20):
        while shadow.counts()[name] < least:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    return shadow.counts()


def test_it_takes_no_more_than_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        shadow, spent_s = made(Link(), monkeypatch, took_s=0.02), list[float]()
        shadow.give(0.2)
        resting = shadow._rest  # pyright: ignore[reportPrivateUsage]

        async def rest(turn_s: float) -> None:
            spent_s.append(turn_s)
            await resting(turn_s)

        monkeypatch.setattr(shadow, "_rest", rest)
        begun_s = time.perf_counter()
        while time.perf_counter() < begun_s + 1.5:
            shadow.offer(arrivals(range(1000)))
            await asyncio.sleep(0.01)
        counts, elapsed_s = shadow.counts(), time.perf_counter() - begun_s
        # The turn under way may not have been rested for.
        assert 0 < sum(spent_s[:-1]) <= 0.2 * elapsed_s
        assert counts["seconds"] == pytest.approx(sum(spent_s), abs=1e-5)
        assert counts["skipped"] > counts["scored"] > 0
        await shadow.stop()

    asyncio.run(run())


def test_a_greater_budget_ends_a_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        shadow = made(Link(), monkeypatch, took_s=0.05)
        shadow.give(0.0001)  # a rest of minutes
        shadow.offer(arrivals(range(10)))
        await counted(shadow, "scored", 10)
        shadow.offer(arrivals(range(10)))
        await asyncio.sleep(0.2)
        assert shadow.counts()["scored"] == 10
        shadow.give(1.0)
        await counted(shadow, "scored", 20)
        await shadow.stop()

    asyncio.run(run())


def test_of_more_than_there_is_room_for_keys_of_a_small_hash_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        shadow = made(Link(), monkeypatch)
        many = arrivals(range(1000))
        shadow.offer(many)
        ((taken, _),) = shadow._waiting  # pyright: ignore[reportPrivateUsage]
        assert len(taken) == module.FIRST_ROWS
        smallest = np.sort(places(many.rows.identities))[: module.FIRST_ROWS]
        assert sorted(places(taken.identities)) == smallest.tolist()
        assert shadow.counts()["skipped"] == 1000 - module.FIRST_ROWS
        shadow.offer(arrivals(range(10)))
        assert shadow.counts()["skipped"] == 1010 - module.FIRST_ROWS
        await shadow.stop()

    asyncio.run(run())


def test_what_waits_is_bounded_by_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        shadow = made(Link(), monkeypatch)
        for _ in range(10):
            shadow.offer(arrivals(range(10), bytes_each=100_000))
        waiting = sum(rows.nbytes for rows, _ in shadow._waiting)  # pyright: ignore[reportPrivateUsage]
        assert 900_000 < waiting <= 1 << 20
        assert shadow.counts()["skipped"] >= 90
        await shadow.stop()

    asyncio.run(run())


def test_what_is_suspect_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        shadow = made(Link(), monkeypatch)
        shadow.offer(arrivals(range(10), suspect=True))
        assert (shadow.counts()["skipped"], shadow._waiting) == (10, [])  # pyright: ignore[reportPrivateUsage]
        await shadow.stop()

    asyncio.run(run())


@pytest.mark.parametrize(("on_remove", "sent"), [("remove", [1, 500, 500, 200]), ("keep", [1])])
def test_removals_go_in_pieces_or_stay(on_remove: str, sent: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        link = Link()
        shadow = made(link, monkeypatch, on_remove=on_remove)
        shadow.offer(arrivals([1], range(100, 1300)))
        await counted(shadow, "scored", 1)
        assert link.sent == sent
        await shadow.stop()

    asyncio.run(run())


def test_a_process_that_does_not_come_up_is_told_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        shadow, tries = made(Link(), monkeypatch), list[int]()

        def asked(self: Any, inputs: Any, *, finite: bool | None) -> Any:
            tries.append(len(inputs))
            raise UnansweredError("no process")

        with monkeypatch.context() as patch:
            patch.setattr(module._InItsProcess, "_asked", asked)  # pyright: ignore[reportPrivateUsage]
            shadow.offer(arrivals(range(5)))
            counts = await counted(shadow, "skipped", 5)
            assert (counts["failure"], tries) == ("no process", [5])
        shadow.offer(arrivals(range(5)))
        counts = await counted(shadow, "scored", 5)
        await asyncio.sleep(0)
        assert shadow.counts()["failure"] == ""
        await shadow.stop()

    asyncio.run(run())


def test_a_start_that_fails_in_whatever_way_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        starting = module._InItsProcess.start  # pyright: ignore[reportPrivateUsage]
        shadow = made(Link(), monkeypatch)
        monkeypatch.setattr(module._InItsProcess, "start", starting)  # pyright: ignore[reportPrivateUsage]

        def start(self: Any) -> None:
            raise BlockingIOError(11, "no more processes")

        monkeypatch.setattr(module.TrialEngine, "start", start)
        shadow.offer(arrivals(range(5)))
        await counted(shadow, "scored", 5)
        await shadow.stop()

    asyncio.run(run())

"""Both triggers on one map, while it is written to and the workers' connections are cut: equal predictions in the end.

`TRIGGER_OPERATIONS=1000000` runs it at full size; the result is one line of JSON on stdout (`-n 0 -s` shows it).
"""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import hazelcast
import numpy as np
import pyarrow as pa
import pytest
from hazelcast.config import IntType
from hazelcast.core import HazelcastJsonValue
from hazelcast.predicate import between

import grid_inference as gi
from grid_inference.node.workers import Workers
from tests.integration.conftest import FEATURES, until
from tests.ports import free_port
from tests.proxy import Proxy

OPERATIONS = int(os.environ.get("TRIGGER_OPERATIONS", "20000"))
KEYS = OPERATIONS // 2
SEED = 20
SETTLE_S = 60.0
TRIGGERS = ("journal", "listener")
NO_TIMER_S = 3600.0
"""The listener must be right without its scan on a timer."""


@dataclass
class Writer:
    """Random writes by both clients, one after the other, so that each key has one newest value."""

    features: gi.Features
    stock: Any
    """The same map, by the stock client."""
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(SEED))
    done: Counter[str] = field(default_factory=Counter)
    """Keys written or removed, by the way of it."""
    standing: dict[int, list[float]] = field(default_factory=dict)
    """What must be in the map: key → values."""

    def run(self, operations: int) -> None:
        ways = [self.put_batch, self.put, self.remove, self.put_all, self.remove_all]
        while self.done.total() < operations:
            way = ways[self.random.choice(len(ways), p=(0.3, 0.2, 0.2, 0.2, 0.1))]
            self.done[way.__name__] += way()

    def put_batch(self) -> int:
        keys, rows = self.some(int(self.random.integers(1, 400)))
        self.features.put_batch(dict(zip(FEATURES, np.array(rows).T, strict=True)), key=keys)
        self.standing.update(zip(keys, rows, strict=True))
        return len(keys)

    def put(self) -> int:
        keys, rows = self.some(10)
        for key, row in zip(keys, rows, strict=True):
            self.features.put(key, dict(zip(FEATURES, row, strict=True)))
        self.standing.update(zip(keys, rows, strict=True))
        return len(keys)

    def put_all(self) -> int:
        """JSON values, of which some lack a field."""
        keys, rows = self.some(200)
        short = self.random.random(len(rows)) < 0.05
        rows = [row[:-1] if cut else row for row, cut in zip(rows, short.tolist(), strict=True)]
        records = [HazelcastJsonValue(dict(zip(FEATURES, row, strict=False))) for row in rows]
        self.stock.put_all(dict(zip(keys, records, strict=True)))
        self.standing.update(zip(keys, rows, strict=True))
        return len(keys)

    def remove(self) -> int:
        keys, _ = self.some(10)
        for key in keys:
            self.features.remove(key)
        return self.gone(keys)

    def remove_all(self) -> int:
        """A range of keys at once, whether they are there or not."""
        first, count = int(self.random.integers(KEYS)), int(self.random.integers(1, 200))
        self.stock.remove_all(between("__key", first, first + count - 1))
        return self.gone(range(first, first + count))

    def clear(self) -> None:
        self.features.clear()
        self.done["clear"] += self.gone(list(self.standing))

    def gone(self, keys: Sequence[int]) -> int:
        for key in keys:
            self.standing.pop(key, None)
        return len(keys)

    def some(self, count: int) -> tuple[list[int], list[list[float]]]:
        """Low keys come again and again, high ones once: nothing makes good what is missed of those."""
        keys = (KEYS * self.random.random(count) ** 3).astype(int)
        return keys.tolist(), self.random.random((count, len(FEATURES))).tolist()


@dataclass
class Cut:
    """A grid whose workers reach it through a proxy, and whose writers do not."""

    grid: gi.Grid
    stock: hazelcast.HazelcastClient
    proxy: Proxy


@pytest.fixture
def cut() -> Iterator[Cut]:
    port, name = free_port(), f"triggers-{uuid.uuid4().hex[:8]}"
    direct = f"127.0.0.1:{port}"
    with Proxy(port) as proxy:
        proxied = f"127.0.0.1:{proxy.port}"
        config = gi.MemberConfig(cluster_name=name, heap_mb=1024, port=port, public_address=proxied)
        with gi.Member.start(config), Workers(proxied, name, 2), gi.connect(direct, cluster_name=name) as grid:
            grid.wait_for_workers(2)
            stock = hazelcast.HazelcastClient(
                cluster_name=name,
                cluster_members=[direct],
                default_int_type=IntType.LONG,
                statistics_enabled=False,
            )
            yield Cut(grid, stock, proxy)
            stock.shutdown()


def results(grid: gi.Grid, name: str) -> pa.Table:
    return grid.predictions(name).to_arrow().sort_by("key")


def status_of(grid: gi.Grid, name: str) -> Any:
    return next(one for one in grid.status().deployments if one.name == name)


def deploy(grid: gi.Grid, model: Any) -> None:
    for trigger in TRIGGERS:
        grid.deploy(trigger, model, features="records", columns=FEATURES, trigger=trigger, reconcile_s=NO_TIMER_S)
        until(lambda trigger=trigger: status_of(grid, trigger).owned == 31, "the workers' start")


def write(cut: Cut) -> Writer:
    """All operations, with one clearing of the map and one cut of the workers' connections among them."""
    writer = Writer(cut.grid.features("records"), cut.stock.get_map("records").blocking())
    writer.run(OPERATIONS // 4)
    writer.clear()
    writer.run(OPERATIONS // 2)
    cut.proxy.cut()
    writer.run(OPERATIONS)
    return writer


def say(grid: gi.Grid, writer: Writer, verdicts: dict[str, gi.Verdict], write_s: float, settle_s: float) -> None:
    """What happened, as one line of JSON."""
    counts = ("records", "predictions", "dead_letters", "missing", "stale", "orphans")
    found: dict[str, Any] = {"operations": writer.done.total(), **writer.done}
    for trigger, verdict in verdicts.items():
        state = status_of(grid, trigger)
        found[trigger] = {name: getattr(verdict, name) for name in counts}
        found[trigger] |= {"gaps": dict(state.gaps), "repairs": dict(state.repairs)}
    seconds = {"write_s": round(write_s, 1), "settle_s": round(settle_s, 1)}
    sys.stdout.write(f"{json.dumps(found | seconds)}\n")


@pytest.mark.timeout(300 + OPERATIONS / 500)
def test_both_triggers_end_with_the_same_predictions(cut: Cut, model: Any) -> None:
    grid = cut.grid
    deploy(grid, model)
    started = time.monotonic()
    writer = write(cut)
    written = time.monotonic()
    until(lambda: "listener registered anew" in status_of(grid, "listener").gaps, "the declared gap of the cut")
    verdicts = {trigger: grid.verify(trigger, SETTLE_S) for trigger in TRIGGERS}
    say(grid, writer, verdicts, written - started, time.monotonic() - written)

    assert all(verdict.complete for verdict in verdicts.values()), verdicts
    by_journal, by_listener = (results(grid, trigger) for trigger in TRIGGERS)
    for name in ("key", "input_digest", "label"):
        assert by_journal[name].equals(by_listener[name]), name
    scores = [table["score"].to_numpy() for table in (by_journal, by_listener)]
    np.testing.assert_allclose(*scores, rtol=0, atol=1e-12)
    whole = {key: row for key, row in sorted(writer.standing.items()) if len(row) == len(FEATURES)}
    assert by_journal["key"].to_pylist() == list(whole)
    np.testing.assert_allclose(scores[0], model.predict_proba(list(whole.values()))[:, 1], rtol=0, atol=1e-12)
    dead = [{(one.key, one.input_digest, one.cause) for one in grid.dead_letters(trigger)} for trigger in TRIGGERS]
    assert dead[0]
    assert dead[0] == dead[1]
    assert {key for key, _, _ in dead[0]} == writer.standing.keys() - whole.keys()

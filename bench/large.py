"""`python -m bench.large`: ten million records, scored, proven at rest and under load, scored anew by a redeploy.

One node; the heap has to hold everything: some 0.9 KB for each record of eight numbers, its prediction and their
journals. Of each step the seconds, the processor time and the most memory that the workers took are printed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from sklearn.linear_model import LogisticRegression

import grid_inference as gi
from bench.measure import Meter, machine
from bench.ours import BenchError
from grid_inference.grid.member import MemberConfig
from grid_inference.node.nodes import Nodes

__all__ = ["main"]

NAME: Final = "large"
FIELDS: Final = tuple(f"f{index}" for index in range(8))
PUT_ROWS: Final = 50_000
LOAD_ROWS: Final = 500
"""Of one batch of the load."""
POLL_S: Final = 0.5
STILL_S: Final = 180.0
"""So long nothing more is scored until it is given up."""
ROUND_DIGITS: Final = 3


def main() -> None:
    """Measure, print a line of JSON for each step, then all of it."""
    parser = argparse.ArgumentParser(prog="python -m bench.large", description=__doc__)
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--rate", type=int, default=5_000, help="records put per second during the proof under load")
    parser.add_argument("--heap-mb", type=int, default=11_264)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--output", type=Path, help="where all of it goes as JSON as well")
    options = parser.parse_args()
    facts, member = machine(), MemberConfig(heap_mb=options.heap_mb)
    with (
        tempfile.TemporaryDirectory(prefix="grid-inference-bench-") as keys,
        Nodes(member, options.workers, keys=keys) as nodes,
    ):
        nodes.add()
        cluster = nodes.members[0].cluster_name
        with gi.connect(nodes.address, cluster_name=cluster, keys=nodes.keys) as grid:
            grid.wait_for_workers(options.workers)
            steps = Steps(grid, nodes, options.records, options.rate).run()
    said = {"records": options.records, "rate": options.rate, "steps": steps, "machine": facts}
    print(json.dumps(said))
    if options.output:
        options.output.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")


class Steps:
    """What is done to the map, one after the other, and what each step took."""

    def __init__(self, grid: gi.Grid, nodes: Nodes, records: int, rate: int) -> None:
        self._grid = grid
        self._nodes = nodes
        self._records = records
        self._rate = rate
        self._found = dict[str, dict[str, Any]]()
        rng = np.random.default_rng(0)
        self._rows = rng.normal(size=(PUT_ROWS, len(FIELDS))).astype(np.float32)
        self._models = [LogisticRegression().fit(self._rows[:500], self._rows[:500, column] > 0) for column in (0, 1)]

    def run(self) -> dict[str, dict[str, Any]]:
        """All steps."""
        with self._step("put and scored"):
            self._deploy(0)
            for first in range(0, self._records, PUT_ROWS):
                self._put(first, min(PUT_ROWS, self._records - first))
            self._wait(1)
        with self._step("verify at rest") as found:
            found.update(self._verify())
        with self._step("verify under load") as found, self._load() as put:
            found.update(self._verify())
            found["put meanwhile"] = put[0]
        with self._step("redeploy"):
            self._deploy(1)
            self._wait(2)
        with self._step("verify after the redeploy") as found:
            found.update(self._verify())
        return self._found

    def _deploy(self, model: int) -> None:
        self._grid.deploy(NAME, self._models[model], features="records", columns=FIELDS)

    def _put(self, first: int, count: int) -> None:
        columns = {name: self._rows[:count, index] for index, name in enumerate(FIELDS)}
        self._grid.features("records").put_batch(columns, key=np.arange(first, first + count))

    def _verify(self) -> dict[str, Any]:
        verdict = self._grid.verify(NAME)
        if not verdict.complete or verdict.records != self._records:
            raise BenchError(f"the proof fails: {verdict}")
        return {name: value for name, value in asdict(verdict).items() if isinstance(value, int | float)}

    @contextmanager
    def _load(self) -> Generator[list[int]]:
        """New values for records that stand there, all over the map, at a steady rate."""
        ended, put = threading.Event(), [0]

        def write() -> None:
            begun_s, rng = time.monotonic(), np.random.default_rng(1)
            while not ended.wait(max(0.0, begun_s + put[0] / self._rate - time.monotonic())):
                self._put(int(rng.integers(self._records - LOAD_ROWS)), LOAD_ROWS)
                put[0] += LOAD_ROWS

        writer = threading.Thread(target=write)
        writer.start()
        try:
            yield put
        finally:
            ended.set()
            writer.join()

    def _wait(self, version: int) -> None:
        """Until the workers say that this version has scored every record."""
        last, since_s = -1, time.monotonic()
        while (now := self._scored(version)) < self._records:
            if now != last:
                last, since_s = now, time.monotonic()
            if time.monotonic() > since_s + STILL_S:
                raise BenchError(f"{now:,} of {self._records:,} scored: {self._grid.status()}")
            time.sleep(POLL_S)

    def _scored(self, version: int) -> int:
        return sum(one.versions.get(str(version), 0) for one in self._grid.status().deployments)

    @contextmanager
    def _step(self, name: str) -> Generator[dict[str, Any]]:
        found: dict[str, Any] = {}
        with Console(stderr=True).status(name), Meter(self._nodes.processes) as meter:
            yield found
        spent = {f"{group}_cpu_s": cpu_s for group, cpu_s in meter.cpu_s.items()}
        peaks = {f"{group}_peak_rss_mb": rss_mb for group, rss_mb in meter.peak_rss_mb.items()}
        each = {"took_s": meter.seconds, **spent, **peaks, **found}
        self._found[name] = {
            key: round(value, ROUND_DIGITS) if isinstance(value, float) else value for key, value in each.items()
        }
        print(json.dumps({name: self._found[name]}), flush=True)


if __name__ == "__main__":
    main()

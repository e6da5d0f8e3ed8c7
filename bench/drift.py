"""What watching for drift costs: a deployment that counts what its model gets and says against one that does not."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Final

from bench.compare import Results, Sizes
from bench.data import NAMES, TRAINING_ROWS, matrix
from bench.ours import Backlog, Load, Ours

__all__ = ["drift"]

SAMPLE: Final = matrix(TRAINING_ROWS, seed=1)
WATCHED, UNWATCHED = (
    Load(Ours.put, {"columns": NAMES, "sample": SAMPLE, "drift": {"psi": psi}}) for psi in (0.25, 0.0)
)


def drift(ours: Ours, models: dict[str, Path], sizes: Sizes, results: Results) -> None:
    """The same backlog by the same workers, in turns with and without counting, which go first by turns."""
    runs: dict[bool, list[Backlog]] = {True: [], False: []}
    for turn in range(sizes.pairs + 1):
        for watched in (True, False) if turn % 2 else (False, True):
            run = ours.backlog(models["lr"], sizes.lr // 2, load=WATCHED if watched else UNWATCHED)
            if turn:  # in the first one Java compiles what the others run
                runs[watched].append(run)
    results.ratio("drift_on_of_off", (one.per_s for one in runs[True]), (one.per_s for one in runs[False]))
    results.details["drift"] = {"on": [one.per_s for one in runs[True]], "off": [one.per_s for one in runs[False]]}
    # Steadier than the clock on a machine that does something else as well.
    cpu_us = {
        name: statistics.fmean(one.cpu_s["workers"] / one.records * 1e6 for one in runs[watched])
        for name, watched in (("on", True), ("off", False))
    }
    results.details["drift_worker_cpu_us_per_record"] = cpu_us | {"ratio": cpu_us["on"] / cpu_us["off"]}

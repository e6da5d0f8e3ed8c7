"""What a shadow costs those whose records it scores too: the same records with a challenger beside, and without one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from bench.compare import Results, Sizes
from bench.data import NAMES
from bench.ours import WARM_ROWS, Ours, features_of

__all__ = ["shadow"]

BUDGET: Final = 0.1
CHALLENGER: Final = "challenger"
WARM_S_MAX: Final = 60.0


def shadow(ours: Ours, models: dict[str, Path], sizes: Sizes, results: Results) -> None:
    """Turn by turn on one grid; the challenger is as slow a model as the one at work, and its process is up."""
    version = str(ours.grid.publish(str(models["hgb"]), name=CHALLENGER, columns=NAMES))
    runs: dict[bool, list[float]] = {True: [], False: []}
    scored = skipped = 0
    for turn in range(sizes.repeats):
        for shadowed in (True, False) if turn % 2 else (False, True):
            name = ours.deploy(models["hgb"])
            try:
                if shadowed:
                    _begin(ours, name, version)
                runs[shadowed].append(_streamed(ours, name, sizes.hgb * 4))
                said = [one["shadow"] for one in ours.grid.worker_counts(name).values() if one.get("shadow")]
                scored, skipped = (
                    total + sum(one[what] for one in said) for total, what in ((scored, "scored"), (skipped, "skipped"))
                )
            finally:
                ours.destroy(name)
    results.ratio("shadow_on_of_off", runs[True], runs[False])
    results.details["shadow"] = {"on": runs[True], "off": runs[False], "scored": scored, "skipped": skipped}


def _begin(ours: Ours, name: str, version: str) -> None:
    """Have the challenger score beside, and wait until it does."""
    ours.grid.shadow(name, version, budget=BUDGET)
    deadline = time.monotonic() + WARM_S_MAX
    while time.monotonic() < deadline:
        ours.put(features_of(name), 0, WARM_ROWS)
        said = [one["shadow"] for one in ours.grid.worker_counts(name).values()]
        if all(one and one["scored"] for one in said):
            return
        time.sleep(0.5)


def _streamed(ours: Ours, name: str, records: int) -> float:
    """Records per second from the first put, which is faster than scoring, to the last prediction."""
    started = time.perf_counter()
    ours.put(features_of(name), WARM_ROWS, records)
    ours.wait_for(name, WARM_ROWS + records)
    return records / (time.perf_counter() - started)

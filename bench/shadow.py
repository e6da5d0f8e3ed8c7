"""What a shadow costs those whose records it scores too: the same backlog with a challenger beside, and without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from bench.compare import Results, Sizes
from bench.data import NAMES
from bench.ours import Backlog, Ours

__all__ = ["shadow"]

BUDGET: Final = 0.1
CHALLENGER: Final = "challenger"


def shadow(ours: Ours, models: dict[str, Path], sizes: Sizes, results: Results) -> None:
    """Turn by turn on one grid; the challenger is as slow a model as the one at work.

    Its process is started within the time that is measured, as a resumed deployment starts it.
    """
    version = ours.grid.publish(str(models["hgb"]), name=CHALLENGER, columns=NAMES)
    runs: dict[bool, list[Backlog]] = {True: [], False: []}
    did: list[dict[str, Any]] = []

    def begin(name: str) -> None:
        ours.grid.shadow(name, str(version), budget=BUDGET)

    def note(name: str) -> None:
        counts = ours.grid.worker_counts(name).values()
        did.extend(one["shadow"] for one in counts if one.get("shadow"))

    for turn in range(sizes.repeats):
        for shadowed in (True, False) if turn % 2 else (False, True):
            before, after = (begin, note) if shadowed else (None, None)
            runs[shadowed].append(ours.backlog(models["hgb"], sizes.hgb * 2, before=before, after=after))
    results.ratio("shadow_on_of_off", (one.per_s for one in runs[True]), (one.per_s for one in runs[False]))
    results.details["shadow"] = {
        "budget": BUDGET,
        "on": [one.per_s for one in runs[True]],
        "off": [one.per_s for one in runs[False]],
        "scored": sum(one["scored"] for one in did),
        "skipped": sum(one["skipped"] for one in did),
    }

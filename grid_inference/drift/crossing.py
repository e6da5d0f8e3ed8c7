"""Which columns are over the threshold, and which have just come over it, or back.

In: what stood, and a report. Out: what stands now, and what there is to tell of. A column that is over stays so until
it is well below, so that one at the border is not told of again and again. Where the state stands is not known here.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, cast

from grid_inference.drift.report import ColumnDrift, Drift

__all__ = ["EVENTS_TOPIC", "Crossing", "Over", "crossings", "over_in", "state_of"]

EVENTS_TOPIC: Final = "grid_inference.events"
BACK_SHARE: Final = 0.8
"""A column is back once it is below this share of the threshold."""
Over = frozenset[tuple[str, str]]
"""Kind and name of columns."""


@dataclass(frozen=True, slots=True)
class Crossing:
    """A column that has come over the threshold, or is back below it."""

    column: ColumnDrift
    over: bool

    def to_mapping(self, drift: Drift) -> dict[str, Any]:
        """The message that tells of it: figures and names of columns, no value of a record."""
        return {
            "event": "drift",
            "state": "over" if self.over else "back",
            "deployment": drift.deployment,
            "model": drift.model,
            "version": drift.version,
            "column": self.column.name,
            "kind": self.column.kind,
            "psi": self.column.psi,
            "threshold": drift.threshold,
            "rows": self.column.rows,
            "at_us": time.time_ns() // 1000,
        }


def crossings(over: Over, columns: Iterable[ColumnDrift], threshold: float) -> list[Crossing]:
    """What has changed; a column that can't be judged now stays as it was."""
    found: list[Crossing] = []
    for column in columns:
        was = (column.kind, column.name) in over
        if column.psi is None:
            continue
        if not was and column.psi > threshold:
            found.append(Crossing(column, over=True))
        elif was and column.psi < threshold * BACK_SHARE:
            found.append(Crossing(column, over=False))
    return found


def state_of(place: str, over: Over, changes: Iterable[Crossing]) -> dict[str, Any]:
    """What stands under a place once these changes are told."""
    new = {(change.column.kind, change.column.name): change.over for change in changes}
    stays = {one for one in over if new.get(one, True)} | {one for one, is_over in new.items() if is_over}
    return {"kind": "state", "place": place, "over": sorted(map(list, stays))}


def over_in(mapping: Any, place: str) -> Over:
    """The columns that are over, as an entry says; none for an entry of something else."""
    if not isinstance(mapping, dict):
        return frozenset()
    said = cast("dict[str, Any]", mapping)
    pairs: Any = said.get("over")
    if said.get("kind") != "state" or said.get("place") != place or not isinstance(pairs, list):
        return frozenset()
    return frozenset(
        (pair[0], pair[1])
        for pair in cast("list[Any]", pairs)
        if isinstance(pair, list) and [type(part) for part in cast("list[Any]", pair)] == [str, str]
    )

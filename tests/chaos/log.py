"""The write log: what every writer had acknowledged and what it does not know, one fixed-size line per write.

Lines of one key stand in the order of their writes. They are written at once, so a killed writer loses nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.chaos.checker import Histories, Write
from tests.chaos.workload import Form

ACKNOWLEDGED, INDETERMINATE = 1, 0
LINE = np.dtype(
    [("key", "<i8"), ("seq", "<i8"), ("form", "u1"), ("acknowledged", "u1"), ("at_s", "<f8")]
)  # at_s: the machine's monotonic clock


class WriteLog:
    """One writer's log."""

    def __init__(self, path: str | Path) -> None:
        self._file = Path(path).open("ab", buffering=0)  # noqa: SIM115 - as long as the writer lives
        self.counts = [0, 0]
        """Indeterminate and acknowledged writes."""

    def close(self) -> None:
        """Nothing more is written."""
        self._file.close()

    def append(
        self,
        keys: Sequence[int] | NDArray[np.int64],
        seqs: Sequence[int] | NDArray[np.int64],
        forms: Sequence[int] | int,
        acknowledged: Sequence[int] | int,
    ) -> None:
        """Note the outcome of these writes."""
        lines = np.zeros(len(keys), LINE)
        lines["key"], lines["seq"], lines["form"], lines["acknowledged"] = keys, seqs, forms, acknowledged
        lines["at_s"] = time.monotonic()
        self._file.write(lines.tobytes())
        sure = int(lines["acknowledged"].sum())
        self.counts[1] += sure
        self.counts[0] += len(lines) - sure


def read_log(path: str | Path) -> NDArray[np.void]:
    """All lines of a log, shape (n,)."""
    return np.fromfile(path, LINE)


def histories(logs: Iterable[NDArray[np.void]]) -> Histories:
    """Key → its writes in order, from the logs of one map's writers, whose keys differ.

    Clearing the map is a removal of every key that its writer had written.
    """
    found: Histories = {}
    for log in logs:
        mine: Histories = {}
        for key, seq, form, acknowledged, _ in log.tolist():
            if form == Form.CLEARED:
                for writes in mine.values():
                    writes.append(Write(seq, None, acknowledged == ACKNOWLEDGED))
                continue
            value = None if form == Form.REMOVED else form
            mine.setdefault(key, []).append(Write(seq, value, acknowledged == ACKNOWLEDGED))
        found |= mine
    return found

"""Writers: a process each, with keys of its own, that log what was acknowledged and what they do not know.

`stock` puts, updates and removes with the stock client, and writes a hot key with each batch; `bulk` puts batches with
ours. Of one key the next write begins only when the outcome of the last one is known.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any

import numpy as np

import grid_inference as gi
from tests.chaos.child import Commands
from tests.chaos.log import ACKNOWLEDGED, INDETERMINATE, WriteLog
from tests.chaos.workload import CONNECT_TIMEOUT_S, Form, connect, derived, records

BATCH_WRITES = 50
REMOVED_SHARE = 0.1
ONCE_SHARE = 0.1
"""So many writes go to keys that are written once: a later write would hide what was missed."""
ONCE_FROM = 500_000
"""Beyond the keys of all loads, relative to the first one."""
BULK_BATCH_ROWS = 400
LOAD_BATCH_ROWS = 5000
FORMS_FROM, FORMS_KEYS = 700_000, 200
"""Keys whose forms alternate, relative to the first one; each time others."""
ALTERNATING = (Form.PLAIN, Form.NAN, Form.PLAIN, Form.RAISES)
REFILL_WRITES_MAX, REFILL_BATCH_WRITES = 30_000, 500
HOT_KEY = 0
"""Relative to the writer's first key."""


class StockWriter:
    """Random writes to a range of keys, a batch at a time."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._client = connect(options["addresses"], options["cluster"])
        self._name = options["map"]
        self._map = self._client.get_map(self._name)
        self._first, self._count = options["first"], options["keys"]
        self._random = np.random.default_rng([options["seed"], self._first])
        self.log = WriteLog(options["log"])
        self._seq = 0
        self._once = self._first + self._count
        self._forms_first, self._round = self._first + FORMS_FROM, 0
        self._life, self._last_life = 0, 0
        """Writes since the map was destroyed, and between that and the time before."""
        self.batch_writes = BATCH_WRITES

    def turn(self, writes: int = BATCH_WRITES) -> None:
        """One batch of distinct keys: the hot key, keys that come again and again, and some that come once."""
        fresh = self._fresh(int(writes * ONCE_SHARE))
        again = writes - 1 - len(fresh)
        keys = self._random.choice(np.arange(1, self._count), again, replace=False) + self._first
        forms = np.where(self._random.random(again) < REMOVED_SHARE, Form.REMOVED, Form.PLAIN).tolist()
        every = [self._first + HOT_KEY, *keys.tolist(), *fresh]
        self._write(every, [Form.PLAIN, *forms, *[Form.PLAIN] * len(fresh)])

    def _fresh(self, count: int) -> list[int]:
        """Keys that were not written before, and are not again: nothing makes good what is missed of them."""
        self._once += count
        return list(range(self._once - count, self._once))

    def _write(self, keys: list[int], forms: list[int]) -> list[int]:
        seqs = list(range(self._seq + 1, self._seq + 1 + len(keys)))
        self._seq = seqs[-1]
        made = records(keys, seqs, forms)
        calls = [
            self._call(self._map.delete, key) if form == Form.REMOVED else self._call(self._map.set, key, record)
            for key, record, form in zip(keys, made, forms, strict=True)
        ]
        outcomes = [self._outcome(call) for call in calls]
        self.log.append(keys, seqs, forms, outcomes)
        self._life += len(keys)
        return outcomes

    @staticmethod
    def _call(begin: Any, *given: Any) -> Any:
        try:
            return begin(*given)
        except Exception as error:  # noqa: BLE001 - whatever it is, we don't know what became of the write
            return error

    @staticmethod
    def _outcome(call: Any) -> int:
        try:
            if isinstance(call, Exception):
                return INDETERMINATE
            call.result()
        except Exception:  # noqa: BLE001 - the same
            return INDETERMINATE
        return ACKNOWLEDGED

    def put(self, form: int, count: int) -> dict[str, Any]:
        """Write so many records of one form: half of them over other records, half where they stay till the end."""
        middle = self._first + self._count
        keys = [*range(middle - count // 2, middle), *self._fresh(count - count // 2)]
        return {"acknowledged": sum(self._write(keys, [form] * count))}

    def alternate(self, *, last: bool = False) -> dict[str, Any]:
        """Write all of some keys, each of them good where it was refused before, and refused where it was good.

        The last time each key gets a form of its own, and none of them is written any more.
        """
        keys = np.arange(self._forms_first, self._forms_first + FORMS_KEYS)
        if last:
            forms = self._random.choice([*ALTERNATING], FORMS_KEYS).tolist()
            self._forms_first += FORMS_KEYS
        else:
            self._round += 1
            forms = [ALTERNATING[(key + self._round) % len(ALTERNATING)] for key in keys.tolist()]
        return {"acknowledged": sum(self._write(keys.tolist(), forms))}

    def refill(self) -> dict[str, Any]:
        """Write more than the map's last life has seen, so that its new journal passes where the old one was read."""
        goal = min(int(self._last_life * 1.5), REFILL_WRITES_MAX)
        while self._life < goal:
            self.turn(REFILL_BATCH_WRITES)
        return {"writes": self._life}

    def heat(self, seconds: float) -> dict[str, Any]:
        """Write the hot key alone, as fast as acknowledgements come."""
        until, writes = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            writes += sum(self._write([self._first + HOT_KEY], [Form.PLAIN]))
        return {"acknowledged": writes}

    def clear(self) -> dict[str, Any]:
        """Remove everything; the writer's map is its own."""
        self._seq += 1
        outcome = self._outcome(self._call(self._map.clear))
        self.log.append([-1], [self._seq], Form.CLEARED, outcome)
        return {"acknowledged": outcome}

    def destroy(self) -> dict[str, Any]:
        """Take the whole map away; the next write makes it anew."""
        self._seq += 1
        try:
            outcome = int(bool(self._map.destroy()))
        except Exception:  # noqa: BLE001 - as above
            outcome = INDETERMINATE
        self.log.append([-1], [self._seq], Form.CLEARED, outcome)
        self._life, self._last_life = 0, self._life
        self._map = self._client.get_map(self._name)
        return {"acknowledged": outcome}

    def evict(self) -> dict[str, Any]:
        """Have everything evicted: without a store behind the map it is gone."""
        self._seq += 1
        outcome = self._outcome(self._call(self._map.evict_all))
        self.log.append([-1], [self._seq], Form.CLEARED, outcome)
        return {"acknowledged": outcome}

    def forget(self) -> dict[str, Any]:
        """All members have ended and others begun: nothing of what was written is there any more."""
        self._client.shutdown()
        self._client = connect(self._options["addresses"], self._options["cluster"])
        self._map = self._client.get_map(self._name)
        self._seq += 1
        self._life = 0
        self.log.append([-1], [self._seq], Form.CLEARED, ACKNOWLEDGED)
        return {}

    def close(self) -> None:
        self._client.shutdown()
        self.log.close()


class BulkWriter:
    """Batches by put_batch, over and over the same keys, and loads of many keys when told to."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._grid, self._features = self._connected()
        self._first, self._count = options["first"], options["keys"]
        self.log = WriteLog(options["log"])
        self._seq, self._at = 0, 0
        self._once = self._first + ONCE_FROM
        self.batch_writes = BULK_BATCH_ROWS

    def _connected(self) -> tuple[gi.Grid, gi.Features]:
        options = self._options
        grid = gi.connect(options["addresses"][0], cluster_name=options["cluster"], connect_timeout_s=CONNECT_TIMEOUT_S)
        return grid, grid.features(options["map"])

    def forget(self) -> dict[str, Any]:
        """As the other writers do."""
        self._grid.close()
        self._grid, self._features = self._connected()
        self._seq += 1
        self.log.append([-1], [self._seq], Form.CLEARED, ACKNOWLEDGED)
        return {}

    def turn(self) -> None:
        """The next batch of keys, some of which come once."""
        once = int(BULK_BATCH_ROWS * ONCE_SHARE)
        again = self._first + (self._at + np.arange(BULK_BATCH_ROWS - once)) % self._count
        self._write(np.concatenate([again, self._once + np.arange(once)]))
        self._at += BULK_BATCH_ROWS
        self._once += once

    def load(self, rows: int) -> dict[str, Any]:
        """Write so many other keys at once, in large batches."""
        first, sure = self._first + self._count, 0
        for start in range(first, first + rows, LOAD_BATCH_ROWS):
            sure += self._write(np.arange(start, min(start + LOAD_BATCH_ROWS, first + rows)))
        return {"acknowledged": sure}

    def _write(self, keys: Any) -> int:
        self._seq += 1
        seqs = np.full(keys.size, self._seq, np.int64)
        values = derived(keys, seqs).T
        columns = {"seq": seqs, **dict(zip("abc", values, strict=True)), "mark": np.zeros(keys.size)}
        try:
            self._features.put_batch(columns, key=keys)
            outcome = ACKNOWLEDGED
        except gi.GridInferenceError:
            outcome = INDETERMINATE
        self.log.append(keys, seqs, Form.PLAIN, outcome)
        return keys.size * outcome

    def close(self) -> None:
        self._grid.close()
        self.log.close()


def main() -> None:
    """Write at a bounded rate; do what is told between two batches."""
    logging.basicConfig(level="ERROR")
    logging.getLogger("hazelcast").setLevel("CRITICAL")
    options = json.loads(sys.argv[1])
    writer: Any = BulkWriter(options) if options["kind"] == "bulk" else StockWriter(options)
    commands = Commands()
    commands.answer()
    pause_s, paused, slowest_s = writer.batch_writes / options["rate"], False, 0.0
    due_s = time.monotonic()
    while True:
        command = commands.take(pause_s if paused else max(0.0, due_s - time.monotonic()))
        if command is None:
            if not paused:
                due_s = max(due_s + pause_s, begun_s := time.monotonic())
                writer.turn()
                slowest_s = max(slowest_s, time.monotonic() - begun_s)
            continue
        name = command.pop("do")
        if name == "end":
            break
        number = {"number": command.pop("number")}
        if name in ("pause", "resume", "counts"):
            paused = paused if name == "counts" else name == "pause"
            unsure, sure = writer.log.counts
            commands.answer(number, acknowledged=sure, indeterminate=unsure, slowest_s=round(slowest_s, 2))
        else:
            commands.answer(number, **getattr(writer, name)(**command))
    writer.close()


if __name__ == "__main__":
    main()

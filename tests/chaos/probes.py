"""The prober: one key in each partition, written again as soon as its last value's prediction was seen.

So it knows of each partition when records flow through, and how long one took. Its writes are logged as all others.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.child import Commands
from tests.chaos.digest import digest_of
from tests.chaos.log import ACKNOWLEDGED, INDETERMINATE, WriteLog
from tests.chaos.raw import fields_of, raw
from tests.chaos.workload import Form, connect, records

TICK_S = 0.03
PERIOD_S = 0.4
"""A partition is probed so often."""
GIVEN_UP_S = 45.0
"""A prediction that has not come by then is lost, and the flow of others is looked at again."""
SPARE_KEYS = 4
LOOK_S_MIN, LOOK_S_MAX = 0.03, 0.25
"""How long a prediction is waited for before it is looked for once more."""


@dataclass(slots=True)
class Probe:
    """One partition's key and what became of its last write."""

    key: int
    spare: list[int] = field(default_factory=list[int])
    seq: int = 0
    digest: int = 0
    begun_s: float = 0.0
    put: Any = None
    acknowledged_s: float = 0.0
    look: Any = None
    look_at_s: float = 0.0
    look_pause_s: float = LOOK_S_MIN
    seen: list[tuple[float, float, float]] = field(default_factory=list[tuple[float, float, float]])
    """Begun, acknowledged, seen: of each value whose prediction came."""


class Prober:
    """All probes, moved on from one loop."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self.log = WriteLog(options["log"])
        self._connect()
        self.probes = self._choose(options["first"])
        self._begin_all()

    def _connect(self) -> None:
        name = self._options["map"]
        self._client = connect(self._options["addresses"], self._options["cluster"])
        self._features = self._client.get_map(name)
        self._predictions = raw(self._client.get_map(f"{name}.predictions"))
        self._service = self._client._serialization_service

    def _begin_all(self) -> None:
        key = next(iter(self.probes.values())).key
        # The first write makes the schema known: after it a record's bytes can be asked for.
        self._features.set(key, records([key], [0], [Form.PLAIN])[0]).result()
        self.log.append([key], [0], Form.PLAIN, ACKNOWLEDGED)

    def _choose(self, first: int) -> dict[int, Probe]:
        service, chosen = self._client.partition_service, dict[int, Probe]()
        count, key = service.get_partition_count(), first
        while len(chosen) < count or any(len(probe.spare) < SPARE_KEYS for probe in chosen.values()):
            partition = service.get_partition_id(key)
            if partition in chosen:
                chosen[partition].spare.append(key)
            else:
                chosen[partition] = Probe(key)
            key += 1
        return dict(sorted(chosen.items()))

    def turn(self) -> None:
        """Look at every probe once."""
        now_s = time.monotonic()
        for probe in self.probes.values():
            if probe.put is not None:
                self._await_put(probe)
            elif probe.acknowledged_s:
                self._await_prediction(probe, now_s)
            elif now_s >= probe.begun_s + PERIOD_S:
                self._begin(probe, now_s)

    def _begin(self, probe: Probe, now_s: float) -> None:
        probe.seq += 1
        [record] = records([probe.key], [probe.seq], [Form.PLAIN])
        probe.digest = digest_of(self._service.to_data(record).buffer)
        probe.begun_s = now_s
        probe.put = self._features.set(probe.key, record)

    def _await_put(self, probe: Probe) -> None:
        if not probe.put.done():
            return
        try:
            probe.put.result()
        except Exception:  # noqa: BLE001 - whatever it is, we don't know what became of the write
            self.log.append([probe.key], [probe.seq], Form.PLAIN, INDETERMINATE)
        else:
            self.log.append([probe.key], [probe.seq], Form.PLAIN, ACKNOWLEDGED)
            probe.acknowledged_s = time.monotonic()
            probe.look_at_s, probe.look_pause_s = probe.acknowledged_s, LOOK_S_MIN
        probe.put = None

    def _await_prediction(self, probe: Probe, now_s: float) -> None:
        if probe.look is None:
            if now_s >= probe.look_at_s:
                probe.look = self._predictions.get(probe.key)
            return
        if not probe.look.done():
            return
        found, probe.look = self._result(probe.look), None
        if found is not None and fields_of(found)[0] == probe.digest:
            probe.seen.append((probe.begun_s, probe.acknowledged_s, time.monotonic()))
            probe.acknowledged_s = 0.0
        elif now_s > probe.acknowledged_s + GIVEN_UP_S and probe.spare:
            # On another key: the judge must find this one as it is.
            probe.key, probe.acknowledged_s = probe.spare.pop(), 0.0
        else:
            probe.look_at_s = now_s + probe.look_pause_s
            probe.look_pause_s = min(probe.look_pause_s * 1.5, LOOK_S_MAX)

    @staticmethod
    def _result(look: Any) -> Any:
        try:
            return look.result()
        except Exception:  # noqa: BLE001 - it is looked for again
            return None

    def since(self, at_s: float) -> dict[str, Any]:
        """How long each partition took, from a moment on, until a value put after it had its prediction."""
        firsts = {
            partition: next((times for times in probe.seen if times[0] >= at_s), None)
            for partition, probe in self.probes.items()
        }
        missing = [partition for partition, times in firsts.items() if times is None]
        back = [(times[2], partition, times) for partition, times in firsts.items() if times is not None]
        if not back:
            return {"missing": missing, "recovery_s": 0.0, "slowest": ""}
        seen_s, partition, times = max(back)
        before = max((one for one in self.probes[partition].seen if one[0] < at_s), default=None)
        told = f"partition {partition}: {_told(times, at_s)}" + (f"; before it {_told(before, at_s)}" if before else "")
        return {"missing": missing, "recovery_s": seen_s - at_s, "slowest": told}

    def finish(self) -> dict[str, Any]:
        """Await the writes that are under way."""
        for probe in self.probes.values():
            while probe.put is not None:
                self._await_put(probe)
                time.sleep(TICK_S)
        return self.figures()

    def figures(self) -> dict[str, Any]:
        """Latencies from acknowledgement to prediction, in seconds, and counts."""
        waits = sorted(seen - acknowledged for probe in self.probes.values() for _, acknowledged, seen in probe.seen)
        unsure, sure = self.log.counts
        median = waits[len(waits) // 2] if waits else 0.0
        return {"probes": len(waits), "wait_p50_s": round(median, 4), "wait_max_s": round(waits[-1] if waits else 0, 2),
                "acknowledged": sure, "indeterminate": unsure}  # fmt: skip

    def forget(self) -> dict[str, Any]:
        """All members have ended and others begun: nothing of what was written is there any more."""
        self._client.shutdown()
        self._connect()
        self.log.append([-1], [0], Form.CLEARED, ACKNOWLEDGED)
        for probe in self.probes.values():
            probe.acknowledged_s, probe.look = 0.0, None
        self._begin_all()
        return self.figures()

    def close(self) -> None:
        self._client.shutdown()
        self.log.close()


def _told(times: tuple[float, float, float], at_s: float) -> str:
    return "put {:.1f}, acknowledged {:.1f}, scored {:.1f} s".format(*(at - at_s for at in times))


def main() -> None:
    """Probe until told otherwise."""
    logging.basicConfig(level="ERROR")
    logging.getLogger("hazelcast").setLevel("CRITICAL")
    prober, commands = Prober(json.loads(sys.argv[1])), Commands()
    commands.answer()
    probing = True
    while True:
        command = commands.take(TICK_S)
        if probing:
            prober.turn()
        if command is None:
            continue
        if command["do"] == "end":
            break
        if command["do"] in ("finish", "forget"):
            probing = command["do"] == "forget"
            commands.answer(command, **getattr(prober, command["do"])())
        elif command["do"] == "since":
            commands.answer(command, **prober.since(command["at_s"]))
        else:
            commands.answer(command, **prober.figures())
    prober.close()


if __name__ == "__main__":
    main()

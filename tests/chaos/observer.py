"""The observer: sees each prediction and topic message as it comes, and what workers and positions say, all the time.

Dead workers take their counters along, so they are sampled while they live.
"""

from __future__ import annotations

import json
import logging
import struct
import sys
import threading
import time
from collections import Counter
from typing import Any

from tests.chaos.checker import PositionSeen, regressions
from tests.chaos.child import Commands
from tests.chaos.digest import digest_of
from tests.chaos.ends import (
    LEASES,
    PARTITIONS,
    POSITIONS,
    WORKERS,
    Lease,
    leases_of,
    owned_by,
    positions_of,
    said_by,
)
from tests.chaos.messages import Messages
from tests.chaos.raw import fields_of, raw
from tests.chaos.versions import longest_pause_s
from tests.chaos.watch import LateWrites
from tests.chaos.workload import DEPLOYMENTS, RECORDS, connect

SAMPLE_S = 0.5
TOTALS = ("unexplained", "late_writes", "predictions", "dead_letters", "unpublished", "superseded")
"""Counters of a worker and deployment that are sums; the core may not have all of them."""
SUSPECTS_MAX = 200
"""So many late writes are looked at with each sample."""
SUSPECTS_TOLD = 5
_key = struct.Struct(">q")
"""All keys are LONG."""


class Observer:
    """Listens with the stock client's threads, samples on its own."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._client = connect(options["addresses"], options["cluster"])
        self._lock = threading.Lock()
        self._late = {name: LateWrites() for name in DEPLOYMENTS}
        self._messages = {name: Messages() for name in DEPLOYMENTS}
        self._written: dict[str, list[tuple[float, int]]] = {name: [] for name in DEPLOYMENTS}
        """When a prediction came, and of which partition."""
        self._features = {name: raw(self._client.get_map(name)) for name in DEPLOYMENTS}
        self._partitions: dict[bytes, int] = {}
        self.counters: dict[tuple[str, str], dict[str, Any]] = {}
        """(worker, deployment) → the greatest value seen of each counter."""
        self._seen: list[PositionSeen] = []
        self._back: list[tuple[PositionSeen, PositionSeen]] = []
        """Positions that went back in clusters that are no more."""
        self._owners: list[int] = []
        self._beating: list[int] = []
        self._leases: dict[str, Lease] = {}
        self._deaths: list[tuple[float, str, str]] = []
        """When a lease was seen to count one more death, which one, and who had held it."""
        self._doubly: dict[str, float] = {}
        """Deployment → since when workers say that they own more partitions than there are."""
        self._overlaps: list[tuple[float, float]] = []
        """Since when, and for how long, that was so."""
        self._samples, self._failure = Counter({"taken": 0, "failed": 0}), ""
        for name in DEPLOYMENTS:
            self._listen(name)

    def _listen(self, name: str) -> None:
        watch, messages, came = self._late[name], self._messages[name], self._written[name]
        predictions = raw(self._client.get_map(f"{name}.predictions"))
        topic = raw(self._client.get_topic(f"{name}.predictions"))

        def written(event: Any) -> None:
            digest, epoch, *_ = fields_of(event.value)
            key, at_s = bytes(event.key.buffer), time.monotonic()
            with self._lock:
                partition = self._partition(event.key, key)
                watch.written(partition, key, epoch, digest, at_s)
                came.append((at_s, partition))

        def removed(event: Any) -> None:
            with self._lock:
                watch.removed(bytes(event.key.buffer), time.monotonic())

        predictions.add_entry_listener(
            include_value=True, added_func=written, updated_func=written, removed_func=removed
        ).result()
        topic.add_listener(lambda message: messages.came(message.message)).result()

    def _partition(self, data: Any, key: bytes) -> int:
        partition = self._partitions.get(key)
        if partition is None:
            service = self._client._internal_partition_service
            partition = self._partitions[key] = service.get_partition_id(data)
        return partition

    def sample(self) -> None:
        """Read the workers' words and the positions; a grid that does not answer now is asked again."""
        try:
            self._take_leases(leases_of(self._client.get_map(LEASES).entry_set().result()))
            gaps = self._take_counters(said_by(self._client.get_map(WORKERS).values().result()))
            self._take_positions(gaps)
            for name, watch in self._late.items():
                self._acquit(name, watch)
        except Exception as error:  # noqa: BLE001 - a member may just be dying
            self._samples["failed"] += 1
            self._failure = f"{type(error).__name__}: {error}"
        else:
            self._samples["taken"] += 1

    def _acquit(self, name: str, watch: LateWrites) -> None:
        """An old owner may write the newest value too: hold what came late against the records themselves."""
        with self._lock:
            suspects = list(watch.suspects().items())[:SUSPECTS_MAX]
        calls = [(key, digest, self._features[name].get(*_key.unpack_from(key, 8))) for key, digest in suspects]
        for key, digest, call in calls:
            record = call.result()
            if record is not None and digest_of(record.buffer) == digest:
                with self._lock:
                    watch.acquit(key, digest)

    def _take_counters(self, workers: list[dict[str, Any]]) -> Counter[str]:
        """Note what workers say; the gaps that have been declared so far, by deployment."""
        self._owners = [
            one["pid"] for one in workers if any(said.get("owned") for said in one.get("deployments", {}).values())
        ]
        self._beating = [one["pid"] for one in workers]
        self._take_overlaps(owned_by(workers, time.time()))
        for one in workers:
            for name, said in one.get("deployments", {}).items():
                kept = self.counters.setdefault((one["id"], name), {"gaps": {}, "repairs": {}})
                for group in ("gaps", "repairs"):
                    for cause, count in said.get(group, {}).items():
                        kept[group][cause] = max(kept[group].get(cause, 0), count)
                for total in TOTALS:
                    kept[total] = max(kept.get(total, 0), said.get(total, 0))
                if said.get("failure"):
                    kept["failure"] = said["failure"]
        gaps = Counter[str]()
        for (_, name), kept in self.counters.items():
            gaps[name] += sum(kept["gaps"].values())
        return gaps

    def _take_positions(self, gaps: Counter[str]) -> None:
        entries, at_s = self._client.get_map(POSITIONS).entry_set().result(), time.monotonic()
        for place, (sequence, epoch, generation) in positions_of(entries).items():
            deployment, _, _ = place.rpartition("/")
            self._seen.append(PositionSeen(place, epoch, sequence, gaps[deployment], at_s, generation))

    def _take_leases(self, leases: dict[str, Lease]) -> None:
        at_s = time.monotonic()
        for place, lease in leases.items():
            before = self._leases.get(place)
            if before and lease.deaths > before.deaths:
                self._deaths.append((at_s, place, before.worker))
        self._leases = leases

    def _take_overlaps(self, owned: Counter[str]) -> None:
        at_s = time.monotonic()
        for name in DEPLOYMENTS:
            if owned[name] > PARTITIONS:
                self._doubly.setdefault(name, at_s)
            elif (since_s := self._doubly.pop(name, None)) is not None:
                self._overlaps.append((since_s, at_s - since_s))

    def owners(self) -> dict[str, Any]:
        """Process ids of the workers that said, when they were last asked, that they own partitions; and of all."""
        return {"pids": self._owners, "beating": self._beating}

    def ownership(self, since_s: float) -> dict[str, Any]:
        """Deaths that leases have counted since a moment, and how long at most partitions had two owners at once."""
        overlaps = [length_s for begun_s, length_s in self._overlaps if begun_s >= since_s]
        overlaps += [time.monotonic() - begun_s for begun_s in self._doubly.values() if begun_s >= since_s]
        deaths = [(place, worker) for at_s, place, worker in self._deaths if at_s >= since_s]
        return {"deaths": deaths, "overlap_s": max(overlaps, default=0.0)}

    def forget(self) -> dict[str, Any]:
        """All members have ended and others begun: nothing of what stood is there any more."""
        self._client.shutdown()
        self._client = connect(self._options["addresses"], self._options["cluster"])
        self._back, self._seen = self._back + regressions(self._seen), []
        self._leases = {}
        self._features = {name: raw(self._client.get_map(name)) for name in DEPLOYMENTS}
        for name, watch in self._late.items():
            with self._lock:
                watch.forget()
            self._listen(name)
        return {}

    def standing(self) -> dict[str, Any]:
        """How many late writes stand now."""
        with self._lock:
            return {"count": sum(watch.standing for watch in self._late.values())}

    def suspects(self) -> dict[str, Any]:
        """Some of the late writes that stand: what was seen, and what is in the maps now, as digests."""
        told: list[str] = []
        for name, watch in self._late.items():
            with self._lock:
                some = list(watch.suspects().items())[:SUSPECTS_TOLD]
            predictions = raw(self._client.get_map(f"{name}.predictions"))
            for data, late in some:
                [key] = _key.unpack_from(data, 8)
                record, prediction = self._features[name].get(key).result(), predictions.get(key).result()
                digest, epoch = fields_of(prediction)[:2] if prediction else (None, None)
                now = digest_of(record.buffer) if record else None
                told.append(f"{name} {key}: late {late}; now prediction {digest} of epoch {epoch}, record {now}")
        return {"told": told}

    def gaps(self) -> dict[str, Any]:
        """Declared gaps so far, by deployment."""
        found = {name: Counter[str]() for name in DEPLOYMENTS}
        for (_, name), kept in self.counters.items():
            found.setdefault(name, Counter()).update(kept["gaps"])
        return {"gaps": found}

    def messages(self, deployment: str) -> dict[str, Any]:
        """A deployment's messages that were kept whole."""
        return {"messages": self._messages[deployment].sample}

    def versions(self) -> dict[str, Any]:
        """How many messages named each version."""
        return {"versions": sum((one.versions for one in self._messages.values()), Counter[int]())}

    def pauses(self, stretches: list[tuple[float, float]]) -> dict[str, Any]:
        """The longest times in these stretches without a prediction: of any deployment, and of any partition of one."""
        with self._lock:
            times = {name: [at_s for at_s, _ in came] for name, came in self._written.items()}
            of_partitions: dict[int, list[float]] = {}
            for at_s, partition in self._written[RECORDS]:
                of_partitions.setdefault(partition, []).append(at_s)
        return {
            "pauses": [
                {
                    "all": round(max(longest_pause_s(one, *stretch) for one in times.values()), 3),
                    "partition": round(max(longest_pause_s(one, *stretch) for one in of_partitions.values()), 3),
                }
                for stretch in stretches
            ]
        }

    def figures(self) -> dict[str, Any]:
        """Everything that was seen, summed up."""
        now_s = time.monotonic()
        gaps, repairs, totals, failures = Counter[str](), Counter[str](), Counter[str](), set[str]()
        for kept in self.counters.values():
            gaps.update(kept["gaps"])
            repairs.update(kept["repairs"])
            totals.update({total: kept[total] for total in TOTALS})
            failures |= {kept["failure"]} if "failure" in kept else set()
        back = self._back + regressions(self._seen)
        with self._lock:
            watches = list(self._late.values())
            return {
                "topic_messages": sum(one.count for one in self._messages.values()),
                "topic_duplicates": sum(one.duplicates for one in self._messages.values()),
                "zombie_late_writes": sum(watch.late for watch in watches),
                "stale_window_s": round(max(watch.until(now_s) for watch in watches), 2),
                "deposed_owners": sum(len(watch.deposed()) for watch in watches),
                "owner_overlap_s": round(max(watch.overlap_s_max for watch in watches), 2),
                "gaps": gaps,
                "repairs": repairs,
                "totals": totals,
                "failures": sorted(failures),
                "samples": {**self._samples, "last_failure": self._failure},
                "positions_seen": len(self._seen),
                "positions_regressed": len(back),
                "regressed": [f"{before} then {after}" for before, after in back[:3]],
            }

    def close(self) -> None:
        self._client.shutdown()


def main() -> None:
    """Observe until told to end."""
    logging.basicConfig(level="ERROR")
    logging.getLogger("hazelcast").setLevel("CRITICAL")
    observer, commands = Observer(json.loads(sys.argv[1])), Commands()
    commands.answer()
    next_s = time.monotonic()
    while True:
        command = commands.take(max(0.0, next_s - time.monotonic()))
        if command is None:
            next_s = time.monotonic() + SAMPLE_S
            observer.sample()
            continue
        if command["do"] == "end":
            break
        given = {name: value for name, value in command.items() if name not in {"do", "number"}}
        commands.answer(command, **getattr(observer, command["do"])(**given))
    observer.close()


if __name__ == "__main__":
    main()

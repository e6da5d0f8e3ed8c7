"""Holds each step of a run, and what stands in its end, against I1 to I8.

It knows what nobody in the grid can know: every value that was put, when each request was sent and carried out, and
whose each lease was at that moment.
"""

from __future__ import annotations

import math
import struct
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from grid_inference.flow.positions import POSITIONS_MAP, decode_progress
from grid_inference.grid.leases import LEASES_MAP, NOBODY
from grid_inference.grid.topology import WORKERS_MAP
from grid_inference.records import DEAD_LETTER, PREDICTION
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.digest import input_digest
from grid_inference.wire.json.values import decode_json
from grid_inference.wire.keys import guard_key
from grid_inference.wire.layout import DATA_HEADER_BYTES
from grid_inference.wire.protocol import messages
from tests.simulation.loop import VirtualLoop
from tests.simulation.members import Cluster
from tests.simulation.network import Message
from tests.simulation.plan import RECORD
from tests.simulation.stand_ins import WorkerProcess, score_of

__all__ = ["Judge", "Names", "Violation"]

STALE_S_MAX = 30.0
"""So long an older value's prediction may stand over a newer one's until it is put right by what is sent, however late
that is carried out in its turn: ARCHITECTURE.md, I3."""
WAIT_S_MAX = 3.0
"""So long a record waits at the most while workers come and go: two turns and a hand-over."""
LATE_SAID_S = 1.0
"""Of a change of a lease that was carried out so long after it was sent the trace says so."""
RESULTS_SENT = {messages.MAP_PUT_ALL, messages.MAP_DELETE}


@dataclass(frozen=True)
class Names:
    """The maps of a run."""

    deployment: str = "d"
    features: str = "features"
    predictions: str = "d.predictions"
    dead_letters: str = "d.dead-letters"


@dataclass(frozen=True)
class Violation:
    """A promise that did not hold."""

    promise: str
    """A short name, equal for violations of a kind."""
    at_s: float
    said: str

    def __str__(self) -> str:
        return f"{self.at_s:8.3f} {self.promise}: {self.said}"


@dataclass
class _Key:
    """What the judge knows of a key."""

    partition: int
    events: list[tuple[int, int | None, float | None]]
    """(sequence in its journal, digest or None for a removal, value or None if it is to be refused) of every change."""
    applied: dict[int, int]
    """By generation the newest sequence whose result was written."""
    stale_since_s: float | None = None
    waiting: deque[tuple[int, float]] = field(default_factory=deque[tuple[int, float]])
    """Events without a result yet, and when they came."""


class Judge:
    """Of one run."""

    def __init__(self, loop: VirtualLoop, cluster: Cluster, names: Names, lease_ttl_s: float) -> None:
        self._loop = loop
        self._cluster = cluster
        self._names = names
        self._ttl_s = lease_ttl_s
        self.violations: list[Violation] = []
        self.generation = 1
        """The newest that was deployed."""
        self.keys: dict[bytes, _Key] = {}
        self._events: list[list[tuple[bytes, int]]] = [[] for _ in range(cluster.partition_count)]
        """By partition the key of each journal item, and its place among the key's events."""
        self._checked: dict[tuple[int, int], tuple[int, dict[bytes, int]]] = {}
        self._digests: dict[int, tuple[bytes, int]] = {}
        """Digest → key and place among the key's events."""
        self.calm_from_s = math.inf
        """Of what is put from then on nothing waits for long."""
        self.beats: dict[str, list[float]] = defaultdict(list)
        """When each worker's beat has changed in the grid."""
        self.left: set[str] = set()
        """Workers that have ended."""
        self.views: dict[str, float] = {}
        """When each worker's last look at the workers began."""
        self.late: dict[int, tuple[float, str]] = {}
        """By partition the last write that was carried out when its lease was another one already, and whose."""
        self.looks: dict[int, float] = {}
        """By partition when its results were looked at last by its owner."""
        self._stored_s: dict[int, float] = {}
        """When the newest position of each partition was sent."""
        self._undone: set[int] = set()
        """Partitions whose stored position is an older one, come late: it costs work, and the next proof mends it."""
        self.puts = 0
        self.counts: dict[str, int] = defaultdict(int)
        """What has happened, to see that the schedules are worth something."""
        self._lease_keys = [
            guard_key(f"lease/{partition}", partition, cluster.partition_count)
            for partition in range(cluster.partition_count)
        ]
        self._digest_at, self._score_at, self._epoch_at, self._version_at = (
            PREDICTION.data_start + PREDICTION.slots[name].offset
            for name in ("input_digest", "score", "owner_epoch", "version")
        )
        cluster.watch = self.changed
        self.note: Callable[[str], None] = lambda _: None
        """Takes what is worth a line of a trace."""

    def fail(self, promise: str, said: str) -> None:
        """Note that something did not hold."""
        if not any(one.promise == promise for one in self.violations):
            self.violations.append(Violation(promise, self._loop.time(), said))

    # ---- steps

    def sent(self, message: Message) -> None:
        """A request leaves its process."""
        if message.kind not in RESULTS_SENT or message.partition < 0:
            return
        if message.name not in (self._names.predictions, self._names.dead_letters):
            return
        holder, epoch = message.facts = self.lease(message.partition)
        name = message.process.name
        if holder != name:
            self.fail(
                "I8 writes without a lease",
                f"{name} sends results of partition {message.partition}, whose lease is {holder or 'nobody'}'s",
            )
        elif message.kind == messages.MAP_PUT_ALL and message.name == self._names.predictions:
            value = message.frames[-2][1]
            (bears,) = struct.unpack_from(">q", value, self._epoch_at)
            if bears != epoch:
                self.fail(
                    "I8 epoch of a result",
                    f"{name} writes to partition {message.partition} by epoch {bears}, its lease's is {epoch}",
                )

    def changed(self, name: str, partition: int, key: bytes, old: bytes | None, new: bytes | None, by: Any) -> None:
        """An entry has changed in the grid."""
        if name == self._names.predictions:
            self._prediction(partition, key, old, new, by)
        elif name == self._names.dead_letters:
            self._dead_letter(partition, key, new, by)
        elif name == self._names.features:
            self._feature(partition, key, old, new)
        elif name == POSITIONS_MAP:
            self._position(partition, new, by)
        elif name == LEASES_MAP:
            self._lease(partition, old, new, by)
        elif name == WORKERS_MAP and new is not None:
            worker = decode_json(new)
            if old is None or decode_json(old)["beat"] != worker["beat"]:
                self.beats[worker["id"]].append(self._loop.time())

    def _feature(self, partition: int, key: bytes, old: bytes | None, new: bytes | None) -> None:
        if old is None and new is None:
            return
        known = self.keys.setdefault(key, _Key(partition, [], {}))
        sequence = len(self._events[partition])
        digest = None if new is None else int(input_digest(Blobs.of([new]))[0])
        if digest is not None:
            self._digests[digest] = key, len(known.events)
        self._events[partition].append((key, len(known.events)))
        known.waiting.append((len(known.events), self._loop.time()))
        known.events.append((sequence, digest, 0.0 if new is None else _value_of(new)))

    def _prediction(self, partition: int, key: bytes, old: bytes | None, new: bytes | None, by: Message) -> None:
        known = self.keys[key]
        late = self._note_late(partition, by)
        if new is None:
            gone = [at for at, (_, digest, _) in enumerate(known.events) if digest is None]
            for generation in range(1, self.generation + 1):
                known.applied[generation] = max(known.applied.get(generation, -1), gone[-1] if gone else -1)
            if known.events[-1][1] is None:
                self._ends_stale(known, len(known.events) - 1, by)
            self._scored(known, gone[-1] if gone else -1)
            return
        digest, score, version = self._read(new)
        of, place = self._digests.get(digest, (b"", -1))
        if of != key:
            self.fail("I2 nobody put it", f"a prediction of digest {digest} under {key.hex()}")
            return
        value = known.events[place][2]
        if value is None or score != score_of(value, version):
            self.fail("I4 another score", f"{score} for the value {value} by version {version}")
        known.applied[version] = max(known.applied.get(version, -1), place)
        self._scored(known, place)
        before = -1 if old is None else self._digests[self._read(old)[0]][1]
        if late and known.events[-1][1] is None and known.stale_since_s is None:
            self.counts["older over a removal"] += 1
            known.stale_since_s = self._loop.time()
        if place < before and known.stale_since_s is None:
            self.counts["older over newer"] += 1
            self.note(f"older over newer by {by.process.name} in {partition}, sent {by.sent_s:.3f}")
            known.stale_since_s = self._loop.time()
        self._ends_stale(known, place, by)

    def _dead_letter(self, partition: int, key: bytes, new: bytes | None, by: Message) -> None:
        known = self.keys[key]
        self._note_late(partition, by)
        if new is None:
            return
        self.counts["dead letters"] += 1
        digest, version = (
            struct.unpack_from(form, new, DEAD_LETTER.data_start + DEAD_LETTER.slots[name].offset)[0]
            for form, name in ((">q", "input_digest"), (">i", "version"))
        )
        of, place = self._digests.get(digest, (b"", -1))
        if of != key or known.events[place][2] is not None:
            self.fail("I4 refused", f"a value of key {key.hex()} that the model takes, or that nobody put")
            return
        known.applied[version] = max(known.applied.get(version, -1), place)
        self._scored(known, place)
        self._ends_stale(known, place, by)

    def _scored(self, known: _Key, place: int) -> None:
        """An event has its result, and all before it."""
        while known.waiting and known.waiting[0][0] <= place:
            _, put_s = known.waiting.popleft()
            waited_s = self._loop.time() - put_s
            if put_s >= self.calm_from_s and waited_s > WAIT_S_MAX:
                self.fail("I7 waits", f"a record of partition {known.partition} for {waited_s:.1f} s")

    def _ends_stale(self, known: _Key, place: int, by: Message) -> None:
        """A result of the newest value that had one stands again."""
        if known.stale_since_s is None or place < max(known.applied.values()):
            return
        stale_s, known.stale_since_s = by.sent_s - known.stale_since_s, None
        if stale_s > STALE_S_MAX:
            self.fail("I3 older over newer", f"for {stale_s:.1f} s in partition {known.partition}")

    def _note_late(self, partition: int, by: Message) -> bool:
        """It was sent under a lease; if that is another one by now, the owner has to hear of it, and this is True."""
        if by.facts == self.lease(partition):
            return False
        self.counts["late writes"] += 1
        self.note(f"late write of {by.process.name} to {partition}, sent {by.sent_s:.3f} under {by.facts}")
        self.late[partition] = self._loop.time(), by.process.name
        return True

    def _position(self, partition: int, new: bytes | None, by: Message) -> None:
        if new is None:
            return
        newest_s = self._stored_s.get(partition, 0.0)
        self._stored_s[partition] = max(newest_s, by.sent_s)
        if by.sent_s < newest_s:
            self._undone.add(partition)
        else:
            self._undone.discard(partition)
        progress = decode_progress(new)
        reached, latest = self._checked.get((partition, progress.generation), (0, {}))
        sequence = progress.position.sequence if progress.position else 0
        events = self._events[partition]
        if sequence > len(events):
            self.fail("I5 position", f"partition {partition} is at {sequence} of {len(events)}")
            return
        if sequence <= reached:
            return
        touched = dict(events[reached:sequence])
        latest.update(touched)
        self._checked[partition, progress.generation] = sequence, latest
        predictions = self._cluster.maps[self._names.predictions][partition]
        for key, place in touched.items():
            known = self.keys[key]
            if known.applied.get(progress.generation, -1) >= place:
                continue
            if place + 1 < len(known.events):
                continue  # what came behind it is read yet
            if known.events[place][1] is None and (key not in predictions or known.stale_since_s is not None):
                continue  # none was there when it was scored; a late one, which came behind that, has its own bound
            self.fail("I5 position", f"partition {partition} is at {sequence}, event {place} of a key is not written")

    def _lease(self, partition: int, old: bytes | None, new: bytes | None, by: Message | None) -> None:
        if by is not None:
            late = f", sent {by.sent_s:.3f}" if self._loop.time() > by.sent_s + LATE_SAID_S else ""
            said = None if new is None else decode_json(new)
            self.note(f"[{by.process.name}] lease {partition}: {said}{late}")
        if old is None or new is None or by is None:
            return
        before, after = decode_json(old), decode_json(new)
        holder, taker = before["worker"], after["worker"]
        if holder in (NOBODY, taker) or taker != by.process.name:
            return
        self.counts["takeovers"] += 1
        if holder in self.left:
            return
        stood_s = self._stood_still_s(holder, self.views.get(taker, 0.0), by.sent_s)
        if stood_s < self._ttl_s:
            self.fail(
                "I8 taken over from the living",
                f"{taker} takes partition {partition} from {holder}, whose beat stood still for {stood_s:.2f} s",
            )

    def _stood_still_s(self, worker: str, since_s: float, until_s: float) -> float:
        """How long at the most a worker's beat had stood still in the grid at some moment of this time."""
        beats = [at_s for at_s in self.beats[worker] if at_s < until_s] or [0.0]
        ends = [*beats[1:], until_s]
        return max(end - begin for begin, end in zip(beats, ends, strict=True) if end >= since_s)

    def looked(self, worker: WorkerProcess, partition: int) -> None:
        """A worker begins to look at all results of a partition, for a scan or a comparison."""
        if self.lease(partition)[0] == worker.name:
            self.looks[partition] = self._loop.time()

    def lease(self, partition: int) -> tuple[str, int]:
        """Holder and epoch of a partition's lease as it stands in the grid."""
        value = self._cluster.maps[LEASES_MAP][partition].get(self._lease_keys[partition])
        if value is None:
            return NOBODY, 0
        lease = decode_json(value)
        return lease["worker"], lease["epoch"]

    def _read(self, value: bytes) -> tuple[int, float, int]:
        (digest,) = struct.unpack_from(">q", value, self._digest_at)
        (score,) = struct.unpack_from(">d", value, self._score_at)
        (version,) = struct.unpack_from(">i", value, self._version_at)
        return digest, score, version

    # ---- the end

    def wanting(self, workers: list[WorkerProcess]) -> list[tuple[str, str]]:
        """What is not as it should be when nothing has happened for a while: (promise, what)."""
        return [*self._of_records(), *self._of_owners(workers), *self._of_the_late()]

    def _of_records(self) -> list[tuple[str, str]]:
        found = []
        for key, known in self.keys.items():
            stands = self._cluster.maps[self._names.predictions][known.partition].get(key)
            dead = self._cluster.maps[self._names.dead_letters][known.partition].get(key)
            _, digest, value = known.events[-1]
            said = None if stands is None else self._read(stands)
            if value is None and digest is not None:
                if dead is None or stands is not None:
                    found.append(("I1 refused", f"partition {known.partition}: {dead is not None}, {said}"))
                continue
            if dead is not None:
                found.append(("I1 dead letter", f"of key {key.hex()}"))
            if digest is None:
                if said is not None:
                    found.append(("I1 orphan", f"partition {known.partition}"))
            elif said is None:
                found.append(("I1 missing", f"partition {known.partition}"))
            elif said[0] != digest:
                found.append(("I3 stale in the end", f"partition {known.partition}"))
            elif said[2] != self.generation:
                found.append(("I1 of another version", f"partition {known.partition}"))
        return found

    def _of_owners(self, workers: list[WorkerProcess]) -> list[tuple[str, str]]:
        found, owned, reached = [], 0, defaultdict[int, set[int | None]](set)
        for worker in workers:
            for running in worker.turn.deployments if worker.turn else ():
                owned += len(running.reader.feeds)
                found += _of_deployment(worker, running)
                for partition in running.reader.feeds:
                    reached[partition].add(running.positions.reached(partition))
        if owned != self._cluster.partition_count:
            found.append(("I8 owned", f"{owned} of {self._cluster.partition_count} partitions"))
        return found + self._of_positions(reached)

    def _of_positions(self, reached: dict[int, set[int | None]]) -> list[tuple[str, str]]:
        found = []
        for partition, ring in enumerate(self._cluster.journals):
            end = ring.newest + 1
            key = guard_key(f"{self._names.deployment}/{partition}", partition, self._cluster.partition_count)
            stored = self._cluster.maps[POSITIONS_MAP][partition].get(key)
            position = None if stored is None else decode_progress(stored).position
            sequence = position.sequence if position else -1
            if sequence != end and not (partition in self._undone and end in reached[partition]):
                found.append(("lag", f"partition {partition} is at {sequence} of {end}"))
        return found

    def _of_the_late(self) -> list[tuple[str, str]]:
        return [
            ("I8 late and not told", f"{name} to partition {partition} at {at_s:.3f}")
            for partition, (at_s, name) in self.late.items()
            if self.looks.get(partition, -1.0) < at_s
        ]


def _of_deployment(worker: WorkerProcess, running: Any) -> list[tuple[str, str]]:
    epochs = worker.turn.leases.epochs
    found = [
        ("I8 feed of another epoch", f"{worker.name} feeds {feed.partition} by {feed.epoch}")
        for feed in running.reader.feeds.values()
        if int(epochs[feed.partition]) != feed.epoch
    ]
    if running.proof.unexplained:
        found.append(("I6 unexplained", f"{running.proof.unexplained} repairs of {worker.name}"))
    if failure := running.failure():
        found.append(("failure", f"{worker.name}: {failure}"))
    return found


def _value_of(record: bytes) -> float | None:
    """What the model gets; None where its field is missing."""
    if struct.unpack_from(">q", record, DATA_HEADER_BYTES)[0] != RECORD.schema_id:
        return None
    return struct.unpack_from(">d", record, RECORD.data_start + RECORD.slots["v"].offset)[0]

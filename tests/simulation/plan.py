"""A schedule made from a seed: the cluster, its workers, what clients put, and what goes wrong when."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace

from grid_inference.wire.schema import FieldKind, Schema

__all__ = ["RECORD", "REFUSED", "Event", "Plan", "plan_of"]

RECORD = Schema.of("simulation.Record", {"v": FieldKind.FLOAT64})
"""What clients put."""
REFUSED = Schema.of("simulation.Refused", {"w": FieldKind.FLOAT64})
"""What they put by mistake: the model's field is missing, so it ends as a dead letter."""

BEGIN_S = 2.0
"""When the first workers are there as a rule."""
FAULTS_S = 14.0
"""For so long things go wrong."""
CALM_SHARE, SLOW_SHARE = 0.15, 0.05
PUTS_S = 1.0
"""Clients put for so much longer than things go wrong."""


@dataclass(frozen=True, order=True)
class Event:
    """Something that happens to the cluster."""

    at_s: float
    what: str
    """`start`, `stop`, `kill`, `pause`, `cut`, `stall`, `doze` a worker, `hold` a member, `busy` a partition, `deploy`,
    `put`.

    A `stall` is of connections: nothing comes through, and nobody is told. Who is to `doze` is paused as soon as it has
    asked who lives, to take a partition over.
    """
    whom: int = 0
    """Number of the worker, member or partition; of a `put` the first key."""
    for_s: float = 0.0
    """How long it lasts; of a `start` how long its model takes to load; of a `put` how many keys."""
    how: int = 0
    """Of a `cut` or `stall` which threads' links: 1 main, 2 heartbeat, 3 both; of a `put` every how many-th key is
    removed."""

    def __str__(self) -> str:
        return f"{self.at_s:8.3f} {self.what} {self.whom} for {self.for_s:.3f} ({self.how})"


@dataclass(frozen=True)
class Plan:
    """One schedule."""

    seed: int
    partitions: int = 4
    members: int = 1
    capacity: int = 64
    """Of each partition's journal."""
    keys: int = 20
    latency_s: float = 0.001
    refused: int = 0
    """Every how many-th value that is put is refused; 0: none."""
    late: float = 0.0
    error: float = 0.0
    row_s: float = 0.001
    """What the model takes for a row."""
    load_s: float = 0.2
    """What the first workers' models take to load."""
    inline_rows_max: int = 64
    batch_rows_max: int = 64
    proof_interval_s: float = 0.0
    workers: int = 2
    """That begin together."""
    places: bool = False
    """Whether workers are of members' nodes."""
    calm: bool = False
    """Nothing fails, workers only come and go: whoever puts must not wait."""
    events: tuple[Event, ...] = field(default=())

    @property
    def ends_s(self) -> float:
        """When nothing goes wrong any more."""
        return max((one.at_s + (one.for_s if one.what != "put" else 0.0) for one in self.events), default=0.0)

    def without(self, index: int) -> Plan:
        """The same with one event less."""
        return replace(self, events=self.events[:index] + self.events[index + 1 :])


def plan_of(seed: int) -> Plan:
    """The schedule of a seed."""
    rng = random.Random(f"plan {seed}")
    plan = Plan(
        seed=seed,
        partitions=rng.randint(2, 7),
        members=rng.choice((1, 1, 2, 3)),
        capacity=rng.choice((8, 32, 256)),
        keys=rng.randint(4, 40),
        latency_s=rng.choice((0.0005, 0.002, 0.02)),
        refused=rng.choice((0, 0, 3, 10)),
        late=rng.choice((0.0, 0.0, 0.003, 0.03)),
        error=rng.choice((0.0, 0.0, 0.01)),
        row_s=rng.choice((0.0002, 0.002, 0.01, 0.05)),
        load_s=rng.choice((0.0, 0.2, 2.0)),
        inline_rows_max=rng.choice((0, 4, 64)),
        batch_rows_max=rng.choice((8, 64)),
        proof_interval_s=rng.choice((0.0, 0.0, 0.0, 3.0)),
        workers=rng.randint(1, 3),
        places=rng.random() < 0.3,
    )
    sort = rng.random()
    if sort > 1 - SLOW_SHARE:
        plan = replace(plan, late=0.0, error=0.0, row_s=6.0, load_s=0.2, inline_rows_max=0, batch_rows_max=64)
        plan = replace(plan, workers=1, keys=rng.randint(5, 8), capacity=256)
        return replace(plan, events=tuple(sorted(_slow_first_batch(rng, plan))))
    if sort < CALM_SHARE:
        plan = replace(plan, calm=True, late=0.0, error=0.0, row_s=0.0002, capacity=256, load_s=min(plan.load_s, 0.2))
        return replace(plan, events=tuple(sorted([*_comings(rng, plan), *_puts(rng, plan)])))
    return replace(plan, events=tuple(sorted([*_faults(rng, plan), *_puts(rng, plan)])))


def _comings(rng: random.Random, plan: Plan) -> list[Event]:
    """Workers that come, with models that take long to load, and some that leave; the first one stays."""
    starts, stops = list[Event](), list[Event]()
    for number in range(rng.randint(1, 3)):
        at_s = BEGIN_S + rng.random() * FAULTS_S
        starts.append(Event(at_s, "start", plan.workers + number, rng.choice((0.2, 3.0, 8.0))))
        if plan.workers + number > 1 and rng.random() < 0.4:
            stops.append(Event(at_s + rng.random() * 9.0, "stop", rng.randrange(1, plan.workers + number)))
    # Who is not there yet can't leave: in its place it would be the first one.
    there = [plan.workers + sum(start.at_s < stop.at_s for start in starts) for stop in stops]
    return starts + [stop for stop, count in zip(stops, there, strict=True) if stop.whom < count]


def _faults(rng: random.Random, plan: Plan) -> list[Event]:
    events, workers = list[Event](), plan.workers
    for _ in range(rng.randint(1, 5)):
        at_s = BEGIN_S + rng.random() * FAULTS_S
        what = rng.choices(
            ("start", "stop", "kill", "pause", "faint", "doze", "stall", "cut", "hold", "busy", "deploy"),
            (5, 2, 3, 6, 3, 3, 2, 3, 4, 2, 1),
        )[0]
        if what == "start":
            events.append(Event(at_s, what, workers, rng.choice((0.0, 0.2, 1.0, 3.0, 8.0))))
            workers += 1
        elif what == "pause":
            events.append(
                Event(
                    at_s,
                    what,
                    rng.randrange(workers),
                    rng.choice((0.5, 2.0, 3.0, 4.0, 6.0, 10.0)) * (0.8 + 0.4 * rng.random()),
                )
            )
        elif what == "faint":
            events += _faint(rng, at_s, rng.randrange(workers))
        elif what == "doze":
            events.append(Event(at_s, what, rng.randrange(workers), 1.0 + rng.random() * 4))
        elif what == "stall":
            events.append(Event(at_s, what, rng.randrange(workers), 0.3 + rng.random() ** 2 * 8, rng.randint(1, 3)))
        elif what == "cut":
            events.append(Event(at_s, what, rng.randrange(workers), how=rng.randint(1, 3)))
        elif what == "hold":
            events.append(Event(at_s, what, rng.randrange(plan.members), 0.3 + rng.random() ** 2 * 8))
        elif what == "busy":
            events.append(Event(at_s, what, rng.randrange(plan.partitions), 0.3 + rng.random() ** 2 * 10))
        else:
            events.append(Event(at_s, what, rng.randrange(workers)))
    return events


def _slow_first_batch(rng: random.Random, plan: Plan) -> list[Event]:
    """A batch that is made before it is known how slow the model is, and a worker that comes meanwhile and dozes."""
    at_s = 1.0 + 0.5 * rng.random()
    return [
        Event(at_s, "start", 1, 0.0),
        Event(at_s + 0.1, "doze", 1, 3.2 + rng.random()),
        Event(at_s + 0.2, "put", 0, plan.keys),
        Event(BEGIN_S + FAULTS_S, "put", rng.randrange(plan.keys), 3),
    ]


def _faint(rng: random.Random, at_s: float, worker: int) -> list[Event]:
    """A pause that ends just before the worker's leases do, and a beat behind it that comes through just behind."""
    pause_s = 1.5 + 0.7 * rng.random()
    return [
        Event(at_s, "pause", worker, pause_s),
        Event(at_s, "stall", worker, pause_s + 0.8 + 1.2 * rng.random(), 2),
    ]


def _puts(rng: random.Random, plan: Plan) -> list[Event]:
    events = [Event(0.0, "put", 0, plan.keys)] if rng.random() < 0.7 else []
    at_s, pause_s = 0.5, rng.choice((0.1, 0.3, 1.0))
    while at_s < BEGIN_S + FAULTS_S + PUTS_S:
        removed = rng.choice((0, 0, 0, 0, 1, 2))
        events.append(Event(at_s, "put", rng.randrange(plan.keys), rng.randint(1, max(1, plan.keys // 3)), removed))
        at_s += pause_s * 2 * rng.random()
    return events

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
CALM_SHARE = 0.15
PUTS_S = 1.0
"""Clients put for so much longer than things go wrong."""


@dataclass(frozen=True, order=True)
class Event:
    """Something that happens to the cluster."""

    at_s: float
    what: str
    """`start`, `stop`, `kill`, `pause`, `cut` a worker, `hold` a member, `busy` a partition, `deploy`, `put`."""
    whom: int = 0
    """Number of the worker, member or partition; of a `put` the first key."""
    for_s: float = 0.0
    """How long it lasts; of a `start` how long its model takes to load; of a `put` how many keys."""
    how: int = 0
    """Of a `cut` which threads' links: 1 main, 2 heartbeat, 3 both; of a `put` every how many-th key is removed."""

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
    stray: bool = False
    """What was sent over a broken connection may be executed late: no promise covers that."""
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


def plan_of(seed: int, *, stray: bool = False) -> Plan:
    """The schedule of a seed."""
    rng = random.Random(f"plan {seed}")
    plan = Plan(
        seed=seed,
        stray=stray,
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
    if rng.random() < CALM_SHARE:
        plan = replace(plan, calm=True, late=0.0, error=0.0, row_s=0.0002, capacity=256, load_s=min(plan.load_s, 0.2))
        return replace(plan, events=tuple(sorted([*_comings(rng, plan), *_puts(rng, plan)])))
    return replace(plan, events=tuple(sorted([*_faults(rng, plan), *_puts(rng, plan)])))


def _comings(rng: random.Random, plan: Plan) -> list[Event]:
    """Workers that come, with models that take long to load, and some that leave; the first one stays."""
    events = list[Event]()
    for number in range(rng.randint(1, 3)):
        at_s = BEGIN_S + rng.random() * FAULTS_S
        events.append(Event(at_s, "start", plan.workers + number, rng.choice((0.2, 3.0, 8.0))))
        if plan.workers + number > 1 and rng.random() < 0.4:
            events.append(Event(at_s + rng.random() * 9.0, "stop", rng.randrange(1, plan.workers + number)))
    return events


def _faults(rng: random.Random, plan: Plan) -> list[Event]:
    events, workers = list[Event](), plan.workers
    for _ in range(rng.randint(1, 5)):
        at_s = BEGIN_S + rng.random() * FAULTS_S
        what = rng.choices(
            ("start", "stop", "kill", "pause", "cut", "hold", "busy", "deploy"), (5, 2, 3, 8, 3, 4, 2, 1)
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
        elif what == "cut":
            events.append(Event(at_s, what, rng.randrange(workers), how=rng.randint(1, 3)))
        elif what == "hold":
            events.append(Event(at_s, what, rng.randrange(plan.members), 0.3 + rng.random() ** 2 * 8))
        elif what == "busy":
            events.append(Event(at_s, what, rng.randrange(plan.partitions), 0.3 + rng.random() ** 2 * 10))
        else:
            events.append(Event(at_s, what, rng.randrange(workers)))
    return events


def _puts(rng: random.Random, plan: Plan) -> list[Event]:
    events = [Event(0.0, "put", 0, plan.keys)] if rng.random() < 0.7 else []
    at_s, pause_s = 0.5, rng.choice((0.1, 0.3, 1.0))
    while at_s < BEGIN_S + FAULTS_S + PUTS_S:
        removed = rng.choice((0, 0, 0, 0, 1, 2))
        events.append(Event(at_s, "put", rng.randrange(plan.keys), rng.randint(1, max(1, plan.keys // 3)), removed))
        at_s += pause_s * 2 * rng.random()
    return events

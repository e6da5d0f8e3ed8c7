"""The stage of a run: the grid, its writers and witnesses, and the measuring of what each fault did."""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.checker import EXAMPLES_MAX, AtWork, Verdict
from tests.chaos.child import Child
from tests.chaos.grid import Grid, Node, NotInTimeError, until
from tests.chaos.versions import FIRST, VERSIONS, Change
from tests.chaos.workload import DEPLOYMENTS, HEARD, MODEL, RECORDS, VOLATILE

KEYS_OF_A_WRITER = 1_000_000
"""The writers' ranges of keys begin so far apart."""
PROBES_FIRST = 9_000_000
SETTLED_S = 2.0
"""Records flow as they do undisturbed when each partition's next prediction stands within this time."""
SETTLE_S_MAX = 60.0
RECOVERY_S_MAX = 90.0
"""Longer than this nobody waits for records to flow again: then they never do."""
READY_S_MAX = 180.0
"""Processes start slowly on a machine that does other work; nothing is measured meanwhile."""
GAP_S_MAX = 40.0
"""A gap must be declared within this time."""
LOOK_S = 0.15
REPAIR_S_MAX = 35.0
CAUGHT_UP_S_MAX = 30.0
"""After a fault: for positions to come where journals ended when it was over, and for partitions to be owned once."""
OVERLAP_S_MAX = 2.5
"""For so long workers may say, at a change of owners, that they own the same partitions: a word is a beat old."""
WAIT_S_MAX = 240.0
"""How long the operator may take for what it is asked."""


@dataclass(slots=True)
class Recovery:
    """How long records did not flow, by one fault."""

    fault: str
    seconds: float
    bound_s: float

    @property
    def broken(self) -> bool:
        """Whether it took longer than it may."""
        return self.seconds > self.bound_s


@dataclass(slots=True)
class WriterPlan:
    """One writer."""

    kind: str
    map: str
    keys: int
    rate: float


WRITERS = {
    "first": WriterPlan("stock", RECORDS, 3000, 450),
    "second": WriterPlan("stock", RECORDS, 3000, 450),
    "bulk": WriterPlan("bulk", RECORDS, 8000, 1200),
    "volatile": WriterPlan("stock", VOLATILE, 1500, 200),
    "heard": WriterPlan("stock", HEARD, 500, 100),
}


@dataclass(slots=True)
class Stage:
    """Everything that a fault may reach, and what was measured."""

    grid: Grid
    random: random.Random
    load_rows: int
    children: dict[str, Child] = field(default_factory=dict[str, Child])
    fired: Counter[str] = field(default_factory=Counter[str])
    recoveries: list[Recovery] = field(default_factory=list[Recovery])
    gaps_undetected: int = 0
    fault: str = ""
    bound_s: float = 0.0
    trouble: list[str] = field(default_factory=list[str])
    """What went wrong beside the promises: a harness that can't say what it should proves nothing."""
    changes: list[Change] = field(default_factory=list[Change])
    calm_changes: list[Change] = field(default_factory=list[Change])
    """Those of them that were done while no fault was under way."""
    at_work: dict[str, AtWork] = field(default_factory=dict[str, AtWork])
    """What was deployed last, by deployment."""
    verdicts: dict[str, Verdict] = field(default_factory=dict[str, Verdict])
    """What faults have found themselves, and what was judged before a cluster ended."""
    overdue: list[str] = field(default_factory=list[str])
    """Bounds that did not hold beside the recoveries'."""
    variants: int = 2 * VERSIONS
    """The number of the last model that was made; versions stay below."""

    # ---- before and after

    def open(self, seed: int, rate: float, promotions: int) -> None:
        """Deploy, and set writers and witnesses to work, and a promoter if versions are to be changed."""
        where = {"addresses": self.grid.addresses, "cluster": self.grid.cluster, "seed": seed}
        operating = {"keys": self.grid.keys, "mutant": self.grid.mutant, **where}
        self.children["operator"] = Child("operator", errors=self.grid.worker_log, **operating)
        self.children["operator"].wait_until_ready()
        self._deploy(by_alias=bool(promotions))
        for index, (name, plan) in enumerate(WRITERS.items()):
            first = (index + 1) * KEYS_OF_A_WRITER
            options = {**asdict(plan), "rate": plan.rate * rate, "first": first, "log": str(self.log_of(name)), **where}
            self.children[name] = Child("writers", errors=self.grid.worker_log, **options)
        probing = {"map": RECORDS, "first": PROBES_FIRST, "log": str(self.log_of("probes")), **where}
        self.children["probes"] = Child("probes", errors=self.grid.worker_log, **probing)
        self.children["observer"] = Child("observer", errors=self.grid.worker_log, **where)
        if promotions:
            self.children["promoter"] = Child("promoter", errors=self.grid.worker_log, count=promotions, **where)
        for name, child in self.children.items():
            if name != "operator":
                child.wait_until_ready()

    def _deploy(self, *, by_alias: bool) -> None:
        if by_alias:
            self.operate("publish")
        for name in DEPLOYMENTS:
            self.deploy(name, model=MODEL if by_alias else "")
        self.wait_until_owned()

    def deploy(self, name: str, variant: int = FIRST, model: str = "") -> None:
        """Have a model deployed; from now on no result but its own may stand in the end."""
        said = self.operate("deploy", name=name, variant=variant, model=model)
        self.at_work[name] = AtWork(**said["at_work"])

    def wait_until_owned(self) -> None:
        """Wait until all workers are there and everything is owned."""
        said = self.operate("wait_until_owned", workers=len(self.grid.nodes) * self.grid.workers_per_node)
        if said["not_owned"]:
            raise NotInTimeError(f"not owned in the end: {said['not_owned']}")

    def operate(self, command: str, **values: Any) -> dict[str, Any]:
        """Have the operator do something."""
        return self.children["operator"].ask(command, WAIT_S_MAX, **values)

    def another_variant(self) -> int:
        """The number of a model that is none of those before."""
        self.variants += 1
        return self.variants

    def finish_writing(self) -> dict[str, int]:
        """End all writes; what was acknowledged, and what is not known."""
        counts = Counter[str]()
        for name in (*WRITERS, "probes"):
            said = self.children[name].ask("finish" if name == "probes" else "pause")
            counts.update({sort: said[sort] for sort in ("acknowledged", "indeterminate")})
        return dict(counts)

    def close(self) -> None:
        """End the processes that were started here."""
        for child in self.children.values():
            child.stop()

    def log_of(self, name: str) -> Path:
        """A writer's log."""
        return self.grid.folder / f"{name}.log"

    # ---- for faults

    def tell(self, name: str, command: str, **values: Any) -> dict[str, Any]:
        """Ask a writer or witness."""
        return self.children[name].ask(command, **values)

    def settle(self) -> None:
        """Wait until what a fault has left is worked off: its backlog may not be taken for the next fault's doing."""
        self._await_flow()
        self._await_positions()

    def _await_positions(self) -> None:
        """Each position must come where its journal ends now, and each partition must be owned, once."""
        self.operate("mark")
        limit_s = time.monotonic() + CAUGHT_UP_S_MAX
        while (behind := self.operate("behind")["behind"]) and time.monotonic() < limit_s:
            time.sleep(LOOK_S)
        if behind:
            self.found("stuck", *(f"after {self.fault}: {one}" for one in behind))

    def _await_flow(self) -> None:
        limit_s = time.monotonic() + SETTLE_S_MAX
        while time.monotonic() < limit_s:
            said = self._flow_since(time.monotonic(), SETTLED_S)
            if not said["missing"] and said["recovery_s"] <= SETTLED_S:
                return
        self.trouble.append(f"{self.fault}: the flow did not settle within {SETTLE_S_MAX:g} s: {said['slowest']}")

    def _flow_since(self, at_s: float, wait_s: float) -> dict[str, Any]:
        """What the probes say of values written since a moment: all of them, or what there is when the time is over."""
        limit_s = time.monotonic() + wait_s
        while (said := self.tell("probes", "since", at_s=at_s))["missing"] and time.monotonic() < limit_s:
            time.sleep(LOOK_S)
        return said

    def keep(self, verdicts: Sequence[Verdict]) -> None:
        """Keep what was judged of a cluster that ends now."""
        self.verdicts |= {f"before {self.fault} {len(self.verdicts)}.{i}": one for i, one in enumerate(verdicts)}

    def found(self, sort: str, *what: str) -> None:
        """Note what a fault has found itself."""
        verdict = self.verdicts.setdefault("on the way", Verdict())
        for one in what:
            verdict.add(sort, one)
        for one in what[:EXAMPLES_MAX]:
            say(f"    {sort}: {one}")

    def expect_no_deaths(self, since_s: float, *dead: int) -> None:
        """No lease may have been taken from a worker since a moment, but from these processes."""
        said = self.tell("observer", "ownership", since_s=since_s)
        taken = [f"{place} from {worker}" for place, worker in said["deaths"] if not is_of(worker, dead)]
        self.found("taken", *(f"{self.fault}: {one}" for one in taken))
        say(f"    taken from the living: {len(taken)} partitions; two owners for {said['overlap_s']:.1f} s")
        if said["overlap_s"] > OVERLAP_S_MAX:
            self.overdue.append(f"{self.fault}: two owners for {said['overlap_s']:.1f} s > {OVERLAP_S_MAX:g} s")

    def recover(self, at_s: float, bound_s: float | None = None, wait_s: float = RECOVERY_S_MAX) -> None:
        """Wait until each partition has the prediction of a value written since a moment; note how long that took."""
        said = self._flow_since(at_s, wait_s)
        seconds = float("inf") if said["missing"] else said["recovery_s"]
        one = Recovery(self.fault, seconds, self.bound_s if bound_s is None else bound_s)
        self.recoveries.append(one)
        missing = f", still missing {said['missing']}" if said["missing"] else ""
        say(f"    flows again after {seconds:.1f} s{missing}{' (BOUND BROKEN)' if one.broken else ''}")
        say(f"      the last one: {said['slowest']}")

    def gaps(self, deployment: str, causes: Collection[str]) -> int:
        """Gaps of a deployment that were declared so far, of these causes."""
        declared = self.tell("observer", "gaps")["gaps"].get(deployment, {})
        return sum(count for cause, count in declared.items() if cause in causes)

    def expect_gap(self, deployment: str, causes: Collection[str], before: int) -> None:
        """What just happened has torn a journal: workers must declare it."""
        try:
            until(lambda: self.gaps(deployment, causes) > before, "a declared gap", GAP_S_MAX, LOOK_S)
        except NotInTimeError:
            self.gaps_undetected += 1
            say("    NO GAP DECLARED")

    def pause_writers(self) -> None:
        """Only probes are written for a while."""
        for name in WRITERS:
            self.tell(name, "pause")

    def resume_writers(self) -> None:
        """All write again."""
        for name in WRITERS:
            self.tell(name, "resume")

    def await_repairs(self) -> None:
        """Give late writes the time in which they must be repaired; the report says how long they stood."""
        try:
            until(
                lambda: not self.tell("observer", "standing")["count"], "the repair of late writes", REPAIR_S_MAX, 0.5
            )
        except NotInTimeError as error:
            say("\n".join([f"    {error}", *(f"      {one}" for one in self.tell("observer", "suspects")["told"])]))

    def running(self) -> list[tuple[Node, int]]:
        """Each worker that runs, with its node."""
        return [(node, process_id) for node in self.grid.living for process_id in node.pids]

    def some_worker(self) -> tuple[Node, int]:
        """One of the workers; waits for one to be there."""
        self.wait_for_workers()
        return self.random.choice(self.running())

    def wait_for_workers(self) -> None:
        """Wait until every living node has its workers again, and each of them owns partitions."""

        def back() -> bool:
            owners = set(self.tell("observer", "owners")["pids"])
            wanted = self.grid.workers_per_node
            return all(len(n.pids) == wanted and owners.issuperset(n.pids) for n in self.grid.living)

        until(back, "the return of all workers", READY_S_MAX, LOOK_S)


def is_of(worker: str, processes: Collection[int]) -> bool:
    """Whether a worker is one of these processes: its id ends with `-<process id>-<token>`."""
    return worker.split("-")[-2:-1] in [[str(one)] for one in processes]


def say(text: str) -> None:
    """Tell whoever watches; the last line of the output is the report alone."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()

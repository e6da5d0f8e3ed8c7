"""`python -m bench.scale`: the same work on one, two, three nodes of one machine; nodes that come and go under load."""

from __future__ import annotations

import argparse
import logging
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from bench import report
from bench.compare import described
from bench.data import train
from bench.measure import machine
from bench.moves import Moved, add_node, kill_node
from bench.ours import Backlog, Ours
from bench.tables import show_table
from grid_inference.grid.member import MemberConfig
from grid_inference.grid.member.member import PARTITIONS
from grid_inference.node.nodes import Nodes

__all__ = ["main"]

OUTPUT: Final = Path(__file__).with_name("scale.json")
CLUSTER: Final = "grid-inference-scale"
PER_CPU_FLOOR: Final = 0.85
"""Records per CPU-second on several nodes, of those on one."""
VERIFY_S_MAX: Final = 10.0
"""For a million records, on two cores."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured, and how often."""

    records: int = 1_000_000
    nodes: int = 3
    workers: int = 1
    """Of each node."""
    partitions: int = PARTITIONS
    rate: int = 2_000
    """Records per second while a node comes or goes."""
    heap_mb: int = 3_072
    """Of each member."""
    repeats: int = 3


QUICK: Final = Sizes(records=100_000, heap_mb=1_024, repeats=1)


@dataclass(slots=True)
class Found:
    """What was measured on so many nodes."""

    nodes: int
    runs: list[Backlog] = field(default_factory=list[Backlog])
    added: Moved | None = None
    """When the last of them was added."""
    killed: Moved | None = None
    """When one of them was killed."""

    def median(self, figure: Callable[[Backlog], float]) -> float:
        """The median of a figure over the runs."""
        return statistics.median(map(figure, self.runs))

    @property
    def per_cpu_s(self) -> float:
        return self.median(lambda run: run.per_cpu_s)

    @property
    def verify_s_per_million(self) -> float:
        return self.median(lambda run: run.verify_s_per_million)

    @property
    def wire_bytes(self) -> float:
        """Bytes over the loopback interface per record."""
        return self.median(lambda run: run.loopback_bytes / run.records)


def main() -> None:
    """Measure, print the table, write scale.json."""
    options = parsed()
    logging.basicConfig(level=logging.ERROR)
    # The stock client calls every connection to a killed member an error.
    logging.getLogger("hazelcast").setLevel(logging.CRITICAL)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    given = {name: value for name, value in vars(options).items() if value is not None}
    chosen = {name: given[name] for name in asdict(QUICK) if name in given}
    sizes = replace(QUICK if options.quick else Sizes(), **chosen)
    facts, started = machine(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="grid-inference-bench-") as folder:
        found = measure(Path(folder), sizes)
    rows = rows_of(found)
    show_table("grid-inference on several nodes of one machine", headings(found), rows)
    print(f"\n{report.measured_on(facts)}")
    run = {"quick": options.quick, "sizes": asdict(sizes), "seconds": round(time.monotonic() - started, 1)}
    report.write(options.output, json_of(found, facts, run))


def measure(folder: Path, sizes: Sizes) -> list[Found]:
    """Let a cluster grow node by node, measure each size, and let it shrink again."""
    console, model = Console(stderr=True), train(folder)["lr"]
    config = MemberConfig(
        cluster_name=CLUSTER,
        partitions=sizes.partitions,
        # Room for the backlog, however unevenly its keys are spread over the partitions.
        journal_capacity=int(sizes.records * 1.25) + 100_000,
        heap_mb=sizes.heap_mb,
    )
    found: list[Found] = []
    keys = str(folder / "keys")
    with (
        (folder / "workers.log").open("wb") as log,
        Nodes(config, sizes.workers, threads=1, log=log, keys=keys) as nodes,
    ):
        nodes.add()
        with Ours.attached(nodes) as ours:
            for count in range(1, sizes.nodes + 1):
                with console.status(f"measuring: {count} of {sizes.nodes} nodes"):
                    added = add_node(ours, model, sizes.rate) if count > 1 else None
                    found.append(Found(count, backlogs(ours, model, sizes), added))
            for each in reversed(found[1:]):
                with console.status(f"measuring: one of {each.nodes} nodes is killed"):
                    each.killed = kill_node(ours, model, sizes.rate)
    return found


def backlogs(ours: Ours, model: Path, sizes: Sizes) -> list[Backlog]:
    """The same backlog again and again; a first one lets Java compile what the others run, and does not count."""
    ours.backlog(model, sizes.records)
    return [ours.backlog(model, sizes.records) for _ in range(sizes.repeats)]


def headings(found: list[Found]) -> list[str]:
    """Of the table."""
    return ["measure", *(f"{one.nodes} node{'s' if one.nodes > 1 else ''}" for one in found), "bound"]


def rows_of(found: list[Found]) -> list[list[str]]:
    """The lines of the table."""
    lines: list[tuple[str, Callable[[Found], str], str]] = [
        ("backlog, logistic regression", lambda one: f"{one.median(lambda run: run.per_s):,.0f}/s", ""),
        ("records per CPU-second", lambda one: f"{one.per_cpu_s:,.0f}", ""),
        ("the same, of one node's", lambda one: f"{one.per_cpu_s / found[0].per_cpu_s:.2f}", f"≥ {PER_CPU_FLOOR}"),
        ("CPU of members, per record", lambda one: cpu_us(one, "member"), ""),
        ("CPU of workers, per record", lambda one: cpu_us(one, "workers"), ""),
        ("bytes on the wire, per record", lambda one: f"{one.wire_bytes:,.0f}", ""),
        ("`verify` of a million records", lambda one: f"{one.verify_s_per_million:.1f} s", f"< {VERIFY_S_MAX:g} s"),
        ("node added under load: it is up", lambda one: seconds(one.added and one.added.started_s), ""),
        ("… every lease is in its place", lambda one: seconds(one.added and one.added.placed_s), ""),
        ("… and all is scored", lambda one: seconds(one.added and one.added.scored_s), ""),
        ("node killed: its share is scored again", lambda one: seconds(one.killed and one.killed.scored_s), "≤ 10 s"),
    ]
    return [[text, *map(cell, found), bound] for text, cell, bound in lines]


def cpu_us(one: Found, group: str) -> str:
    return f"{one.median(lambda run: run.cpu_s[group] / run.records * 1e6):.2f} µs"


def seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f} s"


def json_of(found: list[Found], facts: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
    """Everything, by the number of nodes."""
    return {
        "nodes": {str(one.nodes): mapping_of(one, found[0]) for one in found},
        "floors": {"per_cpu_of_one_node": PER_CPU_FLOOR, "verify_s_per_million": VERIFY_S_MAX},
        "run": run,
        "machine": facts,
    }


def mapping_of(one: Found, first: Found) -> dict[str, Any]:
    return {
        "records_per_s": round(one.median(lambda run: run.per_s)),
        "records_per_cpu_s": round(one.per_cpu_s),
        "per_cpu_of_one_node": round(one.per_cpu_s / first.per_cpu_s, 3),
        "wire_bytes_per_record": round(one.wire_bytes),
        "verify_s_per_million": round(one.verify_s_per_million, 2),
        "added": one.added and rounded(one.added),
        "killed": one.killed and rounded(one.killed),
        "details": described(one.runs),
    }


def rounded(moved: Moved) -> dict[str, float]:
    return {name: round(value, 2) for name, value in asdict(moved).items()}


def parsed() -> argparse.Namespace:
    """The command line; what is not given is as in `Sizes`."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the records, one repeat: rough")
    parser.add_argument("--records", type=int, help="the backlog")
    parser.add_argument("--nodes", type=int, help="measure one to so many nodes")
    parser.add_argument("--workers", type=int, help="worker processes of each node")
    parser.add_argument("--partitions", type=int, help="of the cluster")
    parser.add_argument("--rate", type=int, help="records per second while a node comes or goes")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="where the JSON goes (default: bench/scale.json)")
    return parser.parse_args()


if __name__ == "__main__":
    main()

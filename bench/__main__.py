"""`python -m bench`: measure, print the table, write latest.json."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from rich.console import Console

from bench import compare, report
from bench.against import TURNS, against
from bench.compare import Results, Sizes
from bench.data import train
from bench.drift import drift
from bench.instrumentation import instrumentation
from bench.latency import latency
from bench.measure import machine
from bench.ours import Ours
from bench.records import records
from bench.shadow import shadow
from bench.singles import singles
from grid_inference.node.workers import default_workers

__all__ = ["main"]

Measure = Callable[[Ours, dict[str, Path], Sizes, Results], None]
MEASURES: Final[dict[str, Measure]] = {
    "singles": singles,
    "maps": compare.maps,
    "backlog": compare.backlogs,
    "reconcile": compare.reconcile,
    "records": records,
    "latency": latency,
    "memory": compare.memory,
    "instrumentation": instrumentation,
    "shadow": shadow,
    "drift": drift,
}
QUICK: Final = Sizes(
    lr=100_000,
    hgb=40_000,
    bare_hgb=32_768,
    listener=1_000,
    reconcile=60_000,
    put_ours=50_000,
    put_stock=4_000,
    mixed=20_000,
    listened=20_000,
    waiting=(20_000, 200_000),
    singles=200,
    latency_s=1.0,
    repeats=1,
    pairs=1,
)
LATEST: Final = Path(__file__).with_name("latest.json")


def main() -> None:
    """Run the measures that were asked for."""
    options = parsed()
    logging.basicConfig(level=logging.ERROR)
    # A timeout's or a terminal's end must end the member and the helpers as well.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if options.against:
        calls, turns = (QUICK.singles, 1) if options.quick else (Sizes().singles, TURNS)
        print(against(options.against, calls, turns))
        return
    sizes = scaled(QUICK if options.quick else Sizes(), options.records, options.seconds)
    results, facts, started = Results(), machine(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="grid-inference-bench-") as folder:
        measure(Path(folder), sizes, options, results)
    rows = report.rows_of(results)
    report.show(Console(), rows)
    print(f"\n{report.markdown(rows, facts)}")
    run = {"sizes": asdict(sizes), "workers": options.workers, "seconds": round(time.monotonic() - started, 1)}
    if options.output or not options.only:
        report.write(options.output or LATEST, report.json_of(results, facts, {"quick": options.quick, **run}))


def measure(folder: Path, sizes: Sizes, options: argparse.Namespace, results: Results) -> None:
    """Start a grid and take the measures one after the other."""
    console = Console(stderr=True)
    with console.status("training two models"):
        models = train(folder)
    with Ours.started(folder, options.workers, sizes.journal, sizes.small_journal) as ours:
        for name, take in MEASURES.items():
            if options.only and name not in options.only:
                continue
            started = time.monotonic()
            with console.status(f"measuring: {name}"):
                take(ours, models, sizes, results)
            console.print(f"{name}: {time.monotonic() - started:.0f} s", style="dim")


def scaled(sizes: Sizes, lr: int | None, seconds: float | None) -> Sizes:
    """All amounts of records in proportion to that of the logistic regression's backlog."""
    if seconds is not None:
        sizes = replace(sizes, latency_s=seconds)
    if lr is None:
        return sizes
    factor = lr / sizes.lr
    amounts: dict[str, Any] = {
        name: max(1_000, int(value * factor))
        for name, value in asdict(sizes).items()
        if name in {"lr", "hgb", "reconcile", "put_ours", "put_stock", "listener", "bare_hgb", "mixed", "listened"}
    }
    few, many = (max(1_000, int(one * factor)) for one in sizes.waiting)
    return replace(sizes, **amounts, waiting=(few, many))


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small amounts, one repeat: under a minute, and rough")
    parser.add_argument("--only", action="append", choices=MEASURES, metavar="NAME", help=", ".join(MEASURES))
    parser.add_argument("--against", metavar="REF", help="single operations only, in turns with those of that commit")
    parser.add_argument("--records", type=int, help="the logistic regression's backlog; the other amounts follow it")
    parser.add_argument("--seconds", type=float, help="how long each rate of the latency measure is held")
    parser.add_argument(
        "--workers", type=int, default=default_workers(), help="worker processes (default: as a node starts)"
    )
    parser.add_argument("--output", type=Path, help="where the JSON goes (default: bench/latest.json unless --only)")
    return parser.parse_args()


if __name__ == "__main__":
    main()

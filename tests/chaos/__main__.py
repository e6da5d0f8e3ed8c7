"""`make chaos`: torment a grid and judge what stands in the end. The last line is JSON; exit code 1 if it was wrong.

`--all-mutants` runs workers that break a promise each; there exit code 1 says that one of them was not noticed.
"""

from __future__ import annotations

import argparse
import json
import logging
import secrets
import signal
import sys
from typing import Any

from tests.chaos.faults import FAULTS
from tests.chaos.mutants import EXPOSING, MUTANTS
from tests.chaos.run import Options, run, schedule

PROVES_NOTHING = {"bounds_broken", "trouble"}
"""A mutant is not caught by these: a slow machine would do."""


def main() -> int:
    """Run as the arguments say."""
    given = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))  # in order: members must not stay behind
    logging.basicConfig(level="ERROR")
    logging.getLogger("hazelcast").setLevel("CRITICAL")
    if given.all_mutants:
        return all_mutants(given)
    report = run_once(given, given.mutant)
    sys.stdout.write(json.dumps(report) + "\n")
    return int(bool(report["failed"]))


def arguments() -> argparse.Namespace:
    """The arguments, checked."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="a random one if none is given")
    parser.add_argument("--seconds", type=float, default=75.0, help="no new fault begins after this time")
    parser.add_argument("--faults", default="", help=f"in this order, of: {', '.join(sorted(FAULTS))}")
    parser.add_argument("--mutant", default="", choices=["", *MUTANTS], help="the workers break this promise")
    parser.add_argument("--all-mutants", action="store_true", help="each mutant under the faults that expose it")
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--rate", type=float, default=1.0, help="the writers' rates are multiplied by this")
    parser.add_argument("--load-rows", type=int, default=30_000, help="rows of a bulk load")
    parser.add_argument("--keep", action="store_true", help="leave the logs behind")
    given = parser.parse_args()
    given.seed = secrets.randbelow(2**31) if given.seed is None else given.seed
    given.chosen = tuple(name for name in given.faults.split(",") if name)
    if unknown := sorted(set(given.chosen) - FAULTS.keys()):
        parser.error(f"there is no fault {', '.join(unknown)}; --help lists them")
    return given


def run_once(given: argparse.Namespace, mutant: str) -> dict[str, Any]:
    """One run; a mutant without chosen faults gets those that expose it."""
    chosen = given.chosen or EXPOSING.get(mutant, ())
    sizes = {"nodes": given.nodes, "load_rows": given.load_rows, "rate": given.rate}
    options = Options(given.seed, given.seconds, chosen, mutant, keep=given.keep, **sizes)
    sys.stdout.write(f"seed {given.seed}{' ' + mutant if mutant else ''}: {', '.join(schedule(options))}\n")
    return run(options)


def all_mutants(given: argparse.Namespace) -> int:
    """Each mutant, and by what it was caught."""
    caught: dict[str, list[str]] = {}
    for mutant in MUTANTS:
        report = run_once(given, mutant)
        sys.stdout.write(json.dumps(report) + "\n")
        caught[mutant] = sorted(set(report["failed"]) - PROVES_NOTHING)
    sys.stdout.write(json.dumps({"seed": given.seed, "caught": caught}) + "\n")
    return int(not all(caught.values()))


if __name__ == "__main__":
    sys.exit(main())

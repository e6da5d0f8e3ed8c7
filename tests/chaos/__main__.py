"""`make chaos`: torment a grid and judge what stands in the end. The last line is JSON; exit code 1 if it was wrong.

`--runs 20` is a campaign: random seeds, every fault three times, the sum of it all. `--all-mutants` runs workers that
break a promise each, and beside each of them one that breaks none under the same faults; there exit code 1 says that a
mutant was not noticed, or that its control was.
"""

from __future__ import annotations

import argparse
import json
import logging
import secrets
import signal
import sys
from typing import Any

from tests.chaos.campaign import campaign
from tests.chaos.faults import FAULTS
from tests.chaos.mutants import EXPOSING, MUTANTS, PROMOTIONS
from tests.chaos.run import Options, run, schedule
from tests.chaos.stage import say

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
    if given.runs:
        report = campaign(given.seed, given.runs, lambda seed, faults: run_once(given, seed, faults))
        say(json.dumps(report))
        return int(bool(report["failed"] or report["too_few"]))
    report = run_once(given, given.seed, given.chosen, given.mutant)
    return int(bool(report["failed"]))


def arguments() -> argparse.Namespace:
    """The arguments, checked."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="a random one if none is given")
    parser.add_argument("--seconds", type=float, default=75.0, help="no new fault begins after this time")
    parser.add_argument("--faults", default="", help=f"in this order, of: {', '.join(sorted(FAULTS))}")
    parser.add_argument("--mutant", default="", choices=["", *MUTANTS], help="the workers break this promise")
    parser.add_argument("--all-mutants", action="store_true", help="each mutant under the faults that expose it")
    parser.add_argument("--runs", type=int, default=0, help="so many runs, every fault three times over all of them")
    parser.add_argument("--promotions", type=int, default=0, help="so many changes of the model's version meanwhile")
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--rate", type=float, default=1.0, help="the writers' rates are multiplied by this")
    parser.add_argument("--load-rows", type=int, default=30_000, help="rows of a bulk load")
    parser.add_argument("--keep", action="store_true", help="leave the logs behind")
    given = parser.parse_args()
    given.seed = secrets.randbelow(2**31) if given.seed is None else given.seed
    given.promotions = given.promotions or PROMOTIONS.get(given.mutant, 0)
    given.chosen = tuple(name for name in given.faults.split(",") if name)
    if unknown := sorted(set(given.chosen) - FAULTS.keys()):
        parser.error(f"there is no fault {', '.join(unknown)}; --help lists them")
    return given


def run_once(given: argparse.Namespace, seed: int, faults: tuple[str, ...], mutant: str = "") -> dict[str, Any]:
    """One run; a mutant without chosen faults gets those that expose it."""
    chosen = faults or EXPOSING.get(mutant, ())
    sizes = {"nodes": given.nodes, "load_rows": given.load_rows, "rate": given.rate, "keep": given.keep}
    # What a mutant leaves wrong may be seen: no comparison in the background mends it, nor of its control.
    settings = {"GRID_INFERENCE_PROOF_INTERVAL_S": "0"} if given.all_mutants or mutant else {}
    options = Options(seed, given.seconds, chosen, given.promotions, mutant, settings=settings, **sizes)
    say(f"seed {seed}{' ' + mutant if mutant else ''}: {', '.join(schedule(options))}")
    report = run(options)
    say(json.dumps(report))
    return report


def all_mutants(given: argparse.Namespace) -> int:
    """Each mutant and by what it was caught, and what was found of its control: nothing, or the test is none."""
    found: dict[str, dict[str, list[str]]] = {}
    for mutant in MUTANTS:
        given.promotions = PROMOTIONS.get(mutant, 0)
        found[mutant] = {
            role: sorted(set(run_once(given, given.seed, EXPOSING[mutant], each)["failed"]) - PROVES_NOTHING)
            for role, each in (("control", ""), ("caught_by", mutant))
        }
    say(json.dumps({"seed": given.seed, "mutants": found}))
    return int(not all(one["caught_by"] and not one["control"] for one in found.values()))


if __name__ == "__main__":
    sys.exit(main())

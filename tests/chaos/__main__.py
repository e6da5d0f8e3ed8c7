"""`make chaos`: torment a grid and judge what stands in the end. The last line is JSON; exit code 1: it was wrong."""

from __future__ import annotations

import argparse
import json
import logging
import secrets
import sys

from tests.chaos.mutants import EXPOSING, MUTANTS
from tests.chaos.run import FAULTS, Options, run, schedule


def main() -> int:
    """Run as the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="a random one if none is given")
    parser.add_argument("--seconds", type=float, default=75.0, help="no new fault begins after this time")
    parser.add_argument("--faults", default="", help=f"in this order, each once, of: {', '.join(sorted(FAULTS))}")
    parser.add_argument("--mutant", default="", choices=["", *MUTANTS], help="the workers break this promise")
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--load-rows", type=int, default=30_000, help="rows of a bulk load")
    parser.add_argument("--keep", action="store_true", help="leave the logs behind")
    given = parser.parse_args()
    logging.basicConfig(level="ERROR")
    logging.getLogger("hazelcast").setLevel("CRITICAL")
    seed = secrets.randbelow(2**31) if given.seed is None else given.seed
    chosen = tuple(name for name in given.faults.split(",") if name) or EXPOSING.get(given.mutant, ())
    if unknown := sorted(set(chosen) - FAULTS.keys()):
        parser.error(f"there is no fault {', '.join(unknown)}")
    options = Options(seed, given.seconds, chosen, given.mutant, given.nodes, given.load_rows, keep=given.keep)
    sys.stdout.write(f"seed {seed}: {', '.join(schedule(options))}\n")
    report = run(options)
    sys.stdout.write(json.dumps(report) + "\n")
    return int(bool(report["failed"]))


if __name__ == "__main__":
    sys.exit(main())

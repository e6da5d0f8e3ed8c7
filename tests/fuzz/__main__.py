"""`make fuzz`: as many cases as the time allows. The last line is JSON; exit code 1 if anything was wrong."""

from __future__ import annotations

import argparse
import json
import secrets
import sys

from .supervise import supervise


def main() -> int:
    """Run as the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, help="a random one if none is given")
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    options = parser.parse_args()
    seed = secrets.randbelow(2**31) if options.seed is None else options.seed
    print(f"seed {seed}, {options.seconds:g} s", flush=True)
    report = supervise(seed, seconds=options.seconds, first=options.first)
    print(json.dumps(report))
    return int(bool(report["wrong_exceptions"] or report["differences"]))


if __name__ == "__main__":
    sys.exit(main())

"""`make frames`: so many cases on a grid of its own. The last line is JSON; exit code 1 if a value became another."""

from __future__ import annotations

import argparse
import secrets
import sys
import uuid

import grid_inference as gi
from tests.frames.run import Run

ROUND = 1_000


def main() -> int:
    """Run as the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m tests.frames", description=__doc__)
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, help="a random one if none is given")
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    options = parser.parse_args()
    seed = secrets.randbelow(2**31) if options.seed is None else options.seed
    print(f"seed {seed}, {options.cases:,} cases", flush=True)
    member = gi.MemberConfig(cluster_name=f"frames-{uuid.uuid4().hex[:8]}", heap_mb=1024, partitions=7)
    with gi.local(workers=1, member=member) as grid:
        grid.wait_for_workers(1)
        run = Run(grid, seed)
        said = 0
        for first in range(options.first, options.first + options.cases, ROUND):
            run.cases(first, min(ROUND, options.first + options.cases - first))
            print(f"{first + ROUND - options.first:,} done, {len(run.differences)} differences", flush=True)
            print(*run.differences[said:], sep="\n", end="\n" if run.differences[said:] else "")
            said = len(run.differences)
    print(run.report())
    return int(bool(run.differences))


if __name__ == "__main__":
    sys.exit(main())

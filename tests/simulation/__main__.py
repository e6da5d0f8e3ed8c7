"""`python -m tests.simulation`: schedules from a seed on, on all cores; the last line is JSON."""

from __future__ import annotations

import sys
import time

from tests.simulation.plan import plan_of
from tests.simulation.run import run

if __name__ == "__main__":
    seed = int(sys.argv[1])
    for one in range(seed, seed + int(sys.argv[2])):
        began = time.process_time()
        out = run(plan_of(one), trace=len(sys.argv) > 3)
        print(one, f"{time.process_time() - began:.2f}s", f"{out.virtual_s:.1f}", out.callbacks, out.requests, dict(out.counts), [str(v) for v in out.violations])
        if len(sys.argv) > 3:
            print("\n".join(out.trace))

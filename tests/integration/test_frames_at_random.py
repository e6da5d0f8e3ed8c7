"""A short run of `make frames` that is the same every time."""

from __future__ import annotations

import grid_inference as gi
from tests.frames.run import Run

SEED, CASES = 1, 300


def test_frames_drawn_at_random_come_back_as_they_were_put(local_grid: gi.Grid) -> None:
    print(f"seed {SEED}")  # noqa: T201
    run = Run(local_grid, SEED)
    run.cases(0, CASES)
    assert not run.differences, "\n".join(run.differences[:20])
    assert run.counts["scored"] > 0

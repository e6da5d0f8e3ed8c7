"""`python -m bench --against REF`: single operations of this tree and of another commit, in turns, by one member.

Each turn of a side is a process of its own that runs `operations.py` of this tree with that side's package.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.tables import markdown_table
from grid_inference.grid.member import Member, MemberConfig

__all__ = ["TURNS", "against"]

HERE: Final = Path(__file__).parent
CLUSTER: Final = "bench-against"
HEAP_MB: Final = 1_024
TURNS: Final = 7
TURN_TIMEOUT_S: Final = 300.0


def against(reference: str, calls: int, turns: int = TURNS) -> str:
    """A table of medians in µs of processor time a call (of the clock, a row of tables) and the ratios of the two."""
    found: dict[Path, list[dict[str, float]]] = {}
    member_config = MemberConfig(cluster_name=CLUSTER, heap_mb=HEAP_MB)
    with tree_of(reference) as other, Member.start(member_config) as member:
        for turn in range(-1, turns):  # the first one makes the member's Java warm
            for tree in (HERE.parent, other) if turn % 2 else (other, HERE.parent):
                spent = measured(tree, member.address, calls)
                if turn >= 0:
                    found.setdefault(tree, []).append(spent)
    sides = [
        {name: statistics.median(turn[name] for turn in found[tree]) for name in found[tree][0]}
        for tree in (HERE.parent, other)
    ]
    rows = [
        (name, f"{ours:,.2f}", f"{theirs:,.2f}", f"{ours / theirs:.2f}")
        for (name, ours), theirs in zip(sides[0].items(), sides[1].values(), strict=True)
    ]
    return markdown_table(("µs", "this tree", reference, "ratio"), rows)


@contextmanager
def tree_of(reference: str) -> Generator[Path]:
    """A commit's files in a worktree that is gone afterwards."""
    git = ("git", "-C", str(HERE), "worktree")
    with tempfile.TemporaryDirectory(prefix="grid-inference-against-") as folder:
        tree = Path(folder) / "tree"
        subprocess.run([*git, "add", "--detach", "--quiet", str(tree), reference], check=True)
        try:
            yield tree
        finally:
            subprocess.run([*git, "remove", "--force", str(tree)], check=True)


def measured(tree: Path, address: str, calls: int) -> dict[str, float]:
    """One turn of one side."""
    # -P: the script's folder is this tree's, and must not be looked into.
    command = [sys.executable, "-P", str(HERE / "operations.py"), address, CLUSTER, str(calls)]
    ran = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(tree)},
        stdout=subprocess.PIPE,
        text=True,
        timeout=TURN_TIMEOUT_S,
        check=True,
    )
    spent: dict[str, float] = json.loads(ran.stdout)
    return spent

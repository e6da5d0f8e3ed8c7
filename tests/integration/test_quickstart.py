"""The examples of README and docs, word for word: each page's fenced blocks behind `<!-- quickstart -->`, in order.

`console` and `sh` blocks run in one shell, with the environment's `bin` on the path; `python` blocks run as programs.
All of them start in an empty folder, with the grid where a newcomer's would be.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import grid_inference as gi
from grid_inference.node.workers import Workers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from grid_inference.grid.member import Member

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    DOCS / "predictions.md",
    DOCS / "subscriptions.md",
    *sorted((DOCS / "inputs").glob("*.md")),
]
BLOCK = re.compile(r"<!-- quickstart -->\s*```(\w+)\n(.*?)```", re.DOTALL)
RUNS_BY_ITSELF = ("grid-inference node", "grid-inference demo", "make ", "pip install", "git clone", "cd ")
"""Commands that the test's own set-up stands in for."""


@pytest.fixture(scope="module")
def _workers(member: Member) -> Iterator[None]:
    with Workers(member.address, member.cluster_name, 1, node_address=member.address, threads=1):
        with gi.connect(member.address, cluster_name=member.cluster_name) as grid:
            grid.wait_for_workers(1)
        yield


def shell_of(text: str) -> str:
    """The commands of a console block: lines behind `$`, or all lines where none has one."""
    lines = text.splitlines()
    prompted = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    return "\n".join(line for line in prompted or lines if not line.startswith(RUNS_BY_ITSELF))


@pytest.mark.usefixtures("_workers")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_runs_word_for_word(member: Member, tmp_path: Path, page: Path):
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    assert found, f"{page} has no fenced block behind <!-- quickstart -->"
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "GRID_INFERENCE_ADDRESS": member.address,
        "GRID_INFERENCE_CLUSTER": member.cluster_name,
    }
    (tmp_path / "models").symlink_to(ROOT / "models")
    for number, (language, text) in enumerate(found, 1):
        if language == "python":
            command = [sys.executable, "-c", text]
        else:
            command = ["bash", "-euo", "pipefail", "-c", shell_of(text)]
        ran = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert ran.returncode == 0, f"block {number}:\n{text}\n{ran.stdout}\n{ran.stderr}"

"""`put` of a file, in a process of its own, that Ctrl-C or the loss of the member breaks off: it says what is in."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import grid_inference as gi
from grid_inference.cli import files
from tests.integration.conftest import until

ROWS = 1_500_000
"""More than are put between the first chunk and the signal."""
FIRST_WITHIN_S = 240.0
ENDS_WITHIN_S = 120.0
NAME = "broken-off"
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "r.csv"
    path.write_text("id,a\n" + "".join(f"{n},{n}.5\n" for n in range(ROWS)))
    return path


def broken_off(file: Path, member: gi.Member, how: Callable[[subprocess.Popen[str]], None]) -> tuple[int, str]:
    """Break a `put` off once its second chunk is under way; give its exit code and what it said."""
    with file.open("rb") as rows:
        first_chunk = rows.read(files.CSV_BLOCK_BYTES).count(b"\n") - 1
    options = ["--key", "id", "--address", member.address, "--cluster-name", member.cluster_name]
    put = subprocess.Popen(
        [sys.executable, "-m", "grid_inference.cli", "put", NAME, str(file), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "GRID_INFERENCE_CONNECT_TIMEOUT_S": "1"},
    )
    try:
        with gi.connect(member.address, cluster_name=member.cluster_name) as grid:
            features = grid.features(NAME)
            until(lambda: features.size() > first_chunk, "the second chunk", FIRST_WITHIN_S)
            how(put)
            out, err = put.communicate(timeout=ENDS_WITHIN_S)
    finally:
        put.kill()
    assert not out
    assert "Traceback" not in err, err
    return put.returncode, err


def rows_in(said: str) -> int:
    found = re.search(r"^([\d,]+) rows of r\.csv are in broken-off, and perhaps some of those that were on their way$",
                      said, re.MULTILINE)  # fmt: skip
    assert found, said
    return int(found[1].replace(",", ""))


@pytest.mark.timeout(600)
def test_ctrl_c(file: Path, member: gi.Member) -> None:
    code, said = broken_off(file, member, lambda put: put.send_signal(signal.SIGINT))
    assert code in {130, -signal.SIGINT}
    count = rows_in(said)
    assert 0 < count < ROWS
    with gi.connect(member.address, cluster_name=member.cluster_name) as grid:
        features = grid.features(NAME)
        assert count <= features.size() <= ROWS
        found = features.get_batch([0, count // 2, count - 1])
        assert found["a"].tolist() == [0.5, count // 2 + 0.5, count - 0.5]


@pytest.mark.timeout(600)
def test_a_lost_member(file: Path) -> None:
    with gi.Member.start(gi.MemberConfig(cluster_name=NAME, heap_mb=512, partitions=7)) as own:
        code, said = broken_off(file, own, lambda _: own.kill())
    assert code == 3
    assert 0 < rows_in(said) < ROWS
    assert "\ngrid-inference: " in said

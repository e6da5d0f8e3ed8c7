"""Memory given back: a library's code that has done its work, and works on."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from grid_inference.model.store.memory import put_out


def code_kb(library: str) -> int:
    """So much of a library's code is in this process's memory."""
    total, counts = 0, False
    for line in Path("/proc/self/smaps").read_text(encoding="utf-8", errors="replace").splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            counts = " r-xp " in line and library in line
        elif counts and line.startswith("Rss:"):
            total += int(line.split()[1])
    return total


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells where a library lies")
def test_a_librarys_code_is_given_back_and_goes_on_to_work() -> None:
    numbers = pa.array(range(1000))
    assert pc.sum(numbers).as_py() == 499_500  # type: ignore[attr-defined]
    before = code_kb("libarrow")
    put_out("libarrow")
    assert code_kb("libarrow") < before / 2
    assert pc.sum(numbers).as_py() == 499_500  # type: ignore[attr-defined]


def test_a_library_that_is_not_there_is_no_error() -> None:
    put_out("libnobody")

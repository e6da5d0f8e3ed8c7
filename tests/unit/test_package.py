"""What is installed: the wheel carries the member's configuration, the lock names versions and hashes only."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_wheel_carries_the_member_configuration(tmp_path: Path):
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        for name in ("hazelcast.yaml", "jars.toml"):
            shipped = archive.read(f"grid_inference/_hazelcast/{name}")
            assert shipped == (ROOT / "hazelcast" / name).read_bytes()
    assert not [name for name in names if name.startswith(("tests/", "bench/", "hazelcast/"))]
    assert "grid_inference/grid/member/lifeline.py" in names


def test_every_jar_has_a_checksum():
    table = tomllib.loads((ROOT / "hazelcast" / "jars.toml").read_text(encoding="utf-8"))
    assert table["sha256"]["5.7.0"] == "241ec66cea8491787f68c3336f069ac463877af50bdb7676cd9d538f1940dc33"
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in table["sha256"].values())


def test_the_lock_has_hashes_and_no_addresses():
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pinned = re.findall(r"^([a-z0-9-]+)==\S+", lock, flags=re.MULTILINE)
    assert {"hazelcast-python-client", "numpy", "scikit-learn"} <= set(pinned)
    assert "//" not in lock
    assert "index" not in lock
    for entry in re.split(r"\n(?=[a-z])", lock):
        assert entry.startswith("#") or "--hash=sha256:" in entry

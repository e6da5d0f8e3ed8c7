"""What is released: built, installed into an empty environment, and run from there."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]


def test_the_release_check_passes() -> None:
    ran = subprocess.run(["scripts/release-check.sh"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    assert "the demo ran from the wheel: 20000 predictions, 0 missing, 0 stale, 0 orphans" in ran.stdout
    (bom,) = (ROOT / "dist").glob("*.cdx.json")
    said = json.loads(bom.read_text(encoding="utf-8"))
    assert said["specVersion"] == "1.6"
    components = {one["name"]: one for one in said["components"]}
    assert {"hazelcast", "hazelcast-python-client", "numpy", "scikit-learn"} <= components.keys()
    assert components["hazelcast"]["hashes"][0]["alg"] == "SHA-256"
    assert "://" not in json.dumps(components["numpy"].get("purl", ""))

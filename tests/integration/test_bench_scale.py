"""The scale benchmark runs on two nodes and says what it promised; how fast is not asked here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_tiny_run_grows_to_two_nodes_and_shrinks_again(tmp_path):
    output = tmp_path / "scale.json"
    command = [sys.executable, "-m", "bench.scale", "--quick", "--records", "4000", "--nodes", "2", "--rate", "500"]
    ran = subprocess.run(
        [*command, "--output", str(output)], cwd=ROOT, capture_output=True, text=True, timeout=150, check=False
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    assert "| records per CPU-second |" in ran.stdout
    found = json.loads(output.read_text())
    assert found["nodes"].keys() == {"1", "2"}
    for one in found["nodes"].values():
        assert one["records_per_cpu_s"] > 0
        assert one["wire_bytes_per_record"] > 0
        assert one["verify_s_per_million"] > 0
    assert found["nodes"]["1"]["added"] is found["nodes"]["1"]["killed"] is None
    added, killed = found["nodes"]["2"]["added"], found["nodes"]["2"]["killed"]
    assert 0 < added["started_s"] <= added["placed_s"] <= added["scored_s"]
    assert 0 < killed["started_s"] <= killed["scored_s"]
    assert {"cpu", "cores", "memory_gb", "os", "python", "packages", "commit"} <= found["machine"].keys()

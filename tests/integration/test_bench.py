"""The benchmark runs and says what it promised; how fast is not asked here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RATIOS = {
    "backlog_hgb_of_bare",
    "backlog_lr_of_listener",
    "reconcile_of_journal",
    "put_cpu_of_set",
    "get_cpu_of_get",
    "put_batch_1_cpu_of_put_all",
    "put_batch_100_cpu_of_put_all",
    "get_batch_1_cpu_of_get_all",
    "get_batch_100_cpu_of_get_all",
    "texts_of_numbers_pandas",
    "texts_of_numbers_arrow",
    "put_batch_of_put_all",
    "get_batch_of_get_all",
    "decode_arrow_of_objects",
    "backlog_transformer_of_bare",
    "backlog_json_of_compact",
    "listened_of_listener",
    "metrics_on_of_off",
    "drift_on_of_off",
    "shadow_on_of_off",
    "latency_p50_of_listener",
    "latency_p99_of_listener",
    "latency_p50_5000_of_500",
    "latency_p50_50000_of_500",
}


def bench(*options):
    command = [sys.executable, "-m", "bench", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=400, check=False)


@pytest.mark.timeout(430)
def test_a_tiny_run_gives_every_figure_under_its_name(tmp_path):
    output = tmp_path / "latest.json"
    ran = bench("--quick", "--records", "4000", "--seconds", "0.3", "--output", str(output))
    assert ran.returncode == 0, ran.stderr[-4000:]
    assert "| `put_batch` |" in ran.stdout
    found = json.loads(output.read_text())
    assert found["ratios"].keys() == RATIOS
    assert all(ratio > 0 for ratio in found["ratios"].values())
    assert found["latency_ms"].keys() == {"500", "5000", "50000", "80%"}
    assert all(0 < one["p50"] <= one["p99"] for one in found["latency_ms"].values())
    assert isinstance(found["python_us_per_record"], float)
    assert isinstance(found["worker_rss_growth_mb"], float)
    assert {"cpu", "cores", "memory_gb", "os", "python", "packages", "commit"} <= found["machine"].keys()


def test_an_unknown_measure_is_refused():
    ran = bench("--only", "speed")
    assert ran.returncode == 2
    assert "speed" in ran.stderr

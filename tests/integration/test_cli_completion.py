"""Completion as a shell asks for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from grid_inference.cli.app import COMMANDS, run

BIN = Path(sys.executable).parent


def candidates(line: str) -> list[str]:
    """What click answers to bash for a line whose last word is being written."""
    words = line.split(" ")
    asked = {
        "_GRID_INFERENCE_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    command = [sys.executable, "-m", "grid_inference.cli"]
    ran = subprocess.run(command, env=os.environ | asked, capture_output=True, text=True, check=True)
    return [said.partition(",")[2] for said in ran.stdout.splitlines()]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("grid-inference sta", ["status"]),
        ("grid-inference de", ["demo", "deploy", "deployments", "dead-letters"]),
        ("grid-inference deploy --fea", ["--features"]),
        ("grid-inference deploy --trigger l", ["listener"]),
        ("grid-inference trust ", ["add", "list", "remove"]),
        ("grid-inference dead-letters re", ["replay"]),
        ("grid-inference nothing-like-it ", list(COMMANDS)),
    ],
)
def test_commands_options_and_choices(line: str, expected: list[str]) -> None:
    assert sorted(candidates(line)) == sorted(expected)


@pytest.mark.skipif(
    not (shutil.which("bash") and (BIN / "grid-inference").exists()), reason="needs bash and our script"
)
def test_bash_completes_with_what_is_printed() -> None:
    script = """
        eval "$(grid-inference completion bash)"
        complete -p grid-inference
        COMP_WORDS=(grid-inference ver); COMP_CWORD=1
        _grid_inference_completion grid-inference
        echo "${COMPREPLY[@]}"
    """
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    ran = subprocess.run(
        ["bash", "-c", script], env=os.environ | {"PATH": path}, capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines()[-1] == "verify"
    assert "_grid_inference_completion" in ran.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_script_for_our_name(shell, capsys) -> None:
    assert run(["completion", shell]) == 0
    assert "_GRID_INFERENCE_COMPLETE" in capsys.readouterr().out
    assert run(["completion", "tcsh"]) == 2

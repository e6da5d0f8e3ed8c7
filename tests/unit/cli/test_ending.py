"""What an error means to whoever called a command."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from grid_inference.cli.ending import GRID, UNFORESEEN, ending_of
from grid_inference.errors import ConnectionLostError


def test_of_tasks_side_by_side_the_first_that_failed_says_why() -> None:
    lost = ConnectionLostError("the connection was lost", remedy="connect again")
    found = ending_of(ExceptionGroup("two", [ExceptionGroup("one", [lost]), ValueError("another")]))
    assert (found.code, str(found), found.remedy) == (GRID, "the connection was lost", "connect again")


def test_what_nobody_has_foreseen_is_called_a_bug() -> None:
    assert ending_of(KeyError("x")).code == UNFORESEEN


PLAIN_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the command line's encoding is not the locale's")
def test_what_a_locale_can_not_read_is_said_to_be_that() -> None:
    command = [sys.executable, "-m", "grid_inference.cli", "get", "payments", "Zo\u00eb".encode()]
    done = subprocess.run(command, env=os.environ | PLAIN_LOCALE, capture_output=True, check=False)
    assert done.returncode == 2
    assert b"locale's encoding" in done.stderr
    assert b"PYTHONUTF8=1" in done.stderr


SAYS = """
import sys
from grid_inference.cli import app, common, main

text = "Zo\\u00eb \\U0001f600"
app.run = lambda options: common.write_json(text) if options else print(text)
main()
"""


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_locale_that_lacks_a_sign_fails_no_command(options: list[str]) -> None:
    command = [sys.executable, "-c", SAYS, *options]
    done = subprocess.run(command, env=os.environ | {"PYTHONIOENCODING": "ascii"}, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    expected = rb'"Zo\u00eb \ud83d\ude00"' if options else rb"Zo\xeb \U0001f600"
    assert done.stdout.strip() == expected

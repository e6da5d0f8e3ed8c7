"""Ctrl-C while a library is being imported is an interruption, whatever the library makes of it."""

import signal
import subprocess
import sys

import pytest

from grid_inference.cli import app

SWALLOWS = """
import os, signal
from grid_inference.cli.interrupts import end_at_once, end_in_order
{when}()
try:
    os.kill(os.getpid(), signal.{name})
except BaseException as error:
    print(type(error).__name__)
print("went on")
"""


@pytest.mark.parametrize("kept", ["cause", "context"])
def test_an_import_that_ctrl_c_broke_off(kept, monkeypatch, capsys):
    def broken_off(*_args, **_kwargs):
        try:
            raise KeyboardInterrupt  # noqa: TRY301
        except KeyboardInterrupt as interrupt:
            if kept == "cause":
                raise ImportError("initialization failed") from interrupt
            raise ImportError("initialization failed")  # noqa: B904

    monkeypatch.setattr(app.group, "main", broken_off)
    assert app.run(["status"]) == 130
    assert not capsys.readouterr().err


def test_an_import_that_fails_by_itself(monkeypatch, capsys):
    def missing(*_args, **_kwargs):
        raise ImportError("no such library")

    monkeypatch.setattr(app.group, "main", missing)
    assert app.run(["status"]) != 130
    assert "no such library" in capsys.readouterr().err


def swallowing(when, name):
    code = SWALLOWS.format(when=when, name=name)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    return ran.returncode, ran.stdout.split()


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_library_may_swallow_an_exception_and_no_signal(name):
    assert swallowing("end_at_once", name) == (-getattr(signal, name), [])
    assert swallowing("end_in_order", name) == (0, ["KeyboardInterrupt", "went", "on"])

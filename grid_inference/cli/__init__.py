"""The command line: `grid-inference COMMAND`. Each command is in a module of its own and loaded only when it is called.

Here are the list of commands and the end of every run: an error becomes one line and a remedy, and an exit code.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from typing import NoReturn

from grid_inference.cli.interrupts import end_at_once

__all__ = ["main"]


def main() -> NoReturn:
    """Run one command and end the process with its exit code."""
    end_at_once()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a locale that lacks a sign fails no command
    try:
        # Loaded here and not above: from the first line on, Ctrl-C must end us without a traceback.
        from grid_inference.cli.app import run  # noqa: PLC0415

        code = run(sys.argv[1:])
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`); what Python still flushes at its end must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 141
    # What is left to do at exit (an embedded member's end) is not to be cut short by an impatient second Ctrl-C.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Python ends itself by the signal, whatever code it is given, if an interrupt passed through an exec of text, as
    # the making of a dataclass is, though it was caught; the next exec makes it forget.
    exec("")  # noqa: S102
    sys.exit(code)

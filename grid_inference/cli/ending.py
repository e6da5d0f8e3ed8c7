"""How a command ends when not all is well: an exit code, one line, and what to do about it."""

from __future__ import annotations

import sys

import click

from grid_inference import errors

__all__ = ["GRID", "INCOMPLETE", "INTERRUPTED", "REFUSED", "UNFORESEEN", "USAGE", "Ending", "ending_of"]

INCOMPLETE = 1
USAGE = 2
GRID = 3
REFUSED = 4
UNFORESEEN = 5
INTERRUPTED = 130


class Ending(Exception):  # noqa: N818 - not every end is an error
    """Ends the command with this code and these lines."""

    def __init__(self, code: int, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.remedy = remedy

    def say(self) -> None:
        """Write it to stderr."""
        message = " ".join(str(self).split())
        sys.stderr.write(f"grid-inference: {message}\n")
        if self.remedy:
            sys.stderr.write(f"  {' '.join(self.remedy.split())}\n")


def ending_of(error: Exception) -> Ending:
    """What an error means to whoever called the command."""
    while isinstance(error, ExceptionGroup):  # of tasks that ran side by side the first that failed says why
        error = error.exceptions[0]
    if isinstance(error, Ending):
        return error
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx else "grid-inference"
        return Ending(USAGE, error.format_message(), f"{path} --help")
    if isinstance(error, click.ClickException):
        return Ending(error.exit_code, error.format_message())
    if isinstance(error, errors.GridInferenceError):
        return Ending(_code_of(error), str(error), error.remedy)
    if isinstance(error, OSError) and error.filename:
        return Ending(REFUSED, f"{error.filename}: {error.strerror}")
    return Ending(
        UNFORESEEN,
        f"{type(error).__name__}: {error}",
        "this is a bug; GRID_INFERENCE_LOG_LEVEL=DEBUG shows where, please report it",
    )


def _code_of(error: errors.GridInferenceError) -> int:
    if isinstance(error, errors.GridError | errors.NoWorkersError):
        return GRID
    if isinstance(error, errors.ConfigError):
        return USAGE
    # Commands that look a deployment up find none; `deploy` says by itself when it was refused.
    if isinstance(error, errors.DeploymentError | errors.PredictionTimeoutError):
        return INCOMPLETE
    return REFUSED

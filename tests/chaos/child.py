"""A witness in a process of its own: commands go in as lines of JSON, answers come out as lines of JSON.

It ends when its standard input does, so none outlives the run.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
READY_TIMEOUT_S = 240.0
"""Processes start slowly on a machine that does other work, and many start at once."""
ANSWER_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 20.0


def environment(**more: str) -> dict[str, str]:
    """Our environment for a process that is started again and again: compiled modules are kept, however we run."""
    return {**{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}, **more}


class ChildError(Exception):
    """A witness has ended, or does not answer: the run proves nothing."""


class Child:
    """The starter's side; `where` stands before its command, as that which enters a network namespace."""

    def __init__(self, module: str, *, errors: Any = None, where: Sequence[str] = (), **options: Any) -> None:
        self.name = f"{module} {options.get('kind', '')}".strip()
        command = [*where, sys.executable, "-m", f"tests.chaos.{module}", json.dumps(options)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=ROOT,
            text=True,
            env=environment(),
        )
        self._answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._number = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._answers.put(json.loads(line))
        self._answers.put({"ended": True})

    def wait_until_ready(self) -> None:
        """Its first word says that it is at work."""
        self._answer(0, READY_TIMEOUT_S)

    def ask(self, command: str, timeout_s: float = ANSWER_TIMEOUT_S, **values: Any) -> dict[str, Any]:
        """Send a command and wait for its answer; raises ChildError."""
        with self._lock:
            self._number += 1
            assert self._process.stdin
            try:
                self._process.stdin.write(json.dumps({"do": command, "number": self._number, **values}) + "\n")
                self._process.stdin.flush()
            except OSError as error:
                raise ChildError(f"{self.name} has ended") from error
            return self._answer(self._number, timeout_s)

    def _answer(self, number: int, timeout_s: float) -> dict[str, Any]:
        while True:
            try:
                answer = self._answers.get(timeout=timeout_s)
            except queue.Empty:
                raise ChildError(f"{self.name} did not answer within {timeout_s:.0f} s") from None
            if answer.get("ended"):
                raise ChildError(f"{self.name} has ended by itself, with exit code {self._process.wait()}")
            if answer["number"] == number:
                return answer

    def stop(self) -> None:
        """Let it end; kill it if it does not."""
        if self._process.stdin:
            with contextlib.suppress(OSError):  # it may have ended with a command unread
                self._process.stdin.close()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()


class Commands:
    """The witness's side."""

    def __init__(self) -> None:
        self._came: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        for line in sys.stdin:
            self._came.put(json.loads(line))
        self._came.put({"do": "end", "number": -1})

    def take(self, timeout_s: float) -> dict[str, Any] | None:
        """The next command, or None after a while; `end` is the last one."""
        try:
            return self._came.get(timeout=timeout_s) if timeout_s > 0 else self._came.get_nowait()
        except queue.Empty:
            return None

    def answer(self, command: dict[str, Any] | None = None, **values: Any) -> None:
        """Answer a command; without one, say that we are ready."""
        sys.stdout.write(json.dumps({"number": command["number"] if command else 0, **values}) + "\n")
        sys.stdout.flush()

"""A helper process: an object that lives in a process of its own and is called over a pipe. It ends when we end."""

from __future__ import annotations

import multiprocessing
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Final, Self

__all__ = ["Helper", "HelperError"]

ANSWER_TIMEOUT_S: Final = 180.0
END_TIMEOUT_S: Final = 10.0
_spawn = multiprocessing.get_context("spawn")


class HelperError(Exception):
    """A helper failed; the text is its traceback."""


class Helper:
    """Makes `make(*args)` in a new process and calls its methods by name."""

    def __init__(self, make: Callable[..., Any], *args: Any) -> None:
        self._pipe, theirs = _spawn.Pipe()
        self._process = _spawn.Process(target=_serve, args=(theirs, make, args), daemon=True)
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid or 0

    def begin(self, name: str, *args: Any) -> None:
        """Start a call; `result` waits for what it gives."""
        self._pipe.send((name, args))

    def result(self, timeout_s: float = ANSWER_TIMEOUT_S) -> Any:
        """What the oldest call that is under way gave; raises HelperError if it failed."""
        if not self._pipe.poll(timeout_s):
            raise HelperError(f"no answer after {timeout_s:.0f} s")
        try:
            failure, value = self._pipe.recv()
        except EOFError:
            raise HelperError("the process ended") from None
        if failure:
            raise HelperError(failure)
        return value

    def call(self, name: str, *args: Any) -> Any:
        """Call and wait."""
        self.begin(name, *args)
        return self.result()

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join(END_TIMEOUT_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _serve(pipe: Connection, make: Callable[..., Any], args: tuple[Any, ...]) -> None:
    """Answer calls until the pipe ends, then close the object."""
    served: Any = None
    with suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            name, arguments = pipe.recv()
            try:
                if served is None:
                    served = make(*args)
                pipe.send(("", getattr(served, name)(*arguments)))
            except Exception:  # noqa: BLE001 - whoever called is told
                pipe.send((traceback.format_exc(), None))
    close = getattr(served, "close", None)
    if close:
        close()

"""`TrialEngine`: the model asked in a child process, for records that may have killed workers.

In: what an engine's `predict` takes. Out: the same scores, or ModelCrashedError where the model ended its process,
ModelTimeoutError where it did not answer in time, whatever it holds on to. The process is there from the first call
until `close`. On Linux it forks before it lets the model compute, so that a death costs no second start; elsewhere it
is started anew. It ends with its parent, however that ended: it waits for a pipe that only the parent holds, and an
alarm of the system ends a call at its deadline.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any, cast

from grid_inference.errors import ModelCrashedError, ModelTimeoutError, TrialStartError
from grid_inference.model.engines.engine import Engine
from grid_inference.model.engines.isolate import BadOutputError, Scores
from grid_inference.model.engines.native import engine_of, library_of
from grid_inference.model.inputs.frame import Inputs
from grid_inference.model.signature import Signature

__all__ = ["TRIAL_ROWS_MAX", "TrialEngine"]

FORKS = sys.platform == "linux"
"""Elsewhere a library's threads may not outlive a fork."""
ALARM = signal.SIGALRM if sys.platform != "win32" else signal.SIGTERM
PIPE_ENDED = 113
"""Exit code of a forked process whose parent is gone; no model uses it."""
TRIAL_ROWS_MAX = 256
"""So few rows are put on trial at once: after a death each is asked by itself."""
SEVERAL_SHARE = 0.1
"""Several rows get this share of the deadline, and each by itself the whole of it: rows that are merely slow lose
nothing, and one that hangs costs its deadline once."""
START_S_MAX = 120.0
"""How long a child may take to import its libraries, and again to load the model, on a machine that is busy."""
END_S_MAX = 5.0
"""How long is waited for the exit code of a child that has let go of its pipe."""
ALARM_LATE_S = 5.0
"""The parent ends the child so long after the deadline, if no alarm did."""


@dataclass(frozen=True, slots=True)
class _Raised:
    """What the model raised, as it can travel: its class may be known to nobody else."""

    name: str
    text: str
    bad_output: bool

    def error(self) -> Exception:
        """The exception as isolation wants it: named as it was."""
        return BadOutputError(self.text) if self.bad_output else type(self.name, (Exception,), {})(self.text)


@dataclass(frozen=True, slots=True)
class _Died:
    """The model's process ended."""

    exit_code: int
    """Of the process; a negative one is that of a signal."""
    replaced: bool = False
    """Whether another one waits for the next request."""

    def error(self, timeout_s: float) -> Exception:
        """What is to be said of it."""
        if self.exit_code == -ALARM:
            return ModelTimeoutError(f"the model did not answer in {timeout_s:g} s")
        code = self.exit_code
        fate = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return ModelCrashedError(f"the model ended its process ({fate})")


@dataclass(frozen=True, slots=True)
class _Child:
    process: SpawnProcess
    pipe: Connection

    def end(self) -> None:
        """End it, at once and for certain."""
        self.pipe.close()  # whoever was forked reads its end
        self.process.kill()
        self.process.join()
        self.process.close()

    def ask(self, inputs: Inputs, finite: bool | None, timeout_s: float) -> Scores | _Raised | _Died:  # noqa: FBT001
        """What the model says, or what became of its process."""
        try:
            self.pipe.send((inputs, finite, timeout_s))
            return self.pipe.recv() if self.pipe.poll(timeout_s + ALARM_LATE_S) else _Died(-ALARM)
        except (EOFError, ConnectionError):
            self.process.join(END_S_MAX)
            return _Died(self.process.exitcode or 0)


class TrialEngine:
    """One model in a child process; of one thread at a time."""

    def __init__(self, model: Any, signature: Signature, timeout_s: float, *, niceness: int = 0) -> None:
        self._model = model
        self._signature = signature
        self._timeout_s = timeout_s
        self._niceness = niceness
        """By how much the process gives way to others, as `nice` has it; not on Windows."""
        self._child: _Child | None = None

    @property
    def running(self) -> bool:
        """Whether there is a process."""
        return self._child is not None

    def predict(self, inputs: Inputs, *, finite: bool | None = None) -> Scores:
        """Score all rows, or raise what became of the model; TrialStartError if there is no process to ask."""
        child = self._child = self._child or self._start()
        timeout_s = self._timeout_s * (SEVERAL_SHARE if inputs.shape[0] > 1 else 1.0)
        answer = child.ask(inputs, finite, timeout_s)
        if isinstance(answer, _Died):
            if not answer.replaced:
                self.close()
            raise answer.error(timeout_s)
        if isinstance(answer, _Raised):
            raise answer.error()
        return answer

    def start(self) -> None:
        """Start the process if there is none, which takes as long as importing the model's library."""
        self._child = self._child or self._start()

    def close(self) -> None:
        """End the process; the next call starts another one. Closing twice is the same as once."""
        child, self._child = self._child, None
        if child:
            child.end()

    def _start(self) -> _Child:
        context = multiprocessing.get_context("spawn")
        # On Windows it is another class with the same methods.
        pipe, theirs = cast("tuple[Connection, Connection]", context.Pipe())
        process = context.Process(target=_serve, args=(theirs,), name="trial", daemon=True)
        try:
            process.start()
        except OSError as error:  # of too many processes, or too little memory
            pipe.close()
            raise _not_come_up(error) from None
        finally:
            theirs.close()
        child = _Child(process, pipe)
        try:
            if self._niceness and sys.platform != "win32":  # its imports give way as well
                with contextlib.suppress(OSError):  # where that is not allowed it is a process like others
                    os.setpriority(os.PRIO_PROCESS, cast("int", process.pid), self._niceness)
            _await_word(pipe)
            _hand_over(pipe, (self._model, self._signature, FORKS and library_of(self._model) is None))
            _await_word(pipe)
        except Exception as error:  # a model's own way of being pickled may raise anything  # noqa: BLE001
            child.end()
            raise _not_come_up(error) from None
        return child


def _not_come_up(error: Exception) -> TrialStartError:
    return TrialStartError(f"a process for trials did not come up: {str(error) or 'it ended'}")


def _hand_over(pipe: Connection, what: Any) -> None:
    """Send something large: its arrays one by one, so that others may use the interpreter between them."""
    arrays = list[pickle.PickleBuffer]()
    pickled = pickle.dumps(what, protocol=5, buffer_callback=arrays.append)
    pipe.send(len(arrays))
    pipe.send_bytes(pickled)
    for array in arrays:
        pipe.send_bytes(array.raw())


def _handed_over(pipe: Connection) -> Any:
    """Receive what `_hand_over` sends; only a parent's own child does."""
    count, pickled = pipe.recv(), pipe.recv_bytes()
    return pickle.loads(pickled, buffers=[bytearray(pipe.recv_bytes()) for _ in range(count)])  # noqa: S301


def _await_word(pipe: Connection) -> None:
    if not pipe.poll(START_S_MAX):
        raise TimeoutError(f"no sign of life in {START_S_MAX:g} s")
    pipe.recv()


def _serve(pipe: Connection) -> None:
    """The child's life: load the model, and have requests answered until the pipe ends."""
    with contextlib.suppress(EOFError, ConnectionError):
        pipe.send("imported")
        model, signature, forks = _handed_over(pipe)
        engine = engine_of(model, signature)
        pipe.send("loaded")
        # A model of scikit-learn has not computed yet, so no thread of it is lost by forking; others start theirs when
        # they are loaded, and are started anew after a death.
        while forks and (forked := os.fork()):
            code = os.waitstatus_to_exitcode(os.waitpid(forked, 0)[1])
            if code == PIPE_ENDED:
                return
            pipe.send(_Died(code, replaced=True))
        _answer_all(pipe, engine)


def _answer_all(pipe: Connection, engine: Engine) -> None:
    """Answer one request after the other, and end with the pipe."""
    try:
        while True:
            inputs, finite, timeout_s = pipe.recv()
            _set_alarm(timeout_s)
            answer = _answer(engine, inputs, finite=finite)
            _set_alarm(0)
            pipe.send(answer)
    except (EOFError, ConnectionError):
        os._exit(PIPE_ENDED)


def _answer(engine: Engine, inputs: Inputs, *, finite: bool | None) -> Scores | _Raised:
    try:
        return engine.predict(inputs, finite=finite)
    except Exception as error:  # noqa: BLE001  # whatever it is, the parent judges it
        return _Raised(type(error).__name__, str(error), isinstance(error, BadOutputError))


def _set_alarm(seconds: float) -> None:
    """Have the system end this process then; no thread of ours could while a model holds the interpreter's lock."""
    if sys.platform != "win32":  # there the parent alone sees to it
        signal.setitimer(signal.ITIMER_REAL, seconds)

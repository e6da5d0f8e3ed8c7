"""`kernel`: a function of plain loops over arrays, compiled where numba is there and run as it stands where it is not.

In: functions whose parameters are annotated with the names below. Out: callables with the same results either way;
compiled they take about a thousandth of the time. A kernel called from Python has just the one signature that its
annotations say, so that nothing is ever compiled but by `load`. Errors are returned as codes: who calls raises them.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import stat
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import platformdirs
from numpy.typing import NDArray

__all__ = [
    "Bytes",
    "Columns",
    "Grid",
    "Halves",
    "Int32s",
    "Ints",
    "Matrix",
    "Numbers",
    "Reals",
    "Room",
    "Scored",
    "Table",
    "Templates",
    "Words",
    "is_cold",
    "kernel",
    "load",
    "part",
    "view",
]

_log = logging.getLogger(__name__)

F = TypeVar("F", bound=Callable[..., Any])
Bytes = NDArray[np.uint8]
"""Bytes that are read, shape (n,)."""
Room = NDArray[np.uint8]
"""Bytes that are written, shape (n,)."""
Ints = NDArray[np.int64]
"""Numbers that are read, shape (n,)."""
Int32s = NDArray[np.int32]
"""The same of int32."""
Numbers = NDArray[np.int64]
"""Numbers that are written, shape (n,)."""
Words = NDArray[np.uint64]
"""The bits of numbers, shape (n,)."""
Halves = NDArray[np.uint32]
"""The same of 32 bits."""
Table = NDArray[np.int64]
"""Numbers that are read or written, shape (n, k)."""
Reals = NDArray[np.float64]
"""Doubles that are read, shape (n,)."""
Grid = NDArray[np.float64]
"""The same, shape (n, k)."""
Columns = tuple[Bytes, Ints, Ints]
"""Of `Blobs`: buffer, starts, lengths."""
Scored = tuple[Reals, Ints, Ints, int, Grid]
"""Of predictions: score, digest and epoch of each, when they were made, and the scores of each."""
Templates = tuple[Ints, Bytes, Table, Ints]
"""Of records: the labels, the records, their places, and where the numbers lie in each."""
Matrix = NDArray[np.float64]
"""Doubles that are written, shape (n, k)."""

_lock = threading.Lock()
_kernels: list[_Kernel] = []
READY = "ready"
"""The file that says of a cache's folder that all kernels are in it."""


class _Kernel:
    """One function; the first call of any loads all, unless `load` was called before."""

    def __init__(self, function: Callable[..., Any], *, alone: bool, views: bool) -> None:
        self.function = function
        self.views = views
        """It returns arrays."""
        self.alone = alone
        """Python calls it, not only other kernels."""
        self.compiled: Any = None
        self._run: Callable[..., Any] = self._first

    def __call__(self, *arguments: Any) -> Any:
        return self._run(*arguments)

    def _first(self, *arguments: Any) -> Any:
        load()
        return self._run(*arguments)

    def compile(self, numba: Any) -> None:
        """Compile it for the types of its annotations, or for any if it is called by other kernels only."""
        if self.alone:
            signature = _signature(self.function, numba.types)
            self.compiled = numba.njit(signature, nogil=True, cache=True)(self.function)
        elif self.views:
            self.compiled = numba.njit(nogil=True)(self.function)
        else:  # counting references to the arrays that it is given would take most of its time
            self.compiled = numba.njit(nogil=True, _nrt=False)(self.function)

    def settle(self) -> None:
        """From now on run what was compiled, or the function as it stands."""
        if self.compiled is not None:
            self._run = self.compiled
        elif self.alone:
            self._run = np.errstate(over="ignore")(self.function)  # words of 64 bits are multiplied modulo 2^64
        else:
            self._run = self.function


def kernel(function: F) -> F:
    """A kernel that Python calls: each parameter is annotated as one of the names above, or as `int`."""
    return _added(function, alone=True)


def part(function: F) -> F:
    """A part of kernels, called by them only: its types follow from theirs. It returns numbers, if anything."""
    return _added(function, alone=False)


def view(function: F) -> F:
    """A part that returns arrays over the bytes that it is given."""
    return _added(function, alone=False, views=True)


def _added(function: F, *, alone: bool, views: bool = False) -> F:
    made = _Kernel(function, alone=alone, views=views)
    _kernels.append(made)
    return cast("F", made)


def load() -> bool:
    """Compile all kernels or take them from the cache, once a process; False where they run as plain Python.

    Takes seconds where nothing is cached, and some tenths of a second else. Of several processes that begin at once
    one compiles, and the others wait for it.
    """
    with _lock:
        if all(each.compiled is None for each in _kernels):
            try:
                _compile_all()
            except Exception as error:  # whatever ails numba here, the same code runs without it  # noqa: BLE001
                for each in _kernels:
                    each.compiled = None
                _log.warning("kernels run as plain Python, at a thousandth of their speed: %r", error)
        for each in _kernels:
            each.settle()
        return _kernels[0].compiled is not None


def is_cold() -> bool:
    """Whether `load` will have to compile, as far as can be told without numba."""
    if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
        return False
    try:
        return not any((folder / _fingerprint() / READY).exists() for folder in (_chosen(), _temporary()))
    except PackageNotFoundError:
        return False


def _compile_all() -> None:
    # Here, as applications that only put and read do without its 60 MB.
    numba: Any = import_module("numba")
    typeof_impl: Any = import_module("numba.extending").typeof_impl

    @typeof_impl.register(_Kernel)
    def _(found: _Kernel, _: Any) -> Any:  # pyright: ignore[reportUnusedFunction]
        return numba.typeof(found.compiled)

    if numba.config.DISABLE_JIT:
        raise RuntimeError("NUMBA_DISABLE_JIT is set")
    folder = _writable_folder()
    before: str = numba.config.CACHE_DIR
    with _one_process_at_a_time(folder):
        ready, begun_s = folder / READY, time.perf_counter()
        if not ready.exists() and not _copied(_chosen() / folder.name, folder):
            _log.info("kernels are compiled for this machine, once: %s", folder)
        try:
            numba.config.CACHE_DIR = str(folder)  # read where a function is decorated; other users of numba keep theirs
            for each in _kernels:
                each.compile(numba)
        finally:
            numba.config.CACHE_DIR = before
        ready.touch()
        _log.info("kernels are there after %.1f s", time.perf_counter() - begun_s)


def _signature(function: Callable[..., Any], types: Any) -> tuple[Any, ...]:
    known: dict[str, Any] = {
        "Bytes": types.Array(types.uint8, 1, "C", readonly=True),
        "Room": types.Array(types.uint8, 1, "C"),
        "Ints": types.Array(types.int64, 1, "A", readonly=True),
        "Int32s": types.Array(types.int32, 1, "A", readonly=True),
        "Numbers": types.Array(types.int64, 1, "C"),
        "Table": types.Array(types.int64, 2, "C"),
        "Matrix": types.Array(types.float64, 2, "C"),
        "Reals": types.Array(types.float64, 1, "A", readonly=True),
        "Grid": types.Array(types.float64, 2, "A", readonly=True),
        "int": types.int64,
    }
    for name, names in (
        ("Columns", ("Bytes", "Ints", "Ints")),
        ("Scored", ("Reals", "Ints", "Ints", "int", "Grid")),
        ("Templates", ("Ints", "Bytes", "Table", "Ints")),
    ):
        known[name] = types.Tuple([known[each] for each in names])
    return tuple(known[said] for name, said in function.__annotations__.items() if name != "return")


# ---- the cache: numba looks at the file of a function only, so what its parts are is in the folder's name


def _fingerprint() -> str:
    said = [sys.version, *(f"{name} {version(name)}" for name in ("numba", "llvmlite", "numpy"))]
    here = Path(__file__).parent  # numba keeps the files of each place apart
    said += [str(here), os.environ.get("NUMBA_BOUNDSCHECK", "")]
    content = "\n".join(said).encode() + b"".join(path.read_bytes() for path in sorted(here.glob("*.py")))
    return hashlib.sha256(content).hexdigest()[:16]


def _chosen() -> Path:
    said = os.environ.get("GRID_INFERENCE_CACHE")
    return (Path(said).expanduser().absolute() if said else platformdirs.user_cache_path("grid-inference")) / "kernels"


def _temporary() -> Path:
    return Path(tempfile.gettempdir()) / f"grid-inference-kernels-{_user()}"


def _writable_folder() -> Path:
    """Where kernels are cached: beside the jar; where that can't be written, in a temporary folder of this user's."""
    chosen, temporary = _chosen() / _fingerprint(), _temporary()
    try:
        chosen.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=chosen):
            return chosen
    except OSError:
        temporary.mkdir(mode=0o700, exist_ok=True)
        found = temporary.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != _user() or found.st_mode & 0o022:
            raise PermissionError(f"{temporary} is not ours alone") from None  # what lies there is run
        here = temporary / chosen.name
        here.mkdir(exist_ok=True)
        return here


def _copied(source: Path, folder: Path) -> bool:
    """Take over what a folder has that can only be read, such as an image's: numba asks for one that it may write."""
    if not (source / READY).exists():
        return False
    for path in source.glob("*/*.nb*"):
        target = folder / path.relative_to(source)
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, target)  # without its permissions
    return True


def _user() -> int:
    return os.getuid() if sys.platform != "win32" else 0


@contextmanager
def _one_process_at_a_time(folder: Path) -> Generator[None]:
    """Hold a lock on the folder; where there are no such locks, several compile at once and one's files stay."""
    if sys.platform == "win32":
        yield
        return
    import fcntl  # noqa: PLC0415 - not on Windows

    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield

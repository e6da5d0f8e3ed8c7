"""Large arrays of a model as pages of one file, which all workers of a node map, so that memory holds them once.

In: a loaded model of scikit-learn or one's own, and a folder of the node. Out: an equal model over the file's pages; or
the model itself, where that saves little or can't be. Nothing is read from the file but bytes of arrays, and they are
taken only if each equals what this process has loaded itself. A write to an array stays with the process that wrote.
"""

from __future__ import annotations

import io
import mmap
import os
import pickle
import stat
import sys
import time
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from grid_inference.logs import logger
from grid_inference.model.engines.native import library_of
from grid_inference.model.store.manifest import Manifest

__all__ = ["forget", "shared"]

_log = logger(__name__)

Bytes = NDArray[np.uint8]

ARRAY_BYTES_MIN = 64 << 10
"""A smaller array stays each worker's own."""
SHARED_BYTES_MIN = 16 << 20
"""Where all larger ones together are fewer bytes, nothing is shared."""
ALIGNMENT = 64
"""Arrays begin at multiples of it, as numpy's own do at least: the same instructions compute the same."""
COMPARED_BYTES = 4 << 20
"""Compared at a time, so that comparing needs no memory."""
SUFFIX = ".arrays"
WAIT_S_MAX, LOOK_S = 60.0, 0.05
"""How long another worker of the node may take to write a file; and how often it is looked whether it has."""


SAID_BY_CLASSES = (
    *("__reduce_ex__", "__reduce__", "__getstate__", "__getnewargs_ex__", "__getnewargs__"),
    *("__module__", "__qualname__", "__name__", "__class__"),
)
"""What pickle asks an object for, and an object of its own may have in place of its class."""


class OtherBytesError(Exception):
    """The file holds something else than this process has loaded."""


def shared(model: Any, manifest: Manifest, folder: Path) -> Any:
    """An equal model that shares its large arrays with the other workers of the node, or the model itself.

    Whatever goes wrong is logged: a model that can't be shared is a model all the same.
    """
    if sys.platform == "win32" or manifest.size < SHARED_BYTES_MIN or library_of(model) is not None:
        return model
    try:
        parts = _Parts.of(model)
        places = _places(parts)
        return parts.whole(_mapped(_path(folder, manifest.sha256), places)) if places else model
    except Exception as error:  # a model's own way of being pickled may raise anything  # noqa: BLE001
        _log.warning("arrays not shared", model=manifest.class_name, sha256=manifest.sha256[:12], error=error)
        return model


def forget(folder: Path, kept: Collection[str] = ()) -> None:
    """Nobody is to map files of other models than these any more; whoever has mapped one keeps its pages."""
    with suppress(OSError):
        for path in folder.glob(f"*{SUFFIX}"):
            if path.stem not in kept:
                path.unlink(missing_ok=True)


class _ClassesSayHow(pickle.Pickler):
    """Takes objects apart as their classes say, which are trusted.

    What an object says of itself may be any data of an archive that nobody vouched for.
    """

    def reducer_override(self, obj: Any) -> Any:
        own: Any = {} if isinstance(obj, type) else getattr(obj, "__dict__", {})
        if any(name in own for name in SAID_BY_CLASSES):
            raise pickle.PicklingError(f"a {type(obj).__name__} says itself how it is pickled")
        return NotImplemented


@dataclass(frozen=True, slots=True)
class _Parts:
    """A model taken apart: a pickle, which never leaves this process, and the bytes of its arrays, which it lacks."""

    pickled: bytes
    arrays: Sequence[Bytes]

    @classmethod
    def of(cls, model: Any) -> Self:
        buffers: list[pickle.PickleBuffer] = []
        stream = io.BytesIO()
        _ClassesSayHow(stream, protocol=5, buffer_callback=buffers.append).dump(model)
        return cls(stream.getvalue(), [np.frombuffer(each.raw(), np.uint8) for each in buffers])

    def whole(self, others: dict[int, Bytes]) -> Any:
        """The model anew, with other arrays where they are given by their numbers."""
        arrays = [others.get(number, array) for number, array in enumerate(self.arrays)]
        return pickle.loads(self.pickled, buffers=arrays)  # noqa: S301  # made by this process a moment ago


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an array stands in the file."""

    number: int
    """Among the model's arrays."""
    array: Bytes
    """As it was loaded."""
    start: int

    @property
    def end(self) -> int:
        return self.start + self.array.size


def _places(parts: _Parts) -> list[_Place]:
    """A place for each array that is worth it; none if they are few.

    Some objects copy the arrays that they are rebuilt with, as the trees of a forest do. Which ones is found by
    rebuilding the model over its own arrays: what it holds elsewhere than before was copied.
    """
    if sum(array.size for array in parts.arrays if array.size >= ARRAY_BYTES_MIN) < SHARED_BYTES_MIN:
        return []
    held = {_address(array) for array in _Parts.of(parts.whole({})).arrays}
    places, end = list[_Place](), 0
    for number, array in enumerate(parts.arrays):
        if array.size >= ARRAY_BYTES_MIN and _address(array) in held:
            places.append(_Place(number, array, -(-end // ALIGNMENT) * ALIGNMENT))
            end = places[-1].end
    return places if sum(place.array.size for place in places) >= SHARED_BYTES_MIN else []


def _address(array: Bytes) -> int:
    return array.__array_interface__["data"][0]


def _path(folder: Path, sha256: str) -> Path:
    return folder / f"{sha256}{SUFFIX}"


def _mapped(path: Path, places: Sequence[_Place]) -> dict[int, Bytes]:
    """Pages of the file by the arrays' numbers; it is written first if it is not there.

    Raises OSError if that can't be, OtherBytesError if the file holds anything else.
    """
    with _alone(path.parent):
        if not path.exists():
            _write(path, places)
    pages = _open(path, places[-1].end)
    found = {place.number: pages[place.start : place.end] for place in places}
    if not all(_equal(place.array, found[place.number]) for place in places):
        raise OtherBytesError(f"{path.name} holds other arrays")
    return found


def _open(path: Path, size: int) -> Bytes:
    # Never through a link, and never as much as the file says: as much as we have.
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_size != size:
            raise OtherBytesError(f"{path.name} has {found.st_size} bytes, not {size}")
        # Copied on write rather than read-only, which some estimators' compiled parts refuse.
        return np.frombuffer(mmap.mmap(handle, size, access=mmap.ACCESS_COPY), np.uint8)
    finally:
        os.close(handle)


def _write(path: Path, places: Sequence[_Place]) -> None:
    """Write the file under another name, which nobody maps, and give it its own once it is whole."""
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)  # of a worker that died here
    try:
        with part.open("xb") as file:
            for place in places:
                file.seek(place.start)
                file.write(place.array.data)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _equal(mine: Bytes, theirs: Bytes) -> bool:
    starts = range(0, mine.size, COMPARED_BYTES)
    return all(
        np.array_equal(mine[start : start + COMPARED_BYTES], theirs[start : start + COMPARED_BYTES]) for start in starts
    )


@contextmanager
def _alone(folder: Path) -> Generator[None]:
    """Be the only process of the node that writes here; raise TimeoutError if another one takes too long.

    The lock is the folder's own, and goes with its holder.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        _lock(handle)
        yield
    finally:
        os.close(handle)


def _lock(handle: int) -> None:
    import fcntl  # noqa: PLC0415 - not on Windows

    deadline_s = time.monotonic() + WAIT_S_MAX
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"another worker has held the folder for {WAIT_S_MAX:g} s") from None
            time.sleep(LOOK_S)
        else:
            return

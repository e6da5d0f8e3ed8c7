"""Memory that loading a model has left behind, or a model that is gone, given back to the system; and what stays.

Loading takes a model's bytes and its arrays at once, mostly in pieces that the C library keeps for later when they are
freed. A worker loads seldom and serves for long: it may be that nothing else would have Python look for garbage. What
it serves by is some hundred thousand objects, with those of the libraries: looking through all of them holds up every
thread for a tenth of a second, and finds nothing.
"""

from __future__ import annotations

import ctypes
import gc
import re
import sys
from pathlib import Path

__all__ = ["give_back", "put_out", "settle"]

_CODE = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) r-xp .* (/.+)$")
_DONTNEED = 4
"""`MADV_DONTNEED` of Linux."""


def settle() -> None:
    """Have Python look for garbage no more among what is there now, until something is given back."""
    gc.freeze()


def give_back(*, garbage: bool = False) -> None:
    """Give back what is free, if the C library is glibc; with `garbage` also what only refers to itself.

    Looking for that holds up all threads for some tenths of a second at the most; what it leaves has settled.
    """
    if garbage:
        gc.unfreeze()
        gc.collect()
        settle()
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def put_out(library: str) -> None:
    """Give back the pages of a shared library's code that has done its work, such as a compiler's; on Linux only.

    It goes on to work: what is asked for again comes from its file. Only what can be run, and not written to, is given
    back: nobody has changed it.
    """
    maps = Path("/proc/self/maps")
    if sys.platform != "linux" or not maps.exists():
        return
    advise = ctypes.CDLL(None).madvise
    for line in maps.read_text(encoding="utf-8", errors="replace").splitlines():
        mapping = _CODE.match(line)
        if mapping and library in mapping[3]:
            start, end = int(mapping[1], 16), int(mapping[2], 16)
            advise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _DONTNEED)

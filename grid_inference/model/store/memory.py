"""Memory that loading a model has left behind, or a model that is gone, given back to the system.

Loading takes a model's bytes and its arrays at once, mostly in pieces that the C library keeps for later when they are
freed. A worker loads seldom and serves for long: it may be that nothing else would have Python look for garbage.
"""

from __future__ import annotations

import ctypes
import gc
import sys

__all__ = ["give_back"]


def give_back(*, garbage: bool = False) -> None:
    """Give back what is free, if the C library is glibc; with `garbage` also what only refers to itself.

    Looking for that holds up all threads for some tenths of a second at the most.
    """
    if garbage:
        gc.collect()
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)

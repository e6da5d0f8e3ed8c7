"""Memory that loading a model has left behind, given back to the system.

Loading takes a model's bytes and its arrays at once, mostly in pieces that the C library keeps for later when they are
freed. A worker loads seldom and serves for long.
"""

from __future__ import annotations

import ctypes
import sys

__all__ = ["give_back"]


def give_back() -> None:
    """Give back what is free; does nothing where the C library is not glibc."""
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)

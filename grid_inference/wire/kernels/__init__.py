"""The hot way through the bytes as loops that numba compiles: `kernel.py` says how, each other module one stage.

One way for one row and for ten thousand. A kernel reads like the byte table that it follows; it allocates next to
nothing, raises nothing and knows no Python objects.
"""

from grid_inference.wire.kernels import digest, journal, numbers, templates, texts
from grid_inference.wire.kernels.kernel import is_cold, load

__all__ = ["digest", "is_cold", "journal", "load", "numbers", "templates", "texts"]

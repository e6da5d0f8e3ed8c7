"""Java's ahead-of-time cache for the member: made once per Java runtime and jar, kept beside the jar.

With it a member starts on a third of the CPU time (classes come loaded and linked). It is a convenience only: where it
can't be made, an empty file in its place says so, and members start without it. Java checks by itself that a cache
fits the runtime, the jar and the options, and ignores one that does not.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from grid_inference.errors import MemberStartError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["prepared"]

UNUSED_DAYS_MAX: Final = 30


def prepared(java: Path, jar: Path, flags: Sequence[str], live_once: Callable[[Path], None]) -> Path | None:
    """Give the cache for this runtime, jar and options; make it by `live_once` where there is none."""
    cache = jar.with_name(f"{jar.stem}-{identity(java, jar, flags)}.aot")
    if not cache.exists():
        with contextlib.suppress(OSError):  # a read-only folder: do without
            make(cache, live_once)
    return cache if cache.exists() and cache.stat().st_size else None


def identity(java: Path, jar: Path, flags: Sequence[str]) -> str:
    """Name what a cache depends on."""
    image = java.parent.parent / "lib" / "modules"
    facts = [repr((path, path.stat().st_size, path.stat().st_mtime_ns)) for path in (image, jar)]
    return hashlib.sha256("\n".join([*facts, *flags]).encode()).hexdigest()[:12]


def make(cache: Path, live_once: Callable[[Path], None]) -> None:
    """Let a first member record itself; several starters at once each make one, the last stays."""
    if sys.stderr.isatty():
        sys.stderr.write("preparing Java for Hazelcast (once, some 10 s)\n")
    drop_unused(cache)
    with tempfile.TemporaryDirectory(prefix=".prepare-", dir=cache.parent) as folder:
        made = Path(folder) / cache.name
        with contextlib.suppress(MemberStartError):
            live_once(made)
        made.touch()
        made.replace(cache)


def drop_unused(cache: Path) -> None:
    """Remove caches of runtimes that went long ago: each is some 45 MB."""
    oldest = time.time() - UNUSED_DAYS_MAX * 86_400
    for other in cache.parent.glob("*.aot"):
        with contextlib.suppress(OSError):
            if other.stat().st_mtime < oldest:
                other.unlink()

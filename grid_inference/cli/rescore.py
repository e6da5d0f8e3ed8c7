"""`rescore`: all records by the version at work, with a bar."""

from __future__ import annotations

import sys

import click
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from grid_inference.cli.common import connected, console, examples, grid_options, json_option, write_json
from grid_inference.versions.rescoring import Rescored

__all__ = ["rescore"]


@click.command(epilog=examples("grid-inference rescore fraud", "grid-inference rescore fraud --rate 5000"))
@click.argument("name")
@click.option("--rate", type=click.FloatRange(0, min_open=True), metavar="RECORDS/S", help="No faster than this.")
@json_option
@grid_options
def rescore(name: str, rate: float | None, as_json: bool, address: str | None, cluster_name: str | None) -> None:
    """Score all records by the version at work that another version has scored; records that come go on meanwhile.

    Ctrl-C ends it. Run again it goes on: what is scored by the version already is left as it is.
    """
    out = console(stderr=True)
    columns = (TextColumn(name), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[records]} records"))
    with (
        connected(address, cluster_name) as grid,
        Progress(*columns, console=out, disable=not out.is_terminal, transient=True) as progress,
    ):
        task = progress.add_task(name, total=None, records="0")

        def show(at: Rescored) -> None:
            progress.update(task, total=at.of, completed=at.partitions, records=f"{at.records:,}")

        done = grid.rescore(name, rate=rate, watch=show)
    if as_json:
        write_json(done)
        return
    sys.stdout.write(f"{name}: {done.records:,} records scored by version {done.version} in {done.seconds:.1f} s\n")

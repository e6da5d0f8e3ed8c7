"""`models drift`: a model's inputs and scores at work, held against its training, as a table, as JSON, as a picture."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from grid_inference.cli.common import connected, console, examples, grid_options, json_option, table, write_json

if TYPE_CHECKING:
    from grid_inference.drift.report import Drift

__all__ = ["drift"]


@click.command(
    epilog=examples(
        "grid-inference models drift cards",
        "grid-inference models drift cards --version 3 --png cards.png",
    )
)
@click.argument("deployment")
@click.option("--version", type=int, metavar="N", help="Another version than the one at work, a canary for example.")
@click.option("--png", type=click.Path(dir_okay=False, writable=True), help="Write a picture too.")
@json_option
@grid_options
def drift(
    deployment: str, version: int | None, png: str | None, as_json: bool, address: str | None, cluster_name: str | None
) -> None:
    """Hold what a deployment's model gets and says against its training, column by column.

    The column that has drifted most stands first.
    """
    if png:
        from grid_inference.pictures import check_matplotlib  # noqa: PLC0415  # only for a picture

        check_matplotlib()
    with connected(address, cluster_name) as grid:
        found = grid.drift(deployment, version)
    if png:
        from grid_inference.drift.figure import write_png  # noqa: PLC0415

        write_png(found, png)
    if as_json:
        write_json(found.to_mapping())
        return
    _say(found)
    if png:
        sys.stdout.write(f"\nthe picture is in {png}\n")


def _say(found: Drift) -> None:
    sys.stdout.write(
        f"{found.model}@{found.version} in {found.deployment}: {found.rows:,} rows of the last {found.window_s:g} s, "
        f"counted by {found.workers} workers, against {found.training_rows:,} of its training\n"
    )
    right = ("PSI", "moved by", "mean", "mean now", "missing", "missing now", "rows")
    rows = table("column", "PSI", "", *right[1:], right=right)
    for one in found.columns:
        rows.add_row(
            one.name if one.kind == "input" else f"{one.name} (output)",
            _number(one.psi, ".4f"),
            one.word if one.psi is None or one.psi <= found.threshold else f"{one.word}, over {found.threshold:g}",
            "-" if one.wasserstein is None else f"{one.wasserstein:.3f} sd",
            _number(one.mean, ".5g"),
            _number(one.mean_now, ".5g"),
            f"{one.missing:.2%}",
            _number(one.missing_now, ".2%"),
            f"{one.rows:,}",
        )
    console().print(rows)


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)

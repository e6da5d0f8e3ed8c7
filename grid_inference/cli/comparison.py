"""`models compare`: two published versions over the same records, as tables, as JSON, as a picture."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING

import click
from rich.table import Table

from grid_inference.cli.common import connected, console, examples, grid_options, json_option, table, write_json
from grid_inference.versions.comparison.basis import ROWS

if TYPE_CHECKING:
    from grid_inference.versions.comparison.report import Comparison

__all__ = ["compare"]

PAIRS_SHOWN_MAX = 20
FIGURES = {
    "accuracy": "accuracy",
    "auc": "AUC",
    "log_loss": "log loss",
    "brier": "Brier score",
    "calibration_error": "calibration error",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
    "r2": "R²",
}


@click.command(
    epilog=examples(
        "grid-inference models compare fraud@1 fraud@2 --features payments",
        "grid-inference models compare fraud@champion fraud@3 --deployment cards --labels chargebacks --png cards.png",
    )
)
@click.argument("one", metavar="MODEL@VERSION")
@click.argument("other", metavar="MODEL@VERSION")
@click.option("--features", metavar="MAP", help="The map that holds the records.")
@click.option(
    "--deployment",
    metavar="NAME",
    help="Whose settings hold, and whose records if --features is left out.",
)
@click.option("--rows", type=int, default=ROWS, show_default=True, metavar="N", help="At most so many records.")
@click.option("--labels", metavar="MAP", help="The map that holds what came true, under the records' keys.")
@click.option("--label-field", metavar="FIELD", help="The labels' field, if their values have several.")
@click.option("--png", type=click.Path(dir_okay=False, writable=True), help="Write a picture too.")
@json_option
@grid_options
def compare(
    one: str,
    other: str,
    features: str | None,
    deployment: str | None,
    rows: int,
    labels: str | None,
    label_field: str | None,
    png: str | None,
    as_json: bool,
    address: str | None,
    cluster_name: str | None,
) -> None:
    """Hold two versions against each other over the same records: where they differ, what they cost, which is right.

    Both are loaded and asked here; nothing is written to the grid.
    """
    if png:
        from grid_inference.pictures import check_matplotlib  # noqa: PLC0415  # only for a picture

        check_matplotlib()
    with connected(address, cluster_name) as grid:
        found = grid.compare(
            one,
            other,
            features=features,
            deployment=deployment,
            rows=rows,
            labels=labels,
            label_field=label_field,
        )
    if png:
        from grid_inference.versions.comparison.figure import write_png  # noqa: PLC0415

        write_png(found, png)
    if as_json:
        write_json(found.to_mapping())
        return
    _say_records(found)
    _say_labels(found)
    _say_scores(found)
    _say_quality(found)
    _say_costs(found)
    if png:
        sys.stdout.write(f"\nthe picture is in {png}\n")


def _say_records(found: Comparison) -> None:
    one, other = found.one, found.other
    sys.stdout.write(
        f"{one.version} ({one.class_name}) and {other.version} ({other.class_name}): "
        f"{found.compared:,} of {found.sampled:,} records of {found.features} are scored by both\n"
    )
    if found.compared == found.sampled:
        return
    sys.stdout.write(
        f"refused: {found.refused_by_one:,} by {one.version} only, {found.refused_by_other:,} by {other.version} only, "
        f"{found.refused_by_both:,} by both\n"
    )
    rows = _table("cause", found)
    for cause in sorted(one.refused.keys() | other.refused.keys()):
        rows.add_row(cause, f"{one.refused.get(cause, 0):,}", f"{other.refused.get(cause, 0):,}")
    console().print(rows)


def _say_labels(found: Comparison) -> None:
    if found.agreement is None:
        return
    sys.stdout.write(f"\nthe same label: {found.agreement.share:.2%}\n")
    pairs = [(mine, theirs, n) for mine, some in found.agreement.confusion.items() for theirs, n in some.items()]
    pairs.sort(key=lambda pair: -pair[2])
    rows = table(found.one.version, found.other.version, "records", "share", right=("records", "share"))
    for mine, theirs, count in pairs[:PAIRS_SHOWN_MAX]:
        rows.add_row(mine, theirs, f"{count:,}", f"{count / found.compared:.2%}")
    console().print(rows)
    if len(pairs) > PAIRS_SHOWN_MAX:
        sys.stdout.write(f"and {len(pairs) - PAIRS_SHOWN_MAX} pairs more; --json has all\n")


def _say_scores(found: Comparison) -> None:
    one, other, apart = found.one.scores, found.other.scores, found.difference
    rows = _table("score", found)
    rows.add_row("mean", _number(one.mean), _number(other.mean))
    rows.add_row("standard deviation", _number(one.std), _number(other.std))
    for share, value in one.quantiles.items():
        rows.add_row(f"quantile {share}", _number(value), _number(other.quantiles[share]))
    sys.stdout.write("\n")
    console().print(rows)
    sys.stdout.write(
        f"difference: {_number(apart.mean)} in the mean, {_number(apart.largest)} at most; "
        f"correlation {_number(apart.pearson)} (Pearson), {_number(apart.spearman)} (Spearman); "
        f"Kolmogorov-Smirnov distance {_number(apart.kolmogorov_smirnov)}\n"
    )


def _say_quality(found: Comparison) -> None:
    if found.one.quality is None or found.other.quality is None:
        return
    one, other = dataclasses.asdict(found.one.quality), dataclasses.asdict(found.other.quality)
    rows = _table(f"of {found.labelled:,} labels", found)
    for name, value in one.items():
        rows.add_row(FIGURES[name], _number(value), _number(other[name]))
    sys.stdout.write("\n")
    console().print(rows)


def _say_costs(found: Comparison) -> None:
    names = found.one.version, found.other.version
    rows = table("rows of a batch", *(f"{name} µs a record" for name in names), "ratio")
    for column in rows.columns:
        column.justify = "right"
    for cost in found.costs:
        rows.add_row(f"{cost.rows:,}", f"{cost.one_us:,.3f}", f"{cost.other_us:,.3f}", f"{cost.ratio:.2f} x")
    sys.stdout.write("\n")
    console().print(rows)


def _table(first: str, found: Comparison) -> Table:
    names = found.one.version, found.other.version
    return table(first, *names, right=names)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"

"""`models shadow`: another version scores beside the one at work, unseen by those who read predictions."""

from __future__ import annotations

import sys

import click

from grid_inference.cli.common import connected, examples, grid_options, json_option, timeout_option, write_json

__all__ = ["shadow"]


@click.command(
    epilog=examples(
        "grid-inference models shadow cards fraud@4",
        "grid-inference models shadow cards fraud@4 --budget 0.5",
        "grid-inference models shadow cards --end",
    )
)
@click.argument("deployment")
@click.argument("version", metavar="[MODEL@VERSION]", required=False)
@click.option(
    "--budget",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.1,
    show_default=True,
    metavar="0..1",
    help="At most this share of a worker's time; records beyond that are left out.",
)
@click.option("--end", is_flag=True, help="Let no version score beside; what it has predicted stays.")
@timeout_option
@json_option
@grid_options
def shadow(
    deployment: str,
    version: str | None,
    budget: float,
    end: bool,
    timeout_s: float,
    as_json: bool,
    address: str | None,
    cluster_name: str | None,
) -> None:
    """Have a version score the records of DEPLOYMENT too, into a map of its own, never published.

    `status` says how many it has scored, `models compare` how it differs.
    """
    if end is bool(version):
        raise click.UsageError("name a MODEL@VERSION, or --end the one that there is")
    with connected(address, cluster_name) as grid:
        if version:
            done = grid.shadow(deployment, version, budget=budget, timeout_s=timeout_s)
        else:
            done = grid.end_shadow(deployment)
    config, challenger = done.config, done.shadow
    if as_json:
        said = {"version": str(challenger.version), "budget": challenger.budget} if challenger else None
        write_json({"deployment": config.name, "predictions": config.shadow_predictions, "shadow": said})
    elif challenger:
        sys.stdout.write(f"{challenger.version} is a shadow of {config.name}, in {config.shadow_predictions}\n")
    else:
        sys.stdout.write(f"{config.name} has no shadow; what it predicted stands in {config.shadow_predictions}\n")

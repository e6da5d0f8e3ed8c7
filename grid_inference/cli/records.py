"""`get` and `watch`: single records and predictions, for looking at."""

from __future__ import annotations

import sys
from datetime import datetime
from typing import Any

import click

from grid_inference.cli.common import (
    connected,
    examples,
    grid_options,
    json_option,
    key_of,
    key_type_option,
    plain,
    write_json,
)
from grid_inference.cli.ending import INCOMPLETE, Ending
from grid_inference.client import Grid
from grid_inference.records import Prediction

__all__ = ["get", "watch"]


@click.command(epilog=examples("grid-inference get payments 4711", "grid-inference get fraud 4711"))
@click.argument("name", metavar="MAP|DEPLOYMENT")
@click.argument("key")
@key_type_option
@json_option
@grid_options
def get(
    name: str, key: str, key_type: str | None, as_json: bool, address: str | None, cluster_name: str | None
) -> None:
    """Show one record of a map, or a deployment's prediction."""
    wanted = key_of(key, key_type)
    with connected(address, cluster_name) as grid:
        found = _found(grid, name, wanted)
    if found is None:
        raise Ending(INCOMPLETE, f"{name} has nothing under the key {key}", "another --key-type, perhaps?")
    if as_json:
        write_json(found)
        return
    values: dict[str, Any] = plain(found)
    width = max((len(field) for field in values), default=0)
    for field, value in values.items():
        sys.stdout.write(f"{field:<{width}}  {'-' if value is None else value}\n")


def _found(grid: Grid, name: str, key: Any) -> Any:
    if name in grid.deployments():
        return grid.predictions(name).get(key)
    return grid.features(name).get(key)


@click.command(epilog=examples('grid-inference watch fraud --where "score >= 0.9"'))
@click.argument("name", metavar="DEPLOYMENT")
@click.option("--where", metavar="FILTER", help="Only what matches, in Hazelcast's SQL-predicate syntax.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="End after so many.")
@json_option
@grid_options
def watch(
    name: str, where: str | None, limit: int | None, as_json: bool, address: str | None, cluster_name: str | None
) -> None:
    """Print new predictions as they come, until Ctrl-C."""
    with connected(address, cluster_name) as grid, grid.predictions(name).subscribe(where) as subscription:
        if not as_json:
            sys.stderr.write(f"watching {name}; Ctrl-C ends it\n")
        for count, prediction in enumerate(subscription, 1):
            if as_json:
                write_json(prediction)
            else:
                _say(prediction)
            if count == limit:
                return


def _say(prediction: Prediction) -> None:
    moment = datetime.fromtimestamp(prediction.scored_at_us / 1e6).astimezone().strftime("%H:%M:%S.%f")[:-3]
    label = "" if prediction.label is None else f"  {prediction.label}"
    version = f"{prediction.model} version {prediction.version}"
    sys.stdout.write(f"{moment}  {prediction.key!s:<20}  {prediction.score:.6f}{label}  {version}\n")
    sys.stdout.flush()

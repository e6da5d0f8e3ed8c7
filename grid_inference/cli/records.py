"""`get` and `watch`: single records and predictions, for looking at."""

from __future__ import annotations

import sys
from contextlib import suppress
from datetime import datetime
from typing import Any

import click

from grid_inference.api.client import Grid
from grid_inference.cli.common import (
    connected,
    examples,
    grid_options,
    json_option,
    key_of,
    key_type_option,
    meant,
    plain,
    write_json,
)
from grid_inference.cli.ending import INCOMPLETE, Ending
from grid_inference.config import DeploymentConfig
from grid_inference.errors import DecodeError
from grid_inference.records import Prediction

__all__ = ["get", "watch"]

OTHER_KEY = "another --key-type, perhaps?"
MAPS_SHOWN_MAX = 20


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
            raise Ending(INCOMPLETE, *_nothing(grid, name, wanted, key))
    if as_json:
        write_json(found)
        return
    values: dict[str, Any] = plain(found)
    width = max((len(field) for field in values), default=0)
    for field, value in values.items():
        sys.stdout.write(f"{field:<{width}}  {'-' if value is None else value}\n")


def _nothing(grid: Grid, name: str, key: Any, text: str) -> tuple[str, str]:
    """Why there is nothing to be shown, and what to do."""
    if deployed := grid.deployments().get(name):
        return _unscored(grid, deployed.config, deployed.state, key, text)
    maps = grid.maps()
    if name in maps:
        return f"{name} has nothing under the key {text}", OTHER_KEY
    shown = ", ".join(maps[:MAPS_SHOWN_MAX]) + (", …" if len(maps) > MAPS_SHOWN_MAX else "")
    return f"there is no map and no deployment {name!r}{meant(name, maps)}", f"there are: {shown or 'none'}"


def _unscored(grid: Grid, config: DeploymentConfig, state: str, key: Any, text: str) -> tuple[str, str]:
    """Why a deployment has no prediction of a key, and what to do."""
    letter = grid.predictions(config.name).dead_letters.get(key)
    if letter is not None:
        said = f"{config.name} has refused the record {text}: {letter.cause}: {letter.message}"
        return said, f"`grid-inference dead-letters show {config.name} {text}` says what to do"
    with suppress(DecodeError):  # then there is one
        if grid.features(config.features).get(key) is None:
            return f"{config.features} has no record under the key {text}", OTHER_KEY
    said = f"the record {text} of {config.features} is not scored yet"
    if state != "running":
        return f"{said}: {config.name} is {state}", f"`grid-inference resume {config.name}`"
    if not grid.status().workers:
        return f"{said}: no worker runs", "start `grid-inference worker` or `grid-inference node`"
    older = ', and with start = "new" what was put before the deploy never is' if config.start == "new" else ""
    return f"{said}{older}", f"`grid-inference status {config.name}` shows the lag"


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
    several = prediction.scores if prediction.label is None else None  # of a regressor each is a value
    shown = ", ".join(f"{value:.6f}" for value in several or (prediction.score,))
    sys.stdout.write(f"{moment}  {prediction.key!s:<20}  {shown}{label}  {version}\n")
    sys.stdout.flush()

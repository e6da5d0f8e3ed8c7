"""`deploy` and what is done to a deployment afterwards."""

from __future__ import annotations

import dataclasses
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from grid_inference.cli.common import (
    EXPIRY_ACCEPTED,
    connected,
    console,
    examples,
    grid_options,
    json_option,
    meant,
    say_differences,
    say_failures,
    saying_warnings,
    table,
    timeout_option,
    write_json,
)
from grid_inference.cli.ending import REFUSED, USAGE, Ending
from grid_inference.cli.sample import rows_of, sample_options
from grid_inference.config import DeploymentConfig
from grid_inference.errors import DeploymentError
from grid_inference.model.store.registry import Deployed

__all__ = ["deploy", "deployments", "pause", "resume", "undeploy"]


@click.command(
    epilog=examples(
        "grid-inference deploy fraud --features payments --model fraud.joblib",
        "grid-inference deploy fraud --features payments --model fraud@champion",
        "grid-inference deploy models/fraud/deployment.toml",
    )
)
@click.argument("name", metavar="NAME|FILE.toml")
@click.option("--features", metavar="MAP", help="The map that holds the records.")
@click.option("--model", metavar="PATH|MODEL@ALIAS", help="A model's file, module:function, or a published model.")
@click.option("--columns", metavar="A,B,C", help="The record's fields in the model's order, if it knows no names.")
@click.option("--classes", metavar="A,B", help="A classifier's classes in order, if it doesn't know them.")
@click.option("--score-of", metavar="CLASS", help="The class whose probability is the score.")
@sample_options
@click.option(
    "--start", type=click.Choice(["existing", "new"]), help="Score what is there already, or only what comes."
)
@click.option("--trigger", type=click.Choice(["journal", "listener"]), help="How a worker learns of a new record.")
@click.option("--reconcile-s", type=float, metavar="SECONDS", help="How often a listener's map is scanned again.")
@click.option("--on-remove", type=click.Choice(["remove", "keep"]), help="A removed record's prediction.")
@click.option("--nan", type=click.Choice(["score", "dead-letter"]), help="What to do with a NaN or null feature.")
@click.option("--accept-expiry", is_flag=True, default=None, help="Accept a map whose records go by themselves.")
@click.option("--topic", metavar="NAME", help="The topic for predictions. [default: NAME.predictions]")
@click.option("--topic-kind", type=click.Choice(["topic", "reliable", "none"]))
@click.option("--where", metavar="FILTER", help="Publish only what matches, e.g. 'score >= 0.9'.")
@click.option(
    "--replace-features", is_flag=True, help="Move NAME to another feature map: results of the first one's records go."
)
@timeout_option
@json_option
@grid_options
def deploy(name: str, as_json: bool, address: str | None, cluster_name: str | None, **options: Any) -> None:
    """Put a fitted model to work on a feature map; again makes the next version.

    Every worker loads it first: if one can't, nothing changes. Options go over what a deployment file says.
    """
    path, texts = options.pop("sample"), options.pop("texts")
    how = {key: options.pop(key) for key in ("replace_features", "timeout_s")}
    config = _config_of(name, options)
    if config.model is None:
        raise Ending(USAGE, "no model is given", "add --model with a file of a fitted estimator, or MODEL@ALIAS")
    with connected(address, cluster_name) as grid, saying_warnings():
        maps = grid.maps()
        try:
            deployed = grid.deploy(config, sample=rows_of(path, texts), **how)
            found = grid.differences(config.name)
        except DeploymentError as error:
            raise Ending(REFUSED, str(error), error.remedy) from None
    if as_json:
        new = config.features not in maps
        write_json(deployed.to_mapping() | {"differences": found, "features_are_new": new})
        return
    sys.stdout.write(
        f"{config.name} version {deployed.version}: {deployed.manifest.class_name} on {config.features}, "
        f"predictions in {config.predictions}\n"
    )
    if config.features not in maps:
        near = meant(config.features, maps)
        sys.stdout.write(f"there is no map {config.features!r} yet: its first record is waited for{near}\n")
    say_differences(found)


def _config_of(name: str, options: dict[str, Any]) -> DeploymentConfig:
    topic: dict[str, Any] = {
        "name": options.pop("topic"),
        "kind": options.pop("topic_kind"),
        "where": options.pop("where"),
    }
    topic = {key: value for key, value in topic.items() if value is not None}
    given = {key: value for key, value in options.items() if value is not None}
    for option in ("columns", "classes"):
        if option in given:
            given[option] = [name.strip() for name in given[option].split(",") if name.strip()]
    if name.endswith(".toml") or Path(name).is_file():
        config = DeploymentConfig.from_toml(name)
        plain = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
        if topic:
            plain["topic"] = dataclasses.replace(config.topic, **topic)
        return config.replace(**plain)
    if "features" not in given:
        raise Ending(USAGE, "no feature map is given", "add --features MAP, or name a deployment file (.toml)")
    return DeploymentConfig.from_mapping({"name": name, **given, **({"topic": topic} if topic else {})})


def _change(action: str, done: str, description: str) -> click.Command:
    """A command that changes the state of one deployment."""

    @click.command(action, help=description, epilog=examples(f"grid-inference {action} fraud"))
    @click.argument("name")
    @json_option
    @grid_options
    def command(name: str, as_json: bool, address: str | None, cluster_name: str | None) -> None:
        with connected(address, cluster_name) as grid:
            deployed: Deployed = getattr(grid, action)(name)
        if as_json:
            write_json(deployed.to_mapping())
        else:
            sys.stdout.write(f"{name} {done}\n")

    return command


@click.command(epilog=examples("grid-inference undeploy fraud", "grid-inference undeploy fraud --forget"))
@click.argument("name")
@click.option("--forget", is_flag=True, help="Destroy its predictions, dead letters and positions as well.")
@json_option
@grid_options
def undeploy(name: str, forget: bool, as_json: bool, address: str | None, cluster_name: str | None) -> None:
    """Stop a deployment for good; its predictions stay where they are, unless --forget is given.

    The feature map stays in any case, and so do maps that its deployment file names.
    """
    with connected(address, cluster_name) as grid:
        deployed = grid.undeploy(name, forget=forget)
    if as_json:
        write_json(deployed.to_mapping())
    else:
        sys.stdout.write(f"{name} is undeployed; its predictions {'are gone' if forget else 'stay'}\n")


pause = _change("pause", "is paused", "Stop scoring until `resume`; nothing is lost meanwhile.")
resume = _change("resume", "is running", "Go on scoring, with what has come meanwhile.")


@click.command(epilog=examples("grid-inference deployments"))
@json_option
@grid_options
def deployments(as_json: bool, address: str | None, cluster_name: str | None) -> None:
    """List the deployments."""
    with connected(address, cluster_name) as grid:
        found, failures = grid.deployments(), grid.failures()
    if as_json:
        write_json([one.to_mapping() | {"failures": failures.get(name, [])} for name, one in found.items()])
        return
    if not found:
        sys.stdout.write("there are no deployments; `grid-inference deploy --help` shows how to make one\n")
        return
    rows = table("deployment", "state", "model", "class", "features", "predictions", "topic", "since")
    for name, one in found.items():
        topic = "none" if one.config.topic.kind == "none" else str(one.config.topic.name)
        since = datetime.fromtimestamp(one.deployed_at_us / 1e6).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        model = f"{one.model}@{one.version} {one.alias}".strip()
        maps = one.config.features, one.config.predictions
        rows.add_row(name, one.state, model, one.manifest.class_name.rpartition(".")[2], *maps, topic, since)
    out = console()
    out.print(rows)
    for name, one in found.items():
        if one.config.accept_expiry:
            out.print(f"{name}: {EXPIRY_ACCEPTED}", markup=False)
        say_failures(name, failures.get(name, []))

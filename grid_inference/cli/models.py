"""`models`: what is published in the grid, which version an alias names, and the key that signs."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from grid_inference.cli.common import (
    connected,
    console,
    examples,
    grid_options,
    json_option,
    say_differences,
    saying_warnings,
    table,
    timeout_option,
    write_json,
)
from grid_inference.cli.comparison import compare
from grid_inference.cli.drift import drift
from grid_inference.cli.ending import INCOMPLETE
from grid_inference.cli.keys import keygen
from grid_inference.cli.sample import rows_of, sample_options
from grid_inference.cli.shadow import shadow
from grid_inference.config import CHAMPION

if TYPE_CHECKING:
    from grid_inference.model.engines.report import Report
    from grid_inference.model.inputs.difference import Difference
    from grid_inference.model.store.published import Model
    from grid_inference.versions.promotion import Promotion

__all__ = ["models"]

alias_option = click.option("--alias", default=CHAMPION, show_default=True, metavar="NAME", help="Which alias moves.")


@click.group("models", epilog=examples("grid-inference models list", "grid-inference models promote fraud 4"))
def models() -> None:
    """Publish, compare, promote and roll back models: what is known of them in the grid."""


models.add_command(compare)
models.add_command(drift)
models.add_command(keygen)
models.add_command(shadow)


@models.command("publish", epilog=examples("grid-inference models publish fraud fraud.skops"))
@click.argument("name")
@click.argument("path", metavar="PATH|MODULE:FUNCTION")
@click.option("--columns", metavar="A,B,C", help="The record's fields in the model's order, if it knows no names.")
@click.option("--classes", metavar="A,B", help="A classifier's classes in order, if it doesn't know them.")
@sample_options
@click.option("--compile", is_flag=True, help="Translate it to ONNX too, where that says the same and is faster.")
@json_option
@grid_options
def publish(
    name: str,
    path: str,
    columns: str | None,
    classes: str | None,
    sample: str | None,
    texts: tuple[str, ...],
    compile: bool,  # noqa: A002
    as_json: bool,
    address: str | None,
    cluster_name: str | None,
) -> None:
    """Store a model's file as the next version of NAME; nothing scores by it yet.

    Files of skops, joblib, XGBoost, LightGBM and ONNX, folders of MLflow, and Python functions by their name.
    """
    with connected(address, cluster_name) as grid:
        version = grid.publish(
            path,
            name=name,
            columns=_split(columns),
            sample=rows_of(sample, texts),
            classes=_split(classes),
            compile=compile,
        )
    if as_json:
        write_json(version.to_mapping())
        return
    sys.stdout.write(
        f"{version}: {version.manifest.class_name}, {version.manifest.size:,} bytes\n"
        f"  grid-inference models promote {name} {version.version}\n"
    )
    if version.compiled:
        _say_compiled(version.compiled)


@models.command("list", epilog=examples("grid-inference models list"))
@json_option
@grid_options
def list_(as_json: bool, address: str | None, cluster_name: str | None) -> None:
    """List the models, their newest version and what their aliases name."""
    with connected(address, cluster_name) as grid:
        found = grid.models()
    if as_json:
        write_json([model.to_mapping() for model in found.values()])
    elif not found:
        sys.stdout.write("there are no models; `grid-inference models publish --help` shows how to make one\n")
    else:
        rows = table("model", "latest", "aliases", right=("latest",))
        for name, model in found.items():
            aliases = ", ".join(f"{alias} {history[-1]}" for alias, history in sorted(model.aliases.items()))
            rows.add_row(name, str(model.latest), aliases)
        console().print(rows)


@models.command("show", epilog=examples("grid-inference models show fraud"))
@click.argument("name")
@json_option
@grid_options
def show(name: str, as_json: bool, address: str | None, cluster_name: str | None) -> None:
    """Show a model's versions, the newest first: what they take and give, who published them, who signed."""
    with connected(address, cluster_name) as grid:
        versions = grid.model_versions(name)
        model = grid.models()[name]
    if as_json:
        write_json(model.to_mapping() | {"versions": [one.to_mapping() for one in versions]})
        return
    aliases = _by_version(model)
    rows = table("version", "aliases", "class", "inputs", "gives", "sample", "published", "by", right=("version",))
    for one in versions:
        signature, manifest = one.signature, one.manifest
        gives = ", ".join(signature.classes) if signature.classes else signature.task
        sample = f"{len(one.expected.score)} rows" if one.expected else "none"
        since = datetime.fromtimestamp(one.published_us / 1e6).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        facts = manifest.class_name, str(signature.inputs_count), gives, sample, since, one.published_by
        rows.add_row(str(one.version), ", ".join(aliases[one.version]), *facts)
    console().print(rows)


@models.command("promote", epilog=examples("grid-inference models promote fraud 4"))
@click.argument("name")
@click.argument("version", type=int)
@alias_option
@click.option(
    "--share",
    type=click.FloatRange(0, 1),
    default=1.0,
    metavar="0..1",
    help="Score only this share of the keys by it, always the same ones; 0 ends that.",
)
@timeout_option
@json_option
@grid_options
def promote(
    name: str,
    version: int,
    alias: str,
    share: float,
    timeout_s: float,
    as_json: bool,
    address: str | None,
    cluster_name: str | None,
) -> None:
    """Have an alias name VERSION; deployments that follow it score by that, without a pause.

    Every worker loads the version beside the one at work and checks its sample. If one can't, nothing changes.
    """
    with connected(address, cluster_name) as grid, saying_warnings():
        done = grid.promote(name, version, alias=alias, share=share, timeout_s=timeout_s)
        _say(done, {each: grid.differences(each) for each in done.deployments}, as_json=as_json)


@models.command("rollback", epilog=examples("grid-inference models rollback fraud"))
@click.argument("name")
@alias_option
@timeout_option
@json_option
@grid_options
def rollback(
    name: str, alias: str, timeout_s: float, as_json: bool, address: str | None, cluster_name: str | None
) -> None:
    """Have an alias name the version that it named before, as `promote` does."""
    with connected(address, cluster_name) as grid, saying_warnings():
        done = grid.rollback(name, alias=alias, timeout_s=timeout_s)
        _say(done, {each: grid.differences(each) for each in done.deployments}, as_json=as_json)


@models.command("sync", epilog=examples("grid-inference models sync models"))
@click.argument("folder", type=click.Path(file_okay=False))
@json_option
@grid_options
def sync(folder: str, as_json: bool, address: str | None, cluster_name: str | None) -> int:
    """Have every version in the grid and in FOLDER: keep new ones, bring back what a restarted grid has lost.

    Exit code 1 if a version could not be copied.
    """
    with connected(address, cluster_name) as grid:
        done = grid.sync_models(folder)
    if as_json:
        write_json({"to_folder": done.to_folder, "to_grid": done.to_grid, "failures": done.failures})
        return INCOMPLETE if done.failures else 0
    for name in done.to_folder:
        sys.stdout.write(f"{name} → {folder}\n")
    for name in done.to_grid:
        sys.stdout.write(f"{name} → grid\n")
    for name, reason in done.failures.items():
        click.echo(f"{name} is not copied: {reason}", err=True)
    if not (done.to_folder or done.to_grid or done.failures):
        sys.stdout.write("both have the same versions\n")
    return INCOMPLETE if done.failures else 0


@models.command("delete", epilog=examples("grid-inference models delete fraud 2"))
@click.argument("name")
@click.argument("version", type=int)
@json_option
@grid_options
def delete(name: str, version: int, as_json: bool, address: str | None, cluster_name: str | None) -> None:
    """Remove a version for good, if no alias names it and no deployment scores by it."""
    with connected(address, cluster_name) as grid:
        grid.delete_version(name, version)
    if as_json:
        write_json({"model": name, "version": version})
    else:
        sys.stdout.write(f"{name}@{version} is deleted\n")


def _say_compiled(report: Report) -> None:
    if report.difference is not None:
        sys.stdout.write(
            f"ONNX: scores of {report.rows:,} rows differ by {report.difference:.1e} at most "
            f"(tolerance {report.tolerance:.0e}), labels are equal\n"
        )
    if report.reason:
        sys.stdout.write(f"not used: {report.reason}\n")
    if not report.model_us:
        return
    rows = table("rows", "model us", "ONNX us", "speed-up", "used", right=("rows", "model us", "ONNX us", "speed-up"))
    for size, model_us in report.model_us.items():
        onnx_us = report.onnx_us[size]
        used = "ONNX" if int(size) in report.used else "model"
        rows.add_row(f"{int(size):,}", f"{model_us:,.0f}", f"{onnx_us:,.0f}", f"{model_us / onnx_us:.1f} x", used)
    console().print(rows)


def _split(names: str | None) -> list[str] | None:
    return [name.strip() for name in names.split(",") if name.strip()] if names else None


def _say(done: Promotion, found: Mapping[str, list[Difference]], *, as_json: bool) -> None:
    if as_json:
        said: dict[str, Any] = {"model": done.model, "alias": done.alias, "version": done.version, "share": done.share}
        write_json(said | {"deployments": list(done.deployments), "differences": found})
        return
    names = ", ".join(done.deployments) or "no deployment follows it"
    if done.share < 1:
        what = f"scores {done.share:.0%} of the keys" if done.share else "is no canary any more"
        sys.stdout.write(f"version {done.version} of {done.model} {what}: {names}\n")
    else:
        sys.stdout.write(f"{done.model}@{done.alias} is version {done.version}: {names}\n")
    for name, each in found.items():
        if each:
            sys.stdout.write(f"{name}:\n")
            say_differences(each)


def _by_version(model: Model) -> dict[int, list[str]]:
    found = defaultdict[int, list[str]](list)
    for alias, history in sorted(model.aliases.items()):
        found[history[-1]].append(alias)
    return found

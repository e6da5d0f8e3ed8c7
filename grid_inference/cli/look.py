"""`status` and `verify`: how the grid is doing, and the proof of it."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict

import click

from grid_inference.cli.common import (
    EXPIRY_ACCEPTED,
    connected,
    console,
    examples,
    grid_options,
    json_option,
    say_failures,
    table,
    wait_option,
    write_json,
)
from grid_inference.cli.ending import INCOMPLETE
from grid_inference.observe.proof import PartitionProof
from grid_inference.observe.status import DeploymentStatus, Status
from grid_inference.observe.verify import Verdict

__all__ = ["status", "verify"]


@click.command(epilog=examples("grid-inference status", "grid-inference status fraud"))
@click.argument("name", metavar="[DEPLOYMENT]", required=False)
@json_option
@grid_options
def status(name: str | None, as_json: bool, address: str | None, cluster_name: str | None) -> None:
    """Show members, workers and deployments; of one deployment its gaps and each partition.

    `lag` counts the changes that are not scored yet, `declared` and `unexplained` what scans have repaired; `proven`
    says since when every partition was compared as a whole.
    """
    with connected(address, cluster_name) as grid:
        proof = grid.proof(name) if name else []
        found = grid.status()
    one = next((one for one in found.deployments if one.name == name), None)
    if one and as_json:
        write_json({**asdict(one), "partitions": proof})
    elif one:
        _say_deployments([one])
        _say_proof(one, proof)
    elif as_json:
        write_json(found.to_mapping())
    else:
        _say_status(found)


def _say_status(found: Status) -> None:
    out = console()
    out.print(
        f"{_many(len(found.cluster_members), 'member')}: {', '.join(sorted(found.cluster_members.values()))}",
        markup=False,
    )
    out.print(f"{_many(found.partitions, 'partition')}, {_many(len(found.workers), 'worker')}")
    if not found.workers:
        out.print("[yellow]nobody scores: start `grid-inference worker` or `grid-inference node`[/]")
    if not found.deployments:
        out.print("no deployments yet: `grid-inference deploy --help`")
        return
    out.print()
    _say_deployments(found.deployments)


def _say_deployments(deployments: Sequence[DeploymentStatus]) -> None:
    out = console()
    numbers = ("lag", "owned", "predictions", "dead letters", "declared", "unexplained", "proven")
    rows = table("deployment", "state", "model", "trigger", *numbers, right=numbers)
    for one in deployments:
        declared = sum(one.repairs.values()) - one.unexplained
        proven = "-" if one.proven_age_s is None else f"{one.proven_age_s:,.0f} s ago"
        lag = "?" if one.lag is None else f"{one.lag:,}"
        counts = (one.predictions, one.dead_letters, declared, one.unexplained)
        rows.add_row(
            one.name,
            one.state,
            _versions(one),
            one.trigger,
            lag,
            str(one.owned),
            *(f"{count:,}" for count in counts),
            proven,
        )
    out.print(rows)
    for one in deployments:
        if one.trigger == "listener":
            out.print(f"{one.name}: {one.promise}", markup=False)
        if one.accepts_expiry:
            out.print(f"{one.name}: {EXPIRY_ACCEPTED}", markup=False)
        if shadow := one.shadow:
            counted = f"{shadow['scored']:,} scored, {shadow['skipped']:,} left out"
            refused = f", {sum(shadow['refused'].values()):,} refused" if shadow["refused"] else ""
            out.print(f"{one.name}: shadow {shadow['model']}@{shadow['version']}: {counted}{refused}", markup=False)
            for failure in shadow["failures"]:
                out.print(f"{one.name}: shadow not scored: {failure}", markup=False)
        say_failures(one.name, one.failures)


def _versions(one: DeploymentStatus) -> str:
    """What scores, and what scores a share or beside."""
    names = [f"{one.model}@{one.version} {one.alias}".strip()]
    if one.candidate and one.share:
        names.append(f"{one.model}@{one.candidate} canary {one.share:.0%}")
    if one.shadow:
        names.append(f"{one.shadow['model']}@{one.shadow['version']} shadow")
    return ", ".join(names)


def _say_proof(one: DeploymentStatus, proof: list[PartitionProof]) -> None:
    out = console()
    gaps = table("cause", "gaps", "repaired", right=("gaps", "repaired"))
    for cause in sorted(one.gaps.keys() | one.repairs.keys()):
        gaps.add_row(cause, f"{one.gaps.get(cause, 0):,}", f"{one.repairs.get(cause, 0):,}")
    out.print()
    out.print(gaps if gaps.rows else f"{one.name}: no gaps, no repairs")
    numbers = ("partition", "epoch", "scored through", "lag", "proven")
    rows = table("partition", "member", "worker", *numbers[1:], right=numbers)
    now_s = time.time()
    for each in proof:
        age = f"{max(0.0, now_s - each.proven_at_us / 1e6):,.0f} s ago" if each.proven_at_us else "-"
        through = "-" if each.sequence is None else f"{each.sequence:,}"
        lag = "?" if each.lag is None else f"{each.lag:,}"
        rows.add_row(str(each.partition), each.member, each.worker or "nobody", str(each.epoch), through, lag, age)
    out.print()
    out.print(rows)


def _many(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"


@click.command(epilog=examples("grid-inference verify fraud"))
@click.argument("name", metavar="DEPLOYMENT")
@wait_option("Time for what is under way.")
@json_option
@grid_options
def verify(name: str, wait_s: float, as_json: bool, address: str | None, cluster_name: str | None) -> int:
    """Prove by a scan that every record has its prediction or dead letter.

    Exit code 1 unless each record has just one result, of its value, by what is deployed, and no result is an orphan.
    """
    with connected(address, cluster_name) as grid:
        verdict = grid.verify(name, wait_s)
        failures = grid.failures().get(name, [])
    if as_json:
        write_json(verdict.to_mapping() | {"failures": failures})
    else:
        _say_verdict(verdict)
        say_failures(name, failures)
    return 0 if verdict.complete else INCOMPLETE


def _say_verdict(verdict: Verdict) -> None:
    word = "[green]complete[/]" if verdict.complete else "[red]not complete[/]"
    compared = f"{word}, {verdict.records:,} records compared in {verdict.seconds:.1f} s"
    if verdict.complete and not verdict.records:
        compared = "[yellow]nothing was compared[/], as its feature map has no record"
    console().print(f"{verdict.deployment}: {compared}")
    explained = {
        "predictions": "",
        "dead_letters": "refused records",
        "missing": "records without a prediction",
        "stale": "predictions of an older record",
        "outdated": "results of another model, version or deploy",
        "doubles": "records with a prediction and a dead letter",
        "orphans": "results without a record",
        "in_flight": "were under way at the first look",
    }
    explained |= {"older": "from before the deploy, without a result"} if verdict.older else {}
    explained |= {"unreadable": "neither Compact nor JSON, refused"} if verdict.unreadable else {}
    for field, meaning in explained.items():
        examples = ", ".join(verdict.examples.get(field, ()))
        shown = f"  e.g. {examples}" if examples else ""
        sys.stdout.write(
            f"  {field.replace('_', ' '):<13}{getattr(verdict, field):>12,}  {meaning}{shown}".rstrip() + "\n"
        )

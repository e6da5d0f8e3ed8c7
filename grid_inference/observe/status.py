"""Status: what the workers say of themselves, added up per deployment, with the lag read from the journals."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from grid_inference.config import DeploymentConfig
from grid_inference.errors import GridError
from grid_inference.grid.journals import Journals, journals, numbers
from grid_inference.grid.link import Link
from grid_inference.grid.liveness import live_workers
from grid_inference.model.store.registry import Deployed, Registry
from grid_inference.observe.proof import PartitionProof, proof

__all__ = ["DeploymentStatus", "Status", "failures", "status"]


SUMS = (
    *("owned", "scanning", "predictions", "dead_letters", "batches", "published"),
    *("unexplained", "superseded", "late_writes"),
)
"""Counters of each worker that are added up."""


@dataclass(slots=True)
class DeploymentStatus:
    """One deployment over all workers."""

    name: str
    model: str
    version: int
    state: str
    features: str
    trigger: str
    promise: str
    """What the trigger does about records that it misses."""
    accepts_expiry: bool = False
    """Whether it works on a map that may let records go by themselves."""
    owned: int = 0
    """Partitions that some worker scores."""
    lag: int | None = None
    """Journal events behind the stored positions; None if a partition has no position yet or no journal."""
    scanning: int = 0
    """Partitions that are being reconciled."""
    predictions: int = 0
    """Since the workers that live now started."""
    dead_letters: int = 0
    batches: int = 0
    published: int = 0
    gaps: dict[str, int] = field(default_factory=dict[str, int])
    repairs: dict[str, int] = field(default_factory=dict[str, int])
    """Records that a scan or a comparison has sent to be scored again, by its cause."""
    unexplained: int = 0
    """Those that no declared gap explains: a bug of ours, or somebody else's hand in the results."""
    superseded: int = 0
    """Events that were not scored because a newer one of their key had come meanwhile."""
    late_writes: int = 0
    """Batches that workers had written when their partition was, or may have been, somebody else's already."""
    proven_age_s: float | None = None
    """Since when every partition was compared as a whole, in seconds; None while one never was."""
    without_journal: list[int] = field(default_factory=list[int])
    """With the trigger `journal`: partitions whose changes no journal tells. `failures` say so, too."""
    failures: list[str] = field(default_factory=list[str])
    alias: str = ""
    """The model's alias whose version is at work; empty if the version is fixed."""
    candidate: int | None = None
    """The version that workers load beside, while a promotion is under way or it is a canary."""
    share: float = 0.0
    """Of all keys those that the candidate scores as a canary."""
    shadow: dict[str, Any] | None = None
    """The version that scores beside: `model`, `version`, `budget`, and over all workers how many records it has
    `scored`, `skipped` for want of time, and `refused` by cause; `failures` are why a worker lets it not."""
    versions: dict[str, int] = field(default_factory=dict[str, int])
    """Predictions by the version that made them, since the workers that live now started."""


@dataclass(slots=True)
class Status:
    """The grid as a whole."""

    cluster_members: dict[str, str]
    partitions: int
    workers: list[dict[str, Any]]
    deployments: list[DeploymentStatus]

    def to_mapping(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return asdict(self)


async def status(link: Link) -> Status:
    """Ask the grid how it is doing."""
    said = list((await live_workers(link)).values())
    deployments = [await _of(link, one, said) for one in (await Registry(link).deployments()).values()]
    return Status(link.members(), link.partition_count, [_worker(one) for one in said], deployments)


async def failures(link: Link) -> dict[str, list[str]]:
    """Why deployments do not run, by name: each worker's reason. Those that run everywhere are left out."""
    said, found = (await live_workers(link)).values(), dict[str, list[str]]()
    for name in await Registry(link).deployments():
        if reasons := [reason for worker in said if (reason := _failure(worker, name))]:
            found[name] = reasons
    return found


def _failure(worker: dict[str, Any], name: str) -> str:
    failure = worker["deployments"].get(name, {}).get("failure")
    return f"{worker['id']}: {failure}" if failure else ""


def _worker(said: dict[str, Any]) -> dict[str, Any]:
    """What is shown of a worker; `deployments` are those whose model it has loaded."""
    loaded = sorted(name for name, counts in said["deployments"].items() if not counts.get("failure"))
    facts = {key: said.get(key) for key in ("id", "host", "pid", "member", "started_at_us")}
    return facts | {"deployments": loaded}


def _shadow(deployed: Deployed, said: list[dict[str, Any]]) -> dict[str, Any] | None:
    """What a deployment's shadow did, over all workers."""
    challenger = deployed.shadow
    if challenger is None:
        return None
    version, totals, refused, failures = challenger.version, Counter[str](), Counter[str](), list[str]()
    for worker in said:
        counts = worker["deployments"].get(deployed.config.name, {}).get("shadow") or {}
        if (counts.get("model"), counts.get("version")) == (version.model, version.version):
            totals.update({name: counts.get(name, 0) for name in ("scored", "skipped")})
            refused.update(counts.get("refused", {}))
            failures += [f"{worker['id']}: {counts['failure']}"] if counts.get("failure") else []
    return {
        "model": version.model,
        "version": version.version,
        "budget": challenger.budget,
        "scored": totals["scored"],
        "skipped": totals["skipped"],
        "refused": dict(refused),
        "failures": failures,
    }


def promise_of(config: DeploymentConfig) -> str:
    """What an operator may rely on, by the deployment's trigger."""
    if config.trigger == "listener":
        return f"entry events may be lost: a scan makes them good within {config.reconcile_s:g} s"
    return "the journal shows what it has lost, and a scan makes it good at once"


async def _of(link: Link, deployed: Deployed, said: list[dict[str, Any]]) -> DeploymentStatus:
    config = deployed.config
    result = DeploymentStatus(
        config.name,
        deployed.model,
        deployed.version,
        deployed.state,
        config.features,
        config.trigger,
        promise_of(config),
        config.accept_expiry,
        alias=deployed.alias,
        candidate=deployed.candidate.version if deployed.candidate else None,
        share=deployed.share,
    )
    result.shadow = _shadow(deployed, said)
    gaps, repairs, versions = Counter[str](), Counter[str](), Counter[str]()
    for worker in said:
        counts = worker["deployments"].get(config.name)
        if counts is None:
            continue
        for name in SUMS:
            setattr(result, name, getattr(result, name) + counts.get(name, 0))
        gaps.update(counts.get("gaps", {}))
        repairs.update(counts.get("repairs", {}))
        versions.update(counts.get("versions", {}))
        if failure := _failure(worker, config.name):
            result.failures.append(failure)
    result.gaps, result.repairs, result.versions = dict(gaps), dict(repairs), dict(versions)
    partitions = await proof(link, deployed)
    found = await _journals(link, deployed, partitions)
    result.without_journal = found.missing if found else []
    if found and found.missing:
        late = "late or not at all" if found.silent else f"up to {config.reconcile_s:g} s late, by scans"
        result.failures.append(
            f"map {config.features!r} keeps no event journal in partitions {numbers(found.missing)}: "
            f"what is put there is scored {late}"
        )
    if all(one.lag is not None for one in partitions):
        result.lag = sum(one.lag or 0 for one in partitions)
    oldest_us = min((one.proven_at_us for one in partitions), default=0)
    result.proven_age_s = round(max(0.0, time.time() - oldest_us / 1e6), 1) if oldest_us else None
    return result


async def _journals(link: Link, deployed: Deployed, partitions: list[PartitionProof]) -> Journals | None:
    """What those partitions say whose journals hold nothing; None where none is read, and where members fail."""
    if deployed.config.trigger != "journal" or deployed.state != "running":
        return None
    empty = [one.partition for one in partitions if not one.journal_events]
    try:
        return await journals(link, deployed.config.features, empty)
    except GridError:
        return None

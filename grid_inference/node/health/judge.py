"""Whether a node is alive, and whether it can score: pure judgements of what is known of it."""

from __future__ import annotations

from dataclasses import dataclass

from grid_inference.node.health.look import Sample

__all__ = ["Known", "not_alive", "not_ready"]

STALE_S = 15.0
"""What was found is true no longer than this."""
SILENT_S_MAX = 60.0
"""Workers that run and say nothing for so long hang."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known at one moment."""

    now_s: float
    member: str | None
    """The own member's address; None where there is none."""
    member_runs: bool
    workers_wanted: int
    pids: list[int]
    """Of the worker processes that run."""
    heard_s: float
    """When one of them was last known to speak."""
    problem: str
    """Why the grid was not asked lately; empty if it was."""
    sample: Sample | None


def not_alive(known: Known) -> list[str]:
    """Why the process is to be started anew; nothing if it need not be."""
    reasons = ["the member has ended"] if known.member and not known.member_runs else []
    if not known.workers_wanted:
        return reasons
    if not known.pids:
        reasons.append("no worker runs")
    elif not known.problem and known.now_s > known.heard_s + SILENT_S_MAX:
        reasons.append(f"no worker has said anything for {SILENT_S_MAX:g} s")
    return reasons


def not_ready(known: Known) -> list[str]:
    """Why nothing can be scored here; nothing if all is as it should be."""
    reasons, sample = not_alive(known), known.sample
    if known.problem or sample is None:
        return [*reasons, known.problem]
    if known.now_s > sample.at_s + STALE_S:
        return [*reasons, f"the grid has not answered for {known.now_s - sample.at_s:.0f} s"]
    if known.member and known.member not in sample.status.cluster_members.values():
        reasons.append("the member is not in its cluster")
    own = {worker for worker, pid in sample.own.items() if pid in known.pids}  # none that has ended since
    if known.workers_wanted and known.pids and not own:
        reasons.append("no worker of ours has signed on, or all are silent")
    loaded = {name for worker in sample.status.workers if worker["id"] in own for name in worker["deployments"]}
    for one in sample.status.deployments:
        if one.state == "running" and own:
            failures = [said for said in one.failures if said.partition(": ")[0] in own]
            why = failures or ([] if one.name in loaded else ["its model is not loaded yet"])
            reasons += [f"deployment {one.name}: {said}" for said in why]
    return reasons

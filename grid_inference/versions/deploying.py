"""Putting a deployment to work only if every worker that lives can load its model; else what is at work stays.

It is proposed, loaded by the workers beside all that runs, and adopted when each of them has said so. Where no worker
is, nor comes up within seconds, nobody can say, which is a NoWorkersWarning.

What is proposed takes its maps: of two deploys at once that would write to one map each sees the other's proposal, or
one of them does.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from grid_inference.errors import DeploymentError, GridError, NoWorkersWarning
from grid_inference.grid.link import Link
from grid_inference.grid.liveness import Seen, looks, some_workers
from grid_inference.model.store.proposals import Proposal, Proposals
from grid_inference.model.store.registry import Deployed, Registry
from grid_inference.versions.claims import check_names

__all__ = ["loaded_everywhere"]

POLL_S = 0.02
WORKERS_SHOWN_MAX = 5
KEPT_S = 60.0
"""So long after its time a proposal stands at the most whose deployer has died."""


@asynccontextmanager
async def loaded_everywhere(
    link: Link, deployed: Deployed, before: Deployed | None, timeout_s: float
) -> AsyncGenerator[None]:
    """Have every worker load what is to be deployed, and keep it meanwhile; adopt it inside.

    Raises DeploymentError if one can't, or has not after `timeout_s` seconds, or if what others deploy at this moment
    has its maps. `before` is what is at work.
    """
    proposals, proposal = Proposals(link), Proposal(deployed, timeout_s + KEPT_S)
    await proposals.make(proposal)
    try:
        await _check_beside(link, proposals, deployed)
        seen = await some_workers(link)
        if seen.present:
            await _heard(link, proposals, proposal, before, timeout_s)
        else:
            _warn_without_workers(deployed, seen)
        yield
    finally:
        with suppress(GridError):  # it goes by itself
            await proposals.withdraw(proposal)


async def _check_beside(link: Link, proposals: Proposals, deployed: Deployed) -> None:
    """Hold a deployment's names against those of the others as they stand, and as they are proposed at this moment.

    Proposals are read first: what is adopted between the two looks stands among the deployments.
    """
    config, standing = deployed.config, await proposals.standing()
    proposed = {one.deployed.config.name: one.deployed for one in standing if one.deployed.config.name != config.name}
    every = await Registry(link).ever_deployed()
    check_names(config, every)
    check_names(config, every | proposed)


async def _heard(
    link: Link, proposals: Proposals, proposal: Proposal, before: Deployed | None, timeout_s: float
) -> None:
    """Wait until every worker that lives has answered; older ones know no proposals, and are not asked."""
    deployed, lived, missing = proposal.deployed, set[str](), list[str]()
    async for seen in looks(link, timeout_s, POLL_S):
        lived |= seen.living.keys()
        asked = [worker for worker, said in seen.present.items() if said.get("answers")]
        answers = await proposals.answers(proposal, asked)
        if failures := {worker: failure for worker, failure in answers.items() if failure}:
            raise DeploymentError(
                f"{deployed.model}@{deployed.version} can't be put to work in {deployed.config.name!r}: "
                f"{_by_reason(failures)}",
                remedy=_unchanged(before),
            )
        if not (seen.present or lived):
            return _warn_without_workers(deployed, seen)
        if not seen.present:
            raise DeploymentError(
                f"no worker is left that could load {deployed.model}@{deployed.version}: {_some(sorted(lived))} died "
                "meanwhile, perhaps of it",
                remedy=f"{_unchanged(before)}; their logs say more",
            )
        missing = [worker for worker in asked if worker not in answers]
        if not missing and (answers or seen.living):
            return None
        missing = missing or list(seen.present)
    raise DeploymentError(
        f"{deployed.model}@{deployed.version} is not loaded after {timeout_s:g} s by {_some(missing)}",
        remedy=f"{_unchanged(before)}; their logs say more, and more time may help",
    )


def _unchanged(before: Deployed | None) -> str:
    if before is None or before.state == "undeployed":
        return "nothing is deployed"
    at_work = "goes on scoring" if before.state == "running" else f"stays {before.state}"
    return f"nothing has changed: {before.model}@{before.version} {at_work}"


def _by_reason(failures: dict[str, str]) -> str:
    """Each reason once, with the workers that give it."""
    workers = defaultdict[str, list[str]](list)
    for worker, failure in sorted(failures.items()):
        workers[failure].append(worker)
    return "; ".join(f"{failure} ({_some(names)})" for failure, names in workers.items())


def _some(workers: list[str]) -> str:
    shown = ", ".join(sorted(workers)[:WORKERS_SHOWN_MAX])
    return shown + (f" and {len(workers) - WORKERS_SHOWN_MAX} more" if len(workers) > WORKERS_SHOWN_MAX else "")


def _warn_without_workers(deployed: Deployed, seen: Seen) -> None:
    """Say that nobody has loaded it; nobody could."""
    silent = f": nothing has been heard of {_some(list(seen.silent))} for a while" if seen.silent else ""
    warnings.warn(
        f"no worker runs{silent}. {deployed.model}@{deployed.version} is deployed as {deployed.config.name!r}, and "
        "whether it can be loaded is not known before one does: `grid-inference status` says so then",
        NoWorkersWarning,
        stacklevel=2,
    )

"""Having another version score beside the one at work: a shadow begins when every worker has it, and ends at once.

The deployment's entry names it with its budget; workers load it as they load a candidate, and say with their beats
what it does. Its map is emptied when another version begins, and left as it is when it ends, to be read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from grid_inference.errors import PromotionError
from grid_inference.grid.link import Link
from grid_inference.grid.liveness import looks
from grid_inference.grid.maps import GridMap
from grid_inference.model.store.published import ModelVersion
from grid_inference.model.store.registry import Challenger, Deployed, Registry
from grid_inference.records import PREDICTION
from grid_inference.versions.claims import check_results, check_shadow

__all__ = ["begin_shadow", "end_shadow"]

END_S_MAX = 10.0
"""How long is waited until workers say that they have ended it; they do so with their beats."""


async def begin_shadow(link: Link, name: str, version: ModelVersion, budget: float, timeout_s: float) -> Deployed:
    """Have a version, whose signature fits the records, score beside; another shadow's results are removed first.

    Raises PromotionError if a worker can't load it, or has not in time: then there is no shadow. DeploymentError if its
    map is one that a deployment works on.
    """
    registry = Registry(link)
    before = await registry.deployment(name)
    check_shadow(before.config, await registry.ever_deployed())
    if not _is_of(before, version):
        await end_shadow(link, name)
        await check_results(link, before.config.shadow_predictions, PREDICTION.type_name, name)
        await GridMap(link, before.config.shadow_predictions).clear()
    deployed = await registry.change(name, lambda one: replace(one, shadow=Challenger(version, budget)))
    if deployed.state != "running":
        return deployed  # workers have it when they run it again
    try:
        await _until(link, name, lambda said: _has(said, version, budget), timeout_s, f"{version} is not loaded")
    except BaseException:
        await registry.change(name, lambda one: _without(one, version))
        raise
    return deployed


async def end_shadow(link: Link, name: str) -> Deployed:
    """Have no version score beside; what it has said stands until another one begins."""
    deployed = await Registry(link).change(name, lambda one: replace(one, shadow=None))
    await _until(link, name, lambda said: not said.get("shadow"), END_S_MAX, "the shadow has not ended")
    return deployed


async def _until(link: Link, name: str, done: Callable[[dict[str, Any]], bool], timeout_s: float, problem: str) -> None:
    """Wait until a deployment's workers all say what is waited for; PromotionError names those that don't."""
    missing: list[str] = []
    async for seen in looks(link, timeout_s):
        said = {worker: one["deployments"].get(name, {}) for worker, one in seen.present.items()}
        missing = [worker for worker, counts in said.items() if not done(counts)]
        if not missing and (seen.living or done({})):
            return
    raise PromotionError(
        f"{problem} after {timeout_s:g} s by {', '.join(missing) or 'any worker: none runs'}",
        remedy="the records go on being scored; their logs say more, and more time may help",
    )


def _has(said: dict[str, Any], version: ModelVersion, budget: float) -> bool:
    """Whether a worker lets the version score beside; raise PromotionError if it says that it never can."""
    shadow = said.get("shadow")
    if not shadow or (shadow["model"], shadow["version"]) != (version.model, version.version):
        return False
    if "budget" not in shadow:
        raise PromotionError(
            f"{version} can't be loaded: {shadow['failure']}",
            remedy="there is no shadow, and the version at work goes on scoring",
        )
    return shadow["budget"] == budget


def _is_of(deployed: Deployed, version: ModelVersion) -> bool:
    return version.same_as(deployed.shadow and deployed.shadow.version)


def _without(deployed: Deployed, version: ModelVersion) -> Deployed:
    return replace(deployed, shadow=None) if _is_of(deployed, version) else deployed

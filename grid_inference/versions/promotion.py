"""Changing a model's version at work without a pause: prepare everywhere, then switch; or else change nothing.

The version becomes the candidate of each deployment that follows the alias; its workers load it beside the one that
scores, check its sample, and say so with their beats. When all have said so, the deployments' entries are switched,
which every worker sees at once, and says with its next beat. From before the first switch results of both versions
count everywhere. A candidate that is given a share of the keys in place of that is a canary.
"""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from grid_inference.config import DeploymentConfig
from grid_inference.errors import NoWorkersWarning, PromotionError
from grid_inference.grid.link import Link
from grid_inference.grid.liveness import looks, some_workers
from grid_inference.model.signature import Signature
from grid_inference.model.store.published import ModelVersion
from grid_inference.model.store.registry import Deployed, Registry

__all__ = ["Promotion", "end_canary", "promote"]

FOLLOW_S_MAX = 10.0
"""How long is waited until workers say that they have switched; they do so with their beats."""

Resolve = Callable[[Signature, DeploymentConfig], Awaitable[Signature]]
"""Holds a signature against a deployment's records."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """An alias that names a version now."""

    model: str
    alias: str
    version: int
    deployments: tuple[str, ...]
    """Those that score by it now, as they follow the alias."""
    share: float = 1.0
    """Of all keys those that it scores; below 1 the alias names the version before."""


async def promote(
    link: Link, version: ModelVersion, alias: str, resolve: Resolve, timeout_s: float, share: float = 1.0
) -> tuple[str, ...]:
    """Have all deployments that follow an alias score by a version, or a share of their keys; their names.

    Raises PromotionError if they can't: then nothing is changed.
    """
    registry = Registry(link)
    every = (await registry.deployments()).values()
    following = [one for one in every if (one.model, one.alias) == (version.model, alias)]
    candidates = {
        one.config.name: replace(version, signature=await resolve(version.signature, one.config)) for one in following
    }
    names, before = tuple(sorted(candidates)), {one.config.name: one for one in following}

    def prepared(now: Deployed) -> Deployed:
        """With the candidate, unless somebody has deployed another model there meanwhile."""
        same = (now.model, now.alias) == (version.model, alias)
        return now.prepared(candidates[now.config.name]) if same else now

    def changed(now: Deployed) -> Deployed:
        """Scored by it, or by it as a canary."""
        now = prepared(now)
        if not _is_candidate(now, version):
            return now
        return now.switched() if share >= 1 else replace(now, share=share)

    try:
        for name in names:
            await registry.change(name, prepared)
        await _prepared_everywhere(link, registry, names, version, timeout_s)
    except BaseException:
        for name in names:
            await registry.change(name, lambda now: _as_before(now, before[now.config.name], version))
        raise
    for name in names:
        await registry.change(name, changed)
    await _followed(link, names, version.version, share)
    return names


async def end_canary(link: Link, version: ModelVersion, alias: str) -> tuple[str, ...]:
    """Have the version at work score all keys of the deployments where this one is a canary; their names."""
    registry = Registry(link)
    every = (await registry.deployments()).values()
    names = [one.config.name for one in every if one.alias == alias and _is_candidate(one, version)]
    for name in names:
        await registry.change(name, lambda now: _without(now, version))
    await _followed(link, names, version.version, 0.0)
    return tuple(names)


async def _followed(link: Link, names: Sequence[str], version: int, share: float) -> None:
    """Wait until every worker says that it scores so; one that hangs is not waited for long."""
    async for seen in looks(link, FOLLOW_S_MAX):
        said = [one["deployments"] for one in seen.present.values()]
        if all(_scores(one[name], version, share) for one in said for name in names if name in one):
            return


def _scores(counts: dict[str, Any], version: int, share: float) -> bool:
    """Whether a worker scores this share of the keys by a version; one that scores by none has nothing to say."""
    if "version" not in counts:
        return not counts.get("failure")  # it has loaded this one: what could not be is replaced soon
    if counts.get("failure"):
        return True
    if share >= 1:
        return counts["version"] == version
    canary = counts.get("canary") or {"version": version, "share": 0.0}
    return canary == {"version": version, "share": share}


async def _prepared_everywhere(
    link: Link, registry: Registry, names: tuple[str, ...], version: ModelVersion, timeout_s: float
) -> None:
    """Wait until every live worker has the version, for each deployment that runs; there must be one to say so."""
    lived, missing = set[str](), list[str]()
    async for look in looks(link, timeout_s):
        now = await registry.deployments()
        running = [name for name in names if name in now and now[name].state == "running"]
        if others := [name for name in running if not _is_candidate(now[name], version)]:
            raise PromotionError(
                f"{version} is not the candidate of {', '.join(others)} any more: somebody else deploys or promotes",
                remedy="see what is at work by `grid-inference deployments`, and promote again",
            )
        if not running:
            return
        seen = look if look.present else await some_workers(link)
        lived |= seen.living.keys()
        missing = [
            f"{worker} for {name}"
            for worker, said in seen.present.items()
            for name in running
            if not _has(worker, name, said, version, now[name])
        ]
        if seen.living and not missing:
            return
        if not seen.present:
            _warn_or_refuse(version, lived | seen.silent.keys(), running)
            return
        missing = missing or list(seen.present)
    raise PromotionError(
        f"{version} is not loaded after {timeout_s:g} s by {', '.join(missing)}",
        remedy="nothing has changed; their logs say more, and more time may help",
    )


def _warn_or_refuse(version: ModelVersion, unheard: set[str], running: list[str]) -> None:
    """Nobody can load it now: refuse where workers should be there, and are not heard; warn where there are none."""
    if unheard:
        raise PromotionError(
            f"{version} can't be loaded by anybody: nothing is heard of the workers {', '.join(sorted(unheard))}",
            remedy="nothing has changed; start a worker, which sees to what is left of these, and promote again",
        )
    warnings.warn(
        f"no worker runs: whether {version} can be loaded for {', '.join(running)} is not known before one does",
        NoWorkersWarning,
        stacklevel=2,
    )


def _has(worker: str, name: str, said: dict[str, Any], version: ModelVersion, now: Deployed) -> bool:
    """Whether a worker can switch at once; raise PromotionError if it says that it never can."""
    counts = said["deployments"].get(name, {})
    if now.version == version.version and counts.get("version") == version.version:
        return True
    beside = said.get("beside", {}).get(name, {})
    if beside.get("version") != version.version:
        return False
    if beside["failure"]:
        raise PromotionError(
            f"{version} can't be loaded by {worker} for {name!r}: {beside['failure']}",
            remedy=f"nothing has changed: version {now.version} goes on scoring everywhere",
        )
    return True


def _is_candidate(now: Deployed, version: ModelVersion) -> bool:
    return version.same_as(now.candidate)


def _without(now: Deployed, version: ModelVersion) -> Deployed:
    return replace(now, candidate=None, share=0.0) if _is_candidate(now, version) else now


def _as_before(now: Deployed, before: Deployed, version: ModelVersion) -> Deployed:
    """With the canary that there was, unless somebody else has changed it meanwhile."""
    return replace(now, candidate=before.candidate, share=before.share) if _is_candidate(now, version) else now

"""What a deployment writes to is its own: a map or topic that is somebody else's is refused before anything is touched.

By name, against the deployments that there are; and by what lies in the maps: results of this very deployment, or
nothing. Configuration alone (`config.py`) refuses our internal maps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import aclosing

import numpy as np

from grid_inference.config import DeploymentConfig, default_results
from grid_inference.errors import DecodeError, DeploymentError
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap
from grid_inference.model.store.registry import Deployed
from grid_inference.records import DEAD_LETTER, PREDICTION
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import decode_columns, schema_ids
from grid_inference.wire.keys import key_text

__all__ = ["check_claims", "check_names", "check_results", "check_shadow"]

FIRST_ENTRIES = 64
"""So many entries are looked at first: a map of somebody else shows at once, however large its records are."""
SAMPLE_ENTRIES = 1024
"""So many entries are looked at of a map that the deployment has written to before; of any other map all."""
PAGE_ENTRIES = 256
"""So many entries of such a map are asked for at a time."""


async def check_claims(
    link: Link, config: DeploymentConfig, every: Mapping[str, Deployed], *, replace_features: bool
) -> None:
    """Raise DeploymentError for a map or topic that the deployment must not write to. `every` has ended ones too."""
    before = every.get(config.name)
    check_names(config, every)
    for sort, kind in (("predictions", PREDICTION.type_name), ("dead_letters", DEAD_LETTER.type_name)):
        name = getattr(config, sort)
        known = before is not None and getattr(before.config, sort) == name
        await check_results(link, name, kind, config.name, known=known)
    if before and not replace_features:
        await _check_moved(link, config, before.config)


def check_names(config: DeploymentConfig, every: Mapping[str, Deployed]) -> None:
    """Hold a deployment's names against those of the others that are at work or paused."""
    others = [one.config for name, one in every.items() if name != config.name and one.state != "undeployed"]
    before = every.get(config.name)
    own = before.config.results.values() if before else ()
    for other in others:
        for sort, name in config.results.items():
            _check_result(config, sort, name, other, known=name in own)
    _check_topic(config, others)
    if way := _way_back(config, others):
        raise DeploymentError(
            f"{config.name!r} would score its own results for ever: {' → '.join([config.features, *way])}",
            remedy="score another map; or leave predictions and dead_letters out",
        )


def check_shadow(config: DeploymentConfig, every: Mapping[str, Deployed]) -> None:
    """Refuse to empty a map for a shadow that a deployment works on; those of before this was checked may."""
    for other in every.values():
        taken = (other.config.predictions, other.config.dead_letters, other.config.features)
        if config.shadow_predictions in taken and other.state != "undeployed":
            raise DeploymentError(
                f"the map {config.shadow_predictions!r}, in which a shadow of {config.name!r} would write, is one of "
                f"{other.config.name!r}",
                remedy="deploy one of the two under another name, or on another map",
            )


def _is_default(config: DeploymentConfig, name: str) -> bool:
    """Whether a name is one that only this deployment has by default: who scores that map means its results."""
    return name in default_results(config.name).values()


def _check_result(config: DeploymentConfig, sort: str, name: str, other: DeploymentConfig, *, known: bool) -> None:
    for theirs, taken in other.results.items():
        if name == taken:
            raise DeploymentError(
                f"{sort} = {name!r} of {config.name!r} is the map of {other.name!r} for its {theirs}",
                remedy=f"give {sort} a map of its own, or leave it out; a shadow's map is named after its deployment",
            )
    if name == other.features and not (known or _is_default(config, name)):
        raise DeploymentError(
            f"{sort} = {name!r} of {config.name!r} is the feature map of {other.name!r}",
            remedy=f"give {sort} a map of its own; to have {other.name!r} score these results, deploy {config.name!r} "
            "first",
        )


def _check_topic(config: DeploymentConfig, others: Iterable[DeploymentConfig]) -> None:
    """Refuse a topic that is another deployment's own, or named like a map that holds something else.

    One that several deployments name is theirs together: each message tells whose it is.
    """
    topic = config.topic.name
    if config.topic.kind == "none" or topic is None:
        return
    taken = {
        config.features: f"feature map of {config.name!r}",
        config.dead_letters: f"map of {config.name!r} for its dead_letters",
    }
    for other in others:
        taken |= {name: f"map of {other.name!r} for its {sort}" for sort, name in other.results.items()}
        taken[other.features] = f"feature map of {other.name!r}"
        if other.topic.kind != "none" and other.topic.name == (default := default_results(other.name)["predictions"]):
            taken[default] = f"topic of {other.name!r}"
    if topic in taken and topic != config.predictions:
        raise DeploymentError(
            f"topic.name = {topic!r} of {config.name!r} is the {taken[topic]}",
            remedy="give the topic another name, or leave it out",
        )


def _way_back(config: DeploymentConfig, others: Iterable[DeploymentConfig]) -> list[str]:
    """Maps by which a result of this deployment becomes a record of its own feature map; empty if there is no way."""
    following = {other.features: list[str]() for other in others}
    for other in others:
        following[other.features] += other.results.values()
    waiting, seen = [[name] for name in config.results.values()], set[str]()
    while waiting:
        way = waiting.pop(0)
        if way[-1] == config.features:
            return way
        if way[-1] not in seen:
            seen.add(way[-1])
            waiting += [[*way, name] for name in following.get(way[-1], ())]
    return []


async def _check_moved(link: Link, config: DeploymentConfig, before: DeploymentConfig) -> None:
    """Refuse to have a name's results be those of another feature map, unless there are none."""
    if before.features == config.features:
        return
    kept = [name for name in (config.predictions, config.dead_letters) if name in before.results.values()]
    count = sum([await GridMap(link, name).size() for name in kept])
    if count:
        fate = "are removed as those of no record" if config.on_remove == "remove" else "stay among the new ones"
        raise DeploymentError(
            f"{config.name!r} has {count:,} results of the records in {before.features!r}: on {config.features!r} "
            f"they {fate}",
            remedy="deploy under another name, or say that this is meant: replace_features=True, --replace-features",
        )


async def check_results(link: Link, name: str, kind: str, deployment: str, *, known: bool = False) -> None:
    """Raise DeploymentError if a map holds anything but a deployment's results of a kind; a known one is sampled."""
    source = GridMap(link, name)
    for count in (FIRST_ENTRIES, *([SAMPLE_ENTRIES] if known else [])):
        await _check_page(link, name, kind, deployment, *await source.sample(count))
    if known:
        return
    async with aclosing(source.scan_all(PAGE_ENTRIES)) as pages:
        async for page in pages:
            await _check_page(link, name, kind, deployment, page.keys, page.values)


async def _check_page(link: Link, name: str, kind: str, deployment: str, keys: Blobs, values: Blobs) -> None:
    compact, ids = schema_ids(values)
    rows, what = np.flatnonzero(~compact), "no Compact record"
    for schema_id in np.unique(ids[compact]).tolist():
        if rows.size:
            break
        rows, what = np.flatnonzero(ids == schema_id), "a record of a type that nobody knows"
        try:
            schema = await link.schema(schema_id)
            what = f"a {schema.type_name}"
            if schema.type_name == kind:
                of = decode_columns(values.take(rows), schema, ["deployment"])["deployment"].values
                rows = rows[of != deployment]
                what = f"a {kind} of {of[of != deployment][0]!r}" if rows.size else ""
        except (DecodeError, LookupError):
            continue
    if rows.size:
        key = key_text(keys.take(rows[:1]))[0]
        raise DeploymentError(
            f"{deployment!r} would write to the map {name!r}, which holds what is not its own: key {key} is {what}",
            remedy="name another map, or none to get one named after the deployment; or empty this one yourself",
        )

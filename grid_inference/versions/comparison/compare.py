"""Two published versions over the same records: loaded here as a worker loads them, scored as a worker scores.

In: two versions, and over what they are compared. Out: `Comparison`. Nothing is written to the grid.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from grid_inference.config import GridConfig
from grid_inference.errors import ComparisonError
from grid_inference.flow.events import Events
from grid_inference.flow.serving import Loaded, fetched
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap
from grid_inference.model.engines.engine import Engine
from grid_inference.model.engines.isolate import NanPolicy, Scores
from grid_inference.model.engines.timing import BATCHES, batch_of, took
from grid_inference.model.inputs.binding import resolve
from grid_inference.model.signature import Signature
from grid_inference.model.store.published import ModelVersion
from grid_inference.versions.comparison.basis import Basis
from grid_inference.versions.comparison.labels import Labels
from grid_inference.versions.comparison.quality import of_classifier, of_regressor
from grid_inference.versions.comparison.report import ClassifierQuality, Comparison, Cost, RegressorQuality, Rows, Side
from grid_inference.versions.comparison.scoring import Scored, scored
from grid_inference.versions.comparison.statistics import agreement, difference, spread
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import schema_ids
from grid_inference.wire.keys import decode_keys

__all__ = ["compare"]

LABELLED_TASKS = ("classifier", "regressor")


async def compare(link: Link, one: ModelVersion, other: ModelVersion, basis: Basis, config: GridConfig) -> Comparison:
    """Compare two versions; `config` says by which address the grid is reached, and where the trusted keys are.

    Raises ComparisonError for versions that can't be held against each other, or not over these records; TrustError and
    ArtifactError for a version that a worker here would not load; SignatureError for inputs or a class that one lacks.
    """
    _check_alike(one, other, labelled=basis.labels is not None)
    keys, values = await GridMap(link, basis.features).sample(basis.rows)
    if not len(keys):
        raise ComparisonError(f"there is no record in {basis.features!r}", remedy="put some, or name another map")
    records = Events.of(keys, values)
    first, second = [await _resolved(link, version, values) for version in (one, other)]
    engines, found = list[Engine](), list[Scored]()
    for version in (first, second):
        model = await fetched(link, version.manifest, config.address, keys=config.keys)
        loaded = await asyncio.to_thread(Loaded.of, model, version.signature, version.expected, str(version))
        engines.append(loaded.engine)
        found.append(await scored(link, version, loaded, records, basis.inputs, nan=basis.nan, score_of=basis.score_of))
    rows = np.intersect1d(found[0].good, found[1].good)
    if not rows.size:
        raise _nothing_common((one, other), found, basis, len(records))
    compared = keys.take(rows)
    truth = np.full(rows.size, np.nan)
    if basis.labels is not None:
        truth = await Labels(link, basis.labels, basis.label_field).truth(compared, one.signature)
    mine, theirs = (each.scores.take(np.searchsorted(each.good, rows)) for each in found)
    all_rows = Rows(decode_keys(compared), mine, theirs, truth)
    return await asyncio.to_thread(_report, (first, second), found, engines, all_rows, basis, len(records))


def _check_alike(one: ModelVersion, other: ModelVersion, *, labelled: bool) -> None:
    """Raise ComparisonError for versions whose scores mean different things."""
    task = one.signature.task
    if task != other.signature.task:
        raise ComparisonError(
            f"{one} is a {_said(one)}, {other} a {_said(other)}", remedy="compare versions of one task"
        )
    if one.signature.classes != other.signature.classes:
        classes = [", ".join(version.signature.classes) for version in (one, other)]
        raise ComparisonError(
            f"{one} tells {classes[0]} apart, {other} {classes[1]}", remedy="compare versions of the same classes"
        )
    if labelled and task not in LABELLED_TASKS:
        raise ComparisonError(
            f"{one} is a {_said(one)}, which is not held against labels", remedy="leave the labels out"
        )


def _said(version: ModelVersion) -> str:
    return version.signature.task.replace("_", " ")


async def _resolved(link: Link, version: ModelVersion, values: Blobs) -> ModelVersion:
    """The version with the order of its inputs settled, as a deployment on these records has it."""
    if not version.signature.needs_order:
        return version
    compact, ids = schema_ids(values)
    schema = await link.schema(int(ids[compact][0])) if compact.any() else None
    return replace(version, signature=resolve(version.signature, schema))


def _nothing_common(
    versions: tuple[ModelVersion, ModelVersion], found: list[Scored], basis: Basis, count: int
) -> ComparisonError:
    said = [
        f"{version} refuses {sum(each.refused.values()):,}" + (f" ({each.problem})" if each.problem else "")
        for version, each in zip(versions, found, strict=True)
    ]
    return ComparisonError(
        f"none of {count:,} records of {basis.features!r} is scored by both: {', '.join(said)}",
        remedy="put records with these fields, or name a deployment whose `inputs` say where to find them",
    )


def _report(
    versions: tuple[ModelVersion, ModelVersion],
    found: list[Scored],
    engines: list[Engine],
    rows: Rows,
    basis: Basis,
    count: int,
) -> Comparison:
    signature, both = versions[0].signature, (rows.one, rows.other)
    refused = [count - each.good.size for each in found]
    common = count - np.union1d(found[0].good, found[1].good).size
    sides = [
        Side(
            version=str(version),
            class_name=version.manifest.class_name,
            refused=each.refused,
            scores=spread(scores.score),
            quality=_quality(signature, scores, rows.truth),
        )
        for version, each, scores in zip(versions, found, both, strict=True)
    ]
    return Comparison(
        features=basis.features,
        task=signature.task,
        classes=signature.classes,
        sampled=count,
        compared=len(rows.keys),
        refused_by_one=refused[0] - common,
        refused_by_other=refused[1] - common,
        refused_by_both=common,
        labelled=int((~np.isnan(rows.truth)).sum()),
        one=sides[0],
        other=sides[1],
        agreement=agreement(*both, signature),
        difference=difference(rows.one.score, rows.other.score),
        costs=_costs(engines, found, basis.nan),
        score_of=basis.score_of,
        rows=rows,
    )


def _quality(
    signature: Signature, scores: Scores, truth: NDArray[np.float64]
) -> ClassifierQuality | RegressorQuality | None:
    labelled = ~np.isnan(truth)
    if not labelled.any():
        return None
    scores, truth = scores.take(labelled), truth[labelled]
    if signature.task == "regressor":
        return of_regressor(scores, truth)
    return of_classifier(scores, truth.astype(np.int64))


def _costs(engines: list[Engine], found: list[Scored], nan: NanPolicy) -> tuple[Cost, ...]:
    costs: list[Cost] = []
    for size in BATCHES:
        batches = [batch_of(cast("Any", each.inputs), size) for each in found]
        one_us, other_us = took(
            *(partial(engine.score, batch, nan) for engine, batch in zip(engines, batches, strict=True))
        )
        costs.append(Cost(size, one_us / size, other_us / size))
    return tuple(costs)

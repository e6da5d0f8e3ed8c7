"""Scoring: arrivals → predictions and dead letters, by one version of a model.

In: rows of any schemas. Out: each row that is a record ends as a prediction or as a dead letter with its reason, never
as an exception that takes its batch mates along. Where the model is asked is not known here (`calls.py`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from grid_inference.config import InputConfig
from grid_inference.errors import DecodeError
from grid_inference.flow.calls import Asks, Score
from grid_inference.flow.encode import PredictionEncoder
from grid_inference.flow.events import Events
from grid_inference.flow.feeds import Arrivals
from grid_inference.grid.link import Link
from grid_inference.metrics import Observe, unobserved
from grid_inference.model.engines.isolate import Failure, NanPolicy, Scores
from grid_inference.model.inputs.binding import Binding, bind
from grid_inference.model.inputs.frame import Inputs
from grid_inference.model.inputs.json_binding import JsonBinding
from grid_inference.model.inputs.sources import Misfits, Mismatch, Sources
from grid_inference.records import DeadLetterBatch, PredictionBatch
from grid_inference.wire import layout
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import Schema, nested_schema_ids, schema_ids
from grid_inference.wire.kernels import numbers as kernel

__all__ = ["Outcome", "Scorer"]


_Format = tuple[int, int]
"""A Data's type id, and the schema id of a Compact record (else 0)."""
UNSUPPORTED = "can't be read: put the records as Compact or JSON values"


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What became of the rows: every one is in just one of the three."""

    predictions: PredictionBatch
    dead: DeadLetterBatch
    removed: Blobs
    """Keys of entries that are gone."""
    removed_partitions: NDArray[np.int32]
    encoder: PredictionEncoder
    """Writes the records of the version that has scored."""

    def of(self, partitions: Collection[int]) -> Outcome:
        """What became of the rows of some partitions."""
        return self._where(lambda those: np.isin(those, list(partitions)))

    def without(self, partitions: Collection[int]) -> Outcome:
        """What became of the rows of all other partitions."""
        return self._where(lambda those: ~np.isin(those, list(partitions))) if partitions else self

    def _where(self, wanted: Callable[[NDArray[np.int32]], NDArray[np.bool_]]) -> Outcome:
        removed = wanted(self.removed_partitions)
        return Outcome(
            self.predictions.take(wanted(self.predictions.partitions)),
            self.dead.take(wanted(self.dead.partitions)),
            self.removed.take(removed),
            self.removed_partitions[removed],
            self.encoder,
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """Rows of one schema: what was scored, and what failed."""

    good: NDArray[np.int64]
    scores: Scores | None
    failures: list[Failure]


_Run = Callable[[Callable[[Score], _Part], int], Awaitable[_Part]]


class Scorer:
    """One version of a model, for one deployment."""

    def __init__(
        self,
        link: Link,
        calls: Asks,
        encoder: PredictionEncoder,
        *,
        inputs: Mapping[str, InputConfig],
        nan: NanPolicy,
        score_of: str | None = None,
        observe: Observe = unobserved,
    ) -> None:
        """`score_of` is the class whose probability is the score; SignatureError if the model has none so called."""
        self._link = link
        self._calls = calls
        self._signature = signature = encoder.signature
        self._encoder = encoder
        self._declared = inputs
        self._nan: NanPolicy = nan
        self._score_of = None if score_of is None else signature.class_index(score_of)
        self._observe = observe
        self._bindings: dict[_Format, Binding | JsonBinding | Mismatch] = {}
        self._nested: dict[int, Schema] = {}
        self._idle = asyncio.Event()
        self._idle.set()
        self._under_way = 0

    async def score(self, arrivals: Arrivals) -> Outcome:
        """Score a batch; never raises for what a record holds."""
        self._under_way += 1
        self._idle.clear()
        try:
            return await self._score(arrivals)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def idle(self) -> None:
        """Wait until no batch is under way."""
        await self._idle.wait()

    async def _score(self, arrivals: Arrivals) -> Outcome:
        rows, partitions = arrivals.rows, arrivals.partitions
        present = rows.values.lengths >= 0
        removed, gone_from = rows.keys.take(~present), partitions[~present]
        if len(removed):
            rows, partitions = rows.take(present), partitions[present]
        run = partial(self._calls.run, partitions=partitions, suspect=arrivals.suspect)
        parts = [await self._of_format(rows.values, where, kind, run) for where, kind in _by_format(rows.values)]
        predictions = _predictions(parts, rows, partitions, arrivals.epochs)
        return Outcome(predictions, _dead_letters(parts, rows, partitions), removed, gone_from, self._encoder)

    async def _of_format(self, values: Blobs, where: NDArray[np.int64], kind: _Format, run: _Run) -> _Part:
        binding = await self._binding(kind)
        if isinstance(binding, Mismatch):
            return _all_failed(where, binding.cause, binding.message)
        values = values.take(where) if where.size < len(values) else values
        if isinstance(binding, Binding) and binding.nested_fields:
            await self._learn_nested(binding, values)
        return await run(partial(self._apply, binding, values, where), where.size)

    async def _binding(self, kind: _Format) -> Binding | JsonBinding | Mismatch:
        """How records of one format become the model's inputs, found at the first of them."""
        known = self._bindings.get(kind)
        if known is None:
            try:
                known = await self._bound(*kind)
            except DecodeError as error:
                return Mismatch("UNKNOWN_SCHEMA", str(error))
            self._bindings[kind] = known
        return known

    async def _bound(self, type_id: int, schema_id: int) -> Binding | JsonBinding | Mismatch:
        if type_id == layout.TYPE_COMPACT:
            return bind(self._signature, await self._link.schema(schema_id), self._declared)
        if type_id == layout.TYPE_JSON:
            return JsonBinding(Sources(self._signature, self._declared))
        return Mismatch("UNSUPPORTED_FORMAT", f"{layout.described(type_id)} {UNSUPPORTED}")

    async def _learn_nested(self, binding: Binding, values: Blobs) -> None:
        """Fetch the schemas of nested records. What can't be found is found out again, row by row, in decoding."""
        known, unknown = self._nested, set[int]()
        while missing := _nested_ids(values, binding, known) - known.keys() - unknown:
            for schema_id in missing:
                try:
                    known[schema_id] = await self._link.schema(schema_id)
                except DecodeError:
                    unknown.add(schema_id)

    @np.errstate(invalid="ignore")  # a float that is a signalling NaN is a plain one as a double
    def _apply(self, binding: Binding | JsonBinding, values: Blobs, where: NDArray[np.int64], score: Score) -> _Part:
        """Decode to the model's inputs and score them; may run beside the loop."""
        begun_s = time.perf_counter()
        try:
            inputs, misfits = self._inputs(binding, values)
        except DecodeError as error:
            return self._one_by_one(binding, values, where, error, score)
        finally:
            self._observe("decode", time.perf_counter() - begun_s)
        failures = [Failure(int(where[row]), reason.cause, reason.message) for row, reason in misfits.items()]
        if misfits:
            fitting = np.delete(np.arange(where.size), list(misfits))
            inputs, where = inputs[fitting], where[fitting]
        scores, good, failed = score(inputs, self._nan)
        if self._score_of is not None:
            scores = scores.of_class(self._score_of)
        failures += [Failure(int(where[one.row]), one.cause, one.message) for one in failed]
        return _Part(where[good], scores, failures)

    def _inputs(self, binding: Binding | JsonBinding, values: Blobs) -> tuple[Inputs, Misfits]:
        return binding.inputs(values, self._nested) if isinstance(binding, Binding) else binding.inputs(values)

    def _one_by_one(
        self, binding: Binding | JsonBinding, values: Blobs, where: NDArray[np.int64], error: DecodeError, score: Score
    ) -> _Part:
        """A damaged record spoils the decoding of all: find it by halves."""
        if where.size == 1:
            return _all_failed(where, "UNDECODABLE", str(error))
        half = where.size // 2
        sides = [np.arange(half), np.arange(half, where.size)]
        first, second = (self._apply(binding, values.take(side), where[side], score) for side in sides)
        good = np.concatenate([first.good, second.good])
        scores = [part.scores for part in (first, second) if part.scores is not None]
        return _Part(good, _join(scores), first.failures + second.failures)


def _by_format(values: Blobs) -> list[tuple[NDArray[np.int64], _Format]]:
    """Rows by type id and schema id."""
    if not len(values):
        return []
    first = np.empty((1, 2), np.int64)
    if kernel.one_format(*values.columns, first) and first[0, 0] == layout.TYPE_COMPACT:
        return [(np.arange(len(values)), (layout.TYPE_COMPACT, int(first[0, 1])))]
    compact, ids = schema_ids(values)
    types = np.full(len(values), layout.TYPE_COMPACT, np.int64)
    long_enough = ~compact & (values.lengths >= layout.DATA_HEADER_BYTES)
    types[~compact] = layout.TYPE_NULL
    types[long_enough] = values.take(long_enough).read(layout.TYPE_OFFSET, ">i4")
    # What claims to be Compact and is too short for a schema's id is nothing at all.
    types[long_enough & (types == layout.TYPE_COMPACT)] = layout.TYPE_NULL
    pairs = sorted(set(zip(types.tolist(), ids.tolist(), strict=True)))
    return [(np.flatnonzero((types == kind) & (ids == one)), (kind, one)) for kind, one in pairs]


def _nested_ids(values: Blobs, binding: Binding, known: Mapping[int, Schema]) -> set[int]:
    """The schema ids of nested records; a damaged record has none, and hides no other's."""
    try:
        return nested_schema_ids(values, binding.schema, binding.nested_fields, known)
    except DecodeError:
        half, rows = len(values) // 2, np.arange(len(values))
        sides = (rows[:half], rows[half:]) if half else ()
        return set[int]().union(*(_nested_ids(values.take(side), binding, known) for side in sides))


def _all_failed(where: NDArray[np.int64], cause: str, message: str) -> _Part:
    return _Part(where[:0], None, [Failure(row, cause, message) for row in where.tolist()])


def _join(scores: list[Scores]) -> Scores | None:
    return Scores.concat(scores) if scores else None


def _predictions(
    parts: list[_Part],
    rows: Events,
    partitions: NDArray[np.int32],
    epochs: Mapping[int, int],
) -> PredictionBatch:
    scores = _join([part.scores for part in parts if part.scores is not None and part.good.size])
    good = np.concatenate([part.good for part in parts if part.good.size] or [np.empty(0, np.int64)])
    if good.size < len(rows) or len(parts) > 1:
        rows, partitions = rows.take(good), partitions[good]
    return PredictionBatch(
        keys=rows.keys,
        partitions=partitions,
        digests=rows.digests,
        score=scores.score if scores else np.empty(0),
        label_index=scores.label_index if scores else None,
        scores=scores.scores if scores else None,
        epochs=_epochs_of(partitions, epochs),
        scored_at_us=time.time_ns() // 1000,
    )


def _epochs_of(partitions: NDArray[np.int32], epochs: Mapping[int, int]) -> NDArray[np.int64]:
    """The epoch of each row."""
    if len(epochs) == 1:
        return np.full(partitions.size, next(iter(epochs.values())), np.int64)
    table = np.zeros(max(epochs, default=0) + 1, np.int64)
    table[list(epochs)] = list(epochs.values())
    return table[partitions]


def _dead_letters(parts: list[_Part], rows: Events, partitions: NDArray[np.int32]) -> DeadLetterBatch:
    failures = [failure for part in parts for failure in part.failures]
    failed = np.array([failure.row for failure in failures], np.int64)
    refused = rows.take(failed)
    return DeadLetterBatch(
        keys=refused.keys,
        partitions=partitions[failed],
        digests=refused.digests,
        records=refused.values,
        causes=[failure.cause for failure in failures],
        messages=[failure.message for failure in failures],
    )

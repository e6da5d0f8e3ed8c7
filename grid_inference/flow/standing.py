"""What stands: the results of some records as columns, and which records have just the one result that is right.

A result is right if it is of its record's digest, of the model at work by a version that counts, and the only one of
its key. The digest leaves a value's type out, so a text and a JSON value of equal bytes are told apart here: what can
be read never has the dead letter of what can't, nor the other way round. Pure: the maps are read by `results.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, fields
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from grid_inference.errors import ModelCrashedError, ModelTimeoutError
from grid_inference.flow.events import Events
from grid_inference.grid.maps import key_identities
from grid_inference.model.engines.isolate import CAUSES
from grid_inference.model.store.registry import Deployed
from grid_inference.records import DEAD_LETTER, PREDICTION
from grid_inference.wire import layout
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import decode_columns, decode_text_blobs
from grid_inference.wire.schema import Schema

__all__ = ["WAITING", "Known", "Results", "Standing", "Stored", "Whose", "is_readable", "whose"]

WAITING = 0
"""The version of a dead letter whose record somebody has asked to score anew; real versions count from 1."""
ANOTHER, OLDER, FOREIGN = -1, -2, -3
"""In the place of a version: a result by another model; one from before a deploy that scores only what is new; what is
no result of this deployment at all, and nobody here touches."""
READABLE = (layout.TYPE_COMPACT, layout.TYPE_JSON)
"""Types of values that can be records."""
DEADLY = (CAUSES[ModelCrashedError], CAUSES[ModelTimeoutError])
"""Causes of dead letters whose records have ended the process that scored them, or held it up for good."""
_TYPE_BYTES = [f"record[{at}]" for at in range(layout.TYPE_OFFSET, layout.TYPE_OFFSET + 4)]
"""Where the Data in a dead letter says its type."""


class Standing(IntEnum):
    """How a record stands."""

    RIGHT = 0
    """It has just its result."""
    MISSING = 1
    """It has none."""
    STALE = 2
    """Its prediction is of another value."""
    OUTDATED = 3
    """Its result is by another model or version, or waits to be made anew."""
    DOUBLE = 4
    """It has a prediction and a dead letter."""
    OLDER = 5
    """It has no result since a deploy that scores only what is new, and need not have one."""


@dataclass(frozen=True, slots=True)
class Whose:
    """Which results are a deployment's."""

    deployment: str
    model: str
    since_us: int = 0
    """What was written before, in microseconds since 1970, counts as older: by the machines' clocks, which will do
    where it is not known which records are new."""


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """What stored predictions or dead letters stand for."""

    digests: NDArray[np.int64]
    versions: NDArray[np.int32]
    """Of the model that is meant, or `WAITING`, `ANOTHER`, `OLDER`, `FOREIGN`."""
    readable: NDArray[np.bool_]
    """Whether the record could be read at all: false for a dead letter of a value that is none."""
    deadly: NDArray[np.bool_]
    """Whether the record has ended whoever scored it."""

    @classmethod
    def foreign(cls, count: int) -> Stored:
        """What stands for nothing."""
        nobody = np.zeros(count, np.bool_)
        return cls(np.zeros(count, np.int64), np.full(count, FOREIGN, np.int32), ~nobody, nobody)

    @classmethod
    def concat(cls, parts: Sequence[Stored]) -> Stored:
        """Join several in order."""
        names = [one.name for one in fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

    def take(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Stored:
        """Those at an index array or boolean mask."""
        return Stored(*(getattr(self, one.name)[rows] for one in fields(self)))

    def set(self, rows: NDArray[np.intp], part: Stored) -> None:
        """Put others in the place of these rows."""
        for one in fields(self):
            getattr(self, one.name)[rows] = getattr(part, one.name)

    @classmethod
    def of(cls, values: Blobs, schema: Schema, whose: Whose) -> Stored:
        """What values of one schema stand for; raises DecodeError for damaged ones."""
        if schema.type_name not in {PREDICTION.type_name, DEAD_LETTER.type_name}:
            return cls.foreign(len(values))
        dead = schema.type_name == DEAD_LETTER.type_name
        written = ["failed_at_us" if dead else "scored_at_us"] if whose.since_us else []
        columns = decode_columns(values, schema, ["input_digest", "version", *written, *(_TYPE_BYTES if dead else [])])
        texts = decode_text_blobs(values, schema, ["deployment", "model", *(["cause"] if dead else [])])
        versions = columns["version"].values.astype(np.int32)
        versions[(versions < 0) | ~_equal(texts["model"], whose.model)] = ANOTHER
        if written:
            versions[columns[written[0]].values < whose.since_us] = OLDER
        versions[~_equal(texts["deployment"], whose.deployment)] = FOREIGN
        deadly = np.zeros(len(values), np.bool_)
        readable = ~deadly
        if dead:
            readable = np.isin(_types(np.stack([columns[name].values for name in _TYPE_BYTES], axis=1)), READABLE)
            deadly = np.logical_or.reduce([_equal(texts["cause"], cause) for cause in DEADLY])
        return cls(columns["input_digest"].values, versions, readable, deadly)


@dataclass(slots=True)
class Known:
    """The results of one kind in one map: by key, sorted by the key's identity; what is foreign is left out."""

    identities: NDArray[np.int64]
    stored: Stored
    keys: Blobs
    seen: NDArray[np.bool_] = field(init=False)
    """Whose records have been met: the others are orphans, once all have been."""

    def __post_init__(self) -> None:
        self.seen = np.zeros(self.identities.size, np.bool_)

    @classmethod
    def of(cls, parts: list[tuple[Blobs, Stored]]) -> Known:
        """Sort what was read by key."""
        parts = [_ours(keys, stored) for keys, stored in parts]
        keys = Blobs.concat(keys for keys, _ in parts)
        identities = key_identities(keys)
        order = np.argsort(identities, kind="stable")
        stored = Stored.concat([stored for _, stored in parts] or [Stored.foreign(0)])
        return cls(identities[order], stored.take(order), keys.take(order))

    @property
    def nbytes(self) -> int:
        """Bytes of memory that this takes, about."""
        stored = (getattr(self.stored, one.name) for one in fields(self.stored))
        columns = (self.identities, self.seen, self.keys.buffer, self.keys.starts, self.keys.lengths)
        return sum(column.nbytes for column in (*columns, *stored))

    def rows_of(self, identities: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where the result of each key stands, or -1; marks them as seen."""
        if not self.identities.size:
            return np.full(identities.size, -1, np.int64)
        at = np.minimum(np.searchsorted(self.identities, identities), self.identities.size - 1)
        rows = np.where(self.identities[at] == identities, at, -1)
        self.seen[rows[rows >= 0]] = True
        return rows

    def orphans(self) -> Blobs:
        """Keys of results whose records have not been met, those from before the deploy left out."""
        return self.keys.take(~self.seen & (self.stored.versions != OLDER))


@dataclass(frozen=True, slots=True)
class Results:
    """What stands in a deployment's predictions and dead letters."""

    predictions: Known
    dead: Known

    def standing(self, records: Events, versions: Collection[int], *, only_new: bool = False) -> NDArray[np.uint8]:
        """How each record stands, `Standing`, if results by these versions count; marks their keys as seen.

        With `only_new` a record need not have a result, unless it has one since the deploy.
        """
        predicted, refused = (_Side.of(known, records) for known in (self.predictions, self.dead))
        found = np.full(len(records), Standing.MISSING, np.uint8)
        found[predicted.there] = Standing.STALE
        found[predicted.of_value | refused.of_value] = Standing.OUTDATED
        found[predicted.by(versions) | refused.by(versions)] = Standing.RIGHT
        found[predicted.there & refused.there] = Standing.DOUBLE
        if only_new:
            found[predicted.older & refused.older] = Standing.OLDER
        return found

    @property
    def nbytes(self) -> int:
        """Bytes of memory that these take, about."""
        return self.predictions.nbytes + self.dead.nbytes

    def orphans(self, *, predictions: bool) -> Blobs:
        """Keys of results whose records have not been met: of dead letters, and of predictions if they are meant."""
        return Blobs.concat([known.orphans() for known in (self.predictions, self.dead)[0 if predictions else 1 :]])

    def waiting(self, records: Events) -> NDArray[np.bool_]:
        """Which records have a dead letter that waits to be replayed."""
        refused = _Side.of(self.dead, records)
        return refused.there & (refused.versions == WAITING)

    def deadly(self, records: Events) -> NDArray[np.bool_]:
        """Which records have ended whoever scored them, as they are."""
        refused = _Side.of(self.dead, records)
        return refused.of_value & refused.deadly


@dataclass(frozen=True, slots=True, eq=False)
class _Side:
    """Of each record its result of one kind."""

    there: NDArray[np.bool_]
    versions: NDArray[np.int32]
    of_value: NDArray[np.bool_]
    """Whether it is there, and of the record's value."""
    deadly: NDArray[np.bool_]

    @classmethod
    def of(cls, known: Known, records: Events) -> _Side:
        rows, stored = known.rows_of(records.identities), known.stored
        if not known.identities.size:
            nobody = np.zeros(rows.size, np.bool_)
            return cls(nobody, Stored.foreign(rows.size).versions, nobody, nobody)
        there = rows >= 0
        same = (stored.digests[rows] == records.digests) & (stored.readable[rows] == is_readable(records.values))
        return cls(there, stored.versions[rows], there & same, stored.deadly[rows])

    def by(self, versions: Collection[int]) -> NDArray[np.bool_]:
        """Whether it is of the record's value by one of these versions."""
        return self.of_value & np.isin(self.versions, list(versions))

    @property
    def older(self) -> NDArray[np.bool_]:
        """Whether it is from before the deploy, or not there."""
        return ~self.there | (self.versions == OLDER)


def whose(deployed: Deployed) -> Whose:
    """Which results are a deployment's."""
    since_us = deployed.deployed_at_us if deployed.config.start == "new" else 0
    return Whose(deployed.config.name, deployed.model, since_us)


def is_readable(values: Blobs) -> NDArray[np.bool_]:
    """Which values can be records: Compact or JSON, whether or not their content can be read."""
    typed = values.lengths >= layout.DATA_HEADER_BYTES
    if bool(typed.all()):
        return np.isin(values.read(layout.TYPE_OFFSET, ">i4"), READABLE)
    found = np.zeros(len(values), np.bool_)
    found[typed] = is_readable(values.take(typed))
    return found


def _ours(keys: Blobs, stored: Stored) -> tuple[Blobs, Stored]:
    ours = stored.versions != FOREIGN
    if bool(ours.all()):
        return keys, stored
    return keys.take(ours), stored.take(ours)


def _equal(texts: Blobs, wanted: str) -> NDArray[np.bool_]:
    """Which texts are just this one, without making a string of any."""
    expected = np.frombuffer(wanted.encode(), np.uint8)
    same = texts.lengths == expected.size
    same[same] = (texts.take(same).matrix(0, expected.size) == expected).all(axis=1)
    return same


def _types(records: NDArray[np.int8]) -> NDArray[np.int32]:
    """Type ids from their four bytes, shape (n, 4)."""
    return np.ascontiguousarray(records, np.int8).view(">i4")[:, 0].astype(np.int32)

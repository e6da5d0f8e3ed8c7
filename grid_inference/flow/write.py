"""Writing: predictions and dead letters into their maps, acknowledged; then the topic.

One PutAll a partition, under the key bytes as they came, so that a result lies beside its record. Whenever a request is
sent, also again, the lease of its partition must still be ours.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from grid_inference.config import DeploymentConfig
from grid_inference.errors import GridError, LeaseExpiredError
from grid_inference.flow.encode import PredictionEncoder, encode_dead_letters
from grid_inference.flow.score import Outcome
from grid_inference.flow.where import Where
from grid_inference.grid.leases import Leases
from grid_inference.grid.link import Link
from grid_inference.grid.link_topics import publish_all, publish_all_reliable
from grid_inference.grid.maps import key_identities
from grid_inference.logs import logger
from grid_inference.metrics import Observe, unobserved
from grid_inference.records import (
    DEAD_LETTER,
    PREDICTION,
    PREDICTION_MESSAGE,
    DeadLetterBatch,
    PredictionBatch,
)
from grid_inference.wire import messages
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.keys import key_text

__all__ = ["MESSAGE_FIELDS", "Writer", "WriterCounts"]

_log = logger(__name__)

MESSAGE_FIELDS = {name: slot.kind for name, slot in PREDICTION_MESSAGE.slots.items() if name != "key_data"}
"""What a topic's `where` may speak of, and of which kind that is."""
PUBLISH_TRIES = 5
PUBLISH_PAUSE_S = 0.5
"""Pause after the first failed try; it grows by as much with every further one."""


@dataclass(slots=True)
class WriterCounts:
    """What was written so far."""

    predictions: int = 0
    versions: Counter[int] = field(default_factory=Counter[int])
    """Predictions by the version that made them."""
    dead_letters: int = 0
    refused: Counter[str] = field(default_factory=Counter[str])
    """Dead letters by cause."""
    removals: int = 0
    published: int = 0
    unpublished: int = 0
    """Messages that the topic would not take, try after try."""


class Writer:
    """Writes the outcomes of one deployment."""

    def __init__(
        self,
        link: Link,
        settings: DeploymentConfig,
        leases: Leases,
        observe: Observe = unobserved,
    ) -> None:
        self._link = link
        self._observe = observe
        self._predictions = settings.predictions
        self._dead_letters = settings.dead_letters
        self._topic = settings.topic
        self._topic_name = settings.topic.name or settings.predictions
        self._where = Where.parse(settings.topic.where) if settings.topic.where else None
        if self._where:
            self._where.check(MESSAGE_FIELDS)
        self._keep_on_remove = settings.on_remove == "keep"
        self._leases = leases
        self._dead_keys: dict[int, set[int]] = {}
        self.counts = WriterCounts()

    async def prepare(self) -> None:
        """Make the schemas of what we write known to the cluster."""
        for schema in (PREDICTION, DEAD_LETTER, PREDICTION_MESSAGE):
            await self._link.send_schema(schema)

    def note_dead_letters(self, partition: int, keys: Blobs) -> None:
        """Which keys of a partition have a dead letter: a later success removes it."""
        self._dead_keys[partition] = set(key_identities(keys).tolist()) if len(keys) else set()

    async def write(self, outcome: Outcome) -> None:
        """Write a batch; returns when every member that matters has acknowledged it.

        Raises LeaseExpiredError if a partition may be somebody else's by now: as a rule before anything is written.
        """
        good, dead = outcome.predictions, outcome.dead
        removed, gone_from = outcome.removed, outcome.removed_partitions
        for partitions in (good.partitions, dead.partitions, gone_from):
            if not bool(self._leases.holds(partitions).all()):
                raise LeaseExpiredError("the lease of a partition has run out, so its results are not written")
        begun_s = time.perf_counter()
        requests: list[tuple[int, bytearray]] = []
        if len(good):
            values = outcome.encoder.predictions(good)
            requests += messages.put_all_requests(self._predictions, good.keys, values, good.partitions)
        requests += self._bury(dead, outcome.encoder)
        requests += self._revive(good.keys, good.partitions)
        requests += self._remove(removed, gone_from)
        encoded_s = time.perf_counter()
        await self._link.call_all(requests, self._leases.allows)
        written_s = time.perf_counter()
        self._observe("encode", encoded_s - begun_s)
        self._observe("write", written_s - encoded_s)
        self.counts.predictions += len(good)
        self.counts.versions[outcome.encoder.version] += len(good)
        self.counts.dead_letters += len(dead)
        self.counts.refused.update(dead.causes)
        self.counts.removals += len(removed)
        await self._publish(good, outcome.encoder)

    def _bury(self, dead: DeadLetterBatch, encoder: PredictionEncoder) -> list[tuple[int, bytearray]]:
        """Write dead letters and remove the predictions of their keys."""
        if not len(dead):
            return []
        values = encode_dead_letters(dead, encoder.constants, time.time_ns() // 1000)
        requests = list(messages.put_all_requests(self._dead_letters, dead.keys, values, dead.partitions))
        requests += _deletes(self._predictions, dead.keys, dead.partitions)
        for identity, partition in zip(key_identities(dead.keys).tolist(), dead.partitions.tolist(), strict=True):
            self._dead_keys.setdefault(partition, set()).add(identity)
        return requests

    def _revive(self, keys: Blobs, partitions: NDArray[np.int32]) -> list[tuple[int, bytearray]]:
        """Remove the dead letters of keys that are scored or removed now."""
        if not any(self._dead_keys.values()) or not len(keys):
            return []
        rows: list[int] = []
        for row, (identity, partition) in enumerate(
            zip(key_identities(keys).tolist(), partitions.tolist(), strict=True)
        ):
            known = self._dead_keys.get(partition)
            if known and identity in known:
                known.discard(identity)
                rows.append(row)
        some = np.array(rows, np.int64)
        return _deletes(self._dead_letters, keys.take(some), partitions[some])

    def _remove(self, keys: Blobs, partitions: NDArray[np.int32]) -> list[tuple[int, bytearray]]:
        """A record that was removed takes its dead letter along, and its prediction unless that is to be kept."""
        if not len(keys):
            return []
        requests = self._revive(keys, partitions)
        if not self._keep_on_remove:
            requests += _deletes(self._predictions, keys, partitions)
        return requests

    async def _publish(self, batch: PredictionBatch, encoder: PredictionEncoder) -> None:
        """Send messages of those predictions that pass the filter; behind the map, which is the truth."""
        if self._topic.kind == "none" or not len(batch):
            return
        if self._where:
            chosen = np.flatnonzero(self._where.mask(self._columns(batch, encoder)))
            batch = _rows(batch, chosen)
            if not len(batch):
                return
        begun_s = time.perf_counter()
        encoded = encoder.messages(batch)
        for attempt in range(PUBLISH_TRIES):
            try:
                await self._send(encoded)
            except GridError as error:
                _log.warning("publish failed, tried again", topic=self._topic_name, error=error)
                await asyncio.sleep(PUBLISH_PAUSE_S * (attempt + 1))
            else:
                self._observe("publish", time.perf_counter() - begun_s)
                self.counts.published += len(batch)
                return
        # The predictions stand, so nothing would bring these messages again.
        self.counts.unpublished += len(batch)
        _log.error("messages given up", topic=self._topic_name, records=len(batch))

    async def _send(self, encoded: list[NDArray[np.uint8]]) -> None:
        if self._topic.kind == "topic":
            await publish_all(self._link, self._topic_name, encoded)
        else:
            await publish_all_reliable(self._link, self._topic_name, encoded)

    def _columns(self, batch: PredictionBatch, encoder: PredictionEncoder) -> dict[str, NDArray[np.generic]]:
        count = len(batch)
        columns: dict[str, NDArray[np.generic]] = {
            "score": batch.score,
            "input_digest": batch.digests,
            "owner_epoch": batch.epochs,
            "scored_at_us": np.full(count, batch.scored_at_us),
            "label": np.full(count, None, object),
            "scores": np.full(count, None, object),
        }
        for name, value in encoder.constants.items():
            columns[name] = np.full(count, value)
        if batch.label_index is not None:
            labels, where = np.unique(batch.label_index, return_inverse=True)
            columns["label"] = np.array([encoder.signature.label(label) for label in labels.tolist()], object)[where]
        if batch.scores is not None:
            columns["scores"] = batch.scores
        if self._where and "key" in self._where.fields:
            columns["key"] = np.array(key_text(batch.keys), object)
        return columns


def _deletes(name: str, keys: Blobs, partitions: NDArray[np.int32]) -> list[tuple[int, bytearray]]:
    requests = [messages.delete_request(name, key) for key in keys.tolist()]
    return list(zip(partitions.tolist(), requests, strict=True))


def _rows(batch: PredictionBatch, rows: NDArray[np.int64]) -> PredictionBatch:
    return PredictionBatch(
        keys=batch.keys.take(rows),
        partitions=batch.partitions[rows],
        digests=batch.digests[rows],
        score=batch.score[rows],
        label_index=None if batch.label_index is None else batch.label_index[rows],
        scores=None if batch.scores is None else batch.scores[rows],
        epochs=batch.epochs[rows],
        scored_at_us=batch.scored_at_us,
    )

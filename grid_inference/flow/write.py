"""Writing: predictions and dead letters into their maps, acknowledged; then the topic.

One PutAll a partition, under the key bytes as they came, so that a result lies beside its record. Whenever a request is
sent, also again, the lease of its partition must still be ours. What fails in one partition costs no other anything.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from grid_inference.config import DeploymentConfig
from grid_inference.errors import GridError, LeaseExpiredError
from grid_inference.flow.dead_keys import DeadKeys
from grid_inference.flow.encode import PredictionEncoder, encode_dead_letters
from grid_inference.flow.score import Outcome
from grid_inference.flow.where import Where
from grid_inference.grid.leases import Leases
from grid_inference.grid.link import Link
from grid_inference.grid.link.requests import Answer, Unsure
from grid_inference.grid.link.topics import publish_all, publish_all_reliable
from grid_inference.logs import logger
from grid_inference.metrics import Observe, unobserved
from grid_inference.records import (
    DEAD_LETTER,
    MESSAGE_FIELDS,
    PREDICTION,
    PREDICTION_MESSAGE,
    PredictionBatch,
)
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.keys import key_text
from grid_inference.wire.protocol import frames as f
from grid_inference.wire.protocol import messages

__all__ = ["Writer", "WriterCounts"]

_log = logger(__name__)

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
        unsure: Unsure = lambda _: None,
    ) -> None:
        """`unsure` is told of partitions where something that was sent may arrive at any time yet."""
        self._unsure = unsure
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
        self.dead_keys = DeadKeys()
        """Which keys of the owned partitions have a dead letter."""
        self.counts = WriterCounts()

    async def prepare(self) -> None:
        """Make the schemas of what we write known to the cluster."""
        for schema in (PREDICTION, DEAD_LETTER, PREDICTION_MESSAGE):
            await self._link.send_schema(schema)

    async def write(self, outcome: Outcome, epochs: Mapping[int, int]) -> dict[int, GridError]:
        """Write a batch under these epochs of its partitions; returns when each member that matters has answered.

        What is acknowledged is published. Returned are the partitions of which something was not acknowledged, and why:
        LeaseExpiredError for those that may be somebody else's by now, of which as a rule nothing was sent.
        """

        def allows(partition: int) -> bool:
            return self._leases.allows(partition, epochs[partition])

        begun_s = time.perf_counter()
        dead = outcome.dead
        gone, gone_from = self._revived(outcome)
        requests = [*self._requests(outcome), *_deletes(self._dead_letters, gone, gone_from)]
        encoded_s = time.perf_counter()
        answers = await self._link.answers(requests, allows, self._unsure)
        failed = _failed(requests, answers)
        for partition, error in failed.items():
            if not isinstance(error, LeaseExpiredError):  # else it was not sent, or its connection has told before
                self._unsure(partition)
        self._observe("encode", encoded_s - begun_s)
        self._observe("write", time.perf_counter() - encoded_s)
        # A key is known to have a dead letter until its removal is acknowledged.
        self.dead_keys.add(dead.keys, dead.partitions)
        if len(gone):
            removed = ~np.isin(gone_from, list(failed))
            self.dead_keys.discard(gone.take(removed), gone_from[removed])
        written = outcome.without(failed)
        self._count(written)
        await self._publish(written.predictions, outcome.encoder)
        return failed

    def _requests(self, outcome: Outcome) -> list[tuple[int, f.Request]]:
        """All that is to be sent but the removal of dead letters, by partition."""
        good, dead, requests = outcome.predictions, outcome.dead, list[tuple[int, f.Request]]()
        if len(good):
            requests += outcome.encoder.predictions(good, self._predictions)
        if len(dead):
            values = encode_dead_letters(dead, outcome.encoder.constants, time.time_ns() // 1000)
            requests += messages.put_all_requests(self._dead_letters, dead.keys, values, dead.partitions)
            requests += _deletes(self._predictions, dead.keys, dead.partitions)
        if not self._keep_on_remove:
            requests += _deletes(self._predictions, outcome.removed, outcome.removed_partitions)
        return requests

    def _revived(self, outcome: Outcome) -> tuple[Blobs, NDArray[np.int32]]:
        """Keys with a dead letter that are scored or removed now, and the partition of each."""
        good, removed, gone_from = outcome.predictions, outcome.removed, outcome.removed_partitions
        if not self.dead_keys:
            return Blobs.empty(), gone_from[:0]
        rows = self.dead_keys.rows_among(good.keys, good.partitions)
        others = self.dead_keys.rows_among(removed, gone_from)
        keys = Blobs.concat([good.keys.take(rows), removed.take(others)])
        return keys, np.concatenate([good.partitions[rows], gone_from[others]])

    def _count(self, written: Outcome) -> None:
        self.counts.predictions += len(written.predictions)
        self.counts.versions[written.encoder.version] += len(written.predictions)
        self.counts.dead_letters += len(written.dead)
        self.counts.refused.update(written.dead.causes)
        self.counts.removals += len(written.removed)

    async def _publish(self, batch: PredictionBatch, encoder: PredictionEncoder) -> None:
        """Send messages of those predictions that pass the filter; behind the map, which is the truth."""
        if self._topic.kind == "none" or not len(batch):
            return
        if self._where:
            chosen = np.flatnonzero(self._where.mask(self._columns(batch, encoder)))
            batch = batch.take(chosen)
            if not len(batch):
                return
        begun_s = time.perf_counter()
        records, requests = encoder.messages(batch, self._topic_name)
        for attempt in range(PUBLISH_TRIES):
            try:
                if self._topic.kind == "topic":
                    await publish_all(self._link, self._topic_name, requests)
                else:
                    await publish_all_reliable(self._link, self._topic_name, records.tolist())
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


def _deletes(name: str, keys: Blobs, partitions: NDArray[np.int32]) -> list[tuple[int, f.Request]]:
    requests = [messages.delete_request(name, key) for key in keys.tolist()]
    return list(zip(partitions.tolist(), requests, strict=True))


def _failed(requests: list[tuple[int, f.Request]], answers: list[Answer]) -> dict[int, GridError]:
    """The first error of each partition that has one."""
    failed = dict[int, GridError]()
    for (partition, _), answer in zip(requests, answers, strict=True):
        if isinstance(answer, GridError):
            failed.setdefault(partition, answer)
    return failed

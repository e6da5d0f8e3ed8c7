"""Encoding: columns of predictions → requests of Prediction and PredictionMessage records, each by one kernel.

Records of one label differ only in numbers, key and key text, so they are written by copying a template and setting
what differs (`wire/kernels/templates.py`). Dead letters are few and are written one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid_inference.model.signature import Signature
from grid_inference.records import DEAD_LETTER, PREDICTION, PREDICTION_MESSAGE, DeadLetterBatch, PredictionBatch
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import encode_record
from grid_inference.wire.compact.record import value_offset
from grid_inference.wire.kernels import templates as kernel
from grid_inference.wire.kernels import texts as text_kernel
from grid_inference.wire.kernels.kernel import Bytes, Scored, Templates
from grid_inference.wire.keys import key_texts
from grid_inference.wire.protocol import frames as f
from grid_inference.wire.protocol import messages
from grid_inference.wire.schema import Schema

__all__ = ["PredictionEncoder", "encode_dead_letters"]

_NUMBERS = ("score", "input_digest", "owner_epoch", "scored_at_us")
_LENGTH_BYTES = 4
_TEMPLATES_MAX = 4096
"""Of several labels there may be very many combinations: beyond so many, none but the newest batch's are kept."""
PUBLISH_ROWS = 2048
"""Messages sent to a topic with one request."""


class _Templates:
    """Records of one schema, one a label, and where in them what goes."""

    def __init__(self, schema: Schema, constants: dict[str, Any], signature: Signature) -> None:
        self._schema = schema
        self._signature = signature
        self._record: dict[str, Any] = {**constants, **dict.fromkeys(_NUMBERS, 0)}
        self._record["scores"] = [0.0] * signature.scores_count or None
        if schema is PREDICTION_MESSAGE:
            self._record |= {"key": "", "key_data": np.zeros(0, np.int8)}
        self._variable = [name for name, slot in schema.slots.items() if slot.index >= 0]
        self._known = np.empty(0, np.int64)
        """The labels that there are, in order."""
        self._records = np.empty(0, np.uint8)
        self._places = np.empty((0, kernel.VARIABLE + len(self._variable)), np.int64)
        self._record_bytes_max = 0
        """In their frames, key and text left out."""
        self._numbers = np.array([schema.data_start + schema.slots[name].offset for name in _NUMBERS], np.int64)

    def _learn(self, labels: NDArray[np.int32]) -> None:
        """Make the templates of these labels."""
        known: list[int] = np.union1d(self._known, labels).tolist()
        if len(known) > _TEMPLATES_MAX:
            known = np.unique(labels).tolist()
        records, places, begin = list[bytes](), list[list[int]](), 0
        for label in known:
            data = encode_record(self._schema, {**self._record, "label": self._signature.label(label)})
            at = {name: value_offset(self._schema, data, name) for name in self._variable}
            contents = [_behind_length(at.get(name)) for name in ("key", "key_data")]
            end = self._schema.data_start + int.from_bytes(data[kernel.FIXED - 4 : kernel.FIXED], "big")
            offsets = [-1 if place is None else place - self._schema.data_start for place in at.values()]
            places.append([begin, *contents, end, _behind_length(at["scores"]), *offsets])
            records.append(data)
            begin += len(data)
        self._known, self._records = np.array(known, np.int64), np.frombuffer(b"".join(records), np.uint8)
        self._places = np.array(places, np.int64)
        self._record_bytes_max = int(self._places[:, kernel.END].max(initial=0)) + kernel.AROUND_BYTES_MAX

    def write(
        self,
        labels: NDArray[np.int32],
        around: tuple[bytes, bytes],
        key_bytes: int,
        run: Callable[[Templates, Bytes, Bytes, Bytes], int],
    ) -> tuple[NDArray[np.uint8], int]:
        """Have a kernel write records of these labels into requests: their bytes, and how many they are."""
        head, tail = _frames(around)
        while True:
            body = np.empty(labels.size * (self._record_bytes_max + head.size + tail.size) + key_bytes, np.uint8)
            count = run((self._known, self._records, self._places, self._numbers), head, tail, body)
            if count >= 0:
                return body, count
            self._learn(labels)


class PredictionEncoder:
    """Writes the records of one deployment, model and version."""

    def __init__(self, deployment: str, model: str, version: int, signature: Signature) -> None:
        self.version = version
        self.constants = {"deployment": deployment, "model": model, "version": version}
        """Fields that are the same in every record."""
        self.signature = signature
        self._predictions = _Templates(PREDICTION, self.constants, signature)
        self._messages = _Templates(PREDICTION_MESSAGE, self.constants, signature)

    def predictions(self, batch: PredictionBatch, name: str) -> list[tuple[int, f.Request]]:
        """Prediction records as PutAll requests to a map, one or more a partition: (partition, request)."""
        labels, requests = _labels(batch), np.empty((3, len(batch)), np.int64)
        begins = np.empty(int(batch.partitions.max(initial=0)) + 2, np.int64)
        where = (batch.keys.columns, batch.partitions, labels, _scored(batch))
        body, count = self._predictions.write(
            labels,
            messages.around_entries(name),
            batch.keys.nbytes,
            lambda known, head, tail, body: kernel.predictions(
                *where, known, head, tail, body, messages.MESSAGE_BYTES_MAX, begins, requests
            ),
        )
        return list(zip(requests[1, :count].tolist(), _cut(body, requests[2, :count]), strict=True))

    def messages(self, batch: PredictionBatch, topic: str) -> tuple[Blobs, list[f.Request]]:
        """PredictionMessage records as whole Data, in the rows' order, and as requests to a plain topic."""
        labels, rows, (texts, places) = _labels(batch), np.empty((3, len(batch)), np.int64), _texts(batch.keys)
        where = (batch.keys.columns, texts, places, labels, _scored(batch))
        body, count = self._messages.write(
            labels,
            messages.around_messages(topic),
            batch.keys.nbytes + texts.size,
            lambda known, head, tail, body: kernel.messages(*where, known, head, tail, body, PUBLISH_ROWS, rows),
        )
        return Blobs(body, rows[0], rows[1] - rows[0]), _cut(body, rows[2, :count])


_NO_SCORES = np.empty((0, 0))


def _labels(batch: PredictionBatch) -> NDArray[np.int32]:
    return np.zeros(len(batch), np.int32) if batch.label_index is None else batch.label_index


def _scored(batch: PredictionBatch) -> Scored:
    """What kernels take of the numbers in a record."""
    scores = _NO_SCORES if batch.scores is None else batch.scores
    return batch.score, batch.digests, batch.epochs, batch.scored_at_us, scores


def _texts(keys: Blobs) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The texts of keys, and begin and length of each, shape (2, n)."""
    room = np.empty(len(keys) * text_kernel.DIGITS_MAX + keys.nbytes, np.uint8)
    places = np.empty((2, len(keys)), np.int64)
    if text_kernel.key_texts(*keys.columns, room, places) < 0:
        return room, places
    others = key_texts(keys)
    return others.buffer, np.stack([others.starts, others.lengths])


@lru_cache(maxsize=256)
def _frames(around: tuple[bytes, bytes]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    return np.frombuffer(around[0], np.uint8), np.frombuffer(around[1], np.uint8)


def _cut(body: NDArray[np.uint8], ends: NDArray[np.int64]) -> list[f.Request]:
    """Requests that stand one behind the other, where they stand."""
    view, begin, found = body.data, 0, list[f.Request]()
    for end in ends.tolist():
        found.append(view[begin:end])
        begin = end
    return found


def _behind_length(place: int | None) -> int:
    """Where the content of a string or array begins, behind its length; 0 if it is null or not there."""
    return 0 if place is None else place + _LENGTH_BYTES


def encode_dead_letters(batch: DeadLetterBatch, constants: dict[str, Any], failed_at_us: int) -> Blobs:
    """DeadLetter records as whole Data, in the rows' order."""
    values: list[bytes] = []
    digests = batch.digests.tolist()
    for row, record in enumerate(batch.records.tolist()):
        body = {"cause": batch.causes[row], "message": batch.messages[row], "input_digest": digests[row]}
        content = {"record": record, "failed_at_us": failed_at_us}
        values.append(encode_record(DEAD_LETTER, {**constants, **body, **content}))
    return Blobs.of(values)

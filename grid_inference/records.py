"""The records that others rely on: Prediction, DeadLetter and PredictionMessage, as Compact types and as columns.

Predictions of one deployment and label differ only in numbers, so they are written by copying a template and setting the
numbers in one pass. Names, kinds and meaning of the fields are a contract; they change only with a version.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import Column, decode_record, encode_columns, encode_record
from grid_inference.wire.keys import decode_keys, key_text
from grid_inference.wire.schema import NUMBER_DTYPES, FieldKind, Schema

__all__ = [
    "DEAD_LETTER",
    "PREDICTION",
    "PREDICTION_MESSAGE",
    "DeadLetter",
    "DeadLetterBatch",
    "Prediction",
    "PredictionBatch",
    "PredictionEncoder",
    "RecordTable",
    "encode_dead_letters",
    "encode_messages",
]

_PREDICTION_FIELDS = {
    "deployment": FieldKind.STRING,
    "score": FieldKind.FLOAT64,
    "label": FieldKind.STRING,
    "scores": FieldKind.ARRAY_OF_FLOAT64,
    "model": FieldKind.STRING,
    "version": FieldKind.INT32,
    "input_digest": FieldKind.INT64,
    "owner_epoch": FieldKind.INT64,
    "scored_at_us": FieldKind.INT64,
}
PREDICTION = Schema.of("grid_inference.Prediction", _PREDICTION_FIELDS)
PREDICTION_MESSAGE = Schema.of(
    "grid_inference.PredictionMessage",
    {**_PREDICTION_FIELDS, "key": FieldKind.STRING, "key_data": FieldKind.ARRAY_OF_INT8},
)
DEAD_LETTER = Schema.of(
    "grid_inference.DeadLetter",
    {
        "deployment": FieldKind.STRING,
        "cause": FieldKind.STRING,
        "message": FieldKind.STRING,
        "input_digest": FieldKind.INT64,
        "record": FieldKind.ARRAY_OF_INT8,
        "model": FieldKind.STRING,
        "version": FieldKind.INT32,
        "failed_at_us": FieldKind.INT64,
    },
)

_SLOTS = [PREDICTION.slots[name] for name in ("score", "input_digest", "owner_epoch", "scored_at_us")]
_NUMBERS = np.dtype(
    {
        "names": [slot.name for slot in _SLOTS],
        "formats": [NUMBER_DTYPES[slot.kind] for slot in _SLOTS],
        "offsets": [slot.offset for slot in _SLOTS],
        "itemsize": PREDICTION.fixed_bytes,
    }
)
"""The numbers that differ from prediction to prediction, as they lie in the record's fixed part."""
_NUMBERS_END = PREDICTION.data_start + PREDICTION.fixed_bytes


@dataclass(frozen=True, slots=True)
class Prediction:
    """One prediction as an application reads it."""

    key: Any
    """The record's key."""
    deployment: str
    score: float
    """P(classes_[1]) if binary, P(label) if multi-class, the value of a regressor."""
    label: str | None
    """The class as text; None for a regressor."""
    scores: tuple[float, ...] | None
    """Probability per class in the signature's order; None for a regressor."""
    model: str
    version: int
    input_digest: int
    """Digest of the record that was scored (`wire/digest.py`)."""
    owner_epoch: int
    scored_at_us: int
    """Microseconds since 1970."""

    @classmethod
    def decode(cls, key: bytes, value: bytes) -> Prediction:
        """From the Data of a key and of a Prediction or PredictionMessage."""
        schema = PREDICTION if _schema_id(value) == PREDICTION.schema_id else PREDICTION_MESSAGE
        fields = decode_record(schema, value)
        fields.pop("key", None)
        fields.pop("key_data", None)
        scores = fields.pop("scores")
        return cls(
            key=decode_keys(Blobs.of([key]))[0],
            scores=None if scores is None else tuple(float(score) for score in scores),
            **fields,
        )


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One refused record, and why."""

    key: Any
    deployment: str
    cause: str
    """A short code, for example MISSING_FEATURE."""
    message: str
    input_digest: int
    record: bytes = field(repr=False)
    """The record's Data, as it came."""
    model: str
    version: int
    failed_at_us: int

    @classmethod
    def decode(cls, key: bytes, value: bytes) -> DeadLetter:
        """From the Data of a key and of a DeadLetter."""
        fields = decode_record(DEAD_LETTER, value)
        record = np.asarray(fields.pop("record"), np.int8).tobytes()
        return cls(key=decode_keys(Blobs.of([key]))[0], record=record, **fields)


@dataclass(frozen=True, slots=True, eq=False)
class RecordTable:
    """n records as columns, with their keys."""

    keys: list[Any]
    """Python keys, in the order they were asked for."""
    columns: dict[str, NDArray[Any]]
    """Field → values, shape (n,) or (n, length of the array); null numbers are NaN, null strings None."""

    @classmethod
    def of(cls, keys: list[Any], parts: list[tuple[NDArray[np.int64], dict[str, Column]]]) -> RecordTable:
        """Put columns of several schemas together; a field that a record does not have is null there."""
        if len(parts) == 1 and parts[0][0].size == len(keys):
            return cls(keys, {name: _with_nulls(column) for name, column in parts[0][1].items()})
        columns: dict[str, NDArray[Any]] = {}
        for rows, fields in parts:
            for name, column in fields.items():
                values = _with_nulls(column)
                if name not in columns:
                    numeric = values.dtype.kind in "iufb"
                    shape = (len(keys), *values.shape[1:])
                    columns[name] = np.full(shape, np.nan) if numeric else np.full(shape, None, object)
                columns[name][rows] = values
        return cls(keys, columns)

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, name: str) -> NDArray[Any]:
        """One column."""
        return self.columns[name]

    def to_pandas(self) -> Any:
        """A DataFrame with the keys as its index; array fields become columns of lists. Needs pandas."""
        import pandas as pd  # noqa: PLC0415: an optional dependency

        flat = {name: list(values) if values.ndim > 1 else values for name, values in self.columns.items()}
        return pd.DataFrame(flat, index=pd.Index(self.keys, name="key"))


def _with_nulls(column: Column) -> NDArray[Any]:
    if column.valid is None or bool(column.valid.all()):
        return column.values
    if column.values.dtype.kind == "O":
        return np.where(column.valid, column.values, None)
    values = column.values.astype(np.float64)
    values[~column.valid] = np.nan
    return values


@dataclass(slots=True, eq=False)
class PredictionBatch:
    """n predictions as columns."""

    keys: Blobs
    partitions: NDArray[np.int32]
    digests: NDArray[np.int64]
    score: NDArray[np.float64]
    """Shape (n,)."""
    label_index: NDArray[np.int32] | None
    """Index into the signature's classes, shape (n,); None for a regressor."""
    scores: NDArray[np.float64] | None
    """Shape (n, classes); None for a regressor."""
    epochs: NDArray[np.int64]
    scored_at_us: int

    def __len__(self) -> int:
        return len(self.keys)


@dataclass(slots=True, eq=False)
class DeadLetterBatch:
    """n refused records, with the reason of each."""

    keys: Blobs
    partitions: NDArray[np.int32]
    digests: NDArray[np.int64]
    records: Blobs
    causes: list[str]
    messages: list[str]

    def __len__(self) -> int:
        return len(self.keys)


class PredictionEncoder:
    """Columns → Prediction records of one deployment, model and version, by templates: one a label."""

    def __init__(self, deployment: str, model: str, version: int, classes: tuple[str, ...]) -> None:
        self._classes = classes
        labels: tuple[str | None, ...] = classes or (None,)
        fields = {"deployment": deployment, "model": model, "version": version}
        self.fixed_fields = fields
        self._templates = [self._template(label, fields) for label in labels]
        self._scores_at = [_scores_offset(template, len(classes)) for template in self._templates]

    def _template(self, label: str | None, fields: dict[str, Any]) -> bytes:
        scores = [_MARK] * len(self._classes) if self._classes else None
        numbers = {"score": 0.0, "input_digest": 0, "owner_epoch": 0, "scored_at_us": 0}
        return encode_record(PREDICTION, {**fields, **numbers, "label": label, "scores": scores})

    def encode(self, batch: PredictionBatch) -> Blobs:
        """Whole Data values, in the rows' order."""
        if batch.label_index is None:
            return self._of_label(batch, slice(None), len(batch), 0)
        present = np.unique(batch.label_index).tolist()
        if len(present) == 1:
            return self._of_label(batch, slice(None), len(batch), present[0])
        if len({len(template) for template in self._templates}) == 1:
            return self._of_equal_labels(batch)
        parts, rows = list[Blobs](), list[NDArray[np.int64]]()
        for label in present:
            mine = np.flatnonzero(batch.label_index == label)
            rows.append(mine)
            parts.append(self._of_label(batch, mine, mine.size, label))
        back = np.empty(len(batch), np.int64)
        back[np.concatenate(rows)] = np.arange(len(batch))
        return Blobs.concat(parts).take(back)

    def _of_equal_labels(self, batch: PredictionBatch) -> Blobs:
        """Templates of one length: pick each row's and set the numbers of all rows at once."""
        templates = np.frombuffer(b"".join(self._templates), np.uint8).reshape(len(self._templates), -1)
        return self._fill(templates[batch.label_index], batch, slice(None), self._scores_at[0])

    def _of_label(self, batch: PredictionBatch, rows: Any, count: int, label: int) -> Blobs:
        template = np.frombuffer(self._templates[label], np.uint8)
        return self._fill(np.tile(template, (count, 1)), batch, rows, self._scores_at[label])

    def _fill(self, matrix: NDArray[np.uint8], batch: PredictionBatch, rows: Any, scores_at: int) -> Blobs:
        fixed = matrix[:, PREDICTION.data_start : _NUMBERS_END].view(_NUMBERS)[:, 0]
        fixed["score"] = batch.score[rows]
        fixed["input_digest"] = batch.digests[rows]
        fixed["owner_epoch"] = batch.epochs[rows]
        fixed["scored_at_us"] = batch.scored_at_us
        if batch.scores is not None:
            matrix[:, scores_at : scores_at + 8 * batch.scores.shape[1]].view(">f8")[:] = batch.scores[rows]
        return Blobs.from_matrix(matrix)


_MARK = float(np.frombuffer(b"\x7f\xe1\x5c\x03\xa9\x24\xd7\x88", ">f8")[0])
"""A number that no other part of a template looks like."""


def _scores_offset(template: bytes, classes: int) -> int:
    marks = np.array([_MARK] * classes, ">f8").tobytes()
    return template.index(marks) if classes else 0


def encode_dead_letters(batch: DeadLetterBatch, fields: dict[str, Any], failed_at_us: int) -> Blobs:
    """DeadLetter records; these are few, so they are written one by one."""
    values: list[bytes] = []
    digests = batch.digests.tolist()
    for index, record in enumerate(batch.records.tolist()):
        body = {
            **fields,
            "cause": batch.causes[index],
            "message": batch.messages[index],
            "input_digest": digests[index],
            "record": np.frombuffer(record, np.int8),
            "failed_at_us": failed_at_us,
        }
        values.append(encode_record(DEAD_LETTER, body))
    return Blobs.of(values)


def encode_messages(batch: PredictionBatch, fields: dict[str, Any], classes: tuple[str, ...]) -> Blobs:
    """PredictionMessage records for the topic."""
    count = len(batch)
    key_length = int(batch.keys.lengths.max()) if count else 0
    labels = np.full(count, None, object)
    if batch.label_index is not None:
        labels = np.array(classes, object)[batch.label_index]
    columns: dict[str, Any] = {
        "deployment": np.full(count, fields["deployment"], object),
        "model": np.full(count, fields["model"], object),
        "version": np.full(count, fields["version"], np.int32),
        "score": batch.score,
        "label": labels,
        "input_digest": batch.digests,
        "owner_epoch": batch.epochs,
        "scored_at_us": np.full(count, batch.scored_at_us, np.int64),
        "key": np.array(key_text(batch.keys), object),
    }
    if batch.scores is not None and bool((batch.keys.lengths == key_length).all()):
        columns["scores"] = batch.scores
        columns["key_data"] = batch.keys.matrix(0, key_length).view(np.int8)
        return encode_columns(PREDICTION_MESSAGE, columns)
    return _encode_messages_singly(batch, columns)


def _encode_messages_singly(batch: PredictionBatch, columns: dict[str, Any]) -> Blobs:
    records: list[bytes] = []
    for index, key in enumerate(batch.keys.tolist()):
        record = {name: column[index] for name, column in columns.items()}
        record["scores"] = None if batch.scores is None else batch.scores[index]
        record["key_data"] = np.frombuffer(key, np.int8)
        records.append(encode_record(PREDICTION_MESSAGE, record))
    return Blobs.of(records)


def _schema_id(value: bytes) -> int:
    return int.from_bytes(value[8:16], "big", signed=True)

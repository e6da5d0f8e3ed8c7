"""Encoding: columns of predictions → Prediction and PredictionMessage records, in one pass per shape.

Records of one label, key length and key text length differ only in numbers and key bytes, so they are written by
copying a template and setting what differs. Dead letters are few and are written one by one.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid_inference.model.signature import Signature
from grid_inference.records import DEAD_LETTER, PREDICTION, PREDICTION_MESSAGE, DeadLetterBatch, PredictionBatch
from grid_inference.wire.blobs import FEW, Blobs
from grid_inference.wire.compact import encode_record
from grid_inference.wire.compact.record import value_offset
from grid_inference.wire.keys import key_texts
from grid_inference.wire.schema import NUMBER_DTYPES, FieldKind, Schema

__all__ = ["PredictionEncoder", "encode_dead_letters"]

_NUMBERS = ("score", "input_digest", "owner_epoch", "scored_at_us")
_LAYOUTS = {FieldKind.FLOAT64: struct.Struct(">d"), FieldKind.INT64: struct.Struct(">q")}
_LENGTH_BYTES = 4
_SHAPE_BYTES_MAX = (1 << 20) - 1
"""Keys and key texts up to this length fit into one number with their label; longer ones are written one by one."""
_TEMPLATES_MAX = 4096
Rows = slice | NDArray[np.int64]
Shape = tuple[int, int, int]
"""Label, bytes of the key, bytes of the key's text: what the layout of a record depends on."""


class _Template:
    """The bytes that all records of one shape share, and where the others go."""

    def __init__(self, schema: Schema, record: dict[str, Any]) -> None:
        data = encode_record(schema, record)
        self.bytes = np.frombuffer(data, np.uint8)
        slots = [schema.slots[name] for name in _NUMBERS]
        self.numbers = [(schema.data_start + slot.offset, _LAYOUTS[slot.kind]) for slot in slots]
        self.scores_at = _content_offset(schema, data, "scores")
        self.key_at = _content_offset(schema, data, "key")
        self.key_data_at = _content_offset(schema, data, "key_data")


class PredictionEncoder:
    """Writes the records of one deployment, model and version."""

    def __init__(self, deployment: str, model: str, version: int, signature: Signature) -> None:
        self.version = version
        self.constants = {"deployment": deployment, "model": model, "version": version}
        """Fields that are the same in every record."""
        self.signature = signature
        self._templates: dict[tuple[int, Shape], _Template] = {}

    def predictions(self, batch: PredictionBatch) -> Blobs:
        """Prediction records as whole Data, in the rows' order."""
        if len(batch) <= FEW:
            return Blobs.of([self._record(PREDICTION, batch, row, b"", b"") for row in range(len(batch))])
        groups = _rows_by_shape(self._labels(batch))
        matrices = [self._fill(PREDICTION, batch, None, rows, label) for label, rows in groups]
        if len(groups) == 1:
            return Blobs.from_matrix(matrices[0])
        back, every = np.empty(len(batch), np.int64), np.arange(len(batch))
        back[np.concatenate([every[rows] for _, rows in groups])] = every
        return Blobs.concat(map(Blobs.from_matrix, matrices)).take(back)

    def messages(self, batch: PredictionBatch) -> list[NDArray[np.uint8]]:
        """PredictionMessage records as whole Data: one byte matrix per shape, a record a row."""
        texts = key_texts(batch.keys)
        if len(batch) <= FEW or int(np.maximum(batch.keys.lengths, texts.lengths).max()) > _SHAPE_BYTES_MAX:
            rows = zip(range(len(batch)), batch.keys.tolist(), texts.tolist(), strict=True)
            records = (self._record(PREDICTION_MESSAGE, batch, row, key, text) for row, key, text in rows)
            return [np.frombuffer(record, np.uint8).reshape(1, -1) for record in records]
        shapes = (self._labels(batch) << 40) | (batch.keys.lengths << 20) | texts.lengths
        return [self._fill(PREDICTION_MESSAGE, batch, texts, rows, shape) for shape, rows in _rows_by_shape(shapes)]

    @staticmethod
    def _labels(batch: PredictionBatch) -> NDArray[np.int64]:
        return np.zeros(len(batch), np.int64) if batch.label_index is None else batch.label_index.astype(np.int64)

    def _fill(
        self, schema: Schema, batch: PredictionBatch, texts: Blobs | None, rows: Rows, packed: int
    ) -> NDArray[np.uint8]:
        """All records of one shape as a byte matrix."""
        shape = (packed, 0, 0) if texts is None else (packed >> 40, packed >> 20 & 0xFFFFF, packed & 0xFFFFF)
        template = self._template(schema, shape)
        digests = batch.digests[rows]
        matrix = np.tile(template.bytes, (digests.size, 1))
        columns = {"score": batch.score[rows], "input_digest": digests, "owner_epoch": batch.epochs[rows]}
        for name, values in {**columns, "scored_at_us": batch.scored_at_us}.items():
            slot = schema.slots[name]
            at, dtype = schema.data_start + slot.offset, NUMBER_DTYPES[slot.kind]
            matrix[:, at : at + dtype.itemsize].view(dtype)[:, 0] = values
        if batch.scores is not None:
            end = template.scores_at + 8 * batch.scores.shape[1]
            matrix[:, template.scores_at : end].view(">f8")[:] = batch.scores[rows]
        if texts is not None:
            _set_bytes(matrix, template.key_data_at, batch.keys, rows, shape[1])
            _set_bytes(matrix, template.key_at, texts, rows, shape[2])
        return matrix

    def _record(self, schema: Schema, batch: PredictionBatch, row: int, key: bytes, text: bytes) -> bytearray:
        """One record by itself."""
        label = 0 if batch.label_index is None else int(batch.label_index[row])
        template = self._template(schema, (label, len(key), len(text)))
        record = bytearray(template.bytes)
        numbers = (batch.score[row], batch.digests[row], batch.epochs[row], batch.scored_at_us)
        for (at, layout), value in zip(template.numbers, numbers, strict=True):
            layout.pack_into(record, at, value)
        if batch.scores is not None:
            struct.pack_into(f">{batch.scores.shape[1]}d", record, template.scores_at, *batch.scores[row].tolist())
        if text:
            record[template.key_data_at : template.key_data_at + len(key)] = key
            record[template.key_at : template.key_at + len(text)] = text
        return record

    def _template(self, schema: Schema, shape: Shape) -> _Template:
        known = self._templates.get((schema.schema_id, shape))
        if known is None:
            if len(self._templates) >= _TEMPLATES_MAX:  # of several labels there may be very many combinations
                self._templates.clear()
            label, key_bytes, text_bytes = shape
            record: dict[str, Any] = {**self.constants, **dict.fromkeys(_NUMBERS, 0)}
            record["label"], count = self.signature.label(label), self.signature.scores_count
            record["scores"] = [0.0] * count if count else None
            if schema is PREDICTION_MESSAGE:
                record["key"], record["key_data"] = " " * text_bytes, np.zeros(key_bytes, np.int8)
            known = self._templates[schema.schema_id, shape] = _Template(schema, record)
        return known


def _rows_by_shape(shapes: NDArray[np.int64]) -> list[tuple[int, Rows]]:
    """(shape, its rows) for each shape there is; all rows as a slice if there is one only."""
    if not shapes.size or bool((shapes == shapes[0]).all()):
        return [(int(shapes[0]) if shapes.size else 0, slice(None))]
    order = np.argsort(shapes, kind="stable")
    distinct, starts = np.unique(shapes[order], return_index=True)
    return list(zip(distinct.tolist(), np.split(order, starts[1:]), strict=True))


def _set_bytes(matrix: NDArray[np.uint8], at: int, blobs: Blobs, rows: Rows, width: int) -> None:
    matrix[:, at : at + width] = (blobs if isinstance(rows, slice) else blobs.take(rows)).matrix(0, width)


def _content_offset(schema: Schema, data: bytes, name: str) -> int:
    """Where the content of a string or array field begins, behind its length; 0 if it is null or not in the schema."""
    at = value_offset(schema, data, name) if name in schema.slots else None
    return 0 if at is None else at + _LENGTH_BYTES


def encode_dead_letters(batch: DeadLetterBatch, constants: dict[str, Any], failed_at_us: int) -> Blobs:
    """DeadLetter records as whole Data, in the rows' order."""
    values: list[bytes] = []
    digests = batch.digests.tolist()
    for row, record in enumerate(batch.records.tolist()):
        body = {"cause": batch.causes[row], "message": batch.messages[row], "input_digest": digests[row]}
        content = {"record": record, "failed_at_us": failed_at_us}
        values.append(encode_record(DEAD_LETTER, {**constants, **body, **content}))
    return Blobs.of(values)

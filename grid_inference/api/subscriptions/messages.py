"""Messages of a deployment's topic → predictions: those of the deployment that match a filter."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from grid_inference.api.subscriptions.arrivals import Arrival
from grid_inference.errors import DecodeError
from grid_inference.flow.where import Where
from grid_inference.records import PREDICTION_MESSAGE, Prediction
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.columns import objects_of
from grid_inference.wire.compact import Schema, decode_columns, decode_record, has_field, schema_ids
from grid_inference.wire.keys import key_text

__all__ = ["Messages", "matching"]


def matching(where: Where, schema: Schema, keys: Blobs, values: Blobs) -> NDArray[np.bool_]:
    """Which of n predictions, or messages of them, match a filter over a message's fields; shape (n,)."""
    fields = [name for name in where.fields if has_field(schema, name)]
    columns = decode_columns(values, schema, fields)
    if "key" in where.fields:
        columns["key"] = objects_of(key_text(keys))
    return where.mask(columns)


class Messages:
    """Reads the messages of one deployment; a topic may carry others' as well, which are passed by."""

    def __init__(self, deployment: str, where: Where | None) -> None:
        self._deployment = deployment
        self._where = where

    def read(self, values: list[bytes]) -> list[Arrival]:
        """Messages' Data → predictions, in order."""
        blobs = Blobs.of(values)
        compact, ids = schema_ids(blobs)
        ours = np.flatnonzero(compact & (ids == PREDICTION_MESSAGE.schema_id))
        found = [arrival for row in ours.tolist() if (arrival := self._read(values[row]))]
        if not self._where or not found:
            return [arrival for arrival, _ in found]
        keys, kept = Blobs.of([arrival.key for arrival, _ in found]), Blobs.of([value for _, value in found])
        mask = matching(self._where, PREDICTION_MESSAGE, keys, kept).tolist()
        return [arrival for (arrival, _), matches in zip(found, mask, strict=True) if matches]

    def _read(self, value: bytes) -> tuple[Arrival, bytes] | None:
        try:
            key = np.asarray(decode_record(PREDICTION_MESSAGE, value)["key_data"], np.int8).tobytes()
            prediction = Prediction.decode(key, value)
        except DecodeError:
            return None
        return (Arrival(key, prediction), value) if prediction.deployment == self._deployment else None

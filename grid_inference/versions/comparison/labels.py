"""Labels: what came true of records, from a map under the same keys, as the numbers that scores are held against.

A label is a plain value (a string, a number, a boolean), or a field of a Compact record or JSON object.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid_inference.errors import ComparisonError
from grid_inference.grid.entries import by_format
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap, rows_of
from grid_inference.model.signature import Signature
from grid_inference.wire import layout
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import schema_ids
from grid_inference.wire.json.columns import json_rows
from grid_inference.wire.keys import DataKey, decode_keys, key_text

__all__ = ["Labels"]

_BOOLEANS = {struct.pack(">ib", layout.TYPE_BOOLEAN, value): bool(value) for value in (0, 1)}


class Labels:
    """The labels in a map; of records and objects those in one of their fields."""

    def __init__(self, link: Link, name: str, field: str | None = None) -> None:
        self._link = link
        self._name = name
        self._field = field

    async def truth(self, keys: Blobs, signature: Signature) -> NDArray[np.float64]:
        """The label of each record: a regressor's value, or the number of the class; NaN where there is none.

        Raises ComparisonError if no key has a label, or for a label that the model can't give.
        """
        found, values = await GridMap(self._link, self._name).get_batch(keys)
        labels = await self._read(found, values)
        truth = np.full(len(found), np.nan)
        for row, label in enumerate(labels):
            if label is not None and label == label:  # noqa: PLR0124  # NaN alone differs
                number = _number(label, signature)
                if number is None:
                    wanted = ", ".join(signature.classes) or "a number"
                    raise self._error(found, row, f"is {label!r}, and the model gives {wanted}")
                truth[row] = number
        if np.isnan(truth).all():
            where = f"the field {self._field!r} of {self._name!r}" if self._field else repr(self._name)
            raise ComparisonError(
                f"{where} has no label of any of the {len(keys):,} records",
                remedy="labels stand under their records' keys; a number of another type is another key",
            )
        rows = rows_of(keys, found)
        return np.where(rows < 0, np.nan, truth[rows])

    async def _read(self, keys: Blobs, values: Blobs) -> list[Any]:
        labels: list[Any] = [None] * len(keys)
        structured = json_rows(values) | schema_ids(values)[0]
        plain = np.flatnonzero(~structured)
        for row, value in zip(plain.tolist(), decode_keys(values.take(plain)), strict=True):
            labels[row] = _BOOLEANS.get(value[layout.TYPE_OFFSET :]) if isinstance(value, DataKey) else value
            if isinstance(value, DataKey) and labels[row] is None:
                raise self._error(keys, row, "can't be read")
        some = np.flatnonzero(structured)
        for at, part in await by_format(self._link, self._name, keys.take(some), values.take(some)):
            field = self._field or self._only(part.names())
            column = part.columns([field]).get(field)
            if column is not None:
                for row, value, there in zip(
                    some[at].tolist(), column.values.tolist(), column.present().tolist(), strict=True
                ):
                    labels[row] = value if there else None
        return labels

    def _only(self, names: set[str]) -> str:
        if len(names) != 1:
            raise ComparisonError(
                f"the values in {self._name!r} have several fields: {', '.join(sorted(names)) or 'none'}",
                remedy='say which one is the label: label_field="…", --label-field',
            )
        return next(iter(names))

    def _error(self, keys: Blobs, row: int, problem: str) -> ComparisonError:
        key = key_text(keys.take(np.array([row])))[0]
        return ComparisonError(
            f"the label of key {key} in {self._name!r} {problem}", remedy="correct the label, or remove it"
        )


def _number(label: Any, signature: Signature) -> float | None:
    """A label as a score is: a value, or the number of a class; None if it is none."""
    if signature.task == "regressor":
        return float(label) if isinstance(label, int | float | Decimal) and not isinstance(label, bool) else None
    return next((float(signature.classes.index(text)) for text in _texts(label) if text in signature.classes), None)


def _texts(label: Any) -> Iterator[str]:
    """How a class may be called that is this value: True is 1, and 1 is 1.0."""
    yield str(label)
    if isinstance(label, int | float) and float(label).is_integer():
        yield from (str(int(label)), str(float(label)))
        if label in (0, 1):
            yield str(bool(label))

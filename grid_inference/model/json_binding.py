"""`JsonBinding`: JSON values as a model's inputs. They have no schema, so every row is looked at by itself.

In: a signature. Out: the same inputs that a Compact record of these numbers and texts gives, and for each row that has
no meaning in them the reason. A field that is missing is null.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from grid_inference.model.binding import Mismatch
from grid_inference.model.engines.isolate import Inputs
from grid_inference.model.frame import Frame
from grid_inference.model.signature import Signature
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import Column
from grid_inference.wire.json_columns import decode_json_columns

__all__ = ["JsonBinding"]


@dataclass(frozen=True, slots=True)
class JsonBinding:
    """JSON values as the model's inputs."""

    signature: Signature
    """With its order settled."""

    def inputs(self, values: Blobs) -> tuple[Inputs, dict[int, Mismatch]]:
        """The inputs of n JSON values, and the rows that have no meaning in them: damaged, or of a wrong type."""
        field = self.signature.array_field
        names = self.signature.names if field is None else (field,)
        columns, damaged = decode_json_columns(values, names)
        misfits = {row: Mismatch("UNDECODABLE", reason) for row, reason in damaged.items()}
        if field is not None:
            return self._from_array(columns[field], misfits), misfits
        if self.signature.frame:
            texts = {each.name for each in self.signature.inputs if each.dtype == "string"}
            return Frame.of({name: _frame_column(columns[name], text=name in texts) for name in names}), misfits
        matrix = np.empty((len(values), len(names)))
        for index, name in enumerate(names):
            matrix[:, index] = _numbers(columns[name], _refuses(misfits, f"{name} is %s, the model needs a number"))
        return matrix, misfits

    def _from_array(self, column: Column, misfits: dict[int, Mismatch]) -> NDArray[np.float64]:
        count = self.signature.inputs_count
        matrix = np.full((len(column), count), np.nan)
        reason = Mismatch("WRONG_TYPE", f"{self.signature.array_field} is no array of {count} numbers")
        for row, value in enumerate(column.values.tolist()):
            if _is_array(value, count):
                matrix[row] = [np.nan if each is None else each for each in value]
            else:
                misfits.setdefault(row, reason)
        return matrix


def _is_array(value: Any, count: int) -> bool:
    if not isinstance(value, list) or len(cast("list[Any]", value)) != count:
        return False
    return all(each is None or isinstance(each, int | float) for each in cast("list[Any]", value))


def _numbers(column: Column, refuse: Callable[[int, object], None]) -> NDArray[np.float64]:
    """A column as doubles, NaN where it is null; `refuse` is told each row whose value is no number."""
    if column.values.dtype.kind != "O":
        found = column.values.astype(np.float64)
    else:
        found = np.full(len(column), np.nan)
        for row, value in enumerate(column.values.tolist()):
            if isinstance(value, int | float):
                found[row] = value
            elif value is not None:
                refuse(row, value)
    return found if column.valid is None else np.where(column.valid, found, np.nan)


def _refuses(misfits: dict[int, Mismatch], message: str) -> Callable[[int, object], None]:
    def refuse(row: int, value: object) -> None:
        kind = "a string" if isinstance(value, str) else "an array" if isinstance(value, list) else "an object"
        misfits.setdefault(row, Mismatch("WRONG_TYPE", message % kind))

    return refuse


def _frame_column(column: Column, *, text: bool) -> NDArray[Any]:
    """Numbers as doubles, booleans as they are if none is null, anything else as Python objects with NaN for null."""
    valid = np.ones(len(column), np.bool_) if column.valid is None else column.valid
    if column.values.dtype.kind == "b" and bool(valid.all()) and not text:
        return column.values
    if column.values.dtype.kind != "O" and not text:
        return np.where(valid, column.values.astype(np.float64), np.nan)
    found = np.full(len(column), np.nan, np.object_)
    found[valid] = column.values[valid]
    return found

"""`JsonBinding`: JSON values as a model's inputs. They have no schema, so every row is looked at by itself.

In: where the inputs come from. Out: the same inputs that a Compact record of these numbers and texts gives, and for
each row that has no meaning in them the reason. A field that is missing is null.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from grid_inference.model.engines.isolate import Inputs
from grid_inference.model.sources import Misfits, Mismatch, Sources
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import Column
from grid_inference.wire.json_columns import decode_json_columns

__all__ = ["JsonBinding"]


@dataclass(frozen=True, slots=True)
class JsonBinding:
    """JSON values as the model's inputs."""

    sources: Sources
    """Of a signature whose order is settled."""

    def inputs(self, values: Blobs) -> tuple[Inputs, Misfits]:
        """The inputs of n JSON values, and the rows that have no meaning in them: damaged, or of a wrong type."""
        signature = self.sources.signature
        field = signature.array_field
        names = [each for name in signature.names for each in self.sources.fields(name)] if field is None else [field]
        columns, damaged = decode_json_columns(values, list(dict.fromkeys(names)))
        misfits = {row: Mismatch("UNDECODABLE", reason) for row, reason in damaged.items()}
        if field is not None:
            return _array(columns[field], field, signature.inputs_count, misfits), misfits
        plain = {name: _plain(column) for name, column in columns.items()}
        return self.sources.inputs(plain, len(values), misfits), misfits


def _plain(column: Column) -> Column:
    """Numbers as doubles, whether all of a batch are whole or not; booleans as such if none is null."""
    whole = column.valid is None or bool(column.valid.all())
    if column.values.dtype.kind == "i" or (column.values.dtype.kind == "b" and not whole):
        return Column(column.values.astype(np.float64), column.valid)
    return Column(column.values) if whole else column


def _array(column: Column, field: str, count: int, misfits: Misfits) -> NDArray[np.float64]:
    matrix = np.full((len(column), count), np.nan)
    reason = Mismatch("WRONG_TYPE", f"{field} is no array of {count} numbers")
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

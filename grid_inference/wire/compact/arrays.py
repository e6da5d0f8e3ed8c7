"""Columns that are arrays of numpy's numbers and booleans: their dtypes say what records they make, found out once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact.encode import around, with_fixed_part
from grid_inference.wire.compact.fixed import fixed_runs
from grid_inference.wire.schema import Schema

__all__ = ["ArraysEncoder", "Dtypes", "dtypes_of"]

Dtypes = tuple[tuple[str, ...], tuple[Any, ...]]
"""The names of columns and their dtypes; None for what is no array of one dimension."""


def dtypes_of(columns: Mapping[str, Any]) -> Dtypes:
    """What tells whether other columns are encoded alike."""
    return tuple(columns), tuple(
        values.dtype if type(values) is np.ndarray and values.ndim == 1 else None for values in columns.values()
    )


class ArraysEncoder:
    """Encodes columns of certain names and dtypes by their schema."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._head, _ = around(schema, ())
        self._runs = [(run, [slot.name for slot in run.slots]) for run in fixed_runs(schema)]

    @classmethod
    def of(cls, schema: Schema, dtypes: Dtypes) -> ArraysEncoder | None:
        """For columns for which the schema was made; None if some of their values might not fit, or be null."""
        fit = all(dtype is not None and dtype.kind in "biuf" and dtype != np.uint64 for dtype in dtypes[1])
        return cls(schema) if fit else None

    def encode(self, columns: Mapping[str, Any]) -> Blobs | None:
        """One whole Data per row; None if the columns are of different lengths."""
        rows = {values.shape[0] for values in columns.values()}
        if len(rows) != 1:
            return None
        fixed = [(run, [columns[name] for name in names]) for run, names in self._runs]
        return Blobs.from_matrix(with_fixed_part(self._head, rows.pop(), self.schema, fixed))

"""Fields of Compact records → one matrix of doubles, and whether records are all of one format.

The byte table: `compact/`. A field of fixed size lies at a constant place; where a nullable one lies, the record's own
table of offsets tells, which is held against the record's bounds before anything is read by it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from grid_inference.wire.kernels.kernel import Bytes, Ints, Matrix, Table, kernel, part
from grid_inference.wire.kernels.words import Laid, half_at, int32_at, laid, word_at

__all__ = ["BAD_FIELD", "BAD_SIZE", "TOO_SHORT", "matrix", "one_format"]

U64 = np.uint64
TOO_SHORT, BAD_SIZE, BAD_FIELD = 1, 2, 3
BOOLEAN, INT8, INT16, INT32, INT64, FLOAT32, FLOAT64 = 1, 3, 7, 9, 11, 13, 15
"""As in `FieldKind`."""
_HEADER, _SCHEMA_ID = 8, 8


@part
def _number(data: Laid, at: int, kind: int, bit: int) -> Any:
    """The number of a kind at a place; of booleans the bit."""
    if kind == FLOAT64:
        return U64(word_at(data, at)).view(np.float64)
    if kind == FLOAT32:
        return np.float64(np.uint32(half_at(data, at)).view(np.float32))
    if kind == INT64:
        return np.float64(U64(word_at(data, at)).view(np.int64))
    if kind == INT32:
        return np.float64(int32_at(data, at))
    if kind == INT16:
        value = np.int64(data[0][U64(at)]) << 8 | np.int64(data[0][U64(at + 1)])
        return np.float64(value - ((value >> 15) << 16))
    if kind == INT8:
        value = np.int64(data[0][U64(at)])
        return np.float64(value - ((value >> 7) << 8))
    return np.float64(np.int64(data[0][U64(at)]) >> bit & 1)


@part
def _size(kind: int) -> int:
    if kind in (FLOAT64, INT64):
        return 8
    if kind in (FLOAT32, INT32):
        return 4
    return 2 if kind == INT16 else 1


@part
def _offset(data: Laid, at: int, width: int) -> Any:
    """An entry of a table of offsets, -1 for a null."""
    if width == 4:
        return int32_at(data, at)
    if width == 1:
        value = np.int64(data[0][U64(at)])
        return -1 if value == 0xFF else value
    value = np.int64(data[0][U64(at)]) << 8 | np.int64(data[0][U64(at + 1)])
    return -1 if value == 0xFFFF else value


@kernel
def matrix(
    buffer: Bytes, starts: Ints, lengths: Ints, plan: Table, begin: int, fixed: int, variable: int, found: Matrix
) -> int:
    """Fields of records → `found`, shape (n, k), a null as NaN; 0 or what is wrong.

    `plan`, shape (k, 4), has of each field its kind, its offset in the fixed part, its bit, and its place in the table
    of offsets or -1. The fixed part begins at `begin` and has `fixed` bytes; `variable` fields are in the table, and
    0 where none of them is wanted.
    """
    data = laid(buffer)
    least = begin
    for column in range(plan.shape[0]):
        if plan[column, 3] < 0:
            least = max(least, begin + plan[column, 1] + _size(plan[column, 0]))
    for row in range(starts.size):
        if lengths[row] < least:
            return TOO_SHORT
        first = starts[row] + begin
        size, width = fixed, 1
        if variable:
            size = int32_at(data, first - 4)
            width = 1 if size < 0xFF else 2 if size < 0xFFFF else 4
            if size < fixed or begin + size + width * variable > lengths[row]:
                return BAD_SIZE
        for column in range(plan.shape[0]):
            kind, at, bit, index = plan[column, 0], plan[column, 1], plan[column, 2], plan[column, 3]
            if index >= 0:
                at = _offset(data, first + size + width * index, width)
                if at == -1:
                    found[row, column] = np.nan
                    continue
                if at < fixed or at + _size(kind) > size:
                    return BAD_FIELD
                if kind == BOOLEAN:  # alone in a byte, of which any bit is as good
                    found[row, column] = 1.0 if buffer[U64(first + at)] != 0 else 0.0
                    continue
            found[row, column] = _number(data, first + at, kind, bit)
    return 0


@kernel
def one_format(buffer: Bytes, starts: Ints, lengths: Ints, found: Table) -> int:
    """Type id and schema id of the first Data → `found`, shape (1, 2); 1 if all are so, and long enough to tell."""
    data = laid(buffer)
    for row in range(starts.size):
        if lengths[row] < _HEADER + _SCHEMA_ID:
            return 0
        kind, schema = int32_at(data, starts[row] + 4), U64(word_at(data, starts[row] + _HEADER)).view(np.int64)
        if row == 0:
            found[0, 0], found[0, 1] = kind, schema
        elif kind != found[0, 0] or schema != found[0, 1]:
            return 0
    return 1

"""Rows of bytes, put together and handed to Arrow: what several blobs hold of a row, one behind the other.

Rows of one length are a byte matrix, written column by column; all others are joined by Arrow, which needs no Python
object for any of them either.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from grid_inference.wire.blobs import FEW, Blobs

__all__ = ["arrow_bytes", "blobs_of", "blocks", "join_rows"]

_BINARY = pa.large_binary()
_BLOCK_BYTES = 1 << 19
_BLOCK_ROWS_MIN = 64
"""Of rows of many kilobytes, as each block costs a step a column."""
# What stays among Arrow's buffers does not import pandas: neither pa.scalar, nor pa.array, nor to_numpy.


def join_rows(parts: Sequence[Blobs | NDArray[np.uint8] | bytes]) -> Blobs:
    """The rows of all parts joined: blobs, of which a null is no bytes; byte matrices; bytes that are in every row."""
    rows = next(len(part) for part in parts if not isinstance(part, bytes))
    joined, alike = list[Any](), list[NDArray[np.uint8] | bytes]()
    for part in parts:
        if isinstance(part, Blobs):
            joined += [*_arrow_rows(_side_by_side(rows, alike)), arrow_bytes(part)]
            alike = []
        else:
            alike.append(part)
    last = _side_by_side(rows, alike)
    if not joined:
        return Blobs.from_matrix(last)
    nothing = _array(_BINARY, np.zeros(2, np.int64), np.empty(0, np.uint8))[0]
    joined += [*_arrow_rows(last), nothing]
    from pyarrow import compute  # noqa: PLC0415  # it makes its functions at import; who puts nothing needs none

    pc: Any = compute  # a type checker can't see them
    return blobs_of(pc.binary_join_element_wise(*joined, null_handling="replace", null_replacement=""))


def _arrow_rows(matrix: NDArray[np.uint8]) -> list[Any]:
    """The rows as an Arrow array, if they are any bytes."""
    rows, width = matrix.shape
    return [_array(_BINARY, np.arange(0, (rows + 1) * width, width), matrix)] if width else []


def _side_by_side(rows: int, parts: Sequence[NDArray[np.uint8] | bytes]) -> NDArray[np.uint8]:
    """Byte matrices and bytes as one matrix."""
    columns = [np.frombuffer(part, np.uint8)[np.newaxis] if isinstance(part, bytes) else part for part in parts]
    columns = [np.ascontiguousarray(column) for column in columns if column.size]
    if len(columns) == 1 and len(columns[0]) == rows:
        return columns[0]
    matrix = np.empty((rows, sum(column.shape[1] for column in columns)), np.uint8)
    for some in blocks(*matrix.shape):
        block, at = matrix[some], 0
        for column in columns:
            item = np.dtype((np.void, column.shape[1]))
            target: NDArray[Any] = np.ndarray((len(block),), item, block, at, (block.shape[1],))
            target[:] = (column[some] if len(column) == rows else column).view(item)[:, 0]
            at += item.itemsize
    return matrix


def blocks(rows: int, width: int) -> Iterator[slice]:
    """So many rows of a byte matrix at a time as stay in a core's cache while it is written column by column."""
    step = max(_BLOCK_ROWS_MIN, _BLOCK_BYTES // max(width, 1))
    return (slice(first, first + step) for first in range(0, rows, step))


def blobs_of(array: Any) -> Blobs:
    """An Arrow array of large strings or bytes, without a copy."""
    valid, offsets, data = array.buffers()
    ends = np.frombuffer(offsets, np.int64, len(array) + 1, 8 * array.offset)
    lengths = np.diff(ends)
    if valid is not None and array.null_count:
        there = np.unpackbits(np.frombuffer(valid, np.uint8), count=array.offset + len(array), bitorder="little")
        lengths[there[array.offset :] == 0] = -1
    return Blobs(np.frombuffer(data or b"", np.uint8), ends[:-1], lengths)


def arrow_bytes(blobs: Blobs, kind: Any = _BINARY) -> Any:
    """An Arrow array of a large kind, null where a blob is; that the bytes are of this kind is not looked at."""
    starts, lengths, null = blobs.starts, blobs.lengths, blobs.lengths < 0
    has_null = bool(null.any())
    if len(blobs) and not has_null and bool((starts[1:] == starts[:-1] + lengths[:-1]).all()):
        return _array(kind, np.append(starts, starts[-1] + lengths[-1]), blobs.buffer)
    if len(blobs) <= FEW:
        return _packed(blobs, kind)
    there = np.flatnonzero(~null)
    order = there[np.argsort(starts[there], kind="stable")]
    offsets = np.stack([starts[order], starts[order] + lengths[order]], axis=1).reshape(-1)
    if not order.size or offsets[0] < 0 or offsets[-1] > blobs.buffer.size or bool((offsets[1:] < offsets[:-1]).any()):
        return _packed(blobs, kind)
    # To Arrow the blobs and what lies between them are one array, of which it copies every second item.
    places = np.zeros(len(blobs), np.int64)
    places[order] = np.arange(0, offsets.size, 2)
    valid = _bits(~null) if has_null else None
    chosen = pa.Array.from_buffers(pa.int64(), places.size, [valid, pa.py_buffer(places)])
    return _array(kind, offsets, blobs.buffer).take(chosen)


def _packed(blobs: Blobs, kind: Any) -> Any:
    """From blobs that lie anywhere."""
    packed = blobs.compact()
    null = blobs.lengths < 0
    valid = _bits(~null) if bool(null.any()) else None
    return _array(kind, np.append(packed.starts, packed.buffer.size), packed.buffer, valid)


def _bits(valid: NDArray[np.bool_]) -> Any:
    return pa.py_buffer(np.packbits(valid, bitorder="little"))


def _array(kind: Any, offsets: NDArray[np.int64], data: NDArray[np.uint8], valid: Any = None) -> Any:
    return pa.Array.from_buffers(kind, offsets.size - 1, [valid, pa.py_buffer(offsets), pa.py_buffer(data)])

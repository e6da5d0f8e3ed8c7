"""Rows of bytes, put together and handed to Arrow: what several blobs hold of a row, one behind the other.

Rows of one length are a byte matrix, written column by column; all others are joined by Arrow, which needs no Python
object for any of them either.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from grid_inference.wire.blobs import FEW, Blobs

__all__ = ["arrow_bytes", "blobs_of", "join_rows"]

pc: Any = pyarrow.compute  # makes its functions at import, which a type checker can't see
_BINARY = pa.large_binary()
_NOTHING = pa.scalar(b"", _BINARY)


def join_rows(parts: Sequence[Blobs | bytes], order: NDArray[np.intp] | None = None) -> Blobs:
    """The rows of all parts joined, in another order if one is given.

    A part that is bytes stands in every row; a null is no bytes.
    """
    widths = [len(part) if isinstance(part, bytes) else part.width for part in parts]
    if None in widths:
        arrays = [pa.scalar(part, _BINARY) if isinstance(part, bytes) else arrow_bytes(part) for part in parts]
        joined = pc.binary_join_element_wise(*arrays, _NOTHING, null_handling="replace", null_replacement="")
        return blobs_of(joined if order is None else joined.take(pa.array(order)))
    taken = [part if order is None or isinstance(part, bytes) else part.take(order) for part in parts]
    rows = next(len(part) for part in taken if not isinstance(part, bytes))
    matrix, at = np.empty((rows, sum(width or 0 for width in widths)), np.uint8), 0
    for part, width in zip(taken, widths, strict=True):
        end = at + (width or 0)
        matrix[:, at:end] = np.frombuffer(part, np.uint8) if isinstance(part, bytes) else part.matrix(0, end - at)
        at = end
    return Blobs.from_matrix(matrix)


def blobs_of(array: Any) -> Blobs:
    """An Arrow array of large strings or bytes, without a copy."""
    valid, offsets, data = array.buffers()
    ends = np.frombuffer(offsets, np.int64, len(array) + 1, 8 * array.offset)
    lengths = np.diff(ends)
    if valid is not None and array.null_count:
        lengths[~array.is_valid().to_numpy(zero_copy_only=False)] = -1
    return Blobs(np.frombuffer(data or b"", np.uint8), ends[:-1], lengths)


def arrow_bytes(blobs: Blobs, kind: Any = _BINARY) -> Any:
    """An Arrow array of a large kind, null where a blob is; that the bytes are of this kind is not looked at."""
    if len(blobs) <= FEW:
        return _packed(blobs, kind)
    starts, ends, null = blobs.starts, blobs.starts + blobs.lengths, blobs.lengths < 0
    has_null = bool(null.any())
    if has_null:
        ends = np.maximum.accumulate(np.where(null, 0, ends))
        starts = np.where(null, ends, starts)
    if starts[0] < 0 or ends[-1] > blobs.buffer.size or bool((starts[1:] < ends[:-1]).any()):
        return _packed(blobs, kind)
    if not has_null and bool((starts[1:] == ends[:-1]).all()):
        return _array(kind, np.append(starts, ends[-1]), blobs.buffer)
    # To Arrow the blobs and what lies between them are one array, of which it copies every second item.
    offsets = np.stack([starts, ends], axis=1).reshape(-1)
    with_gaps = _array(kind, offsets, blobs.buffer)
    return with_gaps.take(pa.array(np.arange(0, offsets.size - 1, 2), mask=null if has_null else None))


def _packed(blobs: Blobs, kind: Any) -> Any:
    """From blobs that lie anywhere."""
    packed = blobs.compact()
    null = blobs.lengths < 0
    valid = pa.py_buffer(np.packbits(~null, bitorder="little")) if bool(null.any()) else None
    return _array(kind, np.append(packed.starts, packed.buffer.size), packed.buffer, valid)


def _array(kind: Any, offsets: NDArray[np.int64], data: NDArray[np.uint8], valid: Any = None) -> Any:
    return pa.Array.from_buffers(kind, offsets.size - 1, [valid, pa.py_buffer(offsets), pa.py_buffer(data)])

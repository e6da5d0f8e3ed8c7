"""UTF-8 texts of n records: blobs → Arrow strings → Python strings, made by Arrow in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from grid_inference.errors import DecodeError
from grid_inference.wire.blobs import Blobs

__all__ = ["arrow_texts", "decode_texts"]


def arrow_texts(texts: Blobs) -> Any:
    """An Arrow array of large_string, null where a blob is; DecodeError where the bytes are no UTF-8."""
    packed = texts.compact()
    offsets = np.append(packed.starts, packed.buffer.size)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(packed.buffer)]
    if bool((texts.lengths < 0).any()):
        buffers[0] = pa.py_buffer(np.packbits(texts.lengths >= 0, bitorder="little"))
    array = pa.Array.from_buffers(pa.large_string(), len(texts), buffers)
    try:
        array.validate(full=True)
    except pa.ArrowInvalid as error:
        raise DecodeError(f"a string is no UTF-8: {error}") from None
    return array


def decode_texts(texts: Blobs) -> NDArray[np.object_]:
    """Python strings, None for a null; shape (n,)."""
    return arrow_texts(texts).to_numpy(zero_copy_only=False)

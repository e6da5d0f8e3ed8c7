"""UTF-8 texts of n records: blobs → Arrow strings → Python strings, made by Arrow in one pass.

`Texts` has each distinct text once: of many equal ones only one Python string is made, and whoever turns texts into
something else need look at each only once. Bytes have been found to be UTF-8 before anybody sees a string of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from grid_inference.errors import DecodeError
from grid_inference.wire.blobs import FEW, Blobs

__all__ = ["Texts", "arrow_texts", "decode_texts", "shared_texts"]

SHARED_ROWS_MIN = 64
"""Fewer texts are made one by one before a table of the distinct ones is set up."""
SAMPLE_ROWS = 1024
"""Whether texts repeat is told by so many of the first."""
SAMPLE_DISTINCT_MAX = SAMPLE_ROWS // 2
"""More distinct ones in the sample, and a table of all would cost more than it saves."""


@dataclass(frozen=True, slots=True, eq=False)
class Texts:
    """n texts, each distinct one once."""

    codes: NDArray[np.intp]
    """Which of the distinct ones each is, shape (n,)."""
    distinct: NDArray[np.object_]
    """Python strings, shape (k,), each used; a null is the last, if there is any."""

    @classmethod
    def of(cls, values: NDArray[np.object_], null: object = np.nan) -> Texts | None:
        """Texts from Python strings and the one object that is a null.

        None if anything else is among them, or if they are hardly ever equal.
        """
        found = values.tolist()
        sample = found[:SAMPLE_ROWS] if len(found) > SAMPLE_ROWS else []
        if not all(type(value) is str or value is null for value in found):
            return None
        if len(set(sample)) > SAMPLE_DISTINCT_MAX:
            return None
        index = {value: code for code, value in enumerate(dict.fromkeys(found))}
        codes = np.fromiter(map(index.__getitem__, found), np.intp, len(found))
        return cls(codes, _objects(list(index)))

    def __getitem__(self, rows: slice | NDArray[Any]) -> Texts:
        """The texts of a slice, an index array or a boolean mask; what none of them is, is not kept."""
        used, codes = np.unique(self.codes[rows], return_inverse=True)
        return Texts(codes, self.distinct[used])

    def with_null(self, null: object) -> Texts:
        """The same with another value in the place of None."""
        if not self.distinct.size or self.distinct[-1] is not None:
            return self
        return Texts(self.codes, _objects([*self.distinct[:-1].tolist(), null]))

    def values(self) -> NDArray[np.object_]:
        """All n; equal ones are one Python object."""
        return self.distinct[self.codes]


def arrow_texts(texts: Blobs) -> Any:
    """An Arrow array of large_string, null where a blob is; DecodeError where the bytes are no UTF-8."""
    array = _arrow_bytes(texts)
    _check(array)
    return array


def decode_texts(texts: Blobs) -> NDArray[np.object_]:
    """Python strings, None for a null; shape (n,). DecodeError where the bytes are no UTF-8."""
    return arrow_texts(texts).to_numpy(zero_copy_only=False)


def shared_texts(texts: Blobs) -> Texts | None:
    """The same with each distinct text once, None for a null; None if they are few, or hardly ever equal."""
    if len(texts) < SHARED_ROWS_MIN:
        return None
    array = _arrow_bytes(texts)
    if len(array) > SAMPLE_ROWS and len(array[:SAMPLE_ROWS].unique()) > SAMPLE_DISTINCT_MAX:
        return None
    encoded = array.dictionary_encode()
    _check(encoded.dictionary)
    distinct, codes = encoded.dictionary.to_pylist(), encoded.indices
    if codes.null_count:
        codes = codes.fill_null(len(distinct))
        distinct.append(None)
    return Texts(codes.to_numpy().astype(np.intp), _objects(distinct))


def _arrow_bytes(texts: Blobs) -> Any:
    """The same as `arrow_texts`, not yet known to be UTF-8."""
    return _in_order(texts) or _packed(texts)


def _packed(texts: Blobs) -> Any:
    """From texts that lie anywhere."""
    packed = texts.compact()
    offsets = np.append(packed.starts, packed.buffer.size)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(packed.buffer)]
    if bool((texts.lengths < 0).any()):
        buffers[0] = pa.py_buffer(np.packbits(texts.lengths >= 0, bitorder="little"))
    return pa.Array.from_buffers(pa.large_string(), len(texts), buffers)


def _in_order(texts: Blobs) -> Any:
    """From texts of which each lies behind the one before, several times faster; None if they don't.

    To Arrow the texts and what lies between them are one array, of which it copies every second string.
    """
    if len(texts) <= FEW:
        return None
    starts, ends, null = texts.starts, texts.starts + texts.lengths, texts.lengths < 0
    has_null = bool(null.any())
    if has_null:
        ends = np.maximum.accumulate(np.where(null, 0, ends))
        starts = np.where(null, ends, starts)
    if starts[0] < 0 or ends[-1] > texts.buffer.size or bool((starts[1:] < ends[:-1]).any()):
        return None
    offsets = np.stack([starts, ends], axis=1).reshape(-1)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(texts.buffer)]
    with_gaps = pa.Array.from_buffers(pa.large_string(), offsets.size - 1, buffers)
    return with_gaps.take(pa.array(np.arange(0, offsets.size - 1, 2), mask=null if has_null else None))


def _check(array: Any) -> None:
    try:
        array.validate(full=True)
    except pa.ArrowInvalid as error:
        raise DecodeError(f"a string is no UTF-8: {error}") from None


def _objects(values: list[Any]) -> NDArray[np.object_]:
    found = np.empty(len(values), np.object_)
    found[:] = values
    return found

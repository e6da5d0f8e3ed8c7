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
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.rows import arrow_bytes

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
    array = arrow_bytes(texts, pa.large_string())
    _check(array)
    return array


def decode_texts(texts: Blobs) -> NDArray[np.object_]:
    """Python strings, None for a null; shape (n,). DecodeError where the bytes are no UTF-8."""
    return arrow_texts(texts).to_numpy(zero_copy_only=False)


def shared_texts(texts: Blobs) -> Texts | None:
    """The same with each distinct text once, None for a null; None if they are few, or hardly ever equal."""
    if len(texts) < SHARED_ROWS_MIN:
        return None
    array = arrow_bytes(texts, pa.large_string())
    if len(array) > SAMPLE_ROWS and len(array[:SAMPLE_ROWS].unique()) > SAMPLE_DISTINCT_MAX:
        return None
    encoded = array.dictionary_encode()
    _check(encoded.dictionary)
    distinct, codes = encoded.dictionary.to_pylist(), encoded.indices
    if codes.null_count:
        codes = codes.fill_null(len(distinct))
        distinct.append(None)
    return Texts(codes.to_numpy().astype(np.intp), _objects(distinct))


def _check(array: Any) -> None:
    try:
        array.validate(full=True)
    except pa.ArrowInvalid as error:
        raise DecodeError(f"a string is no UTF-8: {error}") from None


def _objects(values: list[Any]) -> NDArray[np.object_]:
    found = np.empty(len(values), np.object_)
    found[:] = values
    return found

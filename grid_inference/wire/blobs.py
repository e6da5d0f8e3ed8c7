"""`Blobs`: n byte strings in one buffer, the form in which keys and values travel through the whole system.

No Python object per record: slicing, grouping and reading of fields are done on the offset vectors. Reads at arbitrary
byte offsets go through one overlapping view of the buffer, which numpy gathers in one pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid_inference.errors import DecodeError

__all__ = ["FEW", "Blobs"]

FEW = 32
"""So few rows are quicker done one by one, in plain Python, than by numpy calls: what a trickle brings."""


@dataclass(slots=True, eq=False)
class Blobs:
    """n byte strings; blob i is `buffer[starts[i] : starts[i] + lengths[i]]`, and a length of -1 is a null.

    Not to be changed once it is made. Whoever builds one from bytes that came over the wire sees to it that no blob
    reaches outside the buffer.
    """

    buffer: NDArray[np.uint8]
    """All bytes, shape (size,)."""
    starts: NDArray[np.int64]
    """Where each blob begins, shape (n,)."""
    lengths: NDArray[np.int64]
    """How long each blob is in bytes, shape (n,); -1 for null."""

    @classmethod
    def of(cls, items: Sequence[bytes | bytearray | memoryview]) -> Blobs:
        """Pack Python byte strings one behind the other."""
        lengths = np.fromiter(map(len, items), np.int64, len(items))
        return cls(np.frombuffer(b"".join(items), np.uint8), _starts_of(lengths), lengths)

    @classmethod
    def from_matrix(cls, matrix: NDArray[np.uint8]) -> Blobs:
        """Take the rows of a C-contiguous (n, length) byte matrix as n blobs, without a copy."""
        count, length = matrix.shape
        starts = np.arange(count, dtype=np.int64) * length
        return cls(matrix.reshape(-1), starts, np.full(count, length, np.int64))

    @classmethod
    def empty(cls) -> Blobs:
        """No blobs at all."""
        nothing = np.empty(0, np.int64)
        return cls(np.empty(0, np.uint8), nothing, nothing)

    @classmethod
    def concat(cls, parts: Iterable[Blobs]) -> Blobs:
        """Join several in order. Parts that share one buffer keep sharing it: only offsets are copied."""
        some = [part for part in parts if len(part)]
        if not some:
            return cls.empty()
        if len(some) == 1:
            return some[0]
        lengths = np.concatenate([part.lengths for part in some])
        if all(part.buffer is some[0].buffer for part in some):
            return cls(some[0].buffer, np.concatenate([part.starts for part in some]), lengths)
        shifts = np.cumsum([0] + [part.buffer.size for part in some[:-1]])
        starts = np.concatenate([part.starts + shift for part, shift in zip(some, shifts, strict=True)])
        return cls(np.concatenate([part.buffer for part in some]), starts, lengths)

    def __len__(self) -> int:
        return self.starts.size

    def __getitem__(self, index: int) -> bytes:
        """One blob as bytes; a null is empty."""
        start, length = int(self.starts[index]), int(self.lengths[index])
        return self.buffer[start : start + max(length, 0)].tobytes()

    @property
    def columns(self) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
        """Buffer, starts and lengths: what kernels take."""
        return self.buffer, self.starts, self.lengths

    @property
    def nbytes(self) -> int:
        """Bytes of all blobs together, not of the buffer."""
        return int(np.add.reduce(np.maximum(self.lengths, 0)))

    @property
    def width(self) -> int | None:
        """The one length of all blobs; None if they differ, or there are none, or all are null."""
        width = int(self.lengths[0]) if len(self) else -1
        return width if width >= 0 and bool((self.lengths == width).all()) else None

    def take(self, rows: NDArray[Any]) -> Blobs:
        """The blobs at an index array or boolean mask; the buffer is shared."""
        return Blobs(self.buffer, self.starts[rows], self.lengths[rows])

    def tolist(self) -> list[bytes]:
        """Python bytes, one each; a null is empty."""
        if len(self) <= FEW:
            return [self[row] for row in range(len(self))]
        whole = self.buffer.tobytes()
        return [
            whole[start : start + max(length, 0)]
            for start, length in zip(self.starts.tolist(), self.lengths.tolist(), strict=True)
        ]

    def compact(self) -> Blobs:
        """The same blobs in a buffer of their own, one behind the other, so that a large message can be let go."""
        lengths = np.maximum(self.lengths, 0)
        if len(self) and int(self.lengths.min()) == int(self.lengths.max()) >= 0:
            return Blobs.from_matrix(self.matrix(0, int(lengths[0])))
        starts = _starts_of(lengths)
        where = np.arange(int(lengths.sum()), dtype=np.int64) + np.repeat(self.starts - starts, lengths)
        return Blobs(self.buffer[where], starts, self.lengths)

    def read(self, offset: int | NDArray[np.int64], dtype: Any) -> NDArray[Any]:
        """Gather one value of `dtype` (may be structured, big-endian, unaligned) at `offset` bytes into each blob.

        Returns shape (n,). Raises DecodeError where a blob is too short for it.
        """
        dtype = np.dtype(dtype)
        if not self.starts.size:
            return np.empty(0, dtype)
        if isinstance(offset, int):
            fits = offset >= 0 and self.lengths.min() >= offset + dtype.itemsize
        else:
            fits = offset.min() >= 0 and (self.lengths - offset).min() >= dtype.itemsize
        if not fits:
            raise DecodeError(f"a value of {dtype.itemsize} bytes lies outside its blob")
        everywhere: NDArray[Any] = np.ndarray((self.buffer.size - dtype.itemsize + 1,), dtype, self.buffer, 0, (1,))
        return everywhere[self.starts + offset]

    def matrix(self, offset: int, width: int) -> NDArray[np.uint8]:
        """Gather `width` bytes at `offset` into each blob as a C-contiguous (n, width) byte matrix."""
        if width == 0 or not len(self):
            return np.empty((len(self), width), np.uint8)
        return self.read(offset, np.dtype((np.void, width))).view(np.uint8).reshape(len(self), width)


def _starts_of(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    starts = np.zeros(lengths.size, np.int64)
    np.cumsum(lengths[:-1], out=starts[1:])
    return starts

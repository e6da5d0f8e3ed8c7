"""`Events`: what a journal or a scan has brought, as columns, with the two fingerprints by which the flow decides.

A key's identity tells which events speak of the same entry, a value's digest which value it is. Both are computed when
the bytes have just arrived, and serve the choice of the newest event, the reconcile and the prediction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from grid_inference.grid.maps import key_identities
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.digest import input_digest
from grid_inference.wire.kernels import digest as kernel
from grid_inference.wire.protocol.journal import JournalItems

__all__ = ["Events"]


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """n events: of each its key and the value that it left. Of one key the later row is the newer."""

    keys: Blobs
    values: Blobs
    """Records; length -1 where the entry was removed."""
    identities: NDArray[np.int64]
    """Equal for equal keys, shape (n,)."""
    digests: NDArray[np.int64]
    """Of the values, 0 where the entry was removed; shape (n,)."""

    @classmethod
    def of(cls, keys: Blobs, values: Blobs) -> Events:
        """Events of these keys and values."""
        return cls(keys, values, key_identities(keys), input_digest(values))

    @classmethod
    def of_items(cls, items: JournalItems) -> Events:
        """What items of a journal say."""
        return cls(items.keys, items.values, items.identities, items.digests)

    @classmethod
    def removals(cls, keys: Blobs) -> Events:
        """Events that say of each key that its entry is no more."""
        return cls.of(keys, Blobs(keys.buffer, keys.starts, np.full(len(keys), -1, np.int64)))

    @classmethod
    def concat(cls, parts: Sequence[Events]) -> Events:
        """Join several in order."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            Blobs.concat([part.keys for part in parts]),
            Blobs.concat([part.values for part in parts]),
            np.concatenate([part.identities for part in parts]),
            np.concatenate([part.digests for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.keys)

    def parted(self, count: int) -> tuple[Events, Events]:
        """The first so many, and the others."""
        rows = np.arange(len(self))
        return self.take(rows[:count]), self.take(rows[count:])

    @property
    def nbytes(self) -> int:
        """Bytes of all values."""
        return self.values.nbytes

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Events:
        """Those at an index array or boolean mask."""
        return Events(self.keys.take(rows), self.values.take(rows), self.identities[rows], self.digests[rows])

    def newest_rows(self, partitions: NDArray[np.int32]) -> NDArray[np.int64]:
        """Of every key only its last row: predictions of older ones would be overwritten in the same breath.

        A key that a client has given another partition than its bytes say is another entry there.
        """
        rows = np.empty(len(self), np.int64)
        slots = np.full(1 << (2 * len(self)).bit_length(), -1, np.int64)
        return rows[kernel.newest(self.identities, partitions, slots, rows) :]

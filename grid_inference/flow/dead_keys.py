"""`DeadKeys`: which keys of the owned partitions have a dead letter, 8 bytes a key: a success must remove it.

A key is known until its removal is acknowledged.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from grid_inference.grid.maps import key_identities
from grid_inference.wire.blobs import Blobs

__all__ = ["DeadKeys"]


class DeadKeys:
    """By partition the identities of keys, sorted; a partition without any is not kept."""

    def __init__(self) -> None:
        self._known: dict[int, NDArray[np.int64]] = {}

    def set(self, partition: int, keys: Blobs) -> None:
        """These are all of a partition."""
        self._keep(partition, np.unique(key_identities(keys)) if len(keys) else np.empty(0, np.int64))

    def more(self, partition: int, keys: Blobs) -> None:
        """These of a partition have one as well."""
        self.add(keys, np.full(len(keys), partition, np.int32))

    def add(self, keys: Blobs, partitions: NDArray[np.int32]) -> None:
        """These have one now."""
        for partition, identities in _by_partition(keys, partitions):
            self._keep(partition, np.union1d(self._of(partition), identities))

    def discard(self, keys: Blobs, partitions: NDArray[np.int32]) -> None:
        """These have none any more."""
        for partition, identities in _by_partition(keys, partitions):
            self._keep(partition, np.setdiff1d(self._of(partition), identities, assume_unique=True))

    def __bool__(self) -> bool:
        return bool(self._known)

    def rows_among(self, keys: Blobs, partitions: NDArray[np.int32]) -> NDArray[np.intp]:
        """Rows of the keys that have one."""
        if not self._known or not len(keys):
            return np.empty(0, np.intp)
        found, identities = np.zeros(len(keys), np.bool_), key_identities(keys)
        for partition in np.unique(partitions).tolist():
            if partition in self._known:
                mine = partitions == partition
                found[mine] = np.isin(identities[mine], self._known[partition])
        return np.flatnonzero(found)

    def _of(self, partition: int) -> NDArray[np.int64]:
        return self._known.get(partition, np.empty(0, np.int64))

    def _keep(self, partition: int, identities: NDArray[np.int64]) -> None:
        if identities.size:
            self._known[partition] = identities
        else:
            self._known.pop(partition, None)


def _by_partition(keys: Blobs, partitions: NDArray[np.int32]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    if not len(keys):
        return
    identities = key_identities(keys)
    for partition in np.unique(partitions).tolist():
        yield partition, np.unique(identities[partitions == partition])

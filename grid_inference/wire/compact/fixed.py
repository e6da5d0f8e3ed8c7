"""The fixed part of Compact records: neighbours of one kind are one strided matrix, read and written at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid_inference.wire.schema import NUMBER_DTYPES, FieldKind, Schema, Slot

__all__ = ["Run", "fixed_runs", "native", "runs_of"]


def native(kind: FieldKind) -> np.dtype[Any]:
    """The dtype of a column of a fixed-size kind."""
    return _NATIVE[kind]


_NATIVE = {FieldKind.BOOLEAN: np.dtype(np.bool_)} | {kind: np.dtype(each.type) for kind, each in NUMBER_DTYPES.items()}


@dataclass(frozen=True, slots=True)
class Run:
    """Fields of one kind that are neighbours in the fixed part; a boolean is one by itself."""

    slots: tuple[Slot, ...]
    end: int
    """Where the run ends in the fixed part."""

    @property
    def first(self) -> Slot:
        """The field that begins it."""
        return self.slots[0]

    def read(self, block: NDArray[np.uint8], start: int) -> NDArray[Any]:
        """The fields in a byte matrix that begins at `start` of the fixed part, shape (n, fields)."""
        if self.first.kind is FieldKind.BOOLEAN:
            at = self.first.offset - start
            return (block[:, at : at + 1] & np.uint8(1 << self.first.bit)) != 0
        return self._numbers(block, start)

    def write(self, block: NDArray[np.uint8], start: int, columns: list[NDArray[Any]]) -> None:
        """The fields into such a matrix, in which booleans are zero yet; a column each, of n values that fit."""
        if self.first.kind is FieldKind.BOOLEAN:
            block[:, self.first.offset - start] |= columns[0].astype(np.uint8) << np.uint8(self.first.bit)
        else:
            self._numbers(block, start)[:] = np.array(columns, native(self.first.kind)).T

    def _numbers(self, block: NDArray[np.uint8], start: int) -> NDArray[Any]:
        dtype, shape = NUMBER_DTYPES[self.first.kind], (block.shape[0], len(self.slots))
        return np.ndarray(shape, dtype, block, self.first.offset - start, (block.shape[1], dtype.itemsize))


def runs_of(slots: Iterable[Slot]) -> list[Run]:
    """Cut fields of fixed size into runs, in the order of the layout."""
    runs: list[Run] = []
    for slot in sorted(slots, key=lambda slot: (slot.offset, slot.bit)):
        boolean = slot.kind is FieldKind.BOOLEAN
        end = slot.offset + (1 if boolean else NUMBER_DTYPES[slot.kind].itemsize)
        if runs and not boolean and runs[-1].first.kind is slot.kind and runs[-1].end == slot.offset:
            runs[-1] = Run((*runs[-1].slots, slot), end)
        else:
            runs.append(Run((slot,), end))
    return runs


@lru_cache(maxsize=256)
def fixed_runs(schema: Schema) -> list[Run]:
    """All fields of fixed size of a schema."""
    return runs_of(slot for slot in schema.slots.values() if slot.index < 0)

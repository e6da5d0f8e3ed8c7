"""Positions: how far each partition is scored, kept in the grid under keys that lie in the partition they speak of.

A position is (sequence, witness): where to read next, and the fingerprint of the journal item before it. It advances
only behind acknowledged predictions and is stored on a timer and on drain; losing the newest one costs work, never a
record. Where no journal is read there is none: only that the partition was scored by a scan is stored.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from grid_inference.errors import DecodeError
from grid_inference.grid.leases import LATE_WRITE_S
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap, rows_of
from grid_inference.logs import error_once, logger
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.keys import guard_key

__all__ = ["POSITIONS_MAP", "Position", "Positions", "Progress"]

_log = logger(__name__)

POSITIONS_MAP = "grid_inference.positions"

# Data of a byte array: partition hash 0, type id -12, length, then the fields, all big-endian.
_stored = struct.Struct(">iiiqq?qqiq")
_BYTE_ARRAY = -12
_FIELD_BYTES = _stored.size - 12
_UNREAD = 1
"""In the witness's place where none is known: no journal is read, neither from this position nor from another one."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where to read next, and the fingerprint of the item before it (None: there is no item before it)."""

    sequence: int
    witness: int | None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a partition is scored: what is stored of it."""

    position: Position | None
    """None: by a scan, where no journal is read."""
    epoch: int
    """Of the lease under which it got there."""
    generation: int
    """Of the model that scored it."""
    proven_us: int
    """When it was last compared as a whole, in microseconds since 1970; 0: never."""
    stored_us: int = 0
    """When this was stored."""


class Positions:
    """The positions of one deployment's partitions."""

    def __init__(self, link: Link, deployment: str) -> None:
        self._map = GridMap(link, POSITIONS_MAP)
        self._link = link
        self._deployment = deployment
        self._current: dict[int, Progress] = {}
        self._changed: set[int] = set()
        self._moved = asyncio.Event()
        """Set while something is to be stored."""
        self._storing = asyncio.Lock()
        """Held while some are being stored: of two requests at once the older one may be carried out last."""

    def advance(self, partition: int, position: Position | None, epoch: int, generation: int) -> None:
        """Note that everything before this position is acknowledged, scored in this generation of the deployment.

        Without one it is what a scan has met.
        """
        known = self._current.get(partition)
        self._current[partition] = Progress(position, epoch, generation, known.proven_us if known else 0)
        self._note(partition)

    def proven(self, partition: int, at_us: int) -> None:
        """Note that the partition was compared as a whole, beginning at this time."""
        if known := self._current.get(partition):
            self._current[partition] = replace(known, proven_us=at_us)
            self._note(partition)

    def _note(self, partition: int) -> None:
        self._changed.add(partition)
        self._moved.set()

    async def moved(self, wait_s_max: float) -> None:
        """Wait until something is to be stored, or so long."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._moved.wait(), wait_s_max)

    def reached(self, partition: int) -> int | None:
        """The sequence up to which a partition is scored and acknowledged; None if none is known of it."""
        known = self._current.get(partition)
        return known.position.sequence if known and known.position else None

    def scored(self, partition: int) -> bool:
        """Whether a partition was scored through, from its beginning to a position or by a scan."""
        return partition in self._current

    def forget(self, partition: int) -> None:
        """The partition is somebody else's now."""
        self._current.pop(partition, None)
        self._changed.discard(partition)

    async def load(self, partitions: list[int], *, begins: bool = False) -> dict[int, Progress]:
        """What is stored of these partitions, or where they begin by a deploy; what can't be read there is nothing."""
        if not partitions:
            return {}
        keys = self._keys(partitions, begins=begins)
        found, values = await self._map.get_batch(keys)
        rows = rows_of(keys, found).tolist()
        stored = dict[int, Progress]()
        for partition, row in zip(partitions, rows, strict=True):
            if row >= 0:
                try:
                    stored[partition] = decode_progress(values[row])
                except DecodeError as error:
                    error_once(
                        _log,
                        "position taken for none",
                        deployment=self._deployment,
                        partition=partition,
                        error=str(error),
                    )
        return stored

    async def flush(self, allows: Callable[[int, int], bool]) -> None:
        """Store what has changed since the last time, of the partitions that may be written to under their epochs."""
        async with self._storing:
            changed = [
                partition for partition in sorted(self._changed) if allows(partition, self._current[partition].epoch)
            ]
            self._changed.difference_update(changed)
            if not self._changed:
                self._moved.clear()
            if changed:
                await self._store(changed)

    async def _store(self, changed: list[int]) -> None:
        keys = self._keys(changed)
        values = Blobs.of([encode_progress(self._current[partition], time.time_ns() // 1000) for partition in changed])
        try:
            await self._map.put_batch(keys, values, np.array(changed, np.int32), self._store_again)
        except BaseException:
            self._changed.update(partition for partition in changed if partition in self._current)
            self._moved.set()
            raise

    def _store_again(self, partition: int) -> None:
        """What was sent may arrive behind what is stored later: when it can't any more, this is stored anew."""
        asyncio.get_running_loop().call_later(LATE_WRITE_S, self._note_known, partition)

    def _note_known(self, partition: int) -> None:
        if partition in self._current:
            self._note(partition)

    async def begin(self, positions: Sequence[Position | None], generation: int) -> None:
        """Store where each partition begins in this generation; None where it has no journal.

        Apart from how far it is scored, which workers of the generation before go on storing for a while.
        """
        partitions, now_us = range(len(positions)), time.time_ns() // 1000
        values = [encode_progress(Progress(position, 0, generation, 0), now_us) for position in positions]
        await self._map.put_batch(self._keys(partitions, begins=True), Blobs.of(values), np.array(partitions, np.int32))

    async def remove(self) -> None:
        """Forget all positions of this deployment in the grid."""
        partitions = range(self._link.partition_count)
        for begins in (False, True):
            await self._map.delete_batch(self._keys(partitions, begins=begins), np.array(partitions, np.int32))

    def _keys(self, partitions: Iterable[int], *, begins: bool = False) -> Blobs:
        return Blobs.of([self._key(partition, begins=begins) for partition in partitions])

    def _key(self, partition: int, *, begins: bool = False) -> bytes:
        name = f"{self._deployment}/{partition}{'/begin' if begins else ''}"
        return guard_key(name, partition, self._link.partition_count)


def encode_progress(progress: Progress, stored_us: int) -> bytes:
    """Progress as the Data of a byte array."""
    position = progress.position
    if position is None:
        place = (0, _UNREAD, False)
    else:
        place = (position.sequence, position.witness or 0, position.witness is not None)
    facts = (progress.epoch, stored_us, progress.generation, progress.proven_us)
    return _stored.pack(0, _BYTE_ARRAY, _FIELD_BYTES, *place, *facts)


def decode_progress(data: bytes) -> Progress:
    """Progress from the Data of a byte array."""
    if len(data) != _stored.size:
        raise DecodeError(f"a stored position has {len(data)} bytes instead of {_stored.size}")
    _, kind, _, sequence, witness, known, epoch, stored_us, generation, proven_us = _stored.unpack(data)
    if kind != _BYTE_ARRAY:
        raise DecodeError(f"a stored position has the type {kind} instead of {_BYTE_ARRAY}")
    if min(sequence, epoch, proven_us, stored_us) < 0:
        raise DecodeError(f"a stored position has the sequence {sequence} and the epoch {epoch}")
    read = known or witness != _UNREAD
    position = Position(sequence, witness if known else None) if read else None
    return Progress(position, epoch, generation, proven_us, stored_us)

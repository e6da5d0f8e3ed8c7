"""Who scores what: an assignment that every worker computes alike, and the leases that make it safe to act on.

The assignment is a pure function. A lease is an entry (worker, epoch) in the partition that it guards, changed by
compare-and-set only; it is valid as long as its holder's beat in `grid_inference.workers` goes on. A worker whose beat
stood still for the lease's time on the observer's own clock is dead: no clocks are compared between machines.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap, rows_of
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.json_values import decode_json, encode_json
from grid_inference.wire.keys import encode_keys, guard_key

__all__ = ["LEASES_MAP", "WORKERS_MAP", "Beats", "Leases", "assign", "live_workers", "read_workers"]

WORKERS_MAP = "grid_inference.workers"
LEASES_MAP = "grid_inference.leases"
NOBODY = ""
LIVE_WITHIN_S = 6.0
"""A worker that has said nothing for so long is not shown; clocks of the machines should agree within it."""


def now_s() -> float:
    """Seconds on a clock that runs on while the process is stopped or the machine sleeps.

    `CLOCK_BOOTTIME` on Linux; elsewhere the monotonic clock stands in, which may pause in a suspended machine.
    """
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if clock is None else time.clock_gettime(clock)


def assign(owners: Mapping[int, str], workers: Mapping[str, str | None]) -> dict[int, str]:
    """Partition → worker, the same wherever it is computed.

    `owners` maps partitions to members, `workers` maps workers to the member of their node (None: of no node). Each
    partition goes to a worker of its own member where there is one, else to all workers by turns.
    """
    if not workers:
        return {}
    everybody = sorted(workers)
    local: dict[str, list[str]] = {}
    for worker in everybody:
        member = workers[worker]
        if member is not None:
            local.setdefault(member, []).append(worker)
    turns: dict[str, int] = {}
    assigned: dict[int, str] = {}
    for partition in sorted(owners):
        member = owners[partition] if owners[partition] in local else NOBODY
        choice = local.get(member, everybody)
        turn = turns.get(member, 0)
        assigned[partition] = choice[turn % len(choice)]
        turns[member] = turn + 1
    return assigned


@dataclass(slots=True)
class _Seen:
    beat: int
    since_s: float


class Beats:
    """Which workers are alive, judged by when their beat was last seen to change on this process's clock."""

    def __init__(self, lease_ttl_s: float) -> None:
        self._ttl_s = lease_ttl_s
        self._seen: dict[str, _Seen] = {}

    def observe(self, beats: Mapping[str, int], at_s: float) -> set[str]:
        """Note the beats that stand in the grid now; returns the workers that live."""
        for worker in self._seen.keys() - beats.keys():
            del self._seen[worker]
        for worker, beat in beats.items():
            seen = self._seen.get(worker)
            if seen is None or seen.beat != beat:
                self._seen[worker] = _Seen(beat, at_s)
        return {worker for worker, seen in self._seen.items() if at_s - seen.since_s < self._ttl_s}


async def read_workers(link: Link) -> dict[str, dict[str, Any]]:
    """What the workers say of themselves, by worker id."""
    said = [decode_json(value) for value in await GridMap(link, WORKERS_MAP).values()]
    return {one["id"]: one for one in said}


async def live_workers(link: Link) -> dict[str, dict[str, Any]]:
    """Those that said something lately; for people's eyes, as it trusts the machines' clocks."""
    now_us = time.time_ns() // 1000
    said = await read_workers(link)
    return {worker: one for worker, one in said.items() if now_us - one["said_at_us"] < LIVE_WITHIN_S * 1e6}


class Leases:
    """The leases of one worker: what it holds, and until when that may be believed."""

    def __init__(self, link: Link, worker: str, ttl_s: float) -> None:
        self._link = link
        self._leases = GridMap(link, LEASES_MAP)
        self._workers = GridMap(link, WORKERS_MAP)
        self._worker = worker
        self._ttl_s = ttl_s
        self.epochs = np.zeros(link.partition_count, np.int64)
        """Epoch of each partition that is held; 0 where it is not."""
        self._valid_until_s = 0.0
        self._suspect = False
        """The beat stood still beyond the lease's time, and nobody has looked since what is still ours."""

    def holds(self, partitions: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Which of these partitions may be written to at this moment."""
        if self.expired:
            return np.zeros(partitions.size, np.bool_)
        return self.epochs[partitions] > 0

    @property
    def expired(self) -> bool:
        """Whether the beat stood still so long that others may have taken over; `confirm` finds out."""
        return self._suspect or now_s() >= self._valid_until_s

    @property
    def held(self) -> list[int]:
        """Partitions that are held."""
        return np.flatnonzero(self.epochs).tolist()

    async def beat(self, said: dict[str, Any]) -> None:
        """Tell the grid that this worker lives, and what it does; renews all its leases at once."""
        begun_s = now_s()
        if begun_s >= self._valid_until_s and self.held:
            self._suspect = True
        key = encode_keys([self._worker])[0]
        await self._workers.set(key, encode_json({"id": self._worker, **said}))
        # Counted from before the write: observers can't have seen it earlier.
        self._valid_until_s = begun_s + self._ttl_s * 0.8

    async def claim(self, partitions: list[int], living: set[str]) -> dict[int, int]:
        """Take those of the partitions that are free or whose holder is dead; returns partition → epoch."""
        if not partitions:
            return {}
        before = await self._read(partitions)
        tries = [self._claim_one(partition, before.get(partition), living) for partition in partitions]
        taken: dict[int, int] = {}
        for partition, epoch in zip(partitions, await asyncio.gather(*tries), strict=True):
            if epoch:
                self.epochs[partition] = taken[partition] = epoch
        return taken

    async def _claim_one(self, partition: int, before: bytes | None, living: set[str]) -> int:
        key = self._key(partition)
        if before is None:
            there = await self._leases.put_if_absent(key, self._value(self._worker, 1))
            return 1 if there is None else 0
        lease = decode_json(before)
        if lease["worker"] != self._worker and lease["worker"] in living:
            return 0
        epoch = int(lease["epoch"]) + 1
        return epoch if await self._leases.replace_if_same(key, before, self._value(self._worker, epoch)) else 0

    async def release(self, partitions: list[int]) -> None:
        """Give partitions back; whoever is assigned may take them at once."""
        gone = [(partition, int(self.epochs[partition])) for partition in partitions if self.epochs[partition]]
        self.epochs[partitions] = 0
        mine = [
            self._leases.replace_if_same(
                self._key(partition), self._value(self._worker, epoch), self._value(NOBODY, epoch)
            )
            for partition, epoch in gone
        ]
        await asyncio.gather(*mine)

    async def confirm(self) -> list[int]:
        """Look which leases are still ours after a pause; returns those that were lost and forgets them."""
        held = self.held
        now = await self._read(held)
        lost = [p for p in held if now.get(p) != self._value(self._worker, int(self.epochs[p]))]
        self.epochs[lost] = 0
        self._suspect = False
        return lost

    async def bury(self, workers: set[str]) -> None:
        """Remove the entries of workers that are dead; one that wakes up after all writes its entry anew."""
        for worker in workers:
            await self._workers.delete(encode_keys([worker])[0])

    async def leave(self) -> None:
        """Sign off: the worker's entry goes."""
        await self._workers.delete(encode_keys([self._worker])[0])

    async def _read(self, partitions: list[int]) -> dict[int, bytes]:
        if not partitions:
            return {}
        keys = Blobs.of([self._key(partition) for partition in partitions])
        found, values = await self._leases.get_batch(keys)
        rows = rows_of(keys, found).tolist()
        return {partition: values[row] for partition, row in zip(partitions, rows, strict=True) if row >= 0}

    def _key(self, partition: int) -> bytes:
        return guard_key(f"lease/{partition}", partition, self._link.partition_count)

    @staticmethod
    def _value(worker: str, epoch: int) -> bytes:
        return encode_json({"epoch": epoch, "worker": worker})

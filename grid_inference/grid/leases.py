"""Leases: the right to write to a partition's results, and what is known of the time it holds for.

A lease is an entry (worker, epoch, deaths) in the partition that it guards, changed by compare-and-set only. It is
valid as long as its holder's beat goes on, which renews all of them (`heartbeat.py`). Who takes over from a dead holder
counts the death before anything is scored, so that what kills its workers is known by it. What was acknowledged since a
lease was last found to be ours is noted: if it turns out to be lost, that may have been late, and the new owner must
hear of it.

Of a holder whose beat goes on again and of whoever takes over from it meanwhile just one succeeds, however late a
request is carried out: who claims has read the lease before it has seen that the beat stands still, and who comes back
changes the lease (`confirmed`) before it trusts it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from grid_inference.errors import DecodeError, GridError
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap, rows_of
from grid_inference.grid.topology import now_s
from grid_inference.logs import error_once, logger
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.json.values import decode_json, encode_json
from grid_inference.wire.keys import guard_key

__all__ = ["LEASES_MAP", "TRIAL_AFTER", "TRUSTED_SHARE", "Claim", "Leases", "holders"]

_log = logger(__name__)

LEASES_MAP = "grid_inference.leases"
NOBODY = ""
LATE_WRITE_S = 20.0
"""What a worker that was taken for dead had sent before has arrived after this time, or never will: a member gives a
call up after 15 s (`hazelcast.operation.call.timeout.millis`), a connection that is silent for 10 s is closed."""
POLL_S = 0.01
TRUSTED_SHARE = 0.8
"""A holder trusts its lease for this share of the time after which others take it over."""
EPOCH_MAX = 1 << 62
"""What counts higher was written by nobody of us."""
TRIAL_AFTER = 2
"""So many holders in a row that died: what the partition holds may be the reason. One may have died of anything."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A lease that was taken just now."""

    epoch: int
    taken_over: bool
    """Whether a holder had to be taken for dead."""
    late_s: float = 0.0
    """For how long what a dead holder had sent may still arrive; it goes along when the partition is handed on."""
    deaths: int = 0
    """Holders in a row that died since the partition was last calm, the one that was taken over from included."""

    @property
    def suspect(self) -> bool:
        """Whether the partition's records are scored where they can't kill the worker."""
        return self.deaths >= TRIAL_AFTER


class Leases:
    """The leases of one worker: what it holds, and until when that may be believed."""

    def __init__(self, link: Link, worker: str, ttl_s: float) -> None:
        self._link = link
        self._map = GridMap(link, LEASES_MAP)
        self._worker = self.worker = worker
        self._ttl_s = ttl_s
        self.epochs = np.zeros(link.partition_count, np.int64)
        """Epoch of each partition that is held; 0 where it is not."""
        self.deaths = np.zeros(link.partition_count, np.int64)
        """What each held partition's lease says of deaths."""
        self._confirmed = np.zeros(link.partition_count, np.int64)
        """How often each held partition's lease was confirmed in a doubt since it was taken, as it says itself."""
        self._valid_until_s = 0.0
        self._stalls = 0
        """How often the beat stood still beyond the lease's time."""
        self._stalls_seen = 0
        """Those of them behind which it was looked what is still ours."""
        self._unproven: Counter[int] = Counter()
        """Batches by partition that were acknowledged since the last look that found its lease to be ours."""
        self.late: Counter[int] = Counter()
        """Batches by partition that were acknowledged when the lease was, or may have been, somebody else's already."""
        self._newest = np.zeros(link.partition_count, np.int64)
        """The newest epoch under which each partition was held here: an entry that is gone counts from it."""
        self._changing = asyncio.Lock()
        """What is held here and what stands in the grid change together."""
        self._late_until_s: dict[int, float] = {}
        """Until when what a former holder, or this one, had sent may still arrive."""

    # ---- time

    def renew(self, begun_s: float) -> None:
        """A beat that was sent at `begun_s` is acknowledged now: observers saw it between the two. From any thread."""
        if now_s() >= self._valid_until_s:
            self._stalls += 1
        self._valid_until_s = begun_s + self._ttl_s * TRUSTED_SHARE

    @property
    def _suspect(self) -> bool:
        """Whether the beat stood still and nobody has looked since what is still ours."""
        return self._stalls != self._stalls_seen

    @property
    def doubtful(self) -> bool:
        """Whether the beat stood still and goes on again, so that `confirm` can tell what is ours still."""
        return self._suspect and now_s() < self._valid_until_s

    @property
    def expired(self) -> bool:
        """Whether the beat stood still so long that others may have taken over; `confirm` finds out."""
        return self._suspect or now_s() >= self._valid_until_s

    async def valid(self, timeout_s: float) -> bool:
        """Wait for a beat; returns whether one came in time."""
        return await _within(timeout_s, lambda: now_s() < self._valid_until_s)

    async def regained(self, timeout_s: float) -> bool:
        """Wait until it is known whose the leases are; returns whether that came in time."""
        return await _within(timeout_s, lambda: not self.expired)

    @property
    def held(self) -> list[int]:
        """Partitions that are held."""
        return np.flatnonzero(self.epochs).tolist()

    def allows(self, partition: int, epoch: int) -> bool:
        """Whether this partition may be written to at this moment by who took it under this epoch."""
        return not self.expired and bool(self.epochs[partition] == epoch > 0)

    def settle(self, partition: int, epoch: int) -> bool:
        """Something written under this epoch is acknowledged now; returns whether the lease held until then."""
        if self.epochs[partition] != epoch:
            self.late[partition] += 1
            return False
        self._unproven[partition] += 1
        return not self.expired

    def late_s(self, partition: int) -> float:
        """For how long from now on what a former holder, or this one, had sent may still arrive."""
        return max(0.0, self._late_until_s.get(partition, 0.0) - now_s())

    def expect_late(self, partition: int, late_s: float = LATE_WRITE_S) -> None:
        """What was sent to a partition may still arrive for so long; that is known to whoever has it next."""
        self._late_until_s[partition] = max(self._late_until_s.get(partition, 0.0), now_s() + late_s)

    def unanswered(self, partition: int, epoch: int) -> None:
        """What was to be written under this epoch has failed, so some of it may have been carried out, or may be yet.

        If the lease is lost by now its owner is told, as of any late write; and again when nothing can arrive any more.
        """
        if not self.settle(partition, epoch):
            asyncio.get_running_loop().call_later(LATE_WRITE_S, self._tell_again, partition, epoch)

    def _tell_again(self, partition: int, epoch: int) -> None:
        if self.epochs[partition] != epoch:
            self.late[partition] += 1

    # ---- taking and giving

    async def claim(
        self, partitions: list[int], lives: Callable[[str], bool], look: Callable[[], Awaitable[None]]
    ) -> dict[int, Claim]:
        """Take those of the partitions that are free or whose holder does not live; one that fails stays as it is.

        `look` sees who lives, for `lives`: behind the leases, so that a holder whose beat goes on after it has another
        lease than was read here, or none.
        """
        taken: dict[int, Claim] = {}
        if not partitions:
            return taken
        before = await _read(self._link, partitions)
        await look()
        async with self._changing:
            tries = [self._claim_one(partition, before.get(partition), lives) for partition in partitions]
            for partition, claim in zip(partitions, await asyncio.gather(*tries), strict=True):
                if claim:
                    self.epochs[partition], self.deaths[partition] = claim.epoch, claim.deaths
                    self._newest[partition], self._confirmed[partition] = claim.epoch, 0
                    self.expect_late(partition, claim.late_s)
                    taken[partition] = claim
        return taken

    async def _claim_one(self, partition: int, before: bytes | None, lives: Callable[[str], bool]) -> Claim | None:
        try:
            return await self._take(partition, before, lives)
        except GridError as error:
            _log.warning("lease not taken", partition=partition, error=error)
            return None  # what went in all the same is given back by the next look

    async def _take(self, partition: int, before: bytes | None, lives: Callable[[str], bool]) -> Claim | None:
        key, newest = self._key(partition), int(self._newest[partition])
        if before is None:
            there = await self._map.put_if_absent(key, _value(self._worker, newest + 1, 0))
            return Claim(newest + 1, taken_over=False) if there is None else None
        lease = _Lease.read(before)
        if lease.worker not in (NOBODY, self._worker) and lives(lease.worker):
            return None
        died = lease.worker not in (NOBODY, self._worker)
        epoch, deaths = max(lease.epoch, newest) + 1, lease.deaths + died
        if not await self._map.replace_if_same(key, before, _value(self._worker, epoch, deaths)):
            return None
        if lease.readable and lease.worker == NOBODY:
            return Claim(epoch, taken_over=False, late_s=lease.late_s, deaths=deaths)
        return Claim(epoch, taken_over=True, late_s=LATE_WRITE_S, deaths=deaths)

    async def release(self, partitions: list[int], *, late_s: float = 0.0) -> None:
        """Give partitions back; whoever is assigned may take them at once.

        What was sent for them may still arrive for `late_s` seconds. What is found to be somebody else's by now was
        lost before.
        """
        async with self._changing:
            gone = [partition for partition in partitions if self.epochs[partition]]
            for partition in gone if late_s else ():
                self.expect_late(partition, late_s)
            changes = [self._change(partition, NOBODY, int(self.deaths[partition])) for partition in gone]
            self.epochs[partitions] = 0
            done = await asyncio.gather(*changes, return_exceptions=True)
        for partition, given in zip(gone, done, strict=True):
            if not isinstance(given, BaseException):
                written = self._unproven.pop(partition, 0)
                self.late[partition] += 0 if given else written
        self.late += Counter()  # drops what is zero
        for given in done:
            if isinstance(given, BaseException):
                raise given

    async def set_deaths(self, partitions: list[int], deaths: int) -> None:
        """Write another count of deaths into the leases that are ours still."""
        async with self._changing:
            held = [partition for partition in partitions if self.epochs[partition]]
            done = await asyncio.gather(*[self._change(partition, self._worker, deaths) for partition in held])
            self.deaths[[partition for partition, changed in zip(held, done, strict=True) if changed]] = deaths

    async def condemn_over(self, link: Link, partitions: list[int]) -> None:
        """Mark leases of ours as suspect, from another loop and over its connection: this one's hangs in them."""
        leases = GridMap(link, LEASES_MAP)
        for partition in partitions:
            await self._change(partition, self._worker, TRIAL_AFTER, leases=leases)

    def _change(
        self, partition: int, worker: str, deaths: int, *, confirmations: int = 0, leases: GridMap | None = None
    ) -> Awaitable[bool]:
        """Set holder and deaths of a lease, if it says what it said when it was ours last."""
        now, epoch = self._mine(partition), int(self.epochs[partition])
        late_s = self.late_s(partition) if worker == NOBODY else 0.0
        confirmed = 0 if worker == NOBODY else int(self._confirmed[partition]) + confirmations
        value = _value(worker, epoch, deaths, late_s=late_s, confirmed=confirmed)
        return (leases or self._map).replace_if_same(self._key(partition), now, value)

    async def confirm(self) -> list[int]:
        """Look which leases are still ours; returns those that were lost and forgets them.

        A doubt ends with a look that began after it, and behind it a change of all that is ours still: not before the
        answers, and not if the beat stood still again meanwhile. A lease that names this worker and is not held,
        because giving it back has failed, is given back.
        """
        async with self._changing:
            stalls, written, self._unproven = self._stalls, self._unproven, Counter()
            try:
                now = await _read(self._link, list(range(self._link.partition_count)))
                await self._drop_unheld(now)
            except BaseException:
                self._unproven += written
                raise
            lost = [partition for partition in self.held if not self._kept(partition, now.get(partition))]
            self.epochs[lost] = 0
            # Of what was given back and whose answer was lost, nobody knows whether it was ours until then.
            for partition in {*lost, *(partition for partition in written if not self.epochs[partition])}:
                self.late[partition] += written[partition] + self._unproven.pop(partition, 0)
            self.late += Counter()  # drops what is zero
            if stalls == self._stalls_seen or await self._outdate_claims():
                self._stalls_seen = stalls
        return lost

    def _kept(self, partition: int, value: bytes | None) -> bool:
        """Whether a held lease is ours still; takes on what it says, which changes of an unknown outcome have left."""
        lease = _Lease.read(value) if value else _Lease()
        if (lease.worker, lease.epoch) != (self._worker, self.epochs[partition]):
            return False
        self.deaths[partition], self._confirmed[partition] = lease.deaths, lease.confirmed
        return True

    async def _outdate_claims(self) -> bool:
        """Change each held lease, so that whoever read it before and took us for dead can't claim it any more.

        Returns whether all are changed; the next look finds out what became of the others.
        """
        held = self.held
        changes = [self._change(one, self._worker, int(self.deaths[one]), confirmations=1) for one in held]
        done = await asyncio.gather(*changes)
        self._confirmed[[partition for partition, changed in zip(held, done, strict=True) if changed]] += 1
        return all(done)

    async def _drop_unheld(self, now: Mapping[int, bytes]) -> None:
        for partition, value in now.items():
            lease = _Lease.read(value)
            if lease.worker == self._worker and not self.epochs[partition]:
                free = _value(NOBODY, lease.epoch, lease.deaths, late_s=LATE_WRITE_S)
                await self._map.replace_if_same(self._key(partition), value, free)

    def _key(self, partition: int) -> bytes:
        return _key(self._link, partition)

    def _mine(self, partition: int) -> bytes:
        """What stands in the grid while a partition is held."""
        epoch, deaths, confirmed = self.epochs[partition], self.deaths[partition], self._confirmed[partition]
        return _value(self._worker, int(epoch), int(deaths), confirmed=int(confirmed))


def _value(worker: str, epoch: int, deaths: int, *, late_s: float = 0.0, confirmed: int = 0) -> bytes:
    said: dict[str, Any] = {"deaths": deaths, "epoch": epoch, "worker": worker}
    if late_s > 0:
        said["late_s"] = round(late_s, 1)
    if confirmed:
        said["confirmed"] = confirmed
    return encode_json(said)


@dataclass(frozen=True, slots=True)
class _Lease:
    """What an entry says; one that can't be read is nobody's."""

    worker: str = NOBODY
    epoch: int = 0
    deaths: int = 0
    late_s: float = LATE_WRITE_S
    confirmed: int = 0
    readable: bool = False
    """Whether it says this itself; who held it may write on for a while otherwise."""

    @classmethod
    def read(cls, value: bytes) -> _Lease:
        """What the bytes of an entry say, whatever they are: whoever writes to the grid may have written them."""
        try:
            said = decode_json(value)
            epoch, deaths, confirmed = int(said["epoch"]), int(said.get("deaths", 0)), int(said.get("confirmed", 0))
            late_s = float(said.get("late_s", 0.0))
            lease = cls(str(said["worker"]), epoch, deaths, late_s, confirmed, readable=True)
            counts = (epoch, deaths, confirmed)
            if not (all(0 <= count < EPOCH_MAX for count in counts) and 0 <= late_s <= LATE_WRITE_S):
                raise ValueError(f"{lease} is none of ours")  # noqa: TRY301
        except (DecodeError, LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
            error_once(_log, "entry taken for a free lease, it is none", error=f"{type(error).__name__}: {error}")
            return cls()
        return lease


async def holders(link: Link) -> dict[int, tuple[str, int]]:
    """Partition → who holds its lease (empty: nobody now) and its epoch, for all that ever had a holder."""
    found = await _read(link, list(range(link.partition_count)))
    leases = {partition: _Lease.read(value) for partition, value in found.items()}
    return {partition: (lease.worker, lease.epoch) for partition, lease in leases.items()}


async def _read(link: Link, partitions: list[int]) -> dict[int, bytes]:
    if not partitions:
        return {}
    keys = Blobs.of([_key(link, partition) for partition in partitions])
    found, values = await GridMap(link, LEASES_MAP).get_batch(keys)
    rows = rows_of(keys, found).tolist()
    return {partition: values[row] for partition, row in zip(partitions, rows, strict=True) if row >= 0}


def _key(link: Link, partition: int) -> bytes:
    return guard_key(f"lease/{partition}", partition, link.partition_count)


async def _within(timeout_s: float, condition: Callable[[], bool]) -> bool:
    """Wait for what another thread or a turn brings about; returns whether it came in time."""
    deadline = now_s() + timeout_s
    while not condition():
        if now_s() > deadline:
            return False
        await asyncio.sleep(POLL_S)
    return True

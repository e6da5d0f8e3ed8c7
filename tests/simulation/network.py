"""What lies between workers and members: messages take time, come late, are executed and not answered, or get lost.

Of one connection the requests to one partition keep their order, and so do their answers. A member that stands still
executes nothing meanwhile, and what it backs up is acknowledged when it goes on, or after `BACKUP_S`.
"""

from __future__ import annotations

import itertools
import random
import struct
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from grid_inference.wire.protocol import frames as f
from grid_inference.wire.protocol import journal, messages
from tests.simulation.loop import Process, Thread, VirtualLoop
from tests.simulation.members import INDETERMINATE, NOT_MEMBER, Cluster, _request_head, error_answer, frames_of

__all__ = ["Connection", "Message", "Network", "Rates"]

_ttl = struct.Struct("<q")
BACKUP_S = 5.0
"""A member waits so long for a backup before it acknowledges (`operation.backup.timeout.millis`)."""
LATE_S_MAX = 14.0
"""A member gives a call up after 15 s."""
RECONNECT_S_MAX = 2.0
WRITES = {
    messages.MAP_SET,
    messages.MAP_DELETE,
    messages.MAP_PUT_IF_ABSENT,
    messages.MAP_REPLACE_IF_SAME,
    messages.MAP_REMOVE_IF_SAME,
    messages.MAP_PUT_ALL,
}


class Rates:
    """How the network is, of one schedule."""

    def __init__(self, latency_s: float, late: float, error: float) -> None:
        self.latency_s = latency_s
        self.late = late
        """The share of writes that are executed late."""
        self.error = error
        """The share of writes that are answered by an error which may pass."""


class Message:
    """One request on its way."""

    __slots__ = ("answered", "connection", "facts", "frames", "kind", "late", "name", "partition", "request", "sent_s")

    def __init__(self, connection: Connection, request: bytes, sent_s: float) -> None:
        self.connection = connection
        self.request = request
        self.kind, _, self.partition = _request_head.unpack_from(request, f.FRAME_HEADER_BYTES)
        self.frames = frames_of(request)
        self.name = self.frames[1][1].decode()
        self.sent_s = sent_s
        self.answered = False
        self.late = False
        self.facts: Any = None
        """What the judge has noted when it was sent."""

    @property
    def process(self) -> Process:
        return self.connection.thread.process


class Connection:
    """Of one link to one member, as far as `link.py` looks at it."""

    def __init__(self, network: Network, thread: Thread, member: int, take: Callable[[f.Message], bool]) -> None:
        self._network = network
        self._take_message = take
        self.thread = thread
        self.member = member
        self.live = True
        self._proto = None
        self.ways: dict[int, tuple[float, float]] = {}
        """When the last request to a partition arrives, and when the last answer does."""
        self.under_way: set[Message] = set()
        self.stands_until_s = 0.0
        """Until when nothing comes through, and nobody is told."""

    def _write(self, payload: bytearray) -> None:
        self._network.send(self, bytes(payload))

    def deliver(self, data: bytes) -> None:
        """An answer has come."""
        if self.live:
            for message in f.message_ends(data):
                self._take_message(message)


class Network:
    """All ways between processes and members of one run."""

    def __init__(self, loop: VirtualLoop, cluster: Cluster, members: int, rates: Rates, rng: random.Random) -> None:
        self._loop = loop
        self._rng = rng
        self._context = copy_context()
        self.cluster = cluster
        self.members = members
        self.rates = rates
        self.stands_until_s = [0.0] * members
        """Until when each member stands still."""
        self.busy_until_s = [0.0] * cluster.partition_count
        """Until when each partition's thread is busy."""
        self.on_sent: Callable[[Message], None] = lambda _: None
        self.late_writes = 0
        """Writes that will be executed late."""
        self.sent = 0
        self._numbers = itertools.count()

    def owner(self, partition: int) -> int:
        """The member that owns a partition; its backup is the next one."""
        return partition % self.members

    def latency_s(self) -> float:
        """How long one way takes."""
        rng = self._rng
        chance = rng.random()
        return self.rates.latency_s * (0.2 + chance) if chance > 0.02 else self.rates.latency_s * 20 * rng.random()

    # ---- there

    def send(self, connection: Connection, request: bytes) -> None:
        """A request leaves."""
        if not connection.live:
            return
        self.sent += 1
        message = Message(connection, request, self._loop.time())
        self.on_sent(message)
        connection.under_way.add(message)
        if message.partition < 0:
            self._ask_all(message)
            return
        at_s = max(self._loop.time() + self.latency_s(), connection.stands_until_s)
        last_s, answered_s = connection.ways.get(message.partition, (0.0, 0.0))
        if message.kind in WRITES and self._rng.random() < self.rates.late:
            late_s = self._rng.random() * LATE_S_MAX
            message.late = True
            self.late_writes += 1
            self._at(at_s + late_s, self._arrive_late, message)
            return
        at_s = max(at_s, last_s)
        connection.ways[message.partition] = at_s, answered_s
        self._at(at_s, self._arrive, message)

    def _arrive_late(self, message: Message) -> None:
        self.late_writes -= 1
        self._arrive(message)

    def _arrive(self, message: Message) -> None:
        if message.answered:
            return
        partition = message.partition
        owner = self.owner(partition)
        free_s = max(self.stands_until_s[owner], self.busy_until_s[partition])
        if free_s > self._loop.time():
            self._at(free_s, self._arrive, message)
            return
        write = message.kind in WRITES
        chance = self._rng.random() if write else 1.0
        if chance < self.rates.error / 2:
            self._reply(message, error_answer(message.request, NOT_MEMBER, "TargetNotMemberException"))
            return
        failed = chance < self.rates.error
        backed_up_s = self._backed_up_s(partition) if write else 0.0

        def reply(data: bytes) -> None:
            if failed:
                data = error_answer(message.request, INDETERMINATE, "IndeterminateOperationStateException")
            self._reply(message, data, backed_up_s)

        self.cluster.execute(message.request, message.frames, partition, reply, message)
        if message.kind == messages.MAP_SET:
            self._expire_later(message)

    def _expire_later(self, message: Message) -> None:
        """An entry that was set with a time to live goes by itself, unless it was set again."""
        frames = message.frames
        (ttl_ms,) = _ttl.unpack_from(frames[0][1], 24)
        if ttl_ms > 0:
            key, value = frames[2][1], frames[3][1]
            self._at(self._loop.time() + ttl_ms / 1000, self._expire, message, key, value)

    def _expire(self, message: Message, key: bytes, value: bytes) -> None:
        if self.cluster.maps[message.name][message.partition].get(key) == value:
            self.cluster.remove(message.name, message.partition, key, message)

    def _backed_up_s(self, partition: int) -> float:
        if self.members < 2:
            return 0.0
        stands_s = self.stands_until_s[(self.owner(partition) + 1) % self.members]
        return min(stands_s, self._loop.time() + BACKUP_S)

    def _ask_all(self, message: Message) -> None:
        """A request about a whole map: each member says what is there when it comes round to it."""
        found: list[list[bytes] | None] = [None] * self.members

        def ask(member: int) -> None:
            if self.stands_until_s[member] > self._loop.time():
                self._at(self.stands_until_s[member], ask, member)
                return
            mine = range(member, self.cluster.partition_count, self.members)
            found[member] = self.cluster.values(message.name, mine)
            if all(one is not None for one in found):
                values = [value for one in found for value in one or ()]
                size = message.kind == messages.MAP_SIZE
                make = self.cluster.size_answer if size else self.cluster.values_answer
                self._reply(message, make(message.request, values))

        for member in range(self.members):
            self._at(max(self._loop.time() + self.latency_s(), message.connection.stands_until_s), ask, member)

    # ---- and back

    def _reply(self, message: Message, data: bytes, not_before_s: float = 0.0) -> None:
        connection = message.connection
        if message.answered or not connection.live:
            return
        message.answered = True
        connection.under_way.discard(message)
        at_s = max(self._loop.time() + self.latency_s(), not_before_s, connection.stands_until_s)
        if message.kind != journal.READ:  # a parked one keeps no other waiting
            arrives_s, last_s = connection.ways.get(message.partition, (0.0, 0.0))
            at_s = max(at_s, last_s)
            connection.ways[message.partition] = arrives_s, at_s
        self._loop.answer_at(at_s, connection.thread.context, connection.deliver, data)

    # ---- faults

    def cut(self, connection: Connection, lost: Callable[[Connection], None]) -> None:
        """A connection breaks: of what is under way some has arrived and will be executed, no answer comes."""
        connection.live = False
        for message in sorted(connection.under_way, key=lambda one: one.sent_s):
            if self._rng.random() < 0.5:
                message.answered = True  # it does not arrive; the others may do so behind their own repeats
        connection.under_way.clear()
        self._loop.answer_at(self._loop.time() + self.latency_s(), connection.thread.context, lost, connection)

    def reconnect_s(self) -> float:
        """How long a lost connection takes to be there again."""
        return self._rng.random() * RECONNECT_S_MAX

    def _at(self, when_s: float, what: Callable[..., None], *args: Any) -> None:
        self._loop.call_at(when_s, what, *args, context=self._context)

"""Where a subscription's predictions come from: the entry events of a map, or a topic, plain or reliable.

A source fills `Arrivals`, declares a gap wherever something may be missing, and ends them when it ends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Final, Protocol

from grid_inference.api.subscriptions.arrivals import Arrival, Arrivals
from grid_inference.api.subscriptions.gap import Gap, Reason
from grid_inference.api.subscriptions.messages import Messages
from grid_inference.api.subscriptions.watch import Watch
from grid_inference.errors import ConnectionLostError, DecodeError, GridError, GridInferenceError, RemoteError
from grid_inference.grid.link import Link
from grid_inference.grid.link.listeners import Listener
from grid_inference.logs import logger
from grid_inference.records import Prediction
from grid_inference.wire.keys import encode_key, partition_id
from grid_inference.wire.protocol import topics
from grid_inference.wire.protocol.frames import Message
from grid_inference.wire.protocol.journal import ADDED, MERGED, UPDATED
from grid_inference.wire.protocol.messages import decode_entry_event

__all__ = ["MapSource", "RingSource", "Source", "TopicSource"]

_log = logger(__name__)

EVENTS: Final = ADDED | UPDATED | MERGED
"""What brings a prediction that was not there; one that a store loads (LOADED) is an old one."""
LOOK_EVERY_S: Final = 0.1
"""How often a listener's registrations are looked at."""
RING_ROWS: Final = 512
"""Messages read from a reliable topic at once."""
RETRY_PAUSE_S: Final = 1.0
"""Pause before a reliable topic is read again after an error."""


class Source(Protocol):
    """What a subscription needs of its source."""

    async def open(self) -> None:
        """Begin; what is written from the return on arrives, or a gap tells of it."""
        ...

    async def close(self) -> None:
        """Stop, and leave nothing on the members. A cancelled close goes on."""
        ...


class _ListenerSource:
    """A listener that is looked after."""

    def __init__(self, link: Link, arrivals: Arrivals) -> None:
        self._link = link
        self._arrivals = arrivals
        self._listener: Listener | None = None
        self._task: asyncio.Task[None] | None = None

    async def _begin(self, listening: Awaitable[Listener]) -> None:
        begun_s = time.time()
        self._listener = await listening
        self._task = self._link.spawn(self._look_after(self._listener, Watch(self._listener.heard(), begun_s)))

    async def close(self) -> None:
        """Take the listener off."""
        if self._task:
            self._task.cancel()
        if self._listener:
            await self._listener.remove()

    async def _look_after(self, listener: Listener, watch: Watch) -> None:
        left_out = False
        try:
            while not self._link.closed:
                await asyncio.sleep(LOOK_EVERY_S)
                if self._link.given_up:
                    self._arrivals.end(_gone())
                    return
                gap = watch.see(listener.heard(), self._link.members().keys(), time.time())
                if left_out or (gap and listener.left_out()):
                    left_out = not await self._renewed(listener)
                if gap:
                    self._arrivals.declare(gap)
        finally:
            self._arrivals.end()

    async def _renewed(self, listener: Listener) -> bool:
        """Register anew; where that fails it is tried again at the next look."""
        try:
            await listener.renew()
        except GridError as error:
            _log.warning("listener not registered, tried again", error=error)
            return False
        return True


class MapSource(_ListenerSource):
    """The entry events of a predictions map; the members filter."""

    def __init__(self, link: Link, arrivals: Arrivals, name: str, where: str | None) -> None:
        super().__init__(link, arrivals)
        self._name = name
        self._where = where

    async def open(self) -> None:
        """Register the listener."""
        await self._begin(Listener.on_entries(self._link, self._name, self._take, where=self._where, flags=EVENTS))

    def _take(self, message: Message) -> None:
        try:
            _, key, value, _ = decode_entry_event(message)
            if key is not None and value is not None:
                self._arrivals.put(Arrival(key, Prediction.decode(key, value)))
        except DecodeError as error:
            _log.warning("value is no prediction", map=self._name, error=error)


class TopicSource(_ListenerSource):
    """A plain topic; messages of one turn of the loop are looked at together."""

    def __init__(self, link: Link, arrivals: Arrivals, name: str, messages: Messages) -> None:
        super().__init__(link, arrivals)
        self._name = name
        self._messages = messages
        self._came: list[bytes] = []

    async def open(self) -> None:
        """Register the listener."""
        await self._begin(Listener.on_messages(self._link, self._name, self._take))

    def _take(self, message: Message) -> None:
        if not self._came:
            asyncio.get_running_loop().call_soon(self._read)
        self._came.append(topics.decode_topic_event(message))

    def _read(self) -> None:
        came, self._came = self._came, []
        try:
            for arrival in self._messages.read(came):
                self._arrivals.put(arrival)
        except GridInferenceError as error:  # nobody awaits this
            self._arrivals.end(error)


class RingSource:
    """A reliable topic: its ring is read from where it ended when the subscription began."""

    def __init__(self, link: Link, arrivals: Arrivals, name: str, messages: Messages) -> None:
        self._link = link
        self._arrivals = arrivals
        self._messages = messages
        self._ring = topics.ring_name(name)
        _, at, behind = self._ring.partition("@")  # as every client places what has an @ in its name
        self._partition = partition_id(encode_key(behind if at else self._ring), link.partition_count)
        self._owner = ""
        self._next = -1
        """Sequence of the message to be read next; -1 if that has to be asked."""
        self._whole_s = 0.0
        """Nothing from before is missing that no gap tells of."""
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Find the ring's end, and read on from there."""
        self._whole_s, self._owner = time.time(), self._link.owner(self._partition)
        self._next = await self._end()
        self._task = self._link.spawn(self._follow())

    async def close(self) -> None:
        """Stop. The read that is parked on the member can't be called back: the next message ends it."""
        if self._task:
            self._task.cancel()

    async def _end(self) -> int:
        answer = await self._link.call(topics.tail_request(self._ring), self._partition)
        return topics.decode_tail(answer) + 1

    async def _follow(self) -> None:
        try:
            while not self._link.closed:
                await self._read_safely()
                if self._link.given_up:
                    self._arrivals.end(_gone())
        except GridInferenceError as error:
            self._arrivals.end(error)
        finally:
            self._arrivals.end()

    async def _read_safely(self) -> None:
        try:
            if self._next < 0:
                self._next = await self._end()  # before the gap: what comes from now on arrives
                self._declare("topic lost")
            await self._read()
        except (RemoteError, DecodeError) as error:  # destroyed, or shorter than it was after a member's failure
            _log.warning("messages lost", topic=self._ring, sequence=self._next, error=error)
            self._next = -1
            await asyncio.sleep(RETRY_PAUSE_S)
        except GridError:
            await asyncio.sleep(RETRY_PAUSE_S)

    async def _read(self) -> None:
        """Wait for messages. After a reconnect it is read on where it was: nothing is missing then."""
        request = topics.read_ring_request(self._ring, self._next, 1, RING_ROWS)
        page = topics.decode_ring_page(await self._link.call(request, self._partition))
        owner = self._link.owner(self._partition)
        if page.next_sequence - len(page.items) != self._next:
            self._declare("topic overflowed")
        elif owner != self._owner:  # a backup may lack the newest messages, whose places later ones take
            self._declare("member joined" if self._owner in self._link.members() else "member left")
        self._owner, self._next, self._whole_s = owner, page.next_sequence, time.time()
        contents = [content for item in page.items if (content := topics.decode_ring_item(item))]
        for arrival in self._messages.read(contents):
            self._arrivals.put(arrival)

    def _declare(self, reason: Reason) -> None:
        self._arrivals.declare(Gap.after(self._whole_s, reason))


def _gone() -> ConnectionLostError:
    return ConnectionLostError(
        "the subscription has ended: no member could be reached again",
        remedy="connect and subscribe again; the predictions map has what was scored meanwhile",
    )

"""Listeners on all members, registered by the stock client and registered anew by it after every reconnect.

Each member sends the events of its own partitions: one that is registered but not connected is not heard. Destroying
a map or a topic takes its listeners along, on the members; they are registered anew here.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, Final, NamedTuple, Self

import numpy as np
from hazelcast.internal.asyncio_proxy.manager import MAP_SERVICE, TOPIC_SERVICE
from hazelcast.predicate import sql
from hazelcast.protocol.client_message import InboundMessage, OutboundMessage
from hazelcast.protocol.codec import (
    client_add_distributed_object_listener_codec,
    client_create_proxy_codec,
    client_remove_distributed_object_listener_codec,
    map_remove_entry_listener_codec,
    topic_remove_message_listener_codec,
)
from numpy.typing import NDArray

from grid_inference.errors import ConnectionLostError, GridError
from grid_inference.grid.link import Link
from grid_inference.grid.link.requests import was_cancelled
from grid_inference.grid.link.stock import OnEvents, RawListener, invoke, translate
from grid_inference.logs import logger
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.protocol import frames as f
from grid_inference.wire.protocol import messages, topics

__all__ = ["Heard", "Listener"]

_log = logger(__name__)

START_TIMEOUT_S: Final = 20.0
"""How long a listener may take to be registered."""
RENEW_PAUSE_S: Final = 1.0
"""Pause before a listener is registered anew: members tell of a destroyed map a moment before they take it off."""
DESTROYED: Final = "DESTROYED"

Handler = Callable[[InboundMessage], None]
OnMessage = Callable[[f.Message], None]


class Heard(NamedTuple):
    """A member that a listener is registered on."""

    member: str
    read_s: float
    """When bytes last came from it, in seconds since 1970."""


class Listener:
    """One listener on all members; `remove` it at the end."""

    def __init__(self, link: Link, of: tuple[str, str], request: bytearray, removal: Any, on_events: OnEvents) -> None:
        self._link = link
        self._of = of
        self._request = request
        self._removal = removal
        self._on_events = on_events
        self._registration = ""
        self._object_registration = ""
        self._times = 0
        """How often it was registered."""
        self._one_by_one = asyncio.Lock()
        self._removed = False
        self._renewal_due = False

    @classmethod
    async def on_entries(
        cls,
        link: Link,
        name: str,
        on_message: OnMessage,
        *,
        where: str | None = None,
        flags: int,
    ) -> Self:
        """Listen to the entries of a map. Events come raw, with their values; `on_message` must not raise."""
        predicate = None if where is None else link.client._serialization_service.to_data(sql(where)).buffer
        request = messages.add_entry_listener_request(name, flags, predicate, include_value=True)
        listener = cls(link, (MAP_SERVICE, name), request, map_remove_entry_listener_codec, _each_alone(on_message))
        await listener._open()
        return listener

    @classmethod
    async def on_keys(cls, link: Link, name: str, on_keys: Callable[[Blobs | None], None], *, flags: int) -> Self:
        """Listen to which keys of a map are touched, as many at a time as have come; None: all of them were."""

        def on_events(message: f.Message, like: NDArray[np.uint8]) -> None:
            on_keys(messages.decode_entry_keys(message, like))

        request = messages.add_entry_listener_request(name, flags, None, include_value=False)
        listener = cls(link, (MAP_SERVICE, name), request, map_remove_entry_listener_codec, on_events)
        await listener._open()
        return listener

    @classmethod
    async def on_messages(cls, link: Link, topic: str, on_message: OnMessage) -> Self:
        """Listen to a plain topic. Messages come raw; `on_message` must not raise."""
        request = topics.add_topic_listener_request(topic)
        listener = cls(
            link, (TOPIC_SERVICE, topic), request, topic_remove_message_listener_codec, _each_alone(on_message)
        )
        await listener._open()
        return listener

    def heard(self) -> dict[tuple[int, int], Heard]:
        """The registrations that stand now: other keys than before mean that events may be missing."""
        registration = self._link.client._listener_service._active_registrations.get(self._registration)
        found = registration.connection_registrations if registration else {}
        return {
            (self._times, connection._id): Heard(str(connection.remote_uuid), connection.last_read_time)
            for connection in found
            if connection.live
        }

    def left_out(self) -> bool:
        """Whether a member is connected that the stock client has failed to register it on."""
        connected = self._link.client._connection_manager.active_connections.values()
        heard = {connection for _, connection in self.heard()}
        return any(connection.live and connection._id not in heard for connection in connected)

    async def renew(self) -> None:
        """Register anew on all members; raises GridError."""
        await self._translated(self._registered_anew())

    async def remove(self) -> None:
        """Take it off again; a cancelled removal goes on. Raises GridError."""
        if not self._link.closed:
            await self._translated(self._deregister())

    async def _translated(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await self._link.undisturbed(work)
        except GridError:
            raise
        except Exception as error:
            raise translate(error) from error

    async def _open(self) -> None:
        self._link.check_loop()
        opening = self._link.spawn(self._register())
        try:
            await asyncio.wait_for(asyncio.shield(opening), min(START_TIMEOUT_S, self._link.call_timeout_s))
        except BaseException as error:
            self._link.spawn(self._undo(opening))  # it may stand on some members already, and can't be broken off
            if isinstance(error, asyncio.CancelledError) and not was_cancelled():
                raise ConnectionLostError("the connection was closed") from None
            if isinstance(error, Exception):
                raise translate(error) from error
            raise

    async def _undo(self, opening: asyncio.Task[None]) -> None:
        with contextlib.suppress(Exception):
            await opening
        await self._deregister()

    async def _register(self) -> None:
        codec = client_add_distributed_object_listener_codec
        self._object_registration = await self._register_stock(
            codec.encode_request(local_only=True),
            client_remove_distributed_object_listener_codec.encode_request,
            lambda message: codec.handle(message, self._on_object),
        )
        await self._registered_anew()

    async def _registered_anew(self) -> None:
        async with self._one_by_one:
            if self._removed:
                return
            if self._registration:
                await self._link.client._listener_service.deregister_listener(self._registration)
            service, name = self._of
            # Members tell of the end of what clients have asked for only, not of what merely holds entries.
            create = client_create_proxy_codec.encode_request(name, service)
            await invoke(self._link.client, create, lambda _: None, self._link.call_timeout_s)
            self._registration = await self._register_stock(
                OutboundMessage(bytearray(self._request), retryable=False),
                lambda registration: self._removal.encode_request(name, registration),
                RawListener(self._on_events),
            )
            self._times += 1

    async def _register_stock(self, request: OutboundMessage, removal: Callable[[Any], Any], handler: Handler) -> str:
        decode = client_add_distributed_object_listener_codec.decode_response  # a UUID, as all listeners are answered
        return await self._link.client._listener_service.register_listener(request, decode, removal, handler)

    async def _deregister(self) -> None:
        self._removed = True
        async with self._one_by_one:
            for registration in (self._object_registration, self._registration):
                if registration:
                    await self._link.client._listener_service.deregister_listener(registration)

    def _on_object(self, name: str, service: str, event: str, _member: Any) -> None:
        if (service, name) == self._of and event == DESTROYED and not self._renewal_due:
            self._renewal_due = True
            self._link.spawn(self._renew_surely())

    async def _renew_surely(self) -> None:
        while not self._removed:
            await asyncio.sleep(RENEW_PAUSE_S)
            self._renewal_due = False
            try:
                await self._registered_anew()
            except Exception as error:  # the stock client names no class for what a member refuses  # noqa: BLE001
                _log.warning("listener not registered, tried again", map=self._of[1], error=error)
            else:
                return


def _each_alone(on_message: OnMessage) -> OnEvents:
    def on_events(message: f.Message, like: NDArray[np.uint8]) -> None:
        for each in (message, *(f.Message(row.tobytes(), message.runs) for row in like)):
            on_message(each)

    return on_events

"""Entry listeners on all members, registered by the stock client and registered anew by it after every reconnect."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import numpy as np
from hazelcast.predicate import sql
from hazelcast.protocol.client_message import OutboundMessage
from hazelcast.protocol.codec import client_add_distributed_object_listener_codec, map_remove_entry_listener_codec
from numpy.typing import NDArray

from grid_inference.grid.link import Link
from grid_inference.grid.link_stock import OnEvents, RawListener, translate
from grid_inference.wire import frames as f
from grid_inference.wire import messages
from grid_inference.wire.blobs import Blobs

__all__ = ["Listener"]

START_TIMEOUT_S: Final = 20.0
"""How long a listener may take to be registered."""


class Listener:
    """One listener, on all members."""

    def __init__(self, link: Link, registration: str) -> None:
        self._link = link
        self._registration = registration

    @classmethod
    async def on_entries(
        cls,
        link: Link,
        name: str,
        on_message: Callable[[f.Message], None],
        *,
        where: str | None = None,
        flags: int,
    ) -> Listener:
        """Listen to the entries of a map. Events come as raw messages, with their values."""

        def on_events(message: f.Message, like: NDArray[np.uint8]) -> None:
            for each in (message, *(f.Message(row.tobytes(), message.runs) for row in like)):
                on_message(each)

        return await cls._registered(link, name, on_events, where=where, flags=flags, include_value=True)

    @classmethod
    async def on_keys(cls, link: Link, name: str, on_keys: Callable[[Blobs | None], None], *, flags: int) -> Listener:
        """Listen to which keys of a map are touched, as many at a time as have come; None: all of them were."""

        def on_events(message: f.Message, like: NDArray[np.uint8]) -> None:
            on_keys(messages.decode_entry_keys(message, like))

        return await cls._registered(link, name, on_events, where=None, flags=flags, include_value=False)

    @classmethod
    async def _registered(
        cls, link: Link, name: str, on_events: OnEvents, *, where: str | None, flags: int, include_value: bool
    ) -> Listener:
        predicate = None if where is None else link.client._serialization_service.to_data(sql(where)).buffer
        payload = messages.add_entry_listener_request(name, flags, predicate, include_value=include_value)
        registering = link.client._listener_service.register_listener(
            OutboundMessage(payload, retryable=False),
            client_add_distributed_object_listener_codec.decode_response,
            lambda listener: map_remove_entry_listener_codec.encode_request(name, listener),
            RawListener(on_events),
        )
        try:
            return cls(link, await asyncio.wait_for(registering, START_TIMEOUT_S))
        except Exception as error:
            raise translate(error) from error

    def heard_on(self) -> set[int]:
        """The connections on which it is registered now: another set means that events may be missing."""
        registration = self._link.client._listener_service._active_registrations.get(self._registration)
        found = registration.connection_registrations if registration else {}
        return {connection._id for connection in found if connection.live}

    async def remove(self) -> None:
        """Take it off again."""
        await self._link.client._listener_service.deregister_listener(self._registration)

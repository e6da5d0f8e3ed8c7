"""Raw messages over the connections of hazelcast-python-client 5.7: only `link*.py` touch its private parts.

The stock asyncio client connects, authenticates, reconnects, keeps the partition table and beats. A link hands its
connections our own requests as bytes and takes the raw responses to them; all other messages go the stock way. All
requests of a turn of the event loop leave in one socket write per connection. One link belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import logging
import struct
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

import hazelcast
from hazelcast.errors import (
    HazelcastInstanceNotActiveError,
    TargetDisconnectedError,
    create_error_from_message,
    is_retryable_error,
)
from hazelcast.internal.asyncio_client import HazelcastClient
from hazelcast.internal.asyncio_proxy.manager import MAP_SERVICE
from hazelcast.protocol.codec import client_get_distributed_objects_codec

from grid_inference.config import GridConfig
from grid_inference.errors import ConnectError, ConnectionLostError, GridError
from grid_inference.grid.link_schemas import Schemas
from grid_inference.grid.link_stock import (
    RawListener,
    RawReader,
    client_config,
    invoke,
    reason,
    stock_message,
    translate,
)
from grid_inference.wire import frames as f
from grid_inference.wire import messages
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import nested_schema_ids
from grid_inference.wire.schema import Schema

__all__ = ["Link"]

_log = logging.getLogger(__name__)

_ROUTE: Final = struct.Struct("<qi")
RETRY_PAUSE_S: Final = 0.1
"""Pause before a request is sent again after an error that may pass."""
START_TIMEOUT_S: Final = 20.0
"""How long the partition table may take to come."""
DIRECT_BYTES_MIN: Final = 64 << 10
"""A request of this size is not copied together with others."""
CLOSE_TIMEOUT_S: Final = 5.0
"""How long the stock client may take to disconnect."""
CLIENT_VERSION: Final = "5.7."

Answer = f.Message | GridError
OnAnswer = Callable[[Answer], None]


class _Request:
    """A request under way: what to send again, and whom to tell."""

    __slots__ = ("connection", "correlation", "deadline", "on_answer", "partition", "payload")

    def __init__(self, payload: bytearray, partition: int, on_answer: OnAnswer, deadline: float) -> None:
        self.payload = payload
        self.partition = partition
        self.on_answer = on_answer
        self.deadline = deadline
        self.connection: Any = None
        self.correlation = 0


class Link:
    """A connection to a cluster that takes ready messages. Not thread-safe: use it on the loop that opened it."""

    def __init__(self, client: HazelcastClient, config: GridConfig) -> None:
        self.client: Any = client
        """The stock client, for what needs no speed: listeners, reliable topics, its serialization."""
        self._pending: dict[int, _Request] = {}
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._call_timeout_s = config.call_timeout_s
        self._schemas = Schemas(client, self.members)
        self._created: set[str] = set()

    @classmethod
    async def open(cls, config: GridConfig) -> Link:
        """Connect; raise ConnectError with the address, the cluster and what to do if that can't be done."""
        if not hazelcast.__version__.startswith(CLIENT_VERSION):
            raise GridError(
                f"hazelcast-python-client {hazelcast.__version__} is installed; "
                f"grid-inference works with {CLIENT_VERSION}x",
                remedy=f"pip install 'hazelcast-python-client=={CLIENT_VERSION}*'",
            )
        client = HazelcastClient(client_config(config))
        link = cls(client, config)
        link._hook_connections()
        try:
            await link.client._start()
        except Exception as error:
            raise ConnectError(
                f"no cluster {config.cluster_name!r} at {config.address}: {reason(error)}",
                remedy="start a node with `grid-inference node`, or give the address and the cluster name of yours",
            ) from error
        link.client._connection_manager.add_listener(None, link._on_connection_closed)
        await link._wait_for_partitions()
        return link

    def _hook_connections(self) -> None:
        """Every connection, after a reconnect too, gets our reader before its first byte arrives."""
        reactor = self.client._reactor
        stock_factory = reactor.connection_factory

        def factory(*args: Any) -> Any:
            connection = stock_factory(*args)
            connection._reader = RawReader(connection._builder, self._take, self._listener_of)
            return connection

        reactor.connection_factory = factory

    async def _wait_for_partitions(self) -> None:
        """The partition table comes a moment after the connection; routing without it would go astray."""
        deadline = time.monotonic() + START_TIMEOUT_S
        asked = -1.0
        while not self.client._internal_partition_service._partition_table.partitions:
            if time.monotonic() > deadline:
                await self.close()
                raise ConnectError("the cluster gave no partition table", remedy="look into the members' logs")
            if time.monotonic() > asked + 1:
                # A new cluster assigns its partitions at the first operation that needs one.
                asked = time.monotonic()
                self.post(messages.size_request("grid_inference.deployments"), -1, lambda _: None)
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        """Fail what is under way and disconnect. Closing twice is the same as once."""
        if self._closed:
            return
        self._closed = True
        for request in list(self._pending.values()):
            self._pending.pop(request.correlation, None)
            request.on_answer(ConnectionLostError("the connection was closed"))
        try:
            await asyncio.wait_for(self.client.shutdown(), CLOSE_TIMEOUT_S)
        except TimeoutError:
            # A client that has given up its cluster by itself never finishes a second shutdown.
            _log.debug("the stock client did not end in time")

    # ---- the cluster as it is now

    @property
    def partition_count(self) -> int:
        """Partitions of the cluster, fixed for its life."""
        return self.client._internal_partition_service.partition_count

    def partition_owners(self) -> dict[int, str]:
        """Partition → id of the member that owns it."""
        table = self.client._internal_partition_service._partition_table.partitions
        return {partition: str(member) for partition, member in table.items()}

    def members(self) -> dict[str, str]:
        """Member id → `host:port`."""
        found = self.client._internal_cluster_service.get_members()
        return {str(member.uuid): f"{member.address.host}:{member.address.port}" for member in found}

    async def create_map(self, name: str) -> None:
        """Make a map known to the cluster, as every client does before it uses one. Free after the first time."""
        if name not in self._created:
            try:
                await self.client.get_map(name)
            except Exception as error:
                raise translate(error) from error
            self._created.add(name)

    async def map_names(self) -> set[str]:
        """Names of the maps that exist on the cluster."""
        request = client_get_distributed_objects_codec.encode_request()
        found = await invoke(self.client, request, client_get_distributed_objects_codec.decode_response)
        return {one.name for one in found if one.service_name == MAP_SERVICE}

    @property
    def connected(self) -> bool:
        """Whether any member is connected at the moment."""
        return bool(self.client._connection_manager.active_connections)

    @property
    def given_up(self) -> bool:
        """Whether the stock client has given the cluster up for good, after `connect_timeout_s` without a member."""
        return not self.client.lifecycle_service.is_running()

    # ---- requests

    def post(self, payload: bytearray, partition: int, on_answer: OnAnswer, timeout_s: float | None = None) -> None:
        """Send a request to a partition's owner (-1: any member); `on_answer` gets the message or the error, once.

        Errors that may pass (migration, a lost connection, a member leaving) are tried again until the timeout:
        every request sent through here can be carried out twice without harm.
        """
        deadline = self._loop.time() + (self._call_timeout_s if timeout_s is None else timeout_s)
        self._send(_Request(payload, partition, on_answer, deadline))

    async def call(self, payload: bytearray, partition: int = -1) -> f.Message:
        """Send a request and wait for its answer; raises RemoteError, ConnectionLostError."""
        future: asyncio.Future[f.Message] = self._loop.create_future()
        self.post(payload, partition, lambda answer: _settle(future, answer))
        return await future

    async def call_all(self, requests: Iterable[tuple[int, bytearray]]) -> list[f.Message]:
        """Send (partition, request) pairs at once and wait for all answers, in order; raise the first error of any."""
        some = list(requests)
        if not some:
            return []
        answers: list[Answer | None] = [None] * len(some)
        future: asyncio.Future[None] = self._loop.create_future()
        missing = len(some)

        def taker(index: int) -> OnAnswer:
            def take(answer: Answer) -> None:
                nonlocal missing
                answers[index] = answer
                missing -= 1
                if not missing and not future.done():
                    future.set_result(None)

            return take

        for index, (partition, payload) in enumerate(some):
            self.post(payload, partition, taker(index))
        await future
        for answer in answers:
            if isinstance(answer, GridError):
                raise answer
        return [answer for answer in answers if isinstance(answer, f.Message)]

    def _send(self, request: _Request) -> None:
        if self._closed:
            request.on_answer(ConnectionLostError("the connection is closed"))
            return
        connection = self._connection(request.partition)
        if connection is None:
            self._retry_or_fail(request, ConnectionLostError("no member is connected"))
            return
        correlation: int = self.client._invocation_service._next_correlation_id.get_and_increment()
        request.correlation, request.connection = correlation, connection
        _ROUTE.pack_into(request.payload, f.CORRELATION_OFFSET, correlation, request.partition)
        self._pending[correlation] = request
        self._write(connection, request.payload)

    @staticmethod
    def _write(connection: Any, payload: bytearray) -> None:
        """Join small requests to one write a turn; give large ones to the socket as they are, without two copies."""
        protocol = connection._proto
        if len(payload) < DIRECT_BYTES_MIN or protocol is None or protocol._transport is None:
            connection._write(payload)
            return
        protocol._do_write()
        protocol._transport.write(payload)
        connection._update_write_time(time.time())

    def _connection(self, partition: int) -> Any:
        manager = self.client._connection_manager
        if partition >= 0:
            owner = self.client._internal_partition_service.get_partition_owner(partition)
            connection = manager.active_connections.get(owner)
            if connection is not None and connection.live:
                return connection
        return next((some for some in manager.active_connections.values() if some.live), None)

    def _listener_of(self, correlation: int) -> RawListener | None:
        """Who takes a registration's events raw; None if it is the stock client's."""
        handler = self.client._listener_service._event_handlers.get(correlation)
        return handler if isinstance(handler, RawListener) else None

    def _take(self, message: f.Message) -> bool:
        """Give a raw message to whoever asked for it; False if it is the stock client's."""
        request = self._pending.pop(message.correlation, None) if not message.flags & f.IS_EVENT else None
        if request is None:
            return False
        if message.type != f.EXCEPTION_TYPE:
            self._answer(request, message)
            return True
        error = create_error_from_message(stock_message(message))
        if is_retryable_error(error) or isinstance(error, HazelcastInstanceNotActiveError | TargetDisconnectedError):
            self._retry_or_fail(request, translate(error))
        else:
            self._answer(request, translate(error))
        return True

    def _answer(self, request: _Request, answer: Answer) -> None:
        try:
            request.on_answer(answer)
        except Exception:  # one taker's bug must not cost the connection, which all takers share  # noqa: BLE001
            _log.exception("the taker of an answer failed")

    def _retry_or_fail(self, request: _Request, error: GridError) -> None:
        if self._closed or self.given_up or self._loop.time() > request.deadline:
            self._answer(request, error)
        else:
            self._loop.call_later(RETRY_PAUSE_S, self._send, request)

    def _on_connection_closed(self, connection: Any) -> None:
        gone = [request for request in self._pending.values() if request.connection is connection]
        for request in gone:
            del self._pending[request.correlation]
            self._retry_or_fail(request, ConnectionLostError("the connection to the member was lost"))

    # ---- schemas

    async def schema(self, schema_id: int) -> Schema:
        """The Compact schema of an id, from the cluster at its first use; DecodeError if the cluster has none."""
        return await self._schemas.fetch(schema_id)

    async def nested_schemas(self, values: Blobs, schema: Schema) -> dict[int, Schema]:
        """The schemas of all records that are nested in these ones, which are of one schema."""
        known: dict[int, Schema] = {}
        while missing := nested_schema_ids(values, schema, None, known) - known.keys():
            for schema_id in missing:
                known[schema_id] = await self.schema(schema_id)
        return known

    async def send_schema(self, schema: Schema) -> None:
        """Make a schema known to the whole cluster; due before the first record of it. Free after the first time."""
        await self._schemas.send(schema)


def _settle(future: asyncio.Future[f.Message], answer: Answer) -> None:
    if future.done():
        return
    if isinstance(answer, GridError):
        future.set_exception(answer)
    else:
        future.set_result(answer)

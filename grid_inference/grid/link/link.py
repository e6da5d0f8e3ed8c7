"""Raw messages over the connections of hazelcast-python-client 5.7: what of them is private is used in this room only.

The stock asyncio client connects, authenticates, reconnects, keeps the partition table and beats. A link hands its
connections our own requests as bytes and takes the raw responses to them; all other messages go the stock way. All
requests of a turn of the event loop leave in one socket write per connection. One link belongs to one event loop.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, Self, TypeVar

from hazelcast.errors import (
    HazelcastInstanceNotActiveError,
    IndeterminateOperationStateError,
    TargetDisconnectedError,
    create_error_from_message,
    is_retryable_error,
)
from hazelcast.internal.asyncio_client import HazelcastClient
from hazelcast.internal.asyncio_proxy.manager import MAP_SERVICE
from hazelcast.lifecycle import LifecycleState
from hazelcast.protocol.codec import client_create_proxy_codec, client_get_distributed_objects_codec

from grid_inference.config import GridConfig
from grid_inference.errors import ConnectError, ConnectionLostError, GridError, LeaseExpiredError
from grid_inference.grid.link.requests import Allows, Answer, OnAnswer, Request, Unsure, settle, was_cancelled
from grid_inference.grid.link.schemas import Schemas
from grid_inference.grid.link.stock import (
    Connections,
    RawListener,
    check_version,
    client_config,
    end_with_the_client,
    reason,
    stock_message,
    take_next_views,
    translate,
)
from grid_inference.logs import logger
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.protocol import frames as f
from grid_inference.wire.protocol import messages
from grid_inference.wire.schema import Schema

__all__ = ["Link"]

_log = logger(__name__)

_ROUTE: Final = struct.Struct("<qi")
RETRY_PAUSE_S: Final = 0.1
"""Pause before a request is sent again after an error that may pass."""
START_TIMEOUT_S: Final = 20.0
"""How long the partition table may take to come."""
DIRECT_BYTES_MIN: Final = 64 << 10
"""A request of this size is not copied together with others."""
CLOSE_TIMEOUT_S: Final = 5.0
"""How long the stock client may take to disconnect."""
VIEWS_S: Final = 10.0
"""So often what the members say of themselves and the partitions is taken whatever was said before."""
MAY_PASS: Final = (HazelcastInstanceNotActiveError, TargetDisconnectedError, IndeterminateOperationStateError)
"""Errors that the stock client may not try again, and we may. Indeterminate: it was carried out, but a backup did not
say that it has it, so that the loss of one member more could undo it; done again, it is on both."""

T = TypeVar("T")


class Link:
    """A connection to a cluster that takes ready messages. Not thread-safe: use it on the loop that opened it."""

    def __init__(self, client: HazelcastClient, config: GridConfig) -> None:
        self.client: Any = client
        """The stock client, for what needs no speed: listeners, reliable topics, its serialization."""
        self._pending: dict[int, Request] = {}
        self._loop = asyncio.get_running_loop()
        self._closing: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[Any]] = set()
        self._connections = Connections(
            client, self._take, self._listener_of, self._on_connection_closed, config.heartbeat_timeout_s
        )
        end_with_the_client(client)
        self.call_timeout_s = config.call_timeout_s
        """How long one request may take, its retries included."""
        self._schemas = Schemas(client, self.members, config.call_timeout_s)
        self._created: set[str] = set()

    @classmethod
    async def open(cls, config: GridConfig) -> Link:
        """Connect; raise ConnectError with the address, the cluster and what to do if that can't be done."""
        check_version()
        link = cls(HazelcastClient(client_config(config)), config)
        try:
            await link._start(config)
        except BaseException:  # a cancelled connect leaves no socket behind
            await link.close()
            raise
        return link

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _start(self, config: GridConfig) -> None:
        try:
            async with asyncio.timeout(config.connect_timeout_s + 2 * config.heartbeat_timeout_s):
                await self.undisturbed(self.client._start())
        except Exception as error:
            if self._connections.refused:
                raise ConnectError(
                    f"the member at {config.address} does not let us into a cluster {config.cluster_name!r}",
                    remedy="give the cluster name of its configuration: `--cluster-name`, GRID_INFERENCE_CLUSTER",
                ) from error
            why = "the member is silent" if isinstance(error, TimeoutError) else reason(error)
            raise ConnectError(
                f"no cluster {config.cluster_name!r} at {config.address}: {why}",
                remedy="start a node with `grid-inference node`, or give the address and the cluster name of yours",
            ) from error
        self.client.lifecycle_service.add_listener(self._on_state)
        await self._wait_for_partitions()
        self.spawn(self._keep_views_fresh())

    async def _keep_views_fresh(self) -> None:
        while True:
            await asyncio.sleep(VIEWS_S)
            take_next_views(self.client)

    async def _wait_for_partitions(self) -> None:
        """The partition table comes a moment after the connection; routing without it would go astray."""
        deadline = time.monotonic() + START_TIMEOUT_S
        asked = -1.0
        while not self.client._internal_partition_service._partition_table.partitions:
            if time.monotonic() > deadline:
                raise ConnectError("the cluster gave no partition table", remedy="look into the members' logs")
            if time.monotonic() > asked + 1:
                # A new cluster assigns its partitions at the first operation that needs one.
                asked = time.monotonic()
                self.post(messages.size_request("grid_inference.deployments"), -1, lambda _: None)
            await asyncio.sleep(0.01)

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closing is not None

    async def close(self) -> None:
        """Fail what is under way and disconnect. Closing twice is the same as once; a cancelled close goes on."""
        self.check_loop()
        if self._closing is None:
            self._closing = self._loop.create_task(self._disconnect())
        await asyncio.shield(self._closing)

    async def _disconnect(self) -> None:
        self._fail_all("the connection was closed")
        try:
            await asyncio.wait_for(self._end_stock(), CLOSE_TIMEOUT_S)
        except TimeoutError:
            # A client that has given up its cluster by itself never finishes a second shutdown.
            _log.debug("stock client did not end in time")
        except Exception as error:  # whatever it is, what was to be ended is of no use any more  # noqa: BLE001
            _log.debug("stock client did not end in order", error=error)
        finally:
            for task in self._background:
                task.cancel()

    async def _end_stock(self) -> None:
        await self.client.shutdown()
        await self._connections.close()

    def _fail_all(self, why: str) -> None:
        for request in list(self._pending.values()):
            self._answer(request, ConnectionLostError(why))
            request.forget()  # it stays known: an answer that comes yet is no news for the stock client

    def _on_state(self, state: str) -> None:
        if state == LifecycleState.SHUTTING_DOWN and not self.closed:
            # Nobody tells of the last connection once the stock client has given up.
            self._fail_all("the cluster is gone: no member could be reached again")

    # ---- whose it is

    def check_loop(self) -> None:
        """Raise GridError on another event loop than the one that opened the link: there one would wait for ever."""
        if asyncio.get_running_loop() is not self._loop:
            raise GridError(
                "this grid belongs to another event loop",
                remedy="open one in each loop with aio.connect(), or share one of grid_inference.connect() by threads",
            )

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin work in the background; the link's close cancels it."""
        task = self._loop.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    def spawn_soon(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> None:
        """The same from any thread, and from a destructor; nothing happens once the link or its loop is closed."""
        if not self.closed and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(lambda: self.spawn(work()))

    async def undisturbed(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for work of the stock client. Who is cancelled meanwhile leaves it to end: it can't be broken off."""
        self.check_loop()
        task = self.spawn(work)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be left to look
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            if was_cancelled():
                raise
            raise ConnectionLostError("the connection was closed") from None

    # ---- the cluster as it is now

    @property
    def partition_count(self) -> int:
        """Partitions of the cluster, fixed for its life."""
        return self.client._internal_partition_service.partition_count

    def partition_owners(self) -> dict[int, str]:
        """Partition → id of the member that owns it."""
        table = self.client._internal_partition_service._partition_table.partitions
        return {partition: str(member) for partition, member in table.items()}

    def owner(self, partition: int) -> str:
        """Id of the member that owns a partition."""
        return str(self.client._internal_partition_service.get_partition_owner(partition))

    def members(self) -> dict[str, str]:
        """Member id → `host:port`."""
        found = self.client._internal_cluster_service.get_members()
        return {str(member.uuid): f"{member.address.host}:{member.address.port}" for member in found}

    async def create_map(self, name: str) -> None:
        """Make a map known to the cluster, as every client does before it uses one. Free after the first time."""
        if name not in self._created:
            await self.call(client_create_proxy_codec.encode_request(name, MAP_SERVICE).buf)
            # The stock client makes what it knows known again to a cluster that comes in the place of this one.
            try:
                await self.client._proxy_manager.get_or_create(MAP_SERVICE, name, create_on_remote=False)
            except Exception as error:
                raise translate(error) from error
            self._created.add(name)

    async def map_names(self) -> set[str]:
        """Names of the maps that exist on the cluster."""
        answer = await self.call(client_get_distributed_objects_codec.encode_request().buf)
        found = client_get_distributed_objects_codec.decode_response(stock_message(answer))
        return {one.name for one in found if one.service_name == MAP_SERVICE}

    @property
    def connected(self) -> bool:
        """Whether any member is connected at the moment."""
        return bool(self.client._connection_manager.active_connections)

    @property
    def given_up(self) -> bool:
        """Whether the stock client has ended for good: closed, or after `connect_timeout_s` without a member."""
        return not self.client.lifecycle_service.is_running()

    # ---- requests

    def post(
        self,
        payload: f.Request,
        partition: int,
        on_answer: OnAnswer,
        timeout_s: float | None = None,
        allows: Allows | None = None,
        unsure: Unsure | None = None,
    ) -> Request:
        """Send a request to a partition's owner (-1: any member); `on_answer` gets the message or the error, once.

        Errors that may pass (migration, a lost connection, a member leaving) are tried again until the timeout:
        every request sent through here can be carried out twice without harm. Whenever it is about to be sent, `allows`
        is asked; where it says no, `on_answer` gets a LeaseExpiredError. `unsure` is told when its connection breaks:
        it may be carried out then long after its repeat, and behind what is sent once that one is answered.
        """
        deadline = self._loop.time() + (self.call_timeout_s if timeout_s is None else timeout_s)
        request = Request(payload, partition, on_answer, deadline, allows, unsure)
        self._send(request)
        return request

    async def call(self, payload: f.Request, partition: int = -1) -> f.Message:
        """Send a request and wait for its answer; raises RemoteError, ConnectionLostError."""
        self.check_loop()
        future: asyncio.Future[f.Message] = self._loop.create_future()
        request = self.post(payload, partition, lambda answer: settle(future, answer))
        try:
            return await future
        except asyncio.CancelledError:
            request.forget()
            raise

    async def call_all(
        self,
        requests: Iterable[tuple[int, f.Request]],
        allows: Allows | None = None,
        unsure: Unsure | None = None,
    ) -> list[f.Message]:
        """Send (partition, request) pairs at once and wait for all answers, in order; raise the first error of any."""
        answers = await self.answers(requests, allows, unsure)
        for answer in answers:
            if isinstance(answer, GridError):
                raise answer
        return [answer for answer in answers if isinstance(answer, f.Message)]

    async def answers(
        self,
        requests: Iterable[tuple[int, f.Request]],
        allows: Allows | None = None,
        unsure: Unsure | None = None,
    ) -> list[Answer]:
        """Send (partition, request) pairs at once and wait until each has its answer or its error, in order.

        Each request is sent, and sent again, only while `allows` says so of its partition; `unsure` as in `post`.
        """
        self.check_loop()
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

        deadline = self._loop.time() + self.call_timeout_s
        sent = [
            Request(payload, partition, taker(index), deadline, allows, unsure)
            for index, (partition, payload) in enumerate(some)
        ]
        for request in sent:
            self._send(request)
        try:
            await future
        except asyncio.CancelledError:
            for request in sent:
                request.forget()
            raise
        return [answer for answer in answers if answer is not None]

    def _send(self, request: Request) -> None:
        if request.forgotten:
            return
        if self.closed:
            self._answer(request, ConnectionLostError("the connection is closed"))
            return
        if request.allows and not request.allows(request.partition):
            self._answer(request, LeaseExpiredError(f"the lease of partition {request.partition} is not ours any more"))
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
    def _write(connection: Any, payload: f.Request) -> None:
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
        if isinstance(error, TargetDisconnectedError):
            request.lose()
        if is_retryable_error(error) or isinstance(error, MAY_PASS):
            self._retry_or_fail(request, translate(error))
        else:
            self._answer(request, translate(error))
        return True

    def _answer(self, request: Request, answer: Answer) -> None:
        if request.forgotten:
            return
        try:
            request.on_answer(answer)
        except Exception:  # one taker's bug must not cost the connection, which all takers share  # noqa: BLE001
            _log.exception("taker of an answer failed")

    def _retry_or_fail(self, request: Request, error: GridError) -> None:
        if request.forgotten or self.closed or self.given_up or self._loop.time() > request.deadline:
            self._answer(request, error)
        else:
            self._loop.call_later(RETRY_PAUSE_S, self._send, request)

    def _on_connection_closed(self, connection: Any) -> None:
        gone = [request for request in self._pending.values() if request.connection is connection]
        for request in gone:
            del self._pending[request.correlation]
            request.lose()
            self._retry_or_fail(request, ConnectionLostError("the connection to the member was lost"))

    # ---- schemas

    async def schema(self, schema_id: int) -> Schema:
        """The Compact schema of an id, from the cluster at its first use; DecodeError if the cluster has none."""
        self.check_loop()
        return await self._schemas.fetch(schema_id)

    async def nested_schemas(self, values: Blobs, schema: Schema) -> dict[int, Schema]:
        """The schemas of all records that are nested in these ones, which are of one schema."""
        self.check_loop()
        return await self._schemas.fetch_nested(values, schema)

    async def send_schema(self, schema: Schema) -> None:
        """Make a schema known to the whole cluster; due before the first record of it. Free after the first time."""
        self.check_loop()
        await self._schemas.send(schema)

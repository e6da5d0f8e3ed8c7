"""The stock client's side of a link: its configuration, its messages and ours, its errors as ours.

What is used of it otherwise: connections in `link.py`, schemas, listeners and topics beside it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import hazelcast
import numpy as np
from hazelcast.config import Config, ReconnectMode
from hazelcast.errors import (
    AuthenticationError,
    ClientNotAllowedInClusterError,
    HazelcastClientNotActiveError,
    TargetDisconnectedError,
)
from hazelcast.internal.asyncio_invocation import Invocation
from hazelcast.protocol.client_message import ClientMessageBuilder, Frame, InboundMessage, OutboundMessage
from numpy.typing import NDArray

from grid_inference.config import GridConfig
from grid_inference.errors import ConnectionLostError, GridError, RemoteError
from grid_inference.logs import logger
from grid_inference.wire.protocol import frames as f

__all__ = [
    "Connections",
    "OnEvents",
    "RawListener",
    "check_version",
    "client_config",
    "end_with_the_client",
    "invoke",
    "reason",
    "stock_message",
    "take_next_views",
    "translate",
]

_log = logger(__name__)

CLIENT_VERSION: Final = "5.7."
OnEvents = Callable[[f.Message, NDArray[np.uint8]], None]
"""Gets an event and those behind it that are like it, shape (n, bytes of the event)."""


def check_version() -> None:
    """Refuse a client whose private parts may be others; raises GridError."""
    if not hazelcast.__version__.startswith(CLIENT_VERSION):
        raise GridError(
            f"hazelcast-python-client {hazelcast.__version__} is installed, and {CLIENT_VERSION}x is needed",
            remedy=f"pip install 'hazelcast-python-client=={CLIENT_VERSION}*'",
        )


class Connections:
    """A stock client's connections: each one, after a reconnect too, gets our reader before its first byte arrives."""

    def __init__(
        self,
        client: Any,
        take: Callable[[f.Message], bool],
        listener_of: Callable[[int], RawListener | None],
        on_closed: Callable[[Any], None],
        silent_s_max: float,
    ) -> None:
        self._made: list[Any] = []
        self._closing: set[asyncio.Task[None]] = set()
        self.refused = False
        """Whether a member has answered that it does not let us in: by the cluster's name, as a rule."""
        reactor = client._reactor
        stock_factory = reactor.connection_factory

        def factory(*args: Any) -> Any:
            connection = stock_factory(*args)
            connection._reader = RawReader(connection._builder, take, listener_of)
            connection._inner_close = partial(_close, connection._inner_close, on_closed, connection)
            connection._log_close = partial(self._note_close, connection._log_close)
            self._made = [one for one in self._made if one.live] + [connection]
            asyncio.get_running_loop().call_later(silent_s_max, self._give_up_if_silent, connection)
            return connection

        reactor.connection_factory = factory

    async def close(self) -> None:
        """Close those that are still being made too: the stock client does not know them yet."""
        for connection in self._made:
            for task in (connection._connect_task, connection._create_task):
                if task:
                    task.cancel()
            await connection.close_connection("the connection was closed", None)

    def _note_close(self, log: Callable[[Any, Any], None], why: Any, cause: Any) -> None:
        """Know why a connection is closed: the stock client tries again, and says in the end that it could not."""
        self.refused |= isinstance(cause, AuthenticationError | ClientNotAllowedInClusterError)
        log(why, cause)

    def _give_up_if_silent(self, connection: Any) -> None:
        """Close a connection on which a member has not even greeted us: the stock client would wait for it for ever."""
        if connection.live and not connection.remote_uuid:
            task = asyncio.get_running_loop().create_task(connection.close_connection("the member is silent", None))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


def _close(close: Callable[[], None], on_closed: Callable[[Any], None], connection: Any) -> None:
    """Tell at once: the stock client tells behind its reconnect, which may wait for a silent member for long."""
    try:
        close()
    finally:
        on_closed(connection)


class RawReader:
    """Stands in for a stock connection's reader: raw answers and events to the link, all else to the stock builder."""

    def __init__(
        self,
        builder: ClientMessageBuilder,
        take: Callable[[f.Message], bool],
        listener_of: Callable[[int], RawListener | None],
    ) -> None:
        self._builder = builder
        self._take = take
        self._listener_of = listener_of
        self._scanner = f.Scanner()

    @property
    def length(self) -> int:
        """Bytes that have come and are no whole message yet."""
        return len(self._scanner)

    def read(self, data: memoryview) -> None:
        """More bytes have come."""
        self._scanner.feed(data)

    def process(self) -> None:
        """Hand out every message that is whole."""
        while message := self._scanner.next_message():
            listener = self._listener_of(message.correlation) if message.flags & f.IS_EVENT else None
            if listener is not None:
                listener.take(message, self._scanner.next_like(message))
            elif not self._take(message):
                self._builder.on_message(stock_message(message))


class RawListener:
    """What the stock listener service holds for a listener of ours: events go by it, raw."""

    def __init__(self, on_events: OnEvents) -> None:
        self._on_events = on_events

    def take(self, message: f.Message, like: NDArray[np.uint8]) -> None:
        """Hand events over."""
        try:
            self._on_events(message, like)
        except Exception:  # one taker's bug must not cost the connection, which all takers share  # noqa: BLE001
            _log.exception("taker of events failed")

    def __call__(self, stock: InboundMessage) -> None:
        """Events of ours don't come this way."""
        raise GridError(f"an event took the stock client's way: {stock}")


def stock_message(message: f.Message) -> InboundMessage:
    """A raw message as the stock client's chain of frames."""
    payloads, flags = message.frames()
    frames = [Frame(payload, flag) for payload, flag in zip(payloads.tolist(), flags.tolist(), strict=True)]
    stock = InboundMessage(frames[0])
    for frame in frames[1:]:
        stock.add_frame(frame)
    return stock


async def invoke(
    client: Any, request: OutboundMessage, decode: Callable[[InboundMessage], Any], timeout_s: float
) -> Any:
    """Send one of the stock client's own requests; raises RemoteError, ConnectionLostError, that also after a time."""
    try:
        async with asyncio.timeout(timeout_s):
            return await client._invocation_service.ainvoke(Invocation(request, response_handler=decode))
    except TimeoutError as error:
        raise ConnectionLostError(f"no member has answered within {timeout_s:g} s") from error
    except Exception as error:
        raise translate(error) from error


def end_with_the_client(client: Any) -> None:
    """Have no state sent to a cluster by a client that has ended.

    The stock client would try it again at once, within the attempt before, as often as Python lets it, and over again.
    """
    manager = client._connection_manager
    send = manager._send_state_to_cluster_fn

    async def send_while_running() -> None:
        if client.lifecycle_service.is_running():
            await send()

    manager._send_state_to_cluster_fn = send_while_running


def take_next_views(client: Any) -> None:
    """Have the next views of members and partitions taken, whatever their numbers.

    The stock client takes a view only if its number is higher than the last one's. Each member counts for itself, and a
    member that was merged after a split of the network counts on from elsewhere: what it says may be refused for good.
    Members send their views again each 30 s, and one behind the other on a connection.
    """
    client._internal_partition_service._partition_table.version = -1
    client._internal_cluster_service.clear_member_list_version()


def client_config(config: GridConfig) -> Config:
    """The stock client's configuration for our settings."""
    stock = Config()
    stock.cluster_name = config.cluster_name
    stock.cluster_members = [config.address]
    stock.cluster_connect_timeout = config.connect_timeout_s
    stock.connection_timeout = min(5.0, config.connect_timeout_s)
    stock.heartbeat_interval = config.heartbeat_s
    stock.heartbeat_timeout = config.heartbeat_timeout_s
    stock.fail_on_indeterminate_operation_state = True
    stock.reconnect_mode = ReconnectMode.ON
    stock.statistics_enabled = False
    return stock


def translate(error: Any) -> GridError:
    """A foreign error as one of ours."""
    if isinstance(error, OSError | HazelcastClientNotActiveError | TargetDisconnectedError):
        return ConnectionLostError(f"the connection to the member was lost: {reason(error)}")
    return RemoteError(reason(error), class_name=type(error).__name__)


def reason(error: BaseException) -> str:
    """The first line of an error, without Java's stack."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].removeprefix("Exception from server: ")

"""TCP proxies before members: for workers, for clients.

They cut, refuse, delay, fall silent, swallow answers, and break off at a chosen message. Requests are counted by the
frames of Hazelcast's client protocol: [int32 length][uint16 flags][payload], the last one of a message with bit 13.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

CHUNK_BYTES = 65_536
PROTOCOL_BYTES = 3
"""A client says `CP2` before its first message."""
IS_FINAL = 1 << 13
SWALLOW_S = 0.3
"""So long a member has to carry out the request whose answer nobody gets; then the connection is cut."""
_header = struct.Struct("<iH")


class Requests:
    """Counts the whole messages in a stream of bytes."""

    def __init__(self) -> None:
        self.count = 0
        self._skip = PROTOCOL_BYTES
        self._head = b""
        self._final = False
        """The frame that is being skipped is the last one of its message."""

    def feed(self, data: bytes) -> None:
        """Take more bytes; pieces may end anywhere."""
        at = 0
        while at < len(data):
            if self._skip:
                step = min(self._skip, len(data) - at)
                self._skip -= step
            else:
                step = min(_header.size - len(self._head), len(data) - at)
                self._head += data[at : at + step]
            at += step
            if len(self._head) == _header.size:
                length, flags = _header.unpack(self._head)
                self._head, self._skip, self._final = b"", length - _header.size, bool(flags & IS_FINAL)
            if self._final and not self._skip:
                self.count += 1
                self._final = False


class Proxy:
    """Forwards connections to a member's port, in threads that end with it."""

    def __init__(self, target_port: int) -> None:
        self._target = ("127.0.0.1", target_port)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._flowing = threading.Event()
        self._flowing.set()
        self._swallow_after = 0
        self._refusing = False
        self.delay_s = 0.0
        """How long each piece of a stream is held back."""
        self.swallowed = 0
        """Connections whose answers were swallowed."""
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all connections and listen no more."""
        self._refusing = True
        self._flowing.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()

    def cut(self) -> None:
        """End every connection as a broken cable would; new ones are let through."""
        with self._lock:
            ends, self._open = self._open, set()
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def cut_off(self) -> Iterator[None]:
        """Nobody gets through meanwhile."""
        self._refusing = True
        self.cut()
        try:
            yield
        finally:
            self._refusing = False

    @contextlib.contextmanager
    def silent(self) -> Iterator[None]:
        """No byte goes through meanwhile, and no connection ends: nobody is told."""
        self.blackhole()
        try:
            yield
        finally:
            self.flow()

    def blackhole(self) -> None:
        """No byte goes through from now on, and no connection ends: nobody is told."""
        self._flowing.clear()

    def flow(self) -> None:
        """Bytes go through again, those held back first."""
        self._flowing.set()

    def swallow(self, requests: int) -> None:
        """Let so many more requests through on some connection, then none of its answers; then cut it."""
        self._swallow_after = requests

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            try:
                server = None if self._refusing else socket.create_connection(self._target, timeout=5)
            except OSError:
                server = None
            if server is None:
                client.close()
                continue
            server.settimeout(None)
            with self._lock:
                self._open |= {client, server}
            Pipe(self, client, server).start()

    def wait_to_flow(self) -> None:
        """Hold a piece back as long as nothing may pass."""
        if self.delay_s:
            time.sleep(self.delay_s)
        self._flowing.wait()

    def swallows(self, requests: int) -> bool:
        """Whether answers are to be swallowed now, after so many requests of one piece; the last countdown takes it."""
        with self._lock:
            if not self._swallow_after or not requests:
                return False
            self._swallow_after = max(0, self._swallow_after - requests)
            self.swallowed += not self._swallow_after
            return not self._swallow_after

    def forget(self, *ends: socket.socket) -> None:
        """These sockets are closed."""
        with self._lock:
            self._open -= set(ends)


class Pipe:
    """One connection through a proxy."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client, self._server = client, server
        self._mute = False

    def start(self) -> None:
        """Forward both ways."""
        answers = threading.Thread(target=self._pump, args=(self._server, self._client, None), daemon=True)
        answers.start()
        threading.Thread(target=self._requests, args=(answers,), daemon=True).start()

    def _requests(self, answers: threading.Thread) -> None:
        self._pump(self._client, self._server, Requests())
        answers.join()
        self._proxy.forget(self._client, self._server)
        self._client.close()
        self._server.close()

    def _pump(self, source: socket.socket, sink: socket.socket, requests: Requests | None) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(CHUNK_BYTES):
                self._proxy.wait_to_flow()
                if requests is None:
                    if not self._mute:
                        sink.sendall(data)
                    continue
                before = requests.count
                requests.feed(data)
                self._mute = self._mute or self._proxy.swallows(requests.count - before)
                sink.sendall(data)
                if self._mute:
                    time.sleep(SWALLOW_S)
                    break
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

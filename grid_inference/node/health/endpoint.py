"""HTTP/1.1 within limits: GET and HEAD, one request a connection, all connections in one event loop.

Whoever says nothing, says it slowly, or takes its answer slowly is closed after a stated time; where connections are
too many, the one that has waited longest without a request goes. So nobody keeps others from their answers.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self

from grid_inference.logs import logger

__all__ = ["Answer", "Endpoint", "RefusedError", "Request", "request_of"]

_log = logger(__name__)

LINE_BYTES_MAX: Final = 8192
"""Of the request's line, and of each header."""
HEAD_BYTES_MAX: Final = 16_384
"""Of all headers together."""
HEAD_S_MAX = 5.0
"""How long a request may take to come, from the connection on."""
ANSWER_S_MAX = 10.0
"""How long an answer may take to be made; then it is 503."""
WRITE_S_MAX = 10.0
"""How long an answer may take to be taken."""
LINGER_S_MAX: Final = 1.0
LINGER_READS_MAX: Final = 64
"""How long, and for how many reads, what comes behind a request is taken: to close at once would lose the answer."""
CONNECTIONS_MAX = 128
"""Far more than probes and scrapers open; and far fewer than the files that a process may have open."""
METHODS: Final = ("GET", "HEAD")
VERSIONS: Final = ("HTTP/1.0", "HTTP/1.1")
TOKEN: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
TARGET: Final = re.compile(r"/[!-~]*")


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    """By their names in small letters; the values of a name that stands twice are joined by a comma."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said."""

    status: HTTPStatus
    body: bytes
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "text/plain; charset=utf-8"),)


class RefusedError(Exception):
    """A request that is none, or is not for us."""

    def __init__(self, status: HTTPStatus, why: str, *headers: tuple[str, str]) -> None:
        super().__init__(why)
        text = ("Content-Type", "text/plain; charset=utf-8")
        self.answer = Answer(status, why.encode() + b"\n", (text, *headers))


def request_of(line: bytes, headers: list[bytes]) -> Request:
    """The request that its first line and its headers make, each without its end; RefusedError if they make none."""
    parts = line.decode("latin-1").split(" ")
    if len(parts) != 3 or not TOKEN.fullmatch(parts[0]) or not re.fullmatch(r"HTTP/\d\.\d", parts[2]):
        raise RefusedError(HTTPStatus.BAD_REQUEST, "no HTTP request")
    method, target, version = parts
    if version not in VERSIONS:
        raise RefusedError(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "HTTP/1.1 is spoken here")
    if method not in METHODS:
        raise RefusedError(HTTPStatus.METHOD_NOT_ALLOWED, "GET and HEAD are answered", ("Allow", ", ".join(METHODS)))
    if not TARGET.fullmatch(target):
        raise RefusedError(HTTPStatus.BAD_REQUEST, "the path has to begin with /")
    found = dict[str, str]()
    for header in headers:
        name, colon, value = header.decode("latin-1").partition(":")
        if not colon or not TOKEN.fullmatch(name):
            raise RefusedError(HTTPStatus.BAD_REQUEST, "a header is damaged")
        name, value = name.lower(), value.strip(" \t")
        found[name] = f"{found[name]}, {value}" if name in found else value
    if version == "HTTP/1.1" and "host" not in found:
        raise RefusedError(HTTPStatus.BAD_REQUEST, "a request of HTTP/1.1 names its host")
    path, _, query = target.partition("?")
    return Request(method, path, query, found)


class Endpoint:
    """Listens from its making on, answers in `async with`, on that loop. OSError where it can't listen."""

    def __init__(self, host: str, port: int, answer: Callable[[Request], Awaitable[Answer]]) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family)
        self._answer = answer
        self._connections = dict[asyncio.StreamWriter, asyncio.Task[None]]()
        """The oldest first."""
        self._asked = set[asyncio.StreamWriter]()
        """Those of them whose request has come."""
        self.port: int = self._socket.getsockname()[1]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, sock=self._socket, limit=LINE_BYTES_MAX)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._connections.values():
            task.cancel()
        await asyncio.gather(*self._connections.values(), return_exceptions=True)
        for writer in [*self._connections]:  # those whose task had not begun
            self._let_go(writer)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._connections) >= CONNECTIONS_MAX:
            oldest = next((one for one in self._connections if one not in self._asked), next(iter(self._connections)))
            self._connections[oldest].cancel()
            self._let_go(oldest)
        self._connections[writer] = asyncio.create_task(self._serve(reader, writer))

    def _let_go(self, writer: asyncio.StreamWriter) -> None:
        self._connections.pop(writer, None)
        self._asked.discard(writer)
        writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            try:
                async with asyncio.timeout(HEAD_S_MAX):
                    request = await _read(reader)
                self._asked.add(writer)
                answer, body = await self._answered(request), request.method != "HEAD"
            except RefusedError as refused:
                answer, body = refused.answer, True
            async with asyncio.timeout(WRITE_S_MAX):
                await _write(writer, answer, body=body)
            async with asyncio.timeout(LINGER_S_MAX):
                for _ in range(LINGER_READS_MAX):
                    if not await reader.read(2 * LINE_BYTES_MAX):
                        break
        except (OSError, asyncio.IncompleteReadError):  # too slow (a TimeoutError), or gone: there is nobody to tell
            pass
        finally:
            self._let_go(writer)

    async def _answered(self, request: Request) -> Answer:
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                answer = await self._answer(request)
        except TimeoutError:
            answer = Answer(HTTPStatus.SERVICE_UNAVAILABLE, b"this takes too long\n")
        except Exception as error:  # a bug of ours must be seen by whoever asks  # noqa: BLE001
            _log.exception("health not told", path=request.path, error=error)
            answer = Answer(HTTPStatus.INTERNAL_SERVER_ERROR, b"something is wrong here\n")
        _log.debug("health asked", method=request.method, path=request.path, status=answer.status)
        return answer


async def _read(reader: asyncio.StreamReader) -> Request:
    """The request; RefusedError if it is none."""
    line = await _line(reader, HTTPStatus.REQUEST_URI_TOO_LONG)
    headers, size = list[bytes](), 0
    while header := await _line(reader, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE):
        size += len(header)
        if size > HEAD_BYTES_MAX:
            raise RefusedError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the headers are too long")
        headers.append(header)
    return request_of(line, headers)


async def _line(reader: asyncio.StreamReader, too_long: HTTPStatus) -> bytes:
    try:
        line = await reader.readuntil(b"\r\n")
    except asyncio.LimitOverrunError:
        raise RefusedError(too_long, f"a line may have {LINE_BYTES_MAX} bytes") from None
    return line[:-2]


async def _write(writer: asyncio.StreamWriter, answer: Answer, *, body: bool) -> None:
    """Hand the answer over; returns when the system has all of it."""
    said = {
        "Date": formatdate(usegmt=True),
        "Connection": "close",
        "Content-Length": str(len(answer.body)),
        "Cache-Control": "no-store",
    }
    head = [f"HTTP/1.1 {answer.status.value} {answer.status.phrase}"]
    head += [f"{name}: {value}" for name, value in (*said.items(), *answer.headers)]
    writer.transport.set_write_buffer_limits(high=0)
    writer.write("\r\n".join([*head, "", ""]).encode("latin-1") + (answer.body if body else b""))
    await writer.drain()
    writer.write_eof()

"""The health endpoint under those who say nothing, say it slowly, say too much, or don't listen: over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus

import pytest

from grid_inference.api.blocking.loop_thread import LoopThread
from grid_inference.node.health import endpoint
from grid_inference.node.health.endpoint import Answer, Endpoint, RefusedError, Request, request_of
from grid_inference.node.health.server import Health
from grid_inference.node.workers import Workers

WAIT_S = 60.0
SILENT = 200


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address where a grid seems to be that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=SILENT) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture
def health(nobody: str) -> Iterator[Health]:
    with Health(Workers(nobody, "grid-inference", 1)) as health:
        yield health


def connection(health: Health) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(health.url.rpartition(":")[2])), timeout=WAIT_S)


def answer(health: Health, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of what is answered to these bytes; 0 where the connection was closed without a word."""
    with connection(health) as asking:
        asking.sendall(request)
        said = b"".join(iter(lambda: asking.recv(65536), b""))
    head, _, body = said.partition(b"\r\n\r\n")
    line, *headers = head.decode().split("\r\n")
    return int(line.split()[1]) if said else 0, dict(one.split(": ", 1) for one in headers), body


def get(health: Health, path: str, *headers: str, method: str = "GET") -> tuple[int, dict[str, str], bytes]:
    return answer(health, "\r\n".join([f"{method} {path} HTTP/1.1", "Host: here", *headers, "", ""]).encode())


def test_each_path_and_method_has_its_status(health: Health) -> None:
    status, headers, body = get(health, "/livez?verbose")
    assert (status, headers["Content-Type"]) == (503, "application/json")  # no worker runs here
    assert json.loads(body) == {"healthy": False, "reasons": ["no worker runs"]}
    assert (int(headers["Content-Length"]), headers["Connection"]) == (len(body), "close")
    assert get(health, "/readyz")[0] == 503
    assert get(health, "/")[0] == get(health, "/livez/")[0] == get(health, "/favicon.ico")[0] == 404
    status, _, body = get(health, "/metrics")
    assert status == 200
    assert b"grid_inference_ready 0.0\n" in body
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PROPFIND"):
        status, headers, _ = get(health, "/livez", method=method)
        assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_a_head_is_a_get_without_its_body(health: Health) -> None:
    for path in ("/livez", "/metrics", "/nowhere"):
        got, asked = get(health, path), get(health, path, method="HEAD")
        assert asked[0] == got[0]
        assert (asked[1].keys(), asked[2]) == (got[1].keys(), b"")
    assert get(health, "/livez", method="HEAD")[1]["Content-Length"] == str(len(get(health, "/livez")[2]))


def test_figures_come_in_the_format_and_encoding_that_are_asked_for(health: Health) -> None:
    _, headers, body = get(health, "/metrics", "Accept-Encoding: gzip", "Accept: application/openmetrics-text")
    assert headers["Content-Type"].startswith("application/openmetrics-text")
    assert gzip.decompress(body).endswith(b"# EOF\n")
    assert get(health, "/metrics")[1]["Content-Type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /" + b"a" * endpoint.LINE_BYTES_MAX + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET /livez HTTP/1.1\r\nHost: " + b"a" * endpoint.LINE_BYTES_MAX + b"\r\n\r\n", 431),
        (b"GET /livez HTTP/1.1\r\n" + b"Some: header\r\n" * (endpoint.HEAD_BYTES_MAX // 12 + 1) + b"\r\n", 431),
        (b"GET /" + b"a" * 100_000, 414),
        (b"GET /livez HTTP/1.1\r\n\r\n", 400),
        (b"GET /livez\r\n\r\n", 400),
        (b"GET  /livez HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET livez HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET http://a/livez HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /li\x00vez HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"GET /livez HTTP/1.1\r\nHost\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),  # TLS
        (b"\r\n\r\n", 400),
        (b"GET /livez HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"GET /livez HTTP/1.0\r\n\r\n", 503),
        (b"GET /livez HTTP/1.1\r\nhost:a\r\nContent-Length: 4\r\n\r\nbody", 503),
    ],
    ids=lambda value: repr(value[:40]) if isinstance(value, bytes) else str(value),
)
def test_what_is_no_request_for_us_is_told_so(health: Health, request_: bytes, status: int) -> None:
    assert answer(health, request_)[0] == status


def test_the_values_of_a_header_that_stands_twice_are_joined() -> None:
    asked = request_of(b"GET /a?b=c HTTP/1.1", [b"Host:\t here ", b"ACCEPT: one", b"accept: two"])
    assert asked == Request("GET", "/a", "b=c", {"host": "here", "accept": "one, two"})
    with pytest.raises(RefusedError, match="a header is damaged"):
        request_of(b"GET / HTTP/1.1", [b"\xff: a"])


def test_whoever_says_nothing_keeps_nobody_from_an_answer_and_costs_no_thread(health: Health) -> None:
    get(health, "/livez"), get(health, "/metrics")
    threads = threading.active_count() + SILENT // 20  # the grid is asked meanwhile, which may take one or two
    with contextlib.ExitStack() as silent:
        all_of_them = [silent.enter_context(connection(health)) for _ in range(SILENT)]
        for one in all_of_them[::2]:
            one.sendall(b"GET /livez HT")
        for path, status in (("/livez", 503), ("/readyz", 503), ("/metrics", 200)):
            assert get(health, path)[0] == status
        assert threading.active_count() <= threads
        assert len(health._endpoint._connections) <= endpoint.CONNECTIONS_MAX < SILENT
        for one in all_of_them:  # each is closed, the oldest for the newest, the others by and by
            with contextlib.suppress(ConnectionResetError):
                assert one.recv(1) == b""
    assert threading.active_count() <= threads


def test_headers_that_come_drop_by_drop_are_closed_in_the_stated_time(
    health: Health, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert endpoint.HEAD_S_MAX == 5.0  # as docs/metrics.md says
    monkeypatch.setattr(endpoint, "HEAD_S_MAX", 0.5)
    with connection(health) as slow:
        begun_s = time.monotonic()
        slow.sendall(b"GET /livez HTTP/1.1\r\nHost: here\r\na: ")
        slow.settimeout(0.05)
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < begun_s + WAIT_S:
                slow.sendall(b"b")
                with contextlib.suppress(TimeoutError):
                    if not slow.recv(1):
                        break
        assert 0.5 <= time.monotonic() - begun_s < WAIT_S


@pytest.fixture
def served() -> Iterator[LoopThread]:
    thread = LoopThread()
    yield thread
    thread.stop()


def test_an_answer_that_nobody_takes_is_given_up(served: LoopThread, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "WRITE_S_MAX", 0.5)

    async def long(_: Request) -> Answer:
        return Answer(HTTPStatus.OK, b"a" * 50_000_000)

    there = served.enter(Endpoint("127.0.0.1", 0, long).__aenter__)
    with socket.create_connection(("127.0.0.1", there.port), timeout=WAIT_S) as asking:
        asking.sendall(b"GET / HTTP/1.0\r\n\r\n")
        asking.recv(1)
        deadline = time.monotonic() + WAIT_S
        while there._connections and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not there._connections
        received = 0
        with contextlib.suppress(ConnectionResetError):
            while part := asking.recv(1 << 20):
                received += len(part)
        assert received < 50_000_000


def test_an_answer_that_is_not_made_in_time_or_fails_is_told(
    served: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "ANSWER_S_MAX", 0.2)

    async def never(request: Request) -> Answer:
        if request.path == "/wrong":
            raise ValueError(request.path)
        return await asyncio.get_running_loop().create_future()

    there = served.enter(Endpoint("127.0.0.1", 0, never).__aenter__)
    for path, status in (("/slow", b"HTTP/1.1 503"), ("/wrong", b"HTTP/1.1 500")):
        with socket.create_connection(("127.0.0.1", there.port), timeout=WAIT_S) as asking:
            asking.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            assert asking.recv(12) == status


def test_with_a_grid_that_hangs_everything_is_answered(health: Health) -> None:
    with connection(health) as first:
        first.sendall(b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n")
        first.settimeout(endpoint.ANSWER_S_MAX)
        assert first.recv(12) == b"HTTP/1.1 200"
    status, _, body = get(health, "/readyz")
    assert (status, json.loads(body)["healthy"]) == (503, False)


def test_it_ends_though_the_grid_hangs(nobody: str) -> None:
    before = set(threading.enumerate())
    with Health(Workers(nobody, "grid-inference", 1)):
        pass
    assert not [one for one in set(threading.enumerate()) - before if one.is_alive()]

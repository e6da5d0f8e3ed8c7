"""Health and metrics over HTTP: `/livez`, `/readyz`, `/metrics` of a node, or of workers by themselves.

Requests are answered at once from what `look.py` found last, and what is too old is no answer: a grid that hangs holds
nothing up, and nobody is called healthy by what was.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from types import TracebackType
from typing import Any, Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from grid_inference.config import GridConfig
from grid_inference.errors import ConfigError
from grid_inference.grid.jvm_heap import heap_of
from grid_inference.grid.member import Member
from grid_inference.health.families import families
from grid_inference.health.judge import Known, not_alive, not_ready
from grid_inference.health.look import Look
from grid_inference.logs import logger
from grid_inference.model.trust import is_loopback
from grid_inference.node import Workers

__all__ = ["Health"]

_log = logger(__name__)


class Health:
    """Tells how a node is doing, in `with`; made before its workers start, whose figures it collects.

    `ring_events`: how many events a partition's journal can hold, where that is known. Raises ConfigError for an
    address that others reach without `public_ok`, or that is taken.
    """

    def __init__(
        self,
        workers: Workers,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        public_ok: bool = False,
        member: Member | None = None,
        ring_events: int | None = None,
    ) -> None:
        if not (public_ok or is_loopback(_bracketed(host))):
            raise ConfigError(
                f"health would be told on {host}, which other machines reach",
                remedy="leave the host out, or allow it (--public) on a network that you trust",
            )
        self._workers = workers
        self._member = member
        self._ring_events = ring_events
        self._server = _listen(host, port, self._answer)
        self.url = f"http://{_bracketed(host)}:{self._server.server_port}"
        """Where it is told, without a path."""
        self._folder = tempfile.mkdtemp(prefix="grid-inference-metrics-")
        workers.metrics = self._folder
        self._registry = CollectorRegistry()
        self._registry.register(_Families(self))
        MultiProcessCollector(self._registry, self._folder)
        where = GridConfig.load(flags={"address": workers.address, "cluster_name": workers.cluster_name})
        self._look = Look(where, workers, self._registry)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, name="health", daemon=True).start()
        self._look.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._look.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def known(self) -> Known:
        """What is known now."""
        member, look = self._member, self._look
        return Known(
            now_s=time.monotonic(),
            member=member.address if member else None,
            member_runs=member is not None and member.alive,
            workers_wanted=self._workers.count,
            pids=self._workers.pids,
            heard_s=look.heard_s,
            problem=look.problem,
            sample=look.sample,
        )

    def families(self) -> Iterable[Metric]:
        """The metrics of the node and the grid."""
        heap = heap_of(self._member.pid) if self._member else None
        return families(self.known(), self._workers.restarts, heap, self._ring_events)

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            return make_wsgi_app(self._registry)(environ, start)
        judges = {"/livez": not_alive, "/readyz": not_ready}
        if path not in judges:
            start("404 Not Found", [("Content-Type", "text/plain")])
            return [b"there are /livez, /readyz and /metrics\n"]
        reasons = judges[path](self.known())
        start("503 Service Unavailable" if reasons else "200 OK", [("Content-Type", "application/json")])
        return [json.dumps({"healthy": not reasons, "reasons": reasons}).encode() + b"\n"]


class _Families(Collector):
    """What a `Health` knows, for Prometheus' registry."""

    def __init__(self, health: Health) -> None:
        self._health = health

    def describe(self) -> Iterable[Metric]:
        """Nothing: the grid is not asked yet."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """All of it, as it is now."""
        return self._health.families()


class _Server(ThreadingMixIn, WSGIServer):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        _log.debug("health asked", request=format % args)


def _listen(host: str, port: int, answer: Callable[..., Iterable[bytes]]) -> WSGIServer:
    try:
        return make_server(host, port, answer, server_class=_Server, handler_class=_QuietHandler)
    except OSError as error:
        raise ConfigError(
            f"health can't be told on {_bracketed(host)}:{port}: {error.strerror or error}",
            remedy="choose another port: --health-port, 0 takes a free one",
        ) from None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host

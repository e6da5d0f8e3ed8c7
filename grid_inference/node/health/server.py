"""Health and metrics over HTTP: `/livez`, `/readyz`, `/metrics` of a node, or of workers by themselves.

Requests are answered at once from what `look.py` found last, and what is too old is no answer: a grid that hangs holds
nothing up, and nobody is called healthy by what was. However many ask, `endpoint.py` has one thread; figures are put
together in another, as those of many deployments take longer than a probe waits.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from types import TracebackType
from typing import Self

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from grid_inference.api.blocking.loop_thread import LoopThread
from grid_inference.config import GridConfig
from grid_inference.errors import ConfigError
from grid_inference.grid.member import Member
from grid_inference.grid.member.jvm_heap import heap_of
from grid_inference.model.store.trust import is_loopback
from grid_inference.node.health.endpoint import Answer, Endpoint, Request
from grid_inference.node.health.families import families
from grid_inference.node.health.judge import Known, not_alive, not_ready
from grid_inference.node.health.look import Look
from grid_inference.node.workers import Workers

__all__ = ["Health"]

JUDGES = {"/livez": not_alive, "/readyz": not_ready}


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
        self._endpoint = _endpoint(host, port, self._answer)
        self._thread: LoopThread | None = None
        self._figures = ThreadPoolExecutor(1, "health-figures")
        self.url = f"http://{_bracketed(host)}:{self._endpoint.port}"
        """Where it is told, without a path."""
        self._folder = tempfile.mkdtemp(prefix="grid-inference-metrics-")
        workers.metrics = self._folder
        self._registry = CollectorRegistry()
        self._registry.register(_Families(self))
        MultiProcessCollector(self._registry, self._folder)
        where = GridConfig.load(flags={"address": workers.address, "cluster_name": workers.cluster_name})
        self._look = Look(where, workers, self._registry)

    def __enter__(self) -> Self:
        self._thread = LoopThread()
        self._thread.enter(self._endpoint.__aenter__)
        self._look.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread:
            self._thread.stop()
        self._figures.shutdown(wait=False, cancel_futures=True)
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

    async def _answer(self, request: Request) -> Answer:
        if request.path == "/metrics":
            return await asyncio.get_running_loop().run_in_executor(self._figures, self._metrics, request)
        judge = JUDGES.get(request.path)
        if judge is None:
            return Answer(HTTPStatus.NOT_FOUND, b"there are /livez, /readyz and /metrics\n")
        reasons = judge(self.known())
        body = json.dumps({"healthy": not reasons, "reasons": reasons}).encode() + b"\n"
        status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        return Answer(status, body, (("Content-Type", "application/json"),))

    def _metrics(self, request: Request) -> Answer:
        """The figures in the format and the encoding that are asked for: what Prometheus' library makes of them."""
        headers = list[tuple[str, str]]()
        environ = {"REQUEST_METHOD": "GET", "PATH_INFO": request.path, "QUERY_STRING": request.query}
        for name in ("Accept", "Accept-Encoding"):
            environ[f"HTTP_{name.upper().replace('-', '_')}"] = request.headers.get(name.lower(), "")
        body = make_wsgi_app(self._registry)(environ, lambda _, said: headers.extend(said))
        return Answer(HTTPStatus.OK, b"".join(body), tuple(headers))


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


def _endpoint(host: str, port: int, answer: Callable[[Request], Awaitable[Answer]]) -> Endpoint:
    try:
        return Endpoint(host, port, answer)
    except OSError as error:
        raise ConfigError(
            f"health can't be told on {_bracketed(host)}:{port}: {error.strerror or error}",
            remedy="choose another port: --health-port, 0 takes a free one",
        ) from None


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host

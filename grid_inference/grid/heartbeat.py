"""The heartbeat of a worker: a thread of its own says, over a connection of its own, that the worker lives.

Its entry lies in a partition of the member of the worker's own node, so that no other member holds a beat up.
Leases are renewed whatever the worker's event loop does meanwhile: decoding a backlog must not cost it its partitions.
A loop that does not come round for `STALLED_S` is another matter, for example a model that hangs: then the process
ends, so that others take over and its supervisor starts it anew. Where not even this thread comes round, because a
model computes without end and holds the interpreter's lock, the system ends the process by its processor time.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import os
import signal
import threading
from collections.abc import Callable
from typing import Any

from grid_inference.config import GridConfig
from grid_inference.errors import GridError
from grid_inference.grid.leases import Leases
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap
from grid_inference.grid.topology import LEFT, WORKERS_MAP, entry_key, home_partition, now_s
from grid_inference.logs import logger
from grid_inference.wire.json.values import encode_json

__all__ = ["BEATS_PER_LEASE", "CONDEMN_S_MAX", "HUNG_EXIT", "Heartbeat"]

_log = logger(__name__)

BEATS_PER_LEASE = 4
"""A worker beats so often within the time of a lease."""
STALLED_S = 12.0
"""An event loop that did not come round for so long, while this thread did, is taken to hang."""
HUNG_EXIT = 70
"""Exit code of a worker whose event loop or model hangs."""
CONDEMN_S_MAX = 5.0
"""How long a worker whose model hangs tries to mark the partitions before it ends."""
RECONNECT_PAUSE_S = 0.5
LEFT_S = 30.0
"""How long the grid keeps it that a worker has left: each observer is to see it, and nobody needs it later."""
FAREWELL_S_MAX = 2.0
"""How long a worker that has given everything back tries to say so."""


class Heartbeat:
    """Beats for one worker until `stop`; the worker's loop hands over what is to be said."""

    def __init__(
        self,
        config: GridConfig,
        leases: Leases,
        worker: str,
        ttl_s: float,
        *,
        call_s_max: float,
        held_up: Callable[[], list[int]],
        node_address: str | None = None,
    ) -> None:
        """`call_s_max`: how long a model may take; `held_up`: partitions that the worker's own loop scores now."""
        self._config = config
        self._leases = leases
        self._worker = worker
        self._node_address = node_address
        self._home: int | None = None
        """The partition that our entry lies in."""
        self._left_behind: set[int] = set()
        """Partitions in which it lay before, and may lie still."""
        self._interval_s = ttl_s / BEATS_PER_LEASE
        # Processor time rather than time: a process that is stopped for a while must go on when it is continued.
        self._busy_s_max = call_s_max * (1 + _model_threads())
        self._held_up = held_up
        self._link: Link | None = None
        self._said: dict[str, Any] = {}
        self._beat = 0
        self._unheard = 0
        """Looks since the worker's loop has last come round."""
        self._stopping = False
        self._farewell = False
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def start(self, said: dict[str, Any]) -> None:
        """Begin to beat."""
        self._said = said
        self._thread.start()

    def say(self, said: dict[str, Any], *, at_once: bool = False) -> None:
        """What the next beats say: plain values that nobody changes any more."""
        self._said = said
        self._unheard = 0
        if at_once:
            self._wake_up()

    async def ended(self) -> None:
        """Wait for the end of the thread; raise what ended it, if it was not `stop`."""
        await asyncio.shield(self._ended)

    async def stop(self, *, farewell: bool = False) -> None:
        """Beat no more, and say that everything is given back if it is. Stopping twice is the same as once."""
        self._farewell |= farewell
        self._stopping = True
        self._wake_up()
        if self._thread.is_alive():
            await asyncio.to_thread(self._thread.join)

    def _wake_up(self) -> None:
        if self._loop and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake.set)

    def _run(self) -> None:
        worker, failure = self._ended.get_loop(), None
        try:
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(self._beat_on())
        except BaseException as error:  # noqa: BLE001 - whoever waits for the end raises it
            failure = error
        with contextlib.suppress(RuntimeError):  # the worker's loop may be closed
            worker.call_soon_threadsafe(self._end, failure)

    def _end(self, failure: BaseException | None) -> None:
        if self._ended.done():
            return
        if failure is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(failure)
            self._ended.exception()  # nobody may be there who waits

    async def _beat_on(self) -> None:
        """Beat until `stop`; raise what ends the watch, without which nobody would see a loop that hangs."""
        self._loop = asyncio.get_running_loop()
        watching, beating = asyncio.create_task(self._watch()), asyncio.create_task(self._keep_beating())
        await asyncio.wait({watching, beating}, return_when=asyncio.FIRST_COMPLETED)
        _limit_processor_time(0)
        if watching.done():
            beating.cancel()
            watching.result()
        watching.cancel()
        await beating

    async def _keep_beating(self) -> None:
        while not self._stopping:
            try:
                await self._beat_over(await Link.open(self._config))
            except GridError as error:
                _log.warning("heartbeat has no connection", error=error)
                await self._pause(RECONNECT_PAUSE_S)

    async def _watch(self) -> None:
        """See again and again whether the worker's loop comes round, and have the system see to this thread."""
        while True:
            _limit_processor_time(self._busy_s_max)
            self._unheard += 1
            if self._unheard * self._interval_s > STALLED_S:
                _log.critical("event loop hangs, this worker ends", seconds=STALLED_S)
                faulthandler.dump_traceback()
                await self._condemn()
                os._exit(HUNG_EXIT)
            await asyncio.sleep(self._interval_s)

    async def _condemn(self) -> None:
        """Have what the loop hangs in scored on trial by whoever takes it over, if that can be said soon."""
        if self._link:
            with contextlib.suppress(GridError, TimeoutError):
                await asyncio.wait_for(self._leases.condemn_over(self._link, self._held_up()), CONDEMN_S_MAX)

    async def _beat_over(self, link: Link) -> None:
        """Beat as long as this connection is there."""
        self._link = link
        try:
            while not (self._stopping or link.given_up):
                begun_s = now_s()
                try:
                    await self._say_now(link)
                except GridError as error:
                    _log.warning("beat not acknowledged", error=error)
                else:
                    self._leases.renew(begun_s)
                await self._pause(self._interval_s)
            if self._farewell:
                with contextlib.suppress(GridError, TimeoutError):
                    await asyncio.wait_for(self._say_now(link, phase=LEFT), FAREWELL_S_MAX)
        finally:
            self._link = None
            await link.close()

    async def _say_now(self, link: Link, **last: str) -> None:
        """Write what is to be said, where it belongs now, and remove it from where it lay before."""
        workers, count = GridMap(link, WORKERS_MAP), link.partition_count
        members = {address: member for member, address in link.members().items()}
        owners, member = link.partition_owners(), members.get(self._node_address or "")
        if self._home is not None:
            self._left_behind.add(self._home)
        self._home = home_partition(self._worker, owners, member, self._home)
        self._left_behind.discard(self._home)
        self._beat += 1
        said = {"id": self._worker, "beat": self._beat, "home": self._home, **self._said, **last}
        key = entry_key(self._worker, self._home, count)
        await workers.set(key, encode_json(said), ttl_s=LEFT_S if last else None)
        for partition in list(self._left_behind):
            await workers.delete(entry_key(self._worker, partition, count))
            self._left_behind.discard(partition)

    async def _pause(self, seconds: float) -> None:
        """Wait, unless something is to be said at once, or this is the end."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), seconds)
        if not self._stopping:
            self._wake.clear()


def _model_threads() -> int:
    """How many threads the models of this process may keep busy; `node/workers.py` shares the cores out."""
    return int(os.environ.get("OMP_NUM_THREADS", "0")) or os.cpu_count() or 1


def _limit_processor_time(seconds: float) -> None:
    """Have the system end this process when it has computed for so long and this was not called again; 0: never."""
    if hasattr(signal, "setitimer"):  # not on Windows
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - not on Windows
    except ImportError:
        return None
    return uvloop.new_event_loop

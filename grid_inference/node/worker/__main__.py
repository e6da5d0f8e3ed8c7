"""The process of a worker: `python -m grid_inference.node.worker`, started and supervised by `node/workers.py`.

It stands in a package's `__main__`, which a process for trials (`model/engines/trial.py`) does not import again.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
import threading
import time
from typing import Any

from hazelcast.errors import HazelcastError

from grid_inference.config import GridConfig, WorkerConfig
from grid_inference.errors import ConfigError, GridInferenceError
from grid_inference.logs import bind, set_up
from grid_inference.node.worker.life import Worker

__all__ = ["main"]

ORPHAN_S_MAX = 40.0
"""A worker whose parent is gone ends itself after this time, drained or not."""


async def _main(grid: GridConfig, config: WorkerConfig, node_address: str | None) -> None:
    worker = Worker(grid, config, node_address=node_address)
    bind(worker=worker.id)
    loop = asyncio.get_running_loop()
    if sys.platform != "win32":
        loop.add_signal_handler(signal.SIGTERM, worker.stop)
    threading.Thread(target=_stop_with_parent, args=(loop, worker), daemon=True).start()
    await worker.run()
    if worker.gave_up:
        # A thread that is in a model, or loads one, would hold the process up; nothing of it is ours any more.
        logging.shutdown()
        os._exit(0)


def _stop_with_parent(loop: asyncio.AbstractEventLoop, worker: Worker) -> None:
    """Our standard input is a pipe that the parent holds: its end means that the parent is gone, however it went."""
    try:
        # Not through sys.stdin, whose lock a daemon thread must not hold when the interpreter ends.
        while os.read(sys.stdin.fileno(), 4096):
            pass
        loop.call_soon_threadsafe(worker.stop)
        time.sleep(ORPHAN_S_MAX)
        # Whatever holds us up, nobody is there any more who would end us.
        os._exit(1)
    except (OSError, RuntimeError, ValueError):
        return


def main() -> None:
    """Run one worker process; `node/workers.py` starts it."""
    parser = argparse.ArgumentParser(prog="python -m grid_inference.node.worker")
    parser.add_argument("--address", required=True)
    parser.add_argument("--cluster", required=True)
    parser.add_argument("--node-address")
    parser.add_argument("--allow-pickle", action=argparse.BooleanOptionalAction)
    parser.add_argument("--keys")
    options = parser.parse_args()
    # Ctrl-C reaches the whole terminal group; the parent decides when we stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    level = os.environ.get("GRID_INFERENCE_LOG_LEVEL", "WARNING").upper()
    try:
        set_up(level)
    except ConfigError as error:
        sys.exit(f"worker: {error}")
    # The stock client calls every connection that closes a warning, ours at the end included.
    logging.getLogger("hazelcast").setLevel(os.environ.get("GRID_INFERENCE_LOG_LEVEL", "ERROR").upper())
    # And its pings of a member that is gone fail where nobody waits for them, each with a traceback.
    logging.getLogger("asyncio").addFilter(lambda said: not at_a_lost_connection(said))
    grid = GridConfig.load(flags={"address": options.address, "cluster_name": options.cluster})
    config = WorkerConfig.load(flags={"allow_pickle": options.allow_pickle, "keys": options.keys})
    try:
        _run_loop(_main(grid, config, options.node_address))
    except GridInferenceError as error:
        sys.exit(f"worker: {error}\n{error.remedy}")


def at_a_lost_connection(said: logging.LogRecord) -> bool:
    """Whether this is what the stock client meets at a connection that has gone, and leaves to the loop to tell."""
    error = said.exc_info[1] if said.exc_info else None
    if isinstance(error, HazelcastError):
        return said.getMessage().startswith("Task exception was never retrieved")
    return isinstance(error, RuntimeError) and "the handler is closed" in str(error)


def _run_loop(main_task: Any) -> None:
    try:
        import uvloop  # noqa: PLC0415 - not on Windows
    except ImportError:
        asyncio.run(main_task)
    else:
        uvloop.run(main_task)


if __name__ == "__main__":
    main()

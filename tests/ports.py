"""Ports for members whose port a test must know before they listen: given once, and to one process of a run."""

from __future__ import annotations

import itertools
import os
import random
import socket

FIRST, LAST = 20_000, 32_000
"""Below what systems give to those who ask for any port, so that nobody is given one of these meanwhile."""


def _own() -> range:
    """The share of this process: pytest-xdist numbers those of a run."""
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    share = (LAST - FIRST) // count
    return range(FIRST + number * share, FIRST + (number + 1) * share)


# Another run on this machine begins elsewhere. Not by the seed of the tests, which may be the same there.
_NEXT = itertools.count(random.SystemRandom().randrange(LAST - FIRST))


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nobody listens at."""
    own = _own()
    for _ in own:
        port = own[next(_NEXT) % len(own)]
        with socket.socket() as probe:
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return port
    raise OSError(f"no port of {own} is free at {host}")

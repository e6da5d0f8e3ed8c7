"""Members to join by names that stand for several machines, as that of a service of containers does.

Hazelcast takes the first address of a name alone; here a name stands for all of its addresses, our own left out. Where
many start at once, one of them has to be first: whoever finds another one listening joins it, and while nobody does the
one with the lowest address goes first and the others wait for it. An address that is written as such is taken as it is.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Callable

import psutil

from grid_inference.config import parse_address
from grid_inference.errors import MemberStartError
from grid_inference.logs import logger

__all__ = ["seeds"]

_log = logger(__name__)

SETTLE_S = 3.0
"""So long a name must stand for the same addresses: containers that start together come up one behind the other."""
RESOLVE_S_MAX = 30.0
"""How long a name may stand for nothing."""
WAIT_S = 90.0
"""How long the others wait for the first one; then each goes on by itself, and Hazelcast puts them together."""
LOOK_S = 0.5
CONNECT_S_MAX = 1.0
Address = tuple[str, int]


def seeds(
    join: tuple[str, ...],
    port: int,
    *,
    resolve: Callable[[str, int], set[Address]] | None = None,
    listens: Callable[[Address], bool] | None = None,
    own: set[str] | None = None,
) -> tuple[str, ...]:
    """The addresses for `join`, once it is settled that we may start; raises MemberStartError for an unknown name.

    `port` is our own member's. `resolve` gives a name's addresses, `listens` says whether a member answers there, `own`
    are this machine's addresses.
    """
    places = [parse_address(text) for text in join]
    names = [place for place in places if not _is_address(place[0])]
    if not names:
        return join
    resolve, listens, own = resolve or _resolved, listens or _listens, own or _own_addresses()
    written = {place for place in places if place not in names}
    found = _settled(names, resolve) | written
    mine = {place for place in found if place[0] in own and place[1] == port}
    others = found - mine
    until_s = time.monotonic() + WAIT_S
    while others and not any(map(listens, others)):
        if mine and _number(min(mine, key=_number)) < min(map(_number, others)):
            _log.info("no other member yet, this one goes first", members=len(others))
            break
        if time.monotonic() > until_s:
            _log.warning("no other member came up", members=len(others), seconds=WAIT_S)
            break
        time.sleep(LOOK_S)
        found = set[Address]().union(*(resolve(*name) for name in names)) | written
        others = (found - mine) or others
    return tuple(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in sorted(others))


def _settled(names: list[Address], resolve: Callable[[str, int], set[Address]]) -> set[Address]:
    """What the names stand for, once that has not changed for a while."""
    begun_s = same_since_s = time.monotonic()
    found = set[Address]()
    while True:
        now = set[Address]().union(*(resolve(*name) for name in names))
        at_s = time.monotonic()
        if now != found:
            found, same_since_s = now, at_s
        if found and at_s > same_since_s + SETTLE_S:
            return found
        if not found and at_s > begun_s + RESOLVE_S_MAX:
            said = ", ".join(name for name, _ in names)
            raise MemberStartError(
                f"the name {said} stands for no address", remedy="join by a name that the resolver knows, or an address"
            )
        time.sleep(LOOK_S)


def _resolved(host: str, port: int) -> set[Address]:
    try:
        return {
            (str(place[4][0]), port) for place in socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM)
        }
    except OSError:
        return set()


def _listens(place: Address) -> bool:
    try:
        socket.create_connection(place, CONNECT_S_MAX).close()
    except OSError:
        return False
    return True


def _own_addresses() -> set[str]:
    return {each.address for interface in psutil.net_if_addrs().values() for each in interface}


def _is_address(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _number(place: Address) -> tuple[int, int]:
    host = "127.0.0.1" if place[0].lower() == "localhost" else place[0]
    return int(ipaddress.ip_address(host)), place[1]

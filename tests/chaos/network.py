"""Hosts of our own on two networks that one cable joins: network namespaces of Linux, made by `ip` of iproute2.

Each host stands on the left or on the right switch. Pulling the cable is a split as a broken line between two rooms is:
no packet arrives and nobody is told. It takes root.
"""

from __future__ import annotations

import secrets
import subprocess
from types import TracebackType
from typing import Self

PREFIX = "10.77.0."


class NotAllowedError(Exception):
    """This system makes no network namespaces, or not for us."""


class Network:
    """Hosts by name; each is reached at `address(name)` from the others. Its end in `with` removes all of it.

    Raises NotAllowedError where no namespace can be made.
    """

    def __init__(self, left: tuple[str, ...], right: tuple[str, ...]) -> None:
        self._token = secrets.token_hex(3)
        self._sides = {"left": left, "right": right}
        self._numbers = {name: number for number, name in enumerate((*left, *right), 1)}
        self._spaces: list[str] = []

    def __enter__(self) -> Self:
        self._add_space("hall")
        try:
            self._build()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def address(self, name: str) -> str:
        """A host's IPv4 address."""
        return f"{PREFIX}{self._numbers[name]}"

    def command(self, name: str) -> list[str]:
        """What stands before a command that is to run on a host."""
        return ["ip", "netns", "exec", self._space(name)]

    def split(self) -> None:
        """Pull the cable between the sides."""
        self._in_hall("link", "set", "dev", "cable-l", "down")

    def heal(self) -> None:
        """Put it back."""
        self._in_hall("link", "set", "dev", "cable-l", "up")

    def _build(self) -> None:
        for side in self._sides:
            self._in_hall("link", "add", "name", side, "type", "bridge")
            self._in_hall("link", "set", "dev", side, "up")
        self._in_hall("link", "add", "name", "cable-l", "type", "veth", "peer", "name", "cable-r")
        for end, side in (("cable-l", "left"), ("cable-r", "right")):
            self._in_hall("link", "set", "dev", end, "master", side)
            self._in_hall("link", "set", "dev", end, "up")
        for side, names in self._sides.items():
            for name in names:
                self._add_host(name, side)

    def _add_host(self, name: str, side: str) -> None:
        space = self._add_space(name)
        self._in_hall("link", "add", "name", name, "type", "veth", "peer", "name", "eth0", "netns", space)
        self._in_hall("link", "set", "dev", name, "master", side)
        self._in_hall("link", "set", "dev", name, "up")
        _ip("-n", space, "addr", "add", f"{self.address(name)}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _ip("-n", space, "link", "set", "dev", device, "up")

    def _add_space(self, name: str) -> str:
        space = self._space(name)
        try:
            _ip("netns", "add", space)
        except subprocess.CalledProcessError as error:
            raise NotAllowedError(error.stderr.strip()) from error
        self._spaces.append(space)
        return space

    def _in_hall(self, *arguments: str) -> None:
        _ip("-n", self._space("hall"), *arguments)

    def _space(self, name: str) -> str:
        return f"gi-{self._token}-{name}"

    def _remove(self) -> None:
        while self._spaces:
            subprocess.run(["ip", "netns", "delete", self._spaces.pop()], check=False)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)

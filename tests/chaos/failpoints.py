"""Failpoints in a worker: at a named point, with a seeded probability, it fails, waits, dies or is stopped.

A point is where a request of a kind leaves through the link, whatever code sends it: `read` (a journal read), `write`
(predictions), `bury` (dead letters), `position`; and `score`, where the model is called, and `load`, where it is read:
`hold` there lasts until it is disarmed. `stop` at `write` is the moment between the look at
the lease and the send: what wakes up later is a zombie. What is armed stands in a file that the harness rewrites;
`then` in it is armed by the last hit of what it follows.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import struct
import threading
import time
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any

from grid_inference.errors import ConnectionLostError
from grid_inference.grid.leases import Leases
from grid_inference.grid.link import Link

POINTS = ("read", "score", "write", "position")
AROUND = ("fail", "fail-after", "delay", "kill-after")
"""What is done to a request and its answer."""
LAST_MOMENT = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}
"""What happens to the process just before a request is written."""
HOLD_S_MAX = 180.0
LOOK_S = 0.1
"""How often the file is looked at."""
DELAY_S = 0.7
PUT_ALL, JOURNAL_READ = 0x012C00, 0x014200
WRITES = ("write", "bury")
LEASE_S_MAX = 6.0
"""Who stood still for longer may have been replaced."""
_type = struct.Struct("<i")
_TYPE_OFFSET = 6
_NAME_WITHIN = 200
"""The map's name is among the first bytes of a request."""


def doubts(file: Path) -> Path:
    """Where the workers whose failpoints are in this file note what they wrote without a look at their leases."""
    return file.with_suffix(".doubts")


class Failpoints:
    """What is armed in this process now."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._text = ""
        self._armed: dict[str, Any] = {}
        self._random = random.Random()
        self._left = 0
        self._stops_s: float | None = None
        """When the process was stopped; None once it has looked at its leases since."""
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        while True:
            text = self._file.read_text(encoding="utf-8") if self._file.exists() else "{}"
            if text != self._text:
                self._text = text
                self._arm(json.loads(text or "{}"))
            time.sleep(LOOK_S)

    def _arm(self, armed: dict[str, Any]) -> None:
        self._random.seed(f"{armed.get('seed')}/{self._file}")
        self._left = armed.get("times", 0)
        self._armed = armed

    def hit(self, point: str, map_name: bytes = b"", *, but: Container[str] = ()) -> str:
        """The action to take at this point now, or an empty string; those in `but` are taken elsewhere."""
        armed = self._armed
        if armed.get("point") != point or self._left <= 0 or armed["action"] in but:
            return ""
        if armed.get("map", "").encode() not in map_name:
            return ""
        if self._random.random() >= armed["probability"]:
            return ""
        self._left -= 1
        if not self._left and "then" in armed:
            self._arm(armed["then"])
        return armed["action"]

    def stand_still(self) -> None:
        """Stop the process; from when it goes on until a look at the leases nothing may be written: see `doubtful`."""
        self._stops_s = time.monotonic()  # whichever thread goes on first knows by it that time has passed
        os.kill(os.getpid(), signal.SIGSTOP)
        if not self._in_doubt:
            self._stops_s = None

    @property
    def _in_doubt(self) -> bool:
        return self._stops_s is not None and time.monotonic() - self._stops_s > LEASE_S_MAX

    def looked(self) -> None:
        """The worker has looked which leases are still its own."""
        if self._in_doubt:
            self._stops_s = None

    def doubtful(self, point: str) -> None:
        """A request leaves; if it writes results under leases that may be another's by now, that is noted."""
        if point in WRITES and self._in_doubt:
            with doubts(self._file).open("a", encoding="utf-8") as file:
                file.write(f"{point}\n")

    def armed_at(self, point: str) -> bool:
        """Whether something is armed at this point now, however often it was hit."""
        return self._armed.get("point") == point


def point_of(payload: bytearray) -> tuple[str, bytes]:
    """Which point a request is at, and the bytes that hold its map's name."""
    (kind,) = _type.unpack_from(payload, _TYPE_OFFSET)
    head = bytes(payload[:_NAME_WITHIN])
    if kind == JOURNAL_READ:
        return "read", head
    if kind == PUT_ALL:
        if b".predictions" in head:
            return "write", head
        if b".dead-letters" in head:
            return "bury", head
        if b"grid_inference.positions" in head:
            return "position", head
    return "", head


def install(failpoints: Failpoints) -> None:
    """Put the points into the link and before the model."""
    post = Link.post

    def posting(
        link: Link, payload: bytearray, partition: int, on_answer: Callable[..., None], *rest: Any, **more: Any
    ):
        point, head = point_of(payload)
        action = failpoints.hit(point, head, but=LAST_MOMENT) if point else ""
        if not action:
            return post(link, payload, partition, on_answer, *rest, **more)
        lost = ConnectionLostError(f"failpoint at {point}")
        loop = asyncio.get_running_loop()
        if action == "fail":
            request = post(link, bytearray(payload), partition, lambda _: None, *rest, **more)
            request.forget()  # it may be carried out all the same, as any lost request may
            loop.call_soon(on_answer, lost)
            return request

        def answered(answer: Any) -> None:
            if action == "kill-after":
                os.kill(os.getpid(), signal.SIGKILL)
            if action == "fail-after":
                on_answer(lost)
            else:
                loop.call_later(DELAY_S, on_answer, answer)

        return post(link, payload, partition, answered, *rest, **more)

    Link.post = posting  # type: ignore[method-assign]
    install_at_the_last_moment(failpoints)
    install_at_score(failpoints)
    install_at_load(failpoints)
    install_at_leases(failpoints)


def install_at_the_last_moment(failpoints: Failpoints) -> None:
    """Where nothing is looked at any more before the bytes leave."""
    send = Link._write

    def sending(connection: Any, payload: bytearray) -> None:
        point, head = point_of(payload)
        failpoints.doubtful(point)
        action = failpoints.hit(point, head, but=AROUND) if point else ""
        if action:
            os.kill(os.getpid(), LAST_MOMENT[action])
        send(connection, payload)

    Link._write = staticmethod(sending)  # type: ignore[method-assign]


def install_at_score(failpoints: Failpoints) -> None:
    """The point `score` is where the chaos model is called."""
    from tests.chaos.model import ChaosModel  # noqa: PLC0415 - the threads of numpy are settled by then

    predict_proba = ChaosModel.predict_proba

    def scoring(model: ChaosModel, inputs: Any) -> Any:
        action = failpoints.hit("score")
        if action == "stop":
            failpoints.stand_still()
        if action == "kill":
            os.kill(os.getpid(), LAST_MOMENT[action])
        if action:  # an error here would be the model's own, and the record's fate
            time.sleep(DELAY_S)
        return predict_proba(model, inputs)

    ChaosModel.predict_proba = scoring  # type: ignore[method-assign]


def install_at_load(failpoints: Failpoints) -> None:
    """The point `load` is where the chaos model is made of its bytes, in whatever thread that is."""
    from tests.chaos.model import ChaosModel  # noqa: PLC0415 - as above

    restore = ChaosModel.__setstate__

    def restoring(model: ChaosModel, state: Any) -> None:
        if failpoints.hit("load"):
            limit_s = time.monotonic() + HOLD_S_MAX
            while failpoints.armed_at("load") and time.monotonic() < limit_s:
                time.sleep(LOOK_S)
        restore(model, state)

    ChaosModel.__setstate__ = restoring  # type: ignore[method-assign]


def install_at_leases(failpoints: Failpoints) -> None:
    """Behind a look at the leases a worker knows again which are its own."""
    confirm = Leases.confirm

    async def confirming(leases: Leases) -> list[int]:
        lost = await confirm(leases)
        failpoints.looked()
        return lost

    Leases.confirm = confirming  # type: ignore[method-assign]

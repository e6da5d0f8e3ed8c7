"""The promoter: changes the model's version in a seeded order, one change when told to, until it is done.

A change may fail while something dies. Where it says PromotionError, nothing may have changed: that is looked at. After
any other error nobody knows, so the promoter looks, and changes again what is not as it should be. All the while the
version that is never promoted is a shadow: whatever of it came among the predictions, the judge would call wrong.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from itertools import cycle
from typing import Any

import grid_inference as gi
from tests.chaos.child import Commands
from tests.chaos.versions import FIRST, PROMOTE, VERSIONS, Change, plan
from tests.chaos.workload import CONNECT_TIMEOUT_S, DEPLOYMENTS, MODEL

CHANGE_S_MAX = 180.0
"""A change that is not done by then, in however many attempts, is given up, and the run with it."""
PATIENT_TIMEOUT_S = 60.0
"""How long every attempt but the first may take."""
SHADOW_TIMEOUT_S = 10.0
BUDGETS = (0.05, 0.1, 0.2)
PAUSE_S = 0.5
ASKED_S_MAX = 60.0


class Promoter:
    """Each of its public methods is a command; arguments and answers are plain values."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._grid = gi.connect(
            options["addresses"][0], cluster_name=options["cluster"], connect_timeout_s=CONNECT_TIMEOUT_S
        )
        self._todo = plan(options["seed"], options["count"])[::-1]
        self._now = FIRST
        self._budgets = cycle(BUDGETS)

    def change(self, first_timeout_s: float) -> dict[str, Any]:
        """Do the next change."""
        (kind, version), failed, half_done = self._todo.pop(), list[str](), list[str]()
        begun_s, maybe_us = time.monotonic(), 0
        while time.monotonic() < begun_s + CHANGE_S_MAX:
            attempt_us = time.time_ns() // 1000
            try:
                self._attempt(kind, version, PATIENT_TIMEOUT_S if failed else first_timeout_s)
                break
            except gi.PromotionError as error:
                failed.append(_told(error))
                half_done += [] if maybe_us else self._changed()
            except gi.GridInferenceError as error:
                failed.append(_told(error))
                maybe_us = maybe_us or attempt_us
                if self._names(version):
                    break
            time.sleep(PAUSE_S)
        else:
            return {"given_up": f"{kind} to {version}: {failed}"}
        self._now, ended_us = version, time.time_ns() // 1000
        times = (begun_s, time.monotonic(), maybe_us or attempt_us, ended_us)
        self._shade()
        return {"change": asdict(Change(kind, version, *times, tuple(failed), tuple(half_done)))}

    def _attempt(self, kind: str, version: int, timeout_s: float) -> None:
        if kind == PROMOTE:
            done = self._grid.promote(MODEL, version, timeout_s=timeout_s)
        else:
            done = self._grid.rollback(MODEL, timeout_s=timeout_s)
        if (done.version, done.deployments) != (version, tuple(sorted(DEPLOYMENTS))):
            raise AssertionError(f"{kind} to {version} has done {done}")

    def _shade(self) -> None:
        """Have the shadow begin, or its budget change; something may be dying that prevents it."""
        for name in DEPLOYMENTS:
            with suppress(gi.GridInferenceError):
                self._grid.shadow(
                    name, f"{MODEL}@{VERSIONS + 1}", budget=next(self._budgets), timeout_s=SHADOW_TIMEOUT_S
                )

    def _changed(self) -> list[str]:
        """What is not as it was before the attempt."""
        found = [] if self._alias() == self._now else [f"the alias names {self._alias()}, not {self._now}"]
        for name in DEPLOYMENTS:
            one = _asked(lambda name=name: self._grid.deployment(name))
            if one.version != self._now or one.candidate:
                found.append(f"{name}: version {one.version}, candidate {one.candidate}; it was {self._now}")
        return found

    def _names(self, version: int) -> bool:
        """Whether all is as it should be after a change to a version."""
        at_work = {_asked(lambda name=name: self._grid.deployment(name)).version for name in DEPLOYMENTS}
        return at_work == {version} and self._alias() == version

    def _alias(self) -> int:
        return _asked(lambda: self._grid.models()[MODEL].current("champion"))

    def shadowed(self) -> dict[str, Any]:
        """How many predictions of the shadow there are."""
        shadowed = [_asked(lambda name=name: self._grid.predictions(name, shadow=True).size()) for name in DEPLOYMENTS]
        return {"shadow_predictions": sum(shadowed)}

    def close(self) -> None:
        """Disconnect."""
        self._grid.close()


def _asked(question: Callable[[], Any]) -> Any:
    """An answer of a grid that may just lose a member."""
    limit_s = time.monotonic() + ASKED_S_MAX
    while True:
        try:
            return question()
        except gi.GridInferenceError:
            if time.monotonic() > limit_s:
                raise
            time.sleep(PAUSE_S)


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def main() -> None:
    """Do what is asked until told to end."""
    logging.basicConfig(level="ERROR")
    logging.getLogger("hazelcast").setLevel("CRITICAL")
    promoter, commands = Promoter(json.loads(sys.argv[1])), Commands()
    commands.answer()
    while (command := commands.take(3600.0)) is None or command["do"] != "end":
        if command:
            given = {name: value for name, value in command.items() if name not in {"do", "number"}}
            commands.answer(command, **getattr(promoter, command["do"])(**given))
    promoter.close()


if __name__ == "__main__":
    main()

"""A schedule that breaks a promise, without the events that it does not need for that."""

from __future__ import annotations

from dataclasses import replace

from tests.simulation.plan import Plan
from tests.simulation.run import run

__all__ = ["shrunk"]

RUNS_MAX = 80


def shrunk(plan: Plan, promise: str) -> Plan:
    """Leave out events, many at once at first, as long as the same promise is broken."""
    runs, size = 0, max(1, len(plan.events) // 2)
    while runs < RUNS_MAX:
        at, left_out = 0, False
        while at < len(plan.events) and runs < RUNS_MAX:
            runs += 1
            fewer = replace(plan, events=plan.events[:at] + plan.events[at + size :])
            if any(one.promise == promise for one in run(fewer).violations):
                plan, left_out = fewer, True
            else:
                at += size
        if size == 1 and not left_out:
            break
        size = max(1, size // 2)
    return plan

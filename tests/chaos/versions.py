"""Versions judged: who was at work when, what messages say, and the order in which a promoter changes them.

Pure functions over plain values, as the judge's. A change is a promotion or a rollback.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from tests.chaos.checker import SCORE_TOLERANCE, Expected, Predicted, Refused, Verdict

FIRST = 1
"""The version that is deployed; the others come by promotions."""
VERSIONS = 4
"""So many are at work by turns; one more is published and never promoted."""
PROMOTE, ROLLBACK = "promote", "rollback"
ROLLBACK_SHARE = 0.35
SAMPLED_ONE_IN, SAMPLED_REMAINDER = 13, 5
"""Messages of one key in so many are kept whole."""

Stretch = tuple[float, float]
"""Of the machine's monotonic clock: begin and end."""


def plan(seed: int, count: int) -> list[tuple[str, int]]:
    """The changes in their order: what is done, and which version the alias names then."""
    chance, history = random.Random(f"{seed}/plan"), [FIRST]
    found, waiting = list[tuple[str, int]](), list[int]()
    for _ in range(count):
        if len(history) > 1 and chance.random() < ROLLBACK_SHARE:
            history.pop()
            found.append((ROLLBACK, history[-1]))
            continue
        if not set(waiting) - {history[-1]}:
            waiting += chance.sample(range(1, VERSIONS + 1), VERSIONS)
        version = next(one for one in waiting if one != history[-1])
        waiting.remove(version)
        history.append(version)
        found.append((PROMOTE, version))
    return found


def shares(count: int, parts: int) -> list[int]:
    """A number dealt as evenly as can be."""
    return [count * (part + 1) // parts - count * part // parts for part in range(parts)]


@dataclass(frozen=True, slots=True)
class Change:
    """A promotion or rollback that was done in the end, as its promoter knows it."""

    kind: str
    version: int
    begun_s: float
    ended_s: float
    """Of all its attempts, on the machine's monotonic clock."""
    at_work_us: int
    """The version can't have scored before this moment of the wall clock: the beginning of the attempt that did it."""
    ended_us: int
    failed: tuple[str, ...] = ()
    """What attempts before said."""
    half_done: tuple[str, ...] = ()
    """What a PromotionError had changed all the same: nothing, as is promised."""


@dataclass(frozen=True, slots=True)
class Reigns:
    """From when until when each version was at work."""

    times: Mapping[int, Sequence[tuple[int, float]]] = field(default_factory=dict[int, Sequence[tuple[int, float]]])

    @classmethod
    def of(cls, changes: Sequence[Change]) -> Reigns:
        """The reigns that changes make, the first version's among them."""
        begun = [(FIRST, 0, 0), *((one.version, one.at_work_us, one.ended_us) for one in changes)]
        times: dict[int, list[tuple[int, float]]] = {}
        for (version, at_us, _), (_, _, ended_us) in pairwise([*begun, (0, 0, float("inf"))]):
            times.setdefault(version, []).append((at_us, ended_us))
        return cls(times)

    def end_us(self, version: int, at_us: int) -> float | None:
        """When a version was replaced that scored at a moment; None if it had not been at work by then."""
        ends = [ended_us for begun_us, ended_us in self.times.get(version, ()) if begun_us <= at_us]
        return ends[-1] if ends else None


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a topic."""

    key: int
    digest: int
    version: int
    score: float
    scored_at_us: int


def sampled(key: int) -> bool:
    """Whether a key is one of those whose messages are recomputed."""
    return key % SAMPLED_ONE_IN == SAMPLED_REMAINDER


def check_reigns(
    verdict: Verdict, results: Iterable[tuple[int, Predicted | Refused | Message]], reigns: Reigns
) -> None:
    """Find results, by key, of versions that were not at work by then, and how long replaced ones went on."""
    for key, one in results:
        end_us = reigns.end_us(one.version, one.scored_at_us)
        if end_us is None:
            verdict.add("wrong", f"key {key}: {one} of a version that was not at work")
        elif one.scored_at_us > end_us:
            verdict.late_s[end_us] = max(verdict.late_s.get(end_us, 0.0), (one.scored_at_us - end_us) / 1e6)


def check_messages(
    messages: Iterable[Message],
    written: Mapping[tuple[int, int], bool],
    expected: Mapping[tuple[int, int], Expected],
    reigns: Reigns,
) -> Verdict:
    """Judge messages.

    `written` says by key and digest whether the model takes the value; `expected` is by digest and version. Sorts of
    findings as the judge's: `invented`, `accepted`, `wrong`.
    """
    verdict, every = Verdict(), list(messages)
    for one in every:
        verdict.versions[one.version] += 1
        says, takes = expected.get((one.digest, one.version)), written.get((one.key, one.digest))
        if takes is None:
            verdict.add("invented", f"{one}: nobody wrote this value")
        elif not takes:
            verdict.add("accepted", f"{one} of a record that must be refused")
        elif says is None or not abs(one.score - says.score) <= SCORE_TOLERANCE:
            verdict.add("wrong", f"{one}, the version says {says}")
    check_reigns(verdict, ((one.key, one) for one in every), reigns)
    return verdict


def longest_pause_s(times: Sequence[float], begun_s: float, ended_s: float) -> float:
    """The longest time without an event in a stretch, from the last event before it on; `times` ascend."""
    every = np.asarray(times, np.float64)
    first, last = np.searchsorted(every, [begun_s, ended_s])
    since_s = every[first - 1] if first else begun_s
    return float(np.diff(np.concatenate([[since_s], every[first:last], [ended_s]])).max())

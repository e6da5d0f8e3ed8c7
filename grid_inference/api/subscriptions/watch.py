"""Whether events may have been missed, judged by where a listener stands. No I/O, no clock: `see` is told.

All is well while every member is heard, on the same registrations as before. Else there is a gap, which begins when
the last bytes came from the member that was silent for longest; it is declared once all members are heard again, so
that what is caught up then is complete. A member that stays unheard is declared again and again.
"""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Final

from grid_inference.api.subscriptions.gap import Gap, Reason
from grid_inference.grid.link.listeners import Heard

__all__ = ["UNHEARD_S", "Watch"]

UNHEARD_S: Final = 10.0
"""How long to wait for a member to be heard again before a gap is declared without it."""

Registrations = Mapping[tuple[int, int], Heard]


class Watch:
    """Looks after one listener."""

    def __init__(self, heard: Registrations, now_s: float) -> None:
        self._heard = heard
        self._whole_s = now_s
        """Nothing from before is missing that no gap tells of."""
        self._broken_s: float | None = None

    def see(self, heard: Registrations, members: AbstractSet[str], now_s: float) -> Gap | None:
        """Note where the listener stands now; returns the gap that is due, if there is one."""
        all_heard = bool(members) and members <= {one.member for one in heard.values()}
        if all_heard and self._broken_s is None and heard.keys() == self._heard.keys():
            self._whole_s = max(self._whole_s, min(one.read_s for one in heard.values()))
            self._heard = heard
            return None
        if self._broken_s is None:
            self._broken_s = now_s
        if not all_heard and now_s < self._broken_s + UNHEARD_S:
            return None
        gap = Gap.after(self._whole_s, self._reason(heard, members) if all_heard else "member not heard")
        self._heard, self._whole_s = heard, now_s
        self._broken_s = None if all_heard else now_s
        return gap

    def _reason(self, heard: Registrations, members: AbstractSet[str]) -> Reason:
        before, now = self._heard.keys(), heard.keys()
        if {times for times, _ in before}.isdisjoint(times for times, _ in now):
            return "listener registered anew"
        lost = {self._heard[one].member for one in before - now}
        if lost & members:
            return "reconnected"
        return "member joined" if now - before and not lost else "member left"

"""A gap: the notice that a subscription may have missed something, from when on, and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

__all__ = ["MARGIN_S", "Gap", "Reason"]

MARGIN_S: Final = 30.0
"""A gap begins so long before the last moment that is known to be whole, for two reasons: the clocks of the machines
need not agree, and a prediction is written a moment after it was scored; at the latest after a call's timeout."""

Reason = Literal[
    "reconnected",
    "member left",
    "member joined",
    "member not heard",
    "listener registered anew",
    "topic lost",
    "topic overflowed",
    "queue overflowed",
]


@dataclass(frozen=True, slots=True)
class Gap:
    """Something may have been missed here: predictions that were scored from `since_us` on."""

    since_us: int
    """Microseconds since 1970, by the workers' clocks; a margin for clocks that differ is taken off already."""
    reason: Reason
    """Why: `reconnected` (a connection to a member was lost and made again), `member left`, `member joined`, `member
    not heard` (one can't be reached), `listener registered anew` (the map or topic was destroyed), `topic lost`,
    `topic overflowed` (a reliable topic's ring was overwritten), `queue overflowed` (this subscriber was too slow)."""

    @property
    def since(self) -> datetime:
        """`since_us` as a moment in UTC."""
        return datetime.fromtimestamp(self.since_us / 1e6, UTC)

    @classmethod
    def after(cls, whole_s: float, reason: Reason) -> Gap:
        """A gap behind a moment, in seconds since 1970, that is known to be whole."""
        return cls(int((whole_s - MARGIN_S) * 1e6), reason)

    def joined(self, other: Gap) -> Gap:
        """Both in one, with this one's reason."""
        return Gap(min(self.since_us, other.since_us), self.reason)

"""What the events of a predictions map tell: late writes of owners that had been replaced, and how long they stood.

Pure: events in, figures out, with the time passed in.
"""

from __future__ import annotations

from dataclasses import dataclass, field

LATE_WRITE_S_MAX = 20.0
"""A write that was under way when its owner was replaced may arrive so long afterwards (ARCHITECTURE.md)."""


@dataclass(slots=True)
class LateWrites:
    """Sees every prediction of one map as it is written."""

    late: int = 0
    """Predictions of a smaller epoch, over one of a greater epoch, of one key."""
    stood_s_max: float = 0.0
    """How long at most such a prediction stood."""
    overlap_s_max: float = 0.0
    """How long at most two owners wrote into one partition."""
    _newest: dict[bytes, tuple[int, int]] = field(default_factory=dict[bytes, tuple[int, int]])
    """Key → greatest epoch, and the digest that it wrote."""
    _standing: dict[bytes, tuple[float, int]] = field(default_factory=dict[bytes, tuple[float, int]])
    """Key → since when late writes stand, and the digest of the last one."""
    _reigns: dict[int, tuple[int, float]] = field(default_factory=dict[int, tuple[int, float]])
    """Partition → greatest epoch, since when."""
    _last: dict[int, tuple[int, float]] = field(default_factory=dict[int, tuple[int, float]])
    """Partition → epoch of whoever wrote there last, and when."""

    def written(self, partition: int, key: bytes, epoch: int, digest: int, at_s: float) -> None:
        """A prediction was written."""
        self._last[partition] = epoch, at_s
        reign = self._reigns.get(partition)
        if reign is None or epoch > reign[0]:
            self._reigns[partition] = (epoch, at_s)
        elif epoch < reign[0]:
            self.overlap_s_max = max(self.overlap_s_max, at_s - reign[1])
        newest = self._newest.get(key)
        if newest is None or epoch >= newest[0]:
            self._newest[key] = (epoch, digest)
            self._restored(key, at_s)
            return
        self.late += 1
        if digest == newest[1]:
            self._restored(key, at_s)  # the same value, scored twice: nothing older stands
        else:
            self._standing[key] = (self._standing.get(key, (at_s, 0))[0], digest)

    def forget(self) -> None:
        """The map is another cluster's from now on, where owners are counted anew."""
        for known in (self._newest, self._standing, self._reigns, self._last):
            known.clear()

    def removed(self, key: bytes, at_s: float) -> None:
        """The key's prediction is gone."""
        self._restored(key, at_s)

    def _restored(self, key: bytes, at_s: float) -> None:
        since = self._standing.pop(key, None)
        if since is not None:
            self.stood_s_max = max(self.stood_s_max, at_s - since[0])

    def suspects(self) -> dict[bytes, int]:
        """Key → digest of what came late and stands."""
        return {key: digest for key, (_, digest) in self._standing.items()}

    def acquit(self, key: bytes, digest: int) -> None:
        """This digest is that of the key's record: what came late is not older than what it replaced."""
        if self._standing.get(key, (0.0, None))[1] == digest:
            del self._standing[key]

    @property
    def standing(self) -> int:
        """How many predictions that came late stand now, over newer ones."""
        return len(self._standing)

    def deposed(self) -> list[int]:
        """Partitions where an owner goes on that was replaced and should know it: in the end there must be none.

        What was under way when it was replaced is no sign of that: it may be the last that was written there.
        """
        return [
            partition
            for partition, (epoch, at_s) in self._last.items()
            if epoch < self._reigns[partition][0] and at_s > self._reigns[partition][1] + LATE_WRITE_S_MAX
        ]

    def until(self, at_s: float) -> float:
        """The longest time that an older prediction stood, those that stand still included."""
        return max([self.stood_s_max, *(at_s - since_s for since_s, _ in self._standing.values())])

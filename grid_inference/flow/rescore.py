"""`Rescoring`: what another version has scored is scored by the one at work, a partition after the other.

Records come meanwhile. A partition is scanned as after a gap, with only the version at work counting: what differs goes
into its one ordered path, so that the newest value wins. One partition is under way at a time; between two there is a
pause that keeps the rate. What is scored already names its version, so a worker that takes over, or a pass that begins
again, skips it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from grid_inference.flow.causes import RESCORE
from grid_inference.flow.feeds import Feed, Feeds
from grid_inference.flow.reconcile import Counting
from grid_inference.grid.topology import now_s
from grid_inference.model.store.registry import Deployed

__all__ = ["Rescoring"]

PAUSE_S = 0.1
"""How often it is looked, while a pass is under way, whether there is anything to do."""


class Rescoring:
    """Of one deployment's partitions in one worker."""

    def __init__(self, reader: Feeds, deployed: Deployed, partition_count: int, scored: Callable[[], int]) -> None:
        self._reader = reader
        self._partition_count = partition_count
        self._scored = scored
        """How many records scans of this cause have sent to be scored, so far."""
        self._done: dict[int, tuple[int, int]] = {}
        """Partition → the pass and the version by which all of it is scored."""
        self._version = deployed.version
        self._deployed = deployed
        self._asked = asyncio.Event()
        """Set while a pass is wanted: until then this costs nothing."""
        self._look()

    @property
    def version(self) -> int:
        """The version at work here."""
        return self._version

    @version.setter
    def version(self, version: int) -> None:
        self._version = version
        self._look()

    @property
    def deployed(self) -> Deployed:
        """What stands in the grid."""
        return self._deployed

    @deployed.setter
    def deployed(self, deployed: Deployed) -> None:
        self._deployed = deployed
        self._look()

    def _look(self) -> None:
        if self.wanted is None:
            self._asked.clear()
        else:
            self._asked.set()

    @property
    def wanted(self) -> tuple[int, int] | None:
        """The pass that is under way and its version; None while there is none, or another version is still at work."""
        deployed = self.deployed
        return (deployed.rescore, self.version) if deployed.rescore and deployed.version == self.version else None

    @property
    def counting(self) -> Counting:
        """The versions whose results stay: the one at work, and a canary's of its own keys."""
        candidate, share = self.deployed.candidate, self.deployed.share
        if candidate is None or not share:
            return Counting((self.version,))
        return Counting((self.version, candidate.version), (candidate.version, share))

    def said(self) -> dict[str, Any] | None:
        """For a beat: the pass, its version, and which of the partitions that are fed here are scored in it.

        Partitions by number: a worker that has died and its heir both tell of the same ones for some seconds.
        """
        wanted = self.wanted
        if wanted is None:
            return None
        done = sorted(partition for partition in self._reader.feeds if self._done.get(partition) == wanted)
        return {"begun": wanted[0], "version": wanted[1], "partitions": done}

    def scanned(self, partition: int, wanted: tuple[int, int] | None) -> None:
        """A partition's scan for a pass is done, and what differed is written."""
        if wanted is not None:
            self._done[partition] = wanted

    def forget(self, partition: int) -> None:
        """The partition is somebody else's now."""
        self._done.pop(partition, None)

    async def run(self) -> None:
        """Scan what is to be scored anew, for ever."""
        while True:
            await self._asked.wait()
            feed = self._next()
            if feed is None:
                await asyncio.sleep(PAUSE_S)
                continue
            begun_s, before = now_s(), self._scored()
            self._reader.reconcile(feed.partition, RESCORE)
            while (scan := feed.scan) and not feed.closed:  # another cause may have it begin anew
                await asyncio.wait([scan])
            await asyncio.sleep(max(0.0, begun_s + self._seconds_for(self._scored() - before) - now_s()))

    def _next(self) -> Feed | None:
        wanted = self.wanted
        if wanted is None:
            return None
        feeds = self._reader.feeds.values()
        return next((one for one in feeds if not one.scan and self._done.get(one.partition) != wanted), None)

    def _seconds_for(self, records: int) -> float:
        """How long so many records should take this worker, by its share of the partitions; 0 without a limit."""
        rate = self.deployed.rescore_rate * len(self._reader.feeds) / self._partition_count
        return records / rate if rate else 0.0

"""The way of a record, on one screen: read, score, write, and only then move the position.

An error leads to a retry, never to a skip.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping

from grid_inference.errors import GridError, GridInferenceError, LeaseExpiredError
from grid_inference.flow.feeds import Arrivals, Feeds
from grid_inference.flow.positions import Positions
from grid_inference.flow.score import Outcome
from grid_inference.flow.split import Split
from grid_inference.flow.write import Writer
from grid_inference.grid.leases import Leases
from grid_inference.logs import logger

__all__ = ["Pipeline"]

_log = logger(__name__)

DOUBT_S_MAX = 10.0
"""How long a scored batch waits until it is known whose its partitions are."""


class Pipeline:
    """Carries one deployment's records from the feature map to the predictions map."""

    def __init__(
        self,
        reader: Feeds,
        split: Split,
        writer: Writer,
        positions: Positions,
        leases: Leases,
        *,
        generation: int,
        written: Callable[[Arrivals], None],
    ) -> None:
        self.reader = reader
        self.split = split
        self.writer = writer
        self.positions = positions
        self.leases = leases
        self.generation = generation
        self.note_written = written
        """Is shown what is written; keeps nothing waiting, and raises nothing."""
        self.batches = 0
        self.failures: Counter[str] = Counter()
        """Batches that failed and are scored again, by cause."""
        self.failure = ""
        """The last error that nobody had foreseen."""

    async def run(self) -> None:
        """Score what arrives until told to stop; a position moves only behind an acknowledged prediction.

        Several of these may run at once on one reader: while one batch is scored, another is written. Of one partition
        there is never more than one batch under way.
        """
        async for arrivals in self.reader:  # raw journal answers: whatever came while we scored
            self.batches += 1
            failed, cause = await self.carry(arrivals)
            if not await self.leases.regained(DOUBT_S_MAX):  # else what is written moves no position, for good
                failed = arrivals.epochs.keys()
            written, left = arrivals.parted(failed) if failed else (arrivals, None)
            self.advance(written)
            self.reader.resume(written)  # only now is more asked for: backpressure
            self.note_written(written)  # a challenger may score them too, in its own time
            if left is not None:
                self.again(left, cause)

    async def carry(self, arrivals: Arrivals) -> tuple[Collection[int], str]:
        """Score and write a batch; returns the partitions of which something is not written, and why."""
        every, failed = arrivals.epochs.keys(), dict[int, GridError]()
        try:
            for outcome in await self.split.score(arrivals):  # predictions, dead letters, removals
                failed |= await self.write(outcome, arrivals.epochs)  # one PutAll a partition, acknowledged, lease ours
        except GridInferenceError as error:
            _log.warning("batch not written, scored again", records=len(arrivals), error=error)
            return every, "failed write"
        except Exception as error:  # a bug of ours must not lose records, nor pass unseen  # noqa: BLE001
            self.failure = f"{type(error).__name__}: {error}"
            _log.exception("batch failed, scored again", records=len(arrivals))
            return every, "internal error"
        for partition, error in failed.items():
            _log.warning("partition not written, scored again", partition=partition, error=error)
        return failed, "failed write"

    async def write(self, outcome: Outcome, epochs: Mapping[int, int]) -> dict[int, GridError]:
        """Write a batch; what a doubt about the leases has held up is written when they are found to be ours."""
        failed = await self.writer.write(outcome, epochs)
        doubted = [one for one, error in failed.items() if isinstance(error, LeaseExpiredError)]
        if doubted and await self.leases.regained(DOUBT_S_MAX):
            ours = [one for one in doubted if self.leases.allows(one, epochs[one])]
            if ours:
                lost = {one: error for one, error in failed.items() if one not in ours}
                return lost | await self.writer.write(outcome.of(ours), epochs)
        return failed

    def advance(self, arrivals: Arrivals) -> None:
        """Everything up to these positions is acknowledged, for the partitions whose lease held until now."""
        for feed, position in zip(arrivals.feeds, arrivals.positions, strict=True):
            if self.leases.settle(feed.partition, feed.epoch) and position is not None:
                self.positions.advance(feed.partition, position, feed.epoch, self.generation)

    def again(self, arrivals: Arrivals, cause: str) -> None:
        """Have rows scored again; some of them may be written: whoever owns their partitions by now is to know."""
        self.failures[cause] += 1
        for feed in arrivals.feeds:
            self.leases.unanswered(feed.partition, feed.epoch)
        self.reader.retry(arrivals, cause)

"""The way of a record, on one screen: read, score, write, and only then move the position."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from grid_inference.errors import GridInferenceError, LeaseExpiredError
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
        shadow: Callable[[Arrivals], None],
    ) -> None:
        self.reader = reader
        self.split = split
        self.writer = writer
        self.positions = positions
        self.leases = leases
        self.generation = generation
        self.shadow = shadow
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
            try:
                for outcome in await self.split.score(arrivals):  # predictions, dead letters, removals
                    await self.write(outcome, arrivals)  # one PutAll a partition, acknowledged, lease still ours
            except GridInferenceError as error:
                _log.warning("batch not written, scored again", records=len(arrivals), error=error)
                await self.again(arrivals, "failed write")
            except Exception as error:  # a bug of ours must not lose records, nor pass unseen  # noqa: BLE001
                self.failure = f"{type(error).__name__}: {error}"
                _log.exception("batch failed, scored again", records=len(arrivals))
                await self.again(arrivals, "internal error")
            else:
                self.advance(arrivals)
                self.reader.resume(arrivals)  # only now is more asked for: backpressure
                self.shadow(arrivals)  # a challenger may score them too, in its own time

    async def write(self, outcome: Outcome, arrivals: Arrivals) -> None:
        """Write a batch; one that a doubt about the leases has held up is written when they are found to be ours."""
        epochs = arrivals.epochs
        try:
            await self.writer.write(outcome, epochs)
        except LeaseExpiredError:
            if not await self.leases.regained(epochs, DOUBT_S_MAX):
                raise
            await self.writer.write(outcome, epochs)

    def advance(self, arrivals: Arrivals) -> None:
        """Everything up to these positions is acknowledged, for the partitions whose lease held until now."""
        for feed, position in zip(arrivals.feeds, arrivals.positions, strict=True):
            if self.leases.settle(feed.partition, feed.epoch) and position is not None:
                self.positions.advance(feed.partition, position, feed.epoch, self.generation)

    async def again(self, arrivals: Arrivals, cause: str) -> None:
        """Have a batch scored again; some of it may be written: whoever owns its partitions by now is to know."""
        self.failures[cause] += 1
        for feed in arrivals.feeds:
            self.leases.unanswered(feed.partition, feed.epoch)
        await self.reader.retry(arrivals, cause)

"""One deployment at work in one worker: its stages put together, its lanes, its timer, its partitions.

Built from what stands in the grid, given partitions and relieved of them by the worker, stopped once.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from grid_inference.config import DeploymentConfig, WorkerConfig
from grid_inference.errors import DecodeError, GridError
from grid_inference.flow.causes import RESCORE
from grid_inference.flow.feeds import Arrivals, Feed, Feeds, ScanFeed
from grid_inference.flow.listen import ListenerReader
from grid_inference.flow.pipeline import Pipeline
from grid_inference.flow.positions import Position, Positions, Progress
from grid_inference.flow.proof import LATE_WRITE, Proof
from grid_inference.flow.read import JournalReader
from grid_inference.flow.reconcile import NOTHING, Counting, Reconciler
from grid_inference.flow.rescore import Rescoring
from grid_inference.flow.serving import Loaded
from grid_inference.flow.ticks import stretched, to_tick
from grid_inference.flow.versions import Versions
from grid_inference.flow.watch import Watch
from grid_inference.flow.write import Writer
from grid_inference.grid.leases import LATE_WRITE_S, Claim, Leases
from grid_inference.grid.link import Link
from grid_inference.logs import logger
from grid_inference.metrics import Meter, Observe, unobserved
from grid_inference.model.store.registry import Deployed
from grid_inference.wire.blobs import Blobs

__all__ = ["RunningDeployment", "comparisons"]

_log = logger(__name__)

REST_S = 2.5
"""So long nothing is looked at where nothing comes; what comes ends it."""
COMPARISONS_AT_ONCE = 4
"""Most of their time is waiting for what was read to be scored."""


class RunningDeployment:
    """A deployment's reader, scorer, writer and positions, for the partitions that this worker owns."""

    def __init__(
        self,
        link: Link,
        deployed: Deployed,
        loaded: Loaded,
        config: WorkerConfig,
        leases: Leases,
        beside: Callable[[], int] = lambda: 1,
    ) -> None:
        """`beside`: how many deployments share this worker's time."""
        self.deployed = deployed
        self._meter = Meter(deployed.config.name) if config.metrics else None
        self._observe = observe = self._meter.observe if self._meter else unobserved
        self._link = link
        self._config = config
        self._leases = leases
        settings = deployed.config
        self._watch = Watch(link, leases.worker, settings.name, owns=self._feeds, at_work=lambda: self.versions.all)
        self.versions = Versions(link, deployed, loaded, config, leases, observe=observe, watch=self._watch)
        self._beside = beside
        self.reconciler = Reconciler(link, deployed, read_budget_bytes=config.read_budget_bytes)
        self.reader: Feeds = _reader(link, settings, config, self._scan, observe, beside)
        self.writer = Writer(link, settings, leases, observe, self._expect_late)
        self.positions = Positions(link, settings.name)
        self._pipeline = Pipeline(
            self.reader,
            self.versions.split,
            self.writer,
            self.positions,
            leases,
            generation=deployed.generation,
            written=self._note_written,
        )
        self._listens = settings.trigger == "listener"
        """Then there are no sequences to compare by."""
        interval_s = 0.0 if self._listens else config.proof_interval_s
        more = self.writer.dead_keys.more
        self.proof = Proof(
            self.reader, self.reconciler, self.positions, more, interval_s=interval_s, beside=beside, name=settings.name
        )
        self.rescoring = Rescoring(
            self.reader, deployed, link.partition_count, lambda: self.reconciler.repairs[RESCORE]
        )
        self._size_batches()
        self._lanes: list[asyncio.Task[None]] = []
        self._timers: list[asyncio.Task[None]] = []

    @classmethod
    async def start(
        cls,
        link: Link,
        deployed: Deployed,
        loaded: Loaded,
        config: WorkerConfig,
        leases: Leases,
        beside: Callable[[], int] = lambda: 1,
    ) -> RunningDeployment:
        """Start scoring by a loaded model."""
        running = cls(link, deployed, loaded, config, leases, beside)
        await running.writer.prepare()
        await running.reader.open()
        running._begin()
        return running

    def _begin(self) -> None:
        self._lanes = [asyncio.create_task(self._pipeline.run()) for _ in range(self._config.lanes)]
        self._timers = [asyncio.create_task(self._keep_time())]
        self._timers += [asyncio.create_task(self.proof.run()) for _ in range(COMPARISONS_AT_ONCE)]
        self._timers += [asyncio.create_task(self.rescoring.run()), asyncio.create_task(self._watch.run())]

    def follow(self, deployed: Deployed) -> None:
        """Have results of other versions count; of this deployment's generation."""
        self.deployed = self.rescoring.deployed = deployed
        self.reconciler.counting = Counting(deployed.standing)

    def switch(self, deployed: Deployed, loaded: Loaded) -> None:
        """Score by another version from the next batch on; what is under way is ended by the one before."""
        self.versions.switch(deployed, loaded)
        self.rescoring.version = deployed.version
        self.follow(deployed)
        self._size_batches()

    def canary(self, wanted: Deployed, loaded: Loaded, share: float) -> None:
        """Score a share of the keys by another version, from the next batch on."""
        self.versions.canary(wanted, loaded, share)
        self._size_batches()

    def _note_written(self, arrivals: Arrivals) -> None:
        """Size batches by what is known of the model's speed now, and show what is written to the shadow."""
        self._size_batches()
        self.versions.offer(arrivals)

    async def own(self, claims: dict[int, Claim]) -> None:
        """Take those of these partitions on that are not fed yet, or were fed under another epoch.

        Each goes on from its stored position, or else begins with a reconcile, in which no result of an earlier deploy
        counts. What was taken over from a holder that is dead is compared as well, at once and again when nothing of
        that one can arrive any more, by whoever owns it then.
        """
        if outlived := [feed.partition for feed in self.reader.feeds.values() if _outlived(feed, claims)]:
            await self.disown(outlived)
        new = [partition for partition in claims if partition not in self.reader.feeds]
        if not new:
            return
        stored = await self._progress(new)
        dead = await asyncio.gather(*(self.reconciler.dead_keys(one) if one in stored else _none() for one in new))
        for partition, dead_keys in zip(new, dead, strict=True):
            claim, known = claims[partition], stored.get(partition)
            if known:
                self.positions.advance(partition, known.position, claim.epoch, self.deployed.generation)
                self.positions.proven(partition, known.proven_us)
                self.writer.dead_keys.set(partition, dead_keys)
            position = None if self._listens or not known else known.position
            self.reader.own(partition, claim.epoch, position, suspect=claim.suspect)
            for cause, after_s in comparisons(claim):
                self.doubt(partition, cause, after_s)
        await self.positions.flush(self._leases.allows)

    async def _progress(self, partitions: list[int]) -> dict[int, Progress]:
        """How far partitions are scored in this generation, or where they begin by their deploy; else nothing."""
        generation, only_new = self.deployed.generation, self.deployed.config.start == "new"
        found = dict[int, Progress]()
        for begins in (False, True) if only_new else (False,):
            left = [partition for partition in partitions if partition not in found]
            stored = await self.positions.load(left, begins=begins)
            found |= {one: known for one, known in stored.items() if known.generation == generation}
        if only_new:
            for partition in [one for one in partitions if one not in found]:
                self.reader.gaps["beginning lost"] += 1
                position = await self.reconciler.newest(partition)
                found[partition] = Progress(position, 0, generation, 0)
        return found

    def doubt(self, partition: int, cause: str, after_s: float = 0.0) -> None:
        """A partition's results may not be those of its records: compare them, now or later."""
        feed = self.reader.feeds.get(partition)
        if feed is None:
            return
        if self._listens or feed.unread:
            asyncio.get_running_loop().call_later(after_s, self.reader.reconcile, partition, cause)
            return
        if not after_s:
            self.reader.gaps[cause] += 1
            self.reader.doubt(feed)
        self.proof.doubt(partition, cause, after_s)

    def _expect_late(self, partition: int) -> None:
        """What was sent may arrive behind its repeat, and behind newer results: look again when it can't any more."""
        self._leases.expect_late(partition)
        self.doubt(partition, LATE_WRITE, LATE_WRITE_S)

    async def disown(self, partitions: list[int], wait_s: float | None = None) -> bool:
        """Let these partitions go once what is under way is written, or after `wait_s`; their positions are stored.

        Returns whether nothing of them is under way any more.
        """
        feeds = [feed for partition in partitions if (feed := self.reader.let_go(partition))]
        ending = [asyncio.create_task(feed.idle.wait()) for feed in feeds]
        late = (await asyncio.wait(ending, timeout=wait_s))[1] if ending else ()
        try:
            await self.positions.flush(self._leases.allows)
        finally:
            self._forget(partitions)
        return not late

    def let_go(self, epochs: Sequence[int]) -> None:
        """Feed no partition any more whose lease is not held under the epoch of its feed; nothing is waited for."""
        gone = [partition for partition, feed in self.reader.feeds.items() if epochs[partition] != feed.epoch]
        for partition in gone:
            self.reader.let_go(partition)
        self._forget(gone)

    def feeds(self, claims: Mapping[int, Claim]) -> bool:
        """Whether all these partitions are fed, under these epochs."""
        feeds = self.reader.feeds
        return all(partition in feeds and feeds[partition].epoch == claim.epoch for partition, claim in claims.items())

    def _forget(self, partitions: list[int]) -> None:
        for partition in partitions:
            self.positions.forget(partition)
            self.proof.forget(partition)
            self.rescoring.forget(partition)
        self._rest()

    def ended(self) -> BaseException | None:
        """What has ended one of the tasks that are to go on until `stop`."""
        done = [task for task in (*self._lanes, *self._timers) if task.done() and not task.cancelled()]
        return next((error for task in done if (error := task.exception())), None)

    def calm(self, partition: int) -> bool:
        """Whether all that stood in a partition when it was taken is scored, and nothing more is to be compared.

        Looked at each turn: what waits at the first look with nothing left to compare must be written by the next.
        """
        feed = self.reader.feeds.get(partition)
        if feed is None:
            return False
        calm = not (feed.scan or self.proof.doubts(partition))
        if not calm:
            feed.calm_at = None
        elif feed.calm_at is None:
            feed.calm_at = feed.ended + feed.busy + len(feed.pages)
            return False
        return calm and feed.ended >= (feed.calm_at or 0)

    def trust(self, partitions: list[int]) -> None:
        """Score these partitions as all others again."""
        for partition in partitions:
            if feed := self.reader.feeds.get(partition):
                feed.suspect = False
        self._rest()

    def _feeds(self, partition: int) -> bool:
        return partition in self.reader.feeds

    def _rest(self) -> None:
        if not any(feed.suspect for feed in self.reader.feeds.values()):
            self.versions.rest()

    async def stop(self) -> None:
        """Finish what is under way, store the positions, end the lanes. Stopping twice is the same as once."""
        try:
            await self.disown(list(self.reader.feeds))
        finally:  # whatever could not be stored, nothing goes on
            await self._end()

    async def _end(self) -> None:
        self.reader.stop()
        for timer in self._timers:
            timer.cancel()
        await asyncio.gather(*self._lanes, return_exceptions=True)
        closing = self.reader.close(), self._watch.close(), self.versions.close()
        ends = await asyncio.gather(*closing, return_exceptions=True)
        self.measured()
        if self._meter:
            self._meter.close()
        for end in ends:
            if isinstance(end, BaseException):
                raise end

    def measured(self) -> dict[str, Any]:
        """What this worker did for the deployment since it started; the metrics are told of it."""
        counts = self.counts()
        if self._meter:
            self._meter.carry(counts)
        return counts

    def failure(self) -> str:
        """Why this deployment does not score, or an empty string."""
        if error := self.ended():
            return f"{type(error).__name__}: {error}"
        return self._pipeline.failure

    def counts(self) -> dict[str, Any]:
        """What this worker did for the deployment since it started."""
        reader, counts = self.reader, self.writer.counts
        return {
            **self.versions.counts(),
            "owned": len(reader.feeds),
            "scanning": reader.scanning,
            "events": reader.events,
            "superseded": reader.superseded,
            "late_writes": self._leases.late.total(),
            "predictions": counts.predictions,
            "versions": {str(version): count for version, count in counts.versions.items()},
            "dead_letters": counts.dead_letters,
            "refused": dict(counts.refused),
            "removals": counts.removals,
            "published": counts.published,
            "unpublished": counts.unpublished,
            "batches": self._pipeline.batches,
            "failures": dict(self._pipeline.failures),
            "gaps": dict(reader.gaps),
            "repairs": _summed(self.reconciler.repairs, self.proof.repairs),
            "unexplained": self.proof.unexplained,
            "rescored": self.rescoring.said(),
            "drift_crossings": self._watch.crossings,
            "drift_psi": self._watch.psi,
            "failure": self.failure(),
        }

    async def _scan(self, feed: Feed, cause: str) -> Position | None:
        begun_us, wanted = time.time_ns() // 1000, self.rescoring.wanted if cause == RESCORE else None
        if wanted:
            counting = self.rescoring.counting
        else:  # of a partition that was never scored through in this generation no result counts
            counting = self.reconciler.counting if self.positions.scored(feed.partition) else NOTHING
        position = await self.reconciler.scan(self.reader, feed, cause, self.writer.dead_keys.set, counting)
        self._rest()
        self.rescoring.scanned(feed.partition, wanted)
        self.positions.advance(feed.partition, position, feed.epoch, self.deployed.generation)
        self.positions.proven(feed.partition, begun_us)
        if position is None:
            self.proof.forget(feed.partition)  # the scan has seen to what was to be compared, and others will
        return position

    def _size_batches(self) -> None:
        self.reader.rows_max = self.versions.rows_max

    async def _keep_time(self) -> None:
        """Store positions and look for lag, again and again."""
        while True:
            await asyncio.sleep(self._config.position_interval_ms / 1000)
            if not self._listens:
                await self.positions.moved(to_tick(stretched(REST_S, self._beside()), self.deployed.config.name))
            try:
                await self.positions.flush(self._leases.allows)
                await self.reader.watch()
            except (GridError, DecodeError) as error:
                _log.warning("positions not stored yet", deployment=self.deployed.config.name, error=error)
            except Exception:  # a bug of ours must not end this for good, nor pass unseen  # noqa: BLE001
                _log.exception("positions not stored", deployment=self.deployed.config.name)


def _summed(one: Counter[str], other: Counter[str]) -> dict[str, int]:
    """The sum of two counters: theirs looks at each count for itself, and nothing has changed as a rule."""
    return dict(one + other) if other else dict(one)


async def _none() -> Blobs:
    """Of a partition that is scanned first, which finds them."""
    return Blobs.empty()


def comparisons(claim: Claim) -> list[tuple[str, float]]:
    """Why and after how many seconds a partition is compared that was taken so.

    What may arrive of former holders is looked for when it can't any more; and what has arrived by now at once, as
    that time begins anew with each holder who did not get round to the end.
    """
    found = [("taken over", 0.0)] if claim.taken_over else [(LATE_WRITE, 0.0)] if claim.late_s else []
    return [*found, (LATE_WRITE, claim.late_s)] if claim.late_s else found


def _outlived(feed: Feed, claims: Mapping[int, Claim]) -> bool:
    """Whether the partition was lost and taken again since this feed began: what it has read is of another time."""
    claim = claims.get(feed.partition)
    return claim is not None and claim.epoch != feed.epoch


def _reader(
    link: Link,
    settings: DeploymentConfig,
    config: WorkerConfig,
    scan: ScanFeed,
    observe: Observe,
    beside: Callable[[], int],
) -> Feeds:
    if settings.trigger == "listener":
        return ListenerReader(link, settings.features, config, scan, observe, reconcile_s=settings.reconcile_s)
    return JournalReader(
        link, settings.features, config, scan, observe, reconcile_s=settings.reconcile_s, beside=beside
    )

"""The deployments that run in one worker, made to match those that stand in the grid.

Another version of a running deployment is loaded beside the one that scores, and takes over between two batches. A
deployment that can't start here is tried again each turn; one whose error says that this is no use now and then,
because what is missing may come: an artifact with the other side of a split, a library with an update. Each deployment
starts, takes partitions on and ends in its own time: the worker's turn waits for none, and none for another.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid_inference.config import WorkerConfig
from grid_inference.errors import GridError, GridInferenceError
from grid_inference.flow.calls import Call
from grid_inference.flow.deployment import RunningDeployment
from grid_inference.flow.models import Models
from grid_inference.flow.serving import Loaded, Serving
from grid_inference.flow.tryouts import Tryouts
from grid_inference.grid.leases import Claim, Leases
from grid_inference.grid.link import Link
from grid_inference.grid.topology import now_s
from grid_inference.logs import logger
from grid_inference.metrics import unobserved
from grid_inference.model.store.manifest import Manifest
from grid_inference.model.store.memory import give_back, settle
from grid_inference.model.store.registry import Deployed, Registry

__all__ = ["Deployments"]

_log = logger(__name__)

REFUSED_PAUSE_S = 10.0
"""So long after an error that does not pass by itself a deployment is tried again."""
COUNTED_AT_ONCE = 50
"""What so many deployments did is counted anew with each beat; of more each waits for its turn."""
READ_ANYWAY_S = 3.0
"""What stands in the grid is read so often where nobody tells of a change: a lost connection may keep that from us."""


class Deployments:
    """What runs here."""

    def __init__(
        self, link: Link, leases: Leases, config: WorkerConfig, address: str, *, wake: Callable[[], None] = lambda: None
    ) -> None:
        """`wake`: called when a deployment has come up, which is to be given its partitions."""
        self._link = link
        self._registry = Registry(link)
        self._leases = leases
        self._config = config
        self._models = Models(link, config, address)
        self._running: dict[str, RunningDeployment] = {}
        self._wake = wake
        self._changes, self._changes_read = 1, 0
        """How often what is followed was told to have changed, and how often when it was read last."""
        self._read_s = 0.0
        self._stood = set[str](), dict[str, Deployed]()
        """Digests of the models that are proposed or deployed, and the deployments, as read last."""
        self._wanted: dict[str, Deployed] = {}
        """What is to run, as it stood in the grid at the last look."""
        self._starting: dict[str, tuple[Deployed, asyncio.Task[None]]] = {}
        """Deployments whose models are being loaded."""
        self._ending: dict[str, asyncio.Task[None]] = {}
        """What ran under a name, and has not ended yet."""
        self._owning: dict[RunningDeployment, asyncio.Task[None]] = {}
        """Deployments that are taking partitions on."""
        self._doubts: set[tuple[str, int, str]] = set()
        """Deployment, partition and cause of comparisons that a deployment has not been told of, as it does not feed it
        yet."""
        self._claims: Mapping[int, Claim] = {}
        """What is held, as the last turn said."""
        self._owned = 0
        """How often a deployment has taken partitions on."""
        self._let_go: tuple[list[int], int] | None = None
        """The epochs by which all feeds were looked at last, and how often partitions were taken on by then."""
        self._tidying: asyncio.Task[None] | None = None
        """What is left of dropped models is being given back to the system."""
        self.ready = False
        """Whether each deployment that was there when this worker began has come up, or was found not to."""
        self._beside: dict[str, _Beside] = {}
        """The version that each running deployment is to have next."""
        self._shadows: dict[str, _Beside] = {}
        """The version that each running deployment is to have beside."""
        self._failures: dict[str, str] = {}
        self._refused: dict[str, tuple[_Which, float]] = {}
        """What could not be started, and when it is tried again."""
        self._tryouts = Tryouts(link, leases.worker, self._try_out, _said)
        self._counted: dict[str, tuple[RunningDeployment, dict[str, Any]]] = {}
        """What each deployment did when it was counted last."""
        self._countings = 0
        self.states: dict[str, str] = {}
        """State of each deployment as it was followed last."""

    def __iter__(self) -> Iterator[RunningDeployment]:
        return iter(list(self._running.values()))

    async def follow(self) -> None:
        """Begin to start, stop and replace, until what runs here is what stands in the grid."""
        kept, known = await self._standing()
        self._wanted = wanted = {name: one for name, one in known.items() if one.state == "running"}
        dropped = self._models.keep(kept)
        for name in [name for name, one in self._running.items() if _outdated(wanted.get(name), one.deployed)]:
            self._end(name)
        for name in [name for name, (one, _) in self._starting.items() if _outdated(wanted.get(name), one)]:
            self._starting.pop(name)[1].cancel()
        for name in self._beside.keys() - wanted.keys():
            _drop(self._beside, name)
        if dropped and not self._ending:
            self._tidying = asyncio.create_task(asyncio.to_thread(give_back, garbage=True))
        self._failures = {name: failure for name, failure in self._failures.items() if name in wanted}
        for name, deployed in wanted.items():
            try:
                if running := self._running.get(name):
                    self._go_along(running, deployed)
                    await self._shade(running, deployed)
                elif name not in self._starting:
                    self._load_beside(self._beside, _next(deployed), name)  # a promotion mends what can't start
                    if not self._waits(deployed):
                        self._starting[name] = deployed, asyncio.create_task(self._start(deployed))
            except Exception as error:  # an entry or a model may be anything: the others go on  # noqa: BLE001
                self._refuse(deployed, error)
        self.states = {name: one.state for name, one in known.items()}
        self.ready |= wanted.keys() <= self._running.keys() | self._failures.keys()

    def changed(self) -> None:
        """Something in the grid that is followed is another than it was: the next turn is to read it."""
        self._changes += 1

    async def _standing(self) -> tuple[set[str], dict[str, Deployed]]:
        """Digests of the models that are to be kept, and all deployments; read when told of a change, and now and then.

        Who is told of each change asks seldom: with hundreds of deployments that is most of what a worker at rest does.
        """
        if self._changes != self._changes_read or now_s() > self._read_s + READ_ANYWAY_S:
            changes, begun_s = self._changes, now_s()  # what changes while it is read may have been read before
            # Proposals before the deployments: what is adopted meanwhile is among those.
            proposed, known = await self._tryouts.follow(), await self._registry.ever_deployed()
            there = [one for one in known.values() if one.state != "undeployed"]
            self._stood = proposed | {manifest.sha256 for one in there for manifest in _manifests(one)}, known
            self._changes_read, self._read_s = changes, begun_s
        return self._stood

    def own(self, claims: Mapping[int, Claim]) -> bool:
        """Have all that runs feed these partitions, each deployment in its own time.

        Returns whether all that is to run does so: who comes up later is to be told as well how they were taken.
        """
        self._claims = claims
        lacking = {name: running for name, running in self._running.items() if not running.feeds(claims)}
        for name, running in lacking.items():
            if running not in self._owning:
                self._owning[running] = asyncio.create_task(self._own(name, running))
        self._tell_doubts()
        return self._wanted.keys() <= self._running.keys() and not lacking

    async def _own(self, name: str, running: RunningDeployment) -> None:
        try:
            await running.own(dict(self._claims))
            if self._running.get(name) is running:
                self._tell_doubts()
        except GridInferenceError as error:
            _log.warning("partitions not taken on, the next turn tries again", deployment=name, error=error)
        except Exception:  # a bug of ours must not hold up the other deployments, nor pass unseen  # noqa: BLE001
            _log.exception("partitions not taken on, the next turn tries again", deployment=name)
        finally:
            self._owned += 1
            del self._owning[running]

    def let_go(self, epochs: NDArray[np.int64]) -> None:
        """Feed no partition any more whose lease is not held under the epoch of its feed."""
        now = epochs.tolist(), self._owned
        if now == self._let_go and not self._owning:
            return
        for running in self:
            running.let_go(now[0])
        self._let_go = now

    async def disown(self, partitions: list[int], wait_s: float) -> bool:
        """Let partitions go once what is under way is written; returns whether it was within this time.

        The slowest goes first, so that the others score on until it has written. What has run under a name before may
        be writing yet as well.
        """
        until_s, written, ending = now_s() + wait_s, True, list(self._ending.values())
        for running in sorted(self, key=lambda one: one.versions.row_s, reverse=True):
            try:
                written &= await running.disown(partitions, max(0.0, until_s - now_s()))
            except GridError as error:  # who is next scores it again
                _log.warning("positions not stored", deployment=running.deployed.config.name, error=error)
        return written and not (ending and (await asyncio.wait(ending, timeout=max(0.0, until_s - now_s())))[1])

    def doubt(self, partitions: set[int], cause: str) -> None:
        """Compare these partitions' results with their records soon, also where a deployment comes up later."""
        self._doubts |= {(name, partition, cause) for name in self._wanted for partition in partitions}
        self._tell_doubts()

    def _tell_doubts(self) -> None:
        for name, partition, cause in list(self._doubts):
            running, claim = self._running.get(name), self._claims.get(partition)
            if claim is None or name not in self._wanted:
                self._doubts.discard((name, partition, cause))
            elif running and running.feeds({partition: claim}):
                running.doubt(partition, cause)
                self._doubts.discard((name, partition, cause))

    def doubts(self, partition: int) -> bool:
        """Whether some results of this partition are to be compared yet."""
        told = any(running.proof.doubts(partition) for running in self)
        return told or any(doubted == partition for _, doubted, _ in self._doubts)

    def check(self) -> None:
        """Raise what has ended a part of a deployment that was to go on: nobody else would see it."""
        for name, running in self._running.items():
            if error := running.ended():
                raise GridInferenceError(f"a task of deployment {name!r} has ended") from error

    def calm(self, partitions: list[int]) -> list[int]:
        """Those of these partitions where all that stood when they were taken is scored, by every deployment."""
        if self._starting or self._failures.keys() - self._refused.keys():
            return []  # the culprit may be what a deployment that is to start again will read
        found = [[running.calm(partition) for running in self] for partition in partitions]
        return [partition for partition, calm in zip(partitions, found, strict=True) if all(calm)]

    def trust(self, partitions: list[int]) -> None:
        """Score these partitions as all others again."""
        for running in self:
            running.trust(partitions)

    def overdue(self, passed_s: float) -> tuple[str, Call] | None:
        """A deployment whose model hangs, and the call; to be looked for each `passed_s`."""
        found = [(name, running.versions.overdue(passed_s)) for name, running in self._running.items()]
        return next(((name, call) for name, call in found if call), None)

    def held_up(self) -> list[int]:
        """Partitions of batches that hold up the event loop; for another thread, which alone can ask then."""
        batches = [batch for running in self for batch in running.versions.held_up()]
        return sorted({int(partition) for batch in batches for partition in batch})

    def counts(self) -> dict[str, dict[str, Any]]:
        """What each deployment did here, and why one does not run; of many a share is counted anew at each call.

        The metrics are told of these.
        """
        self._countings += 1
        rounds, before = max(1, math.ceil(len(self._running) / COUNTED_AT_ONCE)), self._counted
        self._counted = {
            name: known
            if (place + self._countings) % rounds and (known := before.get(name)) and known[0] is running
            else (running, running.measured())
            for place, (name, running) in enumerate(self._running.items())
        }
        counts = {name: counted for name, (_, counted) in self._counted.items()}
        for name, failure in self._failures.items():
            counts[name] = {**counts.get(name, {"owned": 0}), "failure": failure}
        for name, one in self._shadows.items():
            if one.failure and name in counts:
                shadow = {"model": one.model, "version": one.version, "failure": one.failure}
                counts[name] = {**counts[name], "shadow": shadow}
        return counts

    def beside(self) -> dict[str, dict[str, Any]]:
        """The version that each running deployment has loaded to be next, or why it could not."""
        done = {name: one for name, one in self._beside.items() if one.task.done()}
        return {name: {"version": one.version, "failure": one.failure} for name, one in done.items()}

    @property
    def loading(self) -> bool:
        """Whether a model is being loaded, which nothing can break off."""
        beside = (*self._beside.values(), *self._shadows.values())
        return bool(self._starting) or not all(one.task.done() for one in beside)

    async def stop(self) -> None:
        """Finish what is under way, everywhere."""
        self._tryouts.stop()
        for one in (*self._beside.values(), *self._shadows.values()):
            one.task.cancel()
        for task in (*self._owning.values(), *(task for _, task in self._starting.values())):
            task.cancel()
        for name in list(self._running):
            self._end(name)
        await asyncio.gather(*self._ending.values())
        self._models.keep(set())  # whoever is left maps them still; of a node that was killed nothing stays

    def _end(self, name: str) -> None:
        """Begin to end what runs under a name; what is to come in its place waits for it."""
        running, before = self._running.pop(name), self._ending.get(name)
        self._counted.pop(name, None)
        for places in (self._beside, self._shadows):
            _drop(places, name)
        self._ending[name] = asyncio.create_task(self._ended(name, running, before))

    async def _ended(self, name: str, running: RunningDeployment, before: asyncio.Task[None] | None) -> None:
        if before:
            await asyncio.wait({before})
        try:
            await running.stop()
        except GridInferenceError as error:
            _log.warning("deployment not ended in order", deployment=name, error=error)
        finally:
            if self._ending.get(name) is asyncio.current_task():
                del self._ending[name]
            del running  # as long as it is named here its model is no garbage
        await asyncio.to_thread(give_back, garbage=True)

    def _waits(self, deployed: Deployed) -> bool:
        which, again_s = self._refused.get(deployed.config.name, (None, 0.0))
        return which == _which(deployed) and now_s() < again_s

    def _go_along(self, running: RunningDeployment, deployed: Deployed) -> None:
        """Load what is next beside what scores, and switch once it is wanted and there."""
        name = deployed.config.name
        running.follow(deployed)
        if deployed.version == running.versions.version:
            self._failures.pop(name, None)
            wanted = _next(deployed)
            beside = self._load_beside(self._beside, wanted, name)
            if wanted and deployed.share and beside and beside.loaded:
                running.canary(wanted, beside.loaded, deployed.share)
            else:
                running.versions.end_canary()
            return
        beside = self._load_beside(self._beside, deployed, name)
        if beside is None or not beside.task.done():
            return
        if beside.loaded is None:
            self._failures[name] = beside.failure
            return
        running.switch(deployed, beside.loaded)
        settle()
        self._failures.pop(name, None)
        del self._beside[name]

    async def _shade(self, running: RunningDeployment, deployed: Deployed) -> None:
        """Load what is to score beside, and let it once it is there."""
        wanted = deployed.shadowed()
        beside = self._load_beside(self._shadows, wanted, deployed.config.name)
        if wanted and deployed.shadow and beside and beside.loaded:
            await running.versions.shadow(wanted, beside.loaded, deployed.shadow.budget)
        else:
            await running.versions.end_shadow()

    def _load_beside(self, places: dict[str, _Beside], wanted: Deployed | None, name: str) -> _Beside | None:
        """What is loaded, or is being loaded, of the version that is wanted; a failure is tried again after a while."""
        known = places.get(name)
        if known and (wanted is None or not known.is_of(wanted) or known.again_s < now_s()):
            _drop(places, name)
            known = None
        if known is None and wanted is not None:
            known = places[name] = _Beside(wanted.model, wanted.version)
            known.task = asyncio.create_task(self._fill(known, wanted))
        return known

    async def _fill(self, beside: _Beside, wanted: Deployed) -> None:
        try:
            beside.loaded = await self._models.loaded(wanted)
        except Exception as error:  # whatever it is, the version at work goes on, and whoever waits is told  # noqa: BLE001
            beside.failure = _said(error)
            beside.again_s = now_s() + REFUSED_PAUSE_S
            _log.error(
                "version not loaded", deployment=wanted.config.name, version=wanted.version, error=beside.failure
            )

    async def _start(self, deployed: Deployed) -> None:
        """Bring a deployment up, once what ran under its name has ended."""
        name = deployed.config.name
        try:
            loaded = await self._models.loaded(deployed)
            while ending := self._ending.get(name):
                await asyncio.wait({ending})
            running = await RunningDeployment.start(
                self._link, deployed, loaded, self._config, self._leases, lambda: max(1, len(self._running))
            )
        except Exception as error:  # a model may be anything: the others go on  # noqa: BLE001
            self._refuse(deployed, error)
        else:
            self._running[name] = running
            self._refused.pop(name, None)
            self._failures.pop(name, None)
            settle()
        finally:
            if self._starting.get(name, (None, None))[1] is asyncio.current_task():
                del self._starting[name]
                self._wake()

    def _refuse(self, deployed: Deployed, error: Exception) -> None:
        """Say why it does not run, and when it is tried again, if that is not the next turn."""
        name, said = deployed.config.name, _said(error)
        if not getattr(error, "retryable", False):
            self._refused[name] = _which(deployed), now_s() + REFUSED_PAUSE_S
        if said != self._failures.get(name):
            _log.error("deployment refused", deployment=name, version=deployed.version, error=said)
        self._failures[name] = said

    async def _try_out(self, deployed: Deployed) -> None:
        """Raise what would keep a deployment from being started here."""
        loaded = await self._models.loaded(deployed)
        Serving(self._link, deployed, loaded, self._config, unobserved).calls.close()


_Which = tuple[int, int, str, int]


def _next(deployed: Deployed) -> Deployed | None:
    """The same with its candidate at work."""
    return deployed.prepared(deployed.candidate).switched() if deployed.candidate else None


def _which(deployed: Deployed) -> _Which:
    """Which deploy of a name it is, and by which version; generations alone might begin anew with the whole cluster."""
    return deployed.generation, deployed.deployed_at_us, deployed.model, deployed.version


def _outdated(wanted: Deployed | None, one: Deployed) -> bool:
    """Whether it is of another deploy; another version of the same one takes over between two batches."""
    return wanted is None or _which(wanted)[:2] != _which(one)[:2]


def _said(error: Exception) -> str:
    """Why, for people: of an error that is not ours its class alone, as its text may hold values of records."""
    if isinstance(error, GridInferenceError):
        return f"{error} {error.remedy}".strip()
    return f"its model can't be used here: {type(error).__name__}"


def _manifests(deployed: Deployed) -> list[Manifest]:
    return [deployed.manifest, *(one.manifest for one in deployed.beside)]


def _drop(places: dict[str, _Beside], name: str) -> None:
    if known := places.pop(name, None):
        known.task.cancel()


@dataclass(slots=True, eq=False)
class _Beside:
    """A version that is loaded beside the one at work."""

    model: str
    version: int
    task: asyncio.Task[None] = field(init=False)
    loaded: Loaded | None = None
    failure: str = ""
    again_s: float = math.inf
    """When a failure is tried again."""

    def is_of(self, deployed: Deployed) -> bool:
        """Whether it is the version that is at work there."""
        return (self.model, self.version) == (deployed.model, deployed.version)

"""A subscription: arrivals in order, and at each gap either the gap itself or what was scored since.

Nothing is missing without a word: a gap that is not yielded is caught up by a scan of the predictions map, and of each
key the newest prediction comes at least once.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Any, Final, Generic, Self, TypeVar, cast

from grid_inference.api.subscriptions.arrivals import Arrival, Arrivals
from grid_inference.api.subscriptions.catch_up import CatchUp, Since, predictions_since
from grid_inference.api.subscriptions.gap import Gap
from grid_inference.api.subscriptions.messages import Messages
from grid_inference.api.subscriptions.sources import MapSource, RingSource, Source, TopicSource
from grid_inference.api.tables import KEY
from grid_inference.config import DeploymentConfig
from grid_inference.errors import ConfigError, warn_forgotten
from grid_inference.flow.literals import Kind, kind_of
from grid_inference.flow.where import Where
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap
from grid_inference.logs import logger
from grid_inference.model.store.registry import Deployed
from grid_inference.records import MESSAGE_FIELDS, PREDICTION, Prediction
from grid_inference.wire.keys import decode_keys

__all__ = ["QUEUE_MAX", "Subscription", "subscribe"]

_log = logger(__name__)

QUEUE_MAX: Final = 65_536
"""So many predictions may wait for a slow subscriber; the oldest go beyond, and a gap stands in their place."""
KEYS_LOOKED_AT: Final = 64
"""Of each map, before a filter by keys is given to the members, which would fail at each key of another kind."""
DELIVERED_KEYS_MAX: Final = 65_536
"""Of so many keys it is known which prediction was delivered last: just that one is not delivered again."""

Item = TypeVar("Item")


class Subscription(Generic[Item]):
    """New predictions as they come: `async for` over it, in `async with`, or `close()` it at the end.

    It belongs to the event loop that opened its grid: elsewhere it raises GridError. Several tasks may take from one:
    each item goes to one of them.
    """

    def __init__(
        self, link: Link, deployment: str, source: Source, arrivals: Arrivals, since: Since, *, yields_gaps: bool
    ) -> None:
        self.deployment = deployment
        """The deployment's name."""
        self._link = link
        self._source = source
        self._arrivals = arrivals
        self._since = since
        self._yields_gaps = yields_gaps
        self._taking = asyncio.Lock()
        self._catching_up: CatchUp | None = None
        self._delivered: OrderedDict[bytes, tuple[int, int, int]] = OrderedDict()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        """The next prediction, or gap if they were asked for. A cancelled wait loses nothing.

        Raises ConnectionLostError once no member can be reached any more.
        """
        self._link.check_loop()
        async with self._taking:
            while True:
                item = await self._next()
                if isinstance(item, Gap):
                    return cast("Item", item)
                if item and self._is_new(item):
                    return cast("Item", item.prediction)

    async def _next(self) -> Arrival | Gap | None:
        """What comes next, or None where a gap begins or ends that is caught up."""
        if self._catching_up:
            found = await self._catching_up.take()
            if found is None:
                self._catching_up = None
            return found
        item = await self._arrivals.take()
        if isinstance(item, Arrival) or self._yields_gaps:
            return item
        _log.warning("predictions may have been missed, catching up", since=str(item.since), cause=item.reason)
        self._catching_up = CatchUp(self._link, self._since, item.since_us)
        return None

    def _is_new(self, arrival: Arrival) -> bool:
        """False for just the prediction that was delivered last for its key: it was found once more."""
        prediction = arrival.prediction
        mark = (prediction.scored_at_us, prediction.version, prediction.input_digest)
        if self._delivered.get(arrival.key) == mark:
            return False
        self._delivered[arrival.key] = mark
        self._delivered.move_to_end(arrival.key)
        if len(self._delivered) > DELIVERED_KEYS_MAX:
            self._delivered.popitem(last=False)
        return True

    async def catch_up(self, gap: Gap) -> AsyncGenerator[Prediction]:
        """The predictions that stand now, match, and were scored since a gap began: of each key the newest.

        Some of them may have been delivered before. Raises GridError if the map can't be read to its end.
        """
        async with aclosing(self._since(gap.since_us)) as found:
            async for arrival in found:
                yield arrival.prediction

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def ended(self) -> bool:
        """Whether nothing more arrives: it was closed, or its grid was, or the grid is gone."""
        return self._arrivals.ended

    async def close(self) -> None:
        """Stop listening; the iteration ends after what has arrived. Closing twice is the same as once."""
        self._link.check_loop()
        self._arrivals.end()
        if self._catching_up:
            self._catching_up.close()
        await self._source.close()

    def __del__(self) -> None:
        if self._arrivals.ended:
            return
        source, catching_up = self._source, self._catching_up

        async def end() -> None:  # not by `self`, which is gone by then
            if catching_up:
                catching_up.close()
            await source.close()

        self._link.spawn_soon(end)
        warn_forgotten(
            f"the subscription to {self.deployment!r} was not closed", "use it in `async with`, or await its close()"
        )


async def subscribe(
    link: Link, deployed: Deployed, where: str | None, source: str, *, yields_gaps: bool, queue_max: int
) -> Subscription[Any]:
    """Open a subscription to a deployment; see `Predictions.subscribe`."""
    link.check_loop()
    if queue_max < 1:
        raise ConfigError(f"queue_max = {queue_max} is not at least 1", remedy="leave it out for the default")
    config, arrivals = deployed.config, Arrivals(queue_max)
    if source == "map":
        if where:
            await _check_for_members(link, Where.parse(where), config)
        opened: Source = MapSource(link, arrivals, config.predictions, where)
        since = partial(predictions_since, link, config.predictions, where=where)
    else:
        opened, since = _topic_source(link, deployed, where, arrivals)
    await opened.open()
    return Subscription(link, config.name, opened, arrivals, since, yields_gaps=yields_gaps)


async def _check_for_members(link: Link, where: Where, config: DeploymentConfig) -> None:
    """Members filter, and they know the key. Of which kind keys are, those tell that there are."""
    kinds: dict[str, Kind | None] = {name: slot.kind for name, slot in PREDICTION.slots.items()}
    where.check({**kinds, KEY: None})
    if KEY not in where.fields:
        return
    for name in (config.predictions, config.features):
        keys, _ = await GridMap(link, name).sample(KEYS_LOOKED_AT)
        for kind in dict.fromkeys(kind_of(key, KEY) for key in decode_keys(keys)):
            where.check({**kinds, KEY: kind})


def _topic_source(link: Link, deployed: Deployed, where: str | None, arrivals: Arrivals) -> tuple[Source, Since]:
    config, topic = deployed.config, deployed.config.topic
    if topic.kind == "none":
        raise ConfigError(
            f"source = 'topic': the deployment {config.name!r} publishes to no topic",
            remedy="subscribe to its map (source = 'map'), or deploy it with a topic of kind 'topic' or 'reliable'",
        )
    asked = Where.parse(where) if where else None
    if asked:
        asked.check(MESSAGE_FIELDS)
    name, messages = topic.name or config.predictions, Messages(config.name, asked)
    # What the workers don't publish is not caught up either.
    both = [f"({text})" for text in (topic.where, where) if text]
    published = Where.parse(" AND ".join(both)) if both else None
    since = partial(predictions_since, link, config.predictions, published=published)
    kind = TopicSource if topic.kind == "topic" else RingSource
    return kind(link, arrivals, name, messages), since

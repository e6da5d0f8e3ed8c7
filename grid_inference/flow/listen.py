"""Listening to entries, for maps without a journal: events name keys, and the values that stand now are fetched.

The listener is registered before anything is scanned; keys that it names meanwhile wait, and are fetched once the scan
is done. Members may lose events when one of them fails or a connection breaks, and nothing tells. So every partition is
scanned whenever the listener was registered on another connection, and again each `reconcile_s` seconds: a write is
scored at once as a rule, and after so long in any case.
"""

from __future__ import annotations

import asyncio
import time

import numpy as np

from grid_inference.config import WorkerConfig
from grid_inference.errors import DecodeError, GridError
from grid_inference.flow.feeds import ERROR_PAUSE_S, Feed, Feeds, ScanFeed
from grid_inference.grid.link import Link
from grid_inference.grid.link.listeners import Listener
from grid_inference.grid.maps import key_identities, last_rows
from grid_inference.logs import logger
from grid_inference.metrics import Observe, unobserved
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.keys import partition_ids
from grid_inference.wire.protocol.journal import ADDED, GONE, LOADED, MERGED, UPDATED

__all__ = ["ListenerReader"]

_log = logger(__name__)

EVENTS = ADDED | UPDATED | MERGED | LOADED | GONE
"""Whatever changes what stands under a key, or under all of them."""
FETCH_KEYS_MAX = 4096
"""Values fetched at once for one partition."""
PENDING_KEYS_MAX = 1 << 20
"""So many keys may wait; beyond, they are forgotten and their partitions are scanned, which finds them too."""


class ListenerReader(Feeds):
    """Feeds from an entry listener: quick, and complete after each scan."""

    def __init__(
        self,
        link: Link,
        features: str,
        config: WorkerConfig,
        scan: ScanFeed,
        observe: Observe = unobserved,
        *,
        reconcile_s: float,
    ) -> None:
        super().__init__(link, features, config, scan, observe, reconcile_s=reconcile_s)
        self._named: list[Blobs] = []
        """Keys of events that have come in this turn of the loop."""
        self._pending: dict[int, PendingKeys] = {}
        """Keys by partition that were named and not fetched yet."""
        self._listener: Listener | None = None
        self._heard_on: set[tuple[int, int]] = set()
        """The registrations on members that stood when last looked at."""
        self._fetches: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Register the listener, before the first partition is owned."""
        await self._link.create_map(self._features)
        self._listener = await Listener.on_keys(self._link, self._features, self._note, flags=EVENTS)
        self._heard_on = set(self._listener.heard())

    async def close(self) -> None:
        """Take the listener off."""
        for fetch in self._fetches:
            fetch.cancel()
        if self._listener:
            await self._listener.remove()

    async def watch(self) -> None:
        """Scan what may have been missed: after each change of connections, and when it is time."""
        heard_on = set(self._listener.heard()) if self._listener else None
        if heard_on and heard_on != self._heard_on:
            self._heard_on = heard_on
            self._reconcile_all("listener registered anew")
        else:
            self._scan_unread("lost event")

    def _reconcile_all(self, cause: str) -> None:
        self._due_s = time.monotonic() + self._reconcile_s
        for feed in self.feeds.values():
            self._gap(feed, cause)  # a scan that is under way has passed by what has been missed since it began

    # ---- events

    def _note(self, keys: Blobs | None) -> None:
        """Events have come; those of one turn of the loop are looked at together."""
        if keys is None:  # the whole map was cleared or evicted: no key is named
            self._reconcile_all("map cleared")
            return
        if not self._named:
            asyncio.get_running_loop().call_soon(self._sort)
        self._named.append(keys)

    def _sort(self) -> None:
        """Give every key to the feed of its partition; other workers have the rest."""
        keys, self._named = Blobs.concat(self._named), []
        partitions = partition_ids(keys, self._link.partition_count)
        order = np.argsort(partitions, kind="stable")
        there, starts = np.unique(partitions[order], return_index=True)
        for partition, rows in zip(there.tolist(), np.split(order, starts[1:]), strict=True):
            feed = self.feeds.get(partition)
            if feed:
                self.events += rows.size
                self._add(feed, keys.take(rows))

    def _add(self, feed: Feed, keys: Blobs) -> None:
        pending = self._pending.setdefault(feed.partition, PendingKeys(PENDING_KEYS_MAX // len(self.feeds)))
        if not pending.add(keys):
            pending.take(PENDING_KEYS_MAX)
            self._gap(feed, "too many events")
        self._go_on(feed)

    def let_go(self, partition: int) -> Feed | None:
        """Stop feeding a partition at once, whatever is under way; returns its feed."""
        self._pending.pop(partition, None)
        return super().let_go(partition)

    def _go_on(self, feed: Feed) -> None:
        waits = feed.scan or feed.busy or feed.closed or self._stopped or feed.pages
        if not waits and self._pending.get(feed.partition):
            self._fetch(feed)

    def _has_room(self, feed: Feed) -> None:
        self._go_on(feed)

    # ---- values

    def _fetch(self, feed: Feed) -> None:
        """Fetch what stands now under the pending keys; one fetch at a time, as one batch is under way at a time."""
        if not feed.room.is_set():
            return
        feed.room.clear()
        keys = self._pending[feed.partition].take(FETCH_KEYS_MAX)
        fetch = asyncio.create_task(self._fetched(feed, keys, feed.asked))
        self._fetches.add(fetch)
        fetch.add_done_callback(self._fetches.discard)

    async def _fetched(self, feed: Feed, keys: Blobs, asked: int) -> None:
        try:
            rows = await self._values_now(feed, keys)
        except (GridError, DecodeError) as error:
            _log.warning("fetch failed, partition is reconciled", map=self._features, records=len(keys), error=error)
            await asyncio.sleep(ERROR_PAUSE_S)
            rows = None
        if feed.closed or asked != feed.asked or self._stopped:
            return  # a scan has begun meanwhile, which finds these keys too
        if rows is None:
            feed.room.set()
            self._add(feed, keys)
            return
        feed.pages.append(rows)
        self._offer(feed)


class PendingKeys:
    """Keys that events have named and nobody has fetched yet, each once, the oldest first."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._parts: list[Blobs] = []
        self._count = 0
        """With those that are there twice."""

    def __len__(self) -> int:
        return self._count

    def add(self, keys: Blobs) -> bool:
        """Add some; False if there are more now than there may be."""
        self._parts.append(keys)
        self._count += len(keys)
        if self._count > self._most:
            self._set(self._once())
        return self._count <= self._most

    def take(self, most: int) -> Blobs:
        """Take so many off at the most."""
        keys = self._once()
        rows = np.arange(len(keys))
        self._set(keys.take(rows[most:]))
        return keys.take(rows[:most])

    def _once(self) -> Blobs:
        keys = Blobs.concat(self._parts)
        return keys.take(last_rows(key_identities(keys))) if len(keys) else keys

    def _set(self, keys: Blobs) -> None:
        self._parts, self._count = [keys] if len(keys) else [], len(keys)

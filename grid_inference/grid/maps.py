"""Maps of the grid by the batch: keys and values are Data blobs, one request a partition, no object per entry."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from grid_inference.grid.link import Link
from grid_inference.grid.link.requests import Unsure
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.digest import input_digest
from grid_inference.wire.keys import partition_id, partition_ids
from grid_inference.wire.protocol import messages

__all__ = ["GridMap", "key_identities", "last_of_each", "last_rows", "rows_of"]

SCAN_ENTRIES = 4096
"""Entries asked for with one FetchEntries."""
FIRST_ENTRIES, GROWTH_MAX = 2, 16
"""Where it is not known how large entries are: so many come first, and each page has so many times more at the most."""
SAMPLE_SEED = 0
PAGES_AHEAD = 8
"""So many pages of a whole map's scan are under way or wait to be taken."""

_SHORT_KEY = np.dtype([("type", ">i4"), ("payload", ">i8")])
_TYPE_MIX = np.int64(-7046029254386353131)


class GridMap:
    """One distributed map. All values are whole Data: partition hash, type id, payload."""

    def __init__(self, link: Link, name: str) -> None:
        self.link = link
        self.name = name

    async def get(self, key: bytes) -> bytes | None:
        """The value of one key, or None."""
        answer = await self.link.call(messages.get_request(self.name, key), self._partition(key))
        return messages.decode_data(answer)

    async def set(self, key: bytes, value: bytes, *, ttl_s: float | None = None) -> None:
        """Write one entry; acknowledged by the owner and its backups. It goes by itself after `ttl_s` seconds."""
        ttl_ms = -1 if ttl_s is None else max(1, int(ttl_s * 1000))
        await self.link.call(messages.set_request(self.name, key, value, ttl_ms), self._partition(key))

    async def delete(self, key: bytes) -> None:
        """Remove one entry if it is there."""
        await self.link.call(messages.delete_request(self.name, key), self._partition(key))

    async def put_if_absent(self, key: bytes, value: bytes) -> bytes | None:
        """Write if the key has no value yet; returns the value that was there instead, or None if ours went in."""
        request = messages.put_if_absent_request(self.name, key, value)
        return messages.decode_data(await self.link.call(request, self._partition(key)))

    async def replace_if_same(self, key: bytes, expected: bytes, value: bytes) -> bool:
        """Compare and set: write only if the value is still `expected`; returns whether it was."""
        request = messages.replace_if_same_request(self.name, key, expected, value)
        return messages.decode_flag(await self.link.call(request, self._partition(key)))

    async def size(self) -> int:
        """Number of entries in the whole map."""
        return messages.decode_size(await self.link.call(messages.size_request(self.name)))

    async def values(self) -> list[bytes]:
        """Every value, in one answer: for small maps only."""
        return messages.decode_values(await self.link.call(messages.values_request(self.name)))

    async def clear(self) -> None:
        """Remove every entry."""
        await self.link.call(messages.clear_request(self.name))

    async def destroy(self) -> None:
        """Take the map away on all members, with its journal."""
        await self.link.call(messages.destroy_proxy_request(self.name))

    async def put_batch(
        self, keys: Blobs, values: Blobs, partitions: NDArray[np.int32] | None = None, unsure: Unsure | None = None
    ) -> None:
        """Write n entries, one PutAll a partition; returns when all are acknowledged. A key may stand once only.

        `unsure` is told of partitions where what was sent may arrive at any time yet: see `Link.post`.
        """
        if partitions is None:
            partitions = partition_ids(keys, self.link.partition_count)
        await self.link.call_all(messages.put_all_requests(self.name, keys, values, partitions), unsure=unsure)

    async def delete_batch(self, keys: Blobs, partitions: NDArray[np.int32] | None = None) -> None:
        """Remove n entries. The protocol has no bulk removal: this is a request a key, all sent at once."""
        if partitions is None:
            partitions = partition_ids(keys, self.link.partition_count)
        requests = [messages.delete_request(self.name, key) for key in keys.tolist()]
        await self.link.call_all(zip(partitions.tolist(), requests, strict=True))

    async def replace_batch_if_same(self, keys: Blobs, expected: Blobs, values: Blobs) -> NDArray[np.bool_]:
        """Compare and set n entries, a request a key, all sent at once; which were set, shape (n,).

        An entry may be set and yet not be told of: a request whose answer was lost is sent again, and finds it set.
        """
        entries = zip(keys.tolist(), expected.tolist(), values.tolist(), strict=True)
        return await self._flags(keys, [messages.replace_if_same_request(self.name, *entry) for entry in entries])

    async def delete_batch_if_same(self, keys: Blobs, expected: Blobs) -> NDArray[np.bool_]:
        """Remove those of n entries whose value is still `expected`; which were removed, told as by setting."""
        entries = zip(keys.tolist(), expected.tolist(), strict=True)
        return await self._flags(keys, [messages.remove_if_same_request(self.name, *entry) for entry in entries])

    async def _flags(self, keys: Blobs, requests: list[bytearray]) -> NDArray[np.bool_]:
        partitions = partition_ids(keys, self.link.partition_count).tolist()
        answers = await self.link.call_all(zip(partitions, requests, strict=True))
        return np.fromiter((messages.decode_flag(answer) for answer in answers), np.bool_, len(answers))

    async def get_batch(self, keys: Blobs) -> tuple[Blobs, Blobs]:
        """Keys and values of those of the keys that are there, in no order; `rows_of` puts them in the caller's."""
        if not len(keys):
            return Blobs.empty(), Blobs.empty()
        partitions = partition_ids(keys, self.link.partition_count)
        return messages.decode_entries(
            *await self.link.call_all(messages.get_all_requests(self.name, keys, partitions))
        )

    async def scan(
        self, partition: int, entries_max: int = SCAN_ENTRIES, *, page_bytes: float | None = None
    ) -> AsyncIterator[messages.ScanPage]:
        """Every entry of one partition, page by page; an entry that nobody touches meanwhile comes exactly once.

        With `page_bytes` pages are sized to it by how large the entries turn out to be, beginning with a few.
        """
        position: messages.ScanPosition | None = messages.SCAN_START
        count = entries_max if page_bytes is None else min(entries_max, FIRST_ENTRIES)
        while position is not None:
            page = await self.page(partition, position, count)
            yield page
            position = page.next
            if page_bytes is not None and len(page.keys):
                each = (page.keys.nbytes + page.values.nbytes) / len(page.keys)
                count = int(max(1, min(page_bytes / max(each, 1.0), count * GROWTH_MAX, entries_max)))

    async def page(self, partition: int, position: messages.ScanPosition, entries_max: int) -> messages.ScanPage:
        """One page of a partition's scan, from `position` on; its `next` is where the following one begins."""
        request = messages.fetch_entries_request(self.name, position, entries_max)
        return messages.decode_scan_page(await self.link.call(request, partition))

    async def scan_all(self, entries_max: int = SCAN_ENTRIES) -> AsyncGenerator[messages.ScanPage]:
        """Every entry of the map, page by page; `PAGES_AHEAD` pages at the most are asked for before they are wanted.

        The partitions take turns, in the same order at every scan. An entry that nobody touches meanwhile comes once.
        """
        partitions = iter(range(self.link.partition_count))
        ahead: deque[tuple[int, asyncio.Task[messages.ScanPage]]] = deque()

        def ask(partition: int, position: messages.ScanPosition) -> None:
            ahead.append((partition, asyncio.create_task(self.page(partition, position, entries_max))))

        try:
            for partition in islice(partitions, PAGES_AHEAD):
                ask(partition, messages.SCAN_START)
            while ahead:
                page = await ahead[0][1]
                partition, _ = ahead.popleft()
                if page.next is not None:
                    ask(partition, page.next)
                elif (following := next(partitions, None)) is not None:
                    ask(following, messages.SCAN_START)
                yield page
        finally:
            for _, task in ahead:
                task.cancel()
            await asyncio.gather(*(task for _, task in ahead), return_exceptions=True)

    async def sample(self, count: int) -> tuple[Blobs, Blobs]:
        """Keys and values of `count` entries, or of all if there are fewer: about as many of each partition.

        Which partition a key lies in, and where in it, follows from hashes of the key, so these entries are no older or
        otherwise different than the others. While nobody changes the map they are the same at each call.
        """
        waiting: dict[int, messages.ScanPosition] = dict.fromkeys(range(self.link.partition_count), messages.SCAN_START)
        keys, values, found = list[Blobs](), list[Blobs](), 0
        while waiting and found < count:
            share = min(SCAN_ENTRIES, -(-(count - found) // len(waiting)))
            turn = iter(list(waiting.items()))
            while some := list(islice(turn, PAGES_AHEAD)):
                pages = await asyncio.gather(*(self.page(partition, position, share) for partition, position in some))
                for (partition, _), page in zip(some, pages, strict=True):
                    keys.append(page.keys.compact())
                    values.append(page.values.compact())
                    found += len(page.keys)
                    if page.next is None:
                        del waiting[partition]
                    else:
                        waiting[partition] = page.next
        rows = np.sort(np.random.default_rng(SAMPLE_SEED).permutation(found)[:count])
        return Blobs.concat(keys).take(rows), Blobs.concat(values).take(rows)

    def _partition(self, key: bytes) -> int:
        return partition_id(key, self.link.partition_count)


def key_identities(keys: Blobs) -> NDArray[np.int64]:
    """A 64-bit number for each key, equal for equal keys: digest of its payload, mixed with its type."""
    return input_digest(keys) ^ (keys.read(4, ">i4").astype(np.int64) * _TYPE_MIX)


def rows_of(keys: Blobs, found: Blobs) -> NDArray[np.int64]:
    """For each key its row in `found`, or -1; shape (len(keys),)."""
    if not len(found):
        return np.full(len(keys), -1, np.int64)
    wanted, known = _told_apart(keys, found)
    order = np.argsort(known, kind="stable")
    at = np.minimum(np.searchsorted(known[order], wanted), known.size - 1)
    rows = order[at]
    return np.where(known[rows] == wanted, rows, -1)


def last_of_each(keys: Blobs) -> NDArray[np.int64]:
    """Rows, in order, such that each key stands once, at its last place."""
    return last_rows(*_told_apart(keys)) if len(keys) > 1 else np.arange(len(keys))


def last_rows(identities: NDArray[np.int64]) -> NDArray[np.int64]:
    """The same of keys that are known by their identities."""
    ordered = np.sort(identities)
    if not bool((ordered[1:] == ordered[:-1]).any()):
        return np.arange(identities.size)
    order = np.argsort(identities, kind="stable")
    ordered = identities[order]
    return np.sort(order[np.append(ordered[1:] != ordered[:-1], True)])


def _told_apart(*keys: Blobs) -> list[NDArray[np.int64]]:
    """Numbers that are equal for equal keys of all of these: what they hold, if that is as short, else identities."""
    heads = [each.read(4, _SHORT_KEY) for each in keys if each.width == _SHORT_KEY.itemsize + 4]
    if len(heads) == len(keys) and all(bool((head["type"] == heads[0]["type"][0]).all()) for head in heads):
        return [head["payload"].astype(np.int64) for head in heads]
    return [key_identities(each) for each in keys]

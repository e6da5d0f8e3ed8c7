"""Scenario files: operations on maps and journals with what they give, run on the simulated grid and on a real member.

Each file is a JSON object: `about`, the journal's `capacity` a partition, and `steps`. A step names what it `do`es and
what that `gives`. All keys lie in one partition.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from grid_inference.grid.maps import GridMap
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.json.values import decode_json, encode_json
from grid_inference.wire.keys import guard_key
from grid_inference.wire.protocol import frames as f
from grid_inference.wire.protocol import journal
from grid_inference.wire.protocol.messages import MAP_SIZE
from tests.simulation.members import Cluster, frames_of

__all__ = ["FILES", "SimulatedCalls", "play", "scenario"]

FILES = sorted(Path(__file__).with_name("scenarios").glob("*.json"))
PARTITION = 1
EVENTS = {journal.ADDED: "added", journal.REMOVED: "removed", journal.UPDATED: "updated"}
PAGE = 2
"""Entries of a page of a scan: several pages even of a few entries."""
SILENT_S = 0.5
"""A read that gives nothing for so long is taken to wait."""


class SimulatedCalls:
    """What `GridMap` asks of a link, answered by simulated members at once."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.partition_count = cluster.partition_count

    async def call(self, payload: bytearray, partition: int = -1) -> f.Message:
        """One request and its answer."""
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        if partition >= 0:
            self._cluster.execute(payload, frames_of(payload), partition, future.set_result)
        else:
            values = self._cluster.values(frames_of(payload)[1][1].decode(), range(self.partition_count))
            answer = self._cluster.size_answer if _is_size(payload) else self._cluster.values_answer
            future.set_result(answer(payload, values))
        [message] = f.message_ends(await future)
        return message

    async def call_all(self, requests: Iterable[tuple[int, bytearray]], **_: Any) -> list[f.Message]:
        """Several, in order."""
        return [await self.call(payload, partition) for partition, payload in requests]


def _is_size(payload: bytearray) -> bool:
    return int.from_bytes(payload[6:10], "little") == MAP_SIZE


def scenario(path: Path) -> dict[str, Any]:
    """What a file says."""
    return json.loads(path.read_text(encoding="utf-8"))


async def play(said: dict[str, Any], link: Any, name: str) -> None:
    """Do all steps of a scenario on the map of this name, and assert what they give."""
    run = _Play(link, name)
    for number, step in enumerate(said["steps"]):
        given = await run.do(step)
        if "gives" in step:
            assert given == step["gives"], f"step {number}: {step['do']} gives {given}"
    await run.end()


class _Play:
    def __init__(self, link: Any, name: str) -> None:
        self._link = link
        self._map = GridMap(link, name)
        self._reads: dict[str, asyncio.Task[Any]] = {}

    async def do(self, step: dict[str, Any]) -> Any:
        """One step; what it gives as plain values."""
        what: Callable[[dict[str, Any]], Awaitable[Any]] = getattr(self, f"_{step['do']}")
        return await what(step)

    async def end(self) -> None:
        """Let go of what waits still."""
        for read in self._reads.values():
            read.cancel()
        await asyncio.gather(*self._reads.values(), return_exceptions=True)

    def _key(self, text: str) -> bytes:
        return guard_key(text, PARTITION, self._link.partition_count)

    @staticmethod
    def _text(key: bytes) -> str:
        return key[12:].decode()

    async def _set(self, step: dict[str, Any]) -> None:
        await self._map.set(self._key(step["key"]), encode_json(step["value"]))

    async def _get(self, step: dict[str, Any]) -> Any:
        return _plain(await self._map.get(self._key(step["key"])))

    async def _delete(self, step: dict[str, Any]) -> None:
        await self._map.delete(self._key(step["key"]))

    async def _put_if_absent(self, step: dict[str, Any]) -> Any:
        return _plain(await self._map.put_if_absent(self._key(step["key"]), encode_json(step["value"])))

    async def _replace_if_same(self, step: dict[str, Any]) -> bool:
        expected, value = encode_json(step["expected"]), encode_json(step["value"])
        return await self._map.replace_if_same(self._key(step["key"]), expected, value)

    async def _remove_if_same(self, step: dict[str, Any]) -> bool:
        keys = Blobs.of([self._key(step["key"])])
        return bool((await self._map.delete_batch_if_same(keys, Blobs.of([encode_json(step["expected"])])))[0])

    async def _put_all(self, step: dict[str, Any]) -> None:
        entries = step["entries"]
        keys = Blobs.of([self._key(key) for key in entries])
        await self._map.put_batch(keys, Blobs.of([encode_json(value) for value in entries.values()]))

    async def _get_all(self, step: dict[str, Any]) -> dict[str, Any]:
        keys, values = await self._map.get_batch(Blobs.of([self._key(key) for key in step["keys"]]))
        return self._entries(keys, values)

    async def _size(self, step: dict[str, Any]) -> int:
        del step
        return await self._map.size()

    async def _values(self, step: dict[str, Any]) -> list[Any]:
        del step
        return sorted(map(_plain, await self._map.values()))

    async def _scan(self, step: dict[str, Any]) -> dict[str, Any]:
        """All entries page by page; with `meanwhile`, steps that are done behind the first page."""
        found: dict[str, Any] = {}
        async for page in self._map.scan(PARTITION, PAGE):
            for key, value in self._entries(page.keys, page.values).items():
                assert key not in found, f"{key} comes twice"
                found[key] = value
            for each in step.pop("meanwhile", []):
                await self.do(each)
        return found

    def _entries(self, keys: Blobs, values: Blobs) -> dict[str, Any]:
        pairs = zip(keys.tolist(), values.tolist(), strict=True)
        return dict(sorted((self._text(key), _plain(value)) for key, value in pairs))

    # ---- the journal

    async def _range(self, step: dict[str, Any]) -> list[int]:
        del step
        return list(journal.decode_range(await self._link.call(journal.range_request(self._map.name), PARTITION)))

    async def _read(self, step: dict[str, Any]) -> Any:
        """A read of the journal; `as` names one that may wait."""
        request = journal.read_request(self._map.name, step["from"], step.get("min", 1), step.get("max", 100))
        read = asyncio.ensure_future(self._link.call(request, PARTITION))
        self._reads[step.get("as", "")] = read
        return await self._answer(step)

    async def _answer(self, step: dict[str, Any]) -> Any:
        """What a read gives by now; nothing if it waits."""
        read = self._reads[step.get("as", "")]
        limit_s = SILENT_S if step.get("gives", "") == "waits" else 20.0
        done, _ = await asyncio.wait([read], timeout=limit_s)
        if not done:
            return "waits"
        page = journal.decode_page(read.result())
        if not page.count:
            return {"first": None, "items": []}
        items = journal.decode_items([page])
        kinds = [EVENTS.get(kind, kind) for kind in items.types.tolist()]
        keys = [self._text(key) for key in items.keys.tolist()]
        lengths = items.values.lengths.tolist()
        values = [
            None if length < 0 else _plain(value) for length, value in zip(lengths, items.values.tolist(), strict=True)
        ]
        found = [list(each) for each in zip(kinds, keys, values, strict=True)]
        return {"first": page.first_sequence, "next": page.next_sequence, "items": found}


def _plain(value: bytes | None) -> Any:
    return None if value is None else decode_json(value)

"""Changes of maps that our API has no call for: the ordinary client's, and merges as after a split of the network."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import hazelcast
from hazelcast.config import IntType

import grid_inference as gi
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.keys import encode_keys, partition_ids
from grid_inference.wire.protocol import frames as f

PUT_ALL_WITH_METADATA = 0x014900
NEVER_MS = 2**63 - 1
METADATA = struct.pack("<10q", 1, 0, NEVER_MS, 0, 0, 0, 0, 0, NEVER_MS, NEVER_MS)
"""Cost, created, expires, hits, last accessed, stored and updated, version, time to live, longest idle time."""


@contextmanager
def stock_client(grid: gi.Grid, serializers: Sequence[Any] = ()) -> Iterator[Any]:
    """The ordinary client, with Compact serializers; whole numbers are LONG, as ours are."""
    client = hazelcast.HazelcastClient(
        cluster_name=grid.cluster_name,
        cluster_members=[grid.address],
        default_int_type=IntType.LONG,
        statistics_enabled=False,
        compact_serializers=list(serializers),
    )
    try:
        yield client
    finally:
        client.shutdown()


@contextmanager
def stock_map(grid: gi.Grid, name: str) -> Iterator[Any]:
    """A map as the ordinary client has it."""
    with stock_client(grid) as client:
        yield client.get_map(name).blocking()


def merge(grid: gi.Grid, name: str, sources: Mapping[Any, Any]) -> None:
    """Merge into keys the values that stand under other keys: entries change by MERGED events alone."""

    async def go() -> None:
        async with await Link.open(gi.GridConfig(address=grid.address, cluster_name=grid.cluster_name)) as link:
            for target, source in sources.items():
                value = await GridMap(link, name).get(encode_keys([source])[0])
                assert value is not None
                await link.call(*_merge_request(link, name, encode_keys([target])[0], value))

    asyncio.run(asyncio.wait_for(go(), 60))


def _merge_request(link: Link, name: str, key: bytes, value: bytes) -> tuple[bytearray, int]:
    """Map.PutAllWithMetadata of one entry, and the partition that it goes to."""
    view = f.BEGIN_FRAME + f.data_frame(METADATA) + f.data_frame(key) + f.data_frame(value) + f.END_FRAME
    request = f.request(PUT_ALL_WITH_METADATA, b"", f.string_frame(name), f.BEGIN_FRAME, view, f.END_FRAME)
    return request, int(partition_ids(Blobs.of([key]), link.partition_count)[0])

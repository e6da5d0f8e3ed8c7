"""Views of the cluster whose numbers fell back, as after a split of the network: they are taken all the same."""

from __future__ import annotations

import asyncio
import uuid

import pytest
from hazelcast.internal.asyncio_cluster import _MemberListSnapshot

import grid_inference as gi
from grid_inference.grid.link import Link
from grid_inference.grid.link import link as link_module
from tests.integration.conftest import until

HIGH = 1_000_000
"""A number that no member of ours gets to."""


def test_what_members_say_is_taken_whatever_they_counted_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "VIEWS_S", 0.1)
    config = gi.MemberConfig(cluster_name=f"views-{uuid.uuid4().hex[:8]}", heap_mb=256)

    async def go(first: gi.Member) -> None:
        grid = gi.GridConfig(address=first.address, cluster_name=config.cluster_name)
        async with await Link.open(grid) as link:
            joining = gi.MemberConfig(cluster_name=config.cluster_name, heap_mb=256, join=(first.address,))
            link.client._internal_partition_service._partition_table.version = HIGH
            cluster = link.client._internal_cluster_service
            cluster._member_list_snapshot = _MemberListSnapshot(HIGH, cluster._member_list_snapshot.members)
            second = await asyncio.to_thread(gi.Member.start, joining)
            try:
                await asyncio.to_thread(until, lambda: len(link.members()) == 2, "the second member")
                await asyncio.to_thread(until, lambda: len(set(link.partition_owners().values())) == 2, "its share")
            finally:
                await asyncio.to_thread(second.stop)

    with gi.Member.start(config) as first:
        asyncio.run(go(first))

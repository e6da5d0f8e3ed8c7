"""What fails in one partition: its batch mates are written and published all the same."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import numpy as np
import pytest
from hazelcast import HazelcastClient

from grid_inference.config import DeploymentConfig, GridConfig, TopicConfig
from grid_inference.errors import GridError, LeaseExpiredError
from grid_inference.flow import write
from grid_inference.flow.encode import PredictionEncoder
from grid_inference.flow.score import Outcome
from grid_inference.flow.write import Writer
from grid_inference.grid.link import Link
from grid_inference.grid.maps import GridMap
from grid_inference.grid.member import Member
from grid_inference.model.signature import Signature
from grid_inference.records import DeadLetterBatch, PredictionBatch
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.keys import encode_keys, partition_ids

SIGNATURE = Signature((), "regressor")


class Leases:
    """Those of some partitions are ours, under epoch 3."""

    def __init__(self, ours: set[int]) -> None:
        self.ours = ours

    def allows(self, partition: int, epoch: int) -> bool:
        return partition in self.ours and epoch == 3


def outcome(name: str, keys: Blobs, partitions: Any) -> Outcome:
    count = len(keys)
    good = PredictionBatch(
        keys=keys,
        partitions=partitions,
        digests=np.arange(count),
        score=np.arange(count) / count,
        label_index=None,
        scores=None,
        epochs=np.full(count, 3),
        scored_at_us=1,
    )
    nothing = np.empty(0, np.int32)
    dead = DeadLetterBatch(Blobs.empty(), nothing, np.empty(0, np.int64), Blobs.empty(), [], [])
    return Outcome(good, dead, Blobs.empty(), nothing, PredictionEncoder(name, "m", 1, SIGNATURE))


@pytest.mark.parametrize("kind", ["topic", "reliable"])
def test_what_is_acknowledged_is_published_though_batch_mates_fail(member: Member, kind: Any) -> None:
    name = f"w{uuid.uuid4().hex[:8]}"
    config = DeploymentConfig(name=name, features=f"{name}-f", topic=TopicConfig(kind=kind))

    async def go() -> tuple[dict[int, GridError], int, int, list[bytes], Blobs, Any]:
        grid = GridConfig(address=member.address, cluster_name=member.cluster_name)
        async with await Link.open(grid) as link:
            keys = encode_keys(range(60))
            partitions = partition_ids(keys, link.partition_count)
            lost = int(partitions[0])
            writer = Writer(link, config, Leases(set(range(link.partition_count)) - {lost}))  # type: ignore[arg-type]
            await writer.prepare()
            failed = await writer.write(outcome(name, keys, partitions), dict.fromkeys(range(1000), 3))
            standing = await GridMap(link, config.predictions).get_batch(keys)
            counts = writer.counts
            return failed, counts.predictions, counts.published, standing[0].tolist(), keys, partitions != lost

    client = HazelcastClient(cluster_members=[member.address], cluster_name=member.cluster_name)
    try:
        heard = list[Any]()
        if kind == "topic":
            client.get_topic(config.predictions).blocking().add_listener(heard.append)
        failed, written, published, standing, keys, kept = asyncio.run(asyncio.wait_for(go(), 60))
    finally:
        client.shutdown()
    assert [type(error) for error in failed.values()] == [LeaseExpiredError]
    assert len(failed) == 1
    assert written == published == len(standing) == int(kept.sum()) < 60
    assert sorted(standing) == sorted(keys.take(kept).tolist())


@pytest.mark.parametrize("tries", [1, 3])
def test_what_the_topic_does_not_take_is_tried_again_and_then_counted(
    member: Member, monkeypatch: pytest.MonkeyPatch, tries: int
) -> None:
    """The predictions stand either way."""
    name, failures = f"w{uuid.uuid4().hex[:8]}", iter(range(2))
    config = DeploymentConfig(name=name, features=f"{name}-f")
    publish = write.publish_all

    async def fails_twice(*args: Any) -> None:
        if next(failures, None) is not None:
            raise GridError("the topic's partition has no owner at this moment")
        await publish(*args)

    monkeypatch.setattr(write, "publish_all", fails_twice)
    monkeypatch.setattr(write, "PUBLISH_TRIES", tries)
    monkeypatch.setattr(write, "PUBLISH_PAUSE_S", 0.0)

    async def go() -> tuple[tuple[int, int, int], int]:
        grid = GridConfig(address=member.address, cluster_name=member.cluster_name)
        async with await Link.open(grid) as link:
            keys = encode_keys(range(60))
            partitions = partition_ids(keys, link.partition_count)
            writer = Writer(link, config, Leases(set(range(link.partition_count))))  # type: ignore[arg-type]
            await writer.prepare()
            failed = await writer.write(outcome(name, keys, partitions), dict.fromkeys(range(1000), 3))
            assert not failed
            counts = writer.counts
            return (counts.predictions, counts.published, counts.unpublished), await GridMap(
                link, config.predictions
            ).size()

    counts, standing = asyncio.run(asyncio.wait_for(go(), 60))
    assert standing == 60
    assert counts == ((60, 60, 0) if tries > 2 else (60, 0, 60))

"""Publishing to topics over a link: requests that are ready, or whole Data for the ring of a reliable topic.

A ring that is full or silent holds nobody up for longer than PUBLISH_TIMEOUT_S.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from hazelcast.config import ReliableTopicConfig, TopicOverloadPolicy
from hazelcast.serialization.data import Data as StockData

from grid_inference.errors import GridError
from grid_inference.grid.link import Link
from grid_inference.grid.link.stock import translate
from grid_inference.wire.keys import encode_key, partition_id
from grid_inference.wire.protocol import frames as f

__all__ = ["publish_all", "publish_all_reliable"]

RELIABLE_ROWS: Final = 512
"""Messages added to a reliable topic's ring at once."""
PUBLISH_TIMEOUT_S: Final = 10.0
"""How long a reliable topic may take for messages: a lane waits for it."""


async def publish_all(link: Link, topic: str, requests: Iterable[f.Request]) -> None:
    """Publish messages to a plain topic: PublishAll requests."""
    partition = _partition(topic, link.partition_count)
    await link.call_all((partition, request) for request in requests)


@lru_cache(maxsize=256)
def _partition(topic: str, count: int) -> int:
    """A topic is where its name would be as a key."""
    return partition_id(encode_key(topic), count)


async def publish_all_reliable(link: Link, topic: str, items: Iterable[bytes]) -> None:
    """Whole Data to a reliable topic; the oldest messages in its ring are overwritten, whatever their time to live.

    By its own default the stock client would wait until they have lived it. Raises GridError after PUBLISH_TIMEOUT_S.
    """
    found = [StockData(item) for item in items]
    overwrites = ReliableTopicConfig()
    overwrites.overload_policy = TopicOverloadPolicy.DISCARD_OLDEST
    link.client._config.reliable_topics.setdefault(topic, overwrites)  # read when the proxy is made
    try:
        await asyncio.wait_for(link.undisturbed(_add(link, topic, found)), PUBLISH_TIMEOUT_S)
    except TimeoutError:
        raise GridError(f"the ring of topic {topic!r} took no message for {PUBLISH_TIMEOUT_S:g} s") from None
    except Exception as error:
        raise translate(error) from error


async def _add(link: Link, topic: str, found: list[StockData]) -> None:
    proxy = await link.client.get_reliable_topic(topic)
    for start in range(0, len(found), RELIABLE_ROWS):
        await proxy.publish_all(found[start : start + RELIABLE_ROWS])

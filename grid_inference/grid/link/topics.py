"""Publishing to topics over a link: matrices of whole Data, a message a row.

A ring that is full or silent holds nobody up for longer than PUBLISH_TIMEOUT_S.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
from hazelcast.config import ReliableTopicConfig, TopicOverloadPolicy
from hazelcast.serialization.data import Data as StockData
from numpy.typing import NDArray

from grid_inference.errors import GridError
from grid_inference.grid.link import Link
from grid_inference.grid.link.stock import translate
from grid_inference.wire.protocol import messages

__all__ = ["publish_all", "publish_all_reliable"]

PUBLISH_ROWS: Final = 2048
"""Messages sent to a topic with one request."""
RELIABLE_ROWS: Final = 512
"""Messages added to a reliable topic's ring at once."""
PUBLISH_TIMEOUT_S: Final = 10.0
"""How long a reliable topic may take for messages: a lane waits for it."""


async def publish_all(link: Link, topic: str, items: Iterable[NDArray[np.uint8]]) -> None:
    """Publish messages to a plain topic."""
    key = link.client._serialization_service.to_data(topic)
    partition: int = link.client._internal_partition_service.get_partition_id(key)
    requests = [messages.publish_all_request(topic, part) for part in _parts(items)]
    await link.call_all((partition, request) for request in requests)


async def publish_all_reliable(link: Link, topic: str, items: Iterable[NDArray[np.uint8]]) -> None:
    """The same to a reliable topic; the oldest messages in its ring are overwritten, whatever their time to live.

    By its own default the stock client would wait until they have lived it. Raises GridError after PUBLISH_TIMEOUT_S.
    """
    found = [StockData(row.tobytes()) for rows in items for row in rows]
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


def _parts(items: Iterable[NDArray[np.uint8]]) -> Iterator[list[NDArray[np.uint8]]]:
    """Rows of matrices, so many together as go into one request to a topic."""
    part, room = list[NDArray[np.uint8]](), PUBLISH_ROWS
    for rows in items:
        at = 0
        while at < len(rows):
            taken = rows[at : at + room]
            part.append(taken)
            at += len(taken)
            room -= len(taken)
            if not room:
                yield part
                part, room = [], PUBLISH_ROWS
    if part:
        yield part

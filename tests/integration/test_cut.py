"""A connection that is cut while a request that the stock client would not send again is under way."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import grid_inference as gi
from grid_inference.errors import GridError
from grid_inference.grid.link import Link
from grid_inference.grid.link.requests import Answer
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.keys import encode_keys, partition_ids
from grid_inference.wire.protocol import messages
from tests.ports import free_port
from tests.proxy import Proxy

ANSWER_S_MAX = 60.0


@dataclass
class Cut:
    """A member that is reached through a proxy."""

    config: gi.GridConfig
    proxy: Proxy


@pytest.fixture(scope="module")
def cut() -> Iterator[Cut]:
    port, name = free_port(), f"cut-{uuid.uuid4().hex[:8]}"
    with Proxy(port) as proxy:
        at = f"127.0.0.1:{proxy.port}"
        config = gi.MemberConfig(cluster_name=name, heap_mb=256, port=port, public_address=at)
        with gi.Member.start(config):
            yield Cut(gi.GridConfig(address=at, cluster_name=name), proxy)


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(lambda link: link.create_map("fresh"), id="create_map"),
        pytest.param(lambda link: link.map_names(), id="map_names"),
    ],
)
def test_it_is_sent_again(cut: Cut, request_: Callable[[Link], Awaitable[object]]) -> None:
    async def through_a_cut() -> None:
        async with await Link.open(cut.config) as link:
            with cut.proxy.silent():
                answer = asyncio.ensure_future(request_(link))
                await asyncio.sleep(0.3)
                assert not answer.done()
                cut.proxy.cut()
            await asyncio.wait_for(answer, ANSWER_S_MAX)
            await link.create_map("fresh")
            assert "fresh" in await link.map_names()

    asyncio.run(through_a_cut())


def test_it_is_said_that_what_was_sent_may_arrive_yet(cut: Cut) -> None:
    async def through_a_cut() -> None:
        async with await Link.open(cut.config) as link:
            key, value = encode_keys(["k"])[0], encode_keys(["v"])[0]
            [partition] = partition_ids(Blobs.of([key]), link.partition_count).tolist()
            told = list[int]()

            def write() -> Coroutine[Any, Any, list[Answer]]:
                return link.answers([(partition, messages.set_request("doubtful", key, value))], unsure=told.append)

            assert not isinstance((await write())[0], GridError)
            assert told == []
            with cut.proxy.silent():
                written = asyncio.ensure_future(write())
                await asyncio.sleep(0.3)
                assert not written.done()
                cut.proxy.cut()
            [answer] = await asyncio.wait_for(written, ANSWER_S_MAX)
            assert not isinstance(answer, GridError)
            assert told == [partition]

    asyncio.run(through_a_cut())

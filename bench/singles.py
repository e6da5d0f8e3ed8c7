"""Records put and read one by one: processor time of a client, ours and the ordinary one, both asynchronous."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from hazelcast.asyncio import HazelcastClient
from hazelcast.config import IntType
from hazelcast.serialization.api import CompactReader, CompactSerializer, CompactWriter

from bench.compare import Results, Sizes
from bench.data import NAMES, matrix
from bench.helpers import Helper
from bench.ours import Ours
from grid_inference import aio
from grid_inference.config import GridConfig

__all__ = ["singles"]

TURNS: Final = 7
MAP: Final = "bench-singles"
TYPE: Final = "bench.Single"


def singles(ours: Ours, models: dict[str, Path], sizes: Sizes, results: Results) -> None:
    """`put` and `get` of 30 fields against `set` and `get` by a Compact serializer that reads every field."""
    del models
    where = (ours.grid.address, ours.grid.cluster_name, sizes.singles)
    with Helper(Client, _ours, *where) as mine, Helper(Client, _stock, *where) as theirs:
        for name, peer in (("put", "set"), ("get", "get")):
            spent = {each: list[float]() for each in (mine, theirs)}
            for turn in range(-1, TURNS):  # the first one makes code and connections warm
                for each in (mine, theirs) if turn % 2 else (theirs, mine):
                    us = each.call("run", name)
                    if turn >= 0:
                        spent[each].append(us)
            results.ratio(f"{name}_cpu_of_{peer}", spent[mine], spent[theirs])
    ours.grid.features(MAP).destroy()
    ours.client.get_map(f"{MAP}-stock").blocking().destroy()


Calls = dict[str, Callable[[int], Awaitable[Any]]]
Connect = Callable[[str, str, int], Awaitable[Calls]]


class Client:
    """One client in a process of its own, and what it does with a record by its number."""

    def __init__(self, connect: Connect, address: str, cluster: str, count: int) -> None:
        self._runner = asyncio.Runner()
        self._calls = self._runner.run(_awaited(connect(address, cluster, count)))
        self._count = count

    def run(self, name: str) -> float:
        """Microseconds of processor time a call, one behind the other."""
        return self._runner.run(self._all(self._calls[name]))

    async def _all(self, call: Callable[[int], Awaitable[Any]]) -> float:
        begun_s = time.process_time()
        for number in range(self._count):
            await call(number)
        return (time.process_time() - begun_s) / self._count * 1e6


async def _awaited(calls: Awaitable[Calls]) -> Calls:
    return await calls


async def _ours(address: str, cluster: str, count: int) -> Calls:
    grid = await aio.connect(GridConfig(address=address, cluster_name=cluster))
    features, rows = grid.features(MAP), matrix(count).astype(float).tolist()
    records = [dict(zip(NAMES, row, strict=True)) for row in rows]
    return {"put": lambda number: features.put(number, records[number]), "get": features.get}


async def _stock(address: str, cluster: str, count: int) -> Calls:
    client = await HazelcastClient.create_and_start(
        cluster_name=cluster,
        cluster_members=[address],
        compact_serializers=[SingleSerializer()],
        default_int_type=IntType.LONG,
    )
    there = await client.get_map(f"{MAP}-stock")
    records = [Single(row) for row in matrix(count).astype(float).tolist()]
    return {"put": lambda number: there.set(number, records[number]), "get": there.get}


class Single:
    """The ordinary client's record."""

    def __init__(self, values: list[float]) -> None:
        self.values = values


class SingleSerializer(CompactSerializer[Single]):
    """Reads and writes every field."""

    def read(self, reader: CompactReader) -> Single:
        return Single([reader.read_float64(name) for name in NAMES])

    def write(self, writer: CompactWriter, obj: Single) -> None:
        for name, value in zip(NAMES, obj.values, strict=True):
            writer.write_float64(name, value)

    def get_type_name(self) -> str:
        return TYPE

    def get_class(self) -> type[Single]:
        return Single

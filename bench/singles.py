"""Few records put and read: processor time of a client, ours and the ordinary one, asynchronous; tables of texts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from hazelcast.asyncio import HazelcastClient
from hazelcast.config import IntType
from hazelcast.serialization.api import CompactReader, CompactSerializer, CompactWriter

from bench import operations
from bench.compare import Results, Sizes
from bench.helpers import Helper
from bench.ours import Ours

__all__ = ["singles"]

TURNS: Final = 7
TYPE: Final = "bench.Single"
PEERS: Final = {
    "put": "set",
    "get": "get",
    **{f"put_batch_{rows}": "put_all" for rows in operations.BATCHES},
    **{f"get_batch_{rows}": "get_all" for rows in operations.BATCHES},
}
"""What the ordinary client calls what is measured."""


def singles(ours: Ours, models: dict[str, Path], sizes: Sizes, results: Results) -> None:
    """Calls for one record, one row, a hundred rows, of 30 numbers; the peer's serializer reads every field."""
    del models
    where = (ours.grid.address, ours.grid.cluster_name, sizes.singles)
    with Helper(Client, operations.ours, *where) as mine, Helper(Client, _stock, *where) as theirs:
        for name, peer in PEERS.items():
            spent = {each: list[float]() for each in (mine, theirs)}
            for turn in range(-1, TURNS):  # the first one makes code and connections warm
                for each in (mine, theirs) if turn % 2 else (theirs, mine):
                    us = each.call("run", name)
                    if turn >= 0:
                        spent[each].append(us)
            results.ratio(f"{name}_cpu_of_{peer}", spent[mine], spent[theirs])
    with Helper(operations.Tables, *where[:2], sizes.singles * operations.TABLE_ROWS) as mine:
        for library in ("pandas", "arrow"):
            rates = {name: list[float]() for name in (f"texts_{library}", f"numbers_{library}")}
            for turn in range(-1, TURNS):
                for name in list(rates) if turn % 2 else reversed(list(rates)):
                    rate = mine.call("rate", name)
                    if turn >= 0:
                        rates[name].append(rate)
            results.ratio(f"texts_of_numbers_{library}", *rates.values())
    ours.grid.features(operations.MAP).destroy()
    ours.client.get_map(f"{operations.MAP}-stock").blocking().destroy()


Connect = Callable[[str, str, int], Awaitable[operations.Calls]]


class Client:
    """One client in a process of its own, and what it does, by the number of a record."""

    def __init__(self, connect: Connect, address: str, cluster: str, count: int) -> None:
        self._runner = asyncio.Runner()
        self._calls = self._runner.run(_awaited(connect(address, cluster, count)))
        self._count = count

    def run(self, name: str) -> float:
        """Microseconds of processor time a call, one behind the other."""
        return self._runner.run(operations.clocked(self._calls[name], self._count))


async def _awaited(calls: Awaitable[operations.Calls]) -> operations.Calls:
    return await calls


async def _stock(address: str, cluster: str, count: int) -> operations.Calls:
    client = await HazelcastClient.create_and_start(
        cluster_name=cluster,
        cluster_members=[address],
        compact_serializers=[SingleSerializer()],
        default_int_type=IntType.LONG,
    )
    there = await client.get_map(f"{operations.MAP}-stock")
    records = [Single(list(row)) for row in zip(*operations.numbers(count).values(), strict=True)]
    calls: operations.Calls = {
        "put": lambda number: there.set(number, records[number]),
        "get": there.get,
    }
    for rows in operations.BATCHES:
        batch = {number: records[number % count] for number in range(rows)}
        calls[f"put_batch_{rows}"] = lambda _, batch=batch: there.put_all(batch)
        calls[f"get_batch_{rows}"] = lambda _, keys=list(batch): there.get_all(keys)
    return calls


class Single:
    """The ordinary client's record."""

    def __init__(self, values: list[float]) -> None:
        self.values = values


class SingleSerializer(CompactSerializer[Single]):
    """Reads and writes every field."""

    def read(self, reader: CompactReader) -> Single:
        return Single([reader.read_float64(name) for name in operations.NAMES])

    def write(self, writer: CompactWriter, obj: Single) -> None:
        for name, value in zip(operations.NAMES, obj.values, strict=True):
            writer.write_float64(name, value)

    def get_type_name(self) -> str:
        return TYPE

    def get_class(self) -> type[Single]:
        return Single

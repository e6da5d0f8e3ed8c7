"""Single operations of a client: processor time of a call, rows a second of a table. Only the public API is used here.

`python bench/operations.py ADDRESS CLUSTER CALLS` prints all of them in µs, of a call or a row, as a JSON object, for
whatever grid_inference is found on the path: `python -m bench --against REF` runs it with two trees in turns.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from grid_inference import GridConfig, aio

__all__ = ["BATCHES", "MAP", "NAMES", "TABLES", "TABLE_ROWS", "Calls", "Tables", "clocked", "numbers", "ours"]

MAP: Final = "bench-operations"
NAMES: Final = [f"f{place:02d}" for place in range(30)]
BATCHES: Final = (1, 100)
"""Rows of a batch whose processor time is measured."""
TEXTS: Final = 4
WORDS: Final = 200
LOADED: Final = 14
"""Numbers of a record that texts are put beside."""
TABLES: Final = ("numbers_pandas", "texts_pandas", "numbers_arrow", "texts_arrow")
TABLE_ROWS: Final = 50
"""Rows of a table for each call that is measured otherwise."""
Calls = dict[str, Callable[[int], Awaitable[Any]]]


def numbers(rows: int) -> dict[str, Any]:
    """Columns of 30 doubles."""
    random = np.random.default_rng(0)
    return {name: random.random(rows) for name in NAMES}


async def ours(address: str, cluster: str, count: int) -> Calls:
    """What is measured by the call, by a number below `count`."""
    grid = await aio.connect(GridConfig(address=address, cluster_name=cluster))
    features, columns = grid.features(MAP), numbers(count)
    records = [{name: float(column[row]) for name, column in columns.items()} for row in range(count)]
    calls: Calls = {"put": lambda number: features.put(number, records[number]), "get": features.get}
    for rows in BATCHES:
        batch, keys = numbers(rows), np.arange(rows)
        calls[f"put_batch_{rows}"] = lambda _, batch=batch, keys=keys: features.put_batch(batch, key=keys)
        calls[f"get_batch_{rows}"] = lambda _, keys=keys: features.get_batch(keys)
    return calls


async def clocked(call: Callable[[int], Awaitable[Any]], count: int) -> float:
    """Microseconds of processor time a call, one behind the other."""
    begun_s = time.process_time()
    for number in range(count):
        await call(number)
    return (time.process_time() - begun_s) / count * 1e6


class Tables:
    """Tables whose records hold 14 numbers, or texts beside them, and how fast they are put."""

    def __init__(self, address: str, cluster: str, rows: int) -> None:
        self._config = GridConfig(address=address, cluster_name=cluster)
        self._rows = rows
        random = np.random.default_rng(0)
        words = np.array([f"word{number}" * (1 + number % 3) for number in range(WORDS)], object)
        plain = {name: random.random(rows) for name in NAMES[:LOADED]}
        both = plain | {f"t{place}": random.choice(words, rows) for place in range(TEXTS)}
        tables = (pd.DataFrame(plain), pd.DataFrame(both), pa.table(plain), pa.table(both))
        self._tables = dict(zip(TABLES, tables, strict=True))

    def rate(self, name: str) -> float:
        """Rows a second of one `put_batch` of a table, by a connection that is warm."""
        return asyncio.run(self._rate(name))

    async def _rate(self, name: str) -> float:
        async with await aio.connect(self._config) as grid:
            features, table = grid.features(f"{MAP}-{name}"), self._tables[name]
            few = max(1, self._rows // 10)
            await features.put_batch(table[:few], key=np.arange(few))
            begun_s = time.perf_counter()
            await features.put_batch(table, key=np.arange(self._rows))
            taken_s = time.perf_counter() - begun_s
            await features.destroy()
        return self._rows / taken_s


async def _spent(address: str, cluster: str, count: int) -> dict[str, float]:
    calls = await ours(address, cluster, count)
    found: dict[str, float] = {}
    for name, call in calls.items():
        await clocked(call, max(1, count // 10))
        found[name] = await clocked(call, count)
    return found


if __name__ == "__main__":
    where, count = sys.argv[1:3], int(sys.argv[3])
    spent = asyncio.run(_spent(*where, count))
    print(json.dumps(spent | {name: 1e6 / Tables(*where, count * TABLE_ROWS).rate(name) for name in TABLES}))

"""Ways in and out of a feature map, and what a value is allowed to be on each of them."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from hazelcast.core import HazelcastJsonValue
from pyarrow import parquet

import grid_inference as gi
from grid_inference.cli import files
from grid_inference.cli.values import TEXT
from tests.frames.draw import Drawn

Frame = dict[str, Drawn]
_EPOCH = np.datetime64(0, "us")


def put_batch(grid: gi.Grid, name: str, frame: Frame, folder: Path, first: int = 0) -> None:
    """All columns at once, as the libraries have them."""
    rows = len(next(iter(frame.values())).values)
    grid.features(name).put_batch(
        {field: drawn.given for field, drawn in frame.items()}, key=np.arange(first, first + rows)
    )


def put_frame(grid: gi.Grid, name: str, frame: Frame, folder: Path, first: int = 0) -> None:
    """All columns in one frame of a library, the keys among them."""
    given = {field: drawn.given for field, drawn in frame.items()}
    rows = len(next(iter(frame.values())).values)
    if all(isinstance(each, pl.Series) for each in given.values()):
        made: Any = pl.DataFrame({**given, "key": range(first, first + rows)}).lazy()
    elif all(isinstance(each, pa.Array | pa.ChunkedArray) for each in given.values()):
        made = pa.table({**given, "key": range(first, first + rows)})
    else:
        made = {**given, "key": pd.Series(np.arange(first, first + rows, dtype=float))}
        if all(isinstance(each, pd.Series | np.ndarray) for each in given.values()):
            made = pd.DataFrame(made)
    grid.features(name).put_batch(made, key="key")


def put(grid: gi.Grid, name: str, frame: Frame, folder: Path, first: int = 0) -> None:
    """Record by record, the values as a library's rows have them."""
    given = {field: list(_rows(drawn)) for field, drawn in frame.items()}
    for key, row in enumerate(zip(*given.values(), strict=True), first):
        grid.features(name).put(key, dict(zip(given, row, strict=True)))


def _rows(drawn: Drawn) -> Any:
    given = drawn.given
    if isinstance(given, list | pd.Series | np.ndarray):
        return [None if value is None else each for value, each in zip(drawn.values, given, strict=True)]
    return given.to_pylist() if hasattr(given, "to_pylist") else given.to_list()


def put_parquet(grid: gi.Grid, name: str, frame: Frame, folder: Path, first: int = 0) -> None:
    """A file, by what the command reads it with."""
    path = folder / f"{name}.parquet"
    columns = {field: _arrow(drawn) for field, drawn in frame.items()}
    parquet.write_table(pa.table({**columns, "key": range(first, first + len(next(iter(columns.values()))))}), path)
    _put_file(grid, name, path)


def _arrow(drawn: Drawn) -> Any:
    return drawn.given if isinstance(drawn.given, pa.Array | pa.ChunkedArray) else pa.array(drawn.values)


def put_csv(grid: gi.Grid, name: str, frame: Frame, folder: Path, first: int = 0) -> None:
    """A file of texts, whose columns are what they look like; texts are said to be that."""
    path = folder / f"{name}.csv"
    rows = zip(*(drawn.values for drawn in frame.values()), strict=True)
    lines = [",".join(["key", *frame]), *(",".join(map(_cell, (key, *row))) for key, row in enumerate(rows, first))]
    path.write_bytes("\n".join([*lines, ""]).encode())
    texts = [field for field, drawn in frame.items() if any(isinstance(value, str) for value in drawn.values)]
    _put_file(grid, name, path, dict.fromkeys(texts, TEXT))


def _cell(value: Any) -> str:
    quoted = '"' + value.replace('"', '""') + '"' if isinstance(value, str) else str(value)
    return "" if value is None else quoted


def put_jsonl(grid: gi.Grid, name: str, frame: Frame, folder: Path, first: int = 0) -> None:
    """A file of objects."""
    path = folder / f"{name}.jsonl"
    rows = zip(*(drawn.values for drawn in frame.values()), strict=True)
    objects = [{"key": key, **dict(zip(frame, row, strict=True))} for key, row in enumerate(rows, first)]
    path.write_text("".join(json.dumps(each) + "\n" for each in objects), encoding="utf-8")
    _put_file(grid, name, path)


def _put_file(grid: gi.Grid, name: str, path: Path, kinds: dict[str, str] | None = None) -> None:
    for chunk in files.read(path, None, "key", kinds or {}):
        assert not chunk.bad, f"rows were left out: {chunk.bad[:3]}"
        if chunk.columns:
            grid.features(name).put_batch(chunk.columns, key=chunk.columns.pop("key"))


def put_json_values(client: Any) -> Callable[[gi.Grid, str, Frame, Path], None]:
    """The stock client's JSON values, a nested object among them."""

    def put(grid: gi.Grid, name: str, frame: Frame, folder: Path, first: int = 0) -> None:
        rows = zip(*(drawn.values for drawn in frame.values()), strict=True)
        values = {
            key: HazelcastJsonValue(json.dumps(dict(zip(frame, row, strict=True))))
            for key, row in enumerate(rows, first)
        }
        client.get_map(name).blocking().put_all(values)

    return put


TEXTUAL = frozenset({"whole", "fraction", "boolean", "text", "category"})
SORTS: dict[str, frozenset[str]] = {
    "put": frozenset({"decimal", "day", "clock", "moment", "zoned"}) | TEXTUAL,
    "csv": frozenset({"day", "moment", "zoned"}) | TEXTUAL,
    "jsonl": TEXTUAL,
    "stock client": TEXTUAL,
    "parquet": frozenset({"decimal", "day", "clock", "moment", "zoned"}) | TEXTUAL,
}
"""What a way has a form for: JSON has no dates, a file's lists are all of one length, lists in `put` are floats."""


def ways(client: Any) -> dict[str, Callable[[gi.Grid, str, Frame, Path, int], None]]:
    """Every way in, by name."""
    return {
        "put_batch": put_batch,
        "frame": put_frame,
        "put": put,
        "parquet": put_parquet,
        "csv": put_csv,
        "jsonl": put_jsonl,
        "stock client": put_json_values(client),
    }


# ---- out


def out(grid: gi.Grid, name: str, rows: int, field: str) -> dict[str, list[Any]]:
    """One field of the rows in order, by each reader; a reader's way to say null is None."""
    features = grid.features(name)
    table = features.to_arrow()
    order = np.argsort(table["key"].to_numpy())
    frame = features.to_pandas().sort_index()
    found = {
        "get": [(features.get(key) or {}).get(field) for key in range(rows)],
        "get_batch": list(features.get_batch(list(range(rows)))[field]),
        "to_arrow": table[field].take(pa.array(order)).to_pylist(),
        "to_pandas": list(frame[field]),
    }
    return {reader: [canonical(value) for value in values] for reader, values in found.items()}


def canonical(value: Any) -> Any:
    """A value of any library as one that can be compared: exact, null as None."""
    if isinstance(value, list | tuple | np.ndarray) and not np.isscalar(value):
        return tuple(canonical(item) for item in value)
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else ("moment", int((value.astype("M8[us]") - _EPOCH).astype(np.int64)))
    if isinstance(value, np.timedelta64 | pd.Timedelta):
        plain = np.timedelta64(value)
        return None if np.isnat(plain) else ("clock", int(plain.astype("m8[us]").astype(np.int64)))
    return _canonical_scalar(value)


def _canonical_scalar(value: Any) -> Any:  # noqa: PLR0911  # a sort of value is a line
    if isinstance(value, dt.datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=dt.UTC)
        delta = aware - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
        return "moment", (delta.days * 86_400 + delta.seconds) * 10**6 + delta.microseconds
    if isinstance(value, dt.date):
        return "moment", (value - dt.date(1970, 1, 1)).days * 86_400 * 10**6
    if isinstance(value, dt.time):
        return "clock", ((value.hour * 60 + value.minute) * 60 + value.second) * 10**6 + value.microsecond
    if isinstance(value, Decimal):
        return "decimal", value
    if isinstance(value, float | np.floating):
        return None if math.isnan(value) else ("number", float(value), math.copysign(1, value))
    if isinstance(value, bool | np.bool_):
        return ("number", float(value), 1.0)
    if isinstance(value, int | np.integer):
        exact = int(value)
        return ("number", float(exact), math.copysign(1, exact)) if abs(exact) <= 2**53 else ("whole", exact)
    return value

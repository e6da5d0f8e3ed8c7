"""Ways into a feature map, and what each of them has a form for."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable
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
from tests.frames.draw import NESTED, Drawn
from tests.frames.stock import Item, Seen
from tests.frames.values import ahead_s

Frame = dict[str, Drawn]
Put = Callable[[gi.Features, Frame, Path, int], None]
"""Puts a frame's rows under the keys from a number on; a folder is for files."""


def put_batch(features: gi.Features, frame: Frame, folder: Path, first: int) -> None:
    """All columns at once, as the libraries have them."""
    features.put_batch({field: drawn.given for field, drawn in frame.items()}, key=_keys(frame, first))


def put_frame(features: gi.Features, frame: Frame, folder: Path, first: int) -> None:
    """All columns in one frame of a library, the keys among them."""
    given = {field: drawn.given for field, drawn in frame.items()}
    if all(isinstance(each, pl.Series) for each in given.values()):
        made: Any = pl.DataFrame({**given, "key": _keys(frame, first)}).lazy()
    elif all(isinstance(each, pa.Array | pa.ChunkedArray) for each in given.values()):
        made = pa.table({**given, "key": _keys(frame, first)})
    else:
        made = {**given, "key": pd.Series(_keys(frame, first), dtype=float)}
        # Of masked whole numbers pandas itself would make floats.
        if all(isinstance(each, pd.Series) or type(each) is np.ndarray for each in given.values()):
            made = pd.DataFrame(made)
    features.put_batch(made, key="key")


def put(features: gi.Features, frame: Frame, folder: Path, first: int) -> None:
    """Record by record, the values as a library's rows have them.

    What a NaN is in a field that nobody has said anything of, nobody knows: those with one come behind the others.
    """
    given = {field: _rows(drawn) for field, drawn in frame.items()}
    rows = list(zip(_keys(frame, first), *given.values(), strict=True))
    for key, *row in sorted(rows, key=lambda row: any(map(_is_nan, row))):
        features.put(key, dict(zip(given, row, strict=True)))


def _rows(drawn: Drawn) -> list[Any]:
    given = drawn.given
    rows = list(given) if isinstance(given, list | pd.Series | np.ndarray) else given.to_pylist() \
        if hasattr(given, "to_pylist") else given.to_list()  # fmt: skip
    unsaid = all(value is None for value in drawn.values)
    return [None if unsaid and _is_nan(value) else value for value in rows]


def _is_nan(value: Any) -> bool:
    return isinstance(value, float | np.floating) and math.isnan(value)


def put_parquet(features: gi.Features, frame: Frame, folder: Path, first: int) -> None:
    """A file, by what the command reads it with."""
    path = folder / "r.parquet"
    parquet.write_table(
        pa.table({**{field: _arrow(drawn) for field, drawn in frame.items()}, "key": _keys(frame, first)}), path
    )
    _put_file(features, path)


def _arrow(drawn: Drawn) -> Any:
    return drawn.given if isinstance(drawn.given, pa.Array | pa.ChunkedArray) else pa.array(drawn.values)


def put_csv(features: gi.Features, frame: Frame, folder: Path, first: int) -> None:
    """A file of texts, whose columns are what they look like; texts are said to be that."""
    path = folder / "r.csv"
    rows = zip(_keys(frame, first), *(drawn.values for drawn in frame.values()), strict=True)
    lines = [",".join(["key", *frame]), *(",".join(map(_cell, row)) for row in rows)]
    path.write_bytes("\n".join([*lines, ""]).encode())
    texts = [field for field, drawn in frame.items() if any(isinstance(value, str) for value in drawn.values)]
    _put_file(features, path, dict.fromkeys(texts, TEXT))


def _cell(value: Any) -> str:
    quoted = '"' + value.replace('"', '""') + '"' if isinstance(value, str) else str(value)
    return "" if value is None else quoted


def put_jsonl(features: gi.Features, frame: Frame, folder: Path, first: int) -> None:
    """A file of objects."""
    path = folder / "r.jsonl"
    rows = zip(_keys(frame, first), *(drawn.values for drawn in frame.values()), strict=True)
    objects = [_json({"key": key, **dict(zip(frame, row, strict=True))}) for key, *row in rows]
    path.write_text("".join(f"{each}\n" for each in objects), encoding="utf-8")
    _put_file(features, path)


def _put_file(features: gi.Features, path: Path, kinds: dict[str, str] | None = None) -> None:
    for chunk in files.read(path, None, "key", kinds or {}):
        assert not chunk.bad, f"rows were left out: {chunk.bad[:3]}"
        if chunk.columns:
            features.put_batch(chunk.columns, key=chunk.columns.pop("key"))


def _json(record: Any) -> str:
    return json.dumps(record, default=lambda value: value.isoformat())


def _keys(frame: Frame, first: int) -> list[int]:
    return list(range(first, first + len(next(iter(frame.values())).values)))


def _stock(client: Any, value_of: Callable[[dict[str, Any]], Any]) -> Put:
    """The stock client's `put_all` of values that are made of records."""

    def put(features: gi.Features, frame: Frame, folder: Path, first: int) -> None:
        rows = zip(*(drawn.values for drawn in frame.values()), strict=True)
        values = {key: value_of(dict(zip(frame, row, strict=True))) for key, row in enumerate(rows, first)}
        client.get_map(features.name).blocking().put_all(values)

    return put


STOCK_COMPACT = "stock client, Compact"
_NUMBERS_AND_TEXTS = frozenset({"whole", "fraction", "boolean", "text", "category"})
_MOMENTS = frozenset({"day", "clock", "moment", "zoned"})
_LISTS = frozenset({"list"})
_RECORDS = NESTED - {"records"}
SORTS: dict[str, frozenset[str]] = {
    "put_batch": _NUMBERS_AND_TEXTS | _MOMENTS | _LISTS | _RECORDS | {"decimal"},
    "frame": _NUMBERS_AND_TEXTS | _MOMENTS | _LISTS | _RECORDS | {"decimal"},
    "put": _NUMBERS_AND_TEXTS | _MOMENTS | NESTED | {"decimal"},
    "csv": (_NUMBERS_AND_TEXTS | _MOMENTS) - {"clock"},
    "jsonl": _NUMBERS_AND_TEXTS,
    "stock client, JSON": _NUMBERS_AND_TEXTS | _LISTS | {"record", "records"},
    "parquet": _NUMBERS_AND_TEXTS | _MOMENTS | _RECORDS | {"decimal"},
}
"""What a way has a form for: JSON has no dates, a file's lists are all of one length, lists in `put` are floats."""
TYPED_WAYS = frozenset({"put_batch", "frame", "parquet"})
"""Those that take the fields in records by the types that their columns say."""
JSON_WAYS = frozenset({"jsonl", "stock client, JSON"})


def ways(client: Any) -> dict[str, Put]:
    """Every way in, by name."""
    return {
        "put_batch": put_batch,
        "frame": put_frame,
        "put": put,
        "parquet": put_parquet,
        "csv": put_csv,
        "jsonl": put_jsonl,
        "stock client, JSON": _stock(client, lambda record: HazelcastJsonValue(_json(record))),
        STOCK_COMPACT: _stock(client, lambda record: (Seen if "n" in record else Item)(record)),
    }


def fit_for(way: str, drawn: Drawn) -> Drawn:
    """The column as a way has a form for its values: JSON has no infinity, CSV no offsets of seconds."""
    if way in JSON_WAYS:
        return _changed(drawn, _finite)
    return _changed(drawn, _of_whole_minutes) if way == "csv" else drawn


def _changed(drawn: Drawn, change: Callable[[Any], Any]) -> Drawn:
    values = [change(value) for value in drawn.values]
    if all(new is old for new, old in zip(values, drawn.values, strict=True)):
        return drawn
    return Drawn(f"{drawn.sort} of list", drawn.sort, values, values)


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(each) for each in value] if any(map(_is_endless, value)) else value
    if isinstance(value, dict):
        return {name: _finite(each) for name, each in value.items()} if any(map(_is_endless, value.values())) else value
    return None if _is_endless(value) else value


def _is_endless(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_is_endless, value.values()))
    return isinstance(value, float) and math.isinf(value)


def _of_whole_minutes(value: Any) -> Any:
    return value if (ahead_s(value) or 0) % 60 == 0 else value.astimezone(dt.UTC)

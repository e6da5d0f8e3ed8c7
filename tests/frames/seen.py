"""A model that hashes what it sees, as `module:function`: a record that came as another has another score."""

from __future__ import annotations

import datetime as dt
import zlib
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from tests.frames.draw import DATED
from tests.frames.values import canonical

_FIRST = dt.datetime(2024, 7, 1, 12)  # noqa: DTZ001 - a column without a zone
SAMPLE = pd.DataFrame(
    {
        "n": [1.0, 2.0, None],
        "x": [0.5, 1.5, None],
        "t": ["a", "b", None],
        "k": pd.array([1, 2, None], "Int64"),
        "y": pd.array([True, False, None], "boolean"),
        "s": pd.array(["a", "b", None], "string"),
        "m": pd.array([_FIRST, _FIRST, None], "datetime64[us]"),
        "z": pd.array([_FIRST, _FIRST, None], "datetime64[us]"),
        "d": [_FIRST.date(), _FIRST.date(), None],
        "c": [_FIRST.time(), _FIRST.time(), None],
        "in_n": pd.array([1, 2, None], "Int64"),
        "in_t": ["a", "b", None],
        "in_z": pd.array([_FIRST, _FIRST, None], "datetime64[us]"),
    }
)
for _name in ("z", "in_z"):
    SAMPLE[_name] = SAMPLE[_name].dt.tz_localize("Europe/Berlin")
INPUTS: dict[str, dict[str, list[str]]] = {f"in_{leaf}": {"field": [f"r.{leaf}", f"in_{leaf}"]} for leaf in "ntz"}
NESTING = frozenset({"put", "put_batch", "frame", "parquet", "stock client, JSON", "stock client, Compact"})
"""The ways by which these stand in a record within the record; in others they are fields like any."""

_ZONED = pa.timestamp("us", "Asia/Kathmandu")
SORTS_SEEN: dict[str, tuple[str, Any]] = {
    "n": ("whole", None),
    "x": ("fraction", None),
    "t": ("text", None),
    "k": ("whole", pa.int64()),
    "y": ("boolean", None),
    "s": ("text", None),
    "m": ("moment", pa.timestamp("us")),
    "z": ("zoned", _ZONED),
    "d": ("day", None),
    "c": ("clock", None),
}
"""What is drawn for a field of the records: sort and type."""
RECORD_SEEN = {"r": ("dated record", DATED)}
FLAT_SEEN = {"in_n": ("whole", pa.int64()), "in_t": ("text", None), "in_z": ("zoned", _ZONED)}


def hashed(frame: Any) -> np.ndarray[Any, Any]:
    """A number for each row, by the exact values in it; shape (n,)."""
    return np.array([hash_of(row) for row in zip(*(list(frame[name]) for name in frame.columns), strict=True)], float)


def hash_of(row: Any) -> float:
    """A number for one row."""
    return float(zlib.crc32(repr([canonical(value) for value in row]).encode()))

"""Fields of records by each way out of a feature map: one record, a batch, Arrow's table, pandas' frame."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

import grid_inference as gi
from tests.frames.draw import Drawn
from tests.frames.values import ahead_s, canonical


class Tables:
    """What a map holds, read once for all frames in it."""

    def __init__(self, features: gi.Features) -> None:
        self._features = features
        self._table = features.to_arrow()
        self._frame = features.to_pandas()
        self._order = {key: row for row, key in enumerate(self._table["key"].to_pylist())}

    def differences(self, first: int, frame: dict[str, Drawn]) -> Iterator[str]:
        """What stands otherwise under the keys from `first` on than was drawn, in words."""
        rows = len(next(iter(frame.values())).values)
        keys = list(range(first, first + rows))
        records = [self._features.get(key) or {} for key in keys]
        batch = self._features.get_batch(keys)
        places = pa.array([self._order.get(key) for key in keys], pa.int64())
        for field, drawn in frame.items():
            yield from _by_get(field, drawn.values, [record.get(field) for record in records])
            for path in _paths(field, drawn.values):
                expected = [canonical(at(value, path)) for value in drawn.values]
                name = ".".join((field, *path))
                found = {
                    "get_batch": _column(batch.columns, name, rows),
                    "to_arrow": self._table[name].take(places).to_pylist()
                    if name in self._table.column_names
                    else [None] * rows,
                    "to_pandas": list(self._frame[name].loc[keys]) if name in self._frame else [None] * rows,
                }
                for reader, values in found.items():
                    seen = [canonical(value) for value in values]
                    if seen != expected:
                        yield f"{reader} gives {seen} for {name} = {expected}"


def _by_get(field: str, expected: list[Any], found: list[Any]) -> Iterator[str]:
    seen, right = [canonical(value) for value in found], [canonical(value) for value in expected]
    if seen != right:
        yield f"get gives {seen} for {field} = {right}"
    for path in _paths(field, expected):
        zones = [[ahead_s(at(value, path)) for value in values] for values in (found, expected)]
        if zones[0] != zones[1]:
            yield f"get gives the offsets {zones[0]} for {zones[1]} of {field} = {expected}"


def _column(columns: dict[str, Any], name: str, rows: int) -> list[Any]:
    return list(columns[name]) if name in columns else [None] * rows


def _paths(field: str, values: list[Any]) -> list[tuple[str, ...]]:
    """Where the values stand that are no records: in the field itself, or in those of its records."""
    found = dict.fromkeys(path for value in values for path in _paths_of(value))
    within = {path[:depth] for path in found for depth in range(len(path))}
    return [path for path in found if path not in within] or [()]


def _paths_of(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from _paths_of(each, (*path, name))
    elif value is not None or path:
        yield path


def at(value: Any, path: tuple[str, ...]) -> Any:
    """The value at a path of records."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value

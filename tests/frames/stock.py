"""Compact records as the stock Python client writes them: one type with a field of each kind, and records within it."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

import pyarrow as pa
from hazelcast.serialization.api import CompactReader, CompactSerializer, CompactWriter

from tests.frames.draw import DATED, Drawn, column
from tests.frames.values import ahead_s

ZONE = "America/St_Johns"
FIELDS: dict[str, tuple[str, Any]] = {
    "int8": ("whole", pa.int8()),
    "nullable_int16": ("whole", pa.int16()),
    "nullable_int32": ("whole", pa.int32()),
    "int64": ("whole", pa.int64()),
    "nullable_int64": ("whole", pa.int64()),
    "nullable_float32": ("fraction", pa.float32()),
    "float64": ("fraction", pa.float64()),
    "nullable_float64": ("fraction", pa.float64()),
    "boolean": ("boolean", pa.bool_()),
    "nullable_boolean": ("boolean", pa.bool_()),
    "string": ("text", pa.large_string()),
    "decimal": ("decimal", pa.decimal128(38, 5)),
    "date": ("day", pa.date32()),
    "time": ("clock", pa.time64("us")),
    "timestamp": ("moment", pa.timestamp("us")),
    "timestamp_with_timezone": ("zoned", pa.timestamp("us", ZONE)),
    "array_of_nullable_int64": ("list", pa.list_(pa.int64())),
    "array_of_nullable_float64": ("list", pa.list_(pa.float64())),
    "array_of_string": ("list", pa.list_(pa.large_string())),
    "compact": ("dated record", DATED),
    "array_of_compact": ("records", pa.list_(DATED)),
}
"""A field is called as the method that writes it; what it holds."""
_NEVER_NULL = {"int8": 0, "int64": 0, "float64": 0.0, "boolean": False}


def frame(random_: random.Random, rows: int) -> dict[str, Drawn]:
    """Columns for some of the fields."""
    names = random_.sample(sorted(FIELDS), random_.randint(1, 4))
    return {name: column(random_, rows, {FIELDS[name][0]}, FIELDS[name][1], full=name in _NEVER_NULL) for name in names}


class Item:
    """A record."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.fields = fields


class Inner(Item):
    """One within it."""


class Deep(Item):
    """One within that."""


class Seen(Item):
    """One for the model of `seen.py`."""


class _Writes(CompactSerializer):
    """Without a word on reading, which no test does."""

    def __init__(self, kind: type[Item]) -> None:
        self._kind = kind

    def get_class(self) -> type[Item]:
        return self._kind

    def get_type_name(self) -> str:
        return f"frames.{self._kind.__name__}"

    def read(self, reader: CompactReader) -> Any:
        raise NotImplementedError


class _OfItems(_Writes):
    def write(self, writer: CompactWriter, obj: Item) -> None:
        for name, (sort, _) in FIELDS.items():
            value = obj.fields.get(name, _NEVER_NULL.get(name))
            if value is not None and sort == "dated record":
                value = Inner(value)
            elif value is not None and sort == "records":
                value = [Inner(each) for each in value]
            getattr(writer, f"write_{name}")(name, _fixed(value))


class _OfInner(_Writes):
    def write(self, writer: CompactWriter, obj: Item) -> None:
        writer.write_nullable_int64("n", obj.fields.get("n"))
        writer.write_nullable_float64("x", obj.fields.get("x"))
        writer.write_string("t", obj.fields.get("t"))
        writer.write_timestamp_with_timezone("z", _fixed(obj.fields.get("z")))
        deep = obj.fields.get("deep")
        writer.write_compact("deep", None if deep is None else Deep(deep))


class _OfDeep(_Writes):
    def write(self, writer: CompactWriter, obj: Item) -> None:
        writer.write_nullable_int64("n", obj.fields.get("n"))


class _OfSeen(_Writes):
    def write(self, writer: CompactWriter, obj: Item) -> None:
        for name, kind in _SEEN.items():
            getattr(writer, f"write_{kind}")(name, _fixed(obj.fields.get(name)))
        record = obj.fields.get("r")
        writer.write_compact("r", None if record is None else Inner(record))


_SEEN = {
    "n": "nullable_int64",
    "x": "nullable_float64",
    "t": "string",
    "k": "nullable_int64",
    "y": "nullable_boolean",
    "s": "string",
    "m": "timestamp",
    "z": "timestamp_with_timezone",
    "d": "date",
    "c": "time",
}


def _fixed(value: Any) -> Any:
    """A moment of a named zone with its offset: the client writes the former's wall clock with none."""
    ahead = ahead_s(value)
    return value if ahead is None else value.astimezone(dt.timezone(dt.timedelta(seconds=ahead)))


SERIALIZERS = (_OfItems(Item), _OfInner(Inner), _OfDeep(Deep), _OfSeen(Seen))

"""Generated schemas, records and blobs."""

import struct
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
from hypothesis import strategies as st

from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import FieldKind, Schema

# The stock client sorts names by code points, Java by UTF-16 units: they agree below U+10000.
names = st.text(st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"]), max_size=8)
text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def _float(width: int) -> st.SearchStrategy[float]:
    return st.floats(width=width)  # type: ignore[arg-type]


SCALARS: dict[FieldKind, st.SearchStrategy[Any]] = {
    FieldKind.BOOLEAN: st.booleans(),
    FieldKind.INT8: st.integers(-(2**7), 2**7 - 1),
    FieldKind.INT16: st.integers(-(2**15), 2**15 - 1),
    FieldKind.INT32: st.integers(-(2**31), 2**31 - 1),
    FieldKind.INT64: st.integers(-(2**63), 2**63 - 1),
    FieldKind.FLOAT32: _float(32),
    FieldKind.FLOAT64: _float(64),
}
zones = st.integers(-86_399, 86_399).map(lambda seconds: timezone(timedelta(seconds=seconds)))
TEMPORAL: dict[FieldKind, st.SearchStrategy[Any]] = {
    FieldKind.DATE: st.dates(),
    FieldKind.TIME: st.times(),
    FieldKind.TIMESTAMP: st.datetimes(),
    FieldKind.TIMESTAMP_WITH_TIMEZONE: st.builds(lambda at, zone: at.replace(tzinfo=zone), st.datetimes(), zones),
}
decimals = st.builds(
    lambda unscaled, scale: Decimal(f"{unscaled}E{-scale}"),
    st.integers() | st.integers(-(10**300), 10**300),
    st.integers(-20, 20) | st.integers(-(2**31), 2**31 - 1),
)
OBJECTS = {FieldKind.STRING: text, FieldKind.DECIMAL: decimals, **TEMPORAL}
VALUES: dict[FieldKind, st.SearchStrategy[Any]] = {
    **SCALARS,
    **{FieldKind[f"NULLABLE_{kind.name}"]: st.none() | value for kind, value in SCALARS.items()},
    **{FieldKind[f"ARRAY_OF_{k.name}"]: st.none() | st.lists(v, max_size=20) for k, v in SCALARS.items()},
    **{
        FieldKind[f"ARRAY_OF_NULLABLE_{k.name}"]: st.none() | st.lists(st.none() | v, max_size=20)
        for k, v in SCALARS.items()
    },
    **{kind: st.none() | value for kind, value in OBJECTS.items()},
    **{FieldKind[f"ARRAY_OF_{k.name}"]: st.none() | st.lists(st.none() | v, max_size=40) for k, v in OBJECTS.items()},
    FieldKind.STRING: st.none() | text | st.integers(200, 70_000).map(lambda size: "x" * size),
}
NESTED = sorted(set(FieldKind) - VALUES.keys())


def schemas(kinds: Any = tuple(VALUES), fields_max: int = 12) -> st.SearchStrategy[Schema]:
    fields = st.dictionaries(names, st.sampled_from(sorted(kinds)), max_size=fields_max)
    return st.builds(Schema.of, text, fields)


def records(schema: Schema) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({each.name: VALUES[each.kind] for each in schema.fields})


def same(left: Any, right: Any) -> bool:
    """Equality in which NaN equals NaN, 1 does not equal True, nor 1.0 Decimal 1.00, nor noon here noon elsewhere."""
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[name], right[name]) for name in left)
    if isinstance(left, float) and isinstance(right, float):
        return struct.pack("d", left) == struct.pack("d", right) or (left != left and right != right)  # noqa: PLR0124
    if isinstance(left, Decimal) and isinstance(right, Decimal):
        return left.as_tuple() == right.as_tuple()
    if isinstance(left, datetime) and isinstance(right, datetime):
        return left.replace(tzinfo=None) == right.replace(tzinfo=None) and left.utcoffset() == right.utcoffset()
    return type(left) is type(right) and left == right


@st.composite
def scattered(draw: st.DrawFn, items: list[bytes]) -> Blobs:
    """The items as blobs in another order of the buffer than of the rows, with bytes between them."""
    buffer, starts = bytearray(draw(st.binary(max_size=5))), np.zeros(len(items), np.int64)
    for row in draw(st.permutations(range(len(items)))):
        starts[row] = len(buffer)
        buffer += items[row] + draw(st.binary(max_size=5))
    return Blobs(np.frombuffer(bytes(buffer), np.uint8), starts, np.array([len(item) for item in items], np.int64))


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Some bytes changed, or cut off, or added."""
    data = bytearray(whole)
    for at in draw(st.lists(st.integers(0, max(len(data) - 1, 0)), max_size=4)):
        if data:
            data[at] = draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFE, 0xFF]) | st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)) | st.just(len(data)))]) + draw(st.binary(max_size=3))

"""Columns drawn at random: as some library has them, and the values that they stand for as Python has them."""

from __future__ import annotations

import datetime as dt
import random
import string
from collections.abc import Callable, Collection
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

MISSING: tuple[Any, ...] = (None, pd.NA, pd.NaT, np.ma.masked, pa.NULL)
"""How libraries say that there is no value."""
NANS: tuple[Any, ...] = (float("nan"), np.float64("nan"), np.float32("nan"))
"""What says it of a field that is no float, and as good as says it of one that is."""
OWN_MISSING: dict[str, Any] = {
    "moment": np.datetime64("NaT"),
    "zoned": np.datetime64("NaT", "ns"),
    "day": np.datetime64("NaT", "D"),
    "clock": np.timedelta64("NaT"),
    "decimal": Decimal("NaN"),
    "whole": pa.scalar(None, pa.int64()),
    "text": pa.scalar(None, pa.string()),
}
ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu", "America/St_Johns", "+05:30", "-00:45")
EDGES = (0, 1, -1, 2**53 - 1, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63))
ALPHABET = string.ascii_letters + " \"',;\n\t\\é漢😀0"
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass
class Drawn:
    """A column."""

    said: str
    sort: str
    given: Any
    """As the library has it."""
    values: list[Any]
    """What its rows are; None for what is missing."""


def column(
    random_: random.Random,
    rows: int,
    sorts: Collection[str] = (),
    kind: Any = None,
    *,
    full: bool = False,
    typed: bool = False,
) -> Drawn:
    """A column of any sort (or of these; or of this one and this type of Arrow), by any library.

    Those that know the types of the fields in records are taken for these where `typed`.
    """
    sort = random_.choice(sorted(sorts) or sorted(_SORTS))
    make, arrow_type = _SORTS[sort]
    gaps = 0.0 if full else random_.choice((0.0, 0.0, 0.3, 1.0))
    kind = arrow_type(random_) if kind is None else kind
    values = [None if random_.random() < gaps else make(random_, kind) for _ in range(rows)]
    libraries = [name for name, takes in _LIBRARIES.items() if takes(sort, values)]
    if typed and sort in NESTED:
        libraries = [name for name in libraries if name not in {"objects", "list"}]
    if getattr(kind, "tz", None) and kind.tz[0] in "+-":  # which polars has none of
        libraries = [name for name in libraries if "polars" not in name]
    library = random_.choice(libraries)
    return Drawn(f"{sort} ({kind}) of {library}", sort, _given(random_, library, sort, kind, values), values)


# ---- sorts


def _whole(random_: random.Random, kind: Any) -> int:
    bits, signed = kind.bit_width, pa.types.is_signed_integer(kind)
    least, most = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, min(2**bits - 1, 2**63 - 1))
    drawn = random_.choice((*EDGES, random_.randint(least, most), least, most))
    return drawn if least <= drawn <= most else random_.randint(least, most)


def _fraction(random_: random.Random, kind: Any) -> float:
    drawn = random_.choice((random_.gauss(0, 1), random_.uniform(-1e9, 1e9), -0.0, 0.1, 1e-300, float("inf")))
    return float(np.dtype(kind.to_pandas_dtype()).type(drawn))


def _text(random_: random.Random, kind: Any) -> str:
    return "".join(random_.choices(ALPHABET, k=random_.randint(0, 6)))


def _moment(random_: random.Random, kind: Any) -> dt.datetime:
    micros = {"s": 10**6, "ms": 10**3}.get(kind.unit, 1)
    near = kind.unit == "ns"
    drawn = random_.randint(-9 * 10**15 if near else -6 * 10**16, 9 * 10**15 if near else 2 * 10**17)
    moment = _EPOCH + dt.timedelta(microseconds=drawn // micros * micros)
    return moment.astimezone(zone_of(kind.tz)) if kind.tz else moment.replace(tzinfo=None)


def zone_of(name: str) -> dt.tzinfo:
    """A zone by its name or its offset."""
    if name[0] not in "+-":
        return ZoneInfo(name)
    ahead = dt.timedelta(hours=int(name[1:3]), minutes=int(name[4:]))
    return dt.timezone(-ahead if name[0] == "-" else ahead)


def _day(random_: random.Random, kind: Any) -> dt.date:
    return dt.date.fromordinal(random_.choice((1, random_.randint(1, 3_652_059), random_.randint(700_000, 740_000))))


def _clock(random_: random.Random, kind: Any) -> dt.time:
    return (_EPOCH + dt.timedelta(microseconds=random_.randrange(86_400 * 10**6))).time()


def _decimal(random_: random.Random, kind: Any) -> Decimal:
    return Decimal(random_.randint(-(10**15), 10**15)).scaleb(-kind.scale)


def _list(random_: random.Random, kind: Any) -> list[Any]:
    item = kind.value_type
    make = _text if pa.types.is_large_string(item) else _whole if pa.types.is_integer(item) else _fraction
    nulls = random_.random() < 0.2
    return [
        None if nulls and random_.random() < 0.3 else make(random_, item) for _ in range(random_.choice((0, 2, 2, 3)))
    ]


def _record(random_: random.Random, kind: Any) -> dict[str, Any]:
    """A record within the record; what of it is missing may also be left out."""
    made: dict[str, Any] = {}
    always = random_.choice(list(kind)).name
    for each in kind:
        if each.name != always and random_.random() < 0.25:
            made |= random_.choice(({}, {each.name: None}))
        else:
            make = next(make for is_such, make in _ITEMS if is_such(each.type))
            made[each.name] = make(random_, each.type)
    return made


def _records(random_: random.Random, kind: Any) -> list[Any]:
    return [_record(random_, kind.value_type) for _ in range(random_.choice((1, 2, 2)))]


_ITEMS: tuple[tuple[Callable[[Any], bool], Callable[[random.Random, Any], Any]], ...] = (
    (pa.types.is_struct, _record),
    (pa.types.is_integer, _whole),
    (pa.types.is_floating, _fraction),
    (pa.types.is_timestamp, _moment),
    (pa.types.is_large_string, _text),
)
_LEAVES = [("n", pa.int64()), ("x", pa.float64()), ("t", pa.large_string())]
_DEEP = [*_LEAVES, ("deep", pa.struct([("n", pa.int64())]))]
DATED = pa.struct([*_DEEP, ("z", pa.timestamp("us", "Europe/Berlin"))])


def _some_of(leaves: list[Any]) -> Callable[[random.Random], Any]:
    return lambda r: pa.struct(r.sample(leaves, r.randint(1, len(leaves))))


_WHOLE_TYPES = (
    pa.int8(),
    pa.int16(),
    pa.int32(),
    pa.int64(),
    pa.int64(),
    pa.uint8(),
    pa.uint16(),
    pa.uint32(),
    pa.uint64(),
)
_Make = Callable[[random.Random, Any], Any]
_SORTS: dict[str, tuple[_Make, Callable[[random.Random], Any]]] = {
    "whole": (_whole, lambda r: r.choice(_WHOLE_TYPES)),
    "fraction": (_fraction, lambda r: r.choice((pa.float32(), pa.float64(), pa.float64()))),
    "boolean": (lambda r, _: r.random() < 0.5, lambda _: pa.bool_()),
    "text": (_text, lambda _: pa.large_string()),
    "category": (lambda r, _: r.choice(("blue", "red", "")), lambda _: pa.dictionary(pa.int32(), pa.large_string())),
    "day": (_day, lambda _: pa.date32()),
    "clock": (_clock, lambda _: pa.time64("us")),
    "moment": (_moment, lambda r: pa.timestamp(r.choice(("s", "ms", "us", "ns")))),
    "zoned": (_moment, lambda r: pa.timestamp(r.choice(("s", "ms", "us", "ns")), r.choice(ZONES))),
    "decimal": (_decimal, lambda r: pa.decimal128(38, r.randint(0, 9))),
    "list": (_list, lambda r: pa.list_(r.choice((pa.int64(), pa.int8(), pa.float64(), pa.large_string())))),
    "record": (_record, _some_of(_DEEP)),
    "dated record": (_record, lambda _: DATED),
    "records": (_records, lambda r: pa.list_(_some_of(_LEAVES)(r))),
}
NESTED = frozenset({"record", "dated record", "records"})

# ---- libraries


def _plain_numbers(sort: str, values: list[Any]) -> bool:
    return sort in {"whole", "fraction", "boolean"} and None not in values


_LIBRARIES: dict[str, Callable[[str, list[Any]], bool]] = {
    "Arrow": lambda _, __: True,
    "Arrow in chunks": lambda _, __: True,
    "pandas of Arrow": lambda sort, _: sort != "category",
    "polars": lambda _, __: True,
    "polars objects": lambda sort, _: sort not in NESTED | {"list"},
    "pandas": lambda sort, _: sort in {"category", "zoned", "text", "moment"},
    "pandas, nullable": lambda sort, _: sort in {"whole", "boolean", "text"},
    "objects": lambda _, __: True,
    "list": lambda _, __: True,
    "numpy": _plain_numbers,
    "masked": lambda sort, _: sort in {"whole", "fraction", "boolean"},
}
"""Each, and whether it can have a column of a sort."""


def _given(random_: random.Random, library: str, sort: str, kind: Any, values: list[Any]) -> Any:  # noqa: PLR0911
    if library in {"list", "objects"}:
        own = OWN_MISSING.get(sort)
        ways = (*MISSING, *NANS) if own is None else (*MISSING, *NANS, own, own)
        said = [random_.choice(ways) if value is None else value for value in values]
        return said if library == "list" else pd.Series(said, dtype=object)
    if library == "polars objects":
        return pl.Series(values, dtype=pl.Object)
    dtype = np.dtype(kind.to_pandas_dtype()) if library in {"numpy", "masked"} else None
    if library == "numpy":
        return np.array(values, dtype)
    if library == "masked":
        return np.ma.MaskedArray(
            np.array([0 if value is None else value for value in values], dtype), [value is None for value in values]
        )
    array = (
        pa.array(values, kind.value_type).dictionary_encode()
        if pa.types.is_dictionary(kind)
        else pa.array(values, kind)
    )
    if library == "Arrow":
        return array
    if library == "Arrow in chunks":
        cut = random_.randint(0, len(values))
        return pa.chunked_array([array[:cut], array[cut:]], array.type)
    if library == "polars":
        return (
            pl.from_arrow(array)
            if not isinstance(array, pa.DictionaryArray)
            else pl.Series(values, dtype=pl.Categorical)
        )
    if library == "pandas of Arrow":
        return pd.Series(pd.arrays.ArrowExtensionArray(array))
    if library == "pandas, nullable":
        name = (
            "string"
            if pa.types.is_large_string(kind)
            else {"bool": "boolean"}.get(str(kind), str(kind).title().replace("Ui", "UI"))
        )
        return pd.Series(values, dtype=name)
    return array.to_pandas()

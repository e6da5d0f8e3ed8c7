"""Dates and times in the variable part of Compact records ⇄ Python's and numpy's.

    kind                     bytes  layout, big-endian
    DATE                     6      int32 year, uint8 month, uint8 day
    TIME                     7      uint8 hour, uint8 minute, uint8 second, int32 nanosecond
    TIMESTAMP                13     DATE, then TIME
    TIMESTAMP_WITH_TIMEZONE  17     TIMESTAMP as the local clock shows it, then int32 seconds it is ahead of UTC

Years are 1 … 9999, as Python's are. What is finer than microseconds is cut off when it is read, as the stock client
does, and kept when numpy's nanoseconds are written.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import MAXYEAR, MINYEAR, date, datetime, time, timedelta, timezone
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid_inference.errors import DecodeError, EncodeError
from grid_inference.wire.schema import FieldKind

__all__ = [
    "TEMPORAL_DTYPES",
    "decode_temporal",
    "decode_temporal_column",
    "encode_temporal",
    "encode_temporal_column",
    "is_null_temporal",
]

_DATE = [("year", ">i4"), ("month", "u1"), ("day", "u1")]
_TIME = [("hour", "u1"), ("minute", "u1"), ("second", "u1"), ("nanosecond", ">i4")]
TEMPORAL_DTYPES: Mapping[FieldKind, np.dtype[Any]] = MappingProxyType(
    {
        FieldKind.DATE: np.dtype(_DATE),
        FieldKind.TIME: np.dtype(_TIME),
        FieldKind.TIMESTAMP: np.dtype([*_DATE, *_TIME]),
        FieldKind.TIMESTAMP_WITH_TIMEZONE: np.dtype([*_DATE, *_TIME, ("ahead", ">i4")]),
    }
)
"""How the values of a kind lie in a record."""
_STRUCTS = {
    FieldKind.DATE: struct.Struct(">iBB"),
    FieldKind.TIME: struct.Struct(">BBBi"),
    FieldKind.TIMESTAMP: struct.Struct(">iBBBBBi"),
    FieldKind.TIMESTAMP_WITH_TIMEZONE: struct.Struct(">iBBBBBii"),
}
_CLOCK_LIMITS = {"hour": (0, 23), "minute": (0, 59), "second": (0, 59), "nanosecond": (0, 999_999_999)}
_AHEAD_SECONDS_MAX = 86_399
"""Python's limit of an offset from UTC; Java's is 18 hours."""
_EPOCH_YEAR = 1970
_FIRST_DAY, _LAST_DAY = (day.toordinal() - date(_EPOCH_YEAR, 1, 1).toordinal() for day in (date.min, date.max))
_NANOSECONDS_OF_DAY = 86_400 * 10**9
_UNIT_NANOSECONDS = {
    "D": _NANOSECONDS_OF_DAY,
    "h": 3_600 * 10**9,
    "m": 60 * 10**9,
    "s": 10**9,
    "ms": 10**6,
    "us": 10**3,
    "ns": 1,
}
_COARSE_UNITS = frozenset({"Y", "M", "W"})
_COARSE_TICKS_MAX = 10**6
"""So many weeks, months or years are beyond the last year, and far from where numpy overflows."""


def is_null_temporal(value: Any) -> bool:
    """Whether a value is numpy's NaT."""
    return isinstance(value, np.datetime64 | np.timedelta64) and bool(np.isnat(value))


# ---- encode


def encode_temporal(kind: FieldKind, value: Any) -> bytes:
    """The bytes of a date, time, datetime or numpy scalar; EncodeError if it is none of the kind."""
    if isinstance(value, np.datetime64 | np.timedelta64):
        return encode_temporal_column(kind, np.asarray(value).reshape(1)).tobytes()
    if kind is FieldKind.TIME:
        numbers = _clock_of(value) if isinstance(value, time) else None
    elif not isinstance(value, datetime):
        numbers = _date_of(value) if kind is FieldKind.DATE and isinstance(value, date) else None
    elif kind is FieldKind.TIMESTAMP:
        numbers = (*_date_of(value), *_clock_of(value))
    elif kind is FieldKind.TIMESTAMP_WITH_TIMEZONE:
        numbers = (*_date_of(value), *_clock_of(value.replace(tzinfo=None)), _seconds_ahead(value))
    else:
        numbers = None
    if numbers is None:
        raise EncodeError(f"{value!r} is no {kind.name.lower().replace('_', ' ')}")
    return _STRUCTS[kind].pack(*numbers)


def _date_of(value: date) -> tuple[int, ...]:
    return value.year, value.month, value.day


def _clock_of(value: time | datetime) -> tuple[int, ...]:
    if value.tzinfo is not None:
        raise EncodeError(f"{value!r} has a time zone, for which this kind has no place")
    # pandas' Timestamp is a datetime that knows nanoseconds.
    return value.hour, value.minute, value.second, value.microsecond * 1000 + getattr(value, "nanosecond", 0)


def _seconds_ahead(value: datetime) -> int:
    ahead = value.utcoffset()
    if ahead is None:
        raise EncodeError(f"{value!r} has no time zone")
    if ahead.microseconds:
        raise EncodeError(f"{value!r} is no whole number of seconds ahead of UTC")
    return ahead // timedelta(seconds=1)


def encode_temporal_column(
    kind: FieldKind, values: NDArray[Any], ahead: NDArray[np.int32] | None = None
) -> NDArray[Any]:
    """datetime64 (timedelta64 for TIME) without NaT, shape (n,), as the kind's dtype.

    A TIMESTAMP_WITH_TIMEZONE is given in UTC, and `ahead` by how many seconds its clock is ahead of that. Raises
    EncodeError where a value, or part of it, has no place in the kind.
    """
    unit, count = np.datetime_data(values.dtype)
    known = unit in _UNIT_NANOSECONDS or (unit in _COARSE_UNITS and kind is not FieldKind.TIME)
    if values.dtype.kind != ("m" if kind is FieldKind.TIME else "M") or not known or count != 1:
        raise EncodeError(f"values of {values.dtype} have no place in this kind")
    found = np.zeros(values.shape, TEMPORAL_DTYPES[kind])
    days, nanoseconds = _days_and_nanoseconds(values.astype(np.int64), unit)
    if ahead is not None:
        found["ahead"] = ahead
        later, nanoseconds = np.divmod(nanoseconds + ahead.astype(np.int64) * 10**9, _NANOSECONDS_OF_DAY)
        days += later
    if kind is not FieldKind.TIME:
        _put_date(found, days)
    elif bool(days.any()):
        raise EncodeError("a time since midnight is negative, or a day or more")
    if kind is not FieldKind.DATE:
        _put_clock(found, nanoseconds)
    elif bool(nanoseconds.any()):
        raise EncodeError("a value has a time of day, for which this kind has no place")
    return found


def _days_and_nanoseconds(ticks: NDArray[np.int64], unit: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Days since the epoch and nanoseconds since midnight; numpy's own casts overflow near the ends of int64."""
    if unit in _COARSE_UNITS:
        near = np.clip(ticks, -_COARSE_TICKS_MAX, _COARSE_TICKS_MAX)
        return near.astype(f"M8[{unit}]").astype("M8[D]").astype(np.int64), np.zeros_like(ticks)
    days, rest = np.divmod(ticks, _NANOSECONDS_OF_DAY // _UNIT_NANOSECONDS[unit])
    return days, rest * _UNIT_NANOSECONDS[unit]


def _put_date(found: NDArray[Any], since_epoch: NDArray[np.int64]) -> None:
    if bool(((since_epoch < _FIRST_DAY) | (since_epoch > _LAST_DAY)).any()):
        raise EncodeError(f"a year is not {MINYEAR} … {MAXYEAR}")
    days = since_epoch.astype("M8[D]")
    months = days.astype("M8[M]")
    found["year"] = days.astype("M8[Y]").astype(np.int64) + _EPOCH_YEAR
    found["month"] = months.astype(np.int64) % 12 + 1
    found["day"] = (days - months.astype("M8[D]")).astype(np.int64) + 1


def _put_clock(found: NDArray[Any], nanoseconds: NDArray[np.int64]) -> None:
    seconds, found["nanosecond"] = np.divmod(nanoseconds, 10**9)
    minutes, found["second"] = np.divmod(seconds, 60)
    found["hour"], found["minute"] = np.divmod(minutes, 60)


# ---- decode


def decode_temporal(kind: FieldKind, data: bytes, at: int, end: int) -> date | time:
    """The date, time or datetime whose bytes begin at `at` and lie before `end`."""
    layout = _STRUCTS[kind]
    if at + layout.size > end:
        raise DecodeError("a value reaches outside the record")
    numbers: tuple[int, ...] = layout.unpack_from(data, at)
    try:
        if kind is FieldKind.DATE:
            return date(*numbers)
        hour, minute, second, nanosecond = numbers[:4] if kind is FieldKind.TIME else numbers[3:7]
        clock = time(hour, minute, second, nanosecond // 1000)
        if kind is FieldKind.TIME:
            return clock
        zone = timezone(timedelta(seconds=numbers[7])) if kind is FieldKind.TIMESTAMP_WITH_TIMEZONE else None
        return datetime.combine(date(*numbers[:3]), clock, zone)
    except ValueError as error:
        raise DecodeError(str(error)) from None


def decode_temporal_column(kind: FieldKind, found: NDArray[Any]) -> NDArray[Any]:
    """Values of the kind's dtype, shape (n,), as datetime64[D], timedelta64[us] or datetime64[us], the last in UTC."""
    if kind is FieldKind.TIME:
        return _read_clock(found)
    days = _read_date(found)
    if kind is FieldKind.DATE:
        return days
    moments = days + _read_clock(found)
    if kind is FieldKind.TIMESTAMP_WITH_TIMEZONE:
        moments -= _number(found, "ahead", -_AHEAD_SECONDS_MAX, _AHEAD_SECONDS_MAX).astype("m8[s]")
    return moments


def _read_date(found: NDArray[Any]) -> NDArray[Any]:
    years = _number(found, "year", MINYEAR, MAXYEAR) - _EPOCH_YEAR
    months = (years * 12 + _number(found, "month", 1, 12) - 1).astype("M8[M]")
    days = months.astype("M8[D]") + (_number(found, "day", 1, 31) - 1).astype("m8[D]")
    if bool((days.astype("M8[M]") != months).any()):
        raise DecodeError("day is out of range for month")
    return days


def _read_clock(found: NDArray[Any]) -> NDArray[Any]:
    hours, minutes, seconds, nanoseconds = (_number(found, name, *limits) for name, limits in _CLOCK_LIMITS.items())
    return (((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + nanoseconds // 1000).astype("m8[us]")


def _number(found: NDArray[Any], name: str, least: int, most: int) -> NDArray[np.int64]:
    numbers = found[name].astype(np.int64)
    outside = (numbers < least) | (numbers > most)
    if bool(outside.any()):
        raise DecodeError(f"{name} is {numbers[outside][0]}, not {least} … {most}")
    return numbers

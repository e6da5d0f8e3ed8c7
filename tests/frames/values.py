"""A value of any library as one that can be compared with another's: exact, nulls as None."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

_EPOCH = np.datetime64(0, "us")


def canonical(value: Any) -> Any:
    """The value itself; of a moment with a zone when it is, not where."""
    if isinstance(value, Mapping):
        fields = ((name, canonical(each)) for name, each in value.items())
        return frozenset((name, each) for name, each in fields if each is not None)
    if isinstance(value, list | tuple | np.ndarray) and not np.isscalar(value):
        return tuple(canonical(item) for item in value)
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else ("moment", int((value.astype("M8[us]") - _EPOCH).astype(np.int64)))
    if isinstance(value, np.timedelta64 | pd.Timedelta):
        plain = np.timedelta64(value)
        return None if np.isnat(plain) else ("clock", int(plain.astype("m8[us]").astype(np.int64)))
    return _scalar(value)


def ahead_s(value: Any) -> float | None:
    """By how many seconds a moment's clock is ahead of UTC; None for anything else."""
    offset = value.utcoffset() if isinstance(value, dt.datetime) and value is not pd.NaT else None
    return None if offset is None else offset.total_seconds()


def _scalar(value: Any) -> Any:  # noqa: PLR0911  # a sort of value is a line
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

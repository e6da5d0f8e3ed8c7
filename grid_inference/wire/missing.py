"""What stands for nothing: one definition for every library's way to say it.

None, pandas' NA and NaT, numpy's NaT and masked, Arrow's null. NaN is a number among numbers and nothing elsewhere:
that is for whoever knows its neighbours, so it is asked for by itself.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

__all__ = ["is_missing", "is_nan", "plain_value"]

_PANDAS_NAMES = frozenset({"NAType", "NaTType"})


def plain_value(value: Any) -> Any:
    """A value of numpy or Arrow as Python's, None for one that is missing; moments stay numpy's, to the nanosecond."""
    if isinstance(value, pa.Scalar):
        value = value.as_py()
    if is_missing(value):
        return None
    if isinstance(value, np.generic) and not isinstance(value, np.datetime64 | np.timedelta64 | np.void):
        return value.item()
    return value


def is_missing(value: Any) -> bool:
    """Whether a value is missing whatever stands beside it; NaN is not."""
    if value is None or value is np.ma.masked:
        return True
    if isinstance(value, np.datetime64 | np.timedelta64):
        return bool(np.isnat(value))
    return type(value).__name__ in _PANDAS_NAMES and type(value).__module__.partition(".")[0] == "pandas"


def is_nan(value: Any) -> bool:
    """Whether a value is a float or a decimal that is no number."""
    if isinstance(value, float | np.floating):
        return value != value  # noqa: PLR0124  # NaN alone differs from itself
    return isinstance(value, Decimal) and value.is_nan()

"""Casts of columns: values of one type as another, row by row where that can fail. Nulls stay nulls.

In: a column, and who is told the rows whose value is none of the wanted type. Out: a column of one dtype, with a null
in those rows. A cast's dtype never depends on the values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from grid_inference.wire.compact import Column

__all__ = ["CASTS", "Refuse", "as_numbers", "each_value", "kind_of", "moment_of", "unheard", "value_of"]

Refuse = Callable[[int, object], None]
"""Is told the row and the value."""
VALUE_CHARS_MAX = 40
TRUE, FALSE = frozenset({"true", "yes", "1"}), frozenset({"false", "no", "0"})
INTEGERS_EXACT_MAX = 2.0**63


def unheard(_row: int, _value: object) -> None:
    """A `Refuse` for values that become null if they can't be cast, and no more is said."""


def as_numbers(column: Column, refuse: Refuse) -> NDArray[np.float64]:
    """Numbers and booleans as doubles, shape (n,), NaN at a null; texts are refused."""
    if column.values.dtype.kind in "biuf":
        found = column.values.astype(np.float64)
        return found if column.valid is None else np.where(column.valid, found, np.nan)
    return each_value(column, np.float64, _number, refuse).values


def _to_float(column: Column, refuse: Refuse) -> Column:
    if column.values.dtype.kind in "biuf":
        return Column(column.values.astype(np.float64), column.valid)
    return each_value(
        column, np.float64, lambda value: float(value) if isinstance(value, str) else _number(value), refuse
    )


def _to_int(column: Column, refuse: Refuse) -> Column:
    if column.values.dtype.kind in "biu":
        return Column(column.values.astype(np.int64), column.valid)
    return each_value(column, np.int64, _whole, refuse)


def _to_bool(column: Column, refuse: Refuse) -> Column:
    return column if column.values.dtype.kind == "b" else each_value(column, np.bool_, _truth, refuse)


def _to_string(column: Column, refuse: Refuse) -> Column:
    return each_value(column, np.object_, _text, refuse)


def _to_datetime(column: Column, refuse: Refuse) -> Column:
    if column.values.dtype.kind == "M":
        return Column(column.values.astype("M8[us]"), column.valid)
    return each_value(column, "M8[us]", moment_of, refuse)


def _from_epoch(unit: int) -> Callable[[Column, Refuse], Column]:
    """Numbers of units of so many microseconds since 1970, in UTC."""

    def cast(column: Column, refuse: Refuse) -> Column:
        return each_value(column, "M8[us]", lambda value: _since_epoch(value, unit), refuse)

    return cast


CASTS: Mapping[str, Callable[[Column, Refuse], Column]] = MappingProxyType(
    {
        "float": _to_float,
        "int": _to_int,
        "bool": _to_bool,
        "string": _to_string,
        "datetime": _to_datetime,
        "epoch_s": _from_epoch(1_000_000),
        "epoch_ms": _from_epoch(1_000),
    }
)
"""The casts of a deployment's `inputs`, by name."""


def each_value(column: Column, dtype: DTypeLike, cast: Callable[[Any], Any], refuse: Refuse) -> Column:
    """Cast value by value; what raises TypeError, ValueError or OverflowError is refused."""
    values = _nulls(len(column), np.dtype(dtype))
    valid = np.zeros(len(column), np.bool_)
    found = column.values.tolist()
    for row in np.flatnonzero(column.present()).tolist():
        try:
            values[row] = cast(found[row])
            valid[row] = True
        except (TypeError, ValueError, OverflowError):
            refuse(row, found[row])
    return Column(values, valid)


def _nulls(count: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    if dtype.kind == "M":
        return np.full(count, "NaT", dtype)
    return np.full(count, np.nan if dtype.kind == "f" else None if dtype.kind == "O" else 0, dtype)


# ---- one value; each raises TypeError, ValueError or OverflowError


def _number(value: Any) -> float:
    if isinstance(value, int | float | Decimal):
        return float(value)
    raise TypeError


def _whole(value: Any) -> int:
    if isinstance(value, str | int):
        return int(value)
    number = _number(value)
    if not (number.is_integer() and -INTEGERS_EXACT_MAX <= number < INTEGERS_EXACT_MAX):
        raise ValueError
    return int(value)


def _truth(value: Any) -> bool:
    if isinstance(value, str):
        text = value.strip().lower()
        if text in TRUE or text in FALSE:
            return text in TRUE
    elif _number(value) in (0, 1):
        return bool(value)
    raise ValueError


def _text(value: Any) -> str:
    """A number without a fraction is written without a point, whatever its type."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, str | int | float | Decimal):
        return str(value)
    raise TypeError


def moment_of(value: Any) -> Any:
    """A date, or ISO 8601 text of one: in UTC if it names its zone, else as it stands."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(moment, datetime):
        return np.datetime64(date.fromisoformat(str(moment)), "us")
    return np.datetime64(moment if moment.tzinfo is None else moment.astimezone(UTC).replace(tzinfo=None), "us")


def _since_epoch(value: Any, unit: int) -> Any:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    fraction = isinstance(value, float | Decimal)  # a decimal's int() writes out all its digits, billions it may be
    microseconds = round(_number(value) * unit) if fraction else int(value) * unit
    return np.datetime64(datetime.fromtimestamp(0, UTC).replace(tzinfo=None), "us") + np.timedelta64(microseconds, "us")


# ---- words for an error


_KINDS: Mapping[type, str] = MappingProxyType(
    {
        str: "a string",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        list: "an array",
        dict: "an object",
        datetime: "a time",
        date: "a date",
        time: "a time of day",
        type(None): "null",
    }
)


def kind_of(value: object) -> str:
    """The type of a value as the writer of the record knows it."""
    found = (said for kind, said in _KINDS.items() if isinstance(value, kind))
    return next(found, type(value).__name__)


def value_of(value: object) -> str:
    """The value itself, shortened; a whole number without a point, as JSON values know no other numbers."""
    text = repr(int(value) if isinstance(value, float) and value.is_integer() else value)
    return text if len(text) <= VALUE_CHARS_MAX else f"{text[:VALUE_CHARS_MAX]}…"

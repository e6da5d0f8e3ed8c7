"""A literal of a filter as what it is compared with: a number, a text, a date, as Hazelcast turns texts into these.

Dates and times are read as Java reads ISO-8601: `2024-02-29`, `13:45`, `2024-02-29T13:45:30.5`, and with an offset
(`Z`, `+01:00`) for a timestamp with a time zone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from grid_inference.errors import ConfigError

__all__ = ["converted"]


def _truth(literal: str) -> bool:
    return {"true": True, "false": False}[literal.lower()]


def _number(literal: str) -> int | float:
    try:
        return int(literal)
    except ValueError:
        return float(literal)


def _decimal(literal: str) -> Decimal:
    found = Decimal(literal)
    if not found.is_finite():
        raise ValueError(literal)
    return found


_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = "[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?"
_OFFSET = "(Z|[+-][0-9]{2}(:[0-9]{2}){0,2})"


def _iso(form: str, read: Callable[[str], Any]) -> Callable[[str], Any]:
    """What Java's ISO-8601 parser takes of a form; Python's takes more of them."""
    pattern = re.compile(form)

    def read_strictly(literal: str) -> Any:
        if not pattern.fullmatch(literal.upper()):
            raise ValueError(literal)
        return read(literal.upper())

    return read_strictly


_timestamp = _iso(f"{_DAY}T{_CLOCK}", datetime.fromisoformat)
_zoned = _iso(f"{_DAY}T{_CLOCK}{_OFFSET}", datetime.fromisoformat)
_ZONED_WANTED = "a timestamp with its offset, such as 2024-02-29T13:45:30Z"
_LITERALS: tuple[tuple[tuple[type, ...], Callable[[str], Any], str], ...] = (
    ((bool, np.bool_), _truth, "true or false"),
    ((int, np.integer), _number, "a number"),
    ((float, np.floating), float, "a number"),
    ((Decimal,), _decimal, "a number"),
    ((str,), str, "a text"),
    ((datetime,), _timestamp, "a timestamp such as 2024-02-29T13:45:30"),
    ((date,), _iso(_DAY, date.fromisoformat), "a date such as 2024-02-29"),
    ((time,), _iso(_CLOCK, time.fromisoformat), "a time such as 13:45:30"),
)
"""Types of values, how a literal is read that they are compared with, and what it has to be."""


def converted(literal: str, values: NDArray[Any], field: str) -> Any:
    """The literal as what the values are: at least one, all of one type. Raises ConfigError if it is nothing such."""
    sample = values[0]
    known = next(((read, wanted) for types, read, wanted in _LITERALS if isinstance(sample, types)), None)
    if known is None:
        _refuse_values(sample, field)
    read, wanted = known
    if isinstance(sample, datetime) and sample.tzinfo is not None:
        read, wanted = _zoned, _ZONED_WANTED
    try:
        # As the column's own type: 0.9 of a float32 column is not Python's 0.9.
        return values.dtype.type(literal) if values.dtype.kind == "f" else read(literal)
    except (KeyError, ValueError, OverflowError, InvalidOperation):
        raise ConfigError(f"{field} is compared with {literal!r}, which is not {wanted}") from None


def _refuse_values(sample: Any, field: str) -> NoReturn:
    if isinstance(sample, list):
        raise ConfigError(f"{field} is an array: write {field}[0]")
    kind = "a record" if isinstance(sample, dict) else f"of the type {type(sample).__name__}"
    raise ConfigError(
        f"{field} is {kind}; a filter compares numbers, booleans, texts, decimals, dates and times",
        remedy="filter by a field in it, or by this one in the table that comes back",
    )

"""A literal of a filter as what it is compared with: a number, a text, a date, as Hazelcast turns texts into these.

In: the literal as it was written, and the kind of what it is compared with. Out: what `order.py` takes. What a member
can't read as that kind is refused, and so is what it reads as something else than was meant, such as 1 as `false`.
Dates and times are read as Java reads ISO-8601: `2024-02-29`, `13:45`, `2024-02-29T13:45:30.5`, and with an offset
(`Z`, `+01:00`) for a timestamp with a time zone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np

from grid_inference.errors import ConfigError
from grid_inference.wire.schema import ARRAY_OF, ITEMS_OF, NULLABLE_OF, FieldKind

__all__ = ["Kind", "is_array", "item_kind", "kind_of", "literal_of", "plain_kind"]

INT64_MAX = (1 << 63) - 1
_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
_WHOLE = re.compile(r"[+-]?[0-9]+")
_DOUBLE = re.compile(rf"(?P<number>{_NUMBER})[fFdD]?|(?P<sign>[+-]?)(?P<word>NaN|Infinity)")
_BLANKS = "".join(map(chr, range(33)))
"""What Java's `trim` takes off."""


def _double(literal: str) -> float:
    """As `Double.parseDouble`, which is stricter than Python, and takes a suffix; hexadecimal ones are left out."""
    match = _DOUBLE.fullmatch(literal.strip(_BLANKS))
    if match is None:
        raise ValueError(literal)
    return float(match["number"] or match["sign"] + match["word"])


def _whole(literal: str) -> int | float:
    """A whole number if it is one of 64 bits, else a double, which may be whole too."""
    if _WHOLE.fullmatch(literal) and -INT64_MAX - 1 <= (number := int(literal)) <= INT64_MAX:
        return number
    number = _double(literal)
    if not math.isfinite(number) or (number == 0 and math.copysign(1, number) < 0):
        return number
    nearest = min(max(int(number), -INT64_MAX - 1), INT64_MAX)  # as Java's cast: 2^63 becomes the largest of 64 bits
    return nearest if float(nearest) == number else number


def _truth(literal: str) -> bool:
    return {"true": True, "false": False}[literal.lower()]


def _decimal(literal: str) -> Decimal:
    if not re.fullmatch(_NUMBER, literal):
        raise ValueError(literal)
    return Decimal(literal)


_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = "[0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?"
_OFFSET = "(Z|[+-][0-9]{2}(:[0-9]{2}){0,2})"
_HEX = "[0-9a-fA-F]"


def _of_form(form: str, read: Callable[[str], Any]) -> Callable[[str], Any]:
    """What Java's parser takes of a form; Python's takes more of them."""
    pattern = re.compile(form)

    def read_strictly(literal: str) -> Any:
        if not pattern.fullmatch(literal.upper()):
            raise ValueError(literal)
        return read(literal.upper())

    return read_strictly


_Reader = tuple[Callable[[str], Any], str]
_NUMBERS: Mapping[FieldKind, _Reader] = {
    **dict.fromkeys((FieldKind.INT8, FieldKind.INT16, FieldKind.INT32, FieldKind.INT64), (_whole, "a number")),
    **dict.fromkeys((FieldKind.FLOAT32, FieldKind.FLOAT64), (_double, "a number")),
}
_READERS: Mapping[FieldKind | type[UUID], _Reader] = {
    **_NUMBERS,
    FieldKind.BOOLEAN: (_truth, "true or false"),
    FieldKind.DECIMAL: (_decimal, "a number"),
    FieldKind.STRING: (str, "a text"),
    FieldKind.TIMESTAMP: (
        _of_form(f"{_DAY}T{_CLOCK}", datetime.fromisoformat),
        "a timestamp such as 2024-02-29T13:45:30",
    ),
    FieldKind.TIMESTAMP_WITH_TIMEZONE: (
        _of_form(f"{_DAY}T{_CLOCK}{_OFFSET}", datetime.fromisoformat),
        "a timestamp with its offset, such as 2024-02-29T13:45:30Z",
    ),
    FieldKind.DATE: (_of_form(_DAY, date.fromisoformat), "a date such as 2024-02-29"),
    FieldKind.TIME: (_of_form(_CLOCK, time.fromisoformat), "a time such as 13:45:30"),
    UUID: (_of_form(f"{_HEX}{{8}}(-{_HEX}{{4}}){{3}}-{_HEX}{{12}}", UUID), "a UUID"),
}
"""How a literal is read that a kind is compared with, and what it has to be."""
Kind = FieldKind | type[UUID]
"""Of what is compared: a field's, or a key's that no field has."""

_TYPES: tuple[tuple[tuple[type, ...], Kind], ...] = (
    ((bool, np.bool_), FieldKind.BOOLEAN),
    ((int, np.integer), FieldKind.INT64),
    ((float, np.floating), FieldKind.FLOAT64),
    ((Decimal,), FieldKind.DECIMAL),
    ((str,), FieldKind.STRING),
    ((datetime,), FieldKind.TIMESTAMP),
    ((date,), FieldKind.DATE),
    ((time,), FieldKind.TIME),
    ((UUID,), UUID),
)


def kind_of(sample: Any, field: str) -> Kind:
    """The kind of a value. Raises ConfigError for one that nothing is compared with."""
    if isinstance(sample, datetime) and sample.tzinfo is not None:
        return FieldKind.TIMESTAMP_WITH_TIMEZONE
    for types, kind in _TYPES:
        if isinstance(sample, types):
            return kind
    if isinstance(sample, list):
        raise not_whole(field)
    raise _not_compared(field, "a record" if isinstance(sample, dict) else f"of the type {type(sample).__name__}")


def is_array(kind: FieldKind) -> bool:
    """Whether it holds several values."""
    return kind in ARRAY_OF or kind in ITEMS_OF


def item_kind(kind: FieldKind) -> FieldKind:
    """The kind of an array's items."""
    return ARRAY_OF[kind] if kind in ARRAY_OF else ITEMS_OF[kind]


def plain_kind(kind: Kind, field: str) -> Kind:
    """A kind without its nulls. Raises ConfigError for one that nothing is compared with."""
    if not isinstance(kind, FieldKind):
        return kind
    if is_array(kind):
        raise not_whole(field)
    if kind == FieldKind.COMPACT:
        raise _not_compared(field, "a record")
    return NULLABLE_OF.get(kind, kind)


def literal_of(literal: str, kind: Kind, field: str) -> Any:
    """The literal as that kind; raises ConfigError if it is nothing such."""
    read, wanted = _READERS[kind]
    try:
        return read(literal)
    except (KeyError, ValueError, OverflowError):
        raise ConfigError(
            f"{field} is compared with {literal!r}, which is not {wanted}", remedy=f"compare {field} with {wanted}"
        ) from None


def not_whole(field: str) -> ConfigError:
    """What is said where an array is compared as a whole."""
    return ConfigError(f"{field} is an array: write {field}[0]", remedy=f"compare one of its items, such as {field}[0]")


def _not_compared(field: str, found: str) -> ConfigError:
    return ConfigError(
        f"{field} is {found}; a filter compares numbers, booleans, texts, decimals, dates and times",
        remedy="filter by a field in it, or by this one in the table that comes back",
    )

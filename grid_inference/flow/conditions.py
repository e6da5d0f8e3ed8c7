"""Conditions of a filter: tests of one field, and what AND, OR and NOT make of them, over columns.

In: columns by their names. Out: a boolean per row. As in Hazelcast logic is two-valued: a null satisfies `= null`,
`!=` and what is negated. How a text becomes conditions: `syntax.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from grid_inference.errors import ConfigError
from grid_inference.flow.literals import (
    Kind,
    is_array,
    item_kind,
    kind_of,
    literal_of,
    plain_kind,
)
from grid_inference.flow.order import Mask, above, below, equal
from grid_inference.wire.columns import Column
from grid_inference.wire.schema import FieldKind

__all__ = [
    "COMPARISONS",
    "Between",
    "Columns",
    "Compare",
    "Condition",
    "Contained",
    "Joined",
    "Matching",
    "Negated",
    "split_element",
]

Columns = Mapping[str, NDArray[Any] | Column]
Kinds = Mapping[str, Kind | None]

COMPARISONS: Mapping[str, str] = {
    "==": "=",
    "<>": "!=",
    **{symbol: symbol for symbol in ("=", "!=", "<", "<=", ">", ">=")},
}
"""As they may be written, and the one way that is looked at."""
_ELEMENT = re.compile(r"(?P<name>.+)\[(?P<index>[0-9]{1,9})\]")


def split_element(field: str) -> tuple[str, int | None]:
    """`scores[1]` as its column and index."""
    match = _ELEMENT.fullmatch(field)
    return (match["name"], int(match["index"])) if match else (field, None)


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that is so or not, row by row."""

    def fields(self) -> Iterator[str]:
        """The fields that it reads."""
        raise NotImplementedError

    def check(self, kinds: Kinds) -> None:
        """Raise ConfigError where a field is asked for what it can't be. None is a kind that is not known."""
        raise NotImplementedError

    def mask(self, columns: Columns) -> Mask:
        """Which rows it is so for."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Joined(Condition):
    """Several of them, by AND or by OR."""

    parts: tuple[Condition, ...]
    every: bool
    """AND, or else OR."""

    def fields(self) -> Iterator[str]:
        """All of theirs."""
        for part in self.parts:
            yield from part.fields()

    def check(self, kinds: Kinds) -> None:
        """Check each."""
        for part in self.parts:
            part.check(kinds)

    def mask(self, columns: Columns) -> Mask:
        """Where all are so, or one is."""
        found, *others = (part.mask(columns) for part in self.parts)
        for other in others:
            found = found & other if self.every else found | other
        return found


@dataclass(frozen=True, slots=True)
class Negated(Condition):
    """What is not so."""

    inner: Condition

    def fields(self) -> Iterator[str]:
        """Those of what is negated."""
        return self.inner.fields()

    def check(self, kinds: Kinds) -> None:
        """Check what is negated."""
        self.inner.check(kinds)

    def mask(self, columns: Columns) -> Mask:
        """Where it is not so, nulls included."""
        return ~self.inner.mask(columns)


@dataclass(frozen=True, slots=True)
class _OnField(Condition):
    """A test of one field: rows that are null answer `null_matches`, the others `test`."""

    field: str

    def fields(self) -> Iterator[str]:
        yield self.field

    def check(self, kinds: Kinds) -> None:
        kind = kinds[self.field] if self.field in kinds else _of_element(self.field, kinds)
        if kind is not None:
            self.read(plain_kind(kind, self.field))

    def mask(self, columns: Columns) -> Mask:
        values, valid = _column(columns, self.field)
        found = np.full(values.shape[0], self.null_matches(), np.bool_)
        for rows in _rows_by_type(values, valid):
            found[rows] = self.test(values[rows])
        return found

    def null_matches(self) -> bool:
        return False

    def read(self, kind: Kind) -> list[Any]:
        """What values of this kind are compared with; raises ConfigError if they can't be asked for it."""
        if kind is UUID and self.ordered():
            raise ConfigError(
                f"{self.field} is a UUID: these are compared by =, != and IN only", remedy="write = or IN"
            )
        return [literal_of(literal, kind, self.field) for literal in self.literals()]

    def ordered(self) -> bool:
        """Whether it asks which of two comes first."""
        return False

    def literals(self) -> tuple[str, ...]:
        """What it is compared with."""
        raise NotImplementedError

    def test(self, values: NDArray[Any]) -> Mask:
        """Which of the values it is so for: at least one, none null, all of one type."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Compare(_OnField):
    """`=`, `!=`, `<`, `<=`, `>` or `>=`, with null only the first two."""

    symbol: str
    literal: str | None

    def literals(self) -> tuple[str, ...]:
        """None for null."""
        return () if self.literal is None else (self.literal,)

    def ordered(self) -> bool:
        """By `<` and its like."""
        return self.symbol not in ("=", "!=")

    def null_matches(self) -> bool:
        """`x = null` finds the nulls, `x != 5` too: Hazelcast compares objects here, not SQL's unknown."""
        return self.symbol == ("=" if self.literal is None else "!=")

    def test(self, values: NDArray[Any]) -> Mask:
        """Compared as Java orders them."""
        if self.literal is None:
            return np.full(values.shape[0], self.symbol == "!=")
        (literal,) = self.read(kind_of(values[0], self.field))
        if self.symbol in ("=", "!="):
            found = equal(values, literal)
        else:
            found = (below if self.symbol in ("<", ">=") else above)(values, literal)
        return ~found if self.symbol in ("!=", ">=", "<=") else found


@dataclass(frozen=True, slots=True)
class Between(_OnField):
    """Neither below the one nor above the other."""

    low: str
    high: str

    def ordered(self) -> bool:
        """By both bounds."""
        return True

    def literals(self) -> tuple[str, ...]:
        """Both bounds."""
        return self.low, self.high

    def test(self, values: NDArray[Any]) -> Mask:
        """The bounds belong to it."""
        low, high = self.read(kind_of(values[0], self.field))
        return ~below(values, low) & ~above(values, high)


@dataclass(frozen=True, slots=True)
class Contained(_OnField):
    """IN: one of several."""

    listed: tuple[str, ...]

    def literals(self) -> tuple[str, ...]:
        """All of them."""
        return self.listed

    def test(self, values: NDArray[Any]) -> Mask:
        """Equal to one of them."""
        found = np.zeros(values.shape[0], np.bool_)
        for literal in self.read(kind_of(values[0], self.field)):
            found |= equal(values, literal)
        return found


@dataclass(frozen=True, slots=True)
class Matching(_OnField):
    """LIKE, ILIKE and REGEX: the whole text matches."""

    only: ClassVar[str] = "is no text, and LIKE, ILIKE and REGEX compare texts"
    pattern: re.Pattern[str]

    def read(self, kind: Kind) -> list[Any]:
        """Texts only, with a pattern."""
        if kind != FieldKind.STRING:
            raise ConfigError(f"{self.field} {self.only}", remedy=f"compare {self.field} by =, <, >, IN or BETWEEN")
        return []

    def test(self, values: NDArray[Any]) -> Mask:
        """One by one."""
        self.read(kind_of(values[0], self.field))
        matches = self.pattern.fullmatch
        return np.fromiter((matches(str(value)) is not None for value in values), np.bool_, values.shape[0])


def _of_element(field: str, kinds: Kinds) -> Kind | None:
    """The kind of an array's items."""
    name, _ = split_element(field)
    kind = kinds[name]
    if kind is None:
        return None
    if not isinstance(kind, FieldKind) or not is_array(kind):
        raise ConfigError(f"{name} is no array", remedy=f"write {name} without an index")
    return item_kind(kind)


def _column(columns: Columns, field: str) -> tuple[NDArray[Any], Mask]:
    """A field's values, and which of them are not null."""
    name, index = (field, None) if field in columns else split_element(field)
    column = columns[name]
    values, valid = (column.values, column.valid) if isinstance(column, Column) else (column, None)
    there = np.ones(values.shape[0], np.bool_) if valid is None else valid
    if values.ndim == 2 and index is None:
        raise ConfigError(f"{name} is an array: write {name}[0]", remedy=f"compare one of its items, such as {name}[0]")
    if index is not None:
        values, there = _element(values, there, name, index)
    if values.dtype.kind == "O":
        there = there & np.asarray(values != None, np.bool_)  # noqa: E711  # element by element
    return values, there


def _element(values: NDArray[Any], there: Mask, name: str, index: int) -> tuple[NDArray[Any], Mask]:
    """One item of each array; null beyond its end."""
    if values.ndim == 2:
        if index < values.shape[1]:
            return values[:, index], there
        return np.zeros(values.shape[0]), np.zeros(values.shape[0], np.bool_)
    if values.dtype.kind != "O" or any(
        not isinstance(value, list | np.ndarray | None) for value in values[there].tolist()
    ):
        raise ConfigError(f"{name} is no array", remedy=f"write {name} without an index")
    items = np.empty(values.shape[0], object)
    for row in np.flatnonzero(there).tolist():
        array = values[row]
        items[row] = None if array is None or index >= len(array) else array[index]
    return items, there


def _rows_by_type(values: NDArray[Any], valid: Mask) -> Iterator[NDArray[np.intp]]:
    """Rows that are not null, those of one type at a time."""
    rows = np.flatnonzero(valid)
    if values.dtype.kind != "O":
        if rows.size:
            yield rows
        return
    types: list[Any] = list(map(type, values[rows].tolist()))
    distinct = set(types)
    if datetime in distinct:  # one without a zone is of another kind
        types = [(type(value), getattr(value, "tzinfo", None) is None) for value in values[rows]]
        distinct = set(types)
    if len(distinct) == 1:
        yield rows
        return
    for each in dict.fromkeys(types):
        yield rows[np.fromiter((kind == each for kind in types), np.bool_, rows.size)]

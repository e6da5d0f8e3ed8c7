"""`Where`: Hazelcast's SQL-predicate language over columns, so that one filter means the same here and in a member.

In: a text such as `score >= 0.9 AND NOT label = 'ok'`. Out: a boolean per row of a batch. As in Hazelcast, the field
stands first, a bare field means `= true`, unquoted words are texts, a quote in a quoted text is doubled, and logic is
two-valued: a null satisfies only `= null`, `!=` and NOT. `IS NULL` and arithmetic are not in that language. One thing
differs, `=` of decimals and moments: a member tells 1.5 from 1.50 and 12:00Z from 14:00+02:00, here these are equal.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from grid_inference.errors import ConfigError
from grid_inference.flow.literals import converted
from grid_inference.wire.columns import Column

__all__ = ["Where"]

Mask = NDArray[np.bool_]
Columns = Mapping[str, NDArray[Any] | Column]

NESTING_MAX = 100
TOKEN = re.compile(r"\s*(?:(?P<quoted>'(?:[^']|'')*')|(?P<operator><=|>=|<>|!=|==|[=<>(),])|(?P<word>[^\s'<>=!(),]+))")
KEYWORDS = frozenset({"AND", "OR", "NOT", "BETWEEN", "IN", "LIKE", "ILIKE", "REGEX"})
COMPARISONS: Mapping[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<>": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
ELEMENT = re.compile(r"(?P<name>.+)\[(?P<index>\d+)\]")


@dataclass(frozen=True, slots=True)
class Where:
    """A parsed filter."""

    text: str
    """As it was written; what a member is given."""
    _root: _Node

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a filter, or raise ConfigError with the place where it can't be right."""
        return cls(text, _Parser(text).parse())

    @property
    def fields(self) -> frozenset[str]:
        """The fields it reads, as they are written: `scores[1]` is one."""
        return frozenset(self._root.fields())

    def check(self, known: Iterable[str]) -> None:
        """Raise ConfigError if a field is not among the known ones."""
        names = set(known)
        unknown = sorted(name for name in self.fields - names if _split_element(name)[0] not in names)
        if unknown:
            raise ConfigError(
                f"where = {self.text!r}: there is no field {unknown[0]!r}",
                remedy=f"the fields are {', '.join(sorted(names))}",
            )

    def mask(self, columns: Columns) -> Mask:
        """Which rows match, shape (n,). Columns are of one length n: numbers, booleans, or Python objects with None.

        Each object is compared as what it is: texts, numbers, decimals, dates, times and timestamps may stand in one
        column. A literal that is none of these raises ConfigError. An array's element is a column of its own, or the
        array is a matrix of shape (n, k).
        """
        self.check(columns)
        try:
            return self._root.mask(columns)
        except ConfigError as error:
            raise ConfigError(f"where = {self.text!r}: {error}", remedy=error.remedy) from None


@dataclass(frozen=True, slots=True)
class _Node:
    def fields(self) -> Iterator[str]:
        raise NotImplementedError

    def mask(self, columns: Columns) -> Mask:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class _Both(_Node):
    left: _Node
    right: _Node
    both: bool
    """AND, or else OR."""

    def fields(self) -> Iterator[str]:
        yield from self.left.fields()
        yield from self.right.fields()

    def mask(self, columns: Columns) -> Mask:
        left, right = self.left.mask(columns), self.right.mask(columns)
        return left & right if self.both else left | right


@dataclass(frozen=True, slots=True)
class _Not(_Node):
    inner: _Node

    def fields(self) -> Iterator[str]:
        return self.inner.fields()

    def mask(self, columns: Columns) -> Mask:
        return ~self.inner.mask(columns)


@dataclass(frozen=True, slots=True)
class _OnField(_Node):
    """A test of one field: rows that are null answer `on_null`, the others `test`."""

    on_null: ClassVar[bool] = False
    field: str

    def fields(self) -> Iterator[str]:
        yield self.field

    def mask(self, columns: Columns) -> Mask:
        values, valid = _column(columns, self.field)
        found = np.full(values.shape[0], self.null_matches(), np.bool_)
        for rows in _rows_by_type(values, valid):
            found[rows] = self.test(values[rows])
        return found

    def null_matches(self) -> bool:
        return False

    def test(self, values: NDArray[Any]) -> Any:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class _Compare(_OnField):
    symbol: str
    literal: str | None

    def null_matches(self) -> bool:
        # `x = null` finds the nulls, `x != 5` too: Hazelcast compares objects here, not SQL's unknown.
        wanted = operator.eq if self.literal is None else operator.ne
        return COMPARISONS[self.symbol] is wanted

    def test(self, values: NDArray[Any]) -> Any:
        compare = COMPARISONS[self.symbol]
        if self.literal is None:
            return np.full(values.shape[0], compare is operator.ne)
        return compare(values, converted(self.literal, values, self.field))


@dataclass(frozen=True, slots=True)
class _Between(_OnField):
    low: str
    high: str

    def test(self, values: NDArray[Any]) -> Any:
        low, high = converted(self.low, values, self.field), converted(self.high, values, self.field)
        return np.asarray(values >= low, np.bool_) & np.asarray(values <= high, np.bool_)


@dataclass(frozen=True, slots=True)
class _In(_OnField):
    literals: tuple[str, ...]

    def test(self, values: NDArray[Any]) -> Any:
        found = np.zeros(values.shape[0], np.bool_)
        for literal in self.literals:
            found |= np.asarray(values == converted(literal, values, self.field), np.bool_)
        return found


@dataclass(frozen=True, slots=True)
class _Matches(_OnField):
    """LIKE, ILIKE and REGEX: the whole text matches."""

    pattern: re.Pattern[str]

    def test(self, values: NDArray[Any]) -> Any:
        if not isinstance(values[0], str):
            raise ConfigError(f"{self.field} is no text, and LIKE, ILIKE and REGEX compare texts")
        matches = self.pattern.fullmatch
        return np.fromiter((matches(str(value)) is not None for value in values), np.bool_, values.shape[0])


def _split_element(field: str) -> tuple[str, int | None]:
    """`scores[1]` as its column and index."""
    match = ELEMENT.fullmatch(field)
    return (match["name"], int(match["index"])) if match else (field, None)


def _column(columns: Columns, field: str) -> tuple[NDArray[Any], Mask]:
    """A field's values, and which of them are not null."""
    name, index = (field, None) if field in columns else _split_element(field)
    column = columns[name]
    values, valid = (column.values, column.valid) if isinstance(column, Column) else (column, None)
    if (values.ndim == 2) != (index is not None):
        raise ConfigError(f"{name} is {'an array: write ' + name + '[0]' if values.ndim == 2 else 'no array'}")
    if index is not None:
        if index >= values.shape[1]:
            return np.zeros(values.shape[0]), np.zeros(values.shape[0], np.bool_)
        values = values[:, index]
    there = np.ones(values.shape[0], np.bool_) if valid is None else valid
    if values.dtype.kind == "O":
        there = there & np.asarray(values != None, np.bool_)  # noqa: E711  # element by element
    return values, there


def _rows_by_type(values: NDArray[Any], valid: Mask) -> Iterator[NDArray[np.intp]]:
    """Rows that are not null, those of one type at a time."""
    rows = np.flatnonzero(valid)
    if values.dtype.kind != "O":
        if rows.size:
            yield rows
        return
    types = list(map(type, values[rows].tolist()))
    for each in dict.fromkeys(types):
        yield rows[np.fromiter((kind is each for kind in types), np.bool_, rows.size)]


def _like(pattern: str, *, fold: bool) -> re.Pattern[str]:
    """`%` is any text, `_` any character; a backslash before them takes them literally."""
    parts = re.split(r"(\\[%_]|[%_])", pattern)
    wild = {"%": ".*", "_": "."}
    source = "".join(wild.get(part) or re.escape(part[1:] if part in (r"\%", r"\_") else part) for part in parts)
    return re.compile(source, re.DOTALL | (re.IGNORECASE if fold else 0))


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    quoted: bool
    at: int

    @property
    def keyword(self) -> str:
        """AND, OR, … or an operator in capitals; empty for a quoted text."""
        return "" if self.quoted else self.text.upper()


class _Parser:
    """Recursive descent over OR, AND, NOT, and the test of one field."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._split())
        self._next = 0
        self._depth = 0

    def parse(self) -> _Node:
        if not self._tokens:
            raise self._error(0, "it is empty")
        node = self._either()
        if self._next < len(self._tokens):
            raise self._unexpected("AND, OR or the end")
        return node

    def _split(self) -> Iterator[_Token]:
        at, end = 0, len(self._text.rstrip())
        while at < end:
            match = TOKEN.match(self._text, at)
            if match is None:
                rest = self._text[at:].lstrip()
                raise self._error(at, "a quote is not closed" if rest[0] == "'" else f"{rest[0]!r} has no meaning here")
            text = match[match.lastgroup or 0]
            if text.startswith('"'):
                raise self._error(at, "text stands in single quotes")
            quoted = match.lastgroup == "quoted"
            yield _Token(text[1:-1].replace("''", "'") if quoted else text, quoted, match.start(match.lastgroup or 0))
            at = match.end()

    def _either(self) -> _Node:
        node = self._every()
        while self._took("OR"):
            node = _Both(node, self._every(), both=False)
        return node

    def _every(self) -> _Node:
        node = self._negated()
        while self._took("AND"):
            node = _Both(node, self._negated(), both=True)
        return node

    def _negated(self) -> _Node:
        self._depth += 1
        if self._depth > NESTING_MAX:
            raise self._error(0, f"it is nested deeper than {NESTING_MAX}")
        if self._took("NOT"):
            node: _Node = _Not(self._negated())
        elif self._took("("):
            node = self._either()
            self._want(")")
        else:
            node = self._test()
        self._depth -= 1
        return node

    def _test(self) -> _Node:
        """A field and what is asked of it."""
        if self._at_end() or self._peek() in KEYWORDS or self._peek() in (*COMPARISONS, "(", ")", ","):
            raise self._unexpected("a field")
        token = self._take()
        if not token.quoted and re.fullmatch(r"[-+.\d].*", token.text):
            raise self._error(token.at, f"the field stands first, then the value, not {token.text}")
        field = token.text.removeprefix("this.")  # Hazelcast's word for the value
        if self._took("NOT"):
            return _Not(self._asked(field))
        if self._at_end() or self._peek() in ("AND", "OR", ")"):
            return _Compare(field, "=", "true")
        return self._asked(field)

    def _asked(self, field: str) -> _Node:
        if self._at_end() or self._peek() not in (*COMPARISONS, "BETWEEN", "IN", "LIKE", "ILIKE", "REGEX"):
            raise self._unexpected("a comparison, BETWEEN, IN, LIKE, ILIKE or REGEX")
        word = self._take()
        asked = word.keyword
        if asked in COMPARISONS:
            token = self._value()
            return _Compare(field, asked, None if token.keyword == "NULL" else token.text)
        if asked == "BETWEEN":
            low = self._value().text
            self._want("AND")
            return _Between(field, low, self._value().text)
        if asked == "IN":
            return _In(field, tuple(self._listed()))
        pattern = self._value().text
        try:
            return _Matches(field, re.compile(pattern) if asked == "REGEX" else _like(pattern, fold=asked == "ILIKE"))
        except re.error as error:
            raise self._error(word.at, f"{pattern!r} is no regular expression: {error}") from None

    def _listed(self) -> Iterator[str]:
        self._want("(")
        yield self._value().text
        while self._took(","):
            yield self._value().text
        self._want(")")

    def _value(self) -> _Token:
        if self._at_end() or self._peek() in KEYWORDS or self._peek() in (*COMPARISONS, "(", ")", ","):
            raise self._unexpected("a value")
        return self._take()

    def _at_end(self) -> bool:
        return self._next >= len(self._tokens)

    def _peek(self) -> str:
        return "" if self._at_end() else self._tokens[self._next].keyword

    def _take(self) -> _Token:
        self._next += 1
        return self._tokens[self._next - 1]

    def _took(self, keyword: str) -> bool:
        if self._peek() != keyword:
            return False
        self._next += 1
        return True

    def _want(self, keyword: str) -> None:
        if not self._took(keyword):
            raise self._unexpected(keyword)

    def _unexpected(self, wanted: str) -> ConfigError:
        if self._at_end():
            return self._error(len(self._text), f"{wanted} is missing at the end")
        token = self._tokens[self._next]
        if token.keyword == "IS":
            return self._error(token.at, "write = null or != null instead of IS NULL")
        return self._error(token.at, f"{wanted} should stand where {token.text!r} stands")

    def _error(self, at: int, problem: str) -> ConfigError:
        return ConfigError(
            f"where = {self._text!r}: {problem} (character {at + 1})",
            remedy="write it as a Hazelcast SQL predicate, e.g. score >= 0.9 AND label = 'fraud'",
        )

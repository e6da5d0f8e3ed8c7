"""The syntax of Hazelcast's SQL predicates: a filter's text → conditions.

As in Hazelcast, the field stands first, a bare field means `= true`, unquoted words are texts, and a quote in a quoted
text is doubled. `IS NULL` and arithmetic are not in that language. A member takes the text apart by rules of its own:
what it would read as something else than is written here is refused, with what to write.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from grid_inference.errors import ConfigError
from grid_inference.flow.conditions import (
    COMPARISONS,
    Between,
    Compare,
    Condition,
    Contained,
    Joined,
    Matching,
    Negated,
)
from grid_inference.flow.patterns import like, regex

__all__ = ["Parser"]

NESTING_MAX: Final = 100
TOKEN: Final = re.compile(
    r" *(?:(?P<quoted>'(?:[^']|'')*')|(?P<operator><=|>=|<>|!=|==|[=<>(),])|(?P<word>[^\s'<>=!(),]+))"
)
KEYWORDS: Final = frozenset({"AND", "OR", "NOT", "BETWEEN", "IN", "LIKE", "ILIKE", "REGEX"})
OF_ONE_CASE: Final = ("BETWEEN", "IN")
PATTERNS: Final = ("LIKE", "ILIKE", "REGEX")
TESTS: Final = (*COMPARISONS, "BETWEEN", "IN", *PATTERNS)
SIGNS: Final = (*COMPARISONS, "(", ")", ",")
NUMBER: Final = re.compile(r"[-+.\d].*")
PLACEHOLDER: Final = re.compile(r"\$[0-9]+")
"""What a member puts in the place of a quoted text; it does not tell its own from ours."""
INDEX: Final = re.compile(r"\[([^\]]*)\]")
REMEDY: Final = "write it as a Hazelcast SQL predicate, e.g. score >= 0.9 AND label = 'fraud'"


@dataclass(frozen=True, slots=True)
class Token:
    """A word, a quoted text, or an operator."""

    text: str
    quoted: bool
    at: int

    @property
    def keyword(self) -> str:
        """AND, OR, … or an operator in capitals; empty for a quoted text."""
        return "" if self.quoted else self.text.upper()


class Parser:
    """Recursive descent over OR, AND, NOT, and the test of one field."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._split())
        self._next = 0
        self._depth = 0

    def parse(self) -> Condition:
        """All of it."""
        if not self._tokens:
            raise self._error(0, "it is empty")
        condition = self._either()
        if self._next < len(self._tokens):
            raise self._unexpected("AND, OR or the end")
        return condition

    def _split(self) -> Iterator[Token]:
        at, end = 0, len(self._text.rstrip(" "))
        while at < end:
            match = TOKEN.match(self._text, at)
            if match is None:
                raise self._misplaced(at)
            yield self._token(match[match.lastgroup or 0], match.lastgroup, match.start(match.lastgroup or 0))
            at = match.end()

    def _misplaced(self, at: int) -> ConfigError:
        at += len(self._text[at:]) - len(self._text[at:].lstrip(" "))
        if self._text[at].isspace():
            return self._error(at, f"{self._text[at]!r} is no space to a member: write a space")
        quote = self._text[at] == "'"
        return self._error(at, "a quote is not closed" if quote else f"{self._text[at]!r} has no meaning here")

    def _token(self, source: str, kind: str | None, at: int) -> Token:
        if kind == "quoted":
            inner = source[1:-1]
            # A member leaves a text of two quotes alone.
            return Token(inner.replace("''", "'") if len(inner) > 2 else inner, quoted=True, at=at)
        if source.startswith('"'):
            raise self._error(at, "text stands in single quotes")
        if PLACEHOLDER.fullmatch(source):
            raise self._error(at, f"a text such as {source} stands in single quotes")
        if source.upper() in OF_ONE_CASE and source not in (source.upper(), source.lower()):
            raise self._error(at, f"a member does not know {source}: write {source.upper()}")
        return Token(source, quoted=False, at=at)

    def _either(self) -> Condition:
        parts = [self._every()]
        while self._took("OR"):
            parts.append(self._every())
        return parts[0] if len(parts) == 1 else Joined(tuple(parts), every=False)

    def _every(self) -> Condition:
        parts = [self._negated()]
        while self._took("AND"):
            parts.append(self._negated())
        return parts[0] if len(parts) == 1 else Joined(tuple(parts), every=True)

    def _negated(self) -> Condition:
        self._depth += 1
        if self._depth > NESTING_MAX:
            raise self._error(0, f"it is nested deeper than {NESTING_MAX}")
        if self._took("NOT"):
            if self._peek() == "NOT":
                raise self._twice()
            condition: Condition = Negated(self._negated() if self._peek() == "(" else self._test(negated=True))
        elif self._took("("):
            condition = self._either()
            self._want(")")
        else:
            condition = self._test()
        self._depth -= 1
        return condition

    def _test(self, *, negated: bool = False) -> Condition:
        """A field and what is asked of it."""
        token, field = self._field()
        if self._took("NOT"):
            if negated:
                self._next -= 1
                raise self._twice()
            return Negated(self._asked(token, field))
        if self._at_end() or self._peek() in ("AND", "OR", ")"):
            if token.quoted:
                raise self._error(token.at, f"write {field} without quotes, or '{field}' = true")
            return Compare(field, "=", "true")
        return self._asked(token, field)

    def _field(self) -> tuple[Token, str]:
        if self._at_end() or self._peek() in KEYWORDS or self._peek() in SIGNS:
            raise self._unexpected("a field")
        token = self._take()
        if not token.quoted and NUMBER.fullmatch(token.text):
            raise self._error(token.at, f"the field stands first, then the value, not {token.text}")
        if token.text.startswith("%"):
            raise self._error(token.at, f"no index is used or left out here: write {token.text[1:]}")
        for index in INDEX.findall(token.text):
            if not re.fullmatch("[0-9]{1,9}", index):
                raise self._error(token.at, f"[{index}] is no place in an array: write the number of one, such as [0]")
        return token, token.text.removeprefix("this.")  # Hazelcast's word for the value

    def _asked(self, of: Token, field: str) -> Condition:
        if self._at_end() or self._peek() not in TESTS:
            raise self._unexpected("a comparison, BETWEEN, IN, LIKE, ILIKE or REGEX")
        word = self._take()
        asked = word.keyword
        if asked in COMPARISONS:
            symbol = COMPARISONS[asked]
            if self._peek() == "NULL" and symbol in ("=", "!="):
                self._take()
                return Compare(field, symbol, None)
            return Compare(field, symbol, self._value().text)
        if asked == "BETWEEN":
            if of.quoted:
                raise self._error(of.at, f"a quoted field is not read before BETWEEN: write '{field}' >= … AND …")
            low = self._value().text
            self._want("AND")
            return Between(field, low, self._value().text)
        if asked == "IN":
            return Contained(field, tuple(self._listed()))
        pattern = self._value().text
        try:
            return Matching(field, regex(pattern) if asked == "REGEX" else like(pattern, fold=asked == "ILIKE"))
        except ConfigError as error:
            raise self._error(word.at, str(error)) from None

    def _listed(self) -> Iterator[str]:
        self._want("(")
        yield self._value().text
        while self._took(","):
            yield self._value().text
        self._want(")")

    def _value(self) -> Token:
        if self._at_end() or self._peek() in KEYWORDS or self._peek() in SIGNS:
            raise self._unexpected("a value")
        if self._peek() == "NULL":
            raise self._error(self._tokens[self._next].at, "null is compared by = and != only")
        return self._take()

    def _at_end(self) -> bool:
        return self._next >= len(self._tokens)

    def _peek(self) -> str:
        return "" if self._at_end() else self._tokens[self._next].keyword

    def _take(self) -> Token:
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

    def _twice(self) -> ConfigError:
        return self._error(self._tokens[self._next].at, "a NOT stands before it: write NOT (…) around the inner one")

    def _unexpected(self, wanted: str) -> ConfigError:
        if self._at_end():
            return self._error(len(self._text), f"{wanted} is missing at the end")
        token = self._tokens[self._next]
        if token.keyword == "IS":
            return self._error(token.at, "write = null or != null instead of IS NULL")
        return self._error(token.at, f"{wanted} should stand where {token.text!r} stands")

    def _error(self, at: int, problem: str) -> ConfigError:
        return ConfigError(f"where = {self._text!r}: {problem} (character {at + 1})", remedy=REMEDY)

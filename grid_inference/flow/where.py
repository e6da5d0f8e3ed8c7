"""`Where`: Hazelcast's SQL-predicate language over columns, so that one filter means the same here and in a member.

In: a text such as `score >= 0.9 AND NOT label = 'ok'`. Out: a boolean per row of a batch. What can't mean the same is
refused, as is a comparison of unlike kinds, which a member only fails at, event by event. One thing differs, `=` of
decimals and moments: a member tells 1.5 from 1.50 and 12:00Z from 14:00+02:00, here these are equal.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from grid_inference.errors import ConfigError
from grid_inference.flow.conditions import Columns, Condition, Kinds, split_element
from grid_inference.flow.order import Mask
from grid_inference.flow.syntax import Parser

__all__ = ["Where"]


@dataclass(frozen=True, slots=True)
class Where:
    """A parsed filter."""

    text: str
    """As it was written; what a member is given."""
    _root: Condition

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a filter, or raise ConfigError with the place where it can't be right."""
        return cls(text, Parser(text).parse())

    @property
    def fields(self) -> frozenset[str]:
        """The fields it reads, as they are written: `scores[1]` is one."""
        return frozenset(self._root.fields())

    def check(self, kinds: Kinds) -> None:
        """Raise ConfigError if a field is not among these, or is compared with what is not of its kind.

        None is a kind that is not known: what is compared with it is left to the values.
        """
        self._check_names(kinds)
        try:
            self._root.check(kinds)
        except ConfigError as error:
            raise self._named(error) from None

    def mask(self, columns: Columns) -> Mask:
        """Which rows match, shape (n,). Columns are of one length n: numbers, booleans, or Python objects with None.

        Each object is compared as what it is: texts, numbers, decimals, dates, times and timestamps may stand in one
        column. A literal that is none of these raises ConfigError. An array's element is a column of its own, or the
        array is a matrix of shape (n, k) or a column of lists.
        """
        self._check_names(columns)
        try:
            return self._root.mask(columns)
        except ConfigError as error:
            raise self._named(error) from None

    def _check_names(self, known: Iterable[str]) -> None:
        names = set(known)
        unknown = sorted(name for name in self.fields - names if split_element(name)[0] not in names)
        if unknown:
            raise ConfigError(
                f"where = {self.text!r}: there is no field {unknown[0]!r}",
                remedy=f"the fields are {', '.join(sorted(names))}",
            )

    def _named(self, error: ConfigError) -> ConfigError:
        return ConfigError(f"where = {self.text!r}: {error}", remedy=error.remedy)

"""One column of a file, from texts or JSON values to an array: what most of its first values are, all have to be.

Kinds are `whole number`, `number`, `boolean` and `text`. What is empty is null: NaN among numbers, None among texts.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

__all__ = ["BOOLEAN", "NUMBER", "TEXT", "WHOLE", "Values", "of_objects", "of_texts"]

pc: Any = pyarrow.compute  # makes its functions at import, which a type checker can't see
WHOLE, NUMBER, BOOLEAN, TEXT = "whole number", "number", "boolean", "text"
WHOLE_PATTERN: Final = r"^[+-]?[0-9]{1,19}$"
NUMBER_PATTERN: Final = r"^[+-]?([0-9]+\.?[0-9]*([eE][+-]?[0-9]+)?|\.[0-9]+([eE][+-]?[0-9]+)?|(?i:nan|inf|infinity))$"
BOOLEAN_PATTERN: Final = r"^(?i:true|false)$"
MISSING: Final = ("NA", "N/A", "NULL", "null", "None")
"""What stands for nothing in a column of numbers."""
INT64_MAX: Final = 2**63 - 1


@dataclass(slots=True, eq=False)
class Values:
    """A column's values, and which rows have none or a wrong one."""

    kind: str
    values: NDArray[Any]
    null: NDArray[np.bool_]
    wrong: NDArray[np.bool_]
    """What stands there is not of this kind; `values` has a null there."""
    given: Any = None
    """The values as they came, for messages."""

    def shown(self, row: int) -> str:
        """A wrong value as it came, shortened."""
        value = self.given[row]
        text = str(value.as_py() if hasattr(value, "as_py") else value)
        return text if len(text) <= 40 else f"{text[:37]}..."

    def take(self, rows: NDArray[np.int64]) -> Self:
        """Some of the rows."""
        given = self.given.take(pa.array(rows))
        return type(self)(self.kind, self.values[rows], self.null[rows], self.wrong[rows], given)

    @classmethod
    def of_arrow(cls, column: Any, *, key: bool) -> Self:
        """A column whose type is known already."""
        null = column.is_null().to_numpy(zero_copy_only=False)
        if key and pa.types.is_integer(column.type):
            column = column.fill_null(0)
        return cls(
            str(column.type), column.to_numpy(zero_copy_only=False), null, np.zeros(len(column), np.bool_), column
        )


def of_texts(column: Any, kinds: dict[str, str], name: str, *, key: bool = False) -> Values:
    """A column of texts; its kind is taken from `kinds`, or found out and put there.

    Keys are whole numbers or texts unless `kinds` says otherwise, and never rounded: a row without one is left out.
    """
    trimmed = pc.utf8_trim_whitespace(column)
    if name not in kinds and len(column) > column.null_count:
        kinds[name] = _kind_of_keys(trimmed) if key else _kind_of_texts(trimmed)
    kind = kinds.get(name, NUMBER)
    if kind == TEXT:
        return Values(kind, column.to_numpy(zero_copy_only=False), _mask(column.is_null()), _none(column), column)
    cleared = pc.if_else(pc.is_in(trimmed, value_set=pa.array(MISSING)), pa.scalar(None, pa.string()), trimmed)
    if kind == WHOLE and not key and _mostly(cleared, NUMBER_PATTERN, WHOLE_PATTERN):
        kind = kinds[name] = NUMBER  # fractions came later than the first values
    pattern = {WHOLE: WHOLE_PATTERN, NUMBER: NUMBER_PATTERN, BOOLEAN: BOOLEAN_PATTERN}[kind]
    fits = pc.match_substring_regex(cleared, pattern)
    wrong = _mask(pc.fill_null(pc.invert(fits), fill_value=False))
    right = pc.if_else(fits, cleared, pa.scalar(None, pa.string()))
    null = _mask(cleared.is_null())
    # What is left out anyway must not make floats of the others.
    left_out = wrong | null if key else wrong
    filled = pc.if_else(pa.array(left_out), pa.scalar("0"), right) if kind == WHOLE else right
    return _converted(kind, filled, null, wrong, column)


def _converted(kind: str, texts: Any, null: NDArray[np.bool_], wrong: NDArray[np.bool_], given: Any) -> Values:
    if kind == BOOLEAN:
        values = pc.equal(pc.utf8_lower(texts), "true").to_numpy(zero_copy_only=False)
        return Values(kind, values, null, wrong, given)
    if kind == WHOLE:
        try:
            return Values(kind, texts.cast(pa.int64()).to_numpy(zero_copy_only=False), null, wrong, given)
        except pa.ArrowInvalid:
            large = np.array([text is not None and abs(int(text)) > INT64_MAX for text in texts.to_pylist()], np.bool_)
            fitting = pc.if_else(pa.array(~large), texts, pa.scalar("0"))
            return _converted(kind, fitting, null, wrong | large, given)
    values = texts.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return Values(kind, values, null, wrong, given)


def _kind_of_keys(column: Any) -> str:
    return WHOLE if _mostly(column.drop_null(), WHOLE_PATTERN) else TEXT


def _kind_of_texts(column: Any) -> str:
    present = column.drop_null()
    if _mostly(present, BOOLEAN_PATTERN):
        return BOOLEAN
    if not _mostly(present, NUMBER_PATTERN):
        return TEXT
    return NUMBER if _count(present, NUMBER_PATTERN) > _count(present, WHOLE_PATTERN) else WHOLE


def _count(column: Any, pattern: str) -> int:
    return pc.sum(pc.match_substring_regex(column, pattern)).as_py() or 0


def _mostly(column: Any, pattern: str, but: str | None = None) -> bool:
    """Whether more than half of the values match, or of those that do not match `but`."""
    count, total = _count(column, pattern), len(column) - column.null_count
    others = _count(column, but) if but else 0
    return (count - others) * 2 > total - others


def _mask(column: Any) -> NDArray[np.bool_]:
    return column.to_numpy(zero_copy_only=False).astype(np.bool_)


def _none(column: Any) -> NDArray[np.bool_]:
    return np.zeros(len(column), np.bool_)


# ---- JSON values

_KINDS: Final[dict[type, str]] = {bool: BOOLEAN, int: WHOLE, float: NUMBER, str: TEXT}


def of_objects(values: list[Any], kinds: dict[str, str], name: str, *, key: bool = False) -> Values:
    """A column of JSON values; its kind is taken from `kinds`, or found out and put there."""
    if name not in kinds and any(value is not None for value in values):
        kinds[name] = _kind_of_objects(values)
    kind = kinds.get(name, NUMBER)
    if kind == WHOLE and not key and any(type(value) is float for value in values):
        kind = kinds[name] = NUMBER
    allowed = {WHOLE: (int,), NUMBER: (int, float), BOOLEAN: (bool,), TEXT: (str,)}[kind]
    null = np.array([value is None for value in values], np.bool_)
    wrong = np.array([value is not None and not _is(value, allowed) for value in values], np.bool_)
    plain: list[Any] = [None if bad else value for value, bad in zip(values, wrong.tolist(), strict=True)]
    return Values(kind, _array(kind, plain, whole=key or not bool(null.any())), null, wrong, values)


def _kind_of_objects(values: list[Any]) -> str:
    counts = Counter(_KINDS.get(type(value), TEXT) for value in values if value is not None)
    if counts[NUMBER] and counts[WHOLE] + counts[NUMBER] >= max(counts.values()):
        return NUMBER
    return counts.most_common(1)[0][0]


def _is(value: Any, allowed: tuple[type, ...]) -> bool:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > INT64_MAX:
        return False
    return type(value) in allowed


def _array(kind: str, values: list[Any], *, whole: bool) -> NDArray[Any]:
    if kind == NUMBER or (kind == WHOLE and not whole):
        return np.array([np.nan if value is None else value for value in values], np.float64)
    if kind == WHOLE:
        return np.array([value or 0 for value in values], np.int64)
    if kind == BOOLEAN and None not in values:
        return np.array(values, np.bool_)
    return np.array(values, object)

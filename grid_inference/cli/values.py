"""One column of a file, from texts, JSON values or Arrow to a column: what its first values are, all have to be.

Most of the first values make a column of texts whole numbers, numbers or booleans, and all of them dates or timestamps;
any other stays text, as does one with a zero before a whole number, and says which values made it so. JSON values and
Arrow's columns have types already. What is empty is null: NaN among numbers that were texts or JSON. A kind never
depends on which rows are empty.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray
from pyarrow import types

from grid_inference.wire.arrow.columns import arrow_kind, column_of_arrow, plain_arrow
from grid_inference.wire.columns import EXACT_MAX, Column, objects_of
from grid_inference.wire.kinds import is_double
from grid_inference.wire.schema import FieldKind

__all__ = ["NUMBER", "TEXT", "WHOLE", "Values", "is_of_a_field", "of_arrow", "of_objects", "of_texts"]

pc: Any = pyarrow.compute  # makes its functions at import, which a type checker can't see
WHOLE, NUMBER, BOOLEAN, TEXT = "whole number", "number", "boolean", "text"
COMMA: Final = "number with a decimal comma"
UNPADDED: Final = " without a zero before it"
PLAIN: Final = "whole number without a plus sign or a zero before it"
"""Of keys: 7, 007 and +7 are three texts and one number."""
DATE, TIMESTAMP, ZONED = "date", "timestamp", "timestamp with time zone"
ARRAY: Final = "array"
WHOLE_PATTERN: Final = r"^[+-]?[0-9]{1,19}$"
NUMBER_PATTERN: Final = r"^[+-]?([0-9]+\.?[0-9]*([eE][+-]?[0-9]+)?|\.[0-9]+([eE][+-]?[0-9]+)?|(?i:nan|inf|infinity))$"
PLAIN_PATTERN: Final = r"^(0|-?[1-9][0-9]{0,18})$"
WHOLE_FLOAT_PATTERN: Final = r"^(0|-?[1-9][0-9]{0,15})(\.0+)?$"
"""Of keys: whole numbers that went through a column of floats, as those beside a gap do in pandas."""
PADDED_PATTERN: Final = r"^[+-]?0[0-9]+$"
"""A code rather than a number, as of a place or a bank: 007 and 7 are two."""
COMMA_PATTERN: Final = r"^[+-]?[0-9]+(,[0-9]+)?([eE][+-]?[0-9]+)?$"
WITH_COMMA_PATTERN: Final = r"^[+-]?[0-9]+,[0-9]+([eE][+-]?[0-9]+)?$"
THOUSANDS_PATTERN: Final = r"^[+-]?[1-9][0-9]{0,2},[0-9]{3}$"
"""What may as well be 1,234 as one and a bit."""
BOOLEAN_PATTERN: Final = r"^(?i:true|false)$"
DAY: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
CLOCK: Final = r"[0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?"
MOMENT_PATTERNS: Final = {
    DATE: f"^{DAY}$",
    TIMESTAMP: f"^{DAY}[T ]{CLOCK}$",
    ZONED: f"^{DAY}[T ]{CLOCK}(Z|[+-][0-9]{{2}}(:?[0-9]{{2}})?)$",
}
"""ISO 8601 with dashes and colons; a space may stand for the T, as pandas writes it."""
MISSING: Final = ("NA", "N/A", "NULL", "null", "None")
"""What stands for nothing in a column that is no text."""
INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1


@dataclass(frozen=True, slots=True, eq=False)
class Strays:
    """Which values made a text of a column that otherwise were something more."""

    kind: str
    rows: NDArray[np.intp]


@dataclass(slots=True, eq=False)
class Values:
    """A column, and which rows have nothing or something wrong."""

    kind: str
    column: Column
    null: NDArray[np.bool_]
    wrong: NDArray[np.bool_]
    """What stands there is not of this kind; the column has anything there."""
    given: Any = None
    """The values as they came, for messages."""
    strays: Strays | None = None

    def shown(self, row: int) -> str:
        """A value as it came, shortened."""
        value = self.given[row]
        text = str(value.as_py() if hasattr(value, "as_py") else value)
        return text if len(text) <= 40 else f"{text[:37]}..."

    def take(self, rows: NDArray[np.int64]) -> Self:
        """Some of the rows, in order."""
        strays = self.strays
        if strays is not None:
            strays = replace(strays, rows=np.searchsorted(rows, strays.rows[np.isin(strays.rows, rows)]))
        given = self.given.take(pa.array(rows))
        return type(self)(self.kind, self.column.take(rows), self.null[rows], self.wrong[rows], given, strays)


def of_texts(column: Any, kinds: dict[str, str], name: str, *, key: bool = False) -> Values:
    """A column of texts; its kind is taken from `kinds`, or found out and put there.

    Keys are whole numbers or texts unless `kinds` says otherwise, and never rounded: a row without one is left out.
    """
    trimmed = pc.utf8_trim_whitespace(column)
    if key and kinds.get(name, PLAIN) == PLAIN:
        trimmed = _without_points(trimmed)
    null, strays = _mask(column.is_null()), None
    if name not in kinds and len(column) > column.null_count:
        kinds[name], strays = _kind_of_keys(trimmed) if key else _kind_of_texts(trimmed)
    if name not in kinds:
        return Values(TEXT, Column(np.full(len(column), None, np.object_), ~null), null, _none(column), column)
    kind = kinds[name]
    if kind == TEXT:
        texts = Column(column.to_numpy(zero_copy_only=False), ~null, kind=FieldKind.STRING)
        return Values(kind, texts, null, _none(column), column, strays)
    cleared = _cleared(trimmed)
    if kind in MOMENT_PATTERNS:
        return _moments(kind, cleared, column)
    if kind == WHOLE and not key and _mostly(cleared, NUMBER_PATTERN, WHOLE_PATTERN):
        kind = kinds[name] = NUMBER  # fractions came later than the first values
    fits, said = pc.match_substring_regex(cleared, _PATTERNS[kind]), kind
    if not key and kind != BOOLEAN and _count(cleared, PADDED_PATTERN):
        fits, said = pc.and_not(fits, pc.match_substring_regex(cleared, PADDED_PATTERN)), f"{kind}{UNPADDED}"
    wrong = _mask(pc.fill_null(pc.invert(fits), fill_value=False))
    right = pc.if_else(fits, cleared, pa.scalar(None, pa.string()))
    found = replace(_converted(kind, right, _mask(cleared.is_null()), wrong, column), kind=said)
    if key and kind == NUMBER:
        found.null = found.null | np.isnan(found.column.values)
    return found


_PATTERNS: Final = {
    WHOLE: WHOLE_PATTERN,
    PLAIN: PLAIN_PATTERN,
    NUMBER: NUMBER_PATTERN,
    COMMA: COMMA_PATTERN,
    BOOLEAN: BOOLEAN_PATTERN,
}


def _without_points(keys: Any) -> Any:
    """1.0 as 1 if all keys are such; one beyond 2^53 may have been another number, and stays what it is not."""
    whole = pc.fill_null(pc.match_substring_regex(keys, WHOLE_FLOAT_PATTERN), fill_value=True)
    return pc.replace_substring_regex(keys, r"^(-?[0-9]{1,15})\.0+$", r"\1") if pc.all(whole).as_py() else keys


def _cleared(column: Any) -> Any:
    return pc.if_else(pc.is_in(column, value_set=pa.array(MISSING)), pa.scalar(None, pa.string()), column)


def _converted(kind: str, texts: Any, null: NDArray[np.bool_], wrong: NDArray[np.bool_], given: Any) -> Values:
    """Texts that fit their kind, null elsewhere."""
    texts = pc.utf8_ltrim(texts, "+")  # which Arrow knows before no number
    if kind == BOOLEAN:
        return Values(kind, column_of_arrow("", pc.equal(pc.utf8_lower(texts), "true")), null, wrong, given)
    if kind in (WHOLE, PLAIN):
        whole = [None if text is None else int(text) for text in texts.to_pylist()] if _digits(texts) > 18 else None
        if whole is None:
            return Values(kind, column_of_arrow("", texts.cast(pa.int64())), null, wrong, given)
        large = np.array([each is not None and not INT64_MIN <= each <= INT64_MAX for each in whole], np.bool_)
        fitting = pa.array([None if bad else each for each, bad in zip(whole, large.tolist(), strict=True)], pa.int64())
        return Values(kind, column_of_arrow("", fitting), null, wrong | large, given)
    numbers = pc.replace_substring(texts, ",", ".") if kind == COMMA else texts
    values: NDArray[Any] = numbers.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return Values(kind, Column(values), null, wrong | _rounded(numbers, values), given)


def _digits(texts: Any) -> int:
    return pc.max(pc.utf8_length(texts)).as_py() or 0


def _rounded(texts: Any, values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which whole numbers are others as doubles; fractions are taken for measurements."""
    rounded = np.zeros(values.size, np.bool_)
    for row in np.flatnonzero(np.abs(values) >= EXACT_MAX).tolist():
        text = texts[row].as_py()
        rounded[row] = text.lstrip("+-").isdigit() and int(text) != int(values[row])
    return rounded


def _kind_of_keys(column: Any) -> tuple[str, Strays | None]:
    if not _mostly(column.drop_null(), WHOLE_PATTERN):
        return TEXT, None
    whole = _mask(pc.fill_null(pc.match_substring_regex(column, WHOLE_PATTERN), fill_value=False))
    odd = whole & ~_mask(pc.fill_null(pc.match_substring_regex(column, PLAIN_PATTERN), fill_value=False))
    return (TEXT, Strays(PLAIN, np.flatnonzero(odd))) if odd.any() else (PLAIN, None)


def _kind_of_texts(column: Any) -> tuple[str, Strays | None]:
    present = column.drop_null()
    if _mostly(present, BOOLEAN_PATTERN):
        return BOOLEAN, None
    padded = pc.fill_null(pc.match_substring_regex(column, PADDED_PATTERN), fill_value=False)
    if pc.any(padded).as_py() and (_mostly(present, NUMBER_PATTERN) or _mostly(present, COMMA_PATTERN)):
        return TEXT, Strays(f"{NUMBER}{UNPADDED}", np.flatnonzero(_mask(padded)))
    commas, points = _count(present, WITH_COMMA_PATTERN), _count(present, r"^[+-]?[0-9]*\.")
    if commas > max(points, _count(present, THOUSANDS_PATTERN)) and _mostly(present, COMMA_PATTERN):
        return COMMA, None
    if _mostly(present, NUMBER_PATTERN):
        return NUMBER if _count(present, NUMBER_PATTERN) > _count(present, WHOLE_PATTERN) else WHOLE, None
    if commas and _mostly(present, COMMA_PATTERN):
        mixed = pc.fill_null(pc.match_substring_regex(column, WITH_COMMA_PATTERN), fill_value=False)
        return TEXT, Strays("number, unless its comma stands before thousands", np.flatnonzero(_mask(mixed)))
    return _kind_of_moments(_cleared(column))


def _count(column: Any, pattern: str) -> int:
    return pc.sum(pc.match_substring_regex(column, pattern)).as_py() or 0


def _mostly(column: Any, pattern: str, but: str | None = None) -> bool:
    """Whether more than half of the values match, or of those that do not match `but`."""
    count, total = _count(column, pattern), len(column) - column.null_count
    others = _count(column, but) if but else 0
    return (count - others) * 2 > total - others


def _kind_of_moments(column: Any) -> tuple[str, Strays | None]:
    """Most of a column of dates is no sign of the others: they all are, or it is text."""
    count = len(column) - column.null_count
    strays: Strays | None = None
    for kind in MOMENT_PATTERNS if count else ():
        wrong = np.flatnonzero(_moments(kind, column, column).wrong)
        if not wrong.size:
            return kind, None
        if wrong.size * 2 < count:
            strays = Strays(kind, wrong)
    return TEXT, strays


def _moments(kind: str, texts: Any, given: Any) -> Values:
    """Dates or timestamps; those with a time zone stay Python's, as only these know theirs."""
    fits = _mask(pc.fill_null(pc.match_substring_regex(texts, MOMENT_PATTERNS[kind]), fill_value=False))
    parse: Callable[[str], date] = date.fromisoformat if kind == DATE else datetime.fromisoformat
    found = [_parsed(parse, text) if fit else None for text, fit in zip(texts.to_pylist(), fits.tolist(), strict=True)]
    null = _mask(texts.is_null())
    there = np.array([moment is not None for moment in found], np.bool_)
    values = objects_of(found).values if kind == ZONED else np.array(found, "M8[D]" if kind == DATE else "M8[us]")
    return Values(kind, Column(values, there, kind=_MOMENT_KINDS[kind]), null, ~there & ~null, given)


_MOMENT_KINDS: Final = {
    DATE: FieldKind.DATE,
    TIMESTAMP: FieldKind.TIMESTAMP,
    ZONED: FieldKind.TIMESTAMP_WITH_TIMEZONE,
}


def _parsed(parse: Callable[[str], date], text: str) -> date | None:
    """None for a day or an hour that there is not."""
    try:
        return parse(text)
    except ValueError:
        return None


def _mask(column: Any) -> NDArray[np.bool_]:
    return column.to_numpy(zero_copy_only=False).astype(np.bool_)


def _none(column: Any) -> NDArray[np.bool_]:
    return np.zeros(len(column), np.bool_)


# ---- JSON values

_KINDS: Final[dict[type, str]] = {bool: BOOLEAN, int: WHOLE, float: NUMBER, str: TEXT, list: ARRAY}


def of_objects(values: list[Any], kinds: dict[str, str], name: str, *, key: bool = False) -> Values:
    """A column of JSON values; its kind is taken from `kinds`, or found out and put there."""
    if name not in kinds and any(value is not None for value in values):
        found = _kind_of_objects(values)
        kinds[name] = TEXT if key and found == ARRAY else found
    null = np.array([value is None for value in values], np.bool_)
    if name not in kinds:
        return Values(TEXT, objects_of(values), null, np.zeros(len(values), np.bool_), values)
    kind = kinds[name]
    if kind.startswith(ARRAY):
        return _of_lists(_lists_of_numbers(values), null, kinds, name, values)
    if kind == WHOLE and not key and any(type(value) is float for value in values):
        kind = kinds[name] = NUMBER
    allowed = {WHOLE: (int,), NUMBER: (int, float), BOOLEAN: (bool,), TEXT: (str,)}[kind]
    wrong = np.array([value is not None and not _is(value, allowed) for value in values], np.bool_)
    if kind == NUMBER:
        wrong |= np.array([_is_rounded(value) for value in values], np.bool_)
    plain: list[Any] = [None if bad else value for value, bad in zip(values, wrong.tolist(), strict=True)]
    return Values(kind, _column(kind, plain), null, wrong, values)


def _kind_of_objects(values: list[Any]) -> str:
    counts = Counter(_KINDS.get(type(value), TEXT) for value in values if value is not None)
    if counts[NUMBER] and counts[WHOLE] + counts[NUMBER] >= max(counts.values()):
        return NUMBER
    return counts.most_common(1)[0][0]


def _is(value: Any, allowed: tuple[type, ...]) -> bool:
    if isinstance(value, int) and not isinstance(value, bool) and not INT64_MIN <= value <= INT64_MAX:
        return False
    return type(value) in allowed


def _is_rounded(value: Any) -> bool:
    """Whether a whole number is another one as a double."""
    return type(value) is int and not is_double(value)


def _column(kind: str, values: list[Any]) -> Column:
    if kind == NUMBER:
        return Column(np.array([np.nan if value is None else value for value in values], np.float64))
    return column_of_arrow("", pa.array(values, {WHOLE: pa.int64(), BOOLEAN: pa.bool_(), TEXT: pa.string()}[kind]))


def _lists_of_numbers(values: list[Any]) -> Any:
    """An Arrow array of lists, null where there is something else; a null among numbers is NaN, as JSON has none.

    A whole number that a double would round is something else.
    """
    lists = [
        [float("nan") if item is None else float(item) for item in value]
        if isinstance(value, list)
        and all(item is None or (_is(item, (int, float)) and not _is_rounded(item)) for item in value)
        else None
        for value in values
    ]
    return pa.array(lists, pa.list_(pa.float64()))


# ---- Arrow's columns


def is_of_a_field(kind: Any) -> bool:
    """Whether a record has a field for an Arrow type."""
    return types.is_null(kind) or arrow_kind(kind) is not None


def of_arrow(column: Any, kinds: dict[str, str], name: str, *, nullable: bool, key: bool = False) -> Values:
    """A column of a file that has types; `kinds` may ask for text. `nullable`: what its field says of itself."""
    column = plain_arrow(column)
    if key:
        column = _as_keys(column)
        if types.is_floating(column.type):
            column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    if kinds.get(name) == TEXT:
        column = column.cast(pa.string())
    found = column_of_arrow(name, column, nullable=nullable)
    null, wrong = _mask(column.is_null()), _none(column)
    if key and found.values.dtype.kind == "f" and name not in kinds:
        wrong = np.abs(found.values) > EXACT_MAX  # a float so large may have been another whole number
    if found.kind is not None and found.kind.name.startswith("ARRAY_OF") and found.kind not in _ARRAYS_OF_OTHERS:
        return _of_lists(column, null, kinds, name, column)
    return Values(str(column.type), found, null, wrong & ~null, column)


_ARRAYS_OF_OTHERS: Final = frozenset(
    FieldKind[f"ARRAY_OF_{kind}"]
    for kind in ("STRING", "DECIMAL", "TIME", "DATE", "TIMESTAMP", "TIMESTAMP_WITH_TIMEZONE")
)


def _as_keys(column: Any) -> Any:
    """Decimals without fractions are whole numbers; what else no key can be becomes text."""
    if types.is_decimal(column.type) and not column.type.scale:
        return column.cast(pa.int64())
    odd = types.is_temporal(column.type) or types.is_decimal(column.type)
    return column.cast(pa.string()) if odd else column


def _of_lists(lists: Any, null: NDArray[np.bool_], kinds: dict[str, str], name: str, given: Any) -> Values:
    """Arrays of numbers, as many in every row as in the first one."""
    lengths = pc.fill_null(pc.list_value_length(lists), -1).to_numpy(zero_copy_only=False)
    first = next((length for length in lengths.tolist() if length > 0), None)
    if first and kinds.get(name, ARRAY) == ARRAY:
        kinds[name] = f"{ARRAY} of {first} numbers"
    kind = kinds.get(name, ARRAY)
    length = 1 if kind == ARRAY else int(kind.split()[2])
    fits = lengths == length
    found = column_of_arrow(name, pc.if_else(pa.array(fits), lists, pa.scalar(None, lists.type)))
    return Values(kind, found, null, ~fits & ~null, given)

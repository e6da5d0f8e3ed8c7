"""One column of a file, from texts, JSON values or Arrow to an array: what its first values are, all have to be.

Most of the first values make a column of texts whole numbers, numbers or booleans, and all of them dates or timestamps;
any other stays text. JSON values and Arrow's columns have types already. What is empty is null: NaN among numbers that
were texts or JSON, NaT among dates, masked or None elsewhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray
from pyarrow import types

__all__ = ["NUMBER", "TEXT", "WHOLE", "Values", "is_of_a_field", "of_arrow", "of_objects", "of_texts"]

pc: Any = pyarrow.compute  # makes its functions at import, which a type checker can't see
WHOLE, NUMBER, BOOLEAN, TEXT = "whole number", "number", "boolean", "text"
DATE, TIMESTAMP, ZONED = "date", "timestamp", "timestamp with time zone"
ARRAY: Final = "array"
WHOLE_PATTERN: Final = r"^[+-]?[0-9]{1,19}$"
NUMBER_PATTERN: Final = r"^[+-]?([0-9]+\.?[0-9]*([eE][+-]?[0-9]+)?|\.[0-9]+([eE][+-]?[0-9]+)?|(?i:nan|inf|infinity))$"
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
    cleared = _cleared(trimmed)
    if kind in MOMENT_PATTERNS:
        return _moments(kind, cleared, column)
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


def _cleared(column: Any) -> Any:
    return pc.if_else(pc.is_in(column, value_set=pa.array(MISSING)), pa.scalar(None, pa.string()), column)


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
        return _kind_of_moments(_cleared(present).drop_null())
    return NUMBER if _count(present, NUMBER_PATTERN) > _count(present, WHOLE_PATTERN) else WHOLE


def _count(column: Any, pattern: str) -> int:
    return pc.sum(pc.match_substring_regex(column, pattern)).as_py() or 0


def _mostly(column: Any, pattern: str, but: str | None = None) -> bool:
    """Whether more than half of the values match, or of those that do not match `but`."""
    count, total = _count(column, pattern), len(column) - column.null_count
    others = _count(column, but) if but else 0
    return (count - others) * 2 > total - others


def _kind_of_moments(present: Any) -> str:
    """Half of a column of dates is no sign of anything: they all are, or it is text."""
    kinds = MOMENT_PATTERNS if len(present) else ()
    return next((kind for kind in kinds if not _moments(kind, present, present).wrong.any()), TEXT)


def _moments(kind: str, texts: Any, given: Any) -> Values:
    """Dates or timestamps; those with a time zone stay Python's, as only these know theirs."""
    fits = _mask(pc.fill_null(pc.match_substring_regex(texts, MOMENT_PATTERNS[kind]), fill_value=False))
    parse: Callable[[str], date] = date.fromisoformat if kind == DATE else datetime.fromisoformat
    found = [_parsed(parse, text) if fit else None for text, fit in zip(texts.to_pylist(), fits.tolist(), strict=True)]
    null = _mask(texts.is_null())
    wrong = np.array([moment is None for moment in found], np.bool_) & ~null
    return Values(kind, np.array(found, {DATE: "M8[D]", TIMESTAMP: "M8[us]", ZONED: object}[kind]), null, wrong, given)


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
    kind = kinds.get(name, NUMBER)
    null = np.array([value is None for value in values], np.bool_)
    if kind.startswith(ARRAY):
        return _of_lists(_lists_of_numbers(values), null, kinds, name, values)
    if kind == WHOLE and not key and any(type(value) is float for value in values):
        kind = kinds[name] = NUMBER
    allowed = {WHOLE: (int,), NUMBER: (int, float), BOOLEAN: (bool,), TEXT: (str,)}[kind]
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


def _lists_of_numbers(values: list[Any]) -> Any:
    """An Arrow array of lists, null where there is something else."""
    lists = [
        [None if item is None else float(item) for item in value]
        if isinstance(value, list) and all(item is None or _is(item, (int, float)) for item in value)
        else None
        for value in values
    ]
    return pa.array(lists, pa.list_(pa.float64()))


# ---- Arrow's columns


def is_of_a_field(kind: Any) -> bool:
    """Whether a record has a field for an Arrow type."""
    if types.is_dictionary(kind):
        return is_of_a_field(kind.value_type)
    if _is_list(kind):
        return _is_number(kind.value_type)
    return _is_number(kind) or any(each(kind) for each in _OTHER_TYPES)


_OTHER_TYPES: Final[tuple[Callable[[Any], bool], ...]] = (
    types.is_string,
    types.is_large_string,
    types.is_string_view,
    types.is_null,
    types.is_date,
    types.is_time,
    types.is_timestamp,
    types.is_decimal,
)


def _is_list(kind: Any) -> bool:
    return types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)


def _is_number(kind: Any) -> bool:
    return types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind)


def of_arrow(column: Any, kinds: dict[str, str], name: str, *, nullable: bool, key: bool = False) -> Values:
    """A column of a file that has types; `kinds` may ask for text. `nullable`: some of the file's values are null."""
    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if key:
        column = _as_keys(column)
    if kinds.get(name) == TEXT:
        column = column.cast(pa.string())
    null = _mask(column.is_null())
    if _is_list(column.type):
        return _of_lists(column, null, kinds, name, column)
    masked = null if nullable and not key else None
    values = _numbers(column, masked) if _is_number(column.type) else _others(column)
    return Values(str(column.type), values, null, _none(column), column)


def _as_keys(column: Any) -> Any:
    """Decimals without fractions are whole numbers; what else no key can be becomes text."""
    if types.is_decimal(column.type) and not column.type.scale:
        return column.cast(pa.int64())
    odd = types.is_temporal(column.type) or types.is_decimal(column.type)
    return column.cast(pa.string()) if odd else column


def _numbers(column: Any, null: NDArray[np.bool_] | None) -> NDArray[Any]:
    """Numbers or booleans, masked where they are null."""
    if types.is_uint64(column.type):
        column = column.cast(pa.int64())  # the widest that a record holds
    zero = False if types.is_boolean(column.type) else 0
    values = column.fill_null(zero).to_numpy(zero_copy_only=False)
    return values if null is None else np.ma.MaskedArray(values, null)


def _others(column: Any) -> NDArray[Any]:
    """Dates and timestamps without a zone as numpy's, all else as Python's, which are cut off at microseconds."""
    kind = column.type
    if types.is_date(kind):
        return column.cast(pa.date32()).to_numpy(zero_copy_only=False)
    if types.is_timestamp(kind) and kind.tz and column.null_count < len(column):  # NaT alone has no zone to keep
        return np.array(column.cast(pa.timestamp("us", kind.tz), safe=False).to_pylist(), np.object_)
    if types.is_decimal(kind) and column.null_count == len(column):
        return np.full(len(column), np.nan)  # no value is there to show that they are decimals
    if types.is_time(kind):
        column = column.cast(pa.time64("us"), safe=False)
    return column.to_numpy(zero_copy_only=False)


def _of_lists(lists: Any, null: NDArray[np.bool_], kinds: dict[str, str], name: str, given: Any) -> Values:
    """Arrays of numbers, as many in every row as in the first one; a null among the numbers is NaN."""
    lengths = pc.fill_null(pc.list_value_length(lists), -1).to_numpy(zero_copy_only=False)
    first = next((length for length in lengths.tolist() if length > 0), None)
    if first and kinds.get(name, ARRAY) == ARRAY:
        kinds[name] = f"{ARRAY} of {first} numbers"
    kind = kinds.get(name, ARRAY)
    length = 1 if kind == ARRAY else int(kind.split()[2])
    fits = lengths == length
    items = lists.filter(pa.array(fits)).flatten()
    found = (items.cast(pa.float64()) if items.null_count else items).to_numpy(zero_copy_only=False)
    values = np.zeros((len(lists), length), found.dtype)
    values[fits] = found.reshape(np.count_nonzero(fits), length)
    if bool(null.any()):
        values = np.ma.MaskedArray(values, np.broadcast_to(null[:, np.newaxis], values.shape))
    return Values(kind, values, null, ~fits & ~null, given)

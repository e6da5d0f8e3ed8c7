"""JSON values as Data → columns of their fields, and which rows are damaged. Any bytes give one or the other.

    offset  type      meaning
    0       int32 BE  partition hash
    4       int32 BE  type id -130
    8       int32 BE  length of the text
    12      bytes     a JSON object, UTF-8

Arrow reads many rows at a time. It refuses a whole batch for one row, so the batch is cut there, and what is left over
is read by Python's parser. Both ways give the same: what a row is read as never depends on the way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Sized
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid_inference.errors import DecodeError
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.columns import Column, childless, column_of, holds_exactly
from grid_inference.wire.json.arrow import ArrowReader, RefusedError, field_names, suited
from grid_inference.wire.json.lookup import find, flat, parse_object
from grid_inference.wire.layout import DATA_HEADER_BYTES, LENGTH_BYTES, TYPE_JSON, TYPE_OFFSET

__all__ = ["FIELDS_MAX", "decode_json_columns", "decode_json_table", "json_names", "json_rows"]

FIELDS_MAX = 4096
"""So many columns are made of fields that nobody named: objects with keys of their own must not fill the memory."""

_TEXT_OFFSET = DATA_HEADER_BYTES + LENGTH_BYTES
_ARROW_ROWS_MIN = 64
"""Fewer rows are quicker read one by one."""
_RETRY_ROWS = 512
"""So many rows at a time are tried behind one that was refused: the next such one costs no more than these."""
_NUMBERS = {np.dtype(np.int64), np.dtype(np.float64)}
_TYPE_AND_LENGTH = np.dtype([("type", ">i4"), ("length", ">i4")])


def json_rows(values: Blobs) -> NDArray[np.bool_]:
    """Which values are JSON by their type id, shape (n,); their text may still be damaged."""
    rows = values.lengths >= DATA_HEADER_BYTES
    rows[rows] = values.take(rows).read(TYPE_OFFSET, ">i4") == TYPE_JSON
    return rows


def decode_json_columns(values: Blobs, names: Sequence[str]) -> tuple[dict[str, Column], dict[int, str]]:
    """The wanted fields of n JSON values as columns of shape (n,), and the reason of each damaged row.

    A name is a top-level field's, or a path: `a.b` is the field b of the object in a, `a[3]` element 3 of the array in
    a, `a[0].b.c` and so on; a top-level field called just so goes before, unless it is null. Missing and null are not
    valid; nor is anything in a damaged row (no JSON value, no UTF-8, no JSON, no object).

    int64 if every value is an integer of 64 bits; float64 for other numbers (what is too large is infinite) and where
    no row has a value; bool; object for strings. Where these are mixed, integers beyond 2^53 beside fractions included,
    or a value is an object or array, the column is one of Python objects as json.loads gives them, but integers of more
    than 64 bits as the doubles that they are alone; None where not valid. `valid` is None if all are.
    """
    wanted = list(dict.fromkeys(names))
    rows, texts, damaged = _texts(values)
    batch = _Batch(texts, wanted)
    batch.read()
    columns = {name: batch.column(name) for name in wanted}
    if any(column is None for column in columns.values()):
        batch.read_one_by_one()
        columns = {name: batch.column(name) for name in wanted}
    damaged.update((int(rows[row]), reason) for row, reason in batch.damaged.items())
    whole = {name: _spread(column, rows, len(values)) for name, column in columns.items() if column is not None}
    return whole, dict(sorted(damaged.items()))


def decode_json_table(values: Blobs) -> tuple[dict[str, Column], dict[int, str]]:
    """All fields of n JSON values as columns, in order of name, and the reason of each damaged row.

    The names are those of `flat`: `a.b` for the field b of the object in a. The columns are as `decode_json_columns`
    gives them, but for a field that is an object in some rows and something else in others: it is null where it is an
    object, whose fields have columns of their own. Raises DecodeError if there are more than FIELDS_MAX fields.
    """
    rows, texts, damaged = _texts(values)
    names = field_names(texts) if len(texts) >= _ARROW_ROWS_MIN else None
    if names is not None:
        _check_count(names)
        return decode_json_columns(values, sorted(names))
    cells: dict[str, dict[int, Any]] = {}
    for row, text in zip(rows.tolist(), texts, strict=True):
        try:
            record = parse_object(text)
        except DecodeError as error:
            damaged[row] = str(error)
            continue
        for name, value in flat(record).items():
            cells.setdefault(name, {})[row] = value
        _check_count(cells)
    found = {name: column_of([cells[name].get(row) for row in range(len(values))]) for name in sorted(cells)}
    kept = childless({name: column.empty for name, column in found.items()})
    return {name: _without_marks(found[name]) for name in kept}, dict(sorted(damaged.items()))


def json_names(values: Blobs) -> set[str]:
    """The names of all fields of n JSON values, as `flat` has them, but for damaged rows."""
    _, texts, _ = _texts(values)
    names = field_names(texts)
    if names is not None:
        return set(names)
    found = set[str]()
    for text in texts:
        with suppress(DecodeError):
            found.update(flat(parse_object(text)))
    return found


def _check_count(names: Sized) -> None:
    if len(names) > FIELDS_MAX:
        raise DecodeError(f"there are more than {FIELDS_MAX} fields (FIELDS_MAX)", remedy="name the columns you want")


def _texts(values: Blobs) -> tuple[NDArray[np.intp], list[bytes], dict[int, str]]:
    """The rows whose header is right, their texts, and what is wrong with the others."""
    right = values.lengths >= _TEXT_OFFSET
    head = values.take(right).read(TYPE_OFFSET, _TYPE_AND_LENGTH)
    right[right] = (head["type"] == TYPE_JSON) & (head["length"] == values.lengths[right] - _TEXT_OFFSET)
    rows = np.flatnonzero(right)
    texts = Blobs(values.buffer, values.starts[rows] + _TEXT_OFFSET, values.lengths[rows] - _TEXT_OFFSET).tolist()
    return rows, texts, {row: _header_fault(values, row) for row in np.flatnonzero(~right).tolist()}


def _header_fault(values: Blobs, row: int) -> str:
    length = int(values.lengths[row])
    if length < _TEXT_OFFSET:
        return f"a JSON value has {max(length, 0)} bytes, too few for its header"
    found, claimed = values.take(np.array([row])).read(TYPE_OFFSET, _TYPE_AND_LENGTH)[0].item()
    if found != TYPE_JSON:
        return f"a JSON value is expected, but the type is {found}"
    return f"a JSON value claims {claimed} bytes and has {length - _TEXT_OFFSET}"


@dataclass(frozen=True, slots=True)
class _Part:
    """What Arrow read: some rows of the batch, and their columns."""

    rows: NDArray[np.intp]
    columns: dict[str, Column]


class _Batch:
    """Texts, and what was read of them: parts by Arrow, and single rows by Python."""

    def __init__(self, texts: list[bytes], names: list[str]) -> None:
        self.damaged: dict[int, str] = {}
        self._texts = texts
        self._names = names
        self._parts: list[_Part] = []
        self._rows: list[int] = []
        self._found: dict[str, list[Any]] = {name: [] for name in names}

    def read(self) -> None:
        """Read every row, by Arrow where it can be."""
        if len(self._texts) < _ARROW_ROWS_MIN:
            self._read_rows(range(len(self._texts)))
            return
        fits = suited(self._texts, self._names)
        self._read_rows(np.flatnonzero(~fits).tolist())
        self._read_parts(np.flatnonzero(fits))

    def read_one_by_one(self) -> None:
        """Read every row again, by Python."""
        self._parts.clear()
        self._rows.clear()
        for found in self._found.values():
            found.clear()
        self._read_rows(range(len(self._texts)))

    def column(self, name: str) -> Column | None:
        """One field of all rows; None if they are of mixed types, and Arrow's part has lost which were integers."""
        parts = [(part.rows, part.columns[name]) for part in self._parts]
        parts.append((np.array(self._rows, np.intp), column_of(self._found[name])))
        columns = [column for _, column in parts if not column.empty]
        dtypes = {column.values.dtype for column in columns}
        if len(dtypes) < 2:
            dtype = next(iter(dtypes), np.dtype(np.float64))
        elif dtypes == _NUMBERS and all(map(holds_exactly, columns)):
            dtype = np.dtype(np.float64)
        elif any(column.values.dtype == np.float64 for column in columns):
            return None
        else:
            dtype = np.dtype(np.object_)
        return _joined(parts, dtype, len(self._texts))

    def _read_parts(self, rows: NDArray[np.intp]) -> None:
        reader = ArrowReader([self._texts[row] for row in rows.tolist()], self._names)
        waiting = [rows]
        # Learning reads the whole text once a field: worth it once, not for each part again.
        learn = True
        while waiting:
            rows = waiting.pop()
            if rows.size < _ARROW_ROWS_MIN:
                self._read_rows(rows.tolist())
                continue
            try:
                columns = reader.read([self._texts[row] for row in rows.tolist()], learn=learn)
                self._parts.append(_Part(rows, columns))
            except RefusedError as refused:
                # Where such rows lie close together, some good ones go along: else each would cost the whole rest.
                start = refused.start if refused.start >= _ARROW_ROWS_MIN else 0
                stop = max(refused.stop, start or _ARROW_ROWS_MIN)
                self._read_rows(rows[start:stop].tolist())
                waiting += [rows[:start], *(rows[at : at + _RETRY_ROWS] for at in range(stop, rows.size, _RETRY_ROWS))]
            learn = False

    def _read_rows(self, rows: Iterable[int]) -> None:
        for row in rows:
            try:
                record = parse_object(self._texts[row])
            except DecodeError as error:
                self.damaged[row] = str(error)
                continue
            self._rows.append(row)
            for name, found in self._found.items():
                found.append(find(record, name))


# ---- columns


def _joined(parts: list[tuple[NDArray[np.intp], Column]], dtype: np.dtype[Any], count: int) -> Column:
    """Columns of some rows each as one of all rows; rows in none of them are not valid."""
    values = np.full(count, None, dtype) if dtype == np.object_ else np.zeros(count, dtype)
    valid = np.zeros(count, np.bool_)
    for rows, column in parts:
        if column.empty:
            continue
        found = column.values.astype(dtype)  # of ints to objects: Python's own
        if dtype == np.object_ and column.valid is not None:
            found[~column.valid] = None
        values[rows] = found
        valid[rows] = True if column.valid is None else column.valid
    return Column(values, valid)


def _spread(column: Column, rows: NDArray[np.intp], count: int) -> Column:
    """The column of all values, from that of those with a right header."""
    if rows.size < count:
        column = _joined([(rows, column)], column.values.dtype, count)
    return _without_marks(column)


def _without_marks(column: Column) -> Column:
    """A column whose `valid` is None if all are."""
    return column if column.valid is not None and not column.valid.all() else Column(column.values)

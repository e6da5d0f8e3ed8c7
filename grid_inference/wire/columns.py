"""Columns of values with their nulls, and how several become one. Which field kinds they call for: `kinds.py`.

No number is rounded by its neighbours: what one dtype does not hold exactly stays as Python objects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from grid_inference.errors import DecodeError, EncodeError
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.layout import INT64_MAX, INT64_MIN
from grid_inference.wire.schema import NULLABLE_KINDS, FieldKind
from grid_inference.wire.texts import Texts, decode_texts

__all__ = [
    "Column",
    "ColumnLike",
    "as_column",
    "childless",
    "column_of",
    "holds_exactly",
    "join_columns",
    "objects_of",
]

EXACT_MAX = 2**53
"""Up to here a double is each whole number; beyond it one double may stand for several."""


@dataclass(slots=True, eq=False)
class Column:
    """One value a row: shape (n,), or (n, k) where each row holds k numbers. Not to be changed."""

    values: NDArray[Any]
    """Native-endian numbers or booleans, or Python objects; what stands at a null is of no meaning."""
    valid: NDArray[np.bool_] | None = None
    """False at a null, shape (n,); None if there is none."""
    texts: Texts | None = None
    """The same values, if they are texts that are known to repeat."""
    kind: FieldKind | None = None
    """Of a column that is put: what its type says, where the values don't (they may all be null)."""
    ahead: NDArray[np.int32] | None = None
    """Of moments with a zone, which `values` has in UTC: by how many seconds each is ahead of it, shape (n,)."""
    fields: Mapping[str, Column] | None = None
    """Of records within the records that are put: their fields, null where the record is; `values` says nothing."""
    utf8: Blobs | None = None
    """Of texts that are put: their bytes, a null's length is -1; `values` says nothing."""

    @classmethod
    def of_utf8(cls, utf8: Blobs) -> Self:
        """A column of texts that is put, from their bytes."""
        return cls(np.empty(len(utf8), "V1"), utf8.lengths >= 0, kind=FieldKind.STRING, utf8=utf8)

    def __len__(self) -> int:
        return self.values.shape[0]

    def present(self) -> NDArray[np.bool_]:
        """Which rows of a column of shape (n,) have a value that is neither null nor NaN, shape (n,)."""
        present = np.ones(len(self), np.bool_) if self.valid is None else self.valid
        return present & ~np.isnan(self.values) if self.values.dtype.kind in "fmM" else present

    @property
    def empty(self) -> bool:
        """Whether there is no value that is not null."""
        return not len(self) or (self.valid is not None and not self.valid.any())

    def take(self, rows: NDArray[Any]) -> Self:
        """The rows at an index array or a boolean mask."""
        valid = None if self.valid is None else self.valid[rows]
        ahead = None if self.ahead is None else self.ahead[rows]
        fields = None if self.fields is None else {name: each.take(rows) for name, each in self.fields.items()}
        utf8 = None if self.utf8 is None else self.utf8.take(rows)
        return type(self)(self.values[rows], valid, None, self.kind, ahead, fields, utf8)

    def objects(self) -> NDArray[Any]:
        """The values, texts as Python's."""
        return self.values if self.utf8 is None else decode_texts(self.utf8)

    def but_null(self, null: NDArray[np.bool_]) -> Self:
        """The same, null where it is said; of a kind that can be."""
        valid = ~null if self.valid is None else self.valid & ~null
        kind = None if self.kind is None else NULLABLE_KINDS.get(self.kind, self.kind)
        utf8 = (
            None
            if self.utf8 is None
            else Blobs(self.utf8.buffer, self.utf8.starts, np.where(null, -1, self.utf8.lengths))
        )
        return replace(self, valid=valid, kind=kind, texts=None, utf8=utf8)


ColumnLike = Column | NDArray[Any]


def as_column(name: str, values: ColumnLike) -> Column:
    """A column from an array; a masked array's mask says what is null, and strings become Python's."""
    if isinstance(values, Column) and (values.valid is None or values.valid.shape == values.values.shape[:1]):
        return values
    column = values if isinstance(values, Column) else Column(values)
    if not isinstance(cast("Any", column.values), np.ndarray) or column.values.ndim not in (1, 2):
        raise EncodeError(f"column {name!r} is no array of one or two dimensions")
    if isinstance(column.values, np.ma.MaskedArray):
        mask: NDArray[np.bool_] = np.asarray(np.ma.getmaskarray(cast("Any", column.values)))
        null: NDArray[np.bool_] = np.asarray(mask.all(axis=1)) if mask.ndim > 1 else mask
        if mask.ndim > 1 and bool((mask.any(axis=1) != null).any()):
            row = int(np.argmax(mask.any(axis=1) != null))
            problem = f"column {name!r}, row {row}: some of an array's values are masked"
            raise EncodeError(problem, remedy="mask whole rows, fill them, or put the rows as lists with None")
        column = replace(column, values=np.asarray(column.values.data), valid=~null)
    if column.values.dtype.kind == "U":
        column = replace(column, values=column.values.astype(object))
    if column.valid is not None and column.valid.shape != column.values.shape[:1]:
        raise EncodeError(f"column {name!r} has {len(column)} values and {column.valid.size} marks of validity")
    return column


def column_of(values: Sequence[Any]) -> Column:
    """The narrowest column that holds Python values: bool, int64, float64, or objects; None is a null.

    Whole numbers that float64 might round are objects beside fractions, so that none hangs on its neighbours; those of
    more than 64 bits are doubles everywhere.
    """
    valid = np.fromiter((value is not None for value in values), np.bool_, len(values))
    types: set[type] = {type(value) for value in values} - {type(None)}
    if types == {bool}:
        return Column(np.array([value is True for value in values], np.bool_), valid)
    if int in types:
        values = [float(value) if _is_longer(value) else value for value in values]
        types = {type(value) for value in values} - {type(None)}
    if not types <= {int, float}:
        return objects_of(values)
    numbers = [0 if value is None else value for value in values]
    if types == {int}:
        return Column(np.array(numbers, np.int64), valid)
    if any(type(number) is int and abs(number) > EXACT_MAX for number in numbers):
        return objects_of(values)
    return Column(np.array(numbers, np.float64), valid)


def _is_longer(value: Any) -> bool:
    """Whether a value is a whole number of more than 64 bits."""
    return type(value) is int and not INT64_MIN <= value <= INT64_MAX


def objects_of(values: Sequence[Any]) -> Column:
    """A column of Python values just as they are; None is a null."""
    column = Column(np.empty(len(values), np.object_), np.array([value is not None for value in values], np.bool_))
    for row, value in enumerate(values):  # at once, numpy would take lists apart
        column.values[row] = value
    return column


def join_columns(count: int, parts: Sequence[tuple[NDArray[Any], Column]]) -> Column:
    """One column of `count` rows from columns that hold some of them; the other rows are null.

    Numbers of several dtypes become the one that holds them all, each exactly, and so do moments; else there are Python
    objects, as where there is no value at all.
    """
    parts = [(rows, column) for rows, column in parts if not (column.values.dtype == np.object_ and column.empty)]
    if not parts:
        return Column(np.full(count, None, np.object_), np.zeros(count, np.bool_))
    dtype, shapes = _common_dtype([column for _, column in parts]), {c.values.shape[1:] for _, c in parts}
    if len(shapes) > 1:
        raise DecodeError("records hold a field as a number and as an array")
    values = np.zeros((count, *shapes.pop()), dtype)
    if dtype.kind in "mMO":
        values[...] = None if dtype.kind == "O" else np.array("NaT", dtype)
    valid = np.zeros(count, np.bool_)
    for rows, column in parts:
        values[rows] = column.values
        valid[rows] = True if column.valid is None else column.valid
    return Column(values, valid)


def _common_dtype(columns: Sequence[Column]) -> np.dtype[Any]:
    dtypes = {column.values.dtype for column in columns}
    if len(dtypes) == 1:
        return dtypes.pop()
    kinds = {dtype.kind for dtype in dtypes}
    if not (kinds <= set("if") or kinds == {"M"}):
        return np.dtype(np.object_)
    common = np.result_type(*dtypes)
    exact = common.kind != "f" or all(holds_exactly(column) for column in columns)
    return common if exact else np.dtype(np.object_)


def holds_exactly(column: Column) -> bool:
    """Whether doubles hold a column of whole numbers exactly."""
    if column.values.dtype.kind not in "iu" or column.values.dtype.itemsize < 8:
        return True
    values = column.values if column.valid is None else column.values[column.valid]
    return not values.size or (int(values.min()) >= -EXACT_MAX and int(values.max()) <= EXACT_MAX)


def childless(columns: Mapping[str, bool]) -> list[str]:
    """Names of columns, but for those that hold nothing and whose fields stand as columns of their own.

    `columns` says of each whether it is empty: of `a`, null or missing everywhere, and `a.b` only `a.b` is left.
    """
    dotted = (name for name in columns if "." in name)
    parents = {name[:at] for name in dotted for at, letter in enumerate(name) if letter == "."}
    return [name for name, empty in columns.items() if not (empty and name in parents)]

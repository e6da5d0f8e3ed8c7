"""What is handed over to be put → columns: dicts of arrays, frames of pandas, polars and Arrow, by one path each.

numpy's arrays are taken as they are, Python objects by what they are, all else as Arrow (`columns.py`), which every
such library gives exactly. None of these libraries is imported here. Keys are made of a column too, and never rounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from grid_inference.errors import EncodeError
from grid_inference.wire.arrow.columns import column_of_arrow
from grid_inference.wire.columns import EXACT_MAX, Column, as_column
from grid_inference.wire.kinds import objects_column
from grid_inference.wire.missing import is_missing, is_nan, plain_value
from grid_inference.wire.schema import FieldKind

__all__ = ["column_from", "frame_columns", "key_values"]

_NO_ROUNDING = "put them as whole numbers (int64, pandas' Int64) or as texts"


def frame_columns(frame: Any) -> dict[str, Any]:
    """The columns of a frame as its library has them; EncodeError for what is no frame, and names that repeat."""
    if isinstance(frame, Mapping):
        return _named(cast("Mapping[Any, Any]", frame).items())
    if _library(frame) == "polars":
        frame = frame.collect() if hasattr(frame, "collect") else frame
        return _named(zip(frame.columns, frame.get_columns(), strict=True))
    if _library(frame) == "pandas" and hasattr(frame, "iloc"):
        return _named((name, _array_in(series)) for name, series in frame.items())
    if isinstance(frame, np.ndarray) and frame.dtype.names:
        return {name: frame[name] for name in frame.dtype.names}
    if not isinstance(frame, pa.Table) and hasattr(frame, "__arrow_c_stream__"):
        frame = pa.table(cast("Any", frame))
    if isinstance(frame, pa.Table | pa.RecordBatch):
        table = cast("Any", frame)
        fields = zip(table.schema, table.columns, strict=True)
        return _named(
            (each.name, values if each.nullable else _never_null(each.name, values)) for each, values in fields
        )
    raise EncodeError(
        f"records can't be put from {type(frame).__name__}",
        remedy="pass a dict of arrays, a DataFrame or an Arrow table",
    )


def _named(columns: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, values in columns:
        if str(name) in found:
            raise EncodeError(f"there are several columns named {str(name)!r}", remedy="rename or drop one of them")
        found[str(name)] = values
    return found


def _array_in(series: Any) -> Any:
    """A Series as the array of numpy that it holds, if it holds one."""
    return np.asarray(series) if isinstance(series.dtype, np.dtype) else series


def _never_null(name: str, values: Any) -> Column:
    return column_of_arrow(name, values, nullable=False)


def _library(value: Any) -> str:
    return type(value).__module__.partition(".")[0]


def column_from(name: str, values: Any) -> Column:
    """The column of one array, list, Series or Arrow array; EncodeError that names it for what no field holds."""
    if isinstance(values, np.ndarray):
        return _of_numpy(name, cast("NDArray[Any]", values))
    if isinstance(values, Column):
        return values
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return column_of_arrow(name, values)
    if of_library := {"polars": _of_polars, "pandas": _of_pandas}.get(_library(values)):
        return of_library(name, values)
    if hasattr(values, "__array__"):
        return _of_numpy(name, np.asarray(values))
    if isinstance(values, Sequence) and not isinstance(values, str | bytes | bytearray):
        return objects_column(name, cast("Sequence[Any]", values))
    raise EncodeError(f"column {name!r} is {type(values).__name__}, no array", remedy="pass an array or a list")


def _of_numpy(name: str, values: NDArray[Any]) -> Column:
    if values.dtype.kind == "O" and values.ndim == 1:
        if isinstance(values, np.ma.MaskedArray):
            values = np.where(np.ma.getmaskarray(values), np.array(None), np.asarray(values))
        return objects_column(name, values.tolist())
    return as_column(name, values)


def _of_polars(name: str, series: Any) -> Column:
    # As Arrow, a column of Python objects is their addresses.
    if str(series.dtype) == "Object":
        return objects_column(name, series.to_list())
    try:
        return column_of_arrow(name, series.to_arrow())
    except pa.ArrowException:
        raise EncodeError(
            f"column {name!r} is {series.dtype}, for which a record has no field",
            remedy="cast it to Int64, Float64, Decimal or String",
        ) from None


def _of_pandas(name: str, series: Any) -> Column:
    """A Series, an Index, or an array of pandas' own."""
    dtype = series.dtype
    if isinstance(dtype, np.dtype):
        return _of_numpy(name, np.asarray(series))
    if hasattr(dtype, "categories") and hasattr(dtype, "ordered"):
        return _of_categories(name, series)
    if hasattr(dtype, "fill_value") and hasattr(dtype, "subtype"):  # sparse
        return _of_numpy(name, np.asarray(series))
    try:
        return column_of_arrow(name, pa.array(getattr(series, "array", series)))
    except (pa.ArrowException, ValueError, TypeError, NotImplementedError):
        return objects_column(name, series.astype(object).tolist())


def _of_categories(name: str, series: Any) -> Column:
    """By codes: what Arrow makes of categories loses the zone of moments in some versions."""
    codes = np.asarray(getattr(series, "cat", series).codes)
    categories = column_from(name, series.dtype.categories)
    null = codes < 0
    if not len(categories):
        return Column(np.full(codes.size, None, np.object_), ~null, kind=categories.kind)
    return categories.take(np.where(null, 0, codes)).but_null(null)


# ---- keys


def key_values(name: str, keys: Any, key_type: str | None = None) -> Any:
    """A column's values, or a list of them, as keys: an array of whole numbers, or a list of Python objects.

    Floats of an array or a frame that are whole are whole numbers, unless the keys are to be floats. Raises EncodeError
    that names the row for one without a key, and for a float beyond 2^53, which may stand for several whole numbers.
    """
    values = _plain_keys(name, keys)
    if isinstance(values, np.ndarray) and values.dtype.kind in "iu":
        return values
    listed: list[Any] = values.tolist() if isinstance(values, np.ndarray) else values
    for row, value in enumerate(listed):
        if is_missing(value) or is_nan(value):
            raise EncodeError(
                f"row {row} (the first is row 0) has no key in {name!r}",
                remedy="leave such rows out, or give them a key; nothing was put",
            )
    if isinstance(keys, list | tuple) or key_type in {"float", "double"}:
        return listed
    return [_whole(name, row, value) for row, value in enumerate(listed)]


def _plain_keys(name: str, keys: Any) -> Any:
    """Whole numbers without a gap as an array; all else as a list, or an array of floats."""
    if isinstance(keys, list | tuple | range):
        return [plain_value(value) for value in cast("Sequence[Any]", keys)]
    if _library(keys) == "pandas" and isinstance(keys.dtype, np.dtype):
        keys = np.asarray(keys)
    if (
        isinstance(keys, np.ndarray)
        and keys.ndim == 1
        and keys.dtype.kind in "iufOU"
        and not isinstance(keys, np.ma.MaskedArray)
    ):
        return [plain_value(value) for value in keys.tolist()] if keys.dtype.kind in "OU" else keys
    if not isinstance(keys, Column) and not hasattr(keys, "dtype") and not isinstance(keys, pa.Array | pa.ChunkedArray):
        return [plain_value(value) for value in keys]
    column = column_from(name, keys)
    values = column.objects()
    if values.dtype.kind not in "iufO" or values.ndim > 1 or column.kind in _NO_KEYS:
        raise EncodeError(
            f"the column {name!r} of {column.kind.name if column.kind else values.dtype} can't be keys",
            remedy="make texts or whole numbers of it",
        )
    if column.valid is None or bool(column.valid.all()):
        return values if values.dtype.kind in "iuf" else values.tolist()
    return [value if there else None for value, there in zip(values.tolist(), column.valid, strict=True)]


_NO_KEYS = frozenset(
    kind
    for kind in FieldKind
    if kind.name.startswith("ARRAY_OF") or kind.name in {"NULLABLE_BOOLEAN", "BOOLEAN", "COMPACT"}
)


def _whole(name: str, row: int, value: Any) -> Any:
    """A float or decimal without a fraction as the whole number that it is."""
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        return int(value)
    if not isinstance(value, float) or not value.is_integer():
        return value
    if abs(value) > EXACT_MAX:
        raise EncodeError(
            f"row {row} (the first is row 0) of {name!r} is {value!r}: a float so large may have been another number",
            remedy=_NO_ROUNDING,
        )
    return int(value)

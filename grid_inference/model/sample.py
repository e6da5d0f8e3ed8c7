"""`Sample`: rows of a model's inputs, as whatever library they come from: pandas, polars, Arrow, numpy, Python.

In: what a data scientist hands over. Out: each column as an `Input`, which says its type and what stands for a gap, and
as values with their gaps marked, just as records of it have them. A column is looked at when it is asked for.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from grid_inference.errors import SignatureError
from grid_inference.model.described import Input, Null, null_of
from grid_inference.wire.compact import Column

__all__ = ["Sample"]

REMEDY = "models take numbers, booleans, strings, dates and times; columns that are no inputs may hold anything"
POLARS_NAMES = {"String": "string", "Categorical": "string", "Enum": "string", "Boolean": "bool"}


class Sample:
    """n rows: named columns, or a matrix."""

    def __init__(self, columns: Mapping[str, Any], matrix: NDArray[Any] | None, given: Any, library: str) -> None:
        self._columns = columns
        self._found: dict[str, tuple[Input, Column]] = {}
        self.names: tuple[str, ...] = tuple(columns)
        """In its own order; none of a matrix."""
        self.matrix = matrix
        """Shape (n, k), of numbers or of objects; None where columns have names."""
        self.given = given
        """The rows as a model can be asked for them: a DataFrame or an array."""
        self.library: Literal["pandas", "polars"] = "polars" if library == "polars" else "pandas"
        """Whose DataFrame it is."""
        self._flat = False
        self.categories: list[str] = []
        """Columns that are categories, as far as they were looked at."""

    @classmethod
    def of(cls, given: Any) -> Sample | None:
        """Read a sample; None if there is none. Raises SignatureError for what is no table of rows."""
        if given is None or isinstance(given, Sample):
            return given
        library = type(given).__module__.partition(".")[0]
        if library == "polars":
            given = (
                given.collect() if hasattr(given, "collect") else given.to_frame() if hasattr(given, "name") else given
            )
            return cls({name: given[name] for name in given.columns}, None, given, library)
        if library == "pyarrow":
            given, library = _frame_of_arrow(given), "pandas"
        elif library != "pandas" and hasattr(given, "to_pandas"):
            given, library = given.to_pandas(), "pandas"
        if isinstance(given, list | tuple) and given and isinstance(given[0], Mapping):
            given = _joined(cast("list[Mapping[str, Any]]", given))
        if library == "pandas" and hasattr(given, "to_frame") and not hasattr(given, "columns"):
            given = cast("Any", given).to_frame()
        if hasattr(given, "columns"):
            return cls(_by_name(given), None, given, library)
        if isinstance(given, Mapping):
            columns = cast("Mapping[Any, Any]", given)
            return cls({str(name): _array(columns[name]) for name in columns}, None, None, library)
        if hasattr(given, "toarray"):
            given = cast("Any", given).toarray()
        found = cls({}, _matrix(given), None, library)
        found._flat = np.ndim(given) == 1 and len(found) == 1
        return found

    def __len__(self) -> int:
        if self.matrix is not None:
            return self.matrix.shape[0]
        return next((len(values) for values in self._columns.values()), 0)

    def __contains__(self, name: str) -> bool:
        """Whether there is a column of this name."""
        return name in self._columns

    def of_inputs(self, count: int | None) -> Sample:
        """The same for a model of so many inputs: to one of a single input a list of numbers is as many rows."""
        if not self._flat or count != 1 or self.matrix is None:
            return self
        return Sample({}, self.matrix.T, None, "numpy")

    def named(self, names: Sequence[str]) -> Sample:
        """The same with these names for a matrix's columns; raise SignatureError if they are not as many."""
        if self.matrix is None:
            return self
        if self.matrix.shape[1] != len(names):
            raise SignatureError(
                f"the sample has {self.matrix.shape[1]} columns, the model takes {len(names)}",
                remedy=f"give the model's inputs: {', '.join(names)}",
            )
        return Sample({name: self.matrix[:, index] for index, name in enumerate(names)}, None, None, "numpy")

    def first(self, count: int) -> Sample:
        """Its first rows."""
        if len(self) <= count:
            return self
        given, matrix = self.given, None if self.matrix is None else self.matrix[:count]
        if given is not None:
            return cast("Sample", Sample.of(given.iloc[:count] if self.library == "pandas" else given[:count]))
        return Sample({name: values[:count] for name, values in self._columns.items()}, matrix, None, self.library)

    def values(self, name: str) -> Any:
        """A column as its library has it."""
        return self._columns[name]

    def rows(self, numbers: NDArray[np.intp], names: Sequence[str]) -> Any:
        """Some rows, of these columns if they have names, as a model is asked for them: a DataFrame or a matrix."""
        if self.matrix is not None:
            return self.matrix[numbers]
        if self.library == "polars":
            return self.given.select(names)[numbers]
        import pandas as pd  # noqa: PLC0415  # only who has such samples needs it

        given = pd.DataFrame(self._columns) if self.given is None else self.given
        places = [self.names.index(name) for name in names] if tuple(names) != self.names else slice(None)
        return given.iloc[numbers, places]

    def input(self, name: str) -> Input:
        """What a column holds. Raises SignatureError for what no record does."""
        return self._both(name)[0]

    def column(self, name: str) -> Column:
        """A column's values, its gaps marked; moments in UTC if they have a zone."""
        return self._both(name)[1]

    def _both(self, name: str) -> tuple[Input, Column]:
        if name not in self._found:
            values = self._columns[name]
            library = type(values).__module__.partition(".")[0]
            if type(getattr(values, "dtype", None)).__name__ in {"CategoricalDtype", "Categorical", "Enum"}:
                self.categories.append(name)
            read = {"pandas": _of_pandas, "polars": _of_polars}.get(library, _of_numpy)
            self._found[name] = read(name, values)
        return self._found[name]


def _frame_of_arrow(given: Any) -> Any:
    import pyarrow as pa  # noqa: PLC0415  # only who has such samples needs it

    from grid_inference.wire.arrow.frames import frame_of  # noqa: PLC0415

    if isinstance(given, pa.RecordBatch):
        given = pa.Table.from_batches([given])
    return frame_of(given) if isinstance(given, pa.Table) else given.to_pandas()


def _joined(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Rows as columns; what a row lacks is missing."""
    return {name: [row.get(name) for row in rows] for name in dict.fromkeys(name for row in rows for name in row)}


def _by_name(frame: Any) -> dict[str, Any]:
    names = [str(name) for name in frame.columns]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise SignatureError(f"the sample has two columns of the name {twice!r}", remedy="give each its own name")
    kinds: set[Any] = set(frame.dtypes) if hasattr(frame, "iloc") else set()
    if len(kinds) == 1 and isinstance(kinds.pop(), np.dtype):
        matrix = frame.to_numpy()  # a Series each would take long where they are thousands
        return {name: matrix[:, index] for index, name in enumerate(names)}
    return dict(zip(names, (series for _, series in frame.items()), strict=True))


def _array(values: Any) -> NDArray[Any]:
    if isinstance(values, np.ndarray):
        return cast("NDArray[Any]", values)
    found = np.empty(len(values), np.object_)
    found[:] = list(values)
    return found


def _matrix(given: Any) -> NDArray[Any]:
    found: Any = np.asarray(given)
    if found.dtype.kind in "US":
        found = found.astype(object)
    if found.ndim == 1 and found.dtype.kind == "O":
        found = found.reshape(-1, 1)
    found = np.atleast_2d(found)
    if found.ndim != 2:
        raise SignatureError(
            f"the sample is a {type(given).__name__} of {found.ndim} dimensions",
            remedy="give a DataFrame, an Arrow table or a matrix of rows",
        )
    return found


def _wrong(name: str, what: object) -> SignatureError:
    return SignatureError(f"the sample's column {name!r} is {what}, which no record holds", remedy=REMEDY)


def _of_numpy(name: str, values: NDArray[Any], null: Null = "NaN") -> tuple[Input, Column]:
    kind, dtype = values.dtype.kind, values.dtype
    if kind == "O":
        return _of_objects(name, values.tolist())
    if kind in "US":
        return Input(name, "string", null=null), Column(values.astype(object))
    if kind == "M" and np.datetime_data(dtype)[0] != "generic":
        # pandas knows no days: it makes seconds of them.
        values = values.astype("M8[s]") if np.datetime_data(dtype)[0] not in {"s", "ms", "us", "ns"} else values
        missing: NDArray[np.bool_] = np.isnat(values)
        return Input(name, str(values.dtype), bool(missing.any()), null=null), Column(values, ~missing)
    if kind not in "buif":
        raise _wrong(name, dtype)
    nullable = kind == "f" and bool(np.isnan(values).any())
    return Input(name, _named(dtype), nullable, null=null), Column(values)


@cache
def _named(dtype: np.dtype[Any]) -> str:
    return str(dtype)  # which takes long


def _of_pandas(name: str, series: Any) -> tuple[Input, Column]:
    dtype: Any = series.dtype
    if isinstance(dtype, np.dtype):
        return _of_numpy(name, series.to_numpy())
    kind, valid = type(dtype).__name__, series.notna().to_numpy()
    nullable = not bool(valid.all())
    if kind == "DatetimeTZDtype":
        values = series.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
        return Input(name, str(dtype), nullable), Column(values, valid)
    if kind == "StringDtype":
        null: Null = "NaN" if isinstance(dtype.na_value, float) else "NA"
        return Input(name, "string", nullable, null), Column(_none(series.tolist(), valid), valid)
    if hasattr(dtype, "numpy_dtype") and dtype.kind in "biuf" and kind != "ArrowDtype":
        values = series.to_numpy(dtype.numpy_dtype, na_value=0)
        return Input(name, str(np.dtype(dtype.numpy_dtype)), nullable, "NA"), Column(values, valid)
    if kind in {"CategoricalDtype", "SparseDtype"}:
        return _of_numpy(name, series.to_numpy())
    if kind == "ArrowDtype":
        return _of_arrow(name, series.array, valid)
    raise _wrong(name, dtype)


def _of_arrow(name: str, values: Any, valid: NDArray[np.bool_]) -> tuple[Input, Column]:
    """Pandas' columns of Arrow's types: to the model they are pandas' own of the same values and gaps."""
    import pyarrow as pa  # noqa: PLC0415  # only who has such samples needs it
    from pyarrow import types  # noqa: PLC0415

    from grid_inference.wire.arrow.columns import plain_arrow  # noqa: PLC0415

    array = plain_arrow(pa.array(values))
    kind, nullable = array.type, not bool(valid.all())
    if types.is_timestamp(kind):
        dtype = f"datetime64[{kind.unit}, {kind.tz}]" if kind.tz else f"datetime64[{kind.unit}]"
        moments = array.cast(pa.timestamp(kind.unit)).to_numpy(zero_copy_only=False)
        return Input(name, dtype, nullable, "NA"), Column(moments.astype(f"M8[{kind.unit}]"), valid)
    if types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind):
        numbers = array.fill_null(False if types.is_boolean(kind) else 0).to_numpy(zero_copy_only=False)
        nullable = nullable or (numbers.dtype.kind == "f" and bool(np.isnan(numbers).any()))
        return Input(name, str(numbers.dtype), nullable, "NA"), Column(numbers, valid)
    found, column = _of_objects(name, array.to_pylist())
    texts = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    return Input(name, "string" if texts else found.dtype, nullable, "NA"), Column(column.values, valid)


def _of_polars(name: str, series: Any) -> tuple[Input, Column]:
    kind, valid = type(series.dtype).__name__, series.is_not_null().to_numpy()
    nullable = not bool(valid.all())
    if kind == "Datetime":
        unit, zone = series.dtype.time_unit, series.dtype.time_zone
        naive = series.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if zone else series
        dtype = f"datetime64[{unit}, {zone}]" if zone else f"datetime64[{unit}]"
        return Input(name, dtype, nullable, "NA"), Column(naive.to_numpy().astype(f"M8[{unit}]"), valid)
    if kind in {"Date", "Time"}:
        return Input(name, kind.lower(), nullable, "NA"), Column(_none(series.to_list(), valid), valid)
    if kind in {"Boolean", *POLARS_NAMES} and kind != "Boolean":
        return Input(name, "string", nullable, "NA"), Column(_none(series.cast(str).to_list(), valid), valid)
    if kind == "Decimal":
        series = series.cast(float)
    elif kind != "Boolean" and not series.dtype.is_numeric():
        if kind == "Null":
            return Input(name, "float64", nullable, "NA"), Column(np.full(len(series), np.nan))
        raise _wrong(name, series.dtype)
    values = series.fill_null(value=False if kind == "Boolean" else 0).to_numpy()
    nullable = nullable or (values.dtype.kind == "f" and bool(np.isnan(values).any()))
    return Input(name, str(values.dtype), nullable, "NA"), Column(values, valid)


def _none(values: Sequence[Any], valid: NDArray[np.bool_]) -> NDArray[np.object_]:
    """Python values with None for what is missing."""
    found = np.empty(len(values), np.object_)
    found[:] = [value if there else None for value, there in zip(values, valid.tolist(), strict=True)]
    return found


def _of_objects(name: str, values: Sequence[Any]) -> tuple[Input, Column]:
    """Python objects: of one kind, gaps apart."""
    nulls = [null_of([value]) or ("NaN" if type(value).__name__ == "NaTType" else None) for value in values]
    valid = np.array([null is None for null in nulls], np.bool_)
    present = [value for value, null in zip(values, nulls, strict=True) if null is None]
    sorts = sorted({null for null in nulls if null is not None})
    dtype, column = _kind(name, present, _none(values, valid), valid)
    if len(sorts) > 1 and dtype in {"string", "bool", "date", "time"}:
        raise SignatureError(
            f"the sample's column {name!r} has {' and '.join(sorted(sorts, reverse=True))} for what is missing, and "
            "a record has one null",
            remedy=f"write one for the other, as X[{name!r}] = X[{name!r}].where(X[{name!r}].notna(), None) does",
        )
    null = cast("Null", sorts[0] if sorts else "NaN")
    return Input(name, dtype, bool(sorts), null), column


def _kind(
    name: str, present: Sequence[Any], objects: NDArray[np.object_], valid: NDArray[np.bool_]
) -> tuple[str, Column]:
    if not present:
        return "float64", Column(np.full(valid.size, np.nan))
    if all(isinstance(value, str) for value in present):
        return "string", Column(objects, valid)
    if all(isinstance(value, bool | np.bool_) for value in present):
        return "bool", Column(np.array([value is not None and bool(value) for value in objects.tolist()]), valid)
    if all(isinstance(value, int | float | np.number | Decimal) for value in present):
        whole = all(isinstance(value, int | np.integer) for value in present) and bool(valid.all())
        numbers = [np.nan if value is None else value for value in objects.tolist()]
        return (
            ("int64", Column(np.array(numbers, np.int64))) if whole else ("float64", Column(np.array(numbers, float)))
        )
    if all(isinstance(value, dt.datetime) for value in present):
        return _moments(name, present, objects, valid)
    for dtype, kind in (("date", dt.date), ("time", dt.time)):
        if all(isinstance(value, kind) and not isinstance(value, dt.datetime) for value in present):
            return dtype, Column(objects, valid)
    odd = next((value for value in present if not isinstance(value, str | int | float | bool)), present[-1])
    raise SignatureError(
        f"the sample's column {name!r} holds {type(odd).__name__}, no numbers and no strings, which no record holds"
        if type(odd) is not str
        else f"the sample's column {name!r} holds strings beside other values, which no record holds",
        remedy=REMEDY,
    )


def _moments(
    name: str, present: Sequence[dt.datetime], objects: NDArray[np.object_], valid: NDArray[np.bool_]
) -> tuple[str, Column]:
    zones = {str(value.tzinfo) if value.tzinfo else "" for value in present}
    if len(zones) > 1:
        raise SignatureError(
            f"the sample's column {name!r} is in several zones: {', '.join(sorted(zones))}", remedy=REMEDY
        )
    naive = [value and (value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value)
             for value in objects.tolist()]  # fmt: skip
    [zone] = zones
    return f"datetime64[us, {zone}]" if zone else "datetime64[us]", Column(np.array(naive, "M8[us]"), valid)

"""A column of fields as one of the type that the model was fitted on. The type is the model's, never the batch's.

In: a column, nulls marked, and the `Input` that it feeds. Out: a column whose dtype follows from the input alone; who
holds a value that is none of it is told apart. Numbers for a model to whom one number is as good as another stay as
the record's field has them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid_inference.model.casts import Refuse, each_value, moment_of
from grid_inference.model.described import Input
from grid_inference.wire.columns import EXACT_MAX
from grid_inference.wire.compact import Column
from grid_inference.wire.layout import INT64_MAX, INT64_MIN

__all__ = ["of_the_model", "takes", "unzoned", "zone_of"]

WORDS = {"string": "string", "bool": "boolean", "date": "date", "time": "time of day"}


def takes(wanted: Input) -> str:
    """What a model takes, in a word for people."""
    if wanted.dtype.startswith("datetime64"):
        zone = zone_of(wanted.dtype)
        return f"time with a zone, as it was fitted in {zone}" if zone else "time without a zone"
    kind = np.dtype(wanted.dtype).kind if wanted.dtype and wanted.dtype not in WORDS else ""
    return WORDS.get(wanted.dtype) or ("whole number" if wanted.exact and kind in "iu" else "number")


def zone_of(dtype: str) -> str:
    """The zone that a type of moments names; empty if it names none."""
    return dtype.partition(", ")[2].removesuffix("]")


def unzoned(dtype: str) -> str:
    """Numpy's name of a type: of moments without the zone, which numpy does not know."""
    return f"{dtype.partition(',')[0]}]" if zone_of(dtype) else dtype


def of_the_model(column: Column, wanted: Input, refuse: Refuse, beyond: Refuse, *, free: bool) -> Column:
    """The column as the model takes it.

    `refuse` is told values of another type, `beyond` those that the type can't hold. `free` says that no schema gives
    the column one type, as of JSON values.
    """
    if wanted.dtype == "string":
        return _objects(column, _text, refuse, free=free)
    if wanted.dtype in {"date", "time"}:
        return _objects(column, _day if wanted.dtype == "date" else _time, refuse, free=True)
    if wanted.dtype.startswith("datetime64"):
        return _moments(column, wanted, refuse, beyond)
    if not wanted.exact:
        if not free and column.values.dtype.kind != "O":
            return column
        whole = bool(wanted.dtype) and np.dtype(wanted.dtype).kind in "iu"
        return _numbers(column, refuse) if whole else _floats(column, refuse)
    return column if not wanted.dtype else _exactly(column, wanted, refuse)


def _objects(column: Column, one: Callable[[Any], Any], refuse: Refuse, *, free: bool) -> Column:
    """Python objects; of a field of one type the first tells of all."""
    values = column.values
    if values.dtype.kind == "O":
        found = values.tolist()
        known = {str} if column.texts else set(map(type, found)) if free else _first_type(found)
        if one is _text and known <= {str, type(None)}:
            return column
    present = column.present()
    made = np.full(len(column), None, np.object_)
    valid = present.copy()
    found = values.tolist()
    for row in np.flatnonzero(present).tolist():
        try:
            made[row] = one(found[row])
        except (TypeError, ValueError):
            valid[row] = False
            refuse(row, found[row])
    return Column(made, None if bool(valid.all()) else valid)


def _first_type(values: list[Any]) -> set[type]:
    first = next((value for value in values if value is not None), None)
    return {type(first)}


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError
    return value


def _day(value: Any) -> dt.date:
    found = dt.date.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(found, dt.date):
        raise TypeError
    if isinstance(found, dt.datetime):
        if found.time() != dt.time():
            raise ValueError
        return found.date()
    return found


def _time(value: Any) -> dt.time:
    if isinstance(value, dt.timedelta):  # since midnight, as Compact has it
        return (dt.datetime(1970, 1, 1) + value).time()  # noqa: DTZ001
    found = dt.time.fromisoformat(value) if isinstance(value, str) else value
    if not isinstance(found, dt.time):
        raise TypeError
    return found


def _floats(column: Column, refuse: Refuse) -> Column:
    """Numbers and booleans as doubles, whatever else of them is in the batch."""
    if column.values.dtype.kind in "biuf":
        return Column(column.values.astype(np.float64), column.valid)
    if column.empty and column.values.dtype.kind == "O":
        return Column(np.full(len(column), np.nan))
    if column.values.dtype.kind != "O":
        return column
    return each_value(column, np.float64, _number, refuse)


def _numbers(column: Column, refuse: Refuse) -> Column:
    """Each number or boolean whole where it is: int64, or Python objects where some are fractions."""
    if column.values.dtype.kind in "biu":
        return Column(column.values.astype(np.int64), column.valid)
    if column.empty or column.values.dtype.kind not in "fO":
        return _floats(column, refuse)
    found = each_value(column, np.object_, _number_as_it_is, refuse)
    present = found.present()
    if not all(isinstance(value, int) for value in found.values[present].tolist()):
        return found
    return Column(np.where(present, found.values, 0).astype(np.int64), present)


def _number_as_it_is(value: Any) -> int | float:
    """Whole numbers of 64 bits as such, those of a float if it can stand for no other."""
    if not isinstance(value, int | float):
        raise TypeError
    if isinstance(value, int):
        return int(value) if INT64_MIN <= value <= INT64_MAX else float(value)
    return int(value) if value.is_integer() and abs(value) <= EXACT_MAX else value


def _number(value: Any) -> float:
    if not isinstance(value, int | float):
        raise TypeError
    return float(value)


def _exactly(column: Column, wanted: Input, refuse: Refuse) -> Column:
    """Numbers or booleans of one dtype; a gap is refused where the type has none."""
    dtype = np.dtype(wanted.dtype)
    found = _cast(column, dtype, refuse)
    if dtype.kind == "f" or wanted.nullable or wanted.null != "NaN":
        return found
    for row in np.flatnonzero(~column.present()).tolist():
        refuse(row, None)
    return Column(found.values)


def _cast(column: Column, dtype: np.dtype[Any], refuse: Refuse) -> Column:
    values, kind = column.values, column.values.dtype.kind
    if values.dtype == dtype:
        return column
    if kind == "O":
        return each_value(
            column, dtype, _boolean if dtype.kind == "b" else _whole if dtype.kind in "iu" else _number, refuse
        )
    if kind not in "biuf" or (dtype.kind == "b") != (kind == "b"):
        if kind == "b" and dtype.kind == "f":
            return Column(values.astype(dtype), column.valid)
        if column.empty or not column.present().any():
            return Column(np.zeros(len(column), dtype), np.zeros(len(column), np.bool_))
        return each_value(column, dtype, _never, refuse)
    present = column.present()
    with np.errstate(invalid="ignore", over="ignore"):
        # By way of a double, as a number among values of other types goes.
        found = (values.astype(np.float64) if dtype.kind == "f" else values).astype(dtype)
        wrong = present & (found.astype(values.dtype) != values) if dtype.kind in "iu" else np.zeros(0, np.bool_)
    for row in np.flatnonzero(wrong).tolist():
        refuse(row, values[row].item())
    return Column(found, None if bool(present.all()) else present)


def _never(_value: Any) -> Any:
    raise TypeError


def _boolean(value: Any) -> bool:
    if type(value) is not bool:
        raise TypeError
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value):
        raise TypeError
    return int(value)


def _moments(column: Column, wanted: Input, refuse: Refuse, beyond: Refuse) -> Column:
    """Moments of the model's unit: in UTC where it has a zone, else as they stand."""
    unit, aware = wanted.dtype.removeprefix("datetime64[").partition(",")[0].rstrip("]"), bool(zone_of(wanted.dtype))
    if column.values.dtype.kind != "M":
        column = _read(column, refuse, aware=aware)
    values: NDArray[Any] = column.values.astype(f"M8[{unit}]")
    present, finer = column.present(), np.datetime_data(column.values.dtype)[0]
    if unit == "ns" and finer != "ns":
        off = present & (values.astype(column.values.dtype) != column.values)
        for row in np.flatnonzero(off).tolist():
            beyond(row, str(column.values[row]))
        present = present & ~off
    values = values if bool(present.all()) else np.where(present, values, np.array("NaT", values.dtype))
    return Column(values, present)


def _read(column: Column, refuse: Refuse, *, aware: bool) -> Column:
    def one(value: Any) -> Any:
        moment = dt.datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(moment, dt.datetime) and (moment.tzinfo is not None) != aware:
            raise TypeError
        return moment_of(moment)

    found = each_value(column, "M8[us]", one, refuse)
    return Column(np.where(found.present() & (found.valid if found.valid is not None else True), found.values,
                           np.array("NaT", "M8[us]")), found.valid)  # fmt: skip

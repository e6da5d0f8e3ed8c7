"""Arrow tables → DataFrames of pandas, as pandas itself reads them, but for whole numbers that it would round."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute

from grid_inference.wire.columns import Column, holds_exactly

__all__ = ["frame_of"]

pc: Any = pyarrow.compute  # makes its functions at import, which a type checker can't see


def frame_of(table: Any) -> Any:
    """A Table as a DataFrame; pandas must be installed.

    Whole numbers beside nulls are floats as in pandas, but Int64 where a float would round one of them, Python's in
    lists and records. What the table says itself of pandas' types and its index holds.
    """
    frame = table.to_pandas()
    index = (table.schema.pandas_metadata or {}).get("index_columns", ())
    columns = [column for name, column in zip(table.column_names, table.columns, strict=True) if name not in index]
    for at, column in enumerate(columns):
        if frame.dtypes.iloc[at].kind not in "fO" or all(map(_is_exact, _whole_numbers(column))):
            continue
        values = column.to_pandas(integer_object_nulls=True)
        frame.isetitem(at, values.astype(_nullable(column.type)) if pa.types.is_integer(column.type) else values)
    return frame


def _nullable(kind: Any) -> str:
    """Pandas' name of the type of whole numbers that may be missing."""
    return "UInt64" if pa.types.is_unsigned_integer(kind) else "Int64"


def _whole_numbers(array: Any) -> Iterator[Any]:
    """A column if it is of whole numbers; those in its lists and records else."""
    if pa.types.is_integer(array.type):
        yield array
    elif pa.types.is_list(array.type):
        yield from _whole_numbers(pc.list_flatten(array))
    elif pa.types.is_struct(array.type):
        for field in array.flatten():
            yield from _whole_numbers(field)


def _is_exact(array: Any) -> bool:
    """Whether pandas' floats, which whole numbers beside nulls become, are just these."""
    return not array.null_count or holds_exactly(Column(array.drop_null().to_numpy()))

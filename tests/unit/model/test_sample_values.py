"""Samples of every library: for records of their rows a model sees what the bare model sees of the rows themselves."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from grid_inference.model.described import Described
from grid_inference.model.inputs.frame import Frame
from grid_inference.model.inputs.recorded import recorded
from grid_inference.model.sample import Sample
from grid_inference.model.signature import Signature

NOON = dt.datetime(2024, 7, 1, 12, 0, 0, 123456)  # noqa: DTZ001 - a column without a zone
NAN = float("nan")
LIBRARIES: dict[str, Callable[[Any], Any]] = {
    "arrow": lambda values: pa.table({"a": values}),
    "polars": lambda values: pl.from_arrow(pa.table({"a": values})),
    "pandas": lambda values: pa.table({"a": values}).to_pandas(),
    "pandas, nullable": lambda values: pa.table({"a": values}).to_pandas().convert_dtypes(),
    "pandas of Arrow": lambda values: pa.table({"a": values}).to_pandas(types_mapper=pd.ArrowDtype),
}


def _columns() -> dict[str, Any]:
    whole = [pa.int8(), pa.uint8(), pa.int32(), pa.uint32(), pa.int64(), pa.uint64()]
    moments = [pa.timestamp(unit, zone) for unit in ("s", "ms", "us", "ns") for zone in (None, "Europe/Berlin")]
    found = {str(kind): ([1, 2, 3], kind) for kind in whole}
    found |= {str(kind): ([1_000, 2_000, 3_000], kind) for kind in [*moments, pa.timestamp("us", "+02:00")]}
    found |= {
        "large": ([2**53 + 1, 2, -1], pa.int64()),
        "float": ([0.5, 1.0, 2.0], pa.float32()),
        "double": ([0.5, 1.0, 2.0], pa.float64()),
        "double, NaN": ([0.5, 1.0, NAN], pa.float64()),
        "bool": ([True, False, True], pa.bool_()),
        "text": (["a", "b", ""], pa.string()),
        "date": ([NOON.date(), NOON.date(), dt.date(1950, 1, 1)], pa.date32()),
        "time": ([NOON.time(), NOON.time(), dt.time(0)], pa.time64("us")),
    }
    columns = {name: pa.array(values, kind) for name, (values, kind) in found.items()}
    gaps = {f"{name}, a gap": pa.array([values[0], None, values[2]], kind) for name, (values, kind) in found.items()}
    return columns | gaps


COLUMNS = _columns()


def _shown(frame: Any, *, types: bool) -> Any:
    """A frame's type and values, so that all that a model can tell apart is."""
    if isinstance(frame, pl.DataFrame):
        return frame.schema, [repr(value) for value in frame["a"].to_list()]
    values = [f"{type(value).__name__} {value!r}" for value in frame["a"].tolist()]
    return frame["a"].dtype if types else None, [value.replace("NaTType NaT", "NAType <NA>") for value in values]


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("name", COLUMNS)
def test_the_model_sees_what_the_bare_model_sees(library: str, name: str) -> None:
    sample = Sample.of(LIBRARIES[library](COLUMNS[name]))
    assert sample is not None
    inputs = recorded(sample, Signature.described(Described("regressor", (), frame=True), None, sample))
    assert isinstance(inputs, Frame)
    bare, polars = sample.given, sample.library == "polars"
    for rows in (np.arange(3), *(np.array([row]) for row in range(3))):
        seen = inputs[rows].to_polars() if polars else inputs[rows].to_pandas()
        # Pandas' columns of Arrow's types come as its own of the same values.
        types = library != "pandas of Arrow"
        assert _shown(seen, types=types) == _shown(bare[rows] if polars else bare.iloc[rows], types=types), rows


def test_decimals_are_floats() -> None:
    for made in LIBRARIES.values():
        sample = Sample.of(made(pa.array([Decimal("1.50"), None])))
        assert sample is not None
        assert (sample.input("a").dtype, sample.column("a").take(np.array([0])).objects().item()) == (
            "float64",
            1.5,
        )

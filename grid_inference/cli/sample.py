"""`--sample`: a file of a model's input rows, read as columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from grid_inference.cli.ending import REFUSED, Ending

__all__ = ["rows_of", "sample_option"]

sample_option = click.option(
    "--sample", type=click.Path(dir_okay=False), help="A CSV, Parquet or JSON lines file of its inputs."
)


def rows_of(path: str) -> Any:
    """A file's rows as a DataFrame, zones of its moments included; raise Ending for what can't be read."""
    import pyarrow as pa  # noqa: PLC0415  # takes a while, which other commands need not wait for
    from pyarrow import csv, json, parquet  # noqa: PLC0415

    from grid_inference.wire.arrow.columns import plain_arrow  # noqa: PLC0415

    file = Path(path)
    try:
        found: Any
        if file.suffix == ".parquet":
            found = parquet.read_table(file)
        else:
            found = json.read_json(file) if file.suffix in {".json", ".jsonl"} else csv.read_csv(file)
    except (OSError, pa.ArrowException) as error:
        raise Ending(REFUSED, f"{path}: can't be read: {error}", "give a CSV, Parquet or JSON lines file") from None
    return pa.table({name: plain_arrow(found[name]) for name in found.column_names}).to_pandas()

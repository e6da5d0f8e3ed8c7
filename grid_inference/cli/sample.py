"""`--sample`: a file of a model's input rows, read as `put` reads records: what is one kind to it is the same here."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from grid_inference.cli.ending import REFUSED, Ending

__all__ = ["rows_of", "sample_options"]

Command = TypeVar("Command", bound=Callable[..., Any])
TYPE_NAME = "sample"


def sample_options(command: Command) -> Command:
    """`sample`, a path or None, and `texts`, names of columns."""
    command = click.option(
        "--text", "texts", multiple=True, metavar="COLUMN", help="Keep this column of the sample as text, as `put` can."
    )(command)
    return click.option(
        "--sample", type=click.Path(dir_okay=False), help="A CSV, Parquet or JSON lines file of its inputs."
    )(command)


def rows_of(path: str | None, texts: tuple[str, ...] = ()) -> Any:
    """A file's rows as a pyarrow.Table, None without a file; raise Ending for what can't be read.

    A row that does not fit is named on stderr and left out.
    """
    if path is None:
        if texts:
            raise Ending(REFUSED, f"--text {texts[0]} is a column of a sample, and there is none", "add --sample FILE")
        return None
    # They take a while, which other commands need not wait for.
    import pyarrow as pa  # noqa: PLC0415

    from grid_inference.cli.files import read  # noqa: PLC0415
    from grid_inference.cli.left_out import LeftOut  # noqa: PLC0415
    from grid_inference.cli.values import TEXT  # noqa: PLC0415
    from grid_inference.wire.arrow.arrays import ArrowParts  # noqa: PLC0415

    file, parts = Path(path), ArrowParts()
    left_out = LeftOut(file)
    for chunk in read(file, None, None, dict.fromkeys(texts, TEXT)):
        left_out.take(chunk, _say)
        arrays = chunk.arrays or _recorded(chunk.columns)
        parts.add(len(next(iter(arrays.values()), ())), arrays)
    left_out.finish()
    if not parts.rows:
        bad = len(left_out.rows)
        problem = f"none of the {bad:,} rows of {path} can be read" if bad else f"{path} has no rows"
        raise Ending(REFUSED, problem, "give rows of the model's inputs")
    return pa.table({name: parts.column(name) for name in parts.names})


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _recorded(columns: Mapping[str, Any]) -> Mapping[str, Any]:
    """Columns as the records that are put hold them; one that holds nothing yet is of no type."""
    import pyarrow as pa  # noqa: PLC0415

    from grid_inference.wire.arrow.arrays import arrow_columns  # noqa: PLC0415
    from grid_inference.wire.compact import encode_columns, infer_schema  # noqa: PLC0415

    if not columns:
        return {}
    schema = infer_schema(TYPE_NAME, columns)
    found = arrow_columns(encode_columns(schema, columns), schema)
    untyped = [name for name, column in columns.items() if column.kind is None and column.empty]
    return found | {name: pa.nulls(len(columns[name])) for name in untyped}

"""`put`: a file's rows into a feature map, in batches."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from grid_inference.api.client import Features
from grid_inference.cli.common import (
    connected,
    console,
    examples,
    grid_options,
    json_option,
    key_type_option,
    write_json,
)
from grid_inference.cli.ending import INCOMPLETE, REFUSED, Ending
from grid_inference.cli.files import FORMATS, Chunk, read
from grid_inference.cli.left_out import LeftOut
from grid_inference.cli.values import NUMBER, TEXT, WHOLE
from grid_inference.errors import GridError
from grid_inference.records import Put
from grid_inference.wire.arrow.intake import key_values

__all__ = ["put"]


@click.command(epilog=examples("grid-inference put payments payments.csv --key payment_id"))
@click.argument("name", metavar="MAP")
@click.argument("path", metavar="FILE", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--key", required=True, metavar="COLUMN", help="The column that holds the keys; it is no field of the record."
)
@key_type_option
@click.option("--text", "texts", multiple=True, metavar="COLUMN", help="Keep this column as text; may come repeatedly.")
@click.option("--format", "file_format", type=click.Choice(list(FORMATS)), help="By default what the file's name says.")
@json_option
@grid_options
def put(
    name: str,
    path: Path,
    key: str,
    key_type: str | None,
    texts: tuple[str, ...],
    file_format: str | None,
    as_json: bool,
    address: str | None,
    cluster_name: str | None,
) -> int:
    """Put a file's rows into a feature map: CSV, JSON lines or Parquet.

    A row that does not fit is named on stderr and left out; the exit code is 1 then. A key that is there already gets
    the new record.
    """
    chunks = read(path, file_format, key, dict.fromkeys(texts, TEXT) | _kind_of_keys(key, key_type))
    first = next(chunks, Chunk({}))  # what can't be read is said before the grid is asked for
    total = _Total(path)
    with connected(address, cluster_name) as grid, total.told(name), _progress(path) as progress:
        task = progress.add_task(path.name, total=1.0, rows=0)
        features = grid.features(name)
        for chunk in _and_then(first, chunks):
            total.count(_put(features, chunk, key, key_type))
            total.left_out.take(chunk, partial(_say, progress))
            progress.update(task, completed=chunk.done, rows=f"{total.rows:,}")
    return total.finish(name, as_json=as_json)


def _and_then(first: Chunk, rest: Any) -> Any:
    yield first
    yield from rest


def _put(features: Features, chunk: Chunk, key: str, key_type: str | None) -> Any:
    """Put a chunk, and give its keys as they were written."""
    if not chunk.columns or not len(chunk.columns[key]):
        return []
    column = chunk.columns.pop(key)
    keys = _uuids(column.objects()) if key_type == "uuid" else key_values(key, column, key_type)
    features.put_batch(chunk.columns, key=keys, key_type=key_type)
    return keys


def _uuids(texts: Any) -> list[uuid.UUID]:
    try:
        return [uuid.UUID(text) for text in texts]
    except ValueError:
        raise Ending(REFUSED, "not every key is a UUID", "choose another --key-type") from None


def _kind_of_keys(key: str, key_type: str | None) -> dict[str, str]:
    if key_type is None:
        return {}
    return {key: TEXT if key_type in {"string", "uuid"} else NUMBER if key_type in {"float", "double"} else WHOLE}


def _progress(path: Path) -> Progress:
    del path
    out = console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]} rows"),
    )
    return Progress(*columns, console=out, disable=not out.is_terminal, transient=True)


def _say(progress: Progress, text: str) -> None:
    progress.console.print(text, markup=False) if progress.live.is_started else sys.stderr.write(f"{text}\n")


class _Total:
    """What went in and what was left out."""

    def __init__(self, path: Path) -> None:
        self.rows = 0
        self.keys = set[Any]()
        self.left_out = LeftOut(path)
        self._path = path

    def count(self, keys: Any) -> None:
        """Count rows that were put, and the different keys that they have."""
        self.rows += len(keys)
        self.keys.update(keys.tolist() if hasattr(keys, "tolist") else keys)

    @contextmanager
    def told(self, name: str) -> Generator[None]:
        """Say how many rows are in where it ends before its time."""
        try:
            yield
        except BaseException as error:
            unsure = isinstance(error, KeyboardInterrupt | GridError)
            if self.rows or unsure:
                perhaps = ", and perhaps some of those that were on their way" if unsure else ""
                sys.stderr.write(f"{self.rows:,} rows of {self._path.name} are in {name}{perhaps}\n")
            raise

    def finish(self, name: str, *, as_json: bool) -> int:
        """Say what has been done, and give the exit code."""
        bad = self.left_out.rows
        self.left_out.finish()
        if not self.rows:
            message = (
                f"none of the {len(bad):,} rows of {self._path} could be put" if bad else f"{self._path} has no rows"
            )
            raise Ending(REFUSED, message, "a header alone is not enough")
        if as_json:
            write_json(
                {
                    "map": name,
                    "rows": self.rows,
                    "keys": len(self.keys),
                    "left_out": len(bad),
                    "bad_rows": bad,
                }
            )
        else:
            left_out = f", {len(bad):,} left out" if bad else ""
            sys.stdout.write(f"{Put(self.rows, len(self.keys))} put into {name}{left_out}\n")
        return INCOMPLETE if bad else 0

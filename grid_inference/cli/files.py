"""Files of records as chunks of columns: CSV, JSON lines and Parquet, also compressed. Types are found out here.

What a column is, its type says, or else its first values do (`values.py`). A row that does not fit is named by its
number and left out; all others go on.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv
from numpy.typing import NDArray
from pyarrow import parquet

from grid_inference.cli.ending import REFUSED, Ending
from grid_inference.cli.values import Values, is_of_a_field, of_arrow, of_objects, of_texts

__all__ = ["FORMATS", "BadRow", "Chunk", "read"]

FORMATS: Final = {
    "csv": (".csv", ".tsv", ".txt"),
    "jsonl": (".jsonl", ".ndjson", ".json"),
    "parquet": (".parquet", ".pq"),
}
COMPRESSED: Final = (".gz", ".bz2", ".zst", ".lz4")
CSV_BLOCK_BYTES: Final = 4 << 20
HEADER_BYTES_MAX: Final = 1 << 20
ROWS_MAX: Final = 20_000
DELIMITERS: Final = ",;\t|"


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was left out."""

    number: int
    """Line of a text file (its header is line 1), row of a Parquet file (from 1)."""
    reason: str


@dataclass(slots=True, eq=False)
class Chunk:
    """Some rows of a file."""

    columns: dict[str, NDArray[Any]]
    bad: list[BadRow] = field(default_factory=list[BadRow])
    done: float = 0.0
    """How much of the file is read, from 0 to 1."""


def read(path: Path, kind: str | None, key: str, kinds: dict[str, str]) -> Iterator[Chunk]:
    """Read a file; `kinds` has those of `values.py` that columns are to be of, and all others are found out."""
    if not path.stat().st_size:
        raise Ending(REFUSED, f"{path} is empty", "a CSV file needs a header and rows")
    readers: dict[str, Callable[[Path, str, dict[str, str]], Iterator[Chunk]]]
    readers = {"csv": _read_csv, "jsonl": _read_jsonl, "parquet": _read_parquet}
    try:
        yield from readers[kind or _format_of(path)](path, key, dict(kinds))
    except (pa.ArrowException, UnicodeDecodeError, EOFError) as error:
        raise Ending(REFUSED, f"{path} can't be read: {error}", "name the right --format") from None


def _format_of(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in COMPRESSED]
    for name, endings in FORMATS.items():
        if suffixes and suffixes[-1] in endings:
            return name
    raise Ending(REFUSED, f"{path}: the name does not tell the format", f"add --format {', '.join(FORMATS)}")


def _check_names(path: Path, key: str, kinds: dict[str, str], names: list[str]) -> None:
    for name, option in {**dict.fromkeys(kinds, "--text"), key: "--key"}.items():
        if name not in names:
            raise Ending(REFUSED, f"{path} has no column {name!r} for {option}; it has: {', '.join(names)}")


def _keyed(chunk: Chunk, key: str, values: dict[str, Values], numbers: NDArray[np.int64]) -> Chunk:
    """Leave out the rows that some column can't take, and those without a key."""
    good = np.ones(len(numbers), np.bool_)
    for name, column in values.items():
        wrong = column.wrong | (column.null if name == key else False)
        for row in np.flatnonzero(wrong & good).tolist():
            reason = (
                f"no key in {name!r}" if column.null[row] else f"{name} = {column.shown(row)!r} is no {column.kind}"
            )
            chunk.bad.append(BadRow(int(numbers[row]), reason))
        good &= ~wrong
    chunk.columns = {name: column.values if good.all() else column.values[good] for name, column in values.items()}
    chunk.bad.sort(key=lambda row: row.number)
    return chunk


# ---- CSV


def _read_csv(path: Path, key: str, kinds: dict[str, str]) -> Iterator[Chunk]:
    names, delimiter = _header(path)
    _check_names(path, key, kinds, names)
    skipped: dict[int, BadRow] = {}

    def skip(row: Any) -> str:
        reason = f"{row.actual_columns} values for {row.expected_columns} columns"
        skipped[row.number] = BadRow(row.number, reason if row.text.strip() else "")
        return "skip"

    with path.open("rb") as file, pa.input_stream(file, compression=_compression(path)) as stream:
        reader = arrow_csv.open_csv(
            stream,
            read_options=arrow_csv.ReadOptions(use_threads=False, block_size=CSV_BLOCK_BYTES),
            parse_options=arrow_csv.ParseOptions(
                delimiter=delimiter, invalid_row_handler=skip, ignore_empty_lines=False, newlines_in_values=True
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=True,
                null_values=[""],
                quoted_strings_can_be_null=False,
            ),
        )
        line = 2
        for batch in reader:
            numbers, left_out = _line_numbers(line, batch.num_rows, skipped)
            line = int(numbers[-1]) + 1 if numbers.size else line
            values = {name: of_texts(batch.column(i), kinds, name, key=name == key) for i, name in enumerate(names)}
            values, numbers = _without_blank_lines(values, numbers)
            yield _keyed(Chunk({}, left_out, file.tell() / path.stat().st_size), key, values, numbers)
        yield Chunk({}, [row for row in skipped.values() if row.reason], 1.0)


def _without_blank_lines(
    values: dict[str, Values], numbers: NDArray[np.int64]
) -> tuple[dict[str, Values], NDArray[np.int64]]:
    """They were read as rows without any value, so that they count as lines."""
    blank = np.logical_and.reduce([column.null for column in values.values()])
    if not blank.any():
        return values, numbers
    return {name: column.take(np.flatnonzero(~blank)) for name, column in values.items()}, numbers[~blank]


def _line_numbers(first: int, count: int, skipped: dict[int, BadRow]) -> tuple[NDArray[np.int64], list[BadRow]]:
    """The lines of the next rows, and the lines between them that were no rows; these are taken out of `skipped`."""
    lines = np.arange(first, first + count + len(skipped))
    numbers = lines[~np.isin(lines, list(skipped))][:count]
    last = int(numbers[-1]) if count else first
    between = [skipped.pop(number) for number in sorted(skipped) if number < last]
    return numbers, [row for row in between if row.reason]


def _header(path: Path) -> tuple[list[str], str]:
    with path.open("rb") as file, pa.input_stream(file, compression=_compression(path)) as stream:
        head = io.StringIO(stream.read(HEADER_BYTES_MAX).decode("utf-8-sig", errors="replace"))
    first = head.readline()
    if not first.strip():
        raise Ending(REFUSED, f"{path} has no header", "its first line must name the columns")
    delimiter = max(DELIMITERS, key=first.count)
    head.seek(0)
    names = next(csv.reader(head, delimiter=delimiter))
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Ending(REFUSED, f"{path} has several columns named {', '.join(map(repr, twice))}")
    return names, delimiter


def _compression(path: Path) -> str | None:
    return {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4"}.get(path.suffix.lower())


# ---- JSON lines


def _read_jsonl(path: Path, key: str, kinds: dict[str, str]) -> Iterator[Chunk]:
    size = path.stat().st_size
    with path.open("rb") as file, pa.input_stream(file, compression=_compression(path)) as stream:
        lines = enumerate(io.BufferedReader(stream), 1)
        while block := list(islice(lines, ROWS_MAX)):
            chunk = Chunk({}, done=file.tell() / size)
            rows = [(number, row) for number, line in block if (row := _object(number, line, chunk.bad)) is not None]
            names = list(dict.fromkeys(name for _, row in rows for name in row))
            if rows:
                _check_names(path, key, {}, names)
            fields = {name: [row.get(name) for _, row in rows] for name in names}
            values = {name: of_objects(field, kinds, name, key=name == key) for name, field in fields.items()}
            yield _keyed(chunk, key, values, np.array([number for number, _ in rows], np.int64))


def _object(number: int, line: bytes, bad: list[BadRow]) -> dict[str, Any] | None:
    if not line.strip():
        return None
    try:
        row = json.loads(line)
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        bad.append(BadRow(number, "is not JSON"))
        return None
    if not isinstance(row, dict):
        bad.append(BadRow(number, "is no JSON object"))
        return None
    return row


# ---- Parquet


def _read_parquet(path: Path, key: str, kinds: dict[str, str]) -> Iterator[Chunk]:
    with parquet.ParquetFile(path) as file:
        schema = file.schema_arrow
        _check_names(path, key, kinds, schema.names)
        _check_types(path, schema)
        nullable = _columns_with_nulls(file.metadata)
        total, read_rows = max(1, file.metadata.num_rows), 0
        for batch in file.iter_batches(ROWS_MAX):
            values = {
                name: of_arrow(batch.column(index), kinds, name, nullable=name in nullable, key=name == key)
                for index, name in enumerate(schema.names)
            }
            numbers = np.arange(read_rows + 1, read_rows + batch.num_rows + 1)
            read_rows += batch.num_rows
            yield _keyed(Chunk({}, done=read_rows / total), key, values, numbers)


def _check_types(path: Path, schema: Any) -> None:
    for column in schema:
        if not is_of_a_field(column.type):
            raise Ending(
                REFUSED,
                f"{path}: column {column.name!r} is {column.type}, for which a record has no field",
                "write the file without it, or with numbers or texts in its place",
            )


def _columns_with_nulls(metadata: Any) -> set[str]:
    """Columns in which the whole file has a null, or does not say: one kind of field then holds for all of its rows."""
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    parts = [group.column(index) for group in groups for index in range(group.num_columns)]
    return {part.path_in_schema for part in parts if not part.is_stats_set or part.statistics.null_count != 0}

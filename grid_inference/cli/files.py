"""Files of records as chunks of columns: CSV, JSON lines and Parquet, also compressed. Types are found out here.

What a column is, its type says, or else its first values do (`values.py`). A row that does not fit is named by its
line and left out; all others go on. Texts are UTF-8, or UTF-16 that says so; lines end as on any system.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv as arrow_csv
from numpy.typing import NDArray
from pyarrow import parquet

from grid_inference.cli.ending import REFUSED, Ending
from grid_inference.cli.values import Strays, Values, is_of_a_field, of_arrow, of_objects, of_texts
from grid_inference.wire.columns import Column

__all__ = ["FORMATS", "BadRow", "Chunk", "read"]

FORMATS: Final = {
    "csv": (".csv", ".tsv", ".txt"),
    "jsonl": (".jsonl", ".ndjson", ".json"),
    "parquet": (".parquet", ".pq"),
}
WHAT_IS_READ: Final = "give CSV, JSON lines or Parquet, as the file's name says; `put` takes --format too"
COMPRESSED: Final = (".gz", ".bz2", ".zst", ".lz4")
CSV_BLOCK_BYTES: Final = 4 << 20
HEADER_BYTES_MAX: Final = 1 << 20
ROWS_MAX: Final = 20_000
DELIMITERS: Final = ",;\t|"
LINE_BREAK: Final = r"\r\n|\r|\n"
STRAYS_NAMED_MAX: Final = 3
pc: Any = pyarrow.compute  # makes its functions at import, which a type checker can't see


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was left out."""

    number: int
    """Line of a text file (its header is line 1), row of a Parquet file (from 1)."""
    reason: str


@dataclass(slots=True, eq=False)
class Chunk:
    """Some rows of a file."""

    columns: dict[str, Column]
    bad: list[BadRow] = field(default_factory=list[BadRow])
    done: float = 0.0
    """How much of the file is read, from 0 to 1."""
    notes: list[str] = field(default_factory=list[str])
    """What of its columns is other than one might think."""
    arrays: dict[str, Any] = field(default_factory=dict[str, Any])
    """Its columns as Arrow arrays of the file's own types; none of a text file, which has no types."""


def read(path: Path, kind: str | None, key: str | None, kinds: dict[str, str]) -> Iterator[Chunk]:
    """Read a file; `kinds` has those of `values.py` that columns are to be of, and all others are found out.

    `key` names the column that holds keys, if one does: a row without one is left out.
    """
    readers: dict[str, Callable[[Path, str | None, dict[str, str]], Iterator[Chunk]]]
    readers = {"csv": _read_csv, "jsonl": _read_jsonl, "parquet": _read_parquet}
    try:
        if not path.stat().st_size:
            raise Ending(REFUSED, f"{path} is empty", "a CSV file needs a header and rows")
        yield from readers[kind or _format_of(path)](path, key, dict(kinds))
    except OSError as error:
        raise Ending(REFUSED, f"{path} can't be read: {error.strerror or error}", WHAT_IS_READ) from None
    except (pa.ArrowException, UnicodeError, EOFError, csv.Error) as error:
        if "UTF8" in str(error) or isinstance(error, UnicodeError):
            raise Ending(REFUSED, f"{path}{_first_odd_line(path)} is not UTF-8", "save the file as UTF-8") from None
        raise Ending(REFUSED, f"{path} can't be read: {error}", WHAT_IS_READ) from None


def _format_of(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() not in COMPRESSED]
    for name, endings in FORMATS.items():
        if suffixes and suffixes[-1] in endings:
            return name
    raise Ending(
        REFUSED,
        f"{path}: the name does not tell the format",
        f"let it end in {', '.join(endings[0] for endings in FORMATS.values())}; `put` takes --format too",
    )


def _first_odd_line(path: Path) -> str:
    """The line that is not UTF-8, in words."""
    with _opened(path) as stream:
        for number, line in enumerate(io.BufferedReader(stream), 1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                start = line[max(0, error.start - 10) : error.end].decode("latin-1")
                return f", line {number}: what ends in {start!r}"
    return ""


@contextmanager
def _opened(path: Path, done: Callable[[Callable[[], int]], None] | None = None) -> Generator[Any]:
    """A text file's bytes as UTF-8, decompressed; `done` is given what tells how many bytes of the file are read."""
    compression = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4"}.get(path.suffix.lower())
    with path.open("rb") as file, pa.input_stream(file, compression=compression) as stream:
        head = stream.read(4)
    with path.open("rb") as file, pa.input_stream(file, compression=compression) as stream:
        if done is not None:
            done(file.tell)
        encoding = _encoding(head)
        yield stream if encoding is None else pa.transcoding_input_stream(stream, encoding, "utf-8")


def _encoding(head: bytes) -> str | None:
    """UTF-16 by its mark, or by the zeros of its first letters; None for all else."""
    if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "utf-16"
    zeros = [index for index, byte in enumerate(head) if not byte]
    return "utf-16-le" if zeros == [1, 3] else "utf-16-be" if zeros == [0, 2] else None


def _check_names(path: Path, key: str | None, kinds: dict[str, str], names: list[str]) -> None:
    wanted = dict.fromkeys(kinds, "--text") | ({} if key is None else {key: "--key"})
    for name, option in wanted.items():
        if name not in names:
            raise Ending(REFUSED, f"{path} has no column {name!r} for {option}; it has: {', '.join(names)}")


def _filled(
    chunk: Chunk, key: str | None, values: dict[str, Values], numbers: NDArray[np.int64], *, typed: bool = False
) -> Chunk:
    """Take the columns, without the rows that one of them can't take, and those without a key.

    `typed`: they came as Arrow arrays.
    """
    good = np.ones(len(numbers), np.bool_)
    for name, column in values.items():
        wrong = column.wrong | (column.null if name == key else False)
        for row in np.flatnonzero(wrong & good).tolist():
            reason = (
                f"no key in {name!r}" if column.null[row] else f"{name} = {column.shown(row)!r} is no {column.kind}"
            )
            chunk.bad.append(BadRow(int(numbers[row]), reason))
        good &= ~wrong
        if column.strays is not None and column.strays.rows.size:
            chunk.notes.append(_said(name, column, column.strays, numbers))
    whole = bool(good.all())
    chunk.columns = {name: column.column if whole else column.column.take(good) for name, column in values.items()}
    if typed:
        kept = pa.array(good)
        chunk.arrays = {name: each.given if whole else each.given.filter(kept) for name, each in values.items()}
    chunk.bad.sort(key=lambda row: row.number)
    return chunk


def _said(name: str, column: Values, strays: Strays, numbers: NDArray[np.int64]) -> str:
    """Which values made a text of a column."""
    count = strays.rows.size
    shown = ", ".join(f"row {numbers[row]} {column.shown(row)!r}" for row in strays.rows[:STRAYS_NAMED_MAX].tolist())
    more = f" and {count - STRAYS_NAMED_MAX:,} more" if count > STRAYS_NAMED_MAX else ""
    are = "is" if count == 1 else "are"
    return f"{name} is text, as {count:,} of {numbers.size:,} values {are} no {strays.kind}: {shown}{more}"


# ---- CSV


def _read_csv(path: Path, key: str | None, kinds: dict[str, str]) -> Iterator[Chunk]:
    names, delimiter, header_lines = _header(path)
    _check_names(path, key, kinds, names)
    lines = _Lines(header_lines)
    tell: list[Callable[[], int]] = []
    with _opened(path, tell.append) as stream:
        reader = arrow_csv.open_csv(
            stream,
            read_options=arrow_csv.ReadOptions(use_threads=False, block_size=CSV_BLOCK_BYTES),
            parse_options=arrow_csv.ParseOptions(
                delimiter=delimiter, invalid_row_handler=lines.skip, ignore_empty_lines=False, newlines_in_values=True
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=True,
                null_values=[""],
                quoted_strings_can_be_null=False,
            ),
        )
        for batch in reader:
            numbers, left_out = lines.of(batch)
            values = {name: of_texts(batch.column(i), kinds, name, key=name == key) for i, name in enumerate(names)}
            values, numbers = _without_blank_lines(values, numbers)
            yield _filled(Chunk({}, left_out, tell[0]() / path.stat().st_size), key, values, numbers)
        yield Chunk({}, lines.rest(), 1.0)


class _Lines:
    """On which line each row begins: the reader counts rows, of which it skips some; a row may span lines."""

    def __init__(self, header_lines: int) -> None:
        self._row = 2  # as the reader counts: its header is row 1
        self._line = header_lines + 1
        self._skipped: dict[int, tuple[str, str]] = {}

    def skip(self, row: Any) -> str:
        """Take a row that has too many or too few values."""
        self._skipped[row.number] = row.text, f"{row.actual_columns} values for {row.expected_columns} columns"
        return "skip"

    def of(self, batch: Any) -> tuple[NDArray[np.int64], list[BadRow]]:
        """The lines of a batch's rows, and the rows before its last one that were none."""
        breaks = sum(
            pc.fill_null(pc.count_substring_regex(column, LINE_BREAK), 0)
            .to_numpy(zero_copy_only=False)
            .astype(np.int64)
            for column in batch.columns
        )
        numbers, left_out = np.zeros(batch.num_rows, np.int64), list[BadRow]()
        for at, more in enumerate(np.broadcast_to(breaks, batch.num_rows).tolist()):
            left_out += self._skip_to_row()
            numbers[at] = self._line
            self._row += 1
            self._line += 1 + more
        return numbers, left_out

    def _skip_to_row(self) -> list[BadRow]:
        found: list[BadRow] = []
        while self._row in self._skipped:
            text, reason = self._skipped.pop(self._row)
            if text.strip():
                found.append(BadRow(self._line, reason))
            self._row += 1
            self._line += 1 + len(re.findall(LINE_BREAK, text.strip("\r\n")))
        return found

    def rest(self) -> list[BadRow]:
        """What was skipped behind the last row."""
        return self._skip_to_row()


def _without_blank_lines(
    values: dict[str, Values], numbers: NDArray[np.int64]
) -> tuple[dict[str, Values], NDArray[np.int64]]:
    """They were read as rows without any value, so that they count as lines."""
    blank = np.logical_and.reduce([column.null for column in values.values()])
    if not blank.any():
        return values, numbers
    return {name: column.take(np.flatnonzero(~blank)) for name, column in values.items()}, numbers[~blank]


def _header(path: Path) -> tuple[list[str], str, int]:
    """The columns' names, what parts them, and how many lines that is."""
    with _opened(path) as stream:
        # Any end of a line is one here.
        text = stream.read(HEADER_BYTES_MAX).decode("utf-8-sig", errors="replace")
    head = io.StringIO(text, newline=None)
    first = head.readline()
    if not first.strip():
        raise Ending(REFUSED, f"{path} has no header", "its first line must name the columns")
    delimiter = max(DELIMITERS, key=first.count)
    head.seek(0)
    rows = csv.reader(head, delimiter=delimiter)
    names = next(rows)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Ending(REFUSED, f"{path} has several columns named {', '.join(map(repr, twice))}")
    return names, delimiter, rows.line_num


# ---- JSON lines


def _read_jsonl(path: Path, key: str | None, kinds: dict[str, str]) -> Iterator[Chunk]:
    size = path.stat().st_size
    tell: list[Callable[[], int]] = []
    with _opened(path, tell.append) as stream:
        lines = enumerate(io.BufferedReader(stream), 1)
        while block := list(islice(lines, ROWS_MAX)):
            chunk = Chunk({}, done=tell[0]() / size)
            rows = [(number, row) for number, line in block if (row := _object(number, line, chunk.bad)) is not None]
            names = list(dict.fromkeys(name for _, row in rows for name in row))
            if rows:
                _check_names(path, key, {}, names)
            fields = {name: [row.get(name) for _, row in rows] for name in names}
            values = {name: of_objects(field, kinds, name, key=name == key) for name, field in fields.items()}
            yield _filled(chunk, key, values, np.array([number for number, _ in rows], np.int64))


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


def _read_parquet(path: Path, key: str | None, kinds: dict[str, str]) -> Iterator[Chunk]:
    with parquet.ParquetFile(path) as file:
        schema = file.schema_arrow
        _check_names(path, key, kinds, schema.names)
        _check_types(path, schema)
        total, read_rows = max(1, file.metadata.num_rows), 0
        for batch in file.iter_batches(ROWS_MAX):
            values = {
                each.name: of_arrow(batch.column(index), kinds, each.name, nullable=each.nullable, key=each.name == key)
                for index, each in enumerate(schema)
            }
            numbers = np.arange(read_rows + 1, read_rows + batch.num_rows + 1)
            read_rows += batch.num_rows
            yield _filled(Chunk({}, done=read_rows / total), key, values, numbers, typed=True)


def _check_types(path: Path, schema: Any) -> None:
    for column in schema:
        if not is_of_a_field(column.type):
            raise Ending(
                REFUSED,
                f"{path}: column {column.name!r} is {column.type}, for which a record has no field",
                "write the file without it, or with numbers or texts in its place",
            )

"""`--sample`: the rows of a file are what the model is asked with, read as `put` reads them."""

from __future__ import annotations

import datetime as dt
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from grid_inference.cli import files
from grid_inference.cli.ending import Ending
from grid_inference.cli.sample import rows_of
from grid_inference.cli.values import TEXT
from grid_inference.model.sample import Sample
from grid_inference.wire.arrow.arrays import arrow_columns
from grid_inference.wire.arrow.intake import column_from
from grid_inference.wire.compact import encode_columns, infer_schema

BERLIN = ZoneInfo("Europe/Berlin")


def put(path: Path, texts: tuple[str, ...] = ()) -> tuple[list[dict[str, str]], pa.Table]:
    """The kinds of the fields that `put` writes for a file, and its records."""
    kinds: list[dict[str, str]] = []
    tables: list[pa.Table] = []
    for chunk in files.read(path, None, "id", dict.fromkeys(texts, TEXT)):
        if chunk.columns:
            del chunk.columns["id"]
            schema = infer_schema("r", chunk.columns)
            kinds.append({name: slot.kind.name for name, slot in schema.slots.items()})
            tables.append(pa.table(arrow_columns(encode_columns(schema, chunk.columns), schema)))
    return kinds, pa.concat_tables(tables)


def kinds_of(rows: pa.Table) -> dict[str, str]:
    """The kinds of the fields that these rows would be put as."""
    columns = {name: column_from(name, rows[name]) for name in rows.column_names}
    return {name: slot.kind.name for name, slot in infer_schema("r", columns).slots.items()}


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def column(*cells: str) -> str:
    return "".join(f"{line}\n" for line in ["id,a", *(f'{row},"{cell}"' if "," in cell else f"{row},{cell}"
                                                      for row, cell in enumerate(cells))])  # fmt: skip


CSV = {
    "whole": column("1", "-2", "9007199254740993"),
    "whole, empty": column("1", "", "9007199254740993"),
    "fractions": column("1", "2.5", ""),
    "a zero before": column("01067", "10115", ""),
    "a zero before one": column("12", "007", "13"),
    "beyond int64": column("1", "18446744073709551616", "3"),
    "plus": column("+1", "+2", "3"),
    "decimal commas": column("1,5", "2,25", "3"),
    "thousands": column("1,500", "2,250", "3"),
    "booleans": column("true", "FALSE", "True"),
    "booleans, empty": column("true", "", "false"),
    "texts": column("x", "", "y"),
    "quoted empty text": 'id,a\n1,x\n2,""\n3,\n',
    "blanks": column(" 1", "2 ", " 3 "),
    "NA among numbers": column("1", "NA", "null"),
    "NA among texts": column("x", "NA", "null"),
    "nan, inf": column("1.5", "nan", "-inf"),
    "dates": column("2024-02-29", "", "1999-12-31"),
    "a bad date": column("2024-02-29", "2024-02-30", "1999-12-31"),
    "timestamps": column("2024-02-29T12:30", "2024-02-29 12:30:01.123456789", ""),
    "zones": column("2024-02-29T12:30Z", "2024-07-01 12:30+02:00", ""),
    "times": column("12:30", "13:45", ""),
    "numbers, one word": column("1", "2", "x", "4"),
    "words, one number": column("x", "y", "3"),
    "empty": column("", "", ""),
    "CR": column("1", "01067").replace("\n", "\r"),
    "CRLF": column("1", "").replace("\n", "\r\n"),
    "UTF-16": column("1,5", "2,5").encode("utf-16"),
    "UTF-8 with a mark": column("ä", "ö").encode("utf-8-sig"),
    "semicolons": "id;a;b\n1;1,5;x\n2;2,5;\n",
    "tabs": "id\ta\n1\t01067\n2\t10115\n",
    "new lines in quotes": 'id,a\n1,"x\ny"\n2,z\n',
    "rows too long": "id,a\n1,2\n3,4,5\n6,7\n",
    "empty lines": "id,a\n1,2\n\n3,4\n",
}
JSON_LINES = {
    "whole": '{"id": 1, "a": 1}\n{"id": 2, "a": 9007199254740993}\n',
    "whole, null": '{"id": 1, "a": 1}\n{"id": 2, "a": null}\n',
    "fractions": '{"id": 1, "a": 1}\n{"id": 2, "a": 2.5}\n',
    "booleans": '{"id": 1, "a": true}\n{"id": 2}\n',
    "dates stay texts": '{"id": 1, "a": "2024-02-29"}\n{"id": 2, "a": "2024-02-30"}\n',
    "digits stay texts": '{"id": 1, "a": "01067"}\n{"id": 2, "a": null}\n',
    "another type": '{"id": 1, "a": 1}\n{"id": 2, "a": "x"}\n{"id": 3, "a": 3}\n',
    "lists": '{"id": 1, "a": [1, 2.5]}\n{"id": 2, "a": null}\n{"id": 3, "a": [1]}\n',
    "nulls": '{"id": 1, "a": null, "b": 1}\n{"id": 2, "a": null, "b": 2}\n',
    "no JSON": '{"id": 1, "a": 1}\nnothing\n[1]\n\n{"id": 2, "a": 2}\n',
    "UTF-16": '{"id": 1, "a": "ä"}\n'.encode("utf-16"),
}


@pytest.mark.parametrize(
    ("name", "content"),
    [*(("r.csv", each) for each in CSV.values()), *(("r.jsonl", each) for each in JSON_LINES.values())],
    ids=[*(f"csv {each}" for each in CSV), *(f"json {each}" for each in JSON_LINES)],
)
def test_a_sample_is_of_the_kinds_that_put_writes(tmp_path: Path, name: str, content: str | bytes) -> None:
    path = written(tmp_path, name, content)
    kinds, records = put(path)
    rows = rows_of(str(path)).drop_columns("id")
    assert [kinds_of(rows)] == [{field: _nullable(kind) for field, kind in each.items()} for each in kinds]
    for field in rows.column_names:
        assert str(rows[field].to_pylist()) == str(records[field].to_pylist())  # NaN is NaN


def _nullable(kind: str) -> str:
    """As Arrow has no column that can't be null."""
    return kind if kind.startswith("ARRAY") or kind not in {"FLOAT64", "INT64", "BOOLEAN"} else f"NULLABLE_{kind}"


PARQUET: dict[str, Any] = {
    "whole": pa.array([1, None, 2**53 + 1]),
    "bytes": pa.array([1, None, 3], pa.uint8()),
    "booleans": pa.array([True, None, False]),
    "float32": pa.array([0.5, None, float("nan")], pa.float32()),
    "texts": pa.array(["01067", None, ""]),
    "colours": pa.array(["blue", None, "red"]).dictionary_encode(),
    "days": pa.array([dt.date(2024, 2, 29), None, dt.date(1, 1, 1)]),
    "times": pa.array([dt.time(1, 2), None, dt.time(3)]),
    "moments": pa.array([1, None, 2], pa.timestamp("ms")),
    "zones": pa.array([1, None, 2], pa.timestamp("us", "Europe/Berlin")),
    "decimals": pa.array([1, None, 3]).cast(pa.decimal128(22, 2)),
    "lists": pa.array([[1.0, 2.0], None, [3.0]]),
    "nulls": pa.nulls(3),
}


@pytest.mark.parametrize("values", PARQUET.values(), ids=PARQUET)
def test_a_parquet_sample_is_of_the_kinds_that_put_writes(tmp_path: Path, values: Any) -> None:
    path = tmp_path / "r.parquet"
    parquet.write_table(pa.table({"id": [1, 2, 3], "a": values}), path)
    kinds, records = put(path)
    rows = rows_of(str(path)).drop_columns("id")
    assert [kinds_of(rows)] == kinds
    assert rows["a"].cast(records["a"].type).to_pandas().equals(records["a"].to_pandas())


def test_a_column_may_be_kept_as_text(tmp_path: Path) -> None:
    path = written(tmp_path, "r.csv", "id,zip\n1,10115\n2,10117\n")
    assert put(path, ("zip",))[0] == [{"zip": "STRING"}]
    assert rows_of(str(path), ("zip",))["zip"].to_pylist() == ["10115", "10117"]


def test_what_is_left_out_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    days = "".join(f"2024-01-{day:02},1\n" for day in range(1, 29))
    path = written(tmp_path, "r.csv", f"day,a\n2024-02-30,1\n{days}x\n")
    assert rows_of(str(path)).num_rows == 29
    said = capsys.readouterr().err
    assert "r.csv: day is text, as 1 of 29 values is no date: row 2 '2024-02-30'" in said
    assert "r.csv, row 31: 1 values for 2 columns; left out" in said


def test_a_column_that_holds_nothing_is_of_no_type(tmp_path: Path) -> None:
    path = written(tmp_path, "r.csv", "a,b\n1,\n2,\n")
    sample = Sample.of(rows_of(str(path)))
    assert sample is not None
    assert sample.input("b").dtype == "float64"


def test_whole_numbers_beside_gaps_are_exact(tmp_path: Path) -> None:
    path = written(tmp_path, "r.csv", "a,b,c\n9007199254740993,1,x\n,,y\n")
    sample = Sample.of(rows_of(str(path)))
    assert sample is not None
    assert (sample.input("a").dtype, sample.given["a"].tolist()) == ("int64", [2**53 + 1, pd.NA])
    assert sample.input("b").dtype == "float64"


def test_a_parquet_sample_keeps_zones_and_the_nulls_of_dictionaries(tmp_path: Path) -> None:
    winter, summer = datetime(2026, 1, 1, 22, tzinfo=UTC), datetime(2026, 7, 1, 22, tzinfo=UTC)
    table = pa.table(
        {
            "colour": pa.array(["blue", None, "red"]).dictionary_encode(),
            "at": pa.array([winter, None, summer], pa.timestamp("us", "Europe/Berlin")),
            "whole": pa.array([1, 2, 3], pa.int64()),
        }
    )
    parquet.write_table(table, tmp_path / "rows.parquet")
    rows = rows_of(str(tmp_path / "rows.parquet")).to_pandas()
    assert rows["colour"].isna().tolist() == [False, True, False]
    assert rows["colour"].dropna().tolist() == ["blue", "red"]
    assert rows["at"].isna().tolist() == [False, True, False]
    assert [at.hour for at in rows["at"].dropna()] == [23, 0]
    assert rows["at"].iloc[0].utcoffset() == winter.astimezone(BERLIN).utcoffset()
    assert rows["whole"].tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("r.parquet", b"nothing of the sort", "can't be read"),
        ("r.csv", "a\n", "has no rows"),
        ("r.jsonl", "nothing\n", "none of the 1 rows"),
        ("r.dat", "a\n1\n", "does not tell the format"),
    ],
)
def test_what_is_no_file_of_rows_is_refused(tmp_path: Path, name: str, content: str | bytes, said: str) -> None:
    with pytest.raises(Ending, match=said):
        rows_of(str(written(tmp_path, name, content)))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Ending, match=r"nothing\.csv can't be read"):
        rows_of(str(tmp_path / "nothing.csv"))


def test_columns_of_no_sample() -> None:
    assert rows_of(None) is None
    with pytest.raises(Ending, match="--text zip is a column of a sample, and there is none"):
        rows_of(None, ("zip",))

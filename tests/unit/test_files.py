"""Files as columns: which kind of field each column becomes, what a null is, and which rows are left out."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from grid_inference.cli import files
from grid_inference.cli.ending import Ending
from grid_inference.cli.values import TEXT
from grid_inference.wire.compact import decode_columns, encode_columns, infer_schema

BERLIN = dt.timezone(dt.timedelta(hours=2))


class Found:
    """What a file's rows are as records."""

    def __init__(self, path: Path, kinds: dict[str, str] | None = None) -> None:
        self.kinds: list[dict[str, str]] = []
        self.records: dict[Any, dict[str, Any]] = {}
        self.bad: dict[int, str] = {}
        for chunk in files.read(path, None, "id", kinds or {}):
            self.bad |= {row.number: row.reason for row in chunk.bad}
            if chunk.columns:
                self._take(chunk.columns)

    def _take(self, columns: dict[str, Any]) -> None:
        keys = columns.pop("id").tolist()
        schema = infer_schema("r", columns)
        self.kinds.append({name: slot.kind.name for name, slot in schema.slots.items()})
        decoded = decode_columns(encode_columns(schema, columns), schema)
        for row, key in enumerate(keys):
            self.records[key] = {
                name: None if column.valid is not None and not column.valid[row] else column.values[row]
                for name, column in decoded.items()
            }

    def column(self, name: str) -> list[Any]:
        return [record[name] for record in self.records.values()]


def csv(folder: Path, *rows: str, header: str = "id,a") -> Path:
    path = folder / "r.csv"
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    return path


def table(folder: Path, columns: dict[str, Any], **options: Any) -> Path:
    path = folder / "r.parquet"
    rows = len(next(iter(columns.values())))
    parquet.write_table(pa.table({"id": pa.array(range(rows)), **columns}), path, **options)
    return path


# ---- CSV


@pytest.mark.parametrize(
    ("texts", "kind", "values"),
    [
        (["2024-02-29", "", "1999-12-31"], "DATE", ["2024-02-29", "NaT", "1999-12-31"]),
        (["2024-02-29", "NA", "None"], "DATE", ["2024-02-29", "NaT", "NaT"]),
        ([" 2024-02-29 ", "0001-01-01", ""], "DATE", ["2024-02-29", "0001-01-01", "NaT"]),
        (
            ["2024-02-29T12:30", "", "2024-02-29 12:30:01.5"],
            "TIMESTAMP",
            ["2024-02-29T12:30", "NaT", "2024-02-29T12:30:01.5"],
        ),
        (["2024-02-29 00:00:00.123456789", "", ""], "TIMESTAMP", ["2024-02-29T00:00:00.123456", "NaT", "NaT"]),
        (
            ["2024-02-29T12:30:00Z", "", "2024-02-29 12:30+02:00"],
            "TIMESTAMP_WITH_TIMEZONE",
            ["2024-02-29T12:30", "NaT", "2024-02-29T10:30"],
        ),
    ],
)
def test_a_csv_column_of_iso_dates(tmp_path: Path, texts: list[str], kind: str, values: list[str]) -> None:
    found = Found(csv(tmp_path, *(f"{row},{text}" for row, text in enumerate(texts))))
    assert found.kinds == [{"a": kind}]
    expected = [None if value == "NaT" else np.datetime64(value) for value in values]
    assert found.column("a") == expected
    assert not found.bad


@pytest.mark.parametrize(
    "texts",
    [
        ["2024-02-29", "29.2.2024", "2024-02-28"],  # one of them is none
        ["2024-02-29", "2023-02-29", "2024-02-28"],  # there was no such day
        ["2024-02-29", "2024-02-29T12:00", ""],
        ["2024-02-29T12:00", "2024-02-29T12:00Z", ""],
        ["0000-01-01", "", ""],
        ["2024-W09-4", "2024-060", "20240229T12"],
        ["12:30:00", "12:31:00", ""],
        ["NA", "None", "NULL"],
    ],
)
def test_any_other_csv_column_of_texts_stays_one(tmp_path: Path, texts: list[str]) -> None:
    found = Found(csv(tmp_path, *(f"{row},{text}" for row, text in enumerate(texts))))
    assert found.kinds == [{"a": "STRING"}]
    assert found.column("a") == [text or None for text in texts]
    assert not found.bad


def test_columns_can_be_kept_as_text(tmp_path: Path) -> None:
    path = csv(tmp_path, "1,2024-02-29,01067", "2,2024-02-28,", header="id,day,code")
    found = Found(path, {"day": TEXT, "code": TEXT})
    assert found.records == {1: {"day": "2024-02-29", "code": "01067"}, 2: {"day": "2024-02-28", "code": None}}
    with pytest.raises(Ending, match="has no column 'dya' for --text; it has: id, day, code"):
        Found(path, {"dya": TEXT})


def test_what_comes_later_and_is_no_date_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "CSV_BLOCK_BYTES", 64)
    rows = [f"{row},2024-01-{row + 1:02}" for row in range(20)]
    found = Found(csv(tmp_path, *rows, "20,soon", "21,2024-02-30", "22,", "23,2024-01-05T10:00"))
    assert found.bad == {
        22: "a = 'soon' is no date",
        23: "a = '2024-02-30' is no date",
        25: "a = '2024-01-05T10:00' is no date",
    }
    assert len(found.records) == 21
    assert found.records[22] == {"a": None}


# ---- JSON lines


def test_texts_of_json_lines_stay_texts_and_lists_become_arrays(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(
        '{"id": 1, "day": "2024-02-29", "x": [1, 2.5, null]}\n'
        '{"id": 2, "day": null, "x": null}\n'
        '{"id": 3, "x": [1, 2]}\n{"id": 4, "x": [1, 2, "3"]}\n{"id": 5, "x": 6}\n{"id": 6, "x": [1, 2, true]}\n'
    )
    found = Found(path)
    assert found.kinds == [{"day": "STRING", "x": "ARRAY_OF_FLOAT64"}]
    assert found.column("day") == ["2024-02-29", None]
    np.testing.assert_array_equal(found.records[1]["x"], [1, 2.5, np.nan])
    assert found.records[2]["x"] is None
    assert found.bad == {
        3: "x = '[1, 2]' is no array of 3 numbers",
        4: "x = \"[1, 2, '3']\" is no array of 3 numbers",
        5: "x = '6' is no array of 3 numbers",
        6: "x = '[1, 2, True]' is no array of 3 numbers",
    }


# ---- Parquet


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (pa.array([1, None], pa.date32()), "DATE", np.datetime64("1970-01-02")),
        (pa.array([86_400_000, None], pa.date64()), "DATE", np.datetime64("1970-01-02")),
        (pa.array([1_500, None], pa.timestamp("ms")), "TIMESTAMP", np.datetime64("1970-01-01T00:00:01.5")),
        (pa.array([1_000, None], pa.timestamp("ns")), "TIMESTAMP", np.datetime64("1970-01-01T00:00:00.000001")),
        (pa.array([1, None], pa.timestamp("s", "Asia/Tokyo")), "TIMESTAMP_WITH_TIMEZONE", np.datetime64(1, "s")),
        (pa.array([1_001, None], pa.timestamp("ns", "+02:00")), "TIMESTAMP_WITH_TIMEZONE", np.datetime64(1, "us")),
        (pa.array([None, None], pa.timestamp("us", "UTC")), "TIMESTAMP", None),
        (pa.array([3_600, None], pa.time32("s")), "TIME", np.timedelta64(1, "h")),
        (pa.array([1_001, None], pa.time64("ns")), "TIME", np.timedelta64(1, "us")),
        (pa.array([Decimal("1.50"), None]), "DECIMAL", Decimal("1.50")),
        (pa.array([2**60 + 1, None]), "NULLABLE_INT64", 2**60 + 1),
        (pa.array([2**60 + 1, 0]), "INT64", 2**60 + 1),
        (pa.array([7, None], pa.uint64()), "NULLABLE_INT64", 7),
        (pa.array([7, None], pa.int8()), "NULLABLE_INT8", 7),
        (pa.array([0.5, None], pa.float32()), "NULLABLE_FLOAT32", 0.5),
        (pa.array([0.5, 1.5], pa.float16()), "FLOAT32", 0.5),
        (pa.array([True, None]), "NULLABLE_BOOLEAN", True),
        (pa.array(["a", None]).dictionary_encode(), "STRING", "a"),
        (pa.array([5, None]).dictionary_encode(), "NULLABLE_INT64", 5),
        (pa.array([None, None]), "STRING", None),
    ],
)
def test_a_parquet_column_is_what_its_type_says(tmp_path: Path, values: Any, kind: str, expected: Any) -> None:
    found = Found(table(tmp_path, {"a": values}))
    assert found.kinds == [{"a": kind}]
    assert found.records[0]["a"] == expected
    assert (found.records[1]["a"] is None) == (values.null_count > 0)


def test_the_zone_of_a_parquet_timestamp_is_kept(tmp_path: Path) -> None:
    moment = dt.datetime(2024, 7, 1, 12, tzinfo=BERLIN)
    [chunk] = files.read(
        table(tmp_path, {"a": pa.array([moment], pa.timestamp("us", "Europe/Berlin"))}), None, "id", {}
    )
    [found] = chunk.columns["a"].tolist()
    assert (found, found.utcoffset()) == (moment, dt.timedelta(hours=2))


@pytest.mark.parametrize("statistics", [True, False])
def test_a_parquet_column_is_one_kind_of_field_in_the_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, statistics: bool
) -> None:
    monkeypatch.setattr(files, "ROWS_MAX", 3)
    columns = {"gaps": [1, 2, 3, None, 5, 6], "whole": [1, 2, 3, 4, 5, 6], "late": [None] * 5 + [Decimal(1)]}
    found = Found(table(tmp_path, columns, row_group_size=3, write_statistics=statistics))
    assert [kinds["gaps"] for kinds in found.kinds] == ["NULLABLE_INT64"] * 2
    assert [kinds["whole"] for kinds in found.kinds] == ["INT64" if statistics else "NULLABLE_INT64"] * 2
    assert found.column("gaps") == columns["gaps"]
    assert found.kinds[1]["late"] == "DECIMAL"


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.large_list(pa.float32()), pa.list_(pa.float32(), 2)])
def test_lists_of_numbers_become_arrays(tmp_path: Path, kind: Any) -> None:
    rows = [None, [1.0, 2.0], [3.0, 4.0]]
    found = Found(table(tmp_path, {"x": pa.array(rows, kind)}))
    assert found.kinds == [{"x": "ARRAY_OF_FLOAT32"}]
    assert found.column("x") == rows


def test_a_list_of_another_length_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "ROWS_MAX", 2)
    rows = [None, None, [1, None], [3, 4], [5], []]
    found = Found(table(tmp_path, {"x": pa.array(rows, pa.list_(pa.int64()))}))
    assert found.bad == {5: "x = '[5]' is no array of 2 numbers", 6: "x = '[]' is no array of 2 numbers"}
    assert found.records[0]["x"] is None
    np.testing.assert_array_equal(found.records[2]["x"], [1, np.nan])
    np.testing.assert_array_equal(found.records[3]["x"], [3, 4])


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1, None], pa.duration("s")),
        pa.array([b"x"]),
        pa.array([{"b": 1}]),
        pa.array([["x"]]),
        pa.array([[[1.0]]]),
    ],
)
def test_a_parquet_type_without_a_field_is_refused(tmp_path: Path, values: Any) -> None:
    with pytest.raises(Ending, match=r"column 'a' is .*, for which a record has no field"):
        Found(table(tmp_path, {"a": values}))


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (pa.array([Decimal(2**60 + 1), None], pa.decimal128(38, 0)), [2**60 + 1]),
        (pa.array([Decimal("1.5"), Decimal("2.5")]), ["1.5", "2.5"]),
        (pa.array([0, 1], pa.date32()), ["1970-01-01", "1970-01-02"]),
        (pa.array([2**60 + 1, None]), [2**60 + 1]),
        (pa.array(["x", "y"]).dictionary_encode(), ["x", "y"]),
    ],
)
def test_keys_of_a_parquet_file(tmp_path: Path, keys: Any, expected: list[Any]) -> None:
    found = Found(table(tmp_path, {"id": keys, "a": [1.0, 2.0]}))
    assert list(found.records) == expected
    assert found.bad == ({2: "no key in 'id'"} if keys.null_count else {})

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
from grid_inference.cli.values import NUMBER, TEXT
from grid_inference.wire.compact import decode_columns, decode_record, encode_columns, infer_schema

BERLIN = dt.timezone(dt.timedelta(hours=2))


class Found:
    """What a file's rows are as records."""

    def __init__(self, path: Path, kinds: dict[str, str] | None = None) -> None:
        self.kinds: list[dict[str, str]] = []
        self.records: dict[Any, dict[str, Any]] = {}
        self.bad: dict[int, str] = {}
        self.notes: list[str] = []
        for chunk in files.read(path, None, "id", kinds or {}):
            self.bad |= {row.number: row.reason for row in chunk.bad}
            self.notes += chunk.notes
            if chunk.columns:
                self._take(chunk.columns)

    def _take(self, columns: dict[str, Any]) -> None:
        keys = columns.pop("id").objects().tolist()
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


def test_a_parquet_struct_is_a_column_of_records(tmp_path: Path) -> None:
    rows = [{"b": 1, "c": {"d": "x"}}, None, {"b": None, "c": None}]
    [chunk] = files.read(table(tmp_path, {"a": pa.array(rows)}), None, "id", {})
    fields = {"t.a": chunk.columns["a"].fields, "t.a.c": chunk.columns["a"].fields["c"].fields}
    schemas = [infer_schema(name, each) for name, each in fields.items()]
    schema = infer_schema("t", {"a": chunk.columns["a"]})
    records = encode_columns(schema, {"a": chunk.columns["a"]}).tolist()
    found = [decode_record(schema, each, {inner.schema_id: inner for inner in schemas})["a"] for each in records]
    assert found == rows


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (["007", "7", "0007", "12"], ["007", "7", "0007", "12"]),
        (["+7", "7"], ["+7", "7"]),
        (["-0", "0"], ["-0", "0"]),
        (["-7", "0", "12"], [-7, 0, 12]),
    ],
)
def test_keys_of_csv_are_never_made_one(tmp_path: Path, keys: list[str], expected: list[Any]) -> None:
    found = Found(csv(tmp_path, *(f"{key},1" for key in keys)))
    assert list(found.records) == expected
    assert [note[:10] for note in found.notes] == (["id is text"] if type(expected[0]) is str else [])


def test_a_key_with_a_zero_before_it_that_comes_later_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "CSV_BLOCK_BYTES", 64)
    found = Found(csv(tmp_path, *(f"{row},0" for row in range(1, 30)), "007,1"))
    assert found.bad == {31: "id = '007' is no whole number without a plus sign or a zero before it"}
    assert found.records[7] == {"a": 0}


@pytest.mark.parametrize(
    ("texts", "kind", "rows"),
    [
        (["007", "7", "", "12"], "STRING", [0]),
        (["7", "1.5", " -07", "12"], "STRING", [2]),
        (["1,5", "2,5", "00"], "STRING", [2]),
        (["0", "-0", "+7", "10"], "NULLABLE_INT64", []),
        (["0.5", "-0.25", "01.5", "00.1e3"], "FLOAT64", []),
    ],
)
def test_a_zero_before_a_whole_number_makes_text_of_a_column(
    tmp_path: Path, texts: list[str], kind: str, rows: list[int]
) -> None:
    """As of keys: 01067 is a postcode, and no number."""
    found = Found(csv(tmp_path, *(f"{row};{text}" for row, text in enumerate(texts)), header="id;a"))
    assert (found.kinds, found.bad) == ([{"a": kind}], {})
    if kind == "STRING":
        assert found.column("a") == [text or None for text in texts]
    shown = ", ".join(f"row {row + 2} {texts[row]!r}" for row in rows)
    said = f"a is text, as 1 of {len(texts)} values is no number without a zero before it: {shown}"
    assert found.notes == ([said] if rows else [])


def test_a_whole_number_with_a_zero_before_it_that_comes_later_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "CSV_BLOCK_BYTES", 64)
    found = Found(csv(tmp_path, *(f"{row},{row},{row}.5" for row in range(30)), "30,007,1", "31,1,01", header="id,a,b"))
    assert found.bad == {
        32: "a = '007' is no whole number without a zero before it",
        33: "b = '01' is no number without a zero before it",
    }


def test_whole_numbers_of_csv_are_exact_beside_gaps_and_fractions(tmp_path: Path) -> None:
    found = Found(csv(tmp_path, "1,9007199254740993,1.5", "2,,9007199254740993", "3,2,", header="id,a,b"))
    assert found.kinds == [{"a": "NULLABLE_INT64", "b": "FLOAT64"}]
    assert (found.records[1]["a"], found.bad) == (2**53 + 1, {3: "b = '9007199254740993' is no number"})


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_lines_end_and_are_written_as_on_any_system(tmp_path: Path, end: str, encoding: str) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes(end.join(["id,city", "1,Łódź", '2,"two', 'lines"', "3,a,b", "4,Ghent", ""]).encode(encoding))
    found = Found(path)
    assert found.records[1] == {"city": "Łódź"}
    assert (found.records[4], list(found.bad)) == ({"city": "Ghent"}, [5])


def test_lines_are_counted_behind_lines_in_quotes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "CSV_BLOCK_BYTES", 128)
    rows = [f'{row},"{row}\nmore\nlines"' for row in range(50)]
    found = Found(csv(tmp_path, *rows, "50", '51,"x\ny",3', "", ",last", header='id,"a\nb"'))
    assert found.bad == {
        153: "1 values for 2 columns",
        154: "3 values for 2 columns",
        157: "no key in 'id'",
    }
    assert len(found.records) == 50


def test_decimal_commas_are_numbers_where_they_can_be_nothing_else(tmp_path: Path) -> None:
    found = Found(csv(tmp_path, "1;1,5;1,234", "2;-12;2,345", "3;0,25;3,456", "4;1.5;4,567", header="id;a;b"))
    assert found.kinds == [{"a": "FLOAT64", "b": "STRING"}]
    assert found.column("a") == [1.5, -12.0, 0.25]
    assert found.bad == {5: "a = '1.5' is no number with a decimal comma"}
    assert "b is text" in found.notes[0]
    assert "row 2 '1,234'" in found.notes[0]


def test_a_text_column_says_which_values_made_it_one(tmp_path: Path) -> None:
    rows = [f"{row},2024-01-{row % 28 + 1:02}" for row in range(1, 2_000)]
    rows[998] = "999,2024-02-30"
    found = Found(csv(tmp_path, *rows))
    assert found.kinds == [{"a": "STRING"}]
    assert found.notes == ["a is text, as 1 of 1,999 values is no date: row 1000 '2024-02-30'"]


def test_a_file_that_is_not_utf_8_is_refused_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_bytes("id,a\n1,x\n2,café\n".encode("latin-1"))
    with pytest.raises(Ending, match=r"line 3.*caf.* is not UTF-8"):
        Found(path)


# ---- JSON lines


def test_whole_numbers_of_json_lines_are_exact_beside_gaps_and_fractions(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(
        '{"id": 1, "a": 9007199254740993, "b": 1.5, "y": true}\n{"id": 2, "a": null, "b": 9007199254740993}\n'
        '{"id": 3, "a": 1}\n'
    )
    found = Found(path)
    assert found.kinds == [{"a": "NULLABLE_INT64", "b": "FLOAT64", "y": "NULLABLE_BOOLEAN"}]
    assert (found.records[1]["a"], found.bad) == (2**53 + 1, {2: "b = '9007199254740993' is no number"})


def test_a_whole_number_of_json_lines_that_no_double_holds_is_left_out_by_name(tmp_path: Path) -> None:
    path, large = tmp_path / "r.jsonl", 10**400
    path.write_text(f'{{"id": 1, "a": 1.5}}\n{{"id": 2, "a": {large}}}\n{{"id": 3, "a": 2.5}}\n')
    found = Found(path)
    assert found.kinds == [{"a": "FLOAT64"}]
    assert list(found.records) == [1, 3]
    assert list(found.bad) == [2]


def test_texts_of_json_lines_stay_texts_and_lists_become_arrays(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(
        '{"id": 1, "day": "2024-02-29", "x": [1, 2.5, null]}\n'
        '{"id": 2, "day": null, "x": null}\n'
        '{"id": 3, "x": [1, 2]}\n{"id": 4, "x": [1, 2, "3"]}\n{"id": 5, "x": 6}\n{"id": 6, "x": [1, 2, true]}\n'
        '{"id": 7, "x": [1, 2, 9007199254740993]}\n{"id": 8, "x": [1, 2, 9007199254740994]}\n'
    )
    found = Found(path)
    assert found.kinds == [{"day": "STRING", "x": "ARRAY_OF_FLOAT64"}]
    assert found.column("day") == ["2024-02-29", None, None]
    np.testing.assert_array_equal(found.records[1]["x"], [1, 2.5, np.nan])
    assert found.records[2]["x"] is None
    assert found.bad == {
        3: "x = '[1, 2]' is no array of 3 numbers",
        4: "x = \"[1, 2, '3']\" is no array of 3 numbers",
        5: "x = '6' is no array of 3 numbers",
        6: "x = '[1, 2, True]' is no array of 3 numbers",
        7: "x = '[1, 2, 9007199254740993]' is no array of 3 numbers",
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
        (pa.array([None, None], pa.timestamp("us", "UTC")), "TIMESTAMP_WITH_TIMEZONE", None),
        (pa.array([3_600, None], pa.time32("s")), "TIME", np.timedelta64(1, "h")),
        (pa.array([1_001, None], pa.time64("ns")), "TIME", np.timedelta64(1, "us")),
        (pa.array([Decimal("1.50"), None]), "DECIMAL", Decimal("1.50")),
        (pa.array([2**60 + 1, None]), "NULLABLE_INT64", 2**60 + 1),
        (pa.array([2**60 + 1, 0]), "NULLABLE_INT64", 2**60 + 1),
        (pa.array([7, None], pa.uint64()), "NULLABLE_INT64", 7),
        (pa.array([7, None], pa.int8()), "NULLABLE_INT8", 7),
        (pa.array([0.5, None], pa.float32()), "NULLABLE_FLOAT32", 0.5),
        (pa.array([0.5, 1.5], pa.float16()), "NULLABLE_FLOAT32", 0.5),
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
    columns = {"a": chunk.columns["a"]}
    schema = infer_schema("r", columns)
    found = decode_record(schema, encode_columns(schema, columns).tolist()[0])["a"]
    assert (found, found.utcoffset()) == (moment, dt.timedelta(hours=2))


@pytest.mark.parametrize("statistics", [True, False])
def test_a_parquet_column_is_one_kind_of_field_in_the_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, statistics: bool
) -> None:
    monkeypatch.setattr(files, "ROWS_MAX", 3)
    columns = {"gaps": [1, 2, 3, None, 5, 6], "whole": [1, 2, 3, 4, 5, 6], "late": [None] * 5 + [Decimal(1)]}
    found = Found(table(tmp_path, columns, row_group_size=3, write_statistics=statistics))
    assert [kinds["gaps"] for kinds in found.kinds] == ["NULLABLE_INT64"] * 2
    assert [kinds["whole"] for kinds in found.kinds] == ["NULLABLE_INT64"] * 2
    assert found.column("gaps") == columns["gaps"]
    assert [kinds["late"] for kinds in found.kinds] == ["DECIMAL"] * 2


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
    assert (found.records[2]["x"], found.records[3]["x"]) == ([1, None], [3, 4])
    assert found.kinds[1] == {"x": "ARRAY_OF_NULLABLE_INT64"}


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1, None], pa.duration("s")),
        pa.array([b"x"]),
        pa.array([{"b": b"x"}]),
        pa.array([[{"b": 1}]]),
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


@pytest.mark.parametrize(
    ("keys", "found", "left_out"),
    [
        (["1.0", "2.0"], [1, 2], {}),
        (["1.0", "", "-3.00"], [1, -3], {3: "no key in 'id'"}),
        (["1", "2.0", "3"], [1, 2, 3], {}),
        (["1.5", "2.0"], ["1.5", "2.0"], {}),
        (["01.0", "2.0"], ["01.0", "2.0"], {}),
    ],
)
def test_whole_floats_of_a_csv_file_are_whole_keys(
    tmp_path: Path, keys: list[str], found: list[Any], left_out: dict[int, str]
) -> None:
    read = Found(csv(tmp_path, *(f"{key},{row}" for row, key in enumerate(keys))))
    assert (list(read.records), read.bad) == (found, left_out)
    assert [type(key) for key in read.records] == [type(key) for key in found]


def test_nan_is_no_key(tmp_path: Path) -> None:
    keys = pa.array([1.0, float("nan"), None])
    for kinds in ({}, {"id": TEXT}):
        found = Found(table(tmp_path, {"id": keys, "a": [1, 2, 3]}), kinds)
        assert (len(found.records), found.bad) == (1, {2: "no key in 'id'", 3: "no key in 'id'"})
    found = Found(csv(tmp_path, "1.5,1", "nan,2"), {"id": NUMBER})
    assert (list(found.records), found.bad) == ([1.5], {3: "no key in 'id'"})

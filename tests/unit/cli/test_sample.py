"""`--sample`: the rows of a file are what the model is asked with, as its own library would have read them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from pyarrow import parquet

from grid_inference.cli.ending import Ending
from grid_inference.cli.sample import rows_of

BERLIN = ZoneInfo("Europe/Berlin")


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
    rows = rows_of(str(tmp_path / "rows.parquet"))
    assert rows["colour"].isna().tolist() == [False, True, False]
    assert rows["colour"].dropna().tolist() == ["blue", "red"]
    assert rows["at"].isna().tolist() == [False, True, False]
    assert [at.hour for at in rows["at"].dropna()] == [23, 0]
    assert rows["at"].iloc[0].utcoffset() == winter.astimezone(BERLIN).utcoffset()
    assert rows["whole"].tolist() == [1, 2, 3]


def test_rows_of_a_csv_file(tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text("a,b\n1,x\n2,\n", encoding="utf-8")
    rows = rows_of(str(file))
    assert (rows["a"].tolist(), rows["b"].iloc[0]) == ([1, 2], "x")


def test_what_is_no_file_of_rows_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "rows.parquet"
    file.write_bytes(b"nothing of the sort")
    with pytest.raises(Ending, match="can't be read"):
        rows_of(str(file))

"""What a notebook is given: escaped, cut, and made without asking the grid."""

import sys

import numpy as np
import pytest

from grid_inference.display import facts_html, grid_html
from grid_inference.records import RecordTable

EVIL = "<script>alert('x')</script>"


def test_values_keys_and_names_are_escaped():
    html = RecordTable([EVIL, 2], {EVIL: np.array([1, 2]), "s": np.array([EVIL, None], object)})._repr_html_()
    assert "<script" not in html
    assert html.count("&lt;script&gt;") == 3
    assert "2 rows x 2 columns" in html
    assert "<script" not in facts_html(EVIL, {EVIL: EVIL})


def test_only_the_first_rows_and_columns_are_shown():
    html = RecordTable(list(range(5000)), {f"c{i}": np.zeros((5000, 2)) for i in range(99)})._repr_html_()
    assert html.count("<tr>") == 11
    assert "<th>9</th>" in html
    assert "<th>10</th>" not in html
    assert html.count("…") == 11
    assert "5,000 rows x 99 columns" in html


def test_a_long_value_is_cut():
    assert "x" * 101 not in facts_html("t", {"a": "x" * 1000})


def test_an_empty_table():
    assert "0 rows x 0 columns" in RecordTable([], {})._repr_html_()


def test_a_grid_names_its_members():
    html = grid_html("h:1", "c<d", ["h:1", "h:2"])
    assert "h:1, h:2" in html
    assert "c&lt;d" in html
    assert "not connected" in grid_html("h:1", "c", [])


def test_without_pandas_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install 'grid-inference\[pandas\]'"):
        RecordTable([1], {"a": np.ones(1)}).to_pandas()

"""What `make test` runs: each line of the tables names something, and nothing is left to nobody."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.selection import LONG, MAIN, rest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("line", LONG + MAIN)
def test_each_line_names_tests_that_there_are(line: str) -> None:
    path, _, name = line.partition("::")
    assert (ROOT / path).exists()
    if name:
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert name.partition("[")[0] in {one.name for one in tree.body if isinstance(one, ast.FunctionDef)}


@pytest.mark.parametrize(
    ("nodeid", "left_out"),
    [
        ("tests/integration/test_cut.py::test_it_is_sent_again[map_names]", True),
        ("tests/integration/test_flow.py::test_a_regressor_has_no_label", False),
        ("tests/integration/test_flow_of_others.py::test_it", True),
        ("tests/chaos/test_profile.py::test_nothing_is_lost_under_a_few_faults", False),
        ("tests/chaos/test_parts.py::test_it", False),
        ("tests/unit/test_selection.py::test_it", False),
    ],
)
def test_what_is_left_out(nodeid: str, left_out: bool) -> None:  # noqa: FBT001
    assert rest(nodeid) is left_out


def test_each_mark_is_chosen_by_one_suite_of_ci() -> None:
    made = re.findall(r"^make (test\S*)", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), flags=re.MULTILINE)
    chosen = re.findall(r'^(test\S*): .*\n.*-m "?([^"\n]*?)"? \$\(T\)', (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert made == ["test", "test-rest", "test-real"]
    for real in (True, False):
        for left_out in (True, False):
            marks = {"real": real, "rest": left_out, "hypothesis": False}
            suites = [name for name, words in chosen if eval(words, marks)]
            assert len(set(suites) & set(made)) == 1, (marks, suites)

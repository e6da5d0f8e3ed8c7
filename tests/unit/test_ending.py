"""What an error means to whoever called a command."""

from __future__ import annotations

from grid_inference.cli.ending import GRID, UNFORESEEN, ending_of
from grid_inference.errors import ConnectionLostError


def test_of_tasks_side_by_side_the_first_that_failed_says_why() -> None:
    lost = ConnectionLostError("the connection was lost", remedy="connect again")
    found = ending_of(ExceptionGroup("two", [ExceptionGroup("one", [lost]), ValueError("another")]))
    assert (found.code, str(found), found.remedy) == (GRID, "the connection was lost", "connect again")


def test_what_nobody_has_foreseen_is_called_a_bug() -> None:
    assert ending_of(KeyError("x")).code == UNFORESEEN

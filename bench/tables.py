"""A table of a benchmark, as it is printed for people and as it goes into the documents."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

__all__ = ["markdown_table", "show_table"]


def show_table(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], numbers: int = 0) -> None:
    """Print it, and the same as Markdown below."""
    table = Table(*headings, title=title, title_justify="left")
    for row in rows:
        table.add_row(*row)
    Console().print(table)
    print(f"\n{markdown_table(headings, rows, numbers)}")


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]], numbers: int = 0) -> str:
    """Of the columns behind the first so many hold numbers, which stand on the right."""
    sides = ["---", *["---:"] * numbers, *["---"] * (len(headings) - 1 - numbers)]
    return "\n".join([_line(headings), f"|{'|'.join(sides)}|", *map(_line, rows)])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"

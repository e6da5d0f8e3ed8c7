"""Values → HTML, for notebooks. Every text from outside is escaped; nothing is asked of the grid here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

__all__ = ["ROWS_SHOWN_MAX", "facts_html", "grid_html", "table_html"]

ROWS_SHOWN_MAX = 10
"""So many rows of a table are shown."""
COLUMNS_SHOWN_MAX = 30
TEXT_SHOWN_MAX = 100
"""So many characters of a value are shown."""


def table_html(header: Sequence[str], rows: Iterable[Sequence[Any]], caption: str) -> str:
    """A table whose first column is its index, with what it is of below it; wide tables are cut."""
    cut = len(header) > COLUMNS_SHOWN_MAX
    rest = ["…"] if cut else []
    head = "".join(f"<th>{_text(name)}</th>" for name in [*header[:COLUMNS_SHOWN_MAX], *rest])
    body = "".join(_row([*row[:COLUMNS_SHOWN_MAX], *rest]) for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>{_text(caption)}</p>"


def facts_html(title: str, facts: Mapping[str, Any]) -> str:
    """A thing and what is known of it, a line each."""
    body = "".join(_row(fact) for fact in facts.items())
    return f"<table><thead><tr><th colspan='2'>{_text(title)}</th></tr></thead><tbody>{body}</tbody></table>"


def grid_html(address: str, cluster_name: str, members: Iterable[str]) -> str:
    """A grid by what its client knows without asking; no members if it is closed."""
    there = ", ".join(members) or "not connected"
    return facts_html("grid", {"address": address, "cluster": cluster_name, "members": there})


def _row(cells: Sequence[Any]) -> str:
    rest = "".join(f"<td>{_text(cell)}</td>" for cell in cells[1:])
    return f"<tr><th>{_text(cells[0])}</th>{rest}</tr>"


def _text(value: Any) -> str:
    text = str(value)
    return escape(text if len(text) <= TEXT_SHOWN_MAX else f"{text[: TEXT_SHOWN_MAX - 1]}…")

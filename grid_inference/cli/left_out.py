"""Rows of a file that are left out, and what its columns are other than one might think: named as they come."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from grid_inference.cli.files import BadRow, Chunk

__all__ = ["LeftOut"]

ROWS_NAMED_MAX = 20


class LeftOut:
    """What is left out of one file."""

    def __init__(self, path: Path) -> None:
        self.rows: list[BadRow] = []
        self._path = path

    def take(self, chunk: Chunk, say: Callable[[str], None]) -> None:
        """Say what is to be said of a chunk."""
        for note in chunk.notes:
            say(f"{self._path.name}: {note}")
        for row in chunk.bad:
            if len(self.rows) < ROWS_NAMED_MAX:
                say(f"{self._path.name}, row {row.number}: {row.reason}; left out")
            self.rows.append(row)

    def finish(self) -> None:
        """Say how many rows were not named."""
        if len(self.rows) > ROWS_NAMED_MAX:
            sys.stderr.write(f"and {len(self.rows) - ROWS_NAMED_MAX:,} more rows\n")

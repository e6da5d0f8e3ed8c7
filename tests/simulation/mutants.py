"""Fixes taken out again, to show that the judge notices."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["MUTANTS"]

MUTANTS: dict[str, Callable[[], None]] = {}

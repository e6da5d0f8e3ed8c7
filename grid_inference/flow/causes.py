"""Causes of repairs that other rooms ask a worker's counters for."""

from __future__ import annotations

from typing import Final

__all__ = ["RESCORE"]

RESCORE: Final = "rescore"
"""A pass that scores anew what another version has scored."""

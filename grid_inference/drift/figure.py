"""Drift as a picture. In: a `Drift`. Out: a PNG of the columns that have drifted most, training beside what came."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from grid_inference.drift.report import ColumnDrift, Drift
from grid_inference.pictures import ONE, OTHER, legend, write_panels

__all__ = ["write_png"]

PANELS_MAX: Final = 6
BAR: Final = 0.42
HEADROOM: Final = 0.3
"""So much of the highest bar is left free for what the colours mean."""
NAME_CHARS_MAX: Final = 24


def write_png(drift: Drift, path: str | Path) -> None:
    """Draw the shares of the bins of the worst columns, in training and now.

    Raises ConfigError without matplotlib, OSError where the file can't be written.
    """
    said = f"{drift.model}@{drift.version} in {drift.deployment}"
    title = f"{said}: {drift.rows:,} rows counted, training of {drift.training_rows:,}"
    write_panels(title, [partial(_bars, column=column) for column in drift.columns[:PANELS_MAX]], path)


def _bars(axes: Any, column: ColumnDrift) -> None:
    shown = [index for index, both in enumerate(zip(column.shares, column.shares_now, strict=True)) if any(both)]
    places = np.arange(len(shown))
    for name, color, shares, aside in (
        ("training", ONE, column.shares, -BAR / 2),
        ("now", OTHER, column.shares_now, BAR / 2),
    ):
        axes.bar(places + aside, [shares[index] for index in shown], BAR, color=color, label=name)
    axes.set_xticks(places, [_cut(column.bins[index]) for index in shown], rotation=45, ha="right", fontsize="small")
    for text in axes.get_xticklabels():
        text.set_parse_math(False)
    figure = "not judged yet" if column.psi is None else f"PSI {column.psi:.3f}, {column.word}"
    axes.set_title(f"{_cut(column.name)}: {figure}", parse_math=False)
    axes.set_ylabel("share of rows")
    axes.margins(y=HEADROOM)
    legend(axes)


def _cut(text: str) -> str:
    return text if len(text) <= NAME_CHARS_MAX else f"{text[: NAME_CHARS_MAX - 1]}…"

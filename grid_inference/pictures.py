"""Pictures as PNG: matplotlib is imported here only, and only when one is asked for.

In: what draws each panel. Out: a file. No window, no global state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from grid_inference.errors import ConfigError

__all__ = ["ONE", "OTHER", "check_matplotlib", "legend", "write_panels"]

ONE, OTHER = "#1f77b4", "#d95f02"
"""The colours of what is held against each other."""
PANEL_INCHES = (5.2, 4.2)
DOTS_PER_INCH = 120


def check_matplotlib() -> None:
    """Raise ConfigError if matplotlib is not installed."""
    try:
        import_module("matplotlib")
    except ImportError:
        raise ConfigError(
            "a picture needs matplotlib, which is not installed here", remedy="pip install 'grid-inference[plot]'"
        ) from None


def write_panels(title: str, panels: Sequence[Callable[[Any], None]], path: str | Path) -> None:
    """Have each panel drawn on axes of its own; of more than three two or three stand side by side.

    Raises ConfigError without matplotlib, OSError where the file can't be written.
    """
    check_matplotlib()
    figure_module = import_module("matplotlib.figure")
    backend = import_module("matplotlib.backends.backend_agg")
    columns = 2 if len(panels) in {2, 4} else min(len(panels), 3)
    lines = -(-len(panels) // columns)
    size = columns * PANEL_INCHES[0], lines * PANEL_INCHES[1]
    figure = figure_module.Figure(figsize=size, dpi=DOTS_PER_INCH, layout="constrained")
    backend.FigureCanvasAgg(figure)
    figure.suptitle(title, parse_math=False)
    places = np.ravel(figure.subplots(lines, columns))
    for panel, axes in zip(panels, places, strict=False):
        panel(axes)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in places[len(panels) :]:
        axes.set_axis_off()
    figure.savefig(path, format="png")


def legend(axes: Any, loc: str = "best") -> None:
    """Name what is drawn; names are no formulas."""
    for text in axes.legend(loc=loc, frameon=False, fontsize="small").get_texts():
        text.set_parse_math(False)

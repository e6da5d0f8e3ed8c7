"""A comparison as a picture. In: a `Comparison`. Out: a PNG of its scores, and with labels of what they are worth."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from grid_inference.model.engines.isolate import Scores
from grid_inference.pictures import ONE, OTHER, legend, write_panels
from grid_inference.versions.comparison.quality import calibration, claimed
from grid_inference.versions.comparison.report import ClassifierQuality, Comparison, RegressorQuality

__all__ = ["write_png"]

IDEAL = "#999999"
BINS = 50
HEXAGONS = 40
Panel = Callable[[Any, Comparison], None]


def write_png(comparison: Comparison, path: str | Path) -> None:
    """Draw the two versions' scores, one against the other, and what they are worth where there are labels.

    Raises ConfigError without matplotlib, OSError where the file can't be written.
    """
    counted = f"{comparison.compared:,} records of {comparison.features}"
    labelled = f", {comparison.labelled:,} with a label" if comparison.labelled else ""
    title = f"{comparison.one.version} and {comparison.other.version}: {counted}{labelled}"
    write_panels(title, [partial(_drawn, panel, comparison) for panel in _panels(comparison)], path)


def _drawn(panel: Panel, comparison: Comparison, axes: Any) -> None:
    panel(axes, comparison)


def _panels(comparison: Comparison) -> list[Panel]:
    shown: list[Panel] = [_spread, _against]
    quality = comparison.one.quality
    if isinstance(quality, RegressorQuality):
        return [*shown, _errors]
    if isinstance(quality, ClassifierQuality):
        curve: list[Panel] = [_roc] if len(comparison.classes) == 2 and quality.auc is not None else []
        return [*shown, *curve, _calibration]
    return shown


def _score_name(comparison: Comparison) -> str:
    if comparison.score_of is not None:
        return f"P({comparison.score_of})"
    return _claimed_name(comparison) if comparison.task == "classifier" else "score"


def _claimed_name(comparison: Comparison) -> str:
    return f"P({comparison.classes[1]})" if len(comparison.classes) == 2 else "P(label)"


def _spread(axes: Any, comparison: Comparison) -> None:
    both = (comparison.rows.one.score, comparison.rows.other.score)
    _histograms(axes, comparison, both)
    axes.set(title="Scores", xlabel=_score_name(comparison), ylabel="records")


def _histograms(axes: Any, comparison: Comparison, values: tuple[NDArray[np.float64], NDArray[np.float64]]) -> None:
    edges = np.histogram_bin_edges(np.concatenate(values), BINS)
    for name, color, some in zip(_names(comparison), (ONE, OTHER), values, strict=True):
        axes.hist(some, edges, histtype="stepfilled", color=color, alpha=0.3)
        axes.hist(some, edges, histtype="step", color=color, linewidth=1.2, label=name)
    legend(axes)


def _against(axes: Any, comparison: Comparison) -> None:
    one, other = comparison.rows.one.score, comparison.rows.other.score
    ends = [min(one.min(), other.min()), max(one.max(), other.max())]
    extent = (*ends, *ends) if ends[0] < ends[1] else None
    hexagons = axes.hexbin(one, other, gridsize=HEXAGONS, extent=extent, bins="log", mincnt=1, linewidths=0.1)
    axes.plot(ends, ends, color=IDEAL, linewidth=1, linestyle="--")
    axes.figure.colorbar(hexagons, ax=axes, label="records")
    axes.set_title("Score against score")
    axes.set_xlabel(comparison.one.version, parse_math=False)
    axes.set_ylabel(comparison.other.version, parse_math=False)


def _roc(axes: Any, comparison: Comparison) -> None:
    for name, color, scores, truth, quality in _labelled(comparison):
        wrong, right, _ = roc_curve(truth, claimed(scores))
        axes.plot(wrong, right, color=color, label=f"{name}: AUC {quality.auc:.4f}")
    axes.plot([0, 1], [0, 1], color=IDEAL, linewidth=1, linestyle="--")
    second = comparison.classes[1]
    axes.set_title("ROC curve")
    axes.set_xlabel(f"share of the others that are called {second}", parse_math=False)
    axes.set_ylabel(f"share of {second} that is found", parse_math=False)
    legend(axes, loc="lower right")


def _calibration(axes: Any, comparison: Comparison) -> None:
    for name, color, scores, truth, quality in _labelled(comparison):
        mean, share, _ = calibration(scores, truth)
        label = f"{name}: off by {quality.calibration_error:.4f}"
        axes.plot(mean, share, color=color, marker="o", markersize=4, label=label)
    axes.plot([0, 1], [0, 1], color=IDEAL, linewidth=1, linestyle="--")
    axes.set_title("Calibration")
    axes.set_xlabel(f"mean {_claimed_name(comparison)} of a bin", parse_math=False)
    axes.set_ylabel("share that came true")
    legend(axes, loc="upper left")


def _errors(axes: Any, comparison: Comparison) -> None:
    one, other = (scores.score - truth for _, _, scores, truth, _ in _labelled(comparison))
    _histograms(axes, comparison, (one, other))
    axes.axvline(0, color=IDEAL, linewidth=1, linestyle="--")
    axes.set(title="Errors", xlabel="score minus label", ylabel="records")


def _labelled(comparison: Comparison) -> list[tuple[str, str, Scores, NDArray[Any], Any]]:
    """Of each version its name, colour, scores and labels of the records that have one, and quality."""
    rows, names = comparison.rows, _names(comparison)
    there = ~np.isnan(rows.truth)
    truth = rows.truth[there]
    if comparison.task == "classifier":
        truth = truth.astype(np.int64)
    one = names[0], ONE, rows.one.take(there), truth, comparison.one.quality
    return [one, (names[1], OTHER, rows.other.take(there), truth, comparison.other.quality)]


def _names(comparison: Comparison) -> tuple[str, str]:
    return comparison.one.version, comparison.other.version

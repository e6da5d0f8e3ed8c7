"""`Basis`: over what two versions are compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from grid_inference.config import InputConfig
from grid_inference.errors import ConfigError
from grid_inference.model.engines.isolate import NanPolicy

__all__ = ["ROWS", "Basis"]

ROWS = 10_000
"""So many records are compared where nobody says how many."""


@dataclass(frozen=True, slots=True)
class Basis:
    """Over what versions are compared."""

    features: str
    rows: int = ROWS
    """At most so many records, of all partitions alike."""
    labels: str | None = None
    """The map of labels, under the records' keys."""
    label_field: str | None = None
    """The field of the labels' values; without it they are plain values, or have one field only."""
    inputs: Mapping[str, InputConfig] = field(default_factory=dict[str, InputConfig])
    """Where the models' inputs come from, as a deployment declares it."""
    nan: NanPolicy = "dead-letter"
    score_of: str | None = None
    """The class whose probability is the score."""

    def __post_init__(self) -> None:
        if self.rows < 1:
            raise ConfigError(f"rows = {self.rows} must be 1 or more")

"""`Report`: what became of a translation to ONNX, as its version keeps it.

Apart from what translates, which takes scikit-learn: whoever reads a version needs none of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from grid_inference.errors import ArtifactError

__all__ = ["TOLERANCE", "Report"]

TOLERANCE = 1e-5
"""Scores of a translation may differ by so much, and no label: most of them compute in float32."""


@dataclass(frozen=True, slots=True)
class Report:
    """What became of a translation."""

    rows: int = 0
    """Of the sample, at which both say the same."""
    difference: float | None = None
    """The greatest between their scores there; None where a label differs, or a row that only one of them takes."""
    tolerance: float = TOLERANCE
    model_us: dict[str, float] = field(default_factory=dict[str, float])
    """Rows of a batch → microseconds that the model takes for it."""
    onnx_us: dict[str, float] = field(default_factory=dict[str, float])
    """The same of the translation."""
    reason: str = ""
    """Why there is no translation; empty if there is one."""

    @property
    def used(self) -> tuple[int, ...]:
        """Sizes of batches for which the translation is used."""
        return tuple(int(size) for size, took in self.onnx_us.items() if took < self.model_us[size])

    def to_mapping(self) -> dict[str, Any]:
        """Give plain values that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """Read what `to_mapping` gave; raise ArtifactError for anything else."""
        try:
            return cls(**mapping)
        except TypeError as error:
            raise ArtifactError(f"a version's report can't be read: {error}") from None

"""`JsonBinding`: JSON values as a model's inputs. They have no schema, so every row is looked at by itself.

In: where the inputs come from. Out: the same inputs that a Compact record of these numbers and texts gives, and for
each row that has no meaning in them the reason. A field that is missing is null.
"""

from __future__ import annotations

from dataclasses import dataclass

from grid_inference.model.inputs.frame import Inputs
from grid_inference.model.inputs.sources import Misfits, Mismatch, Sources, matrix_of
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.json.columns import decode_json_columns

__all__ = ["JsonBinding"]


@dataclass(frozen=True, slots=True)
class JsonBinding:
    """JSON values as the model's inputs."""

    sources: Sources
    """Of a signature whose order is settled."""

    def inputs(self, values: Blobs) -> tuple[Inputs, Misfits]:
        """The inputs of n JSON values, and the rows that have no meaning in them: damaged, or of a wrong type."""
        signature = self.sources.signature
        field = signature.array_field
        names = [each for name in signature.names for each in self.sources.fields(name)] if field is None else [field]
        columns, damaged = decode_json_columns(values, list(dict.fromkeys(names)))
        misfits = {row: Mismatch("UNDECODABLE", reason) for row, reason in damaged.items()}
        if field is not None:
            return matrix_of(columns[field], field, signature.inputs_count, misfits), misfits
        return self.sources.inputs(columns, len(values), misfits, free=columns.keys()), misfits

"""A sample's rows as a worker has them: put as Compact records, bound, decoded and cast, just as those of a map are.

In: a sample and a signature. Out: what the model is handed for such records. No grid is asked, and no row is scored.
"""

from __future__ import annotations

from typing import Any

from grid_inference.errors import EncodeError, SignatureError
from grid_inference.model.inputs.binding import bind
from grid_inference.model.inputs.frame import Inputs
from grid_inference.model.inputs.sources import Mismatch
from grid_inference.model.sample import Sample
from grid_inference.model.signature import Signature
from grid_inference.wire.arrow.intake import column_from
from grid_inference.wire.compact import encode_columns, infer_schema

__all__ = ["recorded"]

TYPE_NAME = "sample"
ARRAY = "inputs"
"""The field of a matrix whose columns have no names."""


def recorded(sample: Sample, signature: Signature) -> Inputs | None:
    """What the model is handed for records of a sample; None if put_batch writes no such columns, as JSON may.

    Raises SignatureError where records with the types of the sample can't feed the model.
    """
    try:
        columns = {name: column_from(name, values) for name, values in _fields(sample, signature).items()}
        schema = infer_schema(TYPE_NAME, columns)
        records = encode_columns(schema, columns)
    except EncodeError:
        return None
    binding = bind(signature, schema)
    if isinstance(binding, Mismatch):
        raise _unfit("its sample as records", binding)
    inputs, misfits = binding.inputs(records)
    if misfits:
        row, reason = min(misfits.items())
        raise _unfit(f"row {row} of its sample as a record", reason)
    return inputs


def _fields(sample: Sample, signature: Signature) -> dict[str, Any]:
    """The fields of the records, as the sample's library has them."""
    if not signature.names or signature.array_field is not None:
        return {signature.array_field or ARRAY: sample.matrix}
    sample = sample.named(signature.names)
    return {name: sample.values(name) for name in signature.names}


def _unfit(what: str, reason: Mismatch) -> SignatureError:
    return SignatureError(
        f"the model can't be asked for {what}: {reason.message}",
        remedy="give rows of its inputs, of the types that it was fitted on, as the sample",
    )

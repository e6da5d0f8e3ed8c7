"""`bind`: a model's signature held against one record schema, once per schema.

In: a signature and a Compact schema. Out: a `Binding` that turns records into the model's inputs, or a `Mismatch` with
the cause that goes into the dead letters. No record is looked at to decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from grid_inference.errors import SignatureError
from grid_inference.model.engines.isolate import Inputs
from grid_inference.model.frame import Frame, frame_column
from grid_inference.model.signature import Signature
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import FieldKind, Schema, decode_columns, decode_matrix
from grid_inference.wire.schema import NULLABLE_OF

__all__ = ["Binding", "Mismatch", "bind", "resolve"]

_NUMBERS = ("INT8", "INT16", "INT32", "INT64", "FLOAT32", "FLOAT64")
SCALARS = frozenset(FieldKind[f"{start}{name}"] for start in ("", "NULLABLE_") for name in ("BOOLEAN", *_NUMBERS))
"""What can feed one column: integers are widened, booleans become 0 and 1, nulls NaN."""
ARRAYS = frozenset(FieldKind[f"ARRAY_OF_{name}"] for name in ("BOOLEAN", *_NUMBERS))
FLOAT32S = frozenset({FieldKind.FLOAT32, FieldKind.NULLABLE_FLOAT32, FieldKind.ARRAY_OF_FLOAT32})
NAMES_SHOWN_MAX = 20
DATES = (FieldKind.DATE, FieldKind.TIME, FieldKind.TIMESTAMP, FieldKind.TIMESTAMP_WITH_TIMEZONE)
FRAME_KINDS = SCALARS | {FieldKind.STRING, FieldKind.DECIMAL, *DATES}
"""What can feed a column of a model that picks its columns by name."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Records of this schema can't feed the model."""

    cause: Literal["MISSING_FEATURE", "WRONG_TYPE", "UNKNOWN_SCHEMA", "UNSUPPORTED_FORMAT", "UNDECODABLE"]
    """The dead letters' cause."""
    message: str
    """Names the field."""


@dataclass(frozen=True, slots=True)
class Binding:
    """Records of one schema as the model's inputs."""

    signature: Signature
    """With its order settled."""
    schema: Schema
    """What the records are."""
    dtype: np.dtype[Any]
    """Of a matrix: float64; float32 if all inputs are FLOAT32 and the signature says that the model takes them as they
    are. An int64 beyond 2^53 is rounded, as scikit-learn itself would."""

    names: tuple[str, ...]
    """The record's fields in the model's order."""

    def inputs(self, values: Blobs) -> tuple[Inputs, dict[int, Mismatch]]:
        """The inputs of n records, and the rows that have no meaning in them: an array is null or of another length.

        Raises DecodeError where the bytes are no records of this schema.
        """
        field = self.signature.array_field
        if field is not None:
            return self._from_array(values, field)
        if self.signature.frame:
            return self._frame(values), {}
        return decode_matrix(values, self.schema, self.names, self.dtype), {}

    def _from_array(self, values: Blobs, field: str) -> tuple[NDArray[Any], dict[int, Mismatch]]:
        count = self.signature.inputs_count
        column = decode_columns(values, self.schema, [field], {field: count})[field]
        bad = [] if column.valid is None else np.flatnonzero(~column.valid).tolist()
        reason = Mismatch("WRONG_TYPE", f"{field} is null or has not {count} values")
        return column.values.astype(self.dtype, copy=False), dict.fromkeys(bad, reason)

    def _frame(self, values: Blobs) -> Frame:
        columns = decode_columns(values, self.schema, self.names)
        kinds = {name: self.schema.slots[name].kind for name in self.names}
        return Frame.of(
            {
                name: frame_column(
                    column, nullable=kinds[name] in NULLABLE_OF, decimal=kinds[name] is FieldKind.DECIMAL
                )
                for name, column in columns.items()
            }
        )


def resolve(signature: Signature, schema: Schema | None) -> Signature:
    """Settle the order of a signature that has none: the records' one numeric array field, or SignatureError.

    The error's remedy shows what to write. `schema` is None when the map holds no record yet.
    """
    if not signature.needs_order:
        return signature
    arrays = [each.name for each in schema.fields if each.kind in ARRAYS] if schema else []
    if len(arrays) == 1:
        return signature.with_array_field(arrays[0])
    count = signature.inputs_count
    fields = [each.name for each in schema.fields if each.kind in SCALARS] if schema else []
    shown = fields[:count] if len(fields) >= count else ["first", "second", "…"]
    example = ", ".join(f'"{name}"' for name in shown[:NAMES_SHOWN_MAX])
    raise SignatureError(
        f"the model was fitted without feature names: which record fields feed its {count} inputs, in which order?",
        remedy=f"write columns = [{example}] in the order of the fit, or fit the model on a DataFrame, "
        'or keep the inputs in one array field: columns = ["x"]',
    )


def bind(signature: Signature, schema: Schema) -> Binding | Mismatch:
    """Hold a signature against a schema; SignatureError if its order can't be settled even with it."""
    signature = resolve(signature, schema)
    names = signature.names if signature.array_field is None else (signature.array_field,)
    kinds = {each.name: each.kind for each in schema.fields}
    allowed = ARRAYS if signature.array_field is not None else FRAME_KINDS if signature.frame else SCALARS
    missing = [name for name in names if name not in kinds]
    if missing:
        return Mismatch("MISSING_FEATURE", f"{_listed(missing)}: no such field in {_described(schema)}")
    for name in names:
        if kinds[name] not in allowed:
            wanted = _wanted(signature)
            return Mismatch(
                "WRONG_TYPE", f"{name} is {kinds[name].name} in {schema.type_name}, the model needs {wanted}"
            )
    all_float32 = all(kinds[name] in FLOAT32S for name in names)
    dtype = np.dtype(signature.float_dtype if all_float32 else np.float64)
    return Binding(signature, schema, dtype, signature.names)


def _wanted(signature: Signature) -> str:
    if signature.array_field is not None:
        return "an array of numbers"
    return "a number, a string, a date or a time" if signature.frame else "a number"


def _described(schema: Schema) -> str:
    return f"{schema.type_name} ({_listed([each.name for each in schema.fields])})"


def _listed(names: list[str]) -> str:
    more = f", … {len(names)} in all" if len(names) > NAMES_SHOWN_MAX else ""
    return ", ".join(names[:NAMES_SHOWN_MAX]) + more

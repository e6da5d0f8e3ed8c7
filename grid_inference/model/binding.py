"""`bind`: a model's signature held against one record schema, once per schema.

In: a signature and a Compact schema. Out: a `Binding` that turns records into the model's matrix, or a `Mismatch` with
the cause that goes into the dead letters. No record is looked at to decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from grid_inference.errors import SignatureError
from grid_inference.model.signature import Signature
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.compact import FieldKind, Schema, decode_columns, decode_matrix

__all__ = ["Binding", "Mismatch", "bind", "resolve"]

_NUMBERS = ("INT8", "INT16", "INT32", "INT64", "FLOAT32", "FLOAT64")
SCALARS = frozenset(FieldKind[f"{start}{name}"] for start in ("", "NULLABLE_") for name in ("BOOLEAN", *_NUMBERS))
"""What can feed one column: integers are widened, booleans become 0 and 1, nulls NaN."""
ARRAYS = frozenset(FieldKind[f"ARRAY_OF_{name}"] for name in ("BOOLEAN", *_NUMBERS))
FLOAT32S = frozenset({FieldKind.FLOAT32, FieldKind.NULLABLE_FLOAT32, FieldKind.ARRAY_OF_FLOAT32})
NAMES_SHOWN_MAX = 20
NO_ROWS = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Records of this schema can't feed the model."""

    cause: Literal["MISSING_FEATURE", "WRONG_TYPE", "UNKNOWN_SCHEMA"]
    """The dead letters' cause."""
    message: str
    """Names the field."""


@dataclass(frozen=True, slots=True)
class Binding:
    """Records of one schema as the model's matrix."""

    signature: Signature
    """With its order settled."""
    schema: Schema
    """What the records are."""
    dtype: np.dtype[Any]
    """float64; float32 if all inputs are FLOAT32 and the signature says that the model takes them as they are. An int64
    beyond 2^53 is rounded, as scikit-learn itself would."""

    names: tuple[str, ...]
    """The record's fields in the model's order."""

    def inputs(self, values: Blobs) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """The matrix (n, inputs), and the rows that have no meaning in it: a null array or one of another length.

        Raises DecodeError where the bytes are no records of this schema.
        """
        field = self.signature.array_field
        if field is None:
            return decode_matrix(values, self.schema, self.names, self.dtype), NO_ROWS
        column = decode_columns(values, self.schema, [field], {field: self.signature.inputs_count})[field]
        matrix = column.values.astype(self.dtype, copy=False)
        return matrix, NO_ROWS if column.valid is None else np.flatnonzero(~column.valid)

    @property
    def bad_row(self) -> Mismatch:
        """Why `inputs` sets a row apart."""
        count = self.signature.inputs_count
        return Mismatch("WRONG_TYPE", f"{self.signature.array_field} is null or has not {count} values")


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
    allowed = SCALARS if signature.array_field is None else ARRAYS
    missing = [name for name in names if name not in kinds]
    if missing:
        return Mismatch("MISSING_FEATURE", f"{_listed(missing)}: no such field in {_described(schema)}")
    for name in names:
        if kinds[name] not in allowed:
            wanted = "a number" if signature.array_field is None else "an array of numbers"
            return Mismatch(
                "WRONG_TYPE", f"{name} is {kinds[name].name} in {schema.type_name}, the model needs {wanted}"
            )
    all_float32 = all(kinds[name] in FLOAT32S for name in names)
    dtype = np.dtype(signature.float_dtype if all_float32 else np.float64)
    return Binding(signature, schema, dtype, signature.names)


def _described(schema: Schema) -> str:
    return f"{schema.type_name} ({_listed([each.name for each in schema.fields])})"


def _listed(names: list[str]) -> str:
    more = f", … {len(names)} in all" if len(names) > NAMES_SHOWN_MAX else ""
    return ", ".join(names[:NAMES_SHOWN_MAX]) + more

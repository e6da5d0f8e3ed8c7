"""`bind`: a model's signature held against one record schema, once per schema.

In: a signature and a Compact schema. Out: a `Binding` that turns records into the model's inputs, or a `Mismatch` with
the cause that goes into the dead letters. No record is looked at to decide.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grid_inference.config import InputConfig
from grid_inference.errors import SignatureError
from grid_inference.model.casts import CASTS, unheard
from grid_inference.model.dtypes import takes, zone_of
from grid_inference.model.inputs.frame import Inputs
from grid_inference.model.inputs.sources import Misfits, Mismatch, Sources, matrix_of
from grid_inference.model.signature import Signature
from grid_inference.wire.blobs import Blobs
from grid_inference.wire.columns import objects_of
from grid_inference.wire.compact import (
    NO_SCHEMAS,
    Column,
    FieldKind,
    Schema,
    decode_columns,
    decode_matrix,
    element_of,
    has_field,
    is_nested,
)
from grid_inference.wire.schema import ARRAY_OF, ITEMS_OF

__all__ = ["NOT_DECLARED", "Binding", "bind", "field_kind", "resolve"]

NOT_DECLARED: Mapping[str, InputConfig] = MappingProxyType({})
_NUMBERS = ("INT8", "INT16", "INT32", "INT64", "FLOAT32", "FLOAT64")
SCALARS = frozenset(FieldKind[f"{start}{name}"] for start in ("", "NULLABLE_") for name in ("BOOLEAN", *_NUMBERS))
"""What can feed one column: integers are widened, booleans become 0 and 1, nulls NaN."""
ARRAYS = frozenset(FieldKind[f"ARRAY_OF_{name}"] for name in ("BOOLEAN", *_NUMBERS))
NULLABLE_ARRAYS = frozenset(FieldKind[f"ARRAY_OF_NULLABLE_{name}"] for name in ("BOOLEAN", *_NUMBERS))
"""As Java writes a `Double[]` or a list of them."""
FLOAT32S = frozenset({FieldKind.FLOAT32, FieldKind.NULLABLE_FLOAT32, FieldKind.ARRAY_OF_FLOAT32})
NAMES_SHOWN_MAX = 20
DATES = (FieldKind.DATE, FieldKind.TIME, FieldKind.TIMESTAMP, FieldKind.TIMESTAMP_WITH_TIMEZONE)
MOMENTS = (FieldKind.DATE, FieldKind.TIMESTAMP, FieldKind.TIMESTAMP_WITH_TIMEZONE)
FRAME_KINDS = SCALARS | {FieldKind.STRING, FieldKind.DECIMAL, *DATES}
"""What can feed a column of a model that picks its columns by name."""


@dataclass(frozen=True, slots=True)
class Binding:
    """Records of one schema as the model's inputs."""

    sources: Sources
    """Of a signature whose order is settled."""
    schema: Schema
    """What the records are."""
    direct: tuple[str, ...]
    """The record's numeric fields in the model's order, if these just as they are are a matrix of the inputs."""
    fields: tuple[str, ...]
    """Else the fields that the inputs are made of."""
    dtype: np.dtype[Any]
    """Of a matrix: float64; float32 if all inputs are FLOAT32 and the signature says that the model takes them as they
    are. An int64 beyond 2^53 is rounded, as scikit-learn itself would."""
    nested_fields: tuple[str, ...] = ()
    """Those of the fields that lie in records within the records."""

    @property
    def signature(self) -> Signature:
        """With its order settled."""
        return self.sources.signature

    def inputs(self, values: Blobs, schemas: Mapping[int, Schema] = NO_SCHEMAS) -> tuple[Inputs, Misfits]:
        """The inputs of n records, and the rows that have no meaning in them: an array of another length, say.

        `schemas` has those of the records in `nested_fields`, by id. Raises DecodeError where the bytes are no records
        of this schema.
        """
        if self.signature.array_field is not None:
            return self._from_array(values, self.signature.array_field)
        if self.direct:
            return decode_matrix(values, self.schema, self.direct, self.dtype), {}
        columns = decode_columns(values, self.schema, self.fields, schemas=schemas)
        misfits: Misfits = {}
        plain = {name: _plain(column, field_kind(self.schema, name)) for name, column in columns.items()}
        return self.sources.inputs(plain, len(values), misfits, free=self.nested_fields), misfits

    def _from_array(self, values: Blobs, field: str) -> tuple[NDArray[Any], Misfits]:
        count = self.signature.inputs_count
        if self.schema.slots[field].kind in NULLABLE_ARRAYS:
            misfits: Misfits = {}
            lists = decode_columns(values, self.schema, [field])[field]
            return matrix_of(lists, field, count, misfits), misfits
        column = decode_columns(values, self.schema, [field], {field: count})[field]
        bad = [] if column.valid is None else np.flatnonzero(~column.valid).tolist()
        reason = Mismatch("WRONG_TYPE", f"{field} is null or has not {count} values")
        return column.values.astype(self.dtype, copy=False), dict.fromkeys(bad, reason)


def resolve(signature: Signature, schema: Schema | None) -> Signature:
    """Settle the order of a signature that has none: the records' one numeric array field, or SignatureError.

    The error's remedy shows what to write. `schema` is None when the map holds no record yet.
    """
    if not signature.needs_order:
        return signature
    arrays = [each.name for each in schema.fields if each.kind in ARRAYS | NULLABLE_ARRAYS] if schema else []
    if len(arrays) == 1:
        return signature.with_array_field(arrays[0])
    count = signature.inputs_count
    fields = [each.name for each in schema.fields if each.kind in SCALARS] if schema else []
    shown = fields[:count] if len(fields) >= count else ["first", "second", "…"]
    example = ", ".join(f'"{name}"' for name in shown[:NAMES_SHOWN_MAX])
    if count == 1:
        raise SignatureError(
            "the model was fitted without feature names: which record field feeds its one input?",
            remedy=f'write columns = ["{shown[0]}"], or fit the model on a DataFrame',
        )
    raise SignatureError(
        f"the model was fitted without feature names: which record fields feed its {count} inputs, in which order?",
        remedy=f"write columns = [{example}] in the order of the fit, or fit the model on a DataFrame, "
        'or keep the inputs in one array field: columns = ["x"]',
    )


def bind(
    signature: Signature, schema: Schema, declared: Mapping[str, InputConfig] = NOT_DECLARED
) -> Binding | Mismatch:
    """Hold a signature, and what the deployment declares of its inputs, against a schema.

    Raises SignatureError if the order of the inputs can't be settled even with it.
    """
    sources = Sources(resolve(signature, schema), declared)
    signature = sources.signature
    if signature.array_field is not None:
        return _bind_array(sources, schema, signature.array_field)
    found = {name: [field for field in sources.fields(name) if has_field(schema, field)] for name in signature.names}
    missing = [name for name, fields in found.items() if not fields and not sources.can_do_without(name)]
    if missing:
        fields = [field for name in missing for field in sources.fields(name)]
        return Mismatch("MISSING_FEATURE", f"{_listed(fields)}: no such field in {_described(schema)}")
    for name, fields in found.items():
        for field in fields:
            if not _feeds(sources, name, field_kind(schema, field)):
                return _wrong_type(sources, schema, field)
            if zones := _wrong_zone(sources, name, field, field_kind(schema, field)):
                return Mismatch("WRONG_TYPE", zones)
    direct = _direct(sources, schema)
    all_float32 = bool(direct) and all(schema.slots[field].kind in FLOAT32S for field in direct)
    dtype = np.dtype(signature.float_dtype if all_float32 else np.float64)
    all_fields = tuple(dict.fromkeys(field for fields in found.values() for field in fields))
    nested = tuple(field for field in all_fields if is_nested(schema, field))
    return Binding(sources, schema, direct, all_fields, dtype, nested)


def _bind_array(sources: Sources, schema: Schema, field: str) -> Binding | Mismatch:
    if field not in schema.slots:
        return Mismatch("MISSING_FEATURE", f"{field}: no such field in {_described(schema)}")
    kind = schema.slots[field].kind
    if kind not in ARRAYS | NULLABLE_ARRAYS:
        return _wrong_type(sources, schema, field)
    dtype = np.dtype(sources.signature.float_dtype if kind in FLOAT32S else np.float64)
    return Binding(sources, schema, (), (field,), dtype)


def _direct(sources: Sources, schema: Schema) -> tuple[str, ...]:
    """The numeric fields that are a matrix of the inputs just as they are; none if there is more to do."""
    if sources.signature.frame:
        return ()
    fields = [sources.field_alone(name) for name in sources.signature.names]
    plain = [field for field in fields if field is not None and field in schema.slots]
    return tuple(plain) if len(plain) == len(fields) and len(set(plain)) == len(plain) else ()


def field_kind(schema: Schema, field: str) -> FieldKind | None:
    """The kind of a field or of an array's elements; None in a nested record, whose own schema tells."""
    element = element_of(schema, field)
    if element is None:
        return schema.slots[field].kind if field in schema.slots else None
    kind = schema.slots[element[0]].kind
    return ARRAY_OF.get(kind) or ITEMS_OF[kind]


def _feeds(sources: Sources, name: str, kind: FieldKind | None) -> bool:
    """Whether values of a kind can feed an input, as they are or cast to something else."""
    any_scalar = sources.signature.frame or sources.takes_any(name)
    return kind is None or kind in (FRAME_KINDS if any_scalar else SCALARS)


def _wrong_zone(sources: Sources, name: str, field: str, kind: FieldKind | None) -> str:
    """What to say of moments whose zone, or lack of one, is not the model's; empty if there is nothing to say."""
    if kind is None or kind not in MOMENTS or sources.takes_any(name) or not sources.signature.frame:
        return ""
    wanted = next(each for each in sources.signature.inputs if each.name == name)
    aware = kind is FieldKind.TIMESTAMP_WITH_TIMEZONE
    if not wanted.dtype and aware:
        return (
            f"{field} is TIMESTAMP_WITH_TIMEZONE, and nothing tells in which zone the model takes it: publish the "
            f'model with a sample, or write inputs.{name}.cast = "datetime" for UTC'
        )
    if not wanted.dtype.startswith("datetime64") or aware == bool(zone_of(wanted.dtype)):
        return ""
    return f'{field} is {kind.name}, the model needs a {takes(wanted)}; inputs.{name}.cast = "datetime" takes it as UTC'


def _wrong_type(sources: Sources, schema: Schema, field: str) -> Mismatch:
    kind, signature = field_kind(schema, field), sources.signature
    wanted = "a number, a string, a date or a time" if signature.frame else "a number"
    if signature.array_field is not None:
        wanted = "an array of numbers"
    kind_name = kind.name if kind else "nothing"
    return Mismatch("WRONG_TYPE", f"{field} is {kind_name} in {schema.type_name}, the model needs {wanted}")


def _plain(column: Column, kind: FieldKind | None) -> Column:
    """A column without Python objects but for texts: decimals are doubles, as a model has no other fractions."""
    if column.values.dtype != np.object_ or kind is FieldKind.STRING:
        return column
    if kind in MOMENTS:
        return CASTS["datetime"](column, unheard)
    if kind is FieldKind.TIME:
        return column
    if kind is not None:
        return CASTS["float"](column, unheard)
    # What nested records hold is known from those that are here alone: nothing but nulls are NaN, as in JSON values.
    values = [float(value) if isinstance(value, Decimal) else value for value in column.values.tolist()]
    numbers = all(value is None or isinstance(value, float) for value in values)
    return CASTS["float"](column, unheard) if numbers else objects_of(values)


def _described(schema: Schema) -> str:
    return f"{schema.type_name} ({_listed([each.name for each in schema.fields])})"


def _listed(names: list[str]) -> str:
    more = f", … {len(names)} in all" if len(names) > NAMES_SHOWN_MAX else ""
    return ", ".join(names[:NAMES_SHOWN_MAX]) + more

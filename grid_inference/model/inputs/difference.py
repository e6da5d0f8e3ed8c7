"""What records have and a model takes, field by field, where the two are not the same.

In: a signature, what the deployment declares of its inputs, a schema. Out: a `Difference` for each input or field that
differs, in the model's order, then the fields that nothing takes. It tells and decides nothing: `binding.py` does.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from grid_inference.config import InputConfig
from grid_inference.model.dtypes import zone_of
from grid_inference.model.inputs.binding import NOT_DECLARED, field_kind
from grid_inference.model.inputs.sources import Sources
from grid_inference.model.signature import Input, Signature
from grid_inference.wire.compact import Schema, has_field

__all__ = ["Difference", "differences"]

NUMBERS = {"INT8", "INT16", "INT32", "INT64", "FLOAT32", "FLOAT64"}
SAME = {
    "float64": {"FLOAT64", "FLOAT32"},
    "float32": {"FLOAT32", "FLOAT64"},
    "bool": {"BOOLEAN"},
    "string": {"STRING"},
    "date": {"DATE"},
    "time": {"TIME"},
    **{f"int{bits}": {f"INT{each}" for each in (8, 16, 32, 64) if each <= bits} for bits in (8, 16, 32, 64)},
}
"""The kinds of fields whose values are what a model that takes a DataFrame was fitted on, by the types of that."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One input of the model beside the field that feeds it."""

    schema: str
    """Type name of the records."""
    input: str
    """The model's input; empty for a field that nothing takes."""
    takes: str
    """The type that the model was fitted on."""
    field: str
    """The records' field; empty where they have none."""
    has: str
    """The field's kind."""
    said: str
    """What that means for a record."""


def differences(
    signature: Signature, schema: Schema, declared: Mapping[str, InputConfig] = NOT_DECLARED
) -> list[Difference]:
    """Where records of a schema are not just what the model was fitted on; empty if they are."""
    if signature.array_field is not None or signature.needs_order:
        return []
    sources, found, taken = Sources(signature, declared), list[Difference](), set[str]()
    for each in signature.inputs:
        fields = [field for field in sources.fields(each.name) if has_field(schema, field)]
        taken.update(fields)
        for field in fields or [""]:
            said = _said(sources, schema, each, field)
            if said:
                kind = field_kind(schema, field) if field else None
                takes = each.dtype + (", may be missing" if each.nullable else "")
                found.append(Difference(schema.type_name, each.name, takes, field, kind.name if kind else "", said))
    used = taken | {name[:at] for name in taken for at, sign in enumerate(name) if sign in ".["}
    unused = [each for each in schema.fields if each.name not in used]
    return found + [Difference(schema.type_name, "", "", each.name, each.kind.name, "not used") for each in unused]


def _said(sources: Sources, schema: Schema, wanted: Input, field: str) -> str:
    if not sources.fields(wanted.name):
        return "a constant"
    if not field:
        return "the default" if sources.can_do_without(wanted.name) else "missing: such records become dead letters"
    if sources.takes_any(wanted.name):
        return "cast"
    kind = field_kind(schema, field)
    if kind is None:
        return "within a record: known when it comes"
    said = [_type_said(sources, kind.name.removeprefix("NULLABLE_"), wanted)]
    if kind.name.startswith("NULLABLE_") and not wanted.nullable and not sources.can_do_without(wanted.name):
        said.append('null is refused, unless nan = "score"')
    return "; ".join(one for one in said if one)


def _type_said(sources: Sources, kind: str, wanted: Input) -> str:
    if not sources.signature.frame:
        if kind in NUMBERS:
            return ""
        return "1 or 0" if kind == "BOOLEAN" else "no number: such records become dead letters"
    return "" if kind in _same(wanted.dtype, kind) else "of another type than the model was fitted on"


def _same(dtype: str, kind: str) -> Collection[str]:
    """The kinds of fields that are of a type; any, where nobody knows the type."""
    if not dtype:
        return {kind}
    if dtype.startswith("datetime64"):
        return {"TIMESTAMP_WITH_TIMEZONE"} if zone_of(dtype) else {"DATE", "TIMESTAMP"}
    return SAME.get(dtype.removeprefix("u"), ())

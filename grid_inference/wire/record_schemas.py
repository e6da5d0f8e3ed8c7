"""The Compact schemas that a dict calls for: its own, and those of the dicts within it.

A dict in a field is a nested record (COMPACT), a list of dicts an array of them (ARRAY_OF_COMPACT), whose items are all
of one schema: a field that only some of them have can be null. Its type is `<outer type>.<field>`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from grid_inference.errors import EncodeError
from grid_inference.wire.columns import value_kind
from grid_inference.wire.layout import NESTING_MAX
from grid_inference.wire.schema import NULLABLE_OF, FieldKind, Schema

__all__ = ["infer_record_schemas"]

Record = Mapping[str, Any]
_NULLABLE = {kind: nullable for nullable, kind in NULLABLE_OF.items()}


def infer_record_schemas(type_name: str, record: Record) -> tuple[Schema, dict[str, Schema]]:
    """The schema of a dict; and those of the dicts in its fields, as `a` and `a.b`, the innermost first.

    Kinds: float64, int64, boolean, string (also for None), dates and times, decimal, arrays, nested records. Raises
    EncodeError that names the field for a value of no kind, and for more than NESTING_MAX records in one another.
    """
    nested = dict[str, Schema]()
    return _schema(type_name, [record], (), nested), nested


def _schema(type_name: str, records: Sequence[Record], path: tuple[str, ...], nested: dict[str, Schema]) -> Schema:
    """The one schema of all the records at a path; `nested` gets those within them."""
    kinds = dict[str, FieldKind]()
    for name in dict.fromkeys(name for record in records for name in record):
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance] - keys of a caller's dict
            raise EncodeError(f"{type_name}: the field name {name!r} is no string")
        inner_path = (*path, name)
        kinds[name], inner = _kind(".".join(inner_path), [record.get(name) for record in records])
        if inner is not None:
            _add_nested(f"{type_name}.{name}", inner, inner_path, nested)
    return Schema.of(type_name, kinds)


def _add_nested(type_name: str, records: Sequence[Record], path: tuple[str, ...], nested: dict[str, Schema]) -> None:
    name = ".".join(path)
    if len(path) > NESTING_MAX:
        raise EncodeError(
            f"field {name!r}: records are nested more than {NESTING_MAX} deep (NESTING_MAX)",
            remedy="put the inner fields further out",
        )
    schema = _schema(type_name, records, path, nested)
    if name in nested:
        raise EncodeError(f"field {name!r} is there twice: by that name, and as a field of a nested record")
    nested[name] = schema


def _kind(name: str, values: list[Any]) -> tuple[FieldKind, list[Record] | None]:
    """The one kind of a field's values, and the nested records among them; None if it holds none."""
    there = [value for value in values if value is not None]
    if any(isinstance(value, Mapping) for value in there):
        _check_all_records(name, there)
        return FieldKind.COMPACT, there
    lists = [value for value in there if isinstance(value, list | tuple)]
    items = [item for some in lists for item in cast("Sequence[Any]", some) if item is not None]
    if any(isinstance(item, Mapping) for item in items):
        _check_all_records(name, [*items, *(value for value in there if not isinstance(value, list | tuple))])
        return FieldKind.ARRAY_OF_COMPACT, items
    return _plain_kind(name, there, can_be_null=len(there) < len(values)), None


def _check_all_records(name: str, values: list[Any]) -> None:
    other = next((value for value in values if not isinstance(value, Mapping)), None)
    if other is not None:
        raise EncodeError(
            f"field {name!r} holds a dict and a value of {type(other).__name__}, which no field kind does"
        )


def _plain_kind(name: str, there: list[Any], *, can_be_null: bool) -> FieldKind:
    if there and all(isinstance(value, list | tuple) for value in there):
        # The items of all of them decide: an empty list, or one of nothing but nulls, could be of any kind.
        return value_kind(name, [item for some in there for item in some])
    kinds = {value_kind(name, value) for value in there}
    if kinds == {FieldKind.INT64, FieldKind.FLOAT64}:
        kinds = {FieldKind.FLOAT64}
    if len(kinds) > 1:
        found = ", ".join(sorted(kind.name for kind in kinds))
        raise EncodeError(f"field {name!r}: the records of a list hold it as {found}, and no field kind is all of them")
    kind = kinds.pop() if kinds else FieldKind.STRING
    return _NULLABLE.get(kind, kind) if can_be_null else kind

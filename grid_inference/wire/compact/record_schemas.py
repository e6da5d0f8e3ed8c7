"""The Compact schemas that a dict calls for: its own, and those of the dicts within it.

A dict in a field is a nested record (COMPACT), a list of dicts an array of them (ARRAY_OF_COMPACT), whose items are all
of one schema: a field that only some of them have can be null. Its type is `<outer type>.<field>`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Any, cast

import numpy as np
import pyarrow as pa

from grid_inference.errors import EncodeError
from grid_inference.wire.kinds import value_kind
from grid_inference.wire.layout import NESTING_MAX
from grid_inference.wire.missing import is_missing, is_nan, plain_value
from grid_inference.wire.schema import NULLABLE_KINDS, NULLABLE_OF, FieldKind, Schema

__all__ = ["infer_record_schemas", "plain_record", "unsaid_fields"]

Record = Mapping[str, Any]
Kinds = Mapping[str, FieldKind]
_NOTHING_KNOWN: Kinds = MappingProxyType({})
_FLOATS = frozenset({FieldKind.FLOAT32, FieldKind.FLOAT64})


def unsaid_fields(record: Record) -> set[str]:
    """The fields whose value is missing or NaN, so that it does not say of which kind they are; `a.b` for b in a."""
    return set(_unsaid(record, ()))


def _unsaid(record: Record, path: tuple[str, ...]) -> Iterator[str]:
    if len(path) > NESTING_MAX:  # which is refused later
        return
    for name, value in record.items():
        inner_path = (*path, str(name))
        if is_missing(value) or is_nan(value) or (isinstance(value, pa.Scalar) and not value.is_valid):
            yield ".".join(inner_path)
        for inner in value if isinstance(value, list | tuple) else (value,):
            if isinstance(inner, Mapping):
                yield from _unsaid(cast("Record", inner), inner_path)


def plain_record(record: Record, known: Kinds = _NOTHING_KNOWN) -> dict[str, Any]:
    """A record of Python's values: None for what is missing, and for NaN in a field that is known to be no float."""
    return {name: _plain(value, (str(name),), known) for name, value in record.items()}


def _plain(value: Any, path: tuple[str, ...], known: Kinds) -> Any:
    if len(path) > NESTING_MAX + 1:
        return value
    if isinstance(value, Mapping):
        return {name: _plain(each, (*path, str(name)), known) for name, each in cast("Record", value).items()}
    if isinstance(value, list | tuple):
        return _plain_items(
            [_plain(each, path, _NOTHING_KNOWN if not isinstance(each, Mapping) else known) for each in value]
        )
    if isinstance(value, np.ndarray) and value.dtype.kind in "OU":
        return _plain_items([plain_value(each) for each in value.tolist()])
    value = plain_value(value)
    if isinstance(value, Decimal) and value.is_nan():
        return None
    kind = known.get(".".join(path))
    return None if is_nan(value) and kind is not None and NULLABLE_OF.get(kind, kind) not in _FLOATS else value


def _plain_items(items: list[Any]) -> list[Any]:
    """The items of a list: beside what are no numbers NaN is missing."""
    numbers = all(item is None or isinstance(item, int | float) for item in items)
    return items if numbers else [None if is_nan(item) else item for item in items]


def infer_record_schemas(
    type_name: str, record: Record, known: Kinds = _NOTHING_KNOWN
) -> tuple[Schema, dict[str, Schema]]:
    """The schema of a dict; and those of the dicts in its fields, as `a` and `a.b`, the innermost first.

    Kinds: float64, int64, boolean, string, dates and times, decimal, arrays, nested records; a field that is None
    throughout is of the kind in `known`, or else a string. Raises EncodeError that names the field for a value of no
    kind, and for more than NESTING_MAX records in one another.
    """
    nested = dict[str, Schema]()
    return _schema(type_name, [record], (), nested, known), nested


def _schema(
    type_name: str, records: Sequence[Record], path: tuple[str, ...], nested: dict[str, Schema], known: Kinds
) -> Schema:
    """The one schema of all the records at a path; `nested` gets those within them."""
    kinds = dict[str, FieldKind]()
    for name in dict.fromkeys(name for record in records for name in record):
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance] - keys of a caller's dict
            raise EncodeError(f"{type_name}: the field name {name!r} is no string")
        inner_path = (*path, name)
        kinds[name], inner = _kind(".".join(inner_path), [record.get(name) for record in records], known)
        if inner is not None:
            _add_nested(f"{type_name}.{name}", inner, inner_path, nested, known)
    return Schema.of(type_name, kinds)


def _add_nested(
    type_name: str, records: Sequence[Record], path: tuple[str, ...], nested: dict[str, Schema], known: Kinds
) -> None:
    name = ".".join(path)
    if len(path) > NESTING_MAX:
        raise EncodeError(
            f"field {name!r}: records are nested more than {NESTING_MAX} deep (NESTING_MAX)",
            remedy="put the inner fields further out",
        )
    schema = _schema(type_name, records, path, nested, known)
    if name in nested:
        raise EncodeError(f"field {name!r} is there twice: by that name, and as a field of a nested record")
    nested[name] = schema


def _kind(name: str, values: list[Any], known: Kinds) -> tuple[FieldKind, list[Record] | None]:
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
    if not there:
        kind = known.get(name, FieldKind.STRING)
        return NULLABLE_KINDS.get(kind, kind), None
    return _plain_kind(name, there, can_be_null=len(there) < len(values)), None


def _check_all_records(name: str, values: list[Any]) -> None:
    other = next((value for value in values if not isinstance(value, Mapping)), None)
    if other is not None:
        raise EncodeError(
            f"field {name!r} holds a dict and a value of {type(other).__name__}, which no field kind does"
        )


def _plain_kind(name: str, there: list[Any], *, can_be_null: bool) -> FieldKind:
    if all(isinstance(value, list | tuple) for value in there):
        # The items of all of them decide: an empty list, or one of nothing but nulls, could be of any kind.
        return value_kind(name, [item for some in there for item in some])
    kinds = {value_kind(name, value) for value in there}
    if kinds == {FieldKind.INT64, FieldKind.FLOAT64}:
        kinds = {FieldKind.FLOAT64}
    if len(kinds) > 1:
        found = ", ".join(sorted(kind.name for kind in kinds))
        raise EncodeError(f"field {name!r}: the records of a list hold it as {found}, and no field kind is all of them")
    kind = kinds.pop()
    return NULLABLE_KINDS.get(kind, kind) if can_be_null else kind

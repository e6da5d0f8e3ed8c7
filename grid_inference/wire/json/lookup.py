"""One JSON text → its object → the wanted fields by their names: `a`, `a.b`, `a[3]`, and any chain of these.

This is what the columns of `columns.py` mean, whichever way they are read: `find` for names that were asked for, else
`flat`. No columns here, and no Arrow.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, cast

from grid_inference.errors import DecodeError
from grid_inference.wire.layout import NESTING_MAX

__all__ = ["Path", "find", "flat", "is_step", "parse_object", "parse_path"]

Path = tuple[str | int, ...]
"""Names of fields and indexes of elements, from the top-level object down."""

_INTEGER_CHARS_MAX = 308
"""An integer of more is read as a float (beyond 1e308 an infinite one): Python's own limit would refuse the row."""

_NAME = r"[^.\[\]]+"
_STEP = rf"(?:\.(?P<field>{_NAME})|\[(?P<index>[0-9]{{1,9}})\])"
_PATH = re.compile(rf"(?P<first>{_NAME})(?P<steps>{re.sub('[?]P<[a-z]+>', '?:', _STEP)}*)")
_STEPS = re.compile(_STEP)
_FIELD = re.compile(_NAME)


@lru_cache(maxsize=4096)
def parse_path(name: str) -> Path:
    """The path that a name spells; a name that spells none is a top-level field's and nothing else."""
    whole = _PATH.fullmatch(name)
    if whole is None:
        return (name,)
    steps = _STEPS.finditer(whole["steps"])
    return (whole["first"], *(int(step["index"]) if step["field"] is None else step["field"] for step in steps))


def find(record: Mapping[str, Any], name: str) -> Any:
    """The value at a name; None if it is missing or null. A top-level field of just that name goes before the path."""
    found: Any = record.get(name)
    path = parse_path(name)
    if found is not None or len(path) == 1:
        return found
    found = record
    for step in path:
        if isinstance(step, str):
            found = cast("dict[str, Any]", found).get(step) if isinstance(found, dict) else None
        else:
            items = cast("list[Any]", found) if isinstance(found, list) else []
            found = items[step] if step < len(items) else None
    return found


def is_step(name: str) -> bool:
    """Whether a field's name can stand in a path."""
    return _FIELD.fullmatch(name) is not None


def flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """All fields of an object by the names under which `find` finds them; of objects within it their fields, as `a.b`.

    An object stays whole if no path leads into it, since it or a field of it has a name with a dot or a bracket, or if
    it lies deeper than NESTING_MAX. One without fields is null.
    """
    found = {name: find(record, name) for name in _flat_names(record, 0)}
    return {name: None if value == {} else value for name, value in found.items()}


def _flat_names(fields: Mapping[str, Any], depth: int) -> Iterator[str]:
    for name, value in fields.items():
        inner = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
        if inner and depth < NESTING_MAX and is_step(name) and all(map(is_step, inner)):
            yield from (f"{name}.{each}" for each in _flat_names(inner, depth + 1))
        else:
            yield name


def parse_object(text: bytes) -> dict[str, Any]:
    """The object that a JSON text is; of fields of one name the last counts. Raises DecodeError."""
    try:
        value = _decoder.decode(str(text, "utf-8"))
    except UnicodeDecodeError as error:
        raise DecodeError(f"a JSON value is no UTF-8: {error}") from None
    except ValueError as error:
        raise DecodeError(f"a JSON value can't be parsed: {error}") from None
    except RecursionError:
        raise DecodeError("a JSON value is nested too deeply") from None
    if not isinstance(value, dict):
        raise DecodeError(f"a JSON object is expected, but the value is {_NAMES.get(type(value), 'a number')}")
    return cast("dict[str, Any]", value)


def _integer(text: str) -> int | float:
    return int(text) if len(text) <= _INTEGER_CHARS_MAX else float(text)


def _constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


_decoder = json.JSONDecoder(parse_int=_integer, parse_constant=_constant)
_NAMES: Mapping[type, str] = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}

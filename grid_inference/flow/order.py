"""How Java puts values in order, which is how a member compares them: there is an answer for any two.

In: a column's values, none null and all of one type, and a literal as `literals.py` reads it for that type. Out: a
boolean per value. As `Double.compareTo` has it, NaN equals itself and is above all others, and -0.0 is below 0.0; texts
are in the order of their UTF-16 units.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["above", "below", "equal"]

Mask = NDArray[np.bool_]

SURROGATES = "\ud800"
"""Texts of smaller characters are in the same order by UTF-16 units and by characters."""


def equal(values: NDArray[Any], literal: Any) -> Mask:
    """Which values are the literal."""
    values = _comparable(values)
    if not isinstance(literal, float):
        return np.asarray(values == _whole(literal), np.bool_)
    if values.dtype.kind != "f":  # of these whole numbers none is a fraction, and none is -0.0
        return np.zeros(values.shape[0], np.bool_)
    if math.isnan(literal):
        return np.isnan(values)
    if literal == 0:
        return (values == 0) & (np.signbit(values) == _is_negative(literal))
    return values == literal


def below(values: NDArray[Any], literal: Any) -> Mask:
    """Which values come before the literal."""
    values, literal = _in_order(_comparable(values), literal)
    if not isinstance(literal, float):
        return np.asarray(values < literal, np.bool_)
    fractions = values.dtype.kind == "f"
    if math.isnan(literal):
        return ~np.isnan(values) if fractions else np.ones(values.shape[0], np.bool_)
    found = np.asarray(values < literal, np.bool_)
    if fractions and literal == 0 and not _is_negative(literal):
        found |= (values == 0) & np.signbit(values)
    return found


def above(values: NDArray[Any], literal: Any) -> Mask:
    """Which values come behind the literal."""
    values, literal = _in_order(_comparable(values), literal)
    if not isinstance(literal, float):
        return np.asarray(values > literal, np.bool_)
    if math.isnan(literal):
        return np.zeros(values.shape[0], np.bool_)
    found = np.asarray(values > literal, np.bool_)
    if values.dtype.kind == "f":
        found |= np.isnan(values)
    if literal == 0 and _is_negative(literal):
        found |= (values == 0) & ~np.signbit(values) if values.dtype.kind == "f" else values == 0
    return found


def _comparable(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers as the widest of their sort: a float32 is compared as the double that it is."""
    if values.dtype.kind == "f":
        return values.astype(np.float64, copy=False)
    if values.dtype.kind == "O" and isinstance(values[0], float):
        return values.astype(np.float64)
    return values.astype(object) if values.dtype.kind == "U" else values


def _in_order(values: NDArray[Any], literal: Any) -> tuple[NDArray[Any], Any]:
    """Texts in such a form that their order is Java's."""
    if not isinstance(literal, str) or max(literal, default="") < SURROGATES:
        return values, _whole(literal)
    units = np.empty(values.shape[0], object)
    units[:] = [_utf16(value) for value in values.tolist()]
    return units, _whole(_utf16(literal))


def _whole(literal: Any) -> Any:
    """Texts and bytes as objects: numpy's own lose the zeros at their end."""
    if not isinstance(literal, str | bytes):
        return literal
    found = np.empty((), object)
    found[()] = literal
    return found


def _utf16(text: str) -> bytes:
    return text.encode("utf-16-be", "surrogatepass")


def _is_negative(number: float) -> bool:
    return math.copysign(1, number) < 0

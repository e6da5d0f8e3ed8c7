"""`Sources`: what a deployment declares of its model's inputs: fields to take, and what is done to their values.

In: fields of n records as columns, nulls marked. Out: a matrix or a frame in the model's order, and for each row that
has no meaning in it the reason. How a record's bytes become columns is not here, nor what a model does with gaps.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from grid_inference.config import InputConfig, Scalar
from grid_inference.errors import SignatureError
from grid_inference.model.casts import CASTS, Refuse, as_numbers, kind_of, unheard, value_of
from grid_inference.model.described import Input
from grid_inference.model.dtypes import of_the_model, takes
from grid_inference.model.inputs.frame import Frame, Inputs, counting_inputs, odd_inputs
from grid_inference.model.signature import Signature
from grid_inference.wire.compact import Column, join_columns

__all__ = ["Misfits", "Mismatch", "Sources", "matrix_of"]

_PLAIN = InputConfig()
UNTYPED = (
    "nothing tells which type the model takes it in: publish the model with a sample of its inputs, or write a cast "
    "for this one"
)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Why a record, or all records of a schema, can't feed the model."""

    cause: Literal[
        "MISSING_FEATURE", "WRONG_TYPE", "WRONG_VALUE", "UNKNOWN_SCHEMA", "UNSUPPORTED_FORMAT", "UNDECODABLE"
    ]
    """The dead letters' cause."""
    message: str
    """Names the field."""


Misfits = dict[int, Mismatch]
"""Row → why it has no meaning as an input."""


class Sources:
    """Where the inputs of one signature come from."""

    def __init__(self, signature: Signature, declared: Mapping[str, InputConfig]) -> None:
        """Raises SignatureError if `declared` names what is no input of the model."""
        self.signature = signature
        self._declared = declared
        self._odd = odd_inputs(signature.inputs)
        self._counts = counting_inputs(signature.inputs)
        if declared and signature.array_field is not None:
            raise SignatureError(
                f"inputs can't be declared where all are values of the array field {signature.array_field!r}",
                remedy='name the inputs by `columns` and take elements: field = "x[3]"',
            )
        names = set(signature.names)
        for name, said in declared.items():
            _check_default(name, said)
            if names and name not in names:
                raise SignatureError(
                    f"inputs.{name}: the model has no such input",
                    remedy=f"its inputs are {', '.join(signature.names)}",
                )

    def fields(self, name: str) -> tuple[str, ...]:
        """The fields that may feed an input, the first that has a value first; none for a constant."""
        said = self._declared.get(name, _PLAIN)
        return () if said.constant is not None else said.fields or (name,)

    def field_alone(self, name: str) -> str | None:
        """The one field that feeds an input just as it is; None if there is more to do."""
        said, fields = self._declared.get(name, _PLAIN), self.fields(name)
        done = said.cast is not None or said.default is not None or said.equals is not None or said.one_of
        return None if done or len(fields) != 1 else fields[0]

    def can_do_without(self, name: str) -> bool:
        """Whether an input has a value where the records have none of its fields."""
        said = self._declared.get(name, _PLAIN)
        return said.constant is not None or said.default is not None

    def takes_any(self, name: str) -> bool:
        """Whether values of other types than the model's are turned into one of these."""
        said = self._declared.get(name, _PLAIN)
        return said.cast is not None or said.equals is not None

    def inputs(
        self, columns: Mapping[str, Column], count: int, misfits: Misfits, *, free: Collection[str] = ()
    ) -> Inputs:
        """The inputs of `count` records whose fields are `columns`; reasons are added to `misfits`.

        A field that is not among the columns is one that no record has; those in `free` have no type but that of each
        of their values. A row that is in `misfits` already keeps its reason. A matrix has shape (count, inputs),
        float64, with NaN where a value is null; a frame has the columns that the model was fitted on.
        """
        found = {each.name: self._column(each, columns, count, misfits) for each in self.signature.inputs}
        if self.signature.frame:
            inputs = self.signature.inputs
            typed = {each.name: self._typed(each, found[each.name], misfits, free) for each in inputs}
            return Frame.of(typed, self._odd, self._counts)
        matrix = np.empty((count, len(found)))
        for index, (name, column) in enumerate(found.items()):
            matrix[:, index] = as_numbers(column, _refusal(misfits, name, "{kind}, the model needs a number"))
        return matrix

    def _column(self, wanted: Input, columns: Mapping[str, Column], count: int, misfits: Misfits) -> Column:
        said = self._declared.get(wanted.name, _PLAIN)
        if said.constant is not None:
            return _constant(said.constant, count)
        column = _first([columns[name] for name in self.fields(wanted.name) if name in columns], count)
        if said.cast is not None:
            column = CASTS[said.cast](column, _refusal(misfits, wanted.name, f"{{value}}, which is no {said.cast}"))
        if said.one_of:
            column = _one_of(column, said, wanted.name, misfits)
        if said.default is not None:
            column = _filled(column, said.default)
        return column if said.equals is None else _equal(column, said.equals)

    def _typed(self, wanted: Input, column: Column, misfits: Misfits, free: Collection[str]) -> Column:
        """The column as the model was fitted on it."""
        name, fields = wanted.name, self.fields(wanted.name)
        untyped = bool(free) and not self.takes_any(name) and any(field in free for field in fields)
        if untyped and wanted.exact and not wanted.dtype:
            for row, value in enumerate(column.values.tolist()):
                if not isinstance(value, str):  # which is one whatever stands beside it
                    misfits.setdefault(row, Mismatch("WRONG_TYPE", f"{name}: {UNTYPED}"))
        refuse, beyond = partial(_misfit, misfits, wanted), partial(_too_much, misfits, wanted)
        return of_the_model(column, wanted, refuse, beyond, free=untyped)


def _check_default(name: str, said: InputConfig) -> None:
    """Refuse a default that is not of the type that the values are cast to."""
    if said.cast is not None and said.default is not None:
        kind = "datetime" if said.cast.startswith("epoch") else said.cast
        if not CASTS[kind](_constant(said.default, 1), unheard).present().all():
            raise SignatureError(
                f"inputs.{name}: default = {said.default!r} is no {kind}",
                remedy="a default is of the type that the values are cast to; dates are ISO 8601: 2026-01-31",
            )


def _misfit(misfits: Misfits, wanted: Input, row: int, value: object) -> None:
    reason = f"{wanted.name} is {kind_of(value)}, the model needs a {takes(wanted)}"
    misfits.setdefault(row, Mismatch("WRONG_TYPE", reason))


def _too_much(misfits: Misfits, wanted: Input, row: int, value: object) -> None:
    reason = f"{wanted.name} is {value_of(value)}, which {wanted.dtype} can't hold"
    misfits.setdefault(row, Mismatch("WRONG_VALUE", reason))


def _refusal(misfits: Misfits, name: str, said: str) -> Refuse:
    def refuse(row: int, value: object) -> None:
        reason = said.format(kind=kind_of(value), value=value_of(value))
        misfits.setdefault(row, Mismatch("WRONG_TYPE", f"{name} is {reason}"))

    return refuse


def matrix_of(column: Column, field: str, count: int, misfits: Misfits) -> NDArray[np.float64]:
    """Lists of `count` numbers or nulls as a matrix, NaN at a null; what is none of these is a misfit."""
    matrix = np.full((len(column), count), np.nan)
    reason = Mismatch("WRONG_TYPE", f"{field} is no array of {count} numbers")
    for row, value in enumerate(column.values.tolist()):
        if _is_array(value, count):
            matrix[row] = [np.nan if each is None else each for each in value]
        else:
            misfits.setdefault(row, reason)
    return matrix


def _is_array(value: Any, count: int) -> bool:
    if not isinstance(value, list) or len(cast("list[Any]", value)) != count:
        return False
    return all(each is None or isinstance(each, int | float) for each in cast("list[Any]", value))


# ---- steps, in the order of `InputConfig`


def _constant(value: Scalar, count: int) -> Column:
    return Column(np.full(count, value, np.object_ if isinstance(value, str) else None))


def _first(columns: list[Column], count: int) -> Column:
    """Row by row the first value that is not null."""
    if len(columns) == 1:
        return columns[0]
    parts: list[tuple[NDArray[np.intp], Column]] = []
    waiting = np.ones(count, np.bool_)
    for column in columns:
        mine = np.flatnonzero(waiting & column.present())
        waiting[mine] = False
        parts.append((mine, Column(column.values[mine])))
    return join_columns(count, parts)


def _one_of(column: Column, said: InputConfig, name: str, misfits: Misfits) -> Column:
    """Values that are not among the allowed ones become null if there is a default for them, else misfits."""
    allowed = np.array([value in said.one_of for value in column.values.tolist()], np.bool_)
    present = column.present()
    if said.default is not None:
        return Column(column.values, present & allowed)
    for row in np.flatnonzero(present & ~allowed).tolist():
        value = value_of(column.values[row : row + 1].tolist()[0])
        listed = ", ".join(map(repr, said.one_of))
        misfits.setdefault(row, Mismatch("WRONG_VALUE", f"{name} is {value}, which is none of {listed}"))
    return column


def _filled(column: Column, value: Scalar) -> Column:
    """The default in place of what is not there; the column's type is the same whether anything is missing or not."""
    present, default = column.present(), _constant(value, len(column))
    if column.values.dtype.kind == "M":
        default = CASTS["datetime"](default, unheard)
    if column.values.dtype.kind in "biuf" and default.values.dtype.kind in "biuf":
        return Column(np.where(present, column.values, default.values))
    values = column.values.astype(object) if default.values.dtype != column.values.dtype else column.values.copy()
    values[~present] = default.values[~present]
    return Column(values)


def _equal(column: Column, value: Scalar) -> Column:
    """Whether each value is just this one; a null is not."""
    equal = np.array([found == value for found in column.values.tolist()], np.bool_)
    return Column(equal & column.present())

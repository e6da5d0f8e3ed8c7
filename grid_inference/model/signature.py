"""`Signature`: what a model takes and gives, in the words of the records that feed it.

In: a fitted estimator, and what the user says about order. Out: the record's fields in the model's order, the task, the
classes. A signature is plain data that travels as JSON; binding it to a record schema is `binding`'s work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self, cast

import numpy as np

from grid_inference.errors import SignatureError
from grid_inference.model import estimators

__all__ = ["Input", "Signature"]

FloatType = Literal["float32", "float64"]


@dataclass(frozen=True, slots=True)
class Input:
    """One column of the model's inputs."""

    name: str
    """The record's field, or `field[3]` for a value of the array field."""
    dtype: str = "float64"
    """The sample's type: numpy's name, or `string`; float64 where no sample was given. It informs, and binds nobody."""
    nullable: bool = False
    """Whether the sample had missing values here: then NaN and null are scored, whatever the policy for them."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and gives."""

    inputs: tuple[Input, ...]
    """The model's columns in its own order; empty while their names are not known (`needs_order`)."""
    task: estimators.Task
    """`classifier` or `regressor`."""
    classes: tuple[str, ...] = ()
    """A classifier's classes as readable text, in the order of `classes_`; a regressor has none."""
    array_field: str | None = None
    """The one array field whose values are all the inputs, if the records hold them so."""
    inputs_count: int = 0
    """How many columns the model takes; known before their names are."""
    frame: bool = False
    """Whether the model picks columns by name, so that it must get a DataFrame."""
    frame_type: Literal["pandas", "polars"] = "pandas"
    """Whose DataFrame that is: what the sample was, as a fitted model doesn't tell."""
    float_dtype: FloatType = "float64"
    """What records of nothing but FLOAT32 are handed over as; all others are float64. It is `float32` only where a
    batch's size can't change a result (trees behind value-by-value steps): float32 matrix products differ by 1e-7 from
    batch to batch, and a prediction must not depend on its batch mates."""

    @classmethod
    def of(cls, model: Any, columns: Sequence[str] | None = None, sample: Any = None) -> Self:
        """Read a fitted model's signature; names come from `columns`, the model itself, or the sample's columns.

        `columns=["x"]` for a model of several inputs says that the records hold them in the one array field `x`.
        """
        estimators.check_fitted(model)
        task = estimators.task_of(model)
        classes = estimators.classes_of(model) if task == "classifier" else ()
        known = estimators.feature_names(model)
        sampled = _sample_inputs(sample)
        count = estimators.inputs_count(model)
        names, array_field = _order(known, columns, tuple(sampled) if sampled else None, count)
        count = count or len(names or ())
        if array_field is not None:
            names = tuple(f"{array_field}[{index}]" for index in range(count))
        inputs = tuple(sampled.get(name, Input(name)) for name in names or ())
        frame = estimators.picks_by_name(model)
        if not frame:
            _check_numbers(inputs)
        return cls(
            inputs=inputs,
            task=task,
            classes=classes,
            array_field=array_field,
            inputs_count=count,
            frame=frame,
            frame_type="polars" if frame and _is_polars(sample) else "pandas",
            float_dtype="float32" if estimators.batch_independent_float32(model) else "float64",
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The record's fields in the model's order."""
        return tuple(each.name for each in self.inputs)

    @property
    def needs_order(self) -> bool:
        """Whether nobody has said yet which field feeds which column."""
        return not self.inputs

    def with_array_field(self, name: str) -> Self:
        """The same model, fed from one array field."""
        inputs = tuple(Input(f"{name}[{index}]") for index in range(self.inputs_count))
        return replace(self, inputs=inputs, array_field=name)

    def to_mapping(self) -> dict[str, Any]:
        """Give plain values that JSON can hold."""
        return asdict(self) | {"inputs": [asdict(each) for each in self.inputs], "classes": list(self.classes)}

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """Read what `to_mapping` gave."""
        try:
            inputs = tuple(Input(**each) for each in mapping["inputs"])
            values: dict[str, Any] = {**mapping, "inputs": inputs, "classes": tuple(mapping["classes"])}
            return cls(**values)
        except (KeyError, TypeError) as error:
            raise SignatureError(f"a stored signature can't be read: {error}") from None


def _order(
    known: tuple[str, ...] | None, columns: Sequence[str] | None, sampled: tuple[str, ...] | None, count: int | None
) -> tuple[tuple[str, ...] | None, str | None]:
    """Settle the record's fields in the model's order, or the array field, from all that was said."""
    if columns is None:
        if known is None and sampled is not None:
            _check_count(sampled, count, "the sample")
        return known or sampled, None
    if isinstance(columns, str):
        raise SignatureError(f"columns = {columns!r} is a text", remedy=f"write columns=[{columns!r}]")
    columns = tuple(columns)
    if len(columns) == 1 and (count or 0) > 1:
        return None, columns[0]
    _check_count(columns, count, "columns")
    if known is None or set(columns) == set(known):
        # The model knows its own order; the same names in another order are no wish to swap its inputs.
        return known or columns, None
    moved = [name for name, mine in zip(columns, known, strict=True) if name != mine and name in known]
    if moved:
        raise SignatureError(
            f"columns puts {moved[0]!r} where the model was fitted with another feature",
            remedy=f"the model's own order is {', '.join(known)}; leave columns out to use it",
        )
    return columns, None


def _check_count(names: tuple[str, ...], count: int | None, source: str) -> None:
    if len(set(names)) < len(names):
        raise SignatureError(f"{source} names a field twice: {', '.join(names)}")
    if count is not None and len(names) != count:
        raise SignatureError(
            f"{source} names {len(names)} fields, the model was fitted with {count}",
            remedy="name one field per feature in the order of the fit, or the one array field that holds them all",
        )


def _check_numbers(inputs: tuple[Input, ...]) -> None:
    """Refuse a sample of strings or dates for a model that takes a matrix of numbers."""
    for each in inputs:
        if each.dtype == "string" or np.dtype(each.dtype).kind not in "buif":
            raise SignatureError(
                f"the sample's column {each.name!r} is {each.dtype}, and the model takes numbers",
                remedy="put the encoder into the model: a Pipeline of a ColumnTransformer and the estimator",
            )


def _is_polars(sample: Any) -> bool:
    return type(sample).__module__.partition(".")[0] == "polars"


def _sample_inputs(sample: Any) -> dict[str, Input]:
    """The columns of a DataFrame, Arrow table or dict of arrays as inputs; a bare matrix has no names."""
    if sample is None or isinstance(sample, np.ndarray | list | tuple):
        return {}
    if _is_polars(sample):
        return {name: _sample_input(name, sample[name].to_numpy()) for name in sample.columns}
    if hasattr(sample, "to_pandas"):
        sample = sample.to_pandas()
    names = list(cast("Mapping[str, Any]", sample).keys())
    return {str(name): _sample_input(str(name), np.asarray(sample[name])) for name in names}


def _sample_input(name: str, values: np.ndarray[Any, Any]) -> Input:
    if values.dtype.kind == "O":
        present = [value for value in values.tolist() if value is not None and value == value]  # noqa: PLR0124  # NaN
        nullable = len(present) < values.size
        if present and all(isinstance(value, str) for value in present):
            return Input(name, "string", nullable)
        try:
            return Input(name, str(np.array(present, np.float64).dtype), nullable)
        except (TypeError, ValueError):
            raise SignatureError(
                f"the sample's column {name!r} holds {type(present[0]).__name__}, no numbers and no strings",
                remedy="models take numbers, booleans, strings, dates and times",
            ) from None
    if values.dtype.kind in "USmM":
        dtype = "string" if values.dtype.kind in "US" else str(values.dtype)
        return Input(name, dtype, values.dtype.kind in "mM" and bool(np.isnat(values).any()))
    if values.dtype.kind not in "buif":
        raise SignatureError(f"the sample's column {name!r} is {values.dtype}, which no record holds")
    return Input(name, str(values.dtype), values.dtype.kind == "f" and bool(np.isnan(values).any()))

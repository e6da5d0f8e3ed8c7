"""`Signature`: what a model takes and gives, in the words of the records that feed it.

In: a fitted estimator, or what another model says of itself, and what the user says about order. Out: the record's
fields in the model's order, the task, the classes. A signature is plain data that travels as JSON; binding it to a
record schema is `binding`'s work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Self, cast, get_args

import numpy as np

from grid_inference.errors import SignatureError
from grid_inference.model import estimators
from grid_inference.model.described import LABELS_MAX, Described, FloatType, Input, Task

__all__ = ["Input", "Signature"]

VALUES_MAX = 1_000_000
"""Inputs, outputs or classes of a model."""
CLASSES_SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and gives."""

    inputs: tuple[Input, ...]
    """The model's columns in its own order; empty while their names are not known (`needs_order`)."""
    task: Task
    """`classifier`, `multilabel`, `regressor`, `outlier_detector` or `clusterer`."""
    classes: tuple[str, ...] = ()
    """The classes, labels or clusters as readable text, in the order of `classes_`; a regressor has none."""
    array_field: str | None = None
    """The one array field whose values are all the inputs, if the records hold them so."""
    inputs_count: int = 0
    """How many columns the model takes; known before their names are."""
    outputs: int = 0
    """How many values a regressor of several gives for a record, or a clusterer beside the cluster; else 0."""
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
        return cls.described(estimators.describe(model), columns, sample)

    @classmethod
    def described(cls, model: Described, columns: Sequence[str] | None = None, sample: Any = None) -> Self:
        """The same for a model of any library that is described already."""
        if model.task == "multilabel" and len(model.classes) > LABELS_MAX:
            raise SignatureError(
                f"the model gives {len(model.classes)} labels at once, more than {LABELS_MAX}",
                remedy="deploy several models, of some labels each",
            )
        sampled = _sample_inputs(sample)
        known = None if model.inputs is None else tuple(each.name for each in model.inputs)
        names, array_field = _order(known, columns, tuple(sampled) or None, model.count)
        count = model.count or len(names or ())
        if array_field is not None:
            names = tuple(f"{array_field}[{index}]" for index in range(count))
        own = model.inputs or (Input(""),) * len(names or ())
        if array_field is not None:
            own = (Input(""),) * count
        inputs = tuple(
            sampled.get(name) or replace(each, name=name) for name, each in zip(names or (), own, strict=bool(names))
        )
        if not model.frame:
            _check_numbers(inputs)
        return cls(
            inputs=inputs,
            task=model.task,
            classes=model.classes,
            array_field=array_field,
            inputs_count=count,
            outputs=model.outputs,
            frame=model.frame,
            frame_type="polars" if model.frame and _is_polars(sample) else "pandas",
            float_dtype=model.float_dtype,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The record's fields in the model's order."""
        return tuple(each.name for each in self.inputs)

    @property
    def scores_count(self) -> int:
        """How many values stand in a prediction's `scores`; 0: it has none."""
        return len(self.classes) if self.task in {"classifier", "multilabel"} else self.outputs

    def label(self, index: int) -> str | None:
        """The label of a `label_index`; None for a regressor. Of several labels the index has a bit for each."""
        if self.task == "regressor":
            return None
        if self.task == "multilabel":
            return ", ".join(name for bit, name in enumerate(self.classes) if index >> bit & 1)
        if index < 0:
            raise ValueError("the label is none of the classes")
        return self.classes[index]

    def class_index(self, name: str) -> int:
        """The place of a class, or of one of several labels, in `scores`; SignatureError if there is none so called."""
        if self.task not in {"classifier", "multilabel"}:
            raise SignatureError(
                f"score_of = {name!r}: a {self.task.replace('_', ' ')} has no classes", remedy="leave score_of out"
            )
        if name not in self.classes:
            shown = ", ".join(self.classes[:CLASSES_SHOWN_MAX])
            more = f" and {len(self.classes) - CLASSES_SHOWN_MAX} more" if len(self.classes) > CLASSES_SHOWN_MAX else ""
            raise SignatureError(
                f"score_of = {name!r} is none of the model's classes", remedy=f"they are {shown}{more}"
            )
        return self.classes.index(name)

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
        said = {each.name: getattr(self, each.name) for each in fields(self)}
        inputs = [{"name": one.name, "dtype": one.dtype, "nullable": one.nullable} for one in self.inputs]
        return said | {"inputs": inputs, "classes": list(self.classes)}

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """Read what `to_mapping` gave; raise SignatureError for anything else: whoever writes to the grid may."""
        try:
            inputs = tuple(Input(**each) for each in mapping["inputs"])
            values: dict[str, Any] = {**mapping, "inputs": inputs, "classes": tuple(mapping["classes"])}
            signature = cls(**values)
        except (KeyError, TypeError) as error:
            raise SignatureError(f"a stored signature can't be read: {error}") from None
        if wrong := _wrong(signature):
            raise SignatureError(f"a stored signature can't be read: {wrong}")
        return signature


def _wrong(signature: Signature) -> str:
    """What in a signature can't be; its field annotations say what may."""
    several = signature.task == "multilabel" and len(signature.classes) > LABELS_MAX
    if signature.task not in get_args(Task) or several or len(signature.classes) > VALUES_MAX:
        return f"task {signature.task!r} with {len(signature.classes)} classes"
    texts = [*signature.classes, *(text for each in signature.inputs for text in (each.name, each.dtype))]
    if not all(isinstance(text, str) for text in cast("list[Any]", texts)):
        return "a name is no text"
    for name in ("inputs_count", "outputs"):
        value = getattr(signature, name)
        if type(value) is not int or not 0 <= value <= VALUES_MAX:
            return f"{name} {value!r} is not between 0 and {VALUES_MAX}"
    if signature.task == "clusterer" and signature.outputs not in {0, len(signature.classes)}:
        return f"{signature.outputs} outputs for {len(signature.classes)} clusters"
    return ""


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

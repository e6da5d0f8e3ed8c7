"""`Signature`: what a model takes and gives, in the words of the records that feed it.

In: a fitted estimator, or what another model says of itself, and what the user says about order. Out: the record's
fields in the model's order, the task, the classes. A signature is plain data that travels as JSON; binding it to a
record schema is `inputs/`'s work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, Self, cast, get_args

import numpy as np

from grid_inference.errors import SignatureError
from grid_inference.model.described import LABELS_MAX, Described, FloatType, Input, Null, Task
from grid_inference.model.dtypes import unzoned
from grid_inference.model.sample import Sample

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
    call_rows: int = 0
    """The model is asked for just so many records at a time, the last ones of a batch filled up, as what it says of one
    hangs on how many there are; 0: for any number."""

    @classmethod
    def of(cls, model: Any, columns: Sequence[str] | None = None, sample: Any = None) -> Self:
        """Read a fitted model's signature; names come from `columns`, the model itself, or the sample's columns.

        `columns=["x"]` for a model of several inputs says that the records hold them in the one array field `x`.
        """
        from grid_inference.model import estimators  # noqa: PLC0415 - scikit-learn: whoever only reads needs none of it

        return cls.described(estimators.describe(model), columns, sample)

    @classmethod
    def described(cls, model: Described, columns: Sequence[str] | None = None, sample: Any = None) -> Self:
        """The same for a model of any library that is described already."""
        if model.task == "multilabel" and len(model.classes) > LABELS_MAX:
            raise SignatureError(
                f"the model gives {len(model.classes)} labels at once, more than {LABELS_MAX}",
                remedy="deploy several models, of some labels each",
            )
        sample = Sample.of(sample)
        own = model.inputs or ()
        known = tuple(each.name for each in own) if own and own[0].name else None
        names, array_field = _order(known, columns, (sample and sample.names) or None, model.count)
        count = model.count or len(names or ())
        if array_field is not None:
            names, own = tuple(f"{array_field}[{index}]" for index in range(count)), ()
        elif names is None and model.frame:
            raise _nameless(own)
        # Nobody knows what a function or another library's model does with a column.
        unknown = Input("", "", exact=True) if model.frame and array_field is None else Input("")
        inputs = tuple(
            _input(name, each, sample)
            for name, each in zip(names or (), own if names and own else (unknown,) * len(names or ()), strict=True)
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
            frame=model.frame and array_field is None,
            frame_type=sample.library if model.frame and sample else "pandas",
            float_dtype=model.float_dtype,
            call_rows=model.call_rows,
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
        said |= {"inputs": [_said(each) for each in self.inputs], "classes": list(self.classes)}
        if not self.call_rows:
            del said["call_rows"]  # workers of the version before know no such thing
        return said

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


def _said(wanted: Input) -> dict[str, Any]:
    """An input as plain values; what is as ever is left out, for workers of the version before."""
    said: dict[str, Any] = {"name": wanted.name, "dtype": wanted.dtype, "nullable": wanted.nullable}
    if wanted.null != "NaN":
        said["null"] = wanted.null
    if wanted.exact:
        said["exact"] = True
    return said


def _wrong(signature: Signature) -> str:
    """What in a signature can't be; its field annotations say what may."""
    several = signature.task == "multilabel" and len(signature.classes) > LABELS_MAX
    if signature.task not in get_args(Task) or several or len(signature.classes) > VALUES_MAX:
        return f"task {signature.task!r} with {len(signature.classes)} classes"
    texts = [*signature.classes, *(text for each in signature.inputs for text in (each.name, each.dtype))]
    if not all(isinstance(text, str) for text in cast("list[Any]", texts)):
        return "a name is no text"
    for name in ("inputs_count", "outputs", "call_rows"):
        value = getattr(signature, name)
        if type(value) is not int or not 0 <= value <= VALUES_MAX:
            return f"{name} {value!r} is not between 0 and {VALUES_MAX}"
    if signature.task == "clusterer" and signature.outputs not in {0, len(signature.classes)}:
        return f"{signature.outputs} outputs for {len(signature.classes)} clusters"
    for each in signature.inputs:
        if each.null not in get_args(Null) or not _is_type(each.dtype):
            return f"the input {each.name!r} is {each.dtype!r}, null {each.null!r}"
    return ""


def _is_type(dtype: str) -> bool:
    """Whether a type of a column may stand in a signature."""
    if dtype in {"", "string", "date", "time"}:
        return True
    try:
        return np.dtype(unzoned(dtype)).kind in "biufmM"
    except TypeError:
        return False


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
        if each.dtype in {"string", "date", "time"} or each.dtype.startswith("datetime"):
            raise SignatureError(
                f"the sample's column {each.name!r} is {each.dtype}, and the model takes numbers",
                remedy="put the encoder into the model: a Pipeline of a ColumnTransformer and the estimator",
            )


def _nameless(inputs: Sequence[Input]) -> SignatureError:
    """What to say of a model that takes texts and was fitted without names."""
    if len(inputs) == 1:
        return SignatureError(
            "the model takes one column of texts, and nothing says which",
            remedy='name the field that holds them: columns = ["text"]',
        )
    return SignatureError(
        f"the model takes {len(inputs)} columns, texts among them, and was fitted without their names",
        remedy='name them in the order of the fit: columns = ["first", "second", …]; or fit it on a DataFrame',
    )


def _input(name: str, own: Input, sample: Sample | None) -> Input:
    """What the model's steps remember of a column, and what the sample tells of it."""
    if sample is None or name not in sample:
        return Input(name, own.dtype, nullable=False, null=own.null, exact=own.exact)
    seen = sample.input(name)
    told = own.nullable or own.null != "NaN"
    dtype = own.dtype if own.dtype in {"string", "bool"} and own.dtype != seen.dtype else seen.dtype
    return Input(name, dtype, seen.nullable, own.null if told else seen.null, own.exact)

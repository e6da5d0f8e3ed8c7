"""`ColumnPath`: the matrix that a ColumnTransformer makes of a frame, without a DataFrame of all rows.

Numbers go to their scaler as a matrix. Of texts only those that were not seen before go through their encoder, the very
one of the model; the others are gathered from what it made of them. That gives the same, and raises the same, as an
encoder's output depends on one text alone. What is not known to be exactly so is left to the model.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, OrdinalEncoder, StandardScaler

from grid_inference.model.engines.direct import Step, scaled
from grid_inference.model.inputs.frame import Frame

__all__ = ["ColumnPath"]

REMEMBERED_TEXTS_MAX = 1 << 14
"""A field of more different texts is encoded batch by batch, each distinct one of a batch once.

Where texts are hardly ever equal, nothing would be saved: the model itself does it.
"""
REMEMBERED_NUMBERS_MAX = 1 << 20
"""Nor is more kept of what the encoder made of one field's texts."""


class ColumnPath:
    """The steps of one ColumnTransformer; safe to use from several threads."""

    def __init__(self, parts: Sequence[_Numbers | _Encoded]) -> None:
        self._parts = parts

    @classmethod
    def of(cls, transformer: Any) -> ColumnPath | None:
        """The path of this transformer, or None if any part of it is not known to be exactly that."""
        if type(transformer) is not ColumnTransformer or _configured(transformer):
            return None
        if transformer.sparse_output_ or transformer.transformer_weights:
            return None
        parts = [_part(names, step) for names, step in _fitted_steps(transformer)]
        known = [part for part in parts if part is not None]
        # Behind nothing but columns that pass through there may be whole numbers or booleans.
        makes_doubles = any(isinstance(part, _Encoded) or part.scale is not None for part in known)
        return cls(known) if len(known) == len(parts) and makes_doubles else None

    def __call__(self, frame: Frame, *, finite: bool) -> NDArray[np.float64] | None:
        """What `transform` would make of it; None if the model must do it itself. Raises what the encoders raise.

        `finite` says that all values of the frame are known to be finite.
        """
        matrix = np.empty((frame.shape[0], sum(part.width for part in self._parts)))
        start = 0
        for part in self._parts:
            if not part.fill(matrix[:, start : start + part.width], frame, finite=finite):
                return None
            start += part.width
        return matrix


def _configured(estimator: Any) -> bool:
    """Whether it was told to give DataFrames."""
    return getattr(estimator, "_sklearn_output_config", {}).get("transform", "default") != "default"


def _fitted_steps(transformer: Any) -> Iterator[tuple[list[str] | None, Any]]:
    """(names of the columns, the step that takes them) in the order of the output; no names where they are unclear."""
    indices = getattr(transformer, "_transformer_to_input_indices", {})
    names = [str(name) for name in getattr(transformer, "feature_names_in_", ())]
    for name, step, columns in transformer.transformers_:
        if isinstance(step, str) and step == "drop":
            continue
        # A single name stands for a Series, which is another thing than a frame of one column.
        clear = bool(names) and name in indices and not isinstance(columns, str | int)
        chosen = [names[index] for index in indices[name]] if clear else None
        if chosen != []:
            yield chosen, step


def _part(names: list[str] | None, step: Any) -> _Numbers | _Encoded | None:
    if names is None or _configured(step):
        return None
    if step == "passthrough" or (type(step) is FunctionTransformer and step.func is None and not step.validate):
        return _Numbers(names, None)
    if type(step) is StandardScaler:
        return _Numbers(names, scaled(step))
    widths = _widths(step, len(names))
    return _Encoded(names, step, widths) if widths else None


def _widths(step: Any, count: int) -> list[int] | None:
    """How many output columns each of `count` input columns has; None if that is not all there is to the step."""
    *before, encoder = [each for _, each in step.steps] if type(step) is Pipeline else [step]
    plain = all(type(each) is SimpleImputer and not each.add_indicator and not _configured(each) for each in before)
    if not plain or _configured(encoder) or getattr(encoder, "n_features_in_", 0) != count:
        return None
    if type(encoder) not in (OrdinalEncoder, OneHotEncoder) or np.dtype(encoder.dtype) != np.float64:
        return None
    widths = [1] * count if type(encoder) is OrdinalEncoder else getattr(encoder, "_n_features_outs", None)
    return None if widths is None else list(map(int, widths))


@dataclass(frozen=True, slots=True)
class _Numbers:
    """Columns of numbers, scaled or as they are."""

    names: list[str]
    scale: Step | None

    @property
    def width(self) -> int:
        return len(self.names)

    def fill(self, matrix: NDArray[np.float64], frame: Frame, *, finite: bool) -> bool:
        """Write the output columns of all rows; False if the model must do it itself."""
        columns = [frame.columns[name] for name in self.names]
        kinds = {values.dtype.kind for values in columns}
        # A DataFrame of booleans beside numbers is one of objects to whom asks for its values.
        if not (kinds <= {"f", "i"} or kinds == {"b"}):
            return False
        for index, values in enumerate(columns):
            matrix[:, index] = values
        if not finite and bool(np.isinf(matrix).any()):
            return False
        if self.scale is not None:
            matrix[:] = self.scale(matrix)
        return True


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """What the encoder made of one field's texts."""

    rows: dict[object, int]
    """Text, or what stands for a null, → its row."""
    table: NDArray[np.float64]
    """Shape (texts, output columns of the field)."""

    @classmethod
    def nothing(cls, width: int) -> _Known:
        return cls({}, np.empty((0, width)))

    def fresh(self, distinct: list[object]) -> list[object]:
        return [text for text in distinct if text not in self.rows]

    def with_more(self, texts: list[object], made: NDArray[np.float64]) -> _Known:
        rows = {text: row for row, text in enumerate(texts, start=len(self.rows))}
        return _Known({**self.rows, **rows}, np.concatenate([self.table, made])) if texts else self

    @property
    def small(self) -> bool:
        return len(self.rows) <= REMEMBERED_TEXTS_MAX and self.table.size <= REMEMBERED_NUMBERS_MAX


class _Encoded:
    """Columns of texts behind one encoder."""

    def __init__(self, names: list[str], encoder: Any, widths: list[int]) -> None:
        self._names = names
        self._encoder = encoder
        self.width = sum(widths)
        ends = accumulate(widths)
        self._slices = [slice(end - width, end) for end, width in zip(ends, widths, strict=True)]
        # Replaced as a whole: another thread may be reading it.
        self._known = [_Known.nothing(width) for width in widths]

    def fill(self, matrix: NDArray[np.float64], frame: Frame, *, finite: bool) -> bool:  # noqa: ARG002  # to it a null is a text like any
        """Write the output columns of all rows; False if the model must do it itself."""
        found = [frame.texts(name) for name in self._names]
        texts = [each for each in found if each is not None]
        if len(texts) < len(found):
            return False
        distinct: list[list[object]] = [each.distinct.tolist() for each in texts]
        known = self._learnt(self._known, distinct, frame)
        for one, each, some, columns in zip(known, texts, distinct, self._slices, strict=True):
            matrix[:, columns] = one.table[[one.rows[text] for text in some]][each.codes]
        return True

    def _learnt(self, known: list[_Known], distinct: list[list[object]], frame: Frame) -> list[_Known]:
        """What is known of all these texts; those that are new go through the encoder."""
        fresh = [one.fresh(some) for one, some in zip(known, distinct, strict=True)]
        if not any(fresh):
            return known
        # A column without a new text needs some value, of which nothing is taken.
        made = self._encode([new or some[:1] for new, some in zip(fresh, distinct, strict=True)], frame)
        more = [
            one.with_more(new, made[: len(new), columns])
            for one, new, columns in zip(known, fresh, self._slices, strict=True)
        ]
        self._known = [one if one.small else _Known.nothing(one.table.shape[1]) for one in more]
        return more

    def _encode(self, texts: list[list[object]], frame: Frame) -> NDArray[np.float64]:
        """The encoder's output for columns of texts as those of the frame, the shorter ones filled up."""
        count = max(map(len, texts))
        columns = {name: _padded(some, count) for name, some in zip(self._names, texts, strict=True)}
        made = self._encoder.transform(Frame(columns, inputs=frame.inputs).to_pandas())
        return made.toarray() if issparse(made) else np.asarray(made)


def _padded(texts: list[object], count: int) -> NDArray[np.object_]:
    values = np.empty(count, np.object_)
    values[:] = [*texts, *[texts[0]] * (count - len(texts))]
    return values
